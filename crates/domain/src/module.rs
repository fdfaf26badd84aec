//! Modules: what a new one must say, what may become of one, and which ones every business has.

use crate::fault::{Cause, Fault, Reason};
use crate::id::{BusinessId, CategoryId, ModuleId, ServiceTemplateId, SetId, SetTemplateId};
use crate::json::{FieldPath, Json, Limits, Object, Schema, parse};
use crate::model::Model;
use crate::record;
use crate::service_category::ServiceCategory;
use crate::topology::{
    Birth, check_no_template, check_parent, document_of, read_attributes, read_reference, row_schema, text_of,
};

/// The modules that every business has, for hosts that serve nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BuiltIn {
    Idle,
    Fault,
    Recycle,
}

impl BuiltIn {
    /// All of them, in the order of their kinds.
    pub const ALL: [BuiltIn; 3] = [BuiltIn::Idle, BuiltIn::Fault, BuiltIn::Recycle];

    /// `default` on the wire and `kind` in the store.
    pub fn kind(self) -> i64 {
        match self {
            Self::Idle => 1,
            Self::Fault => 2,
            Self::Recycle => 3,
        }
    }

    /// The name it is given.
    pub fn name(self) -> &'static str {
        match self {
            Self::Idle => "空闲机",
            Self::Fault => "故障机",
            Self::Recycle => "待回收",
        }
    }
}

/// A module as the caller wants it, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct ModuleDraft {
    name: String,
    /// The category asked for, 0 included; whether there is such a one only the store knows.
    category_id: Option<CategoryId>,
    attributes: Object,
}

/// A module as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct NewModule {
    pub id: ModuleId,
    pub business_id: BusinessId,
    pub set_id: SetId,
    pub kind: i64,
    /// 0: the module follows no template.
    pub service_template_id: i64,
    pub service_category_id: CategoryId,
    pub name: String,
    /// JSON text.
    pub document: String,
}

/// Where a module is put.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    pub business_id: BusinessId,
    pub set_id: SetId,
    pub category_id: CategoryId,
    /// 0: it follows none.
    pub service_template_id: i64,
    /// The template of its set.
    pub set_template_id: Option<SetTemplateId>,
    pub kind: i64,
}

/// What a service template says of its modules.
#[derive(Debug, Clone, Copy)]
pub struct Dictated<'a> {
    pub name: &'a str,
    pub category_id: CategoryId,
    /// Attributes with the values they have in every module of the template.
    pub attributes: &'a Object,
}

/// The service template that the record of a new module names; `None` for none.
pub fn read_template(given: &Object) -> Result<Option<ServiceTemplateId>, Fault> {
    match read_reference(given, "service_template_id")? {
        None | Some(0) => Ok(None),
        Some(id) => Ok(Some(ServiceTemplateId(id))),
    }
}

/// Checks the record of a new module that follows no template.
pub fn read_draft(given: &Object, set: SetId) -> Result<ModuleDraft, Vec<Fault>> {
    let mut category_id = None;
    let category = read_reference(given, "service_category_id").and_then(|id| match id {
        None | Some(0) => Ok(()),
        Some(id @ 1..) => {
            category_id = Some(CategoryId(id));
            Ok(())
        }
        Some(id) => Err(Fault::absent(Cause::ParamInvalid, "service_category_id", id)),
    });
    let references = [check_no_template(given, "set_template_id"), check_parent(given, set.get()), category];
    let attributes = read_attributes(Model::Module, given, references)?;
    Ok(ModuleDraft { name: text_of(&attributes, "bk_module_name"), category_id, attributes })
}

/// Checks the record of a new module that follows a template: name and attributes are the template's, whatever the record says of
/// them. A category may be named, but only the one of the template (`templates` 8).
pub fn read_following(given: &Object, set: SetId, template: Dictated<'_>) -> Result<ModuleDraft, Vec<Fault>> {
    let category = read_reference(given, "service_category_id").and_then(|id| match id {
        Some(id) if id != template.category_id.get() => {
            Err(Fault::new(Cause::CategoryOfTemplate, "service_category_id"))
        }
        _ => Ok(()),
    });
    let references = [check_no_template(given, "set_template_id"), check_parent(given, set.get()), category];
    read_dictated(given, template, references)
}

