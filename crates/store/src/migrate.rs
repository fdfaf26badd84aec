//! Numbered steps from an empty store to today's schema: forward only, embedded, checked at every start.

use crate::{Param, StoreError, Tx};

/// Every step. A step that has been released is never changed; new ones go to the end.
const STEPS: &[(i64, &str)] = &[
    (1, include_str!("../migrations/0001_base.sql")),
    (2, include_str!("../migrations/0002_audit_search.sql")),
    (3, include_str!("../migrations/0003_last_change.sql")),
    (4, include_str!("../migrations/0004_service_template.sql")),
    (5, include_str!("../migrations/0005_process_template.sql")),
    (6, include_str!("../migrations/0006_set_template.sql")),
    (7, include_str!("../migrations/0007_job.sql")),
    (8, include_str!("../migrations/0008_job_order.sql")),
];

crate::statements! {
    /// Served by the primary key.
    READ_VERSION = "SELECT value FROM setting WHERE name = 'schema_version'";
    WRITE_VERSION = "INSERT INTO setting (name, value) VALUES ('schema_version', $1)
        ON CONFLICT (name) DO UPDATE SET value = excluded.value";
    /// Served by the primary key.
    HOLD = "SELECT value FROM setting WHERE name = 'schema_version' {for update}";
    READ_SETTING = "SELECT value FROM setting WHERE name = $1";
    WRITE_SETTING = "INSERT INTO setting (name, value) VALUES ($1, $2)
        ON CONFLICT (name) DO UPDATE SET value = excluded.value";
}

/// What a store was and is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Migrated {
    /// The schema version it had; 0: there was no store.
    pub from: i64,
    pub to: i64,
    /// Into how many partitions the tables that grow with a business are split. `None`: they are whole.
    pub partitions: Option<u32>,
}

/// The schema version this program works with.
pub fn newest() -> i64 {
    STEPS.last().map_or(0, |(number, _)| *number)
}

/// The single statements of the steps that follow a version. Steps hold no semicolons but those between statements.
pub(crate) fn steps_after(version: i64) -> impl Iterator<Item = (i64, Vec<&'static str>)> {
    STEPS.iter().filter(move |(number, _)| *number > version).map(|(number, text)| {
        let statements = text.split(';').map(str::trim).filter(|statement| !statement.is_empty()).collect();
        (*number, statements)
    })
}

/// The version of a store that has the `setting` table.
pub(crate) fn version(tx: &mut dyn Tx) -> Result<i64, StoreError> {
    let text = tx.find(READ_VERSION, &[], |row| row.text(0).map(str::to_owned))?;
    match text {
        None => Ok(0),
        Some(text) => text.parse().map_err(|_| StoreError::Unreadable(format!("schema version {text:?}"))),
    }
}

/// Fails when the schema is that of a newer program.
pub(crate) fn refuse_newer(version: i64) -> Result<(), StoreError> {
    let newest = newest();
    if version <= newest {
        return Ok(());
    }
    let text = format!("its schema is version {version}, this program knows {newest}: use a newer program");
    Err(StoreError::Unavailable(text))
}

pub(crate) fn set_version(tx: &mut dyn Tx, version: i64) -> Result<(), StoreError> {
    tx.execute(WRITE_VERSION, &[Param::Text(&version.to_string())]).map(|_| ())
}

/// Makes whoever else wants to decide what a new store becomes wait until the end of this transaction.
pub fn hold(tx: &mut dyn Tx) -> Result<(), StoreError> {
    tx.query(HOLD, &[], &mut |_| Ok(()))
}

/// A setting of the store, such as its time zone.
pub fn find_setting(tx: &mut dyn Tx, name: &str) -> Result<Option<String>, StoreError> {
    tx.find(READ_SETTING, &[name.into()], |row| row.text(0).map(str::to_owned))
}

/// Writes a setting of the store.
pub fn put_setting(tx: &mut dyn Tx, name: &str, value: &str) -> Result<(), StoreError> {
    tx.execute(WRITE_SETTING, &[name.into(), value.into()]).map(|_| ())
}
