//! Service templates.

use crate::{Param, Row, StoreError, Tx};
use rollcall_domain::id::{BusinessId, CategoryId, ServiceTemplateId};
use rollcall_domain::service_template::ServiceTemplate;

crate::statements! {
    /// Served by the primary key.
    FIND = "SELECT id, business_id, service_category_id, name, document FROM service_template WHERE id = $1";
    /// Served by the primary key.
    LOCK = "SELECT id, business_id, service_category_id, name, document FROM service_template WHERE id = $1 {for update}";
    /// Served by the primary key.
    LOCK_SHARED = "SELECT id, business_id, service_category_id, name, document FROM service_template
        WHERE id = $1 {for share}";
    /// Served by the primary key.
    LOCK_SHARED_MANY = "SELECT id, business_id, service_category_id, name, document FROM service_template
        WHERE id {in $1} ORDER BY id {for share}";
    /// Served by `service_template_name`.
    FIND_NAMED = "SELECT id FROM service_template WHERE business_id = $1 AND name = $2";
    /// Served by `service_template_business`.
    COUNT = "SELECT count(*) FROM service_template WHERE business_id = $1";
    /// Served by `service_template_business`.
    PAGE = "SELECT document FROM service_template WHERE business_id = $1 ORDER BY id DESC LIMIT $2 OFFSET $3";
    /// Served by `service_template_business`.
    LIST = "SELECT id, business_id, service_category_id, name, document FROM service_template
        WHERE business_id = $1 ORDER BY id DESC";
    /// Served by the primary key.
    LIST_BY_ID = "SELECT id, business_id, service_category_id, name, document FROM service_template
        WHERE business_id = $1 AND id {in $2} ORDER BY id DESC";
    /// Served by `service_template_category`.
    FIND_OF_CATEGORY = "SELECT id FROM service_template WHERE service_category_id = $1 LIMIT 1";
    /// Served by `service_template_category`.
    COUNT_BY_CATEGORY = "SELECT service_category_id, count(*) FROM service_template
        WHERE business_id = $1 AND service_category_id {in $2} GROUP BY service_category_id";
    INSERT for many = "INSERT INTO service_template (id, business_id, service_category_id, name, document)
        VALUES ($1, $2, $3, $4, $5)";
    /// Served by the primary key.
    UPDATE = "UPDATE service_template SET service_category_id = $2, name = $3, document = $4 WHERE id = $1";
    /// Served by the primary key.
    DELETE = "DELETE FROM service_template WHERE id = $1";
}

fn read(row: &dyn Row) -> Result<ServiceTemplate, StoreError> {
    Ok(ServiceTemplate {
        id: ServiceTemplateId(row.int(0)?),
        business_id: BusinessId(row.int(1)?),
        category_id: CategoryId(row.int(2)?),
        name: row.text(3)?.to_owned(),
        document: row.text(4)?.to_owned(),
    })
}

/// A template by its id, of whatever business.
pub fn find(tx: &mut dyn Tx, id: ServiceTemplateId) -> Result<Option<ServiceTemplate>, StoreError> {
    tx.find(FIND, &[id.get().into()], read)
}

/// The same, kept as it is until the end of the transaction, without anything new that refers to it.
pub fn lock(tx: &mut dyn Tx, id: ServiceTemplateId) -> Result<Option<ServiceTemplate>, StoreError> {
    tx.find(LOCK, &[id.get().into()], read)
}

/// The same, for what refers to it from now on; others may too.
pub fn lock_shared(tx: &mut dyn Tx, id: ServiceTemplateId) -> Result<Option<ServiceTemplate>, StoreError> {
    tx.find(LOCK_SHARED, &[id.get().into()], read)
}

/// The same of several, in order of their ids.
pub fn lock_shared_many(tx: &mut dyn Tx, ids: &[ServiceTemplateId]) -> Result<Vec<ServiceTemplate>, StoreError> {
    let ids: Vec<_> = ids.iter().map(|id| id.get()).collect();
    tx.list(LOCK_SHARED_MANY, &[Param::Ids(&ids)], read)
}

/// The template of exactly this name in a business.
pub fn find_named(tx: &mut dyn Tx, business: BusinessId, name: &str) -> Result<Option<ServiceTemplateId>, StoreError> {
    tx.find(FIND_NAMED, &[business.get().into(), name.into()], |row| row.int(0).map(ServiceTemplateId))
}

/// How many templates a business has.
pub fn count(tx: &mut dyn Tx, business: BusinessId) -> Result<usize, StoreError> {
    crate::engine::size(tx.number(COUNT, &[business.get().into()])?)
}

/// Hands over the wire documents of a part of the templates of a business, the newest first.
pub fn each_document(
    tx: &mut dyn Tx,
    business: BusinessId,
    (start, limit): (usize, usize),
    each: &mut dyn FnMut(&str) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let rows = |rows: usize| Param::Int(i64::try_from(rows).unwrap_or(i64::MAX));
    tx.query(PAGE, &[business.get().into(), rows(limit), rows(start)], &mut |row| each(row.text(0)?))
}

/// The templates of a business, the newest first; only those of these ids, where some are given.
pub fn list(tx: &mut dyn Tx, business: BusinessId, ids: Option<&[i64]>) -> Result<Vec<ServiceTemplate>, StoreError> {
    let business = business.get().into();
    match ids {
        None => tx.list(LIST, &[business], read),
        Some(ids) => tx.list(LIST_BY_ID, &[business, Param::Ids(ids)], read),
    }
}

/// Whether a template of any business is of this category.
pub fn uses_category(tx: &mut dyn Tx, category: CategoryId) -> Result<bool, StoreError> {
    Ok(tx.find(FIND_OF_CATEGORY, &[category.get().into()], |_| Ok(()))?.is_some())
}

/// How many templates of a business are of these categories. Those without any are left out.
pub fn count_by_category(
    tx: &mut dyn Tx,
    business: BusinessId,
    categories: &[CategoryId],
) -> Result<Vec<(CategoryId, i64)>, StoreError> {
    let ids: Vec<_> = categories.iter().map(|id| id.get()).collect();
    let params = [business.get().into(), Param::Ids(&ids)];
    tx.list(COUNT_BY_CATEGORY, &params, |row| Ok((CategoryId(row.int(0)?), row.int(1)?)))
}

/// Stores templates.
pub fn insert(tx: &mut dyn Tx, templates: &[ServiceTemplate]) -> Result<(), StoreError> {
    let mut params = Vec::with_capacity(templates.len() * 5);
    for template in templates {
        params.extend([
            Param::Int(template.id.get()),
            template.business_id.get().into(),
            template.category_id.get().into(),
            (&template.name).into(),
            (&template.document).into(),
        ]);
    }
    tx.execute_many(INSERT, 5, &params)
}

/// Stores a changed template.
pub fn update(tx: &mut dyn Tx, template: &ServiceTemplate) -> Result<(), StoreError> {
    let (id, category) = (template.id.get().into(), template.category_id.get().into());
    tx.execute(UPDATE, &[id, category, (&template.name).into(), (&template.document).into()]).map(|_| ())
}

/// Removes a template that nothing refers to.
pub fn delete(tx: &mut dyn Tx, id: ServiceTemplateId) -> Result<(), StoreError> {
    tx.execute(DELETE, &[id.get().into()]).map(|_| ())
}
