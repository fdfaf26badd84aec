//! Process templates.

use crate::{Param, Row, StoreError, Tx};
use rollcall_domain::id::{BusinessId, ProcessTemplateId, ServiceTemplateId};
use rollcall_domain::process_template::{ProcessTemplate, Property};

crate::statements! {
    /// Served by the primary key.
    LIST_BY_ID = "SELECT id, business_id, service_template_id, property, last_row_id, creator, modifier, create_time, last_time
        FROM process_template WHERE business_id = $1 AND id {in $2} ORDER BY id";
    /// Served by the primary key.
    LOCATE = "SELECT business_id, service_template_id FROM process_template WHERE id = $1";
    /// Served by `process_template_name`.
    LIST = "SELECT id, business_id, service_template_id, property, last_row_id, creator, modifier, create_time, last_time
        FROM process_template WHERE service_template_id {in $1} ORDER BY id";
    /// Served by `process_template_name`.
    COUNT_BY_TEMPLATE = "SELECT service_template_id, count(*) FROM process_template
        WHERE service_template_id {in $2} AND business_id = $1 GROUP BY service_template_id";
    INSERT for many = "INSERT INTO process_template (id, business_id, service_template_id, name, func_name, start_param,
        property, last_row_id, creator, modifier, create_time, last_time)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)";
    /// Served by the primary key.
    UPDATE for many = "UPDATE process_template SET name = $2, func_name = $3, start_param = $4, property = $5, last_row_id = $6,
        modifier = $7, last_time = $8 WHERE id = $1";
    /// Served by the primary key. No stored name begins with a blank.
    MAKE_WAY = "UPDATE process_template SET name = ' ' || CAST(id AS TEXT), start_param = NULL WHERE id {in $1}";
    /// Served by the primary key.
    DELETE = "DELETE FROM process_template WHERE id {in $1}";
}

fn read(row: &dyn Row) -> Result<ProcessTemplate, StoreError> {
    let id = row.int(0)?;
    let property = Property::read(row.text(3)?, row.int(4)?);
    Ok(ProcessTemplate {
        id: ProcessTemplateId(id),
        business_id: BusinessId(row.int(1)?),
        service_template_id: ServiceTemplateId(row.int(2)?),
        property: property.ok_or_else(|| StoreError::Unreadable(format!("process template {id}")))?,
        creator: row.text(5)?.to_owned(),
        modifier: row.text(6)?.to_owned(),
        create_time: row.text(7)?.to_owned(),
        last_time: row.text(8)?.to_owned(),
    })
}

fn ids_of(ids: &[ProcessTemplateId]) -> Vec<i64> {
    ids.iter().map(|id| id.get()).collect()
}

/// Those of a business that there are, in order of their ids.
pub fn list_by_id(
    tx: &mut dyn Tx,
    business: BusinessId,
    ids: &[ProcessTemplateId],
) -> Result<Vec<ProcessTemplate>, StoreError> {
    tx.list(LIST_BY_ID, &[business.get().into(), Param::Ids(&ids_of(ids))], read)
}

/// The business and the service template of a process template.
pub fn locate(tx: &mut dyn Tx, id: ProcessTemplateId) -> Result<Option<(BusinessId, ServiceTemplateId)>, StoreError> {
    tx.find(LOCATE, &[id.get().into()], |row| Ok((BusinessId(row.int(0)?), ServiceTemplateId(row.int(1)?))))
}

/// The process templates of service templates, in order of their ids. Who decides on them holds the service templates' locks.
pub fn list(tx: &mut dyn Tx, service_templates: &[ServiceTemplateId]) -> Result<Vec<ProcessTemplate>, StoreError> {
    let ids: Vec<_> = service_templates.iter().map(|id| id.get()).collect();
    tx.list(LIST, &[Param::Ids(&ids)], read)
}

/// How many process templates these service templates of a business have. Those without any are left out.
pub fn count_by_template(
    tx: &mut dyn Tx,
    business: BusinessId,
    service_templates: &[i64],
) -> Result<Vec<(ServiceTemplateId, i64)>, StoreError> {
    let params = [business.get().into(), Param::Ids(service_templates)];
    tx.list(COUNT_BY_TEMPLATE, &params, |row| Ok((ServiceTemplateId(row.int(0)?), row.int(1)?)))
}

/// Stores new ones.
pub fn insert(tx: &mut dyn Tx, templates: &[ProcessTemplate]) -> Result<(), StoreError> {
    let texts: Vec<_> = templates.iter().map(|template| (template.property.keys(), template.property.json())).collect();
    let mut params = Vec::with_capacity(templates.len() * 12);
    for (template, (keys, property)) in templates.iter().zip(&texts) {
        params.extend([
            Param::Int(template.id.get()),
            template.business_id.get().into(),
            template.service_template_id.get().into(),
            (&keys.name).into(),
            (&keys.func_name).into(),
            keys.start_param.as_deref().into(),
            property.into(),
            template.property.last_row_id().into(),
            (&template.creator).into(),
            (&template.modifier).into(),
            (&template.create_time).into(),
            (&template.last_time).into(),
        ]);
    }
    tx.execute_many(INSERT, 12, &params)
}

/// Lets templates go of all they hold of the unique rules, until [`update`] gives them something new.
pub fn make_way(tx: &mut dyn Tx, ids: &[ProcessTemplateId]) -> Result<usize, StoreError> {
    tx.execute(MAKE_WAY, &[Param::Ids(&ids_of(ids))])
}

/// Stores what templates have become.
pub fn update(tx: &mut dyn Tx, templates: &[ProcessTemplate]) -> Result<(), StoreError> {
    let texts: Vec<_> = templates.iter().map(|template| (template.property.keys(), template.property.json())).collect();
    let mut params = Vec::with_capacity(templates.len() * 8);
    for (template, (keys, property)) in templates.iter().zip(&texts) {
        params.extend([
            Param::Int(template.id.get()),
            (&keys.name).into(),
            (&keys.func_name).into(),
            keys.start_param.as_deref().into(),
            property.into(),
            template.property.last_row_id().into(),
            (&template.modifier).into(),
            (&template.last_time).into(),
        ]);
    }
    tx.execute_many(UPDATE, 8, &params)
}

/// Removes templates, which no process follows any more.
pub fn delete(tx: &mut dyn Tx, ids: &[ProcessTemplateId]) -> Result<(), StoreError> {
    tx.execute(DELETE, &[Param::Ids(&ids_of(ids))]).map(|_| ())
}
