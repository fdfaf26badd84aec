//! The embedded engine: SQLite in WAL mode with `synchronous=FULL`. One thread owns the write connection and commits in groups;
//! readers take a connection from a small pool and use it on the spot.

mod connection;
mod copy;
mod pool;
mod writer;

use crate::engine::{Engine, Observer, ReadRun, Stop, Work};
use crate::{StoreError, migrate};
use connection::Connection;
use pool::Pool;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use writer::Writer;

/// For how long another program may keep its lock, if nobody says otherwise.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// How a store is opened.
#[derive(Clone)]
pub struct Options {
    /// The database file.
    pub file: PathBuf,
    /// The most read connections at a time.
    pub readers: usize,
    /// The most writes that may wait.
    pub queue: usize,
    /// The most requests in one commit.
    pub group: usize,
    /// How long a connection waits for the lock of another program (the command line beside a running server).
    pub busy_timeout: Duration,
    /// Page cache of each connection in KiB.
    pub cache_kib: u32,
    /// The SQLite VFS to use, for tests; none: the operating system's.
    pub vfs: Option<String>,
    /// Told what the writer does.
    pub observer: Option<Arc<dyn Observer>>,
}

impl Options {
    /// The usual settings for a file.
    pub fn new(file: impl Into<PathBuf>) -> Self {
        Self {
            file: file.into(),
            readers: 8,
            queue: 4096,
            group: 256,
            busy_timeout: BUSY_TIMEOUT,
            cache_kib: 4096,
            vfs: None,
            observer: None,
        }
    }
}

/// A store in one file.
pub struct Sqlite {
    file: PathBuf,
    readers: Pool,
    writer: Writer,
}

impl Sqlite {
    /// Opens a store, makes it if there is none, and brings its schema up to date.
    pub fn open(options: Options) -> Result<Self, StoreError> {
        if options.vfs.is_none() {
            copy::create_store_file(&options.file)?;
        }
        let mut connection = Connection::open_writer(&options)?;
        bring_up_to_date(&mut connection)?;
        let readers = Pool::new(options.clone())?;
        let file = options.file.clone();
        let writer = Writer::start(connection, &options)?;
        Ok(Self { file, readers, writer })
    }

    /// What SQLite's own integrity check finds wrong; nothing when all is well.
    pub fn integrity(file: &Path) -> Result<Vec<String>, StoreError> {
        Connection::open_existing(file)?.integrity()
    }

    /// The schema version of a file, without changing it.
    pub fn schema_version(file: &Path) -> Result<i64, StoreError> {
        let mut connection = Connection::open_existing(file)?;
        if connection.has_table("setting")? { migrate::version(&mut connection) } else { Ok(0) }
    }
}

/// Runs the steps that are missing, all of them or none.
fn bring_up_to_date(connection: &mut Connection) -> Result<(), StoreError> {
    connection.begin()?;
    let version = if connection.has_table("setting")? { migrate::version(connection)? } else { 0 };
    if let Err(newer) = migrate::refuse_newer(version) {
        connection.roll_back();
        return Err(newer);
    }
    for (number, statements) in migrate::steps_after(version) {
        for statement in statements {
            connection.execute_once(statement)?;
        }
        migrate::set_version(connection, number)?;
    }
    connection.commit()
}

impl Engine for Sqlite {
    fn read(&self, snapshot: bool, deadline: Duration, work: &mut ReadRun<'_>) -> Result<(), Stop> {
        let mut connection = self.readers.take(deadline)?;
        connection.limit_time(Some(deadline));
        if snapshot {
            connection.begin_read()?;
        }
        let result = work(&mut *connection);
        if snapshot {
            connection.roll_back();
        }
        connection.limit_time(None);
        result
    }

    fn reads_here(&self) -> bool {
        true
    }

    fn read_apart(&self, snapshot: bool, deadline: Duration, work: Work) {
        let Work { mut run, done, .. } = work;
        done(self.read(snapshot, deadline, &mut *run));
    }

    fn write(&self, work: Work) {
        self.writer.submit(work);
    }

    fn size_bytes(&self) -> u64 {
        ["", "-wal"]
            .iter()
            .filter_map(|suffix| {
                let mut name = self.file.clone().into_os_string();
                name.push(suffix);
                std::fs::metadata(name).ok()
            })
            .map(|meta| meta.len())
            .sum()
    }

    fn close(&self) {
        self.writer.close();
    }
}
