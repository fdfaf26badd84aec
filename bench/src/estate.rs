//! Stores to measure on, made by the operations themselves, many in a transaction: rows are what a server would have stored,
//! byte for byte.

use crate::recording::{Asked, Recording};
use crate::server::{now, zone};
use anyhow::Context as _;
use rollcall_app::access::Access;
use rollcall_app::calls::{Calls, object};
use rollcall_app::estate::{Estate as Generated, Size};
use rollcall_app::{Caller, Context, Limits, OpError, Operation};
use rollcall_domain::id::{BusinessId, HostId, ModuleId, ServiceInstanceId};
use rollcall_domain::json::{Json, Limits as JsonLimits, Object, parse};
use rollcall_domain::service_instance::{MAX_PROCESSES_PER_CALL, NewServiceInstance};
use rollcall_store::postgres::Postgres;
use rollcall_store::postgres::address::{Address, Beside};
use rollcall_store::sequence::{self, Sequence};
use rollcall_store::sqlite::Sqlite;
use rollcall_store::{Engine, Observer, Store, TimeLimits, postgres, sqlite};
use std::path::Path;
use std::sync::Arc;

/// The most instances a call makes.
pub const A_CALL: usize = 100;

/// As long as those of a server.
const REQUEST: &str = "cc0000benchbenchbenchbench";

/// A place for instances: a host in a module of a business.
#[derive(Debug, Clone, Copy)]
pub struct Home {
    pub business: i64,
    pub module: i64,
    pub host: i64,
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
    /// A store with the built-in data and whatever is there already.
    pub fn new(place: &Path) -> anyhow::Result<Self> {
        let zone = zone()?;
        let store = Store::new(engine(place, None)?, TimeLimits::default());
        let caller =
            Caller { user: "bench".into(), verified: true, app_code: String::new(), request_id: REQUEST.into() };
        let context = Context {
            caller,
            now: now(),
            zone: Arc::new(zone.clone()),
            access: Access::unlimited("bench"),
            limits: Limits::default(),
            english: true,
            preview: None,
        };
        let now = context.now;
        store.write_blocking(move |tx| rollcall_app::built_in::install(tx, &zone, now))?;
        let operations = Arc::new(rollcall_app::table::operations());
        Ok(Self { store, operations, context: Arc::new(context) })
    }

    /// Runs something in one transaction.
    pub fn write<T: Send + 'static>(
        &self,
        mut work: impl FnMut(&mut Calls<'_>) -> Result<T, OpError> + Send + 'static,
    ) -> anyhow::Result<T> {
        let (operations, context) = (self.operations.clone(), self.context.clone());
        let done = self.store.write_blocking(move |tx| work(&mut Calls::new(&operations, &context, tx)));
        done.map_err(|error| anyhow::anyhow!("{error:?}"))
    }

    /// What a call does, with this body and all its path variables in it. It is done.
    pub fn record(&self, name: &'static str, body: &str) -> anyhow::Result<Vec<Asked>> {
        let body = parse(body.as_bytes(), JsonLimits::default()).map_err(|error| anyhow::anyhow!("{name}: {error}"))?;
        let fields = body.as_object().context("the body of a call is an object")?.clone();
        let (operations, context) = (self.operations.clone(), self.context.clone());
        let done = self.store.write_blocking(move |tx| {
            let mut recording = Recording::of(tx);
            Calls::new(&operations, &context, &mut recording).call(name, fields.clone())?;
            Ok::<_, OpError>(recording.asked)
        });
        done.map_err(|error| anyhow::anyhow!("{name}: {error:?}"))
    }

    /// Businesses, hosts and instances as `rollcall generate` makes them.
    pub fn generate(&self, size: Size) -> anyhow::Result<()> {
        let mut generated = Generated::new(size, 1);
        while !generated.is_complete() {
            generated = self.write(move |calls| generated.grown(calls))?;
        }
        Ok(())
    }

