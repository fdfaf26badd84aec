//! The engine for stores that one machine cannot hold: PostgreSQL, shared by several servers. Nothing that matters lives only in
//! memory here. Threads with a connection each run the units of work; what may be run again is, see `worker.rs`.

pub mod address;
mod connect;
mod connection;
mod error;
mod ids;
pub(crate) mod sequencer;
mod value;
mod worker;

use crate::engine::{Engine, Observer, ReadRun, Stop, Tx, Work};
use crate::{StoreError, dialect, migrate};
use address::Address;
use connect::{Connect, Pause};
use connection::{Begin, Connection, NotCommitted};
use ids::Ids;
use sequencer::Sequencer;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use worker::{Shared, Task, Workers, run_read};

pub use connection::SESSION;
pub(crate) use connection::{EVENTS_A_DRAW, STATEMENTS as CONNECTION_STATEMENTS};
pub(crate) use sequencer::STATEMENTS as SEQUENCER_STATEMENTS;

/// The oldest PostgreSQL this works with, as the database numbers itself.
const OLDEST: i64 = 140_000;

crate::statements! {
    SERVER_VERSION = "{only postgres} SELECT current_setting('server_version_num')::bigint";
    ENCODING = "{only postgres} SELECT current_setting('server_encoding')";
    HAS_SETTINGS = "{only postgres} SELECT count(*) FROM pg_catalog.pg_class WHERE oid = to_regclass('setting')";
    MAKE_SETTINGS = "{only postgres} CREATE TABLE IF NOT EXISTS setting (name TEXT COLLATE \"C\" NOT NULL PRIMARY KEY,
        value TEXT COLLATE \"C\" NOT NULL)";
    START_VERSION = "{only postgres} INSERT INTO setting (name, value) VALUES ('schema_version', '0')
        ON CONFLICT (name) DO NOTHING";
    /// Whoever holds this row migrates; the others wait for it.
    HOLD_VERSION = "{only postgres} SELECT value FROM setting WHERE name = 'schema_version' FOR UPDATE";
    COUNT_PARTITIONS = "{only postgres} SELECT count(*) FROM pg_catalog.pg_inherits
        WHERE inhparent = to_regclass('service_instance')";
}

/// How a store is opened.
#[derive(Clone)]
pub struct Options {
    pub address: Address,
    pub pools: Pools,
    /// Into how many partitions the tables that grow with a business are split, when the store is made. One that exists must have as
    /// many. `None`: none for a new store, and whatever a store has.
    pub partitions: Option<u32>,
    /// Told what the writers do.
    pub observer: Option<Arc<dyn Observer>>,
}

/// How much is done at a time.
#[derive(Debug, Clone)]
pub struct Pools {
    /// Threads that read, each with a connection.
    pub readers: usize,
    /// Threads that write, each with a connection.
    pub writers: usize,
    /// The most reads, and the most writes, that may wait.
    pub queue: usize,
    /// For how long a unit of work waits for a database that is not there.
    pub patience: Duration,
    /// For how long one run of a write may take.
    pub write_limit: Duration,
}

impl Default for Pools {
    fn default() -> Self {
        let (patience, write_limit) = (Duration::from_secs(5), Duration::from_secs(20));
        Self { readers: 8, writers: 8, queue: 4096, patience, write_limit }
    }
}

impl Options {
    /// The usual settings for a database.
    pub fn new(address: Address) -> Self {
        Self { address, pools: Pools::default(), partitions: None, observer: None }
    }
}

/// A store in a database.
pub struct Postgres {
    shared: Shared,
    readers: Workers,
    writers: Workers,
    sequencer: Arc<Sequencer>,
    /// Guards idle connections of reads on their callers' threads.
    idle: Mutex<Vec<Connection>>,
    size: Arc<AtomicU64>,
}