/// A module that a set gets from its template: everything is its service template's, or missing.
pub fn draft_following(template: Dictated<'_>) -> Result<ModuleDraft, Vec<Fault>> {
    read_dictated(&Object::new(), template, [])
}

fn read_dictated<const N: usize>(
    given: &Object,
    template: Dictated<'_>,
    references: [Result<(), Fault>; N],
) -> Result<ModuleDraft, Vec<Fault>> {
    let mut dictated = given.clone();
    dictated.insert("bk_module_name", template.name.into());
    for (field, value) in template.attributes.iter() {
        dictated.insert(field, value.clone());
    }
    let attributes = read_attributes(Model::Module, &dictated, references)?;
    Ok(ModuleDraft { name: template.name.to_owned(), category_id: Some(template.category_id), attributes })
}

const NAME: &str = "bk_module_name";
const CATEGORY: &str = "service_category_id";
const SERVICE_TEMPLATE: &str = "service_template_id";

/// The service category that a change of a module names, if there can be such a one.
pub fn named_category(given: &Object) -> Option<CategoryId> {
    let id = given.get(CATEGORY).and_then(Json::as_int);
    id.filter(|id| *id > 0).map(CategoryId)
}

/// The record of a module after a change, without its stamps (`templates` 8, "Update module"). `fixed`: what its service template fixes
/// of its attributes. That there is such a category is checked elsewhere.
pub fn read_change(given: &Object, stored: &Object, fixed: &Object) -> Result<Object, Vec<Fault>> {
    let number = |field: &str| stored.get(field).and_then(Json::as_int).unwrap_or_default();
    let follows = number(SERVICE_TEMPLATE) != 0;
    let mut faults = Vec::new();
    for field in [SERVICE_TEMPLATE, "set_template_id"] {
        match read_reference(given, field) {
            Ok(Some(id)) if id != number(field) => faults.push(still(field, number(field))),
            Ok(_) => {}
            Err(fault) => faults.push(fault),
        }
    }
    let mut category = number(CATEGORY);
    match read_reference(given, CATEGORY) {
        Ok(Some(id)) if id == category => {}
        Ok(Some(_)) if follows => faults.push(Fault::new(Cause::ModuleCategoryOwnedByTemplate, CATEGORY)),
        Ok(Some(id @ 1..)) => category = id,
        Ok(Some(id)) => faults.push(Fault::absent(Cause::ParamInvalid, CATEGORY, id)),
        Ok(None) => {}
        Err(fault) => faults.push(fault),
    }
    let mut given = given.clone();
    if follows {
        drop_owned_name(&mut given, stored, &mut faults);
        drop_fixed(&mut given, stored, fixed, &mut faults);
    }
    match record::update(Model::Module, stored, &given, &FieldPath::root()) {
        Ok(mut after) if faults.is_empty() => {
            if category != number(CATEGORY) {
                after.insert(CATEGORY, Json::Int(category));
            }
            Ok(after)
        }
        Ok(_) => Err(faults),
        Err(more) => {
            faults.extend(more);
            Err(faults)
        }
    }
}

fn still(field: &str, value: impl ToString) -> Fault {
    Fault::new(Cause::FieldFixed, field).because(Reason::These { what: value.to_string() })
}

/// A module that follows a template keeps its name. None, or nothing but blanks, says nothing (E85).
fn drop_owned_name(given: &mut Object, stored: &Object, faults: &mut Vec<Fault>) {
    let sent = match given.get(NAME) {
        None => return,
        Some(Json::Null) => "",
        Some(Json::Text(name)) => name.trim(),
        // What is wrong with it is told with the other attributes.
        Some(_) => return,
    };
    if !sent.is_empty() && sent != text_of(stored, NAME) {
        let reason = Reason::These { what: text_of(stored, NAME) };
        faults.push(Fault::new(Cause::ModuleNameOwnedByTemplate, NAME).because(reason));
    }
    given.remove(NAME);
}

