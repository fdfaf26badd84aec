//! What changed: rows of the same transaction as the change. Their keys have the order of the changes of each record. The position
//! under which an event is published is in an order that holds for all of them, without gaps, and final: nothing ever appears before
//! it that was not there.
//!
//! SQLite's one writer numbers as it goes, key and position are the same: a new row's key is the highest one plus one. Whoever purges
//! must therefore leave the newest row, or numbers would be given out again. On PostgreSQL keys are drawn by those who write, and one
//! server at a time gives committed events their positions, see `postgres/sequencer.rs`.

use crate::{Journal, Param, Row, StoreError, Tx};
use rollcall_domain::id::BusinessId;
use rollcall_domain::moment::Moment;

crate::statements! {
    INSERT for many = "INSERT INTO event (id, time_ms, business_id, kind, operation, object_id, request_id, before_state,
        after_state) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
    /// Served by the primary keys of events and of their order.
    LIST_AFTER = "SELECT position, time_ms, business_id, kind, operation, object_id, request_id, before_state, after_state
        FROM {events_after $1 $2} published ORDER BY position LIMIT $2";
}

/// What kind of record changed. The numbers are those of the cursors of the original (`topology` 12.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    Host = 2,
    HostModule = 3,
    Business = 4,
    Set = 5,
    Module = 6,
    /// A process. Its relation is made and removed with it and has no event of its own then.
    Process = 9,
    /// What a process belongs to, where that changes while the process stays as it is.
    ProcessRelation = 10,
    /// Not watched by any client of the original; kept so that every record's past can be told.
    ServiceInstance = 100,
    ServiceCategory = 110,
    ServiceTemplate = 111,
    ServiceTemplateAttribute = 112,
    ProcessTemplate = 113,
    SetTemplate = 114,
    SetTemplateAttribute = 115,
    /// A synchronization: asked for, called off, set going again, ended.
    Job = 120,
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
    if rows.is_empty() {
        return Ok(());
    }
    let first = tx.number_rows(Journal::Event, rows.len())?;
    let mut params = Vec::with_capacity(rows.len() * 9);
    for (row, number) in rows.iter().zip(0..) {
        params.extend([
            Param::from(first.map(|first| first + number)),
            time.unix_ms().into(),
            row.business_id.get().into(),
            (row.kind as i64).into(),
            (row.operation as i64).into(),
            row.object_id.into(),
            request_id.into(),
            row.before.as_deref().into(),
            row.after.as_deref().into(),
        ]);
    }
    tx.execute_many(INSERT, 9, &params)
}

/// An event with its position, borrowed from the row it is read from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PublishedEvent<'a> {
    pub position: i64,
    pub time: Moment,
    pub business_id: BusinessId,
    /// An [`EventKind`].
    pub kind: i64,
    /// An [`EventOperation`].
    pub operation: i64,
    pub object_id: i64,
    pub request_id: &'a str,
    /// JSON text.
    pub before: Option<&'a str>,
    /// JSON text.
    pub after: Option<&'a str>,
}

/// Hands over the first events behind a position, 0 for all, in their order. Who goes on from the last position they saw sees
/// every event once.
pub fn each_after(
    tx: &mut dyn Tx,
    position: i64,
    limit: usize,
    each: &mut dyn FnMut(PublishedEvent<'_>) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    tx.query(LIST_AFTER, &[position.into(), limit.into()], &mut |row| each(read(row)?))
}

fn read(row: &dyn Row) -> Result<PublishedEvent<'_>, StoreError> {
    Ok(PublishedEvent {
        position: row.int(0)?,
        time: Moment(row.int(1)?),
        business_id: BusinessId(row.int(2)?),
        kind: row.int(3)?,
        operation: row.int(4)?,
        object_id: row.int(5)?,
        request_id: row.text(6)?,
        before: row.text_or_null(7)?,
        after: row.text_or_null(8)?,
    })
}
