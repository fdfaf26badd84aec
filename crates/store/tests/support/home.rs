//! A store on the engine that the environment names, or in a database of a test's own choice.

use super::{Folder, chance::Chance};
use rollcall_store::postgres::address::{Address, Beside};
use rollcall_store::postgres::{Options, Pools, Postgres};
use rollcall_store::{Engine, Store, StoreError, TimeLimits};
use rollcall_testbed::Database;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Where a test's store is. It is removed when this is dropped.
pub enum Home {
    Folder(Folder),
    Database(Database),
}

impl Home {
    /// One without a store, on the engine that the environment names. On PostgreSQL it has the tables already.
    pub fn new() -> Self {
        match rollcall_testbed::engine() {
            rollcall_testbed::Engine::Sqlite => Self::Folder(Folder::new()),
            rollcall_testbed::Engine::Postgres => Self::Database(database()),
        }
    }

    /// The store in it; one more server on it where several may be.
    pub fn open(&self) -> Store {
        match self {
            Self::Folder(folder) => folder.open(),
            Self::Database(database) => open(&database.url()),
        }
    }
}

/// Whether the tests are to run on PostgreSQL; those that are about nothing else end at once if not.
pub fn on_postgres() -> bool {
    rollcall_testbed::engine() == rollcall_testbed::Engine::Postgres
}

/// A database with an empty store.
pub fn database() -> Database {
    Database::from_template("tables", |url| open(url).engine().close())
}

/// A server's way to a database.
pub fn options(url: &str) -> Options {
    let mut options = Options::new(Address::parse(url, &Beside::default()).expect("the URL is in order"));
    // Tests run side by side.
    (options.pools.readers, options.pools.writers) = (2, 8);
    options
}

/// One more server on a database.
pub fn open(url: &str) -> Store {
    open_with(url, |_| {})
}

/// The same, with other pools.
pub fn open_with(url: &str, change: impl FnOnce(&mut Pools)) -> Store {
    let mut options = options(url);
    change(&mut options.pools);
    let engine: Arc<dyn Engine> = Arc::new(Postgres::open(options).expect("the store opens"));
    Store::new(engine, TimeLimits::default())
}

/// One more server on a database that does one thing at a time.
pub fn open_narrow(url: &str) -> Store {
    open_with(url, |pools| (pools.readers, pools.writers) = (1, 1))
}

/// Runs statements as somebody else would.
pub fn run_sql(url: &str, sql: &str) -> Result<(), String> {
    let address = Address::parse(url, &Beside::default()).expect("the URL is in order");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime can be made");
    runtime.block_on(async {
        let (client, driver) = address.connect().await.map_err(|error| error.text)?;
        let driver = tokio::spawn(driver);
        let ended = client.batch_execute(sql).await.map_err(|error| address.explain(&error).text);
        drop(client);
        let _ = driver.await;
        ended
    })
}

/// The URL with another host and port.
pub fn through(url: &str, address: std::net::SocketAddr) -> String {
    let (before, rest) = url.split_once('@').expect("the URL names a user");
    let (_, database) = rest.split_once('/').expect("the URL names a database");
    format!("{before}@{address}/{database}")
}

/// Looks again and again whether something has come about.
pub fn wait_until(what: &str, mut has_come: impl FnMut() -> bool) {
    let started = Instant::now();
    while !has_come() {
        assert!(started.elapsed() < Duration::from_secs(60), "waited in vain until {what}");
        pause(Duration::from_millis(2));
    }
}

/// A moment before a condition is looked at again, or before the next trouble.
pub fn pause(time: Duration) {
    #[expect(clippy::disallowed_methods, reason = "nobody tells when another program's state has changed")]
    std::thread::sleep(time);
}

/// A time up to another one.
pub fn part_of(time: Duration, chance: &mut Chance) -> Duration {
    time.mul_f64(f64::from(u32::try_from(chance.below(1000)).expect("fits")) / 1000.0)
}

/// How often a test does something: as the environment says, which is for longer runs.
pub fn rounds(variable: &str, usual: usize) -> usize {
    std::env::var(variable).map_or(usual, |text| text.parse().unwrap_or_else(|_| panic!("{variable} must be a number")))
}

/// Whether a write that ended in this error may be sent again as it is: the store says that it left nothing.
pub fn left_nothing(error: &StoreError) -> bool {
    matches!(
        error,
        StoreError::Unavailable(_)
            | StoreError::Busy
            | StoreError::TooLong(_)
            | StoreError::Conflict(_)
            | StoreError::Closed
    )
}
