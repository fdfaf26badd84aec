//! Businesses: what a new one must say, and what it is born with.

use crate::fault::Fault;
use crate::id::{BusinessId, CategoryId, ModuleId, SetId};
use crate::json::{FieldPath, Json, Object, Schema};
use crate::model::Model;
use crate::module::{BuiltIn, ModuleDraft, NewModule};
use crate::record;
use crate::set::{self, NewSet, SetDraft};
use crate::topology::{Birth, document_of, row_schema, text_of};

/// The `kind` of the resource pool.
pub const POOL_KIND: i64 = 1;

/// Whether a business is in use (`bk_data_status`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BusinessStatus {
    Enabled,
    /// Archived.
    Disabled,
}

impl BusinessStatus {
    /// The text in documents and columns.
    pub fn wire(self) -> &'static str {
        match self {
            Self::Enabled => "enable",
            Self::Disabled => "disabled",
        }
    }

    /// The status of a text.
    pub fn of_wire(text: &str) -> Option<Self> {
        [Self::Enabled, Self::Disabled].into_iter().find(|status| status.wire() == text)
    }
}

/// A business as the caller wants it, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct BusinessDraft {
    name: String,
    attributes: Object,
}

/// A business as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct NewBusiness {
    pub id: BusinessId,
    pub kind: i64,
    pub status: BusinessStatus,
    pub name: String,
    /// JSON text.
    pub document: String,
}

/// Checks the record of a new business. Whatever it says of its id, kind or status is the server's to say.
pub fn read_draft(given: &Object) -> Result<BusinessDraft, Vec<Fault>> {
    let attributes = record::create(Model::Business, given, &FieldPath::root())?;
    Ok(BusinessDraft { name: text_of(&attributes, "bk_biz_name"), attributes })
}

impl BusinessDraft {
    /// The name, unique among all businesses.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn place(&self, id: BusinessId, kind: i64, birth: &Birth<'_>) -> NewBusiness {
        let status = BusinessStatus::Enabled;
        let added = [
            ("bk_biz_id", Json::Int(id.get())),
            ("default", Json::Int(kind)),
            ("bk_data_status", status.wire().into()),
        ];
        NewBusiness { id, kind, status, name: self.name.clone(), document: document_of(&self.attributes, added, birth) }
    }
}

/// A business with the set and the modules that no business is without (`topology` 16, 1).
#[derive(Debug, Clone, PartialEq)]
pub struct BusinessPlan {
    pub business: NewBusiness,
    pub set: NewSet,
    /// One for each of [`BuiltIn::ALL`].
    pub modules: Vec<NewModule>,
}

/// The ids that [`plan`] gives out; the modules' are counted up from the first.
#[derive(Debug, Clone, Copy)]
pub struct PlanIds {
    pub business: BusinessId,
    pub set: SetId,
    pub first_module: ModuleId,
}

/// Plans a business: the row itself, its idle set, and the built-in modules in it.
pub fn plan(draft: &BusinessDraft, ids: PlanIds, kind: i64, birth: &Birth<'_>) -> BusinessPlan {
    let place = set::Place { business_id: ids.business, set_template_id: None, kind: set::BUILT_IN_KIND };
    let set = SetDraft::built_in().place(ids.set, place, birth);
    let modules = (ids.first_module.get()..)
        .zip(BuiltIn::ALL)
        .map(|(id, built_in)| {
            let draft = ModuleDraft::built_in(built_in);
            let place = crate::module::Place {
                business_id: ids.business,
                set_id: ids.set,
                category_id: CategoryId::DEFAULT,
                service_template_id: 0,
                set_template_id: None,
                kind: built_in.kind(),
            };
            draft.place(ModuleId(id), place, birth)
        })
        .collect();
    BusinessPlan { business: draft.place(ids.business, kind, birth), set, modules }
}

/// The shape of a stored business.
pub fn schema() -> Schema {
    row_schema(
        Model::Business,
        [("bk_biz_id", Schema::Integer), ("default", Schema::Integer), ("bk_data_status", Schema::Text)],
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::Cause;
    use crate::json::{Limits, parse};

    fn object(text: &str) -> Object {
        let json = parse(text.as_bytes(), Limits::default()).unwrap();
        json.as_object().unwrap().clone()
    }

    #[test]
    fn a_business_is_born_with_its_idle_set_and_three_modules() {
        // topology E6; recordings biz.create, topo.internal.
        let draft = read_draft(&object(
            r#"{"bk_biz_name":"oracle_biz","bk_biz_maintainer":"admin","default":1,"bk_biz_id":99}"#,
        ));
        let ids = PlanIds { business: BusinessId(3), set: SetId(4), first_module: ModuleId(7) };
        let birth = Birth { time: "T", user: "ann" };
        let plan = plan(&draft.unwrap(), ids, crate::topology::ORDINARY, &birth);
        let business = object(&plan.business.document);
        let recorded = object(
            r#"{"bk_biz_developer":null,"bk_biz_id":3,"bk_biz_maintainer":"admin","bk_biz_name":"oracle_biz",
            "bk_biz_productor":null,"bk_biz_tester":null,"bk_supplier_account":"0","create_time":"T","default":0,
            "language":"1","last_time":"T","life_cycle":"2","operator":null,"time_zone":"Asia/Shanghai"}"#,
        );
        for (field, value) in recorded.iter() {
            assert_eq!(business.get(field), Some(value), "{field}");
        }
        let set = (plan.set.id, plan.set.parent_id, plan.set.kind, plan.set.name.as_str());
        assert_eq!(set, (SetId(4), 3, 1, "空闲机池"));
        let modules: Vec<_> =
            plan.modules.iter().map(|module| (module.id.get(), module.kind, module.name.as_str())).collect();
        assert_eq!(modules, [(7, 1, "空闲机"), (8, 2, "故障机"), (9, 3, "待回收")]);
        for module in &plan.modules {
            assert_eq!((module.business_id, module.set_id), (BusinessId(3), SetId(4)));
            assert_eq!(module.service_category_id, CategoryId::DEFAULT);
        }
    }

    #[test]
    fn a_name_and_a_maintainer_are_needed() {
        // topology 5.2.
        let faults = read_draft(&Object::new()).unwrap_err();
        let found: Vec<_> = faults.iter().map(|f| (f.cause, f.path.as_str())).collect();
        assert_eq!(found, [(Cause::NotSet, "bk_biz_name"), (Cause::NotSet, "bk_biz_maintainer")]);
    }
}
