//! Set templates: of which service templates a set has a module, and which values some of its attributes have (`templates` 13). How
//! far a set is from its template is decided here once, for all who ask.

use crate::fault::{Cause, Fault, Reason};
use crate::id::{BusinessId, ModuleId, SUPPLIER_ACCOUNT, ServiceTemplateId, SetTemplateId};
use crate::json::{Json, JsonWriter, Limits, Object, Schema, parse};
use crate::model::Model;
use crate::record;
use crate::template_attribute::{TemplateAttribute, find_eligible};
use crate::topology::Birth;
use std::collections::{BTreeSet, HashMap, HashSet};

/// The most service templates of a set template.
pub const MAX_SERVICES: usize = 1000;

/// A set template as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct SetTemplate {
    pub id: SetTemplateId,
    pub business_id: BusinessId,
    pub name: String,
    /// The record, as the wire shows it: JSON text.
    pub document: String,
}

impl SetTemplate {
    /// A new template in its business; the name is checked.
    pub fn new(id: SetTemplateId, business_id: BusinessId, name: &str, birth: &Birth<'_>) -> Self {
        let mut out = JsonWriter::with_capacity(256);
        out.raw("{\"id\":").int(id.get());
        out.raw(",\"name\":").text(name);
        out.raw(",\"bk_biz_id\":").int(business_id.get());
        out.raw(",\"creator\":").text(birth.user).raw(",\"modifier\":").text(birth.user);
        out.raw(",\"create_time\":").text(birth.time).raw(",\"last_time\":").text(birth.time);
        out.raw(",\"bk_supplier_account\":").text(SUPPLIER_ACCOUNT).raw("}");
        Self { id, business_id, name: name.to_owned(), document: out.finish() }
    }

    /// The template with another name, or with other service templates. `None` when its document cannot be read.
    pub fn changed(&self, name: &str, user: &str, time: &str) -> Option<Self> {
        let Ok(Json::Object(mut record)) = parse(self.document.as_bytes(), Limits::default()) else { return None };
        record::put(&mut record, [("name", name.into()), ("modifier", user.into()), ("last_time", time.into())]);
        Some(Self { name: name.to_owned(), document: Json::Object(record).to_string(), ..self.clone() })
    }

    /// The template with its service templates, as the audit and events tell it.
    pub fn state(&self, services: &BTreeSet<ServiceTemplateId>) -> String {
        let record = self.document.strip_suffix('}').unwrap_or(&self.document);
        let mut out = JsonWriter::with_capacity(record.len() + 32 + services.len() * 8);
        out.raw(record).raw(",\"service_template_ids\":");
        write_ids(&mut out, services);
        out.raw("}");
        out.finish()
    }

    /// The shape of a template.
    pub fn schema() -> Schema {
        Schema::object([
            ("id", Schema::Integer),
            ("name", Schema::Text),
            ("bk_biz_id", Schema::Integer),
            ("creator", Schema::Text),
            ("modifier", Schema::Text),
            ("create_time", Schema::Time),
            ("last_time", Schema::Time),
            ("bk_supplier_account", Schema::Text),
        ])
    }
}

/// Ids of service templates as a JSON list.
pub fn write_ids(out: &mut JsonWriter, services: &BTreeSet<ServiceTemplateId>) {
    out.raw("[");
    for id in services {
        out.separate().int(id.get());
    }
    out.raw("]");
}

/// A change that a caller wants of a template; what is `None` stays.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Wish {
    /// Checked, without the blanks around it.
    pub name: Option<String>,
    /// All service templates, in the order of the request.
    pub services: Option<Vec<i64>>,
}

impl Wish {
    /// Of what was sent. A name that is none has the number of a body that says nothing (`templates` T3).
    pub fn read(name: &str, services: Option<&[i64]>) -> Result<Self, Fault> {
        let name = match name {
            "" => None,
            name => Some(
                record::template_name(name, &"name".into())
                    .map_err(|fault| Fault { cause: Cause::NothingToChange, ..fault })?,
            ),
        };
        Ok(Self { name, services: services.map(<[i64]>::to_vec) })
    }

    /// Refuses a request that wants nothing.
    pub fn check_any(&self) -> Result<(), Fault> {
        if *self != Self::default() {
            return Ok(());
        }
        Err(Fault::new(Cause::NothingToChange, "name").named("name, service_template_ids").because(Reason::Blank))
    }
}

/// What a set template says of its sets.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Blueprint {
    /// The service templates that a set has a module of each, with their names, in order of their ids.
    pub services: Vec<(ServiceTemplateId, String)>,
    pub attributes: Vec<TemplateAttribute>,
}

