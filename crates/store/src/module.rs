//! Modules of sets.

use crate::{Param, Row, StoreError, Tx};
use rollcall_domain::id::{BusinessId, CategoryId, ModuleId, ServiceTemplateId, SetId};
use rollcall_domain::module::NewModule;
use rollcall_domain::set_template::HeldModule;

crate::statements! {
    /// Served by the primary key.
    FIND = "SELECT id, business_id, set_id, kind, service_template_id, service_category_id, name FROM module WHERE id = $1";
    /// Served by the primary key.
    LIST_BY_ID = "SELECT id, business_id, set_id, kind, service_template_id, service_category_id, name FROM module
        WHERE id {in $1} ORDER BY id";
    /// Served by the primary key.
    LOCK = "SELECT id, business_id, set_id, kind, service_template_id, service_category_id, name, document FROM module
        WHERE id = $1 {for update}";
    /// Served by the primary key.
    LIST_WHOLE = "SELECT id, business_id, set_id, kind, service_template_id, service_category_id, name, document FROM module
        WHERE id {in $1} ORDER BY id";
    /// Served by `module_template`.
    LIST_OF_TEMPLATES = "SELECT id, business_id, set_id, kind, service_template_id, service_category_id, name, document
        FROM module WHERE business_id = $1 AND service_template_id > 0 AND service_template_id {in $2} ORDER BY id";
    /// Served by the primary key.
    UNBIND = "UPDATE module SET service_template_id = 0, document = $2 WHERE id = $1";
    /// Served by the primary key.
    LOCK_SHARED = "SELECT id, business_id, set_id, kind, service_template_id, service_category_id, name FROM module
        WHERE id {in $1} ORDER BY id {for share}";
    /// Served by `module_business`.
    LIST = "SELECT id, business_id, set_id, kind, service_template_id, service_category_id, name FROM module
        WHERE business_id = $1 ORDER BY id";
    /// Served by `module_built_in`.
    LIST_BUILT_IN = "SELECT id, business_id, set_id, kind, service_template_id, service_category_id, name FROM module
        WHERE business_id = $1 AND kind > 0 ORDER BY kind, id";
    /// Served by `module_built_in`.
    FIND_BUILT_IN = "SELECT id, business_id, set_id, kind, service_template_id, service_category_id, name FROM module
        WHERE business_id = $1 AND kind > 0 AND kind = $2 ORDER BY id LIMIT 1";
    /// Served by `module_name`.
    FIND_NAMED = "SELECT id FROM module WHERE business_id = $1 AND set_id = $2 AND name = $3";
    /// Served by `module_category`.
    FIND_OF_CATEGORY = "SELECT id FROM module WHERE service_category_id = $1 LIMIT 1";
    /// Served by `module_category`.
    COUNT_BY_CATEGORY = "SELECT service_category_id, count(*) FROM module
        WHERE business_id = $1 AND service_category_id {in $2} GROUP BY service_category_id";
    /// Served by `module_template`.
    LOCK_OF_TEMPLATE = "SELECT id, business_id, set_id, kind, service_template_id, service_category_id, name, document
        FROM module WHERE business_id = $1 AND service_template_id > 0 AND service_template_id = $2 ORDER BY id {for update}";
    /// Served by `module_template`.
    FIND_OF_TEMPLATE = "SELECT id FROM module
        WHERE business_id = $1 AND service_template_id > 0 AND service_template_id = $2 LIMIT 1";
    /// Served by `module_template`.
    COUNT_BY_TEMPLATE = "SELECT service_template_id, count(*) FROM module
        WHERE business_id = $1 AND service_template_id > 0 AND service_template_id {in $2} GROUP BY service_template_id";
    /// Served by `module_name`.
    FIND_NAMED_BESIDE = "SELECT id FROM module
        WHERE business_id = $1 AND set_id {in $2} AND name = $3 AND service_template_id <> $4 LIMIT 1";
    /// Served by `module_name`.
    LIST_NAMED = "SELECT id, set_id, name FROM module WHERE business_id = $1 AND set_id {in $2} AND name {in $3} ORDER BY id";
    /// Served by the primary key and `host_module_module`.
    LIST_WITH_HOSTS = "SELECT m.id FROM module m WHERE m.id {in $1}
        AND EXISTS (SELECT 1 FROM host_module r WHERE r.module_id = m.id) ORDER BY m.id";
    /// Served by the primary key. No stored name begins with a blank.
    MAKE_WAY = "UPDATE module SET name = ' ' || CAST(id AS TEXT) WHERE id {in $1}";
    /// Served by the primary key.
    DELETE = "DELETE FROM module WHERE id {in $1}";
    /// Served by the primary key.
    UPDATE for many = "UPDATE module SET service_category_id = $2, name = $3, document = $4 WHERE id = $1";
    /// Served by `module_business`.
    COUNT = "SELECT count(*) FROM module WHERE business_id = $1";
    /// Served by `module_business`.
    DOCUMENTS = "SELECT document FROM module WHERE business_id = $1 ORDER BY id LIMIT $2 OFFSET $3";
    /// Served by `module_set`.
    COUNT_OF_SET = "SELECT count(*) FROM module WHERE business_id = $1 AND set_id = $2";
    /// Served by `module_set`.
    DOCUMENTS_OF_SET = "SELECT document FROM module WHERE business_id = $1 AND set_id = $4
        ORDER BY id LIMIT $2 OFFSET $3";
    /// Served by `module_set`.
    IDS_OF_SETS = "SELECT id FROM module WHERE business_id = $1 AND set_id {in $2} ORDER BY id";
    /// Served by `module_set`.
    LIST_OF_SETS = "SELECT set_id, id, service_template_id, name FROM module
        WHERE business_id = $1 AND set_id {in $2} ORDER BY id";
    INSERT for many = "INSERT INTO module (id, business_id, set_id, kind, name, service_template_id, service_category_id, document)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
}

