//! A server on a store of its own, and callers of each door. `TestApp::new()` has the built-in data, the business 3 is the
//! first one a test makes. The environment chooses the engine, see [`rollcall_testbed::engine`].

#![allow(dead_code, clippy::allow_attributes, reason = "each test file uses a part of it")]

pub mod changes;
pub mod runners;
pub mod templated;

use rollcall_app::access::{Action, Scope};
use rollcall_app::directory;
use rollcall_app::secret::Secret;
use rollcall_domain::id::BusinessId;
use rollcall_domain::moment::{Moment, Zone};
use rollcall_http::{Metrics, Server, Settings};
use rollcall_store::postgres::Postgres;
use rollcall_store::postgres::address::{Address, Beside};
use rollcall_store::sqlite::Sqlite;
use rollcall_store::{Engine, Observer, Store, StoreError, TimeLimits, postgres, sqlite};
use rollcall_testbed::Database;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::sync::oneshot;

pub const APP: &str = "esb_test";
pub const SECRET: &str = "an-app-secret-of-enough-length";
/// The user of requests that name none.
pub const USER: &str = "ops";

/// Puts an engine around the engine.
type Wrap = Box<dyn FnOnce(Arc<dyn Engine>) -> Arc<dyn Engine>>;

/// How to make a [`TestApp`].
pub struct Builder {
    settings: Settings,
    administrators: Vec<String>,
    login_free: bool,
    wrap: Wrap,
    limits: TimeLimits,
}

impl Builder {
    /// With other settings.
    pub fn settings(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(&mut self.settings);
        self
    }

    /// With an administrator.
    pub fn administrator(mut self, user: &str) -> Self {
        self.administrators.push(user.into());
        self
    }

    /// The app may not name its users.
    pub fn login_required(mut self) -> Self {
        self.login_free = false;
        self
    }

    /// With an engine around the engine.
    pub fn engine(mut self, wrap: impl FnOnce(Arc<dyn Engine>) -> Arc<dyn Engine> + 'static) -> Self {
        self.wrap = Box::new(wrap);
        self
    }

    /// With other time limits of the store.
    pub fn time_limits(mut self, limits: TimeLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Starts it.
    pub fn start(self) -> TestApp {
        let metrics = Arc::new(Metrics::new());
        let home = Home::new();
        let store = Store::new((self.wrap)(home.engine(metrics.writer())), self.limits);
        let zone = Zone::named(Zone::DEFAULT_NAME).unwrap();
        let token_text = "a-user-token-of-enough-length";
        let token = Secret::given(token_text).unwrap();
        let secret = Secret::given(SECRET).unwrap();
        let (administrators, login_free) = (self.administrators, self.login_free);
        store
            .write_blocking(move |tx| {
                let now = Moment(1_795_226_400_000);
                rollcall_app::built_in::install(tx, &zone, now).unwrap();
                directory::create_app(tx, APP, login_free, &secret, now).unwrap();
                directory::create_token(tx, USER, &token, now, None).unwrap();
                for user in &administrators {
                    directory::create_administrator(tx, user, now).unwrap();
                }
                Ok::<_, rollcall_store::StoreError>(())
            })
            .unwrap();
        let (address, stop, thread) = serve(self.settings, store.clone(), metrics);
        let agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        TestApp { address, token: token_text.into(), store, agent, stop: Some(stop), thread: Some(thread), home }
    }
}

/// A server on a store: where it listens, and what ends it.
fn serve(
    settings: Settings,
    store: Store,
    metrics: Arc<Metrics>,
) -> (SocketAddr, oneshot::Sender<()>, std::thread::JoinHandle<()>) {
    let (address_told, address) = std::sync::mpsc::channel();
    let (stop, stopped) = oneshot::channel::<()>();
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async move {
            let (clock, zone) = (Arc::new(now), Zone::named(Zone::DEFAULT_NAME).unwrap());
            let server = Server::bind(settings, store, zone, metrics, clock).await.unwrap();
            address_told.send(server.local_addr()).unwrap();
            server
                .run(async {
                    let _ = stopped.await;
                })
                .await;
        });
    });
    (address.recv().unwrap(), stop, thread)
}

