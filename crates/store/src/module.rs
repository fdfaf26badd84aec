//! Modules of sets.

use crate::{StoreError, Tx};
use rollcall_domain::id::{BusinessId, CategoryId, ModuleId, SetId};

crate::statements! {
    /// Served by the primary key.
    FIND = "SELECT id, business_id, set_id, kind, service_template_id, service_category_id, name FROM module WHERE id = $1";
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

/// A module by its id, of whatever business.
pub fn find(tx: &mut dyn Tx, id: ModuleId) -> Result<Option<ModuleRow>, StoreError> {
    tx.find(FIND, &[id.get().into()], |row| {
        Ok(ModuleRow {
            id: ModuleId(row.int(0)?),
            business_id: BusinessId(row.int(1)?),
            set_id: SetId(row.int(2)?),
            kind: row.int(3)?,
            service_template_id: row.int(4)?,
            service_category_id: CategoryId(row.int(5)?),
            name: row.text(6)?.to_owned(),
        })
    })
}
