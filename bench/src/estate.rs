//! Stores to measure on, made by the operations themselves, many in a transaction: rows are what a server would have stored,
//! byte for byte.

use crate::server::{now, zone};
use anyhow::Context as _;
use rollcall_app::access::Access;
use rollcall_app::{Caller, Context, Input, Limits, OpError, Operation};
use rollcall_domain::id::{BusinessId, HostId, ModuleId, ServiceInstanceId};
use rollcall_domain::json::{Json, parse};
use rollcall_domain::service_instance::NewServiceInstance;
use rollcall_store::postgres::Postgres;
use rollcall_store::postgres::address::{Address, Beside};
use rollcall_store::sequence::{self, Sequence};
use rollcall_store::sqlite::Sqlite;
use rollcall_store::{Engine, Observer, Store, StoreError, TimeLimits, Tx, postgres, sqlite};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;

/// The most instances a call makes.
pub const A_CALL: usize = 100;

const HOST: i64 = 1;

const INSERT_HOST: &str = "INSERT INTO host (id, cloud_id, inner_ip, inner_ip_v6, outer_ip, outer_ip_v6, document)
    VALUES ($1, 0, '10.0.0.1', '', '', '', '{}')";
const INSERT_HOST_MODULE: &str =
    "INSERT INTO host_module (business_id, set_id, module_id, host_id) VALUES ($1, $2, $3, $4)";

/// A place for instances: a host in a module of a business.
#[derive(Debug, Clone, Copy)]
pub struct Home {
    pub business: i64,
    pub module: i64,
}

/// Opens a store: a file, or a database by its URL.
pub fn engine(place: &Path, observer: Option<Arc<dyn Observer>>) -> anyhow::Result<Arc<dyn Engine>> {
    match place.to_str().filter(|text| text.starts_with("postgres://")) {
        Some(url) => {
            let options = postgres::Options::new(Address::parse(url, &Beside::default())?);
            Ok(Arc::new(Postgres::open(postgres::Options { observer, ..options })?))
        }
        None => Ok(Arc::new(Sqlite::open(sqlite::Options { observer, ..sqlite::Options::new(place) })?)),
    }
}

/// A store being filled.
pub struct Estate {
    store: Store,
    operations: Arc<Vec<Operation>>,
    context: Arc<Context>,
}

impl Estate {
    /// An empty store with the built-in data.
    pub fn new(place: &Path) -> anyhow::Result<Self> {
        let zone = zone()?;
        let store = Store::new(engine(place, None)?, TimeLimits::default());
        let caller =
            Caller { user: "bench".into(), verified: true, app_code: String::new(), request_id: "cc0000bench".into() };
        let context = Context {
            caller,
            now: now(),
            zone: Arc::new(zone.clone()),
            access: Access::unlimited("bench"),
            limits: Limits::default(),
            english: true,
        };
        let now = context.now;
        store.write_blocking(move |tx| {
            rollcall_app::built_in::install(tx, &zone, now)?;
            tx.execute(INSERT_HOST, &[HOST.into()]).map(|_| ())
        })?;
        let operations = Arc::new(rollcall_app::table::operations());
        Ok(Self { store, operations, context: Arc::new(context) })
    }

    /// Runs something in one transaction.
    pub fn write<T: Send + 'static>(
        &self,
        mut work: impl FnMut(&mut Run<'_>) -> anyhow::Result<T> + Send + 'static,
    ) -> anyhow::Result<T> {
        let (operations, context) = (self.operations.clone(), self.context.clone());
        let done = self.store.write_blocking(move |tx| {
            let mut run = Run { operations: &operations, context: &context, tx };
            work(&mut run).map_err(|error| StoreError::Defect(format!("{error:#}")))
        });
        Ok(done?)
    }