/// Where a test's store is. It is removed when this is dropped.
pub enum Home {
    Folder(tempfile::TempDir),
    Database(Database),
}

impl Home {
    /// One without a store, on the engine that the environment names. On PostgreSQL it has the tables already.
    pub fn new() -> Self {
        match rollcall_testbed::engine() {
            rollcall_testbed::Engine::Sqlite => Self::Folder(tempfile::tempdir().unwrap()),
            rollcall_testbed::Engine::Postgres => Self::Database(Database::from_template("tables", |url| {
                Postgres::open(postgres_options(url)).unwrap().close();
            })),
        }
    }

    /// The store in it, opened once more.
    pub fn engine(&self, observer: Arc<dyn Observer>) -> Arc<dyn Engine> {
        let observer = Some(observer);
        match self {
            Self::Folder(folder) => {
                let options = sqlite::Options::new(folder.path().join("rollcall.sqlite"));
                Arc::new(Sqlite::open(sqlite::Options { observer, ..options }).unwrap())
            }
            Self::Database(database) => {
                let options = postgres_options(&database.url());
                Arc::new(Postgres::open(postgres::Options { observer, ..options }).unwrap())
            }
        }
    }
}

fn postgres_options(url: &str) -> postgres::Options {
    let mut options = postgres::Options::new(Address::parse(url, &Beside::default()).unwrap());
    // Tests run side by side.
    (options.pools.readers, options.pools.writers) = (2, 4);
    options
}

/// What to say to the engine in use.
pub fn on_engine<T>(sqlite: T, postgres: T) -> T {
    match rollcall_testbed::engine() {
        rollcall_testbed::Engine::Sqlite => sqlite,
        rollcall_testbed::Engine::Postgres => postgres,
    }
}

#[expect(clippy::disallowed_methods, reason = "the tests' clock")]
pub fn now() -> Moment {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    Moment(since.as_millis().try_into().unwrap())
}

/// Returns when the clock shows another millisecond than before.
pub fn next_millisecond() {
    let before = now();
    while now() == before {
        std::hint::spin_loop();
    }
}

/// A running server.
pub struct TestApp {
    pub address: SocketAddr,
    /// A valid `bk_token` of [`USER`].
    pub token: String,
    pub store: Store,
    agent: ureq::Agent,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
    home: Home,
}

impl Drop for TestApp {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(ended.is_ok() || std::thread::panicking(), "the server panicked");
        }
    }
}

/// The property of a process template of this name.
pub fn named(name: &str) -> Value {
    json!({"bk_process_name": {"value": name}, "bk_func_name": {"value": name}})
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: ureq::http::HeaderMap,
    pub text: String,
}

impl Answer {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|e| panic!("{e}: {}", self.text))
    }

    /// The error code, 0 for success.
    pub fn code(&self) -> i64 {
        self.json()["code"].as_i64().unwrap_or_else(|| panic!("no code in {}", self.text))
    }

    pub fn message(&self) -> String {
        self.json()["message"].as_str().unwrap().to_owned()
    }

    /// The payload of a success.
    pub fn data(&self) -> Value {
        assert_eq!((self.status, self.code()), (200, 0), "{}", self.text);
        self.json()["data"].clone()
    }

    /// Fails unless the answer has this code and no payload.
    pub fn fails_with(&self, code: i64) -> &Self {
        assert_eq!(self.code(), code, "{}", self.text);
        assert_eq!(self.json()["result"], json!(false));
        self
    }

    /// Fails unless the message names this.
    pub fn naming(&self, text: &str) -> &Self {
        assert!(self.message().contains(text), "{text:?} is not in {}", self.message());
        self
    }
}

/// The body of a request: JSON or any text.
pub enum Body {
    Json(Value),
    Text(Vec<u8>),
}

impl From<Value> for Body {
    fn from(value: Value) -> Self {
        Self::Json(value)
    }
}

impl From<&str> for Body {
    fn from(text: &str) -> Self {
        Self::Text(text.as_bytes().to_vec())
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Text(bytes)
    }
}

impl Body {
    fn bytes(self) -> Vec<u8> {
        match self {
            Self::Json(value) => value.to_string().into_bytes(),
            Self::Text(bytes) => bytes,
        }
    }
}

