//! Cloud areas: networks in which an address is unique.

use crate::{Param, StoreError, Tx};
use rollcall_domain::id::CloudAreaId;

crate::statements! {
    /// Served by the primary key.
    EXISTING = "SELECT id FROM cloud_area WHERE id {in $1}";
    INSERT for many = "INSERT INTO cloud_area (id, name) VALUES ($1, $2)";
}

/// Stores areas.
pub fn insert(tx: &mut dyn Tx, areas: &[(CloudAreaId, &str)]) -> Result<(), StoreError> {
    let params: Vec<_> = areas.iter().flat_map(|(id, name)| [Param::Int(id.get()), Param::Text(name)]).collect();
    tx.execute_many(INSERT, 2, &params)
}

/// Which of these areas exist.
pub fn existing(tx: &mut dyn Tx, ids: &[CloudAreaId]) -> Result<Vec<CloudAreaId>, StoreError> {
    let ids: Vec<_> = ids.iter().map(|id| id.get()).collect();
    tx.list(EXISTING, &[Param::Ids(&ids)], |row| row.int(0).map(CloudAreaId))
}