/// A module of a set, as far as its set's template asks.
#[derive(Debug, Clone, PartialEq)]
pub struct HeldModule {
    pub id: ModuleId,
    /// 0: the module follows none.
    pub service_template_id: i64,
    pub name: String,
}

/// What a synchronization of a set would do to one of its modules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// The set template does not list the module's service template.
    Remove,
    /// It has not the name of its service template.
    Rename,
    /// It is as it should be.
    Keep,
    /// There is none of the service template yet.
    Add,
}

impl Step {
    /// `diff_type` on the wire.
    pub fn wire(self) -> &'static str {
        match self {
            Self::Remove => "remove",
            Self::Rename => "changed",
            Self::Keep => "unchanged",
            Self::Add => "add",
        }
    }
}

/// A module of a set beside the service template it should follow.
#[derive(Debug, Clone, PartialEq)]
pub struct ModuleDifference {
    pub step: Step,
    /// `None`: it is not there yet.
    pub module_id: Option<ModuleId>,
    /// The name it has, or would get.
    pub module_name: String,
    /// 0: the module follows none.
    pub service_template_id: i64,
    /// "" when the set template does not list it.
    pub service_template_name: String,
}

/// An attribute of a set template beside the value of a set.
#[derive(Debug, Clone, PartialEq)]
pub struct AttributeDifference {
    pub attribute_id: i64,
    /// The attribute's name in the set's record.
    pub field: &'static str,
    pub wanted: Json,
    pub held: Json,
}

/// How far a set is from its template.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SetDifference {
    /// What goes first, what comes last: names are free by then.
    pub modules: Vec<ModuleDifference>,
    /// Every attribute of the template, the equal ones too.
    pub attributes: Vec<AttributeDifference>,
}

impl Blueprint {
    /// How far a set with this record and these modules is from what the template says.
    pub fn difference(&self, set: &Object, modules: &[HeldModule]) -> SetDifference {
        let names: HashMap<i64, &str> = self.services.iter().map(|(id, name)| (id.get(), name.as_str())).collect();
        let mut present = HashSet::new();
        let mut differences: Vec<_> = modules
            .iter()
            .map(|module| {
                // Names are unique in a set, so that there is one module of a service template; of more the others had to go.
                let wanted = names.get(&module.service_template_id).copied();
                let wanted = wanted.filter(|_| present.insert(module.service_template_id));
                let step = match wanted {
                    None => Step::Remove,
                    Some(name) if name == module.name => Step::Keep,
                    Some(_) => Step::Rename,
                };
                ModuleDifference {
                    step,
                    module_id: Some(module.id),
                    module_name: module.name.clone(),
                    service_template_id: module.service_template_id,
                    service_template_name: wanted.unwrap_or_default().to_owned(),
                }
            })
            .collect();
        let missing = self.services.iter().filter(|(id, _)| !present.contains(&id.get()));
        differences.extend(missing.map(|(id, name)| ModuleDifference {
            step: Step::Add,
            module_id: None,
            module_name: name.clone(),
            service_template_id: id.get(),
            service_template_name: name.clone(),
        }));
        differences.sort_by_key(|difference| difference.step);
        SetDifference { modules: differences, attributes: self.compare_attributes(set) }
    }

    fn compare_attributes(&self, set: &Object) -> Vec<AttributeDifference> {
        let compared = self.attributes.iter().filter_map(|attribute| {
            let field = find_eligible(Model::Set, attribute.attribute_id)?.id;
            Some(AttributeDifference {
                attribute_id: attribute.attribute_id,
                field,
                wanted: attribute.value.clone(),
                held: set.get(field).cloned().unwrap_or(Json::Null),
            })
        });
        compared.collect()
    }
}

impl SetDifference {
    /// Whether a synchronization would change the set or one of its modules.
    pub fn needs_sync(&self) -> bool {
        self.modules.iter().any(|module| module.step != Step::Keep) || self.unequal().next().is_some()
    }

    /// The attributes that a synchronization would change.
    pub fn unequal(&self) -> impl Iterator<Item = &AttributeDifference> {
        self.attributes.iter().filter(|attribute| attribute.wanted != attribute.held)
    }

    /// The modules that a synchronization would remove.
    pub fn removed(&self) -> impl Iterator<Item = ModuleId> {
        self.modules.iter().filter(|module| module.step == Step::Remove).filter_map(|module| module.module_id)
    }
}

impl ModuleDifference {
    /// As the wire shows it.
    pub fn write(&self, out: &mut JsonWriter) {
        out.raw("{\"bk_module_id\":").int(self.module_id.map_or(0, ModuleId::get));
        out.raw(",\"bk_module_name\":").text(&self.module_name);
        out.raw(",\"service_template_id\":").int(self.service_template_id);
        out.raw(",\"service_template_name\":").text(&self.service_template_name);
        out.raw(",\"diff_type\":").text(self.step.wire()).raw("}");
    }

