//! Sets: what a new one must say.

use crate::fault::Fault;
use crate::id::{BusinessId, SetId};
use crate::json::{FieldPath, Json, Object, Schema};
use crate::model::Model;
use crate::record;
use crate::topology::{
    Birth, ORDINARY, check_no_template, check_parent, document_of, read_attributes, read_reference, row_schema, text_of,
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
    pub name: String,
    /// JSON text.
    pub document: String,
}

/// Checks the record of a new set. A `default` cannot make it a built-in one; it only lets the set template go unread, as ever.
pub fn read_draft(given: &Object, business: BusinessId) -> Result<SetDraft, Vec<Fault>> {
    let follows_none = match read_reference(given, "default") {
        Ok(None | Some(ORDINARY)) => check_no_template(given, "set_template_id"),
        Ok(Some(_)) => Ok(()),
        Err(fault) => Err(fault),
    };
    let references = [follows_none, check_parent(given, business.get())];
    let attributes = read_attributes(Model::Set, given, references)?;
    Ok(SetDraft { name: text_of(&attributes, "bk_set_name"), attributes })
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
    pub fn place(&self, id: SetId, business: BusinessId, kind: i64, birth: &Birth<'_>) -> NewSet {
        let added = [
            ("bk_set_id", Json::Int(id.get())),
            ("bk_biz_id", Json::Int(business.get())),
            ("bk_parent_id", Json::Int(business.get())),
            ("default", Json::Int(kind)),
            ("set_template_id", Json::Int(0)),
            ("set_template_version", Json::Null),
        ];
        NewSet {
            id,
            business_id: business,
            parent_id: business.get(),
            kind,
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
        check(r#","set_template_id":5"#, &[(Cause::ParamInvalid, "set_template_id")]);
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
    fn the_built_in_set_is_a_valid_record() {
        let set = SetDraft::built_in();
        assert_eq!(set.attributes.get("bk_set_env"), Some(&"3".into()));
        assert_eq!(set.name(), text_of(&set.attributes, "bk_set_name"));
    }
}
