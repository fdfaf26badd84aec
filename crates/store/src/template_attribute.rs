//! The attributes that templates fix for what follows them. Those of service templates and those of set templates have a table each.

use crate::{Param, Row, StoreError, Tx};
use rollcall_domain::id::{BusinessId, ServiceTemplateId, SetTemplateId, TemplateAttributeId};
use rollcall_domain::model::Model;
use rollcall_domain::template_attribute::{Owner, TemplateAttribute};

macro_rules! list {
    ($template:literal) => {
        concat!(
            "SELECT id, attribute_id, document FROM ",
            $template,
            "_attribute WHERE business_id = $1 AND ",
            $template,
            "_id = $2 ORDER BY id"
        )
    };
}

macro_rules! list_many {
    ($template:literal) => {
        concat!(
            "SELECT id, attribute_id, document, ",
            $template,
            "_id FROM ",
            $template,
            "_attribute WHERE business_id = $1 AND ",
            $template,
            "_id {in $2} ORDER BY id"
        )
    };
}

macro_rules! insert {
    ($template:literal) => {
        concat!(
            "INSERT INTO ",
            $template,
            "_attribute (id, business_id, ",
            $template,
            "_id, attribute_id, document) VALUES ($1, $2, $3, $4, $5)"
        )
    };
}

macro_rules! update {
    ($template:literal) => {
        concat!("UPDATE ", $template, "_attribute SET document = $2 WHERE id = $1")
    };
}

macro_rules! delete {
    ($template:literal) => {
        concat!("DELETE FROM ", $template, "_attribute WHERE id {in $1}")
    };
}

crate::statements! {
    /// Served by `service_template_attribute_attribute`.
    LIST = list!("service_template");
    /// Served by `set_template_attribute_attribute`.
    LIST_OF_SET = list!("set_template");
    /// Served by `service_template_attribute_attribute`.
    LIST_MANY = list_many!("service_template");
    /// Served by `set_template_attribute_attribute`.
    LIST_MANY_OF_SETS = list_many!("set_template");
    INSERT for many = insert!("service_template");
    INSERT_OF_SET for many = insert!("set_template");
    /// Served by the primary key.
    UPDATE for many = update!("service_template");
    /// Served by the primary key.
    UPDATE_OF_SET for many = update!("set_template");
    /// Served by the primary key.
    DELETE = delete!("service_template");
    /// Served by the primary key.
    DELETE_OF_SET = delete!("set_template");
}

/// Of the statements for both, the one for the templates of a model.
fn of(model: Model, service: &'static str, set: &'static str) -> &'static str {
    if model == Model::Set { set } else { service }
}

fn read(row: &dyn Row) -> Result<TemplateAttribute, StoreError> {
    TemplateAttribute::read(TemplateAttributeId(row.int(0)?), row.int(1)?, row.text(2)?)
        .ok_or_else(|| StoreError::Unreadable("the attribute of a template".into()))
}

/// The attributes of a template, in order of their ids. Who decides on them has locked the template.
pub fn list(tx: &mut dyn Tx, business: BusinessId, template: Owner) -> Result<Vec<TemplateAttribute>, StoreError> {
    let sql = of(template.model(), LIST, LIST_OF_SET);
    tx.list(sql, &[business.get().into(), template.get().into()], read)
}

/// The attributes of service templates, each with its template, in order of their ids.
pub fn list_many(
    tx: &mut dyn Tx,
    business: BusinessId,
    templates: &[ServiceTemplateId],
) -> Result<Vec<(ServiceTemplateId, TemplateAttribute)>, StoreError> {
    let ids: Vec<_> = templates.iter().map(|id| id.get()).collect();
    tx.list(LIST_MANY, &[business.get().into(), Param::Ids(&ids)], |row| {
        Ok((ServiceTemplateId(row.int(3)?), read(row)?))
    })
}

/// The attributes of set templates, each with its template, in order of their ids.
pub fn list_many_of_sets(
    tx: &mut dyn Tx,
    business: BusinessId,
    templates: &[SetTemplateId],
) -> Result<Vec<(SetTemplateId, TemplateAttribute)>, StoreError> {
    let ids: Vec<_> = templates.iter().map(|id| id.get()).collect();
    tx.list(LIST_MANY_OF_SETS, &[business.get().into(), Param::Ids(&ids)], |row| {
        Ok((SetTemplateId(row.int(3)?), read(row)?))
    })
}

/// Stores new attributes of a template.
pub fn insert(
    tx: &mut dyn Tx,
    business: BusinessId,
    template: Owner,
    attributes: &[TemplateAttribute],
) -> Result<(), StoreError> {
    let params = attributes.iter().flat_map(|attribute| {
        let (id, number) = (attribute.id.get(), attribute.attribute_id);
        [Param::Int(id), business.get().into(), template.get().into(), number.into(), (&attribute.document).into()]
    });
    tx.execute_many(of(template.model(), INSERT, INSERT_OF_SET), 5, &params.collect::<Vec<_>>())
}

/// Stores changed attributes of a model's templates.
pub fn update(tx: &mut dyn Tx, model: Model, attributes: &[TemplateAttribute]) -> Result<(), StoreError> {
    let params = attributes.iter().flat_map(|it| [Param::Int(it.id.get()), (&it.document).into()]);
    tx.execute_many(of(model, UPDATE, UPDATE_OF_SET), 2, &params.collect::<Vec<_>>())
}

/// Removes attributes of a model's templates.
pub fn delete(tx: &mut dyn Tx, model: Model, attributes: &[TemplateAttribute]) -> Result<(), StoreError> {
    let ids: Vec<_> = attributes.iter().map(|it| it.id.get()).collect();
    tx.execute(of(model, DELETE, DELETE_OF_SET), &[Param::Ids(&ids)]).map(|_| ())
}