/// What a template fixes may be named with its value, or with the one that the module has.
fn drop_fixed(given: &mut Object, stored: &Object, fixed: &Object, faults: &mut Vec<Fault>) {
    for (field, value) in fixed.iter() {
        let Some(sent) = given.get(field) else { continue };
        let checked = Model::Module.attribute(field).and_then(|it| record::checked(it, sent, &field.into()).ok());
        let may_be = |sent: &Json| sent == value || stored.get(field) == Some(sent);
        if !checked.as_ref().is_some_and(may_be) {
            faults.push(still(field, value));
            given.remove(field);
        }
    }
}

/// Name and service category of a record of a module.
pub fn keys_of(record: &Object) -> (String, CategoryId) {
    let category = record.get(CATEGORY).and_then(Json::as_int).unwrap_or_default();
    (text_of(record, NAME), CategoryId(category))
}

/// The record of a module under another name.
pub fn renamed(stored: &Object, name: &str) -> Object {
    let mut record = stored.clone();
    record.insert(NAME, name.into());
    record
}

/// The document of a module that follows its template to another name and category. `None` when it cannot be read.
pub fn following_document(document: &str, name: &str, category: CategoryId, user: &str, time: &str) -> Option<String> {
    let fields = [("bk_module_name", name.into()), ("service_category_id", Json::Int(category.get()))];
    rewritten(document, fields, user, time)
}

/// The document of a module that follows no template any more. `None` when it cannot be read.
pub fn unbound_document(document: &str, user: &str, time: &str) -> Option<String> {
    rewritten(document, [("service_template_id", Json::Int(0))], user, time)
}

fn rewritten<const N: usize>(document: &str, fields: [(&str, Json); N], user: &str, time: &str) -> Option<String> {
    let Ok(Json::Object(record)) = parse(document.as_bytes(), Limits::default()) else { return None };
    let fields = fields.into_iter().map(|(field, value)| (field.to_owned(), value)).collect();
    Some(record::changed_document(record, &fields, user, time))
}

/// A module takes a shared category or one of its own business (`templates` 8).
pub fn check_category(asked: CategoryId, found: Option<&ServiceCategory>, business: BusinessId) -> Result<(), Fault> {
    let absent = |cause| Fault::absent(cause, "service_category_id", asked);
    match found {
        None => Err(absent(Cause::NotFound)),
        Some(category) if category.is_usable_by(business) => Ok(()),
        Some(_) => Err(absent(Cause::ParamInvalid)),
    }
}

impl ModuleDraft {
    /// A built-in module.
    pub(crate) fn built_in(which: BuiltIn) -> Self {
        let given = Object::from_iter([("bk_module_name".to_owned(), which.name().into())]);
        Self {
            name: which.name().to_owned(),
            category_id: None,
            attributes: record::create(Model::Module, &given, &FieldPath::root()).unwrap_or(given),
        }
    }

    /// The name, unique in its set.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The category asked for.
    pub fn category_id(&self) -> Option<CategoryId> {
        self.category_id
    }

    /// The module in its set.
    pub fn place(&self, id: ModuleId, place: Place, birth: &Birth<'_>) -> NewModule {
        let set = Json::Int(place.set_id.get());
        let added = [
            ("bk_module_id", Json::Int(id.get())),
            ("bk_biz_id", Json::Int(place.business_id.get())),
            ("bk_set_id", set.clone()),
            ("bk_parent_id", set),
            ("default", Json::Int(place.kind)),
            ("service_template_id", Json::Int(place.service_template_id)),
            ("service_category_id", Json::Int(place.category_id.get())),
            ("set_template_id", Json::Int(place.set_template_id.map_or(0, SetTemplateId::get))),
            ("host_apply_enabled", Json::Bool(false)),
        ];
        NewModule {
            id,
            business_id: place.business_id,
            set_id: place.set_id,
            kind: place.kind,
            service_template_id: place.service_template_id,
            service_category_id: place.category_id,
            name: self.name.clone(),
            document: document_of(&self.attributes, added, birth),
        }
    }
}

