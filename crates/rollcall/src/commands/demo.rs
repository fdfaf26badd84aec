//! `rollcall demo`: a temporary store with a small estate, made through the operations themselves, and its server.

use super::Global;
use super::serve::{runtime, start_log};
use crate::clock;
use crate::config::{Log, LogFormat};
use crate::end::End;
use crate::output;
use crate::place::{OpenStore, with_built_in_data};
use crate::stop;
use anyhow::{Context as _, anyhow};
use clap::Args;
use rollcall_app::access::Access;
use rollcall_app::calls::Calls;
use rollcall_app::secret::Secret;
use rollcall_app::{Caller, Context, Limits, OpError, Operation, directory, table};
use rollcall_domain::json::{self, Json};
use rollcall_domain::moment::{Moment, Zone};
use rollcall_http::{Metrics, ServeError, Server, Settings};
use rollcall_store::sqlite::{Options, Sqlite};
use rollcall_store::{Store, TimeLimits};
use serde::Serialize;
use serde_json::{Value, json};
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

const APP: &str = "demo";
/// The built-in "Default".
const CATEGORY: i64 = 2;
const USER: &str = "admin";
/// The port, and how many after it are tried when it is taken.
const PORT: u16 = 8090;
const MORE_PORTS: u16 = 100;

/// Try it out: a small estate in a temporary store, served on this machine only
#[derive(Args)]
#[command(after_help = "Example:
  rollcall demo

Prints lines to paste for each door. Nothing is kept when it ends. It listens on 127.0.0.1:8090, or the next free port.")]
pub struct Demo {
    /// The port, or the first to try when it is taken; 0 takes any
    #[arg(long, default_value_t = PORT)]
    port: u16,
}

impl Demo {
    pub fn run(self, global: &Global) -> Result<(), End> {
        start_log(&Log { level: "warn".into(), format: LogFormat::Text })?;
        let folder = tempfile::Builder::new().prefix("rollcall-demo-").tempdir()?;
        let now = clock::now();
        let options = Options::new(folder.path().join("demo.sqlite"));
        let store = Store::new(Arc::new(Sqlite::open(options)?), TimeLimits::default());
        let opened = with_built_in_data(store, Zone::DEFAULT_NAME, now)?;
        let (secret, token) = (Secret::random()?, Secret::random()?);
        let (app_secret, user_token) = (secret.clone(), token.clone());
        opened.write(move |tx| {
            directory::create_administrator(tx, USER, now)?;
            directory::create_app(tx, APP, true, &app_secret, now)?;
            directory::create_token(tx, USER, &user_token, now, None)
        })?;
        let estate = Builder::new(&opened, now).build()?;
        runtime()?.block_on(async {
            let OpenStore { store, zone } = opened;
            let ports = self.port..=self.port.saturating_add(if self.port == 0 { 0 } else { MORE_PORTS });
            let mut server = None;
            for port in ports {
                let mut settings = Settings::new(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
                // So that the native door can be tried, too. Whoever is on this machine may play with the demo.
                settings.trusted_proxies = vec![IpAddr::from(Ipv4Addr::LOCALHOST)];
                let metrics = Arc::new(Metrics::new());
                match Server::bind(settings, store.clone(), zone.clone(), metrics, clock::clock()).await {
                    Err(ServeError::Listen(_, error)) if error.kind() == ErrorKind::AddrInUse => {}
                    bound => {
                        server = Some(bound?);
                        break;
                    }
                }
            }
            let server = server.ok_or_else(|| anyhow!("no port from {} on is free", self.port))?;
            let running = Running {
                url: format!("http://{}", server.local_addr()),
                bk_app_code: APP,
                bk_app_secret: secret.reveal(),
                bk_username: USER,
                bk_token: token.reveal(),
                estate,
            };
            let stop = stop::when_asked()?;
            if global.json {
                output::say_json(&running)?;
            } else {
                running.show();
            }
            server.run(stop).await;
            Ok(())
        })
    }
}

/// What a person or a program needs to try the demo.
#[derive(Serialize)]
struct Running<'a> {
    url: String,
    bk_app_code: &'a str,
    bk_app_secret: &'a str,
    bk_username: &'a str,
    bk_token: &'a str,
    #[serde(flatten)]
    estate: Estate,
}

