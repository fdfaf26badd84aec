//! The attributes that templates fix for what follows them.

use crate::{Param, Row, StoreError, Tx};
use rollcall_domain::id::{BusinessId, ServiceTemplateId, TemplateAttributeId};
use rollcall_domain::template_attribute::TemplateAttribute;

crate::statements! {
    /// Served by `service_template_attribute_attribute`.
    LIST = "SELECT id, attribute_id, document FROM service_template_attribute
        WHERE business_id = $1 AND service_template_id = $2 ORDER BY id";
    /// Served by `service_template_attribute_attribute`.
    LIST_MANY = "SELECT id, attribute_id, document, service_template_id FROM service_template_attribute
        WHERE business_id = $1 AND service_template_id {in $2} ORDER BY id";
    INSERT for many = "INSERT INTO service_template_attribute (id, business_id, service_template_id, attribute_id, document)
        VALUES ($1, $2, $3, $4, $5)";
    /// Served by the primary key.
    UPDATE for many = "UPDATE service_template_attribute SET document = $2 WHERE id = $1";
    /// Served by the primary key.
    DELETE = "DELETE FROM service_template_attribute WHERE id {in $1}";
}

fn read(row: &dyn Row) -> Result<TemplateAttribute, StoreError> {
    TemplateAttribute::read(TemplateAttributeId(row.int(0)?), row.int(1)?, row.text(2)?)
        .ok_or_else(|| StoreError::Unreadable("the attribute of a template".into()))
}

/// The attributes of a template, in order of their ids. Who decides on them has locked the template.
pub fn list(
    tx: &mut dyn Tx,
    business: BusinessId,
    template: ServiceTemplateId,
) -> Result<Vec<TemplateAttribute>, StoreError> {
    tx.list(LIST, &[business.get().into(), template.get().into()], read)
}

/// The attributes of templates, each with its template, in order of their ids.
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

/// Stores new attributes of a template.
pub fn insert(
    tx: &mut dyn Tx,
    business: BusinessId,
    template: ServiceTemplateId,
    attributes: &[TemplateAttribute],
) -> Result<(), StoreError> {
    let params = attributes.iter().flat_map(|attribute| {
        let (id, number) = (attribute.id.get(), attribute.attribute_id);
        [Param::Int(id), business.get().into(), template.get().into(), number.into(), (&attribute.document).into()]
    });
    tx.execute_many(INSERT, 5, &params.collect::<Vec<_>>())
}

/// Stores changed attributes.
pub fn update(tx: &mut dyn Tx, attributes: &[TemplateAttribute]) -> Result<(), StoreError> {
    let params = attributes.iter().flat_map(|it| [Param::Int(it.id.get()), (&it.document).into()]);
    tx.execute_many(UPDATE, 2, &params.collect::<Vec<_>>())
}

/// Removes attributes.
pub fn delete(tx: &mut dyn Tx, attributes: &[TemplateAttribute]) -> Result<(), StoreError> {
    let ids: Vec<_> = attributes.iter().map(|it| it.id.get()).collect();
    tx.execute(DELETE, &[Param::Ids(&ids)]).map(|_| ())
}
