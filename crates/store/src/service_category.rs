//! Service categories.

use crate::{Param, Row, StoreError, Tx};
use rollcall_domain::id::{BusinessId, CategoryId};
use rollcall_domain::service_category::ServiceCategory;

crate::statements! {
    /// Served by the primary key.
    LOCK = "SELECT id, business_id, parent_id, root_id, is_built_in, name FROM service_category WHERE id = $1 {for update}";
    /// Served by the primary key.
    LOCK_SHARED = "SELECT id, business_id, parent_id, root_id, is_built_in, name FROM service_category
        WHERE id = $1 {for share}";
    /// Served by `service_category_business`.
    LIST_NAMED = "SELECT id, business_id, parent_id, root_id, is_built_in, name FROM service_category
        WHERE business_id IN (0, $1) AND name = $2";
    /// Served by `service_category_parent`.
    FIND_CHILD = "SELECT id FROM service_category WHERE parent_id = $1 LIMIT 1";
    /// Served by the primary key.
    RENAME = "UPDATE service_category SET name = $2 WHERE id = $1";
    /// Served by the primary key.
    DELETE = "DELETE FROM service_category WHERE id = $1";
    /// Served by `service_category_business`.
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

/// A category by its id, of whatever business, kept as it is until the end of the transaction, without anything new that refers to it.
pub fn lock(tx: &mut dyn Tx, id: CategoryId) -> Result<Option<ServiceCategory>, StoreError> {
    tx.find(LOCK, &[id.get().into()], read)
}

/// The same, for what refers to it from now on; others may too.
pub fn lock_shared(tx: &mut dyn Tx, id: CategoryId) -> Result<Option<ServiceCategory>, StoreError> {
    tx.find(LOCK_SHARED, &[id.get().into()], read)
}

/// The shared categories and those of a business that have exactly this name.
pub fn list_named(tx: &mut dyn Tx, business: BusinessId, name: &str) -> Result<Vec<ServiceCategory>, StoreError> {
    tx.list(LIST_NAMED, &[business.get().into(), name.into()], read)
}

/// Whether a category has others below it.
pub fn has_children(tx: &mut dyn Tx, id: CategoryId) -> Result<bool, StoreError> {
    Ok(tx.find(FIND_CHILD, &[id.get().into()], |_| Ok(()))?.is_some())
}

/// Gives a category another name.
pub fn rename(tx: &mut dyn Tx, id: CategoryId, name: &str) -> Result<(), StoreError> {
    tx.execute(RENAME, &[id.get().into(), name.into()]).map(|_| ())
}

/// Removes a category that nothing refers to.
pub fn delete(tx: &mut dyn Tx, id: CategoryId) -> Result<(), StoreError> {
    tx.execute(DELETE, &[id.get().into()]).map(|_| ())
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