impl Running<'_> {
    fn show(&self) {
        let Self { url, estate, .. } = self;
        let (app, secret, token) = (self.bk_app_code, self.bk_app_secret, self.bk_token);
        let Estate { bk_biz_id: business, service_instance_id: instance, .. } = estate;
        let (template, follower) = (estate.service_template_id, estate.following_module_id);
        output::say(format_args!(
            r#"A demo runs at {url}. Business {business} has two sets, five modules, five hosts and their services.

  bk_app_code    {app}   (may name its user: bk_username)
  bk_app_secret  {secret}
  bk_token       {token}   (of the administrator {USER})

Paste into another terminal. The ESB door, the user named by the app:

  curl -s {url}/api/c/compapi/v2/cc/list_process_instance/ -d '{{"bk_app_code":"{app}","bk_app_secret":"{secret}","bk_username":"{USER}","bk_biz_id":{business},"service_instance_id":{instance}}}'

  curl -s {url}/api/c/compapi/v2/cc/create_process_instance/ -d '{{"bk_app_code":"{app}","bk_app_secret":"{secret}","bk_token":"{token}","bk_biz_id":{business},"service_instance_id":{instance},"processes":[{{"process_info":{{"bk_func_name":"exporter","bk_process_name":"exporter","bind_info":[{{"ip":"0.0.0.0","port":"9113","protocol":"1","enable":true}}]}}}}]}}'

The gateway door, the user proved by a token:

  curl -s {url}/api/bk-cmdb/prod/api/v3/findmany/proc/service_instance -H 'X-Bkapi-Authorization: {{"bk_app_code":"{app}","bk_app_secret":"{secret}","bk_token":"{token}"}}' -d '{{"bk_biz_id":{business},"page":{{"start":0,"limit":10}}}}'

The native door, for platform services on trusted machines (here: this one):

  curl -s {url}/api/v3/find/topoinst/biz/{business} -H 'BK_User: {USER}' -H 'HTTP_BLUEKING_SUPPLIER_ID: 0' -d '{{}}'

Module {follower} follows service template {template}, whose port has changed since. What a synchronization would change, and the same without dry_run to do it:

  curl -s -X PUT {url}/api/v3/update/proc/service_instance/sync -H 'BK_User: {USER}' -d '{{"bk_biz_id":{business},"bk_module_ids":[{follower}],"service_template_id":{template},"dry_run":true}}'

Ctrl-C ends the demo; nothing is kept."#
        ));
    }
}

/// The ids that the printed lines use.
#[derive(Serialize)]
struct Estate {
    bk_biz_id: i64,
    bk_module_id: i64,
    service_instance_id: i64,
    service_template_id: i64,
    /// A module made from that template, which has changed since.
    following_module_id: i64,
}

/// Makes the estate, one operation after the other, as a client would.
struct Builder<'a> {
    opened: &'a OpenStore,
    operations: Arc<Vec<Operation>>,
    zone: Arc<Zone>,
    now: Moment,
}