impl TestApp {
    /// A server in development mode: native callers are administrators; so is [`USER`] at the other doors.
    pub fn new() -> Self {
        Self::with().settings(|settings| settings.dev = true).administrator(USER).start()
    }

    /// A server whose native door trusts loopback peers but asks for rights.
    pub fn with() -> Builder {
        let mut settings = Settings::new("127.0.0.1:0".parse().unwrap());
        settings.trusted_proxies = vec!["127.0.0.1".parse().unwrap()];
        Builder {
            settings,
            administrators: Vec::new(),
            login_free: true,
            wrap: Box::new(|engine| engine),
            limits: TimeLimits::default(),
        }
    }

    /// Any request.
    pub fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Answer {
        let mut request = ureq::http::Request::builder().method(method).uri(format!("http://{}{path}", self.address));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(body.into().bytes()).unwrap();
        let request = self.agent.configure_request(request).allow_non_standard_methods(true).build();
        let mut response = self.agent.run(request).unwrap();
        Answer {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            text: response.body_mut().with_config().limit(1 << 30).read_to_string().unwrap(),
        }
    }

    /// The native door as [`USER`], in English.
    pub fn native(&self, method: &str, path: &str, body: impl Into<Body>) -> Answer {
        self.native_as(USER, method, path, body)
    }

    /// The native door as somebody.
    pub fn native_as(&self, user: &str, method: &str, path: &str, body: impl Into<Body>) -> Answer {
        let headers = [("BK_User", user), ("HTTP_BLUEKING_SUPPLIER_ID", "0"), ("HTTP_BLUEKING_LANGUAGE", "en")];
        self.send(method, &format!("/api/v3{path}"), &headers, body)
    }

    /// POST at the native door as [`USER`].
    pub fn post(&self, path: &str, body: impl Into<Body>) -> Answer {
        self.native("POST", path, body)
    }

    /// The gateway door with credentials in the header.
    pub fn gateway(&self, method: &str, path: &str, body: impl Into<Body>) -> Answer {
        let header = authorization(USER);
        let headers = [("X-Bkapi-Authorization", header.as_str()), ("X-Bkcmdb-Language", "en")];
        self.send(method, &format!("/api/bk-cmdb/prod/api/v3{path}"), &headers, body)
    }

    /// The ESB door with credentials in the body.
    pub fn esb(&self, operation: &str, body: Value) -> Answer {
        self.esb_as(USER, operation, body)
    }

    /// The ESB door with credentials of somebody in the body.
    pub fn esb_as(&self, user: &str, operation: &str, mut body: Value) -> Answer {
        let fields = body.as_object_mut().unwrap();
        fields.insert("bk_app_code".into(), APP.into());
        fields.insert("bk_app_secret".into(), SECRET.into());
        fields.insert("bk_username".into(), user.into());
        self.send("POST", &format!("/api/c/compapi/v2/cc/{operation}/"), &[], body)
    }

    /// An operation by its name: at the ESB door, or at the native one if it is not published there.
    pub fn call(&self, operation: &str, body: Value) -> Answer {
        self.call_as(USER, operation, body)
    }

    /// The same as somebody. Path variables are taken from the body.
    pub fn call_as(&self, user: &str, operation: &str, body: Value) -> Answer {
        let all = rollcall_app::table::operations();
        let found = all.iter().find(|known| known.name == operation);
        let found = found.unwrap_or_else(|| panic!("there is no operation {operation}"));
        if found.esb.is_some() {
            return self.esb_as(user, operation, body);
        }
        let route = &found.routes[0];
        let segments = route.path.split('/').map(|segment| match segment.strip_prefix('{') {
            Some(name) => body[name.trim_end_matches('}')].to_string(),
            None => segment.to_owned(),
        });
        let path = segments.collect::<Vec<_>>().join("/");
        self.native_as(user, route.method.as_str(), &path, body)
    }

    /// A business with a set, a module and hosts in it.
    pub fn estate(&self) -> Estate {
        self.estate_named("estate", "10.0.0")
    }

