//! One SQLite connection as a [`Tx`], with cached statements and a deadline.

use super::Options;
use crate::engine::{Journal, Param, Row, Tx};
use crate::{StoreError, dialect, sequence};
use rollcall_domain::json;
use rusqlite::config::DbConfig;
use rusqlite::types::ValueRef;
use rusqlite::{ErrorCode, OpenFlags, ffi};
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How many steps of SQLite's machine pass between two looks at the clock.
const STEPS_BETWEEN_CLOCKS: i32 = 4_000;
const STATEMENT_CACHE: usize = 256;
/// Said of what follows an error that took the whole transaction with it.
pub(super) const TRANSACTION_LOST: &str = "the transaction was ended by an error in it";

pub(super) struct Connection {
    inner: rusqlite::Connection,
    /// Constants in SQLite's own dialect, by the address of the constant.
    translated: HashMap<(usize, usize), Box<str>>,
    deadline: Deadline,
    /// Whether a transaction was begun and not ended: SQLite may have ended it by itself since.
    begun: bool,
}

/// Read by the progress handler: nanoseconds since `start` after which the running statement ends, 0 for never.
struct Deadline {
    start: Instant,
    at_ns: Arc<AtomicU64>,
    limit: Duration,
}

impl Connection {
    pub(super) fn open_writer(options: &Options) -> Result<Self, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
        let connection = Self::open(options, flags)?;
        let pragma = |name: &str, value: &str| connection.inner.pragma_update(None, name, value).map_err(translate);
        pragma("page_size", "4096")?;
        connection.use_log(&options.file)?;
        pragma("synchronous", "FULL")?;
        pragma("wal_autocheckpoint", "4000")?;
        // After a burst the log file shrinks again.
        pragma("journal_size_limit", "67108864")?;
        pragma("cache_size", &format!("-{}", options.cache_kib * 4))?;
        Ok(connection)
    }

    /// SQLite keeps its old journal without an error where it cannot have a write-ahead log.
    fn use_log(&self, file: &Path) -> Result<(), StoreError> {
        let mode: String =
            self.inner.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0)).map_err(translate)?;
        if mode != "wal" {
            let text = format!("{} cannot be written durably: its journal mode stays {mode:?}", file.display());
            return Err(StoreError::Unavailable(text));
        }
        Ok(())
    }

    pub(super) fn open_reader(options: &Options) -> Result<Self, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE;
        let connection = Self::open(options, flags)?;
        let pragma = |name: &str, value: &str| connection.inner.pragma_update(None, name, value).map_err(translate);
        pragma("query_only", "ON")?;
        pragma("cache_size", &format!("-{}", options.cache_kib))?;
        Ok(connection)
    }

    /// For tools that work on a store beside its server.
    pub(super) fn open_existing(file: &Path) -> Result<Self, StoreError> {
        Self::open(&Options::new(file), OpenFlags::SQLITE_OPEN_READ_WRITE)
    }

    fn open(options: &Options, flags: OpenFlags) -> Result<Self, StoreError> {
        let file = &options.file;
        // Each connection is used by one thread at a time.
        let flags = flags | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let opened = match options.vfs.as_deref() {
            Some(vfs) => rusqlite::Connection::open_with_flags_and_vfs(file, flags, vfs),
            None => rusqlite::Connection::open_with_flags(file, flags),
        };
        let mut inner = opened.map_err(|e| StoreError::Unavailable(format!("cannot open {}: {e}", file.display())))?;
        inner.busy_timeout(options.busy_timeout).map_err(translate)?;
        inner.set_prepared_statement_cache_capacity(STATEMENT_CACHE);
        // Else the planner looks at bound values to see whether a partial index serves, and has every statement on a table with such
        // an index prepared again whenever it is bound.
        inner.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map_err(translate)?;
        let start = Instant::now();
        let at_ns = Arc::new(AtomicU64::new(0));
        let seen = at_ns.clone();
        let over = move || {
            let at = seen.load(Ordering::Relaxed);
            at != 0 && elapsed_ns(start) > at
        };
        inner.progress_handler(STEPS_BETWEEN_CLOCKS, Some(over)).map_err(translate)?;
        let deadline = Deadline { start, at_ns, limit: Duration::ZERO };
        Ok(Self { inner, translated: HashMap::new(), deadline, begun: false })
    }

    /// From now on statements end with [`StoreError::Deadline`] after this time; `None`: never.
    pub(super) fn limit_time(&mut self, limit: Option<Duration>) {
        let at = limit.map_or(0, |limit| elapsed_ns(self.deadline.start) + saturating_ns(limit));
        self.deadline.limit = limit.unwrap_or_default();
        self.deadline.at_ns.store(at, Ordering::Relaxed);
    }

    pub(super) fn begin(&mut self) -> Result<(), StoreError> {
        self.control("BEGIN IMMEDIATE")?;
        self.begun = true;
        Ok(())
    }

    pub(super) fn begin_read(&mut self) -> Result<(), StoreError> {
        self.control("BEGIN DEFERRED")?;
        self.begun = true;
        Ok(())
    }

    pub(super) fn commit(&mut self) -> Result<(), StoreError> {
        self.control("COMMIT")?;
        self.begun = false;
        Ok(())
    }

    /// Ends the transaction without effect. Nothing can be done about a failure: SQLite has rolled back itself then.
    pub(super) fn roll_back(&mut self) {
        self.begun = false;
        if self.in_transaction() {
            let _ = self.control("ROLLBACK");
        }
    }

    pub(super) fn savepoint(&mut self) -> Result<(), StoreError> {
        self.control("SAVEPOINT request")
    }

    pub(super) fn release(&mut self) -> Result<(), StoreError> {
        self.control("RELEASE request")
    }

    pub(super) fn roll_back_to_savepoint(&mut self) -> Result<(), StoreError> {
        self.control("ROLLBACK TO request")?;
        self.control("RELEASE request")
    }

    pub(super) fn in_transaction(&self) -> bool {
        !self.inner.is_autocommit()
    }

    fn control(&mut self, sql: &'static str) -> Result<(), StoreError> {
        self.inner.prepare_cached(sql).and_then(|mut statement| statement.raw_execute()).map(|_| ()).map_err(translate)
    }

    /// Runs a statement that is not worth a place in the cache: a step of a migration.
    pub(super) fn execute_once(&mut self, sql: &str) -> Result<(), StoreError> {
        match dialect::for_sqlite(sql).as_str() {
            "" => Ok(()),
            sql => self.inner.execute(sql, []).map(|_| ()).map_err(translate),
        }
    }

    pub(super) fn has_table(&self, name: &str) -> Result<bool, StoreError> {
        self.inner.table_exists(None, name).map_err(translate)
    }

    pub(super) fn vacuum_into(&self, to: &Path) -> Result<(), StoreError> {
        let to = to.to_str().ok_or_else(|| StoreError::Unavailable("the file name is not UTF-8".into()))?;
        self.inner.execute("VACUUM INTO ?1", [to]).map(|_| ()).map_err(translate)
    }

    /// Leaves WAL mode and takes the whole file until this connection is dropped; an error while anybody else has it open.
    pub(super) fn lock_out_others(&self) -> Result<(), StoreError> {
        let in_use = |error: rusqlite::Error| match translate(error) {
            StoreError::Conflict(_) => StoreError::Unavailable("it is in use by another process".into()),
            error => error,
        };
        self.inner.busy_timeout(Duration::from_millis(500)).map_err(in_use)?;
        self.inner.pragma_update(None, "journal_mode", "DELETE").map_err(in_use)?;
        self.inner.execute_batch("BEGIN EXCLUSIVE").map_err(in_use)
    }

    pub(super) fn integrity(&self) -> Result<Vec<String>, StoreError> {
        let mut statement = self.inner.prepare("PRAGMA integrity_check").map_err(translate)?;
        let lines = statement.query_map([], |row| row.get::<_, String>(0)).map_err(translate)?;
        let lines = lines.collect::<Result<Vec<_>, _>>().map_err(translate)?;
        Ok(if lines == ["ok"] { Vec::new() } else { lines })
    }

    /// The prepared statement with its values bound; nothing where the statement is only for another engine.
    fn prepare(
        &mut self,
        sql: &'static str,
        params: &[Param<'_>],
    ) -> Result<Option<rusqlite::CachedStatement<'_>>, StoreError> {
        self.require_transaction()?;
        let key = (sql.as_ptr() as usize, sql.len());
        let translated = self.translated.entry(key).or_insert_with(|| dialect::for_sqlite(sql).into_boxed_str());
        if translated.is_empty() {
            return Ok(None);
        }
        let mut statement = self.inner.prepare_cached(translated).map_err(translate)?;
        bind(&mut statement, params)?;
        Ok(Some(statement))
    }

    /// Without a transaction a statement would be committed at once, whatever becomes of the rest of its unit of work.
    fn require_transaction(&self) -> Result<(), StoreError> {
        if self.begun && !self.in_transaction() {
            return Err(StoreError::Unavailable(TRANSACTION_LOST.into()));
        }
        Ok(())
    }

    fn error(&self, error: rusqlite::Error) -> StoreError {
        if error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) {
            return StoreError::Deadline(u64::try_from(self.deadline.limit.as_millis()).unwrap_or(u64::MAX));
        }
        translate(error)
    }
}