    /// A business with a module and a host in it.
    pub fn home(&self, name: &str) -> anyhow::Result<Home> {
        let name = name.to_owned();
        self.write(move |calls| {
            let business = calls.business(&name)?;
            let set = calls.set(business, "set", &[])?;
            let module = calls.module(business, set, "module")?;
            let address = format!("10.0.{}.{}", business / 250, business % 250 + 1);
            let hosts = calls.hosts(business, vec![object([("bk_host_innerip", address.into())])], &[module])?;
            let host = hosts.first().copied().unwrap_or_default();
            Ok(Home { business, module, host })
        })
    }

    /// Instances with so many processes each; their ids. `count` is at most [`A_CALL`] a call, the calls share a transaction.
    pub fn instances(&self, home: Home, count: usize, processes: usize) -> anyhow::Result<Vec<i64>> {
        let mut ids = Vec::with_capacity(count);
        while ids.len() < count {
            let some = (count - ids.len()).min(A_CALL).min(MAX_PROCESSES_PER_CALL / processes);
            ids.extend(self.write(move |calls| instances(calls, home, some, processes))?);
        }
        Ok(ids)
    }

    /// Instances without processes, which no call makes; their ids.
    pub fn empty_instances(&self, home: Home, count: usize) -> anyhow::Result<Vec<i64>> {
        self.write(move |calls| {
            let first = sequence::take(calls.tx(), Sequence::ServiceInstance, count)?;
            let time = calls.context().time_text();
            let mut rows = Vec::with_capacity(count);
            for id in (first..).take(count) {
                let instance = NewServiceInstance {
                    id: ServiceInstanceId(id),
                    business_id: BusinessId(home.business),
                    module_id: ModuleId(home.module),
                    host_id: HostId(home.host),
                    service_template_id: 0,
                    name: "bench",
                    user: "bench",
                    time: &time,
                };
                let document = instance.document();
                rows.push((instance, document));
            }
            rollcall_store::service_instance::insert(calls.tx(), &rows)?;
            Ok((first..).take(count).collect())
        })
    }

    /// Ends the writer and folds the log into the store.
    pub fn close(self) {
        self.store.engine().close();
    }
}

/// One call of create_service_instance.
pub fn instances(calls: &mut Calls<'_>, home: Home, count: usize, processes: usize) -> Result<Vec<i64>, OpError> {
    let processes: Vec<_> = (0..processes).map(|i| fields(&process_name(i), i)).collect();
    calls.instances(home.business, home.module, vec![(home.host, processes); count])
}

fn process_name(number: usize) -> String {
    format!("process-{number}")
}

/// A process as filled in as the one of the documents.
fn fields(name: &str, number: usize) -> Object {
    let bind = object([
        ("ip", "127.0.0.1".into()),
        ("port", (8000 + number % 1000).to_string().into()),
        ("protocol", "1".into()),
        ("enable", true.into()),
    ]);
    object([
        ("bk_process_name", name.into()),
        ("bk_func_name", name.into()),
        ("bk_start_param_regex", "".into()),
        ("work_path", "/data/bkee".into()),
        ("start_cmd", "./bin/start.sh".into()),
        ("stop_cmd", "./bin/stop.sh".into()),
        ("user", "blueking".into()),
        ("auto_start", false.into()),
        ("proc_num", 1.into()),
        ("priority", 1.into()),
        ("timeout", 30.into()),
        ("description", "measured".into()),
        ("bind_info", Json::List(vec![Json::Object(bind)])),
    ])
}

/// A process of a request.
pub fn entry(name: &str, number: usize) -> String {
    format!("{{\"process_info\":{}}}", Json::Object(fields(name, number)))
}

/// A process of an update: the one of this number in its instance, with another description.
pub fn changed(id: i64, number: usize, description: &str) -> Json {
    let mut fields = fields(&process_name(number), number);
    fields.insert("bk_process_id", id.into());
    fields.insert("description", description.into());
    Json::Object(fields)
}
