//! Sets: what a new one must say.

use crate::fault::Fault;
use crate::id::{BusinessId, SetId, SetTemplateId};
use crate::json::{FieldPath, Json, Object, Schema};
use crate::model::Model;
use crate::record;
use crate::topology::{
    Birth, ORDINARY, check_parent, document_of, read_attributes, read_reference, row_schema, text_of,
};

/// The `kind` of the set that holds the built-in modules.
pub const BUILT_IN_KIND: i64 = 1;

/// The name of that set.
const BUILT_IN_NAME: &str = "空闲机池";

/// A set as the caller wants it, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct SetDraft {
    name: String,
    attributes: Object,
}

/// A set as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct NewSet {
    pub id: SetId,
    pub business_id: BusinessId,
    /// The business, as long as there are no levels between it and its sets.
    pub parent_id: i64,
    pub kind: i64,
    /// `None`: the set follows no template.
    pub set_template_id: Option<SetTemplateId>,
    pub name: String,
    /// JSON text.
    pub document: String,
}

/// The set template that the record of a new set names; `None` for none. A `default` cannot make it a built-in set; it only lets the
/// template go unread, as ever.
pub fn read_template(given: &Object) -> Result<Option<SetTemplateId>, Fault> {
    match read_reference(given, "default")? {
        None | Some(ORDINARY) => {
            let id = read_reference(given, "set_template_id")?;
            Ok(id.filter(|id| *id != 0).map(SetTemplateId))
        }
        Some(_) => Ok(None),
    }
}

/// Checks the record of a new set.
pub fn read_draft(given: &Object, business: BusinessId) -> Result<SetDraft, Vec<Fault>> {
    let references = [read_template(given).map(|_| ()), check_parent(given, business.get())];
    let attributes = read_attributes(Model::Set, given, references)?;
    Ok(SetDraft { name: text_of(&attributes, "bk_set_name"), attributes })
}

/// Checks the record of a new set that follows a template: these attributes are the template's, whatever the record says of them.
pub fn read_following(given: &Object, business: BusinessId, attributes: &Object) -> Result<SetDraft, Vec<Fault>> {
    let mut dictated = given.clone();
    for (field, value) in attributes.iter() {
        dictated.insert(field, value.clone());
    }
    read_draft(&dictated, business)
}

/// Where a set is put.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    pub business_id: BusinessId,
    /// `None`: it follows none.
    pub set_template_id: Option<SetTemplateId>,
    pub kind: i64,
}

impl SetDraft {
    /// The set that holds the built-in modules of a business.
    pub(crate) fn built_in() -> Self {
        let given = Object::from_iter([("bk_set_name".to_owned(), BUILT_IN_NAME.into())]);
        Self {
            name: BUILT_IN_NAME.to_owned(),
            attributes: record::create(Model::Set, &given, &FieldPath::root()).unwrap_or(given),
        }
    }

    /// The name, unique under its parent.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The set under its business.
    pub fn place(&self, id: SetId, place: Place, birth: &Birth<'_>) -> NewSet {
        let Place { business_id: business, set_template_id, kind } = place;
        let added = [
            ("bk_set_id", Json::Int(id.get())),
            ("bk_biz_id", Json::Int(business.get())),
            ("bk_parent_id", Json::Int(business.get())),
            ("default", Json::Int(kind)),
            ("set_template_id", Json::Int(set_template_id.map_or(0, SetTemplateId::get))),
            ("set_template_version", Json::Null),
        ];
        NewSet {
            id,
            business_id: business,
            parent_id: business.get(),
            kind,
            set_template_id,
            name: self.name.clone(),
            document: document_of(&self.attributes, added, birth),
        }
    }
}

/// The shape of a stored set.
pub fn schema() -> Schema {
    row_schema(
        Model::Set,
        [
            ("bk_set_id", Schema::Integer),
            ("bk_biz_id", Schema::Integer),
            ("bk_parent_id", Schema::Integer),
            ("default", Schema::Integer),
            ("set_template_id", Schema::Integer),
            ("set_template_version", Schema::Any),
        ],
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
    fn what_a_new_set_may_say() {
        let check = |more: &str, want: &[(Cause, &str)]| {
            let given = format!(r#"{{"bk_set_name":"s","bk_parent_id":3{more}}}"#);
            let found = match read_draft(&object(&given), BusinessId(3)) {
                Ok(_) => Vec::new(),
                Err(faults) => faults.iter().map(|f| (f.cause, f.path.to_string())).collect(),
            };
            let want: Vec<_> = want.iter().map(|(c, p)| (*c, (*p).to_owned())).collect();
            assert_eq!(found, want, "{given}");
        };
        check("", &[]);
        check(r#","unknown":{"a":1},"set_template_id":0"#, &[]);
        check(r#","set_template_id":5"#, &[]);
        check(r#","set_template_id":"5""#, &[(Cause::ParamInvalid, "set_template_id")]);
        // topology 6.1: the template is ignored when default is not 0.
        check(r#","default":1,"set_template_id":5"#, &[]);
        check(r#","default":"x""#, &[(Cause::ParamInvalid, "default")]);
        check(r#","bk_parent_id":4"#, &[(Cause::ParamInvalid, "bk_parent_id")]);
        // topology E9.
        check(
            r#","bk_set_name":"a b","bk_set_env":"9""#,
            &[(Cause::ParamInvalid, "bk_set_name"), (Cause::ParamUnusable, "bk_set_env")],
        );
        check(r#","bk_set_name":"a/b""#, &[(Cause::ParamInvalid, "bk_set_name")]);
    }

    #[test]
    fn a_template_is_named_and_dictates() {
        let check = |given: &str, want| {
            let found = read_template(&object(given)).map_err(|fault| fault.cause);
            assert_eq!(found, want, "{given}");
        };
        check("{}", Ok(None));
        check(r#"{"set_template_id":0,"default":0}"#, Ok(None));
        check(r#"{"set_template_id":null}"#, Ok(None));
        check(r#"{"set_template_id":5}"#, Ok(Some(SetTemplateId(5))));
        check(r#"{"set_template_id":5,"default":1}"#, Ok(None));
        check(r#"{"set_template_id":"5"}"#, Err(Cause::ParamInvalid));
        let given = object(r#"{"bk_set_name":"s","bk_parent_id":3,"bk_set_desc":"own","bk_capacity":"no number"}"#);
        let dictated = object(r#"{"bk_capacity":7}"#);
        let draft = read_following(&given, BusinessId(3), &dictated).unwrap();
        let place = Place { business_id: BusinessId(3), set_template_id: Some(SetTemplateId(5)), kind: ORDINARY };
        let set = object(&draft.place(SetId(9), place, &Birth { time: "T", user: "ann" }).document);
        let told = ["set_template_id", "bk_capacity"].map(|field| set.get(field).and_then(Json::as_int));
        assert_eq!(told, [Some(5), Some(7)]);
        assert_eq!(set.get("bk_set_desc"), Some(&"own".into()));
    }

    #[test]
    fn the_built_in_set_is_a_valid_record() {
        let set = SetDraft::built_in();
        assert_eq!(set.attributes.get("bk_set_env"), Some(&"3".into()));
        assert_eq!(set.name(), text_of(&set.attributes, "bk_set_name"));
    }
}
