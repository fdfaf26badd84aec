//! What a template says about the attributes of what follows it: a service template of its modules, a set template of its sets
//! (`templates` 6, 13).

use crate::fault::{Cause, Fault, Reason};
use crate::id::{BusinessId, SUPPLIER_ACCOUNT, ServiceTemplateId, SetTemplateId, TemplateAttributeId};
use crate::json::{FieldPath, Json, JsonWriter, Limits, Object, Schema, parse};
use crate::model::{Attribute, Model, catalogue};
use crate::record;
use crate::topology::Birth;
use crate::wire_input;
use std::collections::{HashMap, HashSet};

wire_input! {
    /// The value that a template fixes for an attribute.
    pub struct TemplateAttributeIn {
        /// The number of an attribute of modules, or of sets, as search_object_attribute tells it.
        pub attribute_id: i64 = "bk_attribute_id",
        /// The value, as the attribute takes it.
        pub value: Json = "bk_property_value",
    }
}

/// The most attributes a call may carry.
pub const MAX_PER_CALL: usize = 100;

/// The template that fixes attributes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Owner {
    Service(ServiceTemplateId),
    Set(SetTemplateId),
}

impl Owner {
    /// Whose attributes they are.
    pub fn model(self) -> Model {
        match self {
            Self::Service(_) => Model::Module,
            Self::Set(_) => Model::Set,
        }
    }

    /// The template's id.
    pub fn get(self) -> i64 {
        match self {
            Self::Service(id) => id.get(),
            Self::Set(id) => id.get(),
        }
    }

    /// What the template's id is called on the wire.
    pub fn field(self) -> &'static str {
        owner_field(self.model())
    }
}

/// What the id of the template is called that fixes attributes of a model.
fn owner_field(model: Model) -> &'static str {
    if model == Model::Set { "set_template_id" } else { "service_template_id" }
}

/// An attribute of a template as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct TemplateAttribute {
    pub id: TemplateAttributeId,
    /// The number of the model's attribute, see [`catalogue`].
    pub attribute_id: i64,
    pub value: Json,
    /// The whole record, as the wire shows it: JSON text.
    pub document: String,
}

/// A value that a caller wants for an attribute, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Wanted {
    pub attribute_id: i64,
    pub value: Json,
}

/// The values that templates' attributes fix, by the names of the attributes.
pub fn values_of(model: Model, attributes: &[TemplateAttribute]) -> Object {
    let named = attributes.iter().filter_map(|held| {
        let attribute = find_eligible(model, held.attribute_id)?;
        Some((attribute.id.to_owned(), held.value.clone()))
    });
    named.collect()
}

/// The attribute of this number, if templates may fix it for the records of a model.
pub fn find_eligible(model: Model, number: i64) -> Option<&'static Attribute> {
    // What every follower takes from the template itself.
    const OWN: [&str; 2] = ["bk_module_name", "bk_set_name"];
    let eligible = |attribute: &Attribute| attribute.editable && !attribute.by_server && !OWN.contains(&attribute.id);
    let mut all = catalogue().filter(|(_, of, attribute)| *of == model && eligible(attribute));
    all.find(|(known, ..)| *known == number).map(|(.., attribute)| attribute)
}