fn elapsed_ns(start: Instant) -> u64 {
    saturating_ns(start.elapsed())
}

fn saturating_ns(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX / 2)
}

/// Hands over every row of a statement whose values are bound. The inner error is SQLite's.
fn hand_over(
    statement: &mut rusqlite::Statement<'_>,
    each: &mut dyn FnMut(&dyn Row) -> Result<(), StoreError>,
) -> Result<Result<(), rusqlite::Error>, StoreError> {
    let mut rows = statement.raw_query();
    loop {
        match rows.next() {
            Ok(Some(row)) => each(&SqliteRow(row))?,
            Ok(None) => return Ok(Ok(())),
            Err(error) => return Ok(Err(error)),
        }
    }
}

fn bind(statement: &mut rusqlite::Statement<'_>, params: &[Param<'_>]) -> Result<(), StoreError> {
    // SQLite would take null for what is missing.
    let (given, wanted) = (params.len(), statement.parameter_count());
    if given != wanted {
        return Err(StoreError::Defect(format!("{given} values for a statement of {wanted}")));
    }
    for (i, param) in params.iter().enumerate() {
        let bound = match param {
            Param::Null => statement.raw_bind_parameter(i + 1, rusqlite::types::Null),
            Param::Int(number) => statement.raw_bind_parameter(i + 1, number),
            Param::Text(text) => statement.raw_bind_parameter(i + 1, text),
            Param::Ids(ids) => statement.raw_bind_parameter(i + 1, list(ids.iter(), |out, id| *out += &id.to_string())),
            Param::Texts(texts) => {
                statement.raw_bind_parameter(i + 1, list(texts.iter(), |out, text| json::write_text(out, text)))
            }
        };
        bound.map_err(translate)?;
    }
    Ok(())
}

