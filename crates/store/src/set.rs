//! Sets: the groups of modules in a business.

use crate::{Param, StoreError, Tx};
use rollcall_domain::id::{BusinessId, SetId, SetTemplateId};
use rollcall_domain::set::NewSet;

crate::statements! {
    /// Served by the primary key.
    FIND = "SELECT id, business_id, parent_id, kind, set_template_id, name FROM topology_set WHERE id = $1";
    /// Served by `topology_set_name`.
    FIND_NAMED = "SELECT id FROM topology_set WHERE business_id = $1 AND parent_id = $2 AND name = $3";
    /// Served by `topology_set_built_in`.
    FIND_BUILT_IN = "SELECT id, business_id, parent_id, kind, set_template_id, name FROM topology_set
        WHERE business_id = $1 AND kind > 0 ORDER BY id LIMIT 1";
    /// Served by `topology_set_business`.
    LIST = "SELECT id, business_id, parent_id, kind, set_template_id, name FROM topology_set
        WHERE business_id = $1 ORDER BY id";
    /// Served by `topology_set_business`.
    COUNT = "SELECT count(*) FROM topology_set WHERE business_id = $1";
    /// Served by `topology_set_business`.
    DOCUMENTS = "SELECT document FROM topology_set WHERE business_id = $1 ORDER BY id LIMIT $2 OFFSET $3";
    /// Served by the primary key.
    LIST_WHOLE = "SELECT id, business_id, parent_id, kind, set_template_id, name, document FROM topology_set
        WHERE id {in $1} ORDER BY id";
    /// Served by `topology_set_template`.
    LIST_OF_TEMPLATES = "SELECT id, business_id, parent_id, kind, set_template_id, name, document FROM topology_set
        WHERE business_id = $1 AND set_template_id > 0 AND set_template_id {in $2} ORDER BY id";
    /// Served by `topology_set_template`.
    COUNT_BY_TEMPLATE = "SELECT set_template_id, count(*) FROM topology_set
        WHERE business_id = $1 AND set_template_id > 0 AND set_template_id {in $2} GROUP BY set_template_id";
    /// Served by the primary key.
    LOCK = "SELECT id, business_id, parent_id, kind, set_template_id, name, document FROM topology_set
        WHERE id = $1 {for update}";
    /// Served by the primary key.
    UPDATE = "UPDATE topology_set SET document = $2 WHERE id = $1";
    INSERT for many = "INSERT INTO topology_set (id, business_id, parent_id, kind, name, set_template_id, document)
        VALUES ($1, $2, $3, $4, $5, $6, $7)";
}

/// The key columns of a set.
#[derive(Debug, Clone, PartialEq)]
pub struct SetRow {
    pub id: SetId,
    pub business_id: BusinessId,
    pub parent_id: i64,
    /// `default` on the wire: 0 an ordinary set, 1 the set of the built-in modules.
    pub kind: i64,
    /// 0: the set follows no template.
    pub set_template_id: i64,
    pub name: String,
}

fn read(row: &dyn crate::Row) -> Result<SetRow, StoreError> {
    Ok(SetRow {
        id: SetId(row.int(0)?),
        business_id: BusinessId(row.int(1)?),
        parent_id: row.int(2)?,
        kind: row.int(3)?,
        set_template_id: row.int(4)?,
        name: row.text(5)?.to_owned(),
    })
}

/// A set by its id, of whatever business.
pub fn find(tx: &mut dyn Tx, id: SetId) -> Result<Option<SetRow>, StoreError> {
    tx.find(FIND, &[id.get().into()], read)
}

/// The set of exactly this name under a parent.
pub fn find_named(tx: &mut dyn Tx, business: BusinessId, parent: i64, name: &str) -> Result<Option<SetId>, StoreError> {
    let params = [business.get().into(), parent.into(), name.into()];
    tx.find(FIND_NAMED, &params, |row| row.int(0).map(SetId))
}

