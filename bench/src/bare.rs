//! The unavoidable part of the work and nothing else: the statements of the store, run over plain connections with its pragmas.

pub mod read;
pub mod write;

use anyhow::Context;
use rollcall_store::every_statement;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use std::path::Path;
use std::time::Duration;

/// The one statement of the store that looks like this.
pub fn statement(begins: &str, contains: &str) -> anyhow::Result<&'static str> {
    every_statement()
        .find(|sql| sql.starts_with(begins) && sql.contains(contains))
        .with_context(|| format!("the store has no statement like {begins} … {contains}"))
}

/// A connection as the store's readers have it.
pub fn open_reader(file: &Path) -> anyhow::Result<Connection> {
    let connection = open(file)?;
    connection.pragma_update(None, "query_only", "ON")?;
    connection.pragma_update(None, "cache_size", -4096)?;
    Ok(connection)
}

/// A connection as the store's writer has it.
pub fn open_writer(file: &Path) -> anyhow::Result<Connection> {
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
