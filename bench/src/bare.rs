//! The unavoidable part of the work and nothing else: the statements of the store, run over plain connections with its pragmas.

use crate::server::Ask;
use anyhow::Context;
use rollcall_store::dialect::for_sqlite;
use rollcall_store::every_statement;
use rusqlite::config::DbConfig;
use rusqlite::types::Value;
use rusqlite::{Connection, OpenFlags, Statement};
use std::fmt::Write;
use std::path::Path;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::{Duration, Instant};

/// The one statement of the store that looks like this.
pub fn statement(begins: &str, contains: &str) -> anyhow::Result<&'static str> {
    every_statement()
        .find(|sql| sql.starts_with(begins) && sql.contains(contains))
        .with_context(|| format!("the store has no statement like {begins} … {contains}"))
}

/// The statement that list_process_instance runs.
pub fn list_statement() -> anyhow::Result<String> {
    let sql =
        statement("SELECT id, business_id, service_instance_id, process_template_id", "service_instance_id = $2")?;
    Ok(for_sqlite(sql))
}

/// A connection as the store's readers have it.
pub fn open_reader(file: &Path) -> anyhow::Result<Connection> {
    let connection = open(file)?;
    connection.pragma_update(None, "query_only", "ON")?;
    connection.pragma_update(None, "cache_size", -4096)?;
    Ok(connection)
}

/// A connection as the store's writer has it.
fn open_writer(file: &Path) -> anyhow::Result<Connection> {
    let connection = open(file)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "wal_autocheckpoint", 4000)?;
    connection.pragma_update(None, "journal_size_limit", 67_108_864)?;
    connection.pragma_update(None, "cache_size", -4 * 4096)?;
    Ok(connection)
}

fn open(file: &Path) -> anyhow::Result<Connection> {
    let connection =
        Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(connection)
}

/// An instance with processes.
pub fn some_instance(file: &Path) -> anyhow::Result<Ask> {
    let row = open_reader(file)?.query_row(
        "SELECT business_id, service_instance_id FROM process ORDER BY id LIMIT 1",
        [],
        |row| Ok(Ask { bk_biz_id: row.get(0)?, service_instance_id: row.get(1)? }),
    )?;
    Ok(row)
}

/// The answer of list_process_instance at the native door.
pub fn list(statement: &mut Statement<'_>, ask: &Ask) -> anyhow::Result<String> {
    let mut out = String::with_capacity(4096);
    out.push_str(
        "{\"result\":true,\"bk_error_code\":0,\"bk_error_msg\":\"success\",\"code\":0,\"message\":\"success\",\
         \"permission\":null,\"data\":[",
    );
    let mut rows = statement.query((ask.bk_biz_id, ask.service_instance_id))?;
    let mut first = true;
    while let Some(row) = rows.next()? {
        if !first {
            out.push(',');
        }
        first = false;
        let int = |column| row.get::<_, i64>(column);
        out.push_str("{\"property\":{");
        out.push_str(row.get_ref(5)?.as_str()?);
        out.push(',');
        out.push_str(row.get_ref(6)?.as_str()?);
        write!(
            out,
            "}},\"relation\":{{\"bk_biz_id\":{},\"bk_process_id\":{},\"service_instance_id\":{},\"process_template_id\":{},\
             \"bk_host_id\":{},\"bk_supplier_account\":\"0\"}}}}",
            int(1)?,
            int(0)?,
            int(2)?,
            int(3)?,
            int(4)?
        )?;
    }
    out.push_str("]}");
    Ok(out)
}

/// Rows of one kind: the statement that inserts them, and rows that a server stored.
struct Rows {
    insert: String,
    rows: Vec<Vec<Value>>,
}

impl Rows {
    /// Rows of a table that fulfil a condition, in the order of the columns of the store's own insert.
    fn read(connection: &Connection, table: &str, condition: &str) -> anyhow::Result<Self> {
        let insert = statement(&format!("INSERT INTO {table} ("), "VALUES")?;
        let columns = insert.split(['(', ')']).nth(1).context("an insert lists its columns")?;
        let width = columns.split(',').count();
        let mut select = connection.prepare(&format!("SELECT {columns} FROM {table} WHERE {condition}"))?;
        let rows = select.query_map([], |row| (0..width).map(|column| row.get(column)).collect())?;
        Ok(Self { insert: for_sqlite(insert), rows: rows.collect::<Result<_, _>>()? })
    }