/// The key columns of a module.
#[derive(Debug, Clone, PartialEq)]
pub struct ModuleRow {
    pub id: ModuleId,
    pub business_id: BusinessId,
    pub set_id: SetId,
    /// `default` on the wire: 0 an ordinary module, else a built-in one.
    pub kind: i64,
    /// 0: the module follows no template.
    pub service_template_id: i64,
    pub service_category_id: CategoryId,
    pub name: String,
}

fn read(row: &dyn Row) -> Result<ModuleRow, StoreError> {
    Ok(ModuleRow {
        id: ModuleId(row.int(0)?),
        business_id: BusinessId(row.int(1)?),
        set_id: SetId(row.int(2)?),
        kind: row.int(3)?,
        service_template_id: row.int(4)?,
        service_category_id: CategoryId(row.int(5)?),
        name: row.text(6)?.to_owned(),
    })
}

/// A module by its id, of whatever business.
pub fn find(tx: &mut dyn Tx, id: ModuleId) -> Result<Option<ModuleRow>, StoreError> {
    tx.find(FIND, &[id.get().into()], read)
}

/// Modules by their ids, of whatever business; those that are not there are left out.
pub fn list(tx: &mut dyn Tx, ids: &[ModuleId]) -> Result<Vec<ModuleRow>, StoreError> {
    let ids: Vec<_> = ids.iter().map(|id| id.get()).collect();
    tx.list(LIST_BY_ID, &[Param::Ids(&ids)], read)
}

/// A module with its document.
#[derive(Debug, Clone, PartialEq)]
pub struct WholeModule {
    pub row: ModuleRow,
    /// JSON text.
    pub document: String,
}

/// A module, kept as it is until the end of the transaction.
pub fn lock(tx: &mut dyn Tx, id: ModuleId) -> Result<Option<WholeModule>, StoreError> {
    tx.find(LOCK, &[id.get().into()], read_whole)
}

fn read_whole(row: &dyn Row) -> Result<WholeModule, StoreError> {
    Ok(WholeModule { row: read(row)?, document: row.text(7)?.to_owned() })
}

/// Modules with their documents, in order of their ids.
pub fn list_whole(tx: &mut dyn Tx, ids: &[ModuleId]) -> Result<Vec<WholeModule>, StoreError> {
    let ids: Vec<_> = ids.iter().map(|id| id.get()).collect();
    tx.list(LIST_WHOLE, &[Param::Ids(&ids)], read_whole)
}

/// The modules of service templates with their documents, in order of their ids.
pub fn list_of_templates(
    tx: &mut dyn Tx,
    business: BusinessId,
    templates: &[ServiceTemplateId],
) -> Result<Vec<WholeModule>, StoreError> {
    let ids: Vec<_> = templates.iter().map(|id| id.get()).collect();
    tx.list(LIST_OF_TEMPLATES, &[business.get().into(), Param::Ids(&ids)], read_whole)
}

/// Stores that a module follows no template any more.
pub fn unbind(tx: &mut dyn Tx, id: ModuleId, document: &str) -> Result<(), StoreError> {
    tx.execute(UNBIND, &[id.get().into(), document.into()]).map(|_| ())
}