impl Postgres {
    /// Opens a store, makes it in a database that has none, and brings its schema up to date: one server does, the others wait.
    pub fn open(options: Options) -> Result<Self, StoreError> {
        Self::migrate(&options)?;
        let connect = Connect::new(options.address, options.pools.patience);
        let server = server_name();
        let ids = Arc::new(Ids::new(connect.clone(), server.clone()));
        let size = Arc::new(AtomicU64::new(0));
        let sequencer = Arc::new(Sequencer::start(connect.clone(), server, size.clone())?);
        let told = Arc::downgrade(&sequencer);
        let committed = Arc::new(move || {
            if let Some(waker) = told.upgrade().and_then(|sequencer| sequencer.waker()) {
                // One that is awake already needs no second call.
                let _ = waker.try_send(());
            }
        });
        let write_limit = options.pools.write_limit;
        let shared = Shared { connect, ids, observer: options.observer, committed, write_limit };
        let readers = Workers::start("reader", options.pools.readers, options.pools.queue, &shared)?;
        let writers = Workers::start("writer", options.pools.writers, options.pools.queue, &shared)?;
        let idle = Mutex::new(Vec::new());
        Ok(Self { shared, readers, writers, sequencer, idle, size })
    }

    /// Makes a store in a database that has none, or brings its schema up to date.
    pub fn migrate(options: &Options) -> Result<migrate::Migrated, StoreError> {
        let connect = Connect::new(options.address.clone(), options.pools.patience);
        let mut slot = None;
        check_database(connect.again(&mut slot, Instant::now() + options.pools.patience, None)?)?;
        bring_up_to_date(&connect, &mut slot, options.partitions)
    }

    /// The schema version of a database, without changing it; 0: there is no store.
    pub fn schema_version(address: &Address, patience: Duration) -> Result<i64, StoreError> {
        let connect = Connect::new(address.clone(), patience);
        let mut slot = None;
        let connection = connect.again(&mut slot, Instant::now() + patience, None)?;
        check_database(connection)?;
        let tx: &mut dyn Tx = connection;
        if tx.number(HAS_SETTINGS, &[])? == 0 { Ok(0) } else { migrate::version(tx) }
    }

    fn read_on(&self, snapshot: bool, limit: Duration, work: &mut ReadRun<'_>) -> Result<(), Stop> {
        let mut slot = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let verdict = run_read(&self.shared, &mut slot, snapshot, limit, work);
        if let Some(connection) = slot.filter(|connection| connection.lost().is_none()) {
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        }
        verdict
    }
}

/// A name that no server ever had.
fn server_name() -> String {
    format!("{:032x}", rand::random::<u128>())
}

/// Refuses what cannot keep a store.
fn check_database(connection: &mut Connection) -> Result<(), StoreError> {
    let tx: &mut dyn Tx = connection;
    let version = tx.number(SERVER_VERSION, &[])?;
    if version < OLDEST {
        let (is, wanted) = (version / 10_000, OLDEST / 10_000);
        return Err(StoreError::Unavailable(format!("the database is PostgreSQL {is}, {wanted} or newer is needed")));
    }
    let encoding = tx.find(ENCODING, &[], |row| row.text(0).map(str::to_owned))?.unwrap_or_default();
    if encoding != "UTF8" {
        let text = format!("the database's encoding is {encoding}, it must be UTF8: make it with ENCODING 'UTF8'");
        return Err(StoreError::Unavailable(text));
    }
    Ok(())
}

/// Runs the steps that are missing, all of them or none. The row of the version is held meanwhile.
fn bring_up_to_date(
    connect: &Connect,
    slot: &mut Option<Connection>,
    partitions: Option<u32>,
) -> Result<migrate::Migrated, StoreError> {
    /// Large stores take their time.
    const LIMIT: Duration = Duration::from_secs(24 * 3600);
    const ATTEMPTS: usize = 20;
    let (mut pause, mut attempts) = (Pause::new(), 0);
    loop {
        attempts += 1;
        let connection = connect.again(slot, Instant::now() + connect.patience(), None)?;
        connection.limit_time(LIMIT);
        let done = migrate_once(connection, partitions);
        let error = match done {
            Ok(migrated) => return Ok(migrated),
            Err(error) => error,
        };
        let lost = connection.lost().is_some();
        // Two servers that make the first table at the same time meet in the database's own catalog.
        let met = connection.met_unique() || matches!(error, StoreError::Conflict(_) | StoreError::Busy);
        connection.roll_back();
        if !(lost || met) || attempts == ATTEMPTS {
            return Err(match error {
                // It is the database that is not as it has to be.
                StoreError::Defect(text) => StoreError::Unavailable(format!("its tables cannot be made: {text}")),
                error => error,
            });
        }
        pause.wait();
    }
}