    /// A business with a module that the host is in.
    pub fn home(&self, name: &str) -> anyhow::Result<Home> {
        let name = name.to_owned();
        self.write(move |run| {
            let business = run.call("create_business", &json!({"bk_biz_name": name, "bk_biz_maintainer": "bench"}))?;
            let business = business["bk_biz_id"].as_i64().context("a business has an id")?;
            let set = json!({"bk_biz_id": business, "bk_set_name": "set", "bk_parent_id": business});
            let set = run.call("create_set", &set)?["bk_set_id"].as_i64().context("a set has an id")?;
            let module =
                json!({"bk_biz_id": business, "bk_set_id": set, "bk_module_name": "module", "bk_parent_id": set});
            let module = run.call("create_module", &module)?["bk_module_id"].as_i64();
            let module = module.context("a module has an id")?;
            run.tx.execute(INSERT_HOST_MODULE, &[business.into(), set.into(), module.into(), HOST.into()])?;
            Ok(Home { business, module })
        })
    }

    /// Instances with so many processes each; their ids. `count` is at most [`A_CALL`] a call, the calls share a transaction.
    pub fn instances(&self, home: Home, count: usize, processes: usize) -> anyhow::Result<Vec<i64>> {
        let mut ids = Vec::with_capacity(count);
        while ids.len() < count {
            let some = (count - ids.len()).min(A_CALL);
            ids.extend(self.write(move |run| run.instances(home, some, processes))?);
        }
        Ok(ids)
    }

    /// Instances without processes, which no call makes; their ids.
    pub fn empty_instances(&self, home: Home, count: usize) -> anyhow::Result<Vec<i64>> {
        self.write(move |run| {
            let first = sequence::take(run.tx, Sequence::ServiceInstance, count)?;
            let time = run.context.time_text();
            let mut rows = Vec::with_capacity(count);
            for id in (first..).take(count) {
                let instance = NewServiceInstance {
                    id: ServiceInstanceId(id),
                    business_id: BusinessId(home.business),
                    module_id: ModuleId(home.module),
                    host_id: HostId(HOST),
                    name: "bench",
                    user: "bench",
                    time: &time,
                };
                let document = instance.document();
                rows.push((instance, document));
            }
            rollcall_store::service_instance::insert(run.tx, &rows)?;
            Ok((first..).take(count).collect())
        })
    }

    /// Ends the writer and folds the log into the store.
    pub fn close(self) {
        self.store.engine().close();
    }
}

/// A transaction in which operations are called.
pub struct Run<'a> {
    operations: &'a [Operation],
    context: &'a Context,
    pub tx: &'a mut dyn Tx,
}

impl Run<'_> {
    fn call(&mut self, name: &str, body: &Value) -> anyhow::Result<Value> {
        let operation = self.operations.iter().find(|operation| operation.name == name);
        let operation = operation.with_context(|| format!("there is no operation {name}"))?;
        let Json::Object(fields) = parse(body.to_string().as_bytes(), Default::default())? else {
            anyhow::bail!("not an object: {body}");
        };
        let input = Input { fields, from_query: false };
        let mut prepared =
            (operation.prepare)(input).map_err(|failure| anyhow::anyhow!("{name} was refused: {failure:?}"))?;
        let answer =
            prepared.run(self.context, self.tx).map_err(|error: OpError| anyhow::anyhow!("{name}: {error:?}"))?;
        Ok(serde_json::from_str(&answer.0)?)
    }

    /// One call of create_service_instance.
    pub fn instances(&mut self, home: Home, count: usize, processes: usize) -> anyhow::Result<Vec<i64>> {
        let processes: Vec<_> = (0..processes).map(|i| entry(&format!("process-{i}"), i)).collect();
        let instances: Vec<_> = (0..count).map(|_| json!({"bk_host_id": HOST, "processes": processes})).collect();
        let body = json!({"bk_biz_id": home.business, "bk_module_id": home.module, "instances": instances});
        let ids = self.call("create_service_instance", &body)?;
        Ok(serde_json::from_value(ids)?)
    }
}

/// A process of a request, as filled in as the one of the documents.
pub fn entry(name: &str, number: usize) -> Value {
    let port = (8000 + number % 1000).to_string();
    json!({"process_info": {
        "bk_process_name": name, "bk_func_name": name, "bk_start_param_regex": "", "work_path": "/data/bkee",
        "start_cmd": "./bin/start.sh", "stop_cmd": "./bin/stop.sh", "user": "blueking", "auto_start": false,
        "proc_num": 1, "priority": 1, "timeout": 30, "description": "measured",
        "bind_info": [{"ip": "127.0.0.1", "port": port, "protocol": "1", "enable": true}],
    }})
}