/// These modules, in order of their ids. They stay as they are until the end of the transaction.
pub fn lock_shared(tx: &mut dyn Tx, ids: &[ModuleId]) -> Result<Vec<ModuleRow>, StoreError> {
    let ids: Vec<_> = ids.iter().map(|id| id.get()).collect();
    tx.list(LOCK_SHARED, &[Param::Ids(&ids)], read)
}

/// The modules of these sets of a business, in order of their ids.
pub fn ids_of_sets(tx: &mut dyn Tx, business: BusinessId, sets: &[i64]) -> Result<Vec<i64>, StoreError> {
    tx.list(IDS_OF_SETS, &[business.get().into(), Param::Ids(sets)], |row| row.int(0))
}

/// The same as the templates of the sets see them, each with its set.
pub fn list_of_sets(
    tx: &mut dyn Tx,
    business: BusinessId,
    sets: &[i64],
) -> Result<Vec<(SetId, HeldModule)>, StoreError> {
    tx.list(LIST_OF_SETS, &[business.get().into(), Param::Ids(sets)], |row| {
        let (id, service_template_id) = (ModuleId(row.int(1)?), row.int(2)?);
        Ok((SetId(row.int(0)?), HeldModule { id, service_template_id, name: row.text(3)?.to_owned() }))
    })
}

/// All modules of a business, in order of their ids.
pub fn list_of_business(tx: &mut dyn Tx, business: BusinessId) -> Result<Vec<ModuleRow>, StoreError> {
    tx.list(LIST, &[business.get().into()], read)
}

/// The built-in modules of a business: idle, fault, recycle, then others.
pub fn list_built_in(tx: &mut dyn Tx, business: BusinessId) -> Result<Vec<ModuleRow>, StoreError> {
    tx.list(LIST_BUILT_IN, &[business.get().into()], read)
}

/// The built-in module of a kind (1 idle, 2 fault, 3 recycle), see [`rollcall_domain::module::BuiltIn`].
pub fn find_built_in(tx: &mut dyn Tx, business: BusinessId, kind: i64) -> Result<Option<ModuleRow>, StoreError> {
    tx.find(FIND_BUILT_IN, &[business.get().into(), kind.into()], read)
}

/// The module of exactly this name in a set.
pub fn find_named(
    tx: &mut dyn Tx,
    business: BusinessId,
    set: SetId,
    name: &str,
) -> Result<Option<ModuleId>, StoreError> {
    let params = [business.get().into(), set.get().into(), name.into()];
    tx.find(FIND_NAMED, &params, |row| row.int(0).map(ModuleId))
}

/// Whether a module of any business is of this category.
pub fn uses_category(tx: &mut dyn Tx, category: CategoryId) -> Result<bool, StoreError> {
    Ok(tx.find(FIND_OF_CATEGORY, &[category.get().into()], |_| Ok(()))?.is_some())
}

/// How many modules of a business are of these categories. Those without any are left out.
pub fn count_by_category(
    tx: &mut dyn Tx,
    business: BusinessId,
    categories: &[CategoryId],
) -> Result<Vec<(CategoryId, i64)>, StoreError> {
    let ids: Vec<_> = categories.iter().map(|id| id.get()).collect();
    let params = [business.get().into(), Param::Ids(&ids)];
    tx.list(COUNT_BY_CATEGORY, &params, |row| Ok((CategoryId(row.int(0)?), row.int(1)?)))
}

/// The modules that follow a template, in order of their ids, kept as they are until the end of the transaction.
pub fn lock_followers(
    tx: &mut dyn Tx,
    business: BusinessId,
    template: ServiceTemplateId,
) -> Result<Vec<WholeModule>, StoreError> {
    tx.list(LOCK_OF_TEMPLATE, &[business.get().into(), template.get().into()], read_whole)
}

/// How many modules of a business follow each of these templates. Those without any are left out.
pub fn count_by_template(
    tx: &mut dyn Tx,
    business: BusinessId,
    templates: &[i64],
) -> Result<Vec<(ServiceTemplateId, i64)>, StoreError> {
    let params = [business.get().into(), Param::Ids(templates)];
    tx.list(COUNT_BY_TEMPLATE, &params, |row| Ok((ServiceTemplateId(row.int(0)?), row.int(1)?)))
}

/// Whether a module follows a template.
pub fn uses_template(tx: &mut dyn Tx, business: BusinessId, template: ServiceTemplateId) -> Result<bool, StoreError> {
    Ok(tx.find(FIND_OF_TEMPLATE, &[business.get().into(), template.get().into()], |_| Ok(()))?.is_some())
}

