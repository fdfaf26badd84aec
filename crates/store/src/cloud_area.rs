//! Cloud areas: networks in which an address is unique.

use crate::{Param, StoreError, Tx};
use rollcall_domain::id::CloudAreaId;

crate::statements! {
    INSERT = "INSERT INTO cloud_area (id, name) VALUES ($1, $2)";
}

/// Stores areas.
pub fn insert(tx: &mut dyn Tx, areas: &[(CloudAreaId, &str)]) -> Result<(), StoreError> {
    let params: Vec<_> = areas.iter().flat_map(|(id, name)| [Param::Int(id.get()), Param::Text(name)]).collect();
    tx.insert_many(INSERT, 2, &params)
}