fn migrate_once(connection: &mut Connection, wanted: Option<u32>) -> Result<migrate::Migrated, StoreError> {
    connection.begin(Begin::Write);
    connection.run_simple("SET LOCAL lock_timeout = 0")?;
    if (connection as &mut dyn Tx).number(HAS_SETTINGS, &[])? == 0 {
        // Who makes it at the same time waits here, and finds it there when it is done.
        connection.execute(MAKE_SETTINGS, &[])?;
        connection.execute(START_VERSION, &[])?;
    }
    let foreign = |why: String| StoreError::Unreadable(format!("the table \"setting\" is not that of a store: {why}"));
    let held = (connection as &mut dyn Tx).find(HOLD_VERSION, &[], |row| row.text(0).map(str::to_owned));
    let held = held.map_err(|error| match error {
        StoreError::Defect(why) => foreign(why),
        error => error,
    })?;
    // Without this row the version could not be held.
    held.ok_or_else(|| foreign("it has no schema version".into()))?;
    let from = migrate::version(connection)?;
    migrate::refuse_newer(from)?;
    let partitions = if from == 0 { wanted } else { find_partitions(connection)? };
    refuse_other_partitions(wanted, partitions)?;
    for (number, statements) in migrate::steps_after(from) {
        for statement in statements {
            for sql in dialect::schema_for_postgres(statement, partitions) {
                connection.run_simple(&sql)?;
            }
        }
        migrate::set_version(connection, number)?;
    }
    commit(connection)?;
    Ok(migrate::Migrated { from, to: migrate::newest(), partitions })
}

/// Into how many partitions the tables of a store are split.
fn find_partitions(tx: &mut dyn Tx) -> Result<Option<u32>, StoreError> {
    let count = tx.number(COUNT_PARTITIONS, &[])?;
    Ok(u32::try_from(count).ok().filter(|count| *count > 0))
}

/// Tables are split when they are made, or never.
fn refuse_other_partitions(wanted: Option<u32>, present: Option<u32>) -> Result<(), StoreError> {
    let Some(wanted) = wanted.filter(|_| wanted != present) else {
        return Ok(());
    };
    let present = present.map_or("are not split".to_owned(), |count| format!("are split into {count} partitions"));
    let text = format!("its tables {present}; only a store that is made anew can have {wanted}");
    Err(StoreError::Unavailable(text))
}

fn commit(connection: &mut Connection) -> Result<(), StoreError> {
    connection.commit().map_err(|error| match error {
        NotCommitted::Failed(error) => error,
        NotCommitted::Lost => StoreError::Conflict("the connection was lost".into()),
        NotCommitted::Unknown { why, .. } => StoreError::Conflict(why),
    })
}

impl Engine for Postgres {
    fn read(&self, snapshot: bool, deadline: Duration, work: &mut ReadRun<'_>) -> Result<(), Stop> {
        if tokio::runtime::Handle::try_current().is_err() {
            return self.read_on(snapshot, deadline, work);
        }
        // A thread that drives other tasks cannot drive a connection.
        std::thread::scope(|scope| {
            let ended = scope.spawn(|| self.read_on(snapshot, deadline, work)).join();
            ended.unwrap_or_else(|_| Err(Stop::Failed(StoreError::Defect("panic in a read".into()))))
        })
    }

    fn reads_here(&self) -> bool {
        false
    }

    fn read_apart(&self, snapshot: bool, deadline: Duration, work: Work) {
        self.readers.submit(Task::Read { snapshot, limit: deadline, work });
    }

    fn write(&self, work: Work) {
        self.writers.submit(Task::Write(work));
    }

    /// As of a while ago: the sequencer asks the database now and then.
    fn size_bytes(&self) -> u64 {
        self.size.load(Ordering::Relaxed)
    }

    fn close(&self) {
        self.readers.close();
        self.writers.close();
        self.sequencer.close();
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.close();
    }
}