/// The shape of a stored module.
pub fn schema() -> Schema {
    row_schema(
        Model::Module,
        [
            ("bk_module_id", Schema::Integer),
            ("bk_biz_id", Schema::Integer),
            ("bk_set_id", Schema::Integer),
            ("bk_parent_id", Schema::Integer),
            ("default", Schema::Integer),
            ("service_template_id", Schema::Integer),
            ("service_category_id", Schema::Integer),
            ("set_template_id", Schema::Integer),
            ("host_apply_enabled", Schema::Boolean),
        ],
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(text: &str) -> Object {
        let json = parse(text.as_bytes(), Limits::default()).unwrap();
        json.as_object().unwrap().clone()
    }

    #[test]
    fn what_a_new_module_may_say() {
        let check = |more: &str, want: Result<Option<i64>, &[(Cause, &str)]>| {
            let given = format!(r#"{{"bk_module_name":"m","bk_parent_id":5{more}}}"#);
            let found = read_draft(&object(&given), SetId(5));
            let found = found.map(|draft| draft.category_id().map(CategoryId::get));
            let found = found.map_err(|faults| {
                let faults = faults.into_iter();
                faults.map(|f| (f.cause, f.path.to_string())).collect::<Vec<_>>()
            });
            let want = want.map_err(|want| {
                let want = want.iter();
                want.map(|(c, p)| (*c, (*p).to_owned())).collect()
            });
            assert_eq!(found, want, "{given}");
        };
        check("", Ok(None));
        check(r#","service_category_id":0"#, Ok(None));
        check(r#","service_category_id":null"#, Ok(None));
        check(r#","service_category_id":7"#, Ok(Some(7)));
        check(r#","service_category_id":-7"#, Err(&[(Cause::ParamInvalid, "service_category_id")]));
        check(r#","service_category_id":"7""#, Err(&[(Cause::ParamInvalid, "service_category_id")]));
        // topology E16.
        check(r#","bk_parent_id":6"#, Err(&[(Cause::ParamInvalid, "bk_parent_id")]));
        check(
            r#","bk_parent_id":null,"bk_module_name":"","operator":5"#,
            Err(&[
                (Cause::NotSet, "bk_parent_id"),
                (Cause::NotSet, "bk_module_name"),
                (Cause::ParamUnusable, "operator"),
            ]),
        );
    }

    #[test]
    fn what_may_become_of_a_module() {
        use Cause::{
            FieldFixed, ModuleCategoryOwnedByTemplate as OwnedCategory, ModuleNameOwnedByTemplate as OwnedName, NotSet,
            ParamInvalid, ParamUnusable,
        };
        let stored = |template: i64| {
            object(&format!(
                r#"{{"bk_module_name":"m","bk_module_type":"1","operator":"ann","bk_bak_operator":null,"bk_module_id":14,
                "bk_set_id":5,"bk_parent_id":5,"bk_biz_id":3,"default":0,"service_template_id":{template},
                "service_category_id":2,"set_template_id":0,"host_apply_enabled":false}}"#
            ))
        };
        let check = |template: i64, given: &str, want: Result<&str, &[(Cause, &str)]>| {
            let (stored, fixed) = (stored(template), object(r#"{"operator":"tom","bk_module_type":"2"}"#));
            let fixed = if template == 0 { Object::new() } else { fixed };
            let found = read_change(&object(given), &stored, &fixed);
            let found = found.map(|after| Json::Object(record::changed_fields(&stored, &after)).to_string()).map_err(
                |faults| faults.into_iter().map(|fault| (fault.cause, fault.path.to_string())).collect::<Vec<_>>(),
            );
            let want = want.map(str::to_owned);
            let want = want.map_err(|want| want.iter().map(|(cause, path)| (*cause, (*path).to_owned())).collect());
            assert_eq!(found, want, "{given}");
        };
        check(
            0,
            r#"{"bk_module_name":" n ","operator":"eve","x":1}"#,
            Ok(r#"{"bk_module_name":"n","operator":"eve"}"#),
        );
        check(0, r#"{"service_category_id":4}"#, Ok(r#"{"service_category_id":4}"#));
        // What is the operation's, or stays as it is, changes nothing.
        let kept = r#"{"bk_module_name":"m","service_template_id":0,"set_template_id":0,"service_category_id":2,"bk_set_id":9,
            "bk_parent_id":9,"bk_biz_id":9,"default":1,"host_apply_enabled":true,"bk_module_id":9,"bk_bak_operator":null}"#;
        check(0, kept, Ok("{}"));
        check(0, r#"{"service_template_id":null,"service_category_id":null}"#, Ok("{}"));
        check(
            0,
            r#"{"service_template_id":7,"set_template_id":"0","service_category_id":0,"bk_module_name":"","operator":1}"#,
            Err(&[
                (FieldFixed, "service_template_id"),
                (ParamInvalid, "set_template_id"),
                (ParamInvalid, "service_category_id"),
                (NotSet, "bk_module_name"),
                (ParamUnusable, "operator"),
            ]),
        );
        check(0, r#"{"bk_module_name":"a b"}"#, Err(&[(ParamInvalid, "bk_module_name")]));
        // templates E85 and 8.
        let own = r#"{"bk_module_name":"m","service_category_id":2,"service_template_id":7,"operator":"ann"}"#;
        check(7, own, Ok("{}"));
        check(7, r#"{"bk_module_name":" ","bk_bak_operator":"b"}"#, Ok(r#"{"bk_bak_operator":"b"}"#));
        check(7, r#"{"bk_module_name":null,"operator":" tom "}"#, Ok(r#"{"operator":"tom"}"#));
        check(
            7,
            r#"{"bk_module_name":"n","service_category_id":4,"service_template_id":0,"operator":"eve","bk_module_type":9}"#,
            Err(&[
                (FieldFixed, "service_template_id"),
                (OwnedCategory, "service_category_id"),
                (OwnedName, "bk_module_name"),
                (FieldFixed, "operator"),
                (FieldFixed, "bk_module_type"),
            ]),
        );
        check(7, r#"{"bk_module_name":5}"#, Err(&[(ParamUnusable, "bk_module_name")]));
        assert_eq!(keys_of(&renamed(&stored(0), "n")), ("n".to_owned(), CategoryId(2)));
    }

    #[test]
    fn a_module_reads_as_recorded() {
        // Recording module.create.default_category.
        let given = object(r#"{"bk_module_name":"m_default","bk_parent_id":5,"default":1,"host_apply_enabled":true}"#);
        let draft = read_draft(&given, SetId(5)).unwrap();
        let place = Place {
            business_id: BusinessId(3),
            set_id: SetId(5),
            category_id: CategoryId::DEFAULT,
            service_template_id: 0,
            set_template_id: None,
            kind: 0,
        };
        let birth = Birth { time: "T", user: "ann" };
        let module = object(&draft.place(ModuleId(14), place, &birth).document);
        let recorded = object(
            r#"{"bk_bak_operator":null,"bk_biz_id":3,"bk_module_id":14,"bk_module_name":"m_default","bk_module_type":"1",
            "bk_parent_id":5,"bk_set_id":5,"bk_supplier_account":"0","create_time":"T","default":0,"host_apply_enabled":false,
            "last_time":"T","operator":null,"service_category_id":2,"service_template_id":0,"set_template_id":0}"#,
        );
        for (field, value) in recorded.iter() {
            assert_eq!(module.get(field), Some(value), "{field}");
        }
    }

    #[test]
    fn categories_of_other_businesses_are_no_choice() {
        let shared = ServiceCategory::built_in();
        let check = |category: Option<&ServiceCategory>| {
            check_category(CategoryId(2), category, BusinessId(3)).map_err(|fault| fault.cause)
        };
        assert_eq!(check(shared.get(1)), Ok(()));
        assert_eq!(check(None), Err(Cause::NotFound));
        let of = |business| ServiceCategory { business_id: BusinessId(business), ..shared[1].clone() };
        assert_eq!(check(Some(&of(3))), Ok(()));
        assert_eq!(check(Some(&of(4))), Err(Cause::ParamInvalid));
    }
}