    /// The shape of a module's difference.
    pub fn schema() -> Schema {
        Schema::object([
            ("bk_module_id", Schema::Integer),
            ("bk_module_name", Schema::Text),
            ("service_template_id", Schema::Integer),
            ("service_template_name", Schema::Text),
            ("diff_type", Schema::Text),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::TemplateAttributeId;
    use crate::model::catalogue;
    use proptest::prelude::*;

    const BIRTH: Birth<'static> = Birth { time: "T", user: "ann" };

    fn template() -> SetTemplate {
        SetTemplate::new(SetTemplateId(6), BusinessId(20), "test", &BIRTH)
    }

    #[test]
    fn a_template_reads_as_documented() {
        assert_eq!(
            template().document,
            concat!(
                r#"{"id":6,"name":"test","bk_biz_id":20,"creator":"ann","modifier":"ann","create_time":"T","last_time":"T","#,
                r#""bk_supplier_account":"0"}"#
            )
        );
        let changed = template().changed("new", "tom", "U").unwrap();
        assert_eq!(
            changed.document,
            concat!(
                r#"{"id":6,"name":"new","bk_biz_id":20,"creator":"ann","modifier":"tom","create_time":"T","last_time":"U","#,
                r#""bk_supplier_account":"0"}"#
            )
        );
        let state = template().state(&BTreeSet::from([ServiceTemplateId(2), ServiceTemplateId(1)]));
        assert!(state.ends_with(r#""bk_supplier_account":"0","service_template_ids":[1,2]}"#), "{state}");
    }

    #[test]
    fn what_a_change_may_say() {
        let check = |name: &str, services: Option<&[i64]>, want: Result<(Option<&str>, Option<usize>), &str>| {
            let wish = Wish::read(name, services).and_then(|wish| wish.check_any().map(|()| wish));
            let found = wish.as_ref().map(|wish| (wish.name.as_deref(), wish.services.as_ref().map(Vec::len)));
            let found = found.map_err(|fault| {
                assert_eq!(fault.cause, Cause::NothingToChange);
                fault.path.as_str()
            });
            assert_eq!(found, want, "{name:?} {services:?}");
        };
        check(" a ", None, Ok((Some("a"), None)));
        check("", Some(&[]), Ok((None, Some(0))));
        check("", Some(&[1, 2]), Ok((None, Some(2))));
        check("", None, Err("name"));
        check("a b", Some(&[1]), Err("name"));
        check("  ", None, Err("name"));
    }

    /// The number of an attribute of sets.
    fn number(id: &str) -> i64 {
        let mut all = catalogue();
        all.find(|(_, model, attribute)| *model == Model::Set && attribute.id == id).unwrap().0
    }

    fn fixed(id: &str, value: Json) -> TemplateAttribute {
        TemplateAttribute { id: TemplateAttributeId(1), attribute_id: number(id), value, document: String::new() }
    }

    fn held(id: i64, service_template_id: i64, name: &str) -> HeldModule {
        HeldModule { id: ModuleId(id), service_template_id, name: name.to_owned() }
    }

    #[test]
    fn each_difference_is_told() {
        let blueprint = Blueprint {
            services: vec![
                (ServiceTemplateId(1), "a".into()),
                (ServiceTemplateId(2), "b".into()),
                (ServiceTemplateId(3), "c".into()),
            ],
            attributes: vec![fixed("bk_capacity", Json::Int(5)), fixed("bk_set_desc", "d".into())],
        };
        let set = Object::from_iter([("bk_set_desc".to_owned(), "d".into())]);
        let modules = [held(10, 1, "a"), held(11, 9, "x"), held(12, 2, "old"), held(13, 0, "free")];
        let difference = blueprint.difference(&set, &modules);
        let told: Vec<_> = difference.modules.iter().map(|it| (it.step.wire(), it.module_name.as_str())).collect();
        let want = [("remove", "x"), ("remove", "free"), ("changed", "old"), ("unchanged", "a"), ("add", "c")];
        assert_eq!(told, want);
        let mut out = JsonWriter::default();
        difference.modules[4].write(&mut out);
        assert_eq!(
            out.finish(),
            concat!(
                r#"{"bk_module_id":0,"bk_module_name":"c","service_template_id":3,"service_template_name":"c","#,
                r#""diff_type":"add"}"#
            )
        );
        let unequal: Vec<_> = difference.unequal().map(|it| (it.field, &it.held)).collect();
        assert_eq!(unequal, [("bk_capacity", &Json::Null)]);
        assert_eq!(difference.attributes.len(), 2);
        assert!(difference.needs_sync());
        assert_eq!(difference.removed().collect::<Vec<_>>(), [ModuleId(11), ModuleId(13)]);
    }

    /// What a synchronization makes of a set.
    fn synchronized(difference: &SetDifference, set: &Object, modules: &[HeldModule]) -> (Object, Vec<HeldModule>) {
        let mut set = set.clone();
        for attribute in difference.unequal() {
            set.insert(attribute.field, attribute.wanted.clone());
        }
        let mut modules = modules.to_vec();
        for (place, step) in difference.modules.iter().enumerate() {
            let is_it = |module: &HeldModule| Some(module.id) == step.module_id;
            match step.step {
                Step::Remove => modules.retain(|module| !is_it(module)),
                Step::Rename => {
                    let module = modules.iter_mut().find(|module| is_it(module)).unwrap();
                    module.name.clone_from(&step.service_template_name);
                }
                Step::Keep => {}
                Step::Add => {
                    let id = 1000 + i64::try_from(place).unwrap();
                    modules.push(held(id, step.service_template_id, &step.module_name));
                }
            }
            // No step finds its name taken by a module that a later one removes.
            let names: HashSet<_> = modules.iter().map(|module| &module.name).collect();
            let renamed_later = difference.modules[place..].iter().any(|later| later.step == Step::Rename);
            assert!(names.len() == modules.len() || renamed_later, "{modules:?}");
        }
        (set, modules)
    }

    fn blueprints() -> impl Strategy<Value = Blueprint> {
        let services = proptest::collection::btree_set(1..8_i64, 0..6);
        let attributes = (proptest::option::of(0..3_i64), proptest::option::of("[ab]"));
        (services, attributes).prop_map(|(services, (capacity, text))| Blueprint {
            services: services.into_iter().map(|id| (ServiceTemplateId(id), format!("st{id}"))).collect(),
            attributes: capacity
                .map(|capacity| fixed("bk_capacity", Json::Int(capacity)))
                .into_iter()
                .chain(text.map(|text| fixed("bk_set_desc", text.into())))
                .collect(),
        })
    }

    fn sets() -> impl Strategy<Value = (Object, Vec<HeldModule>)> {
        let modules = proptest::collection::btree_map(0..8_i64, proptest::bool::weighted(0.8), 0..6);
        let record = (proptest::option::of(0..3_i64), proptest::option::of("[ab]"));
        (modules, record).prop_map(|(modules, (capacity, text))| {
            let modules = modules.into_iter().zip(10..).map(|((template, is_named), id)| {
                held(id, template, &format!("{}{template}", if is_named { "st" } else { "old" }))
            });
            let mut record = Object::new();
            record.insert("bk_capacity", capacity.map_or(Json::Null, Json::Int));
            record.insert("bk_set_desc", text.map_or(Json::Null, Json::from));
            (record, modules.collect())
        })
    }

    proptest! {
        /// templates, invariant 24 as far as the rule goes: what a synchronization does leaves nothing to do, and changes nothing
        /// that is as it should be.
        #[test]
        fn a_set_that_was_synchronized_is_what_its_template_says(blueprint in blueprints(), set in sets()) {
            let (record, modules) = set;
            let difference = blueprint.difference(&record, &modules);
            let (after, after_modules) = synchronized(&difference, &record, &modules);
            let again = blueprint.difference(&after, &after_modules);
            prop_assert!(!again.needs_sync(), "{again:?}");
            prop_assert_eq!(again.modules.len(), blueprint.services.len());
            for kept in difference.modules.iter().filter(|it| matches!(it.step, Step::Keep | Step::Rename)) {
                prop_assert!(again.modules.iter().any(|it| it.module_id == kept.module_id));
            }
        }

        /// The rule of the original (`templates` 13, the last line), said in its own words.
        #[test]
        fn a_set_needs_a_synchronization_when_the_original_says_so(blueprint in blueprints(), set in sets()) {
            let (record, modules) = set;
            let names: HashMap<i64, &str> = blueprint.services.iter().map(|(id, name)| (id.get(), name.as_str())).collect();
            let is_other = |module: &HeldModule| names.get(&module.service_template_id) != Some(&module.name.as_str());
            let is_unequal = |it: &TemplateAttribute| {
                record.get(find_eligible(Model::Set, it.attribute_id).unwrap().id) != Some(&it.value)
            };
            let needs = modules.len() != blueprint.services.len()
                || modules.iter().any(is_other)
                || blueprint.attributes.iter().any(is_unequal);
            prop_assert_eq!(blueprint.difference(&record, &modules).needs_sync(), needs);
        }
    }
}
