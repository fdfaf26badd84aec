//! Set templates and the service templates they list.

use crate::{Param, Row, StoreError, Tx};
use rollcall_domain::id::{BusinessId, ServiceTemplateId, SetTemplateId};
use rollcall_domain::set_template::SetTemplate;
use std::collections::{BTreeMap, BTreeSet};

crate::statements! {
    /// Served by the primary key.
    FIND = "SELECT id, business_id, name, document FROM set_template WHERE id = $1";
    /// Served by the primary key.
    LOCK_MANY = "SELECT id, business_id, name, document FROM set_template WHERE id {in $1} ORDER BY id {for update}";
    /// Served by the primary key.
    LOCK_SHARED = "SELECT id, business_id, name, document FROM set_template WHERE id = $1 {for share}";
    /// Served by `set_template_relation_service` and the primary key.
    LOCK_OF_SERVICE = "SELECT id, business_id, name, document FROM set_template
        WHERE id IN (SELECT set_template_id FROM set_template_relation WHERE service_template_id = $1)
        ORDER BY id {for update}";
    /// Served by `set_template_name`.
    FIND_NAMED = "SELECT id FROM set_template WHERE business_id = $1 AND name = $2";
    /// Served by `set_template_business`.
    COUNT = "SELECT count(*) FROM set_template WHERE business_id = $1";
    /// Served by `set_template_business`.
    PAGE = "SELECT document FROM set_template WHERE business_id = $1 ORDER BY id LIMIT $2 OFFSET $3";
    /// Served by `set_template_business`.
    LIST = "SELECT id, business_id, name, document FROM set_template WHERE business_id = $1 ORDER BY id";
    /// Served by the primary key.
    LIST_BY_ID = "SELECT id, business_id, name, document FROM set_template
        WHERE business_id = $1 AND id {in $2} ORDER BY id";
    INSERT for many = "INSERT INTO set_template (id, business_id, name, document) VALUES ($1, $2, $3, $4)";
    /// Served by the primary key.
    UPDATE = "UPDATE set_template SET name = $2, document = $3 WHERE id = $1";
    /// Served by the primary key.
    DELETE = "DELETE FROM set_template WHERE id {in $1}";
    /// Served by `set_template_relation_set`.
    SERVICES = "SELECT set_template_id, service_template_id FROM set_template_relation
        WHERE set_template_id {in $1} ORDER BY set_template_id, service_template_id";
    /// Served by `set_template_relation_set` and the primary key.
    NAMED_SERVICES = "SELECT r.set_template_id, t.id, t.name FROM set_template_relation r
        JOIN service_template t ON t.id = r.service_template_id
        WHERE r.set_template_id {in $1} ORDER BY r.set_template_id, t.id";
    INSERT_RELATION for many = "INSERT INTO set_template_relation (business_id, set_template_id, service_template_id)
        VALUES ($1, $2, $3)";
    /// Served by `set_template_relation_set`.
    DELETE_RELATIONS = "DELETE FROM set_template_relation WHERE set_template_id = $1 AND service_template_id {in $2}";
    /// Served by `set_template_relation_set`.
    DELETE_RELATIONS_OF = "DELETE FROM set_template_relation WHERE set_template_id {in $1}";
    /// Served by `set_template_relation_service`.
    DELETE_RELATIONS_OF_SERVICE = "DELETE FROM set_template_relation WHERE service_template_id = $1";
}

fn read(row: &dyn Row) -> Result<SetTemplate, StoreError> {
    Ok(SetTemplate {
        id: SetTemplateId(row.int(0)?),
        business_id: BusinessId(row.int(1)?),
        name: row.text(2)?.to_owned(),
        document: row.text(3)?.to_owned(),
    })
}

/// A template by its id, of whatever business.
pub fn find(tx: &mut dyn Tx, id: SetTemplateId) -> Result<Option<SetTemplate>, StoreError> {
    tx.find(FIND, &[id.get().into()], read)
}

/// The same, kept as it is until the end of the transaction, without anything new that refers to it.
pub fn lock(tx: &mut dyn Tx, id: SetTemplateId) -> Result<Option<SetTemplate>, StoreError> {
    Ok(lock_many(tx, &[id.get()])?.pop())
}

/// The same of several, in order of their ids.
pub fn lock_many(tx: &mut dyn Tx, ids: &[i64]) -> Result<Vec<SetTemplate>, StoreError> {
    tx.list(LOCK_MANY, &[Param::Ids(ids)], read)
}

/// A template for what refers to it from now on; others may too.
pub fn lock_shared(tx: &mut dyn Tx, id: SetTemplateId) -> Result<Option<SetTemplate>, StoreError> {
    tx.find(LOCK_SHARED, &[id.get().into()], read)
}

/// The templates that list a service template, kept as they are until the end of the transaction. Whoever needs the service template
/// itself locks it after them.
pub fn lock_of_service(tx: &mut dyn Tx, service: ServiceTemplateId) -> Result<Vec<SetTemplate>, StoreError> {
    tx.list(LOCK_OF_SERVICE, &[service.get().into()], read)
}

/// The template of exactly this name in a business.
pub fn find_named(tx: &mut dyn Tx, business: BusinessId, name: &str) -> Result<Option<SetTemplateId>, StoreError> {
    tx.find(FIND_NAMED, &[business.get().into(), name.into()], |row| row.int(0).map(SetTemplateId))
}