/// Whether a module of this name that does not follow the template is in one of these sets.
pub fn is_named_beside(
    tx: &mut dyn Tx,
    business: BusinessId,
    sets: &[i64],
    name: &str,
    template: ServiceTemplateId,
) -> Result<bool, StoreError> {
    let params = [business.get().into(), Param::Ids(sets), name.into(), template.get().into()];
    Ok(tx.find(FIND_NAMED_BESIDE, &params, |_| Ok(()))?.is_some())
}

/// Stores what modules have become: name, category, document.
pub fn update(tx: &mut dyn Tx, modules: &[WholeModule]) -> Result<(), StoreError> {
    let params = modules.iter().flat_map(|WholeModule { row, document }| {
        let (id, category) = (row.id.get(), row.service_category_id.get());
        [Param::Int(id), category.into(), (&row.name).into(), document.into()]
    });
    tx.execute_many(UPDATE, 4, &params.collect::<Vec<_>>())
}

/// A module under its name in its set.
#[derive(Debug, Clone, PartialEq)]
pub struct NamedModule {
    pub id: ModuleId,
    pub set_id: SetId,
    pub name: String,
}

/// The modules of these sets of a business that have one of these names, in order of their ids.
pub fn list_named(
    tx: &mut dyn Tx,
    business: BusinessId,
    sets: &[SetId],
    names: &[&str],
) -> Result<Vec<NamedModule>, StoreError> {
    let sets: Vec<_> = sets.iter().map(|id| id.get()).collect();
    tx.list(LIST_NAMED, &[business.get().into(), Param::Ids(&sets), Param::Texts(names)], |row| {
        Ok(NamedModule { id: ModuleId(row.int(0)?), set_id: SetId(row.int(1)?), name: row.text(2)?.to_owned() })
    })
}

/// Lets modules go of their names, until [`update`] gives them others.
pub fn make_way(tx: &mut dyn Tx, ids: &[ModuleId]) -> Result<usize, StoreError> {
    let ids: Vec<_> = ids.iter().map(|id| id.get()).collect();
    tx.execute(MAKE_WAY, &[Param::Ids(&ids)])
}

/// Which of these modules have hosts in them.
pub fn list_with_hosts(tx: &mut dyn Tx, ids: &[ModuleId]) -> Result<Vec<ModuleId>, StoreError> {
    let ids: Vec<_> = ids.iter().map(|id| id.get()).collect();
    tx.list(LIST_WITH_HOSTS, &[Param::Ids(&ids)], |row| row.int(0).map(ModuleId))
}

/// Removes modules that nothing is in.
pub fn delete(tx: &mut dyn Tx, ids: &[ModuleId]) -> Result<usize, StoreError> {
    let ids: Vec<_> = ids.iter().map(|id| id.get()).collect();
    tx.execute(DELETE, &[Param::Ids(&ids)])
}

/// How many modules a business has, or one set of it.
pub fn count(tx: &mut dyn Tx, business: BusinessId, set: Option<SetId>) -> Result<usize, StoreError> {
    let business = business.get().into();
    crate::engine::size(match set {
        None => tx.number(COUNT, &[business])?,
        Some(set) => tx.number(COUNT_OF_SET, &[business, set.get().into()])?,
    })
}

/// Hands over the wire documents of a part of the modules of a business, or of one set of it, in order of their ids.
pub fn each_document(
    tx: &mut dyn Tx,
    business: BusinessId,
    set: Option<SetId>,
    (start, limit): (usize, usize),
    each: &mut dyn FnMut(&str) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let params = [
        business.get().into(),
        i64::try_from(limit).unwrap_or(i64::MAX).into(),
        i64::try_from(start).unwrap_or(i64::MAX).into(),
        set.map_or(0, SetId::get).into(),
    ];
    let (sql, params) = match set {
        None => (DOCUMENTS, &params[..3]),
        Some(_) => (DOCUMENTS_OF_SET, &params[..]),
    };
    tx.query(sql, params, &mut |row| each(row.text(0)?))
}

/// Stores modules.
pub fn insert(tx: &mut dyn Tx, modules: &[NewModule]) -> Result<(), StoreError> {
    let mut params = Vec::with_capacity(modules.len() * 8);
    for module in modules {
        params.extend([
            Param::Int(module.id.get()),
            module.business_id.get().into(),
            module.set_id.get().into(),
            module.kind.into(),
            (&module.name).into(),
            module.service_template_id.into(),
            module.service_category_id.get().into(),
            (&module.document).into(),
        ]);
    }
    tx.execute_many(INSERT, 8, &params)
}
