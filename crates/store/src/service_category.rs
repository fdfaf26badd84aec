//! Service categories.

use crate::{Param, Row, StoreError, Tx};
use rollcall_domain::id::{BusinessId, CategoryId};
use rollcall_domain::service_category::ServiceCategory;

crate::statements! {
    /// Served by the primary key.
    FIND = "SELECT id, business_id, parent_id, root_id, is_built_in, name FROM service_category WHERE id = $1";
    /// Served by `service_category_name`.
    LIST = "SELECT id, business_id, parent_id, root_id, is_built_in, name FROM service_category
        WHERE business_id IN (0, $1) ORDER BY name, id";
    INSERT for many = "INSERT INTO service_category (id, business_id, parent_id, root_id, name, is_built_in)
        VALUES ($1, $2, $3, $4, $5, $6)";
}

fn read(row: &dyn Row) -> Result<ServiceCategory, StoreError> {
    Ok(ServiceCategory {
        id: CategoryId(row.int(0)?),
        business_id: BusinessId(row.int(1)?),
        parent_id: CategoryId(row.int(2)?),
        root_id: CategoryId(row.int(3)?),
        is_built_in: row.int(4)? != 0,
        name: row.text(5)?.to_owned(),
    })
}

/// A category by its id, of whatever business.
pub fn find(tx: &mut dyn Tx, id: CategoryId) -> Result<Option<ServiceCategory>, StoreError> {
    tx.find(FIND, &[id.get().into()], read)
}

/// The shared categories and those of a business, ordered by the bytes of their names.
pub fn list(tx: &mut dyn Tx, business: BusinessId) -> Result<Vec<ServiceCategory>, StoreError> {
    tx.list(LIST, &[business.get().into()], read)
}

/// Stores categories.
pub fn insert(tx: &mut dyn Tx, categories: &[ServiceCategory]) -> Result<(), StoreError> {
    let mut params = Vec::with_capacity(categories.len() * 6);
    for category in categories {
        params.extend([
            Param::Int(category.id.get()),
            category.business_id.get().into(),
            category.parent_id.get().into(),
            category.root_id.get().into(),
            (&category.name).into(),
            i64::from(category.is_built_in).into(),
        ]);
    }
    tx.execute_many(INSERT, 6, &params)
}