    /// The same under another name and with other addresses.
    pub fn estate_named(&self, name: &str, network: &str) -> Estate {
        let business = self.post("/biz/0", json!({"bk_biz_name": name, "bk_biz_maintainer": "ops"})).data();
        let business = business["bk_biz_id"].as_i64().unwrap();
        let set = json!({"bk_set_name": "set", "bk_parent_id": business});
        let set = self.post(&format!("/set/{business}"), set).data()["bk_set_id"].as_i64().unwrap();
        let module = json!({"bk_module_name": "module", "bk_parent_id": set});
        let module = self.post(&format!("/module/{business}/{set}"), module).data();
        let module = module["bk_module_id"].as_i64().unwrap();
        let list: Vec<_> = (1..=3).map(|i| json!({"bk_host_innerip": format!("{network}.{i}")})).collect();
        let hosts = json!({"bk_biz_id": business, "bk_host_list": list});
        let hosts = self.post("/hosts/add/business_idle", hosts).data()["bk_host_ids"].clone();
        let hosts: Vec<i64> = serde_json::from_value(hosts).unwrap();
        let body = json!({"bk_biz_id": business, "bk_host_id": hosts, "bk_module_id": [module], "is_increment": false});
        self.post("/hosts/modules", body).data();
        Estate { business, set, module, hosts }
    }

    /// A service instance with one process on the first host of an estate.
    pub fn instance(&self, estate: &Estate, process: Value) -> i64 {
        let instances = json!([{"bk_host_id": estate.hosts[0], "processes": [{"process_info": process}]}]);
        let body = json!({"bk_biz_id": estate.business, "bk_module_id": estate.module, "instances": instances});
        self.post("/create/proc/service_instance", body).data()[0].as_i64().unwrap()
    }

    /// A service template of the category 2.
    pub fn service_template(&self, estate: &Estate, name: &str) -> i64 {
        let body = json!({"bk_biz_id": estate.business, "name": name, "service_category_id": 2});
        self.post("/create/proc/service_template", body).data()["id"].as_i64().unwrap()
    }

    /// Process templates of a service template.
    pub fn process_templates(&self, estate: &Estate, template: i64, specs: Vec<Value>) -> Vec<i64> {
        let processes: Vec<_> = specs.into_iter().map(|spec| json!({"spec": spec})).collect();
        let body = json!({"bk_biz_id": estate.business, "service_template_id": template, "processes": processes});
        serde_json::from_value(self.post("/createmany/proc/proc_template", body).data()).unwrap()
    }

    /// A module of an estate's set that follows a service template.
    pub fn bound_module(&self, estate: &Estate, template: i64) -> Answer {
        let body = json!({"bk_parent_id": estate.set, "service_template_id": template});
        self.post(&format!("/module/{}/{}", estate.business, estate.set), body)
    }

    /// The number of an attribute of sets, as search_object_attribute tells it.
    pub fn set_attribute(&self, id: &str) -> i64 {
        let found = self.post("/find/objectattr", json!({"bk_obj_id": "set"})).data();
        let mut all = found.as_array().unwrap().iter();
        all.find(|row| row["bk_property_id"] == id).unwrap()["id"].as_i64().unwrap()
    }

    /// A set template that lists these service templates.
    pub fn set_template(&self, estate: &Estate, name: &str, services: &[i64]) -> i64 {
        let body = json!({"name": name, "service_template_ids": services});
        let path = format!("/create/topo/set_template/bk_biz_id/{}", estate.business);
        self.post(&path, body).data()["id"].as_i64().unwrap()
    }

    /// A set that follows a set template.
    pub fn set_of(&self, estate: &Estate, name: &str, template: i64) -> i64 {
        let set = json!({"bk_set_name": name, "bk_parent_id": estate.business, "set_template_id": template});
        self.post(&format!("/set/{}", estate.business), set).data()["bk_set_id"].as_i64().unwrap()
    }