/// A list as the JSON text that `json_each` takes apart.
fn list<T>(items: impl Iterator<Item = T>, write: impl Fn(&mut String, T)) -> String {
    let mut text = String::from("[");
    for (i, item) in items.enumerate() {
        if i > 0 {
            text.push(',');
        }
        write(&mut text, item);
    }
    text.push(']');
    text
}

impl Tx for Connection {
    fn query(
        &mut self,
        sql: &'static str,
        params: &[Param<'_>],
        each: &mut dyn FnMut(&dyn Row) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let Some(mut statement) = self.prepare(sql, params)? else {
            return Ok(());
        };
        let ended = hand_over(&mut statement, each)?;
        drop(statement);
        ended.map_err(|error| self.error(error))
    }

    fn query_composed(
        &mut self,
        sql: &str,
        params: &[Param<'_>],
        each: &mut dyn FnMut(&dyn Row) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.require_transaction()?;
        // Not cached: it would push out a statement that is used again.
        let mut statement = self.inner.prepare(&dialect::for_sqlite(sql)).map_err(translate)?;
        bind(&mut statement, params)?;
        let ended = hand_over(&mut statement, each)?;
        drop(statement);
        ended.map_err(|error| self.error(error))
    }

    fn execute(&mut self, sql: &'static str, params: &[Param<'_>]) -> Result<usize, StoreError> {
        self.prepare(sql, params)?.map_or(Ok(0), |mut statement| statement.raw_execute()).map_err(translate)
    }

    fn take_ids(&mut self, counter: &'static str, count: i64) -> Result<i64, StoreError> {
        sequence::take_from_row(self, counter, count)
    }

    fn reserve_ids(&mut self, counter: &'static str, id: i64) -> Result<(), StoreError> {
        sequence::reserve_in_row(self, counter, id)
    }

    /// The one writer numbers rows as it inserts them.
    fn number_rows(&mut self, _: Journal, _: usize) -> Result<Option<i64>, StoreError> {
        Ok(None)
    }

    fn execute_many(&mut self, sql: &'static str, width: usize, params: &[Param<'_>]) -> Result<(), StoreError> {
        // In SQLite a prepared statement in a loop is the fastest bulk insert there is.
        let mut rows = params.chunks(width);
        let Some(first) = rows.next() else {
            return Ok(());
        };
        let Some(mut statement) = self.prepare(sql, first)? else {
            return Ok(());
        };
        statement.raw_execute().map_err(translate)?;
        for row in rows {
            bind(&mut statement, row)?;
            statement.raw_execute().map_err(translate)?;
        }
        Ok(())
    }
}

