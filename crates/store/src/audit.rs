//! Who changed what: one row per changed record and request, in the same transaction as the change. On SQLite rows are
//! numbered as events are, with the same duty for whoever purges.

use crate::{Journal, Param, Row, StoreError, Tx};
use rollcall_domain::id::BusinessId;
use rollcall_domain::moment::Moment;

crate::statements! {
    INSERT for many = "INSERT INTO audit (id, time_ms, business_id, user_name, user_verified, app_code, request_id, audit_type,
        resource_type, action, resource_id, resource_name, detail)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)";
    /// Served by the primary key, or `audit_id` where that begins with the business.
    BY_IDS = "SELECT id, time_ms, business_id, user_name, user_verified, app_code, request_id, audit_type, resource_type, action,
        resource_id, resource_name, detail FROM audit WHERE id {in $1} ORDER BY id";
}

/// Who did something, through which app, in which request.
#[derive(Debug, Clone, Copy)]
pub struct Actor<'a> {
    pub user: &'a str,
    /// Whether the user proved who they are, or an app said so for them.
    pub verified: bool,
    pub app_code: &'a str,
    pub request_id: &'a str,
    pub time: Moment,
}

/// One entry (`topology` 13.1).
#[derive(Debug, Clone)]
pub struct AuditRow {
    pub business_id: BusinessId,
    pub audit_type: &'static str,
    pub resource_type: &'static str,
    pub action: &'static str,
    pub resource_id: i64,
    pub resource_name: String,
    /// JSON text.
    pub detail: String,
}

/// Stores entries of one request.
pub fn insert(tx: &mut dyn Tx, actor: Actor<'_>, rows: &[AuditRow]) -> Result<(), StoreError> {
    if rows.is_empty() {
        return Ok(());
    }
    let first = tx.number_rows(Journal::Audit, rows.len())?;
    let mut params = Vec::with_capacity(rows.len() * 13);
    for (row, number) in rows.iter().zip(0..) {
        params.extend([
            Param::from(first.map(|first| first + number)),
            actor.time.unix_ms().into(),
            row.business_id.get().into(),
            actor.user.into(),
            i64::from(actor.verified).into(),
            actor.app_code.into(),
            actor.request_id.into(),
            row.audit_type.into(),
            row.resource_type.into(),
            row.action.into(),
            row.resource_id.into(),
            (&row.resource_name).into(),
            (&row.detail).into(),
        ]);
    }
    tx.execute_many(INSERT, 13, &params)
}

/// An entry with all it tells, borrowed from the row it is read from.
#[derive(Debug, Clone, Copy)]
pub struct WholeEntry<'a> {
    pub id: i64,
    pub actor: Actor<'a>,
    pub business_id: BusinessId,
    pub audit_type: &'a str,
    pub resource_type: &'a str,
    pub action: &'a str,
    pub resource_id: i64,
    pub resource_name: &'a str,
    /// JSON text.
    pub detail: &'a str,
}

fn read_whole(row: &dyn Row) -> Result<WholeEntry<'_>, StoreError> {
    let actor = Actor {
        time: Moment(row.int(1)?),
        user: row.text(3)?,
        verified: row.int(4)? != 0,
        app_code: row.text(5)?,
        request_id: row.text(6)?,
    };
    Ok(WholeEntry {
        id: row.int(0)?,
        actor,
        business_id: BusinessId(row.int(2)?),
        audit_type: row.text(7)?,
        resource_type: row.text(8)?,
        action: row.text(9)?,
        resource_id: row.int(10)?,
        resource_name: row.text(11)?,
        detail: row.text(12)?,
    })
}

/// Hands over the entries with these ids, of whatever business, by id.
pub fn each_by_id(tx: &mut dyn Tx, ids: &[i64], each: &mut dyn FnMut(WholeEntry<'_>)) -> Result<(), StoreError> {
    tx.query(BY_IDS, &[Param::Ids(ids)], &mut |row| {
        each(read_whole(row)?);
        Ok(())
    })
}