/// How many templates a business has.
pub fn count(tx: &mut dyn Tx, business: BusinessId) -> Result<usize, StoreError> {
    crate::engine::size(tx.number(COUNT, &[business.get().into()])?)
}

/// Hands over the wire documents of a part of the templates of a business, in order of their ids.
pub fn each_document(
    tx: &mut dyn Tx,
    business: BusinessId,
    (start, limit): (usize, usize),
    each: &mut dyn FnMut(&str) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let rows = |rows: usize| Param::Int(i64::try_from(rows).unwrap_or(i64::MAX));
    tx.query(PAGE, &[business.get().into(), rows(limit), rows(start)], &mut |row| each(row.text(0)?))
}

/// The templates of a business, in order of their ids; only those of these ids, where a list is given.
pub fn list(tx: &mut dyn Tx, business: BusinessId, ids: Option<&[i64]>) -> Result<Vec<SetTemplate>, StoreError> {
    let business = business.get().into();
    match ids {
        None => tx.list(LIST, &[business], read),
        Some(ids) => tx.list(LIST_BY_ID, &[business, Param::Ids(ids)], read),
    }
}

/// Stores templates.
pub fn insert(tx: &mut dyn Tx, templates: &[SetTemplate]) -> Result<(), StoreError> {
    let params = templates.iter().flat_map(|template| {
        let (id, business) = (template.id.get(), template.business_id.get());
        [Param::Int(id), business.into(), (&template.name).into(), (&template.document).into()]
    });
    tx.execute_many(INSERT, 4, &params.collect::<Vec<_>>())
}

/// Stores a changed template.
pub fn update(tx: &mut dyn Tx, template: &SetTemplate) -> Result<(), StoreError> {
    let params = [template.id.get().into(), (&template.name).into(), (&template.document).into()];
    tx.execute(UPDATE, &params).map(|_| ())
}

/// Removes templates that nothing refers to, and what they list.
pub fn delete(tx: &mut dyn Tx, templates: &[SetTemplate]) -> Result<(), StoreError> {
    let ids: Vec<_> = templates.iter().map(|template| template.id.get()).collect();
    tx.execute(DELETE_RELATIONS_OF, &[Param::Ids(&ids)])?;
    tx.execute(DELETE, &[Param::Ids(&ids)]).map(|_| ())
}

/// The service templates that a template lists.
pub fn services(tx: &mut dyn Tx, template: SetTemplateId) -> Result<BTreeSet<ServiceTemplateId>, StoreError> {
    Ok(services_of(tx, &[template])?.remove(&template).unwrap_or_default())
}

/// The service templates that each of these templates lists. Those that list none are left out.
pub fn services_of(
    tx: &mut dyn Tx,
    templates: &[SetTemplateId],
) -> Result<BTreeMap<SetTemplateId, BTreeSet<ServiceTemplateId>>, StoreError> {
    let mut listed: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    tx.query(SERVICES, &[Param::Ids(&numbers(templates))], &mut |row| {
        listed.entry(SetTemplateId(row.int(0)?)).or_default().insert(ServiceTemplateId(row.int(1)?));
        Ok(())
    })?;
    Ok(listed)
}

/// The same with the names of the service templates, in order of the templates' and the service templates' ids.
pub fn named_services(
    tx: &mut dyn Tx,
    templates: &[SetTemplateId],
) -> Result<Vec<(SetTemplateId, ServiceTemplateId, String)>, StoreError> {
    tx.list(NAMED_SERVICES, &[Param::Ids(&numbers(templates))], |row| {
        Ok((SetTemplateId(row.int(0)?), ServiceTemplateId(row.int(1)?), row.text(2)?.to_owned()))
    })
}

fn numbers(templates: &[SetTemplateId]) -> Vec<i64> {
    templates.iter().map(|id| id.get()).collect()
}

/// Stores that a template, which is locked, lists these service templates too.
pub fn add_services<'a>(
    tx: &mut dyn Tx,
    template: &SetTemplate,
    services: impl Iterator<Item = &'a ServiceTemplateId>,
) -> Result<(), StoreError> {
    let (business, id) = (template.business_id.get(), template.id.get());
    let params = services.flat_map(|service| [Param::Int(business), id.into(), service.get().into()]);
    tx.execute_many(INSERT_RELATION, 3, &params.collect::<Vec<_>>())
}

/// Stores that a template, which is locked, does not list these service templates any more.
pub fn remove_services<'a>(
    tx: &mut dyn Tx,
    template: SetTemplateId,
    services: impl Iterator<Item = &'a ServiceTemplateId>,
) -> Result<(), StoreError> {
    let ids: Vec<_> = services.map(|id| id.get()).collect();
    tx.execute(DELETE_RELATIONS, &[template.get().into(), Param::Ids(&ids)]).map(|_| ())
}

/// Stores that no template lists a service template any more; `known`: how many did when they were locked. One that began to list it
/// since then would change unseen, so the transaction has to begin again.
pub fn remove_service(tx: &mut dyn Tx, service: ServiceTemplateId, known: usize) -> Result<(), StoreError> {
    if tx.execute(DELETE_RELATIONS_OF_SERVICE, &[service.get().into()])? == known {
        return Ok(());
    }
    Err(StoreError::Conflict(format!("another set template lists service template {service} meanwhile")))
}