/// The set that holds the built-in modules of a business.
pub fn find_built_in(tx: &mut dyn Tx, business: BusinessId) -> Result<Option<SetRow>, StoreError> {
    tx.find(FIND_BUILT_IN, &[business.get().into()], read)
}

/// All sets of a business, in order of their ids.
pub fn list_of_business(tx: &mut dyn Tx, business: BusinessId) -> Result<Vec<SetRow>, StoreError> {
    tx.list(LIST, &[business.get().into()], read)
}

/// A set with its document.
#[derive(Debug, Clone, PartialEq)]
pub struct WholeSet {
    pub row: SetRow,
    /// JSON text.
    pub document: String,
}

fn read_whole(row: &dyn crate::Row) -> Result<WholeSet, StoreError> {
    Ok(WholeSet { row: read(row)?, document: row.text(6)?.to_owned() })
}

/// Sets with their documents, of whatever business, in order of their ids; those that are not there are left out.
pub fn list_whole(tx: &mut dyn Tx, ids: &[i64]) -> Result<Vec<WholeSet>, StoreError> {
    tx.list(LIST_WHOLE, &[Param::Ids(ids)], read_whole)
}

/// A set, kept as it is until the end of the transaction. Who also needs templates has locked them before.
pub fn lock(tx: &mut dyn Tx, id: SetId) -> Result<Option<WholeSet>, StoreError> {
    tx.find(LOCK, &[id.get().into()], read_whole)
}

/// Stores the changed document of a set whose key columns stay.
pub fn update(tx: &mut dyn Tx, id: SetId, document: &str) -> Result<(), StoreError> {
    tx.execute(UPDATE, &[id.get().into(), document.into()]).map(|_| ())
}

/// The sets that follow set templates, with their documents, in order of their ids.
pub fn list_of_templates(
    tx: &mut dyn Tx,
    business: BusinessId,
    templates: &[SetTemplateId],
) -> Result<Vec<WholeSet>, StoreError> {
    let ids: Vec<_> = templates.iter().map(|id| id.get()).collect();
    tx.list(LIST_OF_TEMPLATES, &[business.get().into(), Param::Ids(&ids)], read_whole)
}

/// How many sets of a business follow each of these templates. Those without any are left out.
pub fn count_by_template(
    tx: &mut dyn Tx,
    business: BusinessId,
    templates: &[i64],
) -> Result<Vec<(SetTemplateId, i64)>, StoreError> {
    let params = [business.get().into(), Param::Ids(templates)];
    tx.list(COUNT_BY_TEMPLATE, &params, |row| Ok((SetTemplateId(row.int(0)?), row.int(1)?)))
}

/// How many sets a business has.
pub fn count(tx: &mut dyn Tx, business: BusinessId) -> Result<usize, StoreError> {
    crate::engine::size(tx.number(COUNT, &[business.get().into()])?)
}

/// Hands over the wire documents of a part of a business's sets, in order of their ids.
pub fn each_document(
    tx: &mut dyn Tx,
    business: BusinessId,
    (start, limit): (usize, usize),
    each: &mut dyn FnMut(&str) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let params = [
        business.get().into(),
        i64::try_from(limit).unwrap_or(i64::MAX).into(),
        i64::try_from(start).unwrap_or(i64::MAX).into(),
    ];
    tx.query(DOCUMENTS, &params, &mut |row| each(row.text(0)?))
}

/// Stores sets.
pub fn insert(tx: &mut dyn Tx, sets: &[NewSet]) -> Result<(), StoreError> {
    let mut params = Vec::with_capacity(sets.len() * 7);
    for set in sets {
        params.extend([
            Param::Int(set.id.get()),
            set.business_id.get().into(),
            set.parent_id.into(),
            set.kind.into(),
            (&set.name).into(),
            set.set_template_id.map_or(0, SetTemplateId::get).into(),
            (&set.document).into(),
        ]);
    }
    tx.execute_many(INSERT, 7, &params)
}