/// A process as the demo describes it: alias, program, start command, ports.
type Service = (&'static str, &'static str, &'static str, &'static [&'static str]);

/// A module: set, name, the hosts it runs on, what runs there.
const MODULES: &[(&str, &str, &[usize], &[Service])] = &[
    ("frontend", "nginx", &[0, 1, 2], &[("nginx", "nginx", "systemctl start nginx", &["80", "443"])]),
    ("frontend", "gateway", &[0, 1], &[("gateway_java", "java", "./gateway.sh start", &["8080"])]),
    (
        "backend",
        "job",
        &[3, 4],
        &[
            ("job_java", "java", "./job.sh start", &["8008", "8443"]),
            ("job_worker", "job-worker", "./worker.sh start", &[]),
        ],
    ),
    ("backend", "mysql", &[4], &[("mysqld", "mysqld", "systemctl start mysqld", &["3306"])]),
];

const HOSTS: [&str; 5] = ["10.0.1.11", "10.0.1.12", "10.0.1.13", "10.0.2.21", "10.0.2.22"];

impl<'a> Builder<'a> {
    fn new(opened: &'a OpenStore, now: Moment) -> Self {
        Self { opened, operations: Arc::new(table::operations()), zone: Arc::new(opened.zone.clone()), now }
    }

    fn build(&self) -> Result<Estate, End> {
        let made = self.call("create_business", json!({"bk_biz_name": "Example Shop", "bk_biz_maintainer": USER}))?;
        let business = id(&made, "bk_biz_id")?;
        let hosts = HOSTS.map(|ip| json!({"bk_host_innerip": ip, "bk_cloud_id": 0}));
        let added = self.call("add_host_to_business_idle", json!({"bk_biz_id": business, "bk_host_list": hosts}))?;
        let hosts = added["bk_host_ids"].as_array().cloned().unwrap_or_default();
        if hosts.len() != HOSTS.len() {
            return Err(anyhow!("add_host_to_business_idle answered {added}").into());
        }
        let mut first = None;
        let mut set = ("", 0);
        for (set_name, module_name, places, services) in MODULES {
            if set.0 != *set_name {
                let made = self.call(
                    "create_set",
                    json!({"bk_biz_id": business, "bk_parent_id": business, "bk_set_name": set_name}),
                )?;
                set = (set_name, id(&made, "bk_set_id")?);
            }
            let made = self.call(
                "create_module",
                json!({"bk_biz_id": business, "bk_set_id": set.1, "bk_parent_id": set.1, "bk_module_name": module_name}),
            )?;
            let module = id(&made, "bk_module_id")?;
            let on: Vec<&Value> = places.iter().map(|place| &hosts[*place]).collect();
            self.call(
                "transfer_host_module",
                json!({"bk_biz_id": business, "bk_host_id": on, "bk_module_id": [module], "is_increment": true}),
            )?;
            let processes: Vec<Value> = services.iter().map(process).collect();
            let instances: Vec<Value> =
                on.iter().map(|host| json!({"bk_host_id": host, "processes": processes})).collect();
            let made = self.call(
                "create_service_instance",
                json!({"bk_biz_id": business, "bk_module_id": module, "instances": instances}),
            )?;
            if first.is_none() {
                let instance = made.get(0).and_then(Value::as_i64);
                first = instance.map(|instance| (module, instance));
            }
        }
        let (module, instance) = first.context("create_service_instance answered no ids")?;
        let (template, follower) = self.follow(business, set.1, &hosts[3..])?;
        Ok(Estate {
            bk_biz_id: business,
            bk_module_id: module,
            service_instance_id: instance,
            service_template_id: template,
            following_module_id: follower,
        })
    }

    /// A service template, and a module in this set that follows it on these hosts; then the template changes.
    fn follow(&self, business: i64, set: i64, hosts: &[Value]) -> Result<(i64, i64), End> {
        let locked = |value: Value| json!({"value": value, "as_default_value": true});
        let spec = |port: &str| {
            let first_inner_address = "3";
            let row = json!({"row_id": 1, "ip": locked(first_inner_address.into()), "port": locked(port.into()),
                "protocol": locked("1".into()), "enable": locked(true.into())});
            json!({
                "bk_process_name": locked("redis".into()), "bk_func_name": locked("redis-server".into()),
                "start_cmd": locked("systemctl start redis".into()), "user": locked("redis".into()),
                // Any host may have another folder.
                "work_path": {"value": "/data/redis"},
                "bind_info": {"value": [row], "as_default_value": true},
            })
        };
        let made = self.call(
            "create_service_template",
            json!({"bk_biz_id": business, "name": "redis", "service_category_id": CATEGORY}),
        )?;
        let template = id(&made, "id")?;
        let made = self.call(
            "batch_create_proc_template",
            json!({"bk_biz_id": business, "service_template_id": template, "processes": [{"spec": spec("6379")}]}),
        )?;
        let process = made.get(0).and_then(Value::as_i64).context("batch_create_proc_template answered no id")?;
        let made = self.call(
            "create_module",
            json!({"bk_biz_id": business, "bk_set_id": set, "bk_parent_id": set, "service_template_id": template}),
        )?;
        let module = id(&made, "bk_module_id")?;
        self.call(
            "transfer_host_module",
            json!({"bk_biz_id": business, "bk_host_id": hosts, "bk_module_id": [module], "is_increment": true}),
        )?;
        self.call(
            "update_proc_template",
            json!({"bk_biz_id": business, "process_template_id": process, "process_property": spec("6380")}),
        )?;
        Ok((template, module))
    }

    /// Runs one operation in a transaction of its own, as the doors do.
    fn call(&self, name: &'static str, body: Value) -> Result<Value, End> {
        let Json::Object(fields) = json::parse(body.to_string().as_bytes(), json::Limits::default())? else {
            return Err(anyhow!("the input of {name} is not an object").into());
        };
        let context = Context {
            caller: Caller {
                user: USER.into(),
                verified: true,
                app_code: APP.into(),
                request_id: format!("demo-{name}"),
            },
            now: self.now,
            zone: self.zone.clone(),
            access: Access::unlimited(USER),
            limits: Limits::default(),
            english: true,
            preview: None,
        };
        let operations = self.operations.clone();
        let run = self.opened.store.write_blocking(move |tx| {
            let mut calls = Calls::new(&operations, &context, tx);
            calls.call(name, fields.clone())
        });
        let payload = run.map_err(|error: OpError| anyhow!("{name}: {error:?}"))?;
        Ok(serde_json::from_str(&payload.to_string())?)
    }
}

fn process((alias, program, start, ports): &Service) -> Value {
    let bind = |port: &&str| json!({"ip": "0.0.0.0", "port": port, "protocol": "1", "enable": true});
    json!({"process_info": {
        "bk_process_name": alias,
        "bk_func_name": program,
        "bk_start_param_regex": alias,
        "start_cmd": start,
        "user": "app",
        "work_path": format!("/data/{alias}"),
        "auto_start": true,
        "bind_info": ports.iter().map(bind).collect::<Vec<_>>(),
    }})
}

fn id(made: &Value, field: &str) -> Result<i64, End> {
    let id = made.get(field).and_then(Value::as_i64);
    Ok(id.with_context(|| format!("no {field} in {made}"))?)
}