/// Checks a list of attributes against the model: first what is missing or doubled, then what the values are. Each stage tells all.
pub fn read_wanted(model: Model, given: &[TemplateAttributeIn], at: &FieldPath) -> Result<Vec<Wanted>, Vec<Fault>> {
    let mut faults = Vec::new();
    let mut first_at: HashMap<i64, FieldPath> = HashMap::new();
    for (i, entry) in given.iter().enumerate() {
        let id_at = at.index(i).field("bk_attribute_id");
        if entry.attribute_id == 0 {
            faults.push(Fault::new(Cause::NotSet, id_at).named("bk_attribute_id"));
        } else if let Some(other) = first_at.get(&entry.attribute_id) {
            let reason = Reason::TakenInRequest { value: entry.attribute_id.to_string(), other: other.clone() };
            faults.push(Fault::new(Cause::ParamInvalid, id_at).named("bk_attribute_id").because(reason));
        } else {
            first_at.insert(entry.attribute_id, id_at);
        }
        if entry.value == Json::Null {
            let value_at = at.index(i).field("bk_property_value");
            faults.push(Fault::new(Cause::NotSet, value_at).named("bk_property_value"));
        }
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    let mut wanted = Vec::with_capacity(given.len());
    for (i, entry) in given.iter().enumerate() {
        match find_eligible(model, entry.attribute_id) {
            None => faults.push(unusable(&at.index(i).field("bk_attribute_id"), entry.attribute_id)),
            Some(attribute) => {
                match record::checked(attribute, &entry.value, &at.index(i).field("bk_property_value")) {
                    Ok(value) => wanted.push(Wanted { attribute_id: entry.attribute_id, value }),
                    Err(wrong) => faults.extend(wrong),
                }
            }
        }
    }
    if faults.is_empty() { Ok(wanted) } else { Err(faults) }
}

/// Of an attribute that is none a template could have, or none that it has.
pub fn unusable(at: &FieldPath, attribute_id: i64) -> Fault {
    Fault::absent(Cause::ParamUnusable, at.clone(), attribute_id).named("attributes")
}

/// What has to be done to the attributes of a template so that they are as a caller wants them.
#[derive(Debug, Default, PartialEq)]
pub struct Plan {
    pub deleted: Vec<TemplateAttribute>,
    pub added: Vec<Wanted>,
    /// Before and after.
    pub changed: Vec<(TemplateAttribute, TemplateAttribute)>,
}

impl Plan {
    /// All attributes are to be those wanted, and no others (`templates` 5, S4). Values that are as they should be stay untouched.
    pub fn replace(stored: Vec<TemplateAttribute>, wanted: Vec<Wanted>) -> Self {
        let kept: HashSet<_> = wanted.iter().map(|want| want.attribute_id).collect();
        let (stored, deleted) = stored.into_iter().partition(|held| kept.contains(&held.attribute_id));
        Self { deleted, ..Self::put(stored, wanted) }
    }

    /// The attributes wanted are to be there, whatever others there are.
    pub fn put(stored: Vec<TemplateAttribute>, wanted: Vec<Wanted>) -> Self {
        let mut stored: HashMap<i64, TemplateAttribute> =
            stored.into_iter().map(|held| (held.attribute_id, held)).collect();
        let mut plan = Self::default();
        for want in wanted {
            match stored.remove(&want.attribute_id) {
                None => plan.added.push(want),
                Some(held) if held.value == want.value => {}
                Some(held) => {
                    let after = held.with_value(want.value);
                    plan.changed.push((held, after));
                }
            }
        }
        plan
    }

    /// Whether nothing has to be done.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The fields of a template's attribute, in the order of the wire, with what stands there when a caller has not picked them; the id of
/// the template goes behind the first two.
const FIELDS: [(&str, &str); 9] = [
    ("id", "0"),
    ("bk_biz_id", "0"),
    ("bk_attribute_id", "0"),
    ("bk_property_value", "null"),
    ("creator", "\"\""),
    ("modifier", "\"\""),
    ("create_time", "\"0001-01-01T00:00:00Z\""),
    ("last_time", "\"0001-01-01T00:00:00Z\""),
    ("bk_supplier_account", "\"\""),
];

impl Wanted {
    /// The attribute of a template.
    pub fn place(
        self,
        id: TemplateAttributeId,
        business: BusinessId,
        template: Owner,
        birth: &Birth<'_>,
    ) -> TemplateAttribute {
        let Self { attribute_id, value } = self;
        let mut out = JsonWriter::with_capacity(320);
        out.raw("{\"id\":").int(id.get());
        out.raw(",\"bk_biz_id\":").int(business.get());
        out.key(template.field()).int(template.get());
        out.raw(",\"bk_attribute_id\":").int(attribute_id);
        out.raw(",\"bk_property_value\":").value(&value);
        out.raw(",\"creator\":").text(birth.user).raw(",\"modifier\":").text(birth.user);
        out.raw(",\"create_time\":").text(birth.time).raw(",\"last_time\":").text(birth.time);
        out.raw(",\"bk_supplier_account\":").text(SUPPLIER_ACCOUNT).raw("}");
        TemplateAttribute { id, attribute_id, value, document: out.finish() }
    }
}

impl TemplateAttribute {
    /// A stored attribute. `None` when its document cannot be read.
    pub fn read(id: TemplateAttributeId, attribute_id: i64, document: &str) -> Option<Self> {
        let value = parse_document(document)?.remove("bk_property_value")?;
        Some(Self { id, attribute_id, value, document: document.to_owned() })
    }

    /// With another value; who made it and when stays (`templates` 6, A1).
    fn with_value(&self, value: Json) -> Self {
        let mut record = parse_document(&self.document).unwrap_or_default();
        record.insert("bk_property_value", value.clone());
        Self { value, document: Json::Object(record).to_string(), ..self.clone() }
    }

    /// Writes the attribute of a model; of `fields`, none means all. The others stay, without what they say.
    pub fn write(&self, out: &mut JsonWriter, model: Model, fields: &HashSet<&str>) {
        if fields.is_empty() {
            out.raw(&self.document);
            return;
        }
        let record = parse_document(&self.document).unwrap_or_default();
        out.raw("{");
        let (first, rest) = FIELDS.split_at(2);
        for (name, nothing) in first.iter().copied().chain([(owner_field(model), "0")]).chain(rest.iter().copied()) {
            out.key(name);
            match record.get(name).filter(|_| fields.contains(name)) {
                Some(value) => out.value(value),
                None => out.raw(nothing),
            };
        }
        out.raw("}");
    }

    /// The shape of a template's attribute of a model.
    pub fn schema(model: Model) -> Schema {
        Schema::object([
            ("id", Schema::Integer),
            ("bk_biz_id", Schema::Integer),
            (owner_field(model), Schema::Integer),
            ("bk_attribute_id", Schema::Integer),
            ("bk_property_value", Schema::Any),
            ("creator", Schema::Text),
            ("modifier", Schema::Text),
            ("create_time", Schema::Time),
            ("last_time", Schema::Time),
            ("bk_supplier_account", Schema::Text),
        ])
    }
}

fn parse_document(document: &str) -> Option<Object> {
    match parse(document.as_bytes(), Limits::default()) {
        Ok(Json::Object(record)) => Some(record),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The number of an attribute of modules.
    fn number(id: &str) -> i64 {
        let mut all = catalogue();
        all.find(|(_, model, attribute)| *model == Model::Module && attribute.id == id).unwrap().0
    }

    fn given(id: &str, value: impl Into<Json>) -> TemplateAttributeIn {
        TemplateAttributeIn { attribute_id: number(id), value: value.into() }
    }

    fn stored(id: i64, attribute: &str, value: &str) -> TemplateAttribute {
        let wanted = Wanted { attribute_id: number(attribute), value: value.into() };
        let birth = Birth { time: "T", user: "ann" };
        wanted.place(TemplateAttributeId(id), BusinessId(3), Owner::Service(ServiceTemplateId(5)), &birth)
    }

    #[test]
    fn what_followers_can_be_told() {
        let all: Vec<_> = catalogue().map(|(number, ..)| number).collect();
        let eligible = |model| {
            let found = all.iter().filter_map(|number| find_eligible(model, *number));
            found.map(|attribute| attribute.id).collect::<Vec<_>>()
        };
        assert_eq!(eligible(Model::Module), ["bk_module_type", "operator", "bk_bak_operator"]);
        let of_sets = ["bk_set_desc", "bk_set_env", "bk_service_status", "description", "bk_capacity"];
        assert_eq!(eligible(Model::Set), of_sets);
    }

    #[test]
    fn every_bad_attribute_of_a_stage_is_told() {
        let check = |given: &[TemplateAttributeIn], want: &[(Cause, &str)]| {
            let found = read_wanted(Model::Module, given, &"attributes".into());
            let faults = found.err().unwrap_or_default();
            let found: Vec<_> = faults.iter().map(|fault| (fault.cause, fault.path.as_str())).collect();
            assert_eq!(found, want, "{given:?}");
        };
        check(&[given("operator", "ann"), given("bk_module_type", "2")], &[]);
        check(
            &[
                TemplateAttributeIn { attribute_id: 0, value: "x".into() },
                given("operator", Json::Null),
                given("operator", "tom"),
                given("bk_module_name", "m"),
            ],
            &[
                (Cause::NotSet, "attributes[0].bk_attribute_id"),
                (Cause::NotSet, "attributes[1].bk_property_value"),
                (Cause::ParamInvalid, "attributes[2].bk_attribute_id"),
            ],
        );
        check(
            &[given("bk_module_name", "m"), given("bk_module_type", "9"), given("operator", 7)],
            &[
                (Cause::ParamUnusable, "attributes[0].bk_attribute_id"),
                (Cause::ParamUnusable, "attributes[1].bk_property_value"),
                (Cause::ParamUnusable, "attributes[2].bk_property_value"),
            ],
        );
    }

    #[test]
    fn a_whole_list_is_reached_by_the_fewest_changes() {
        let held = vec![stored(1, "operator", "ann"), stored(2, "bk_bak_operator", "tom")];
        let want = |id: &str, value: &str| Wanted { attribute_id: number(id), value: value.into() };
        let plan = Plan::replace(held.clone(), vec![want("operator", "ann"), want("bk_module_type", "2")]);
        assert_eq!(plan.deleted, held[1..]);
        assert_eq!(plan.added, [want("bk_module_type", "2")]);
        assert_eq!(plan.changed, []);
        let plan = Plan::replace(held.clone(), vec![want("bk_bak_operator", "eve"), want("operator", "ann")]);
        assert_eq!(plan.changed, [(held[1].clone(), stored(2, "bk_bak_operator", "eve"))]);
        assert!(plan.deleted.is_empty() && plan.added.is_empty());
        assert!(Plan::replace(Vec::new(), Vec::new()).is_empty());
    }

    #[test]
    fn stored_attributes_are_read_and_fields_picked() {
        let held = stored(7, "operator", "ann");
        assert_eq!(TemplateAttribute::read(held.id, held.attribute_id, &held.document), Some(held.clone()));
        let mut out = JsonWriter::default();
        held.write(&mut out, Model::Module, &HashSet::from(["bk_property_value"]));
        assert_eq!(
            out.finish(),
            concat!(
                r#"{"id":0,"bk_biz_id":0,"service_template_id":0,"bk_attribute_id":0,"bk_property_value":"ann","creator":"","#,
                r#""modifier":"","create_time":"0001-01-01T00:00:00Z","last_time":"0001-01-01T00:00:00Z","#,
                r#""bk_supplier_account":""}"#
            )
        );
    }
}
