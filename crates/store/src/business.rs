//! Businesses.

use crate::{Param, Row, StoreError, Tx};
use rollcall_domain::business::{BusinessStatus, NewBusiness};
use rollcall_domain::id::BusinessId;

crate::statements! {
    /// Served by the primary key.
    FIND = "SELECT id, kind, status, name FROM business WHERE id = $1";
    /// Served by the primary key.
    LOCK = "SELECT id FROM business WHERE id = $1 {for update}";
    /// Served by `business_name`.
    FIND_NAMED = "SELECT id FROM business WHERE name = $1";
    /// Businesses are few: one per product of a company.
    LIST = "SELECT id, status, document FROM business WHERE kind = 0 ORDER BY id";
    INSERT for many = "INSERT INTO business (id, name, kind, status, document) VALUES ($1, $2, $3, $4, $5)";
}

/// The key columns of a business.
#[derive(Debug, Clone, PartialEq)]
pub struct BusinessRow {
    pub id: BusinessId,
    /// `default` on the wire: 0 an ordinary business, 1 the resource pool.
    pub kind: i64,
    pub status: BusinessStatus,
    pub name: String,
}

fn status(row: &dyn Row, column: usize) -> Result<BusinessStatus, StoreError> {
    let text = row.text(column)?;
    BusinessStatus::of_wire(text).ok_or_else(|| StoreError::Unreadable(format!("status {text:?} of a business")))
}

/// A business by its id.
pub fn find(tx: &mut dyn Tx, id: BusinessId) -> Result<Option<BusinessRow>, StoreError> {
    tx.find(FIND, &[id.get().into()], |row| {
        Ok(BusinessRow {
            id: BusinessId(row.int(0)?),
            kind: row.int(1)?,
            status: status(row, 2)?,
            name: row.text(3)?.to_owned(),
        })
    })
}

/// Whether there is the business, which then is kept as it is until the end of the transaction: for rules about all of it.
pub fn lock(tx: &mut dyn Tx, id: BusinessId) -> Result<bool, StoreError> {
    Ok(tx.find(LOCK, &[id.get().into()], |_| Ok(()))?.is_some())
}

/// The business of exactly this name, the pool included.
pub fn find_named(tx: &mut dyn Tx, name: &str) -> Result<Option<BusinessId>, StoreError> {
    tx.find(FIND_NAMED, &[name.into()], |row| row.int(0).map(BusinessId))
}

/// Hands over id, status and wire document of every business but the pool, in order of their ids.
pub fn each(
    tx: &mut dyn Tx,
    each: &mut dyn FnMut(BusinessId, BusinessStatus, &str) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    tx.query(LIST, &[], &mut |row| each(BusinessId(row.int(0)?), status(row, 1)?, row.text(2)?))
}

/// Stores businesses.
pub fn insert(tx: &mut dyn Tx, businesses: &[NewBusiness]) -> Result<(), StoreError> {
    let mut params = Vec::with_capacity(businesses.len() * 5);
    for business in businesses {
        params.extend([
            Param::Int(business.id.get()),
            (&business.name).into(),
            business.kind.into(),
            business.status.wire().into(),
            (&business.document).into(),
        ]);
    }
    tx.execute_many(INSERT, 5, &params)
}
