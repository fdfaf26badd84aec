//! What changed, in commit order: rows of the same transaction as the change. SQLite's one writer numbers them as it goes: a new
//! row's key is the highest one plus one. Whoever purges must therefore leave the newest row, or numbers would be given out again.

use crate::{Param, StoreError, Tx};
use rollcall_domain::id::BusinessId;
use rollcall_domain::moment::Moment;

crate::statements! {
    INSERT = "INSERT INTO event (time_ms, business_id, kind, operation, object_id, request_id, before_state,
        after_state) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
}

/// What kind of record changed. The numbers are those of the cursors of the original (`topology` 12.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    Host = 2,
    HostModule = 3,
    Business = 4,
    Set = 5,
    Module = 6,
    /// A process; its relation is made and removed with it and has no event of its own.
    Process = 9,
    /// Not watched by any client of the original; kept so that every record's past can be told.
    ServiceInstance = 100,
}

/// How it changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventOperation {
    Create = 1,
    Update = 2,
    Delete = 3,
}

/// One change of one record.
#[derive(Debug, Clone)]
pub struct EventRow {
    pub business_id: BusinessId,
    pub kind: EventKind,
    pub operation: EventOperation,
    pub object_id: i64,
    /// JSON text; of an update and a delete.
    pub before: Option<String>,
    /// JSON text; of a create and an update.
    pub after: Option<String>,
}

/// Stores events of one request, in order.
pub fn insert(tx: &mut dyn Tx, time: Moment, request_id: &str, rows: &[EventRow]) -> Result<(), StoreError> {
    let mut params = Vec::with_capacity(rows.len() * 8);
    for row in rows {
        params.extend([
            Param::Int(time.unix_ms()),
            row.business_id.get().into(),
            (row.kind as i64).into(),
            (row.operation as i64).into(),
            row.object_id.into(),
            request_id.into(),
            row.before.as_deref().into(),
            row.after.as_deref().into(),
        ]);
    }
    tx.insert_many(INSERT, 8, &params)
}