struct SqliteRow<'a, 'b>(&'a rusqlite::Row<'b>);

impl SqliteRow<'_, '_> {
    fn value(&self, column: usize) -> Result<ValueRef<'_>, StoreError> {
        self.0.get_ref(column).map_err(translate)
    }

    fn unexpected<T>(column: usize, value: ValueRef<'_>) -> Result<T, StoreError> {
        Err(StoreError::Unreadable(format!("column {column} holds {}", value.data_type())))
    }
}

impl Row for SqliteRow<'_, '_> {
    fn int(&self, column: usize) -> Result<i64, StoreError> {
        match self.value(column)? {
            ValueRef::Integer(number) => Ok(number),
            other => Self::unexpected(column, other),
        }
    }

    fn text(&self, column: usize) -> Result<&str, StoreError> {
        match self.text_or_null(column)? {
            Some(text) => Ok(text),
            None => Self::unexpected(column, ValueRef::Null),
        }
    }

    fn text_or_null(&self, column: usize) -> Result<Option<&str>, StoreError> {
        match self.value(column)? {
            ValueRef::Null => Ok(None),
            ValueRef::Text(bytes) => {
                let text = std::str::from_utf8(bytes);
                text.map(Some).map_err(|_| StoreError::Unreadable(format!("column {column} is not UTF-8")))
            }
            other => Self::unexpected(column, other),
        }
    }
}

/// SQLite's errors in the store's words.
pub(super) fn translate(error: rusqlite::Error) -> StoreError {
    let rusqlite::Error::SqliteFailure(code, message) = &error else {
        return StoreError::Defect(error.to_string());
    };
    let text = message.clone().unwrap_or_else(|| code.to_string());
    match code.code {
        ErrorCode::ConstraintViolation
            if matches!(code.extended_code, ffi::SQLITE_CONSTRAINT_UNIQUE | ffi::SQLITE_CONSTRAINT_PRIMARYKEY) =>
        {
            StoreError::Unique(text)
        }
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => StoreError::Conflict(text),
        ErrorCode::DiskFull
        | ErrorCode::SystemIoFailure
        | ErrorCode::OutOfMemory
        | ErrorCode::CannotOpen
        | ErrorCode::ReadOnly
        | ErrorCode::PermissionDenied
        | ErrorCode::FileLockingProtocolFailed => StoreError::Unavailable(text),
        ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => StoreError::Unreadable(text),
        _ => StoreError::Defect(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqlite::Sqlite;
    use rollcall_domain::id::{BusinessId, ServiceInstanceId};
    use rusqlite::StatementStatus;

    /// `process` has a partial index, see [`Connection::open`].
    #[test]
    fn binding_values_does_not_prepare_a_statement_again() {
        let folder = tempfile::tempdir().unwrap();
        let options = Options::new(folder.path().join("store"));
        drop(Sqlite::open(options.clone()).unwrap());
        let mut connection = Connection::open_reader(&options).unwrap();
        for id in 1..=3 {
            let (business, instance) = (BusinessId(id), ServiceInstanceId(id));
            crate::process::each_of_instance(&mut connection, business, instance, &mut |_| {}).unwrap();
        }
        let sql = connection.translated.values().next().expect("one statement was run");
        let statement = connection.inner.prepare_cached(sql).unwrap();
        assert_eq!(
            (statement.get_status(StatementStatus::Run), statement.get_status(StatementStatus::RePrepare)),
            (3, 0)
        );
    }
}