    /// Waits until no job of a business is open, and answers all of them, the newest first.
    pub fn wait_for_jobs(&self, business: i64) -> Vec<Value> {
        let begun = std::time::Instant::now();
        loop {
            let jobs = self.post(&format!("/findmany/sync_job/bk_biz_id/{business}"), json!({})).data();
            let jobs = jobs["info"].as_array().unwrap().clone();
            let is_open = |job: &Value| ["new", "waiting", "executing"].contains(&job["status"].as_str().unwrap());
            if !jobs.iter().any(is_open) {
                return jobs;
            }
            assert!(begun.elapsed() < std::time::Duration::from_secs(60), "{jobs:?}");
        }
    }

    /// Lets a second server on the same store do the jobs of a business until none is open.
    pub fn run_jobs(&self, business: i64) -> Vec<Value> {
        let settings = Settings::new("127.0.0.1:0".parse().unwrap());
        let metrics = Arc::new(Metrics::new());
        let store = Store::new(self.home.engine(metrics.writer()), TimeLimits::default());
        let (_, stop, thread) = serve(settings, store, metrics);
        let jobs = self.wait_for_jobs(business);
        drop(stop);
        thread.join().unwrap();
        jobs
    }

    /// Fails unless the store keeps every rule.
    pub fn check(&self) {
        let found = self.store.read::<_, StoreError>(true, |tx| rollcall_store::check::run(tx, &mut |_| {})).unwrap();
        assert!(found.is_empty(), "{found:?}");
    }

    /// Lets a module follow a service template: it gets its name and category.
    pub fn bind(&self, module: i64, template: i64) {
        let template = self.native("GET", &format!("/find/proc/service_template/{template}"), "").data();
        let documents = self.documents("SELECT document FROM module").into_iter();
        let mut document = documents.into_iter().find(|document| document["bk_module_id"] == module).unwrap();
        document["bk_module_name"] = template["name"].clone();
        document["service_category_id"] = template["service_category_id"].clone();
        document["service_template_id"] = template["id"].clone();
        let bind = "UPDATE module SET service_template_id = $2, service_category_id = $3, name = $4, document = $5
            WHERE id = $1";
        let bound = self.store.write_blocking(move |tx| {
            let number = |field: &str| template[field].as_i64().unwrap().into();
            let (name, text) = (template["name"].as_str().unwrap(), document.to_string());
            let params = [module.into(), number("id"), number("service_category_id"), name.into(), (&text).into()];
            tx.execute(bind, &params)
        });
        assert_eq!(bound.unwrap(), 1);
    }

    /// Makes these all attributes of a service template.
    pub fn fix_attributes(&self, business: i64, template: i64, attributes: &Value) {
        let body = json!({"bk_biz_id": business, "id": template, "attributes": attributes});
        self.native("PUT", "/update/proc/service_template/all_info", body).data();
    }

    /// Gives a user a right, and makes sure the server knows.
    pub fn grant(&self, user: &str, action: Action, business: Option<i64>) {
        let scope = business.map_or(Scope::Everything, |id| Scope::One(BusinessId(id)));
        let user = user.to_owned();
        let granted = self.store.write_blocking(move |tx| directory::create_grant(tx, &user, action, scope, now()));
        granted.unwrap();
        // Looking at its health, the server reads the grants again.
        assert_eq!(self.send("GET", "/healthz", &[], "").status, 200);
    }

    /// The JSON texts that a query over the store's own tables answers.
    pub fn documents(&self, sql: &'static str) -> Vec<Value> {
        let read = |row: &dyn rollcall_store::Row| Ok(serde_json::from_str(row.text(0)?).unwrap());
        self.store.read::<_, StoreError>(false, |tx| tx.list(sql, &[], read)).unwrap()
    }

    /// The number in a query over the store's own tables.
    pub fn number(&self, sql: &'static str) -> i64 {
        self.store.read(false, |tx| tx.number(sql, &[])).unwrap()
    }
}

/// What [`TestApp::estate`] made.
#[derive(Debug, Clone)]
pub struct Estate {
    pub business: i64,
    pub set: i64,
    pub module: i64,
    pub hosts: Vec<i64>,
}

/// The header of the gateway door.
pub fn authorization(user: &str) -> String {
    json!({"bk_app_code": APP, "bk_app_secret": SECRET, "bk_username": user}).to_string()
}

/// A process with these names and nothing else.
pub fn process(name: &str) -> Value {
    json!({"bk_process_name": name, "bk_func_name": name})
}