    fn insert(
        &self,
        connection: &Connection,
        ids: &mut impl Iterator<Item = i64>,
        change: impl Fn(&mut Statement<'_>, usize) -> rusqlite::Result<()>,
    ) -> anyhow::Result<()> {
        let mut statement = connection.prepare_cached(&self.insert)?;
        for (number, row) in self.rows.iter().enumerate() {
            statement.raw_bind_parameter(1, ids.next())?;
            for (column, value) in row.iter().enumerate().skip(1) {
                statement.raw_bind_parameter(column + 1, value)?;
            }
            change(&mut statement, number)?;
            statement.raw_execute()?;
        }
        Ok(())
    }
}

/// What one call of create_process_instance stored, to be stored again and again.
pub struct Writer {
    connection: Connection,
    process: Rows,
    audit: Rows,
    event: Rows,
    next: i64,
}

/// Where the rows of a call go. A name replaces those of the rows, for calls of one process.
#[derive(Clone)]
pub struct Place {
    pub instance: i64,
    pub name: Option<String>,
}

impl Writer {
    /// Opens a store in which one call has stored the processes of an instance.
    pub fn open(file: &Path, instance: i64) -> anyhow::Result<Self> {
        let connection = open_writer(file)?;
        let request: String = connection.query_row(
            "SELECT request_id FROM event WHERE kind = 9 AND object_id =
             (SELECT max(id) FROM process WHERE service_instance_id = ?1)",
            [instance],
            |row| row.get(0),
        )?;
        let of_request = format!("request_id = '{request}'");
        Ok(Self {
            process: Rows::read(&connection, "process", &format!("service_instance_id = {instance}"))?,
            audit: Rows::read(&connection, "audit", &of_request)?,
            event: Rows::read(&connection, "event", &of_request)?,
            connection,
            next: 1_000_000_000,
        })
    }

    fn insert(&mut self, place: &Place) -> anyhow::Result<()> {
        let mut ids = self.next..;
        self.process.insert(&self.connection, &mut ids, |statement, _| {
            statement.raw_bind_parameter(3, place.instance)?;
            if let Some(name) = &place.name {
                statement.raw_bind_parameter(6, name)?;
                statement.raw_bind_parameter(7, name)?;
            }
            Ok(())
        })?;
        self.event.insert(&self.connection, &mut ids, |_, _| Ok(()))?;
        self.audit.insert(&self.connection, &mut ids, |_, _| Ok(()))?;
        self.next = ids.start;
        Ok(())
    }

    fn control(&self, sql: &str) -> anyhow::Result<()> {
        Ok(self.connection.prepare_cached(sql)?.raw_execute().map(|_| ())?)
    }

    /// One durable transaction per call.
    pub fn run(&mut self, calls: &[Place]) -> anyhow::Result<Duration> {
        let begun = Instant::now();
        for place in calls {
            self.control("BEGIN IMMEDIATE")?;
            self.insert(place)?;
            self.control("COMMIT")?;
        }
        Ok(begun.elapsed())
    }

    /// Callers on threads of their own hand their rows over and wait; what waits is committed together.
    pub fn run_grouped(&mut self, calls: &[Place], callers: usize, group: usize) -> anyhow::Result<Duration> {
        let (queue, waiting) = sync_channel::<(Place, SyncSender<()>)>(callers);
        let begun = Instant::now();
        std::thread::scope(|scope| {
            for caller in 0..callers {
                let queue = queue.clone();
                scope.spawn(move || {
                    let (done, wait) = sync_channel(1);
                    for place in calls.iter().skip(caller).step_by(callers) {
                        let sent = queue.send((place.clone(), done.clone()));
                        if sent.is_err() || wait.recv().is_err() {
                            return;
                        }
                    }
                });
            }
            drop(queue);
            let mut told = Vec::with_capacity(group);
            while let Ok(first) = waiting.recv() {
                self.control("BEGIN IMMEDIATE")?;
                let mut next = Some(first);
                while let Some((place, done)) = next {
                    self.insert(&place)?;
                    told.push(done);
                    next = if told.len() < group { waiting.try_recv().ok() } else { None };
                }
                self.control("COMMIT")?;
                for done in told.drain(..) {
                    let _ = done.send(());
                }
            }
            anyhow::Ok(())
        })?;
        Ok(begun.elapsed())
    }
}
