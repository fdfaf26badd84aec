//! The tree of a business: its sets and their modules (`topology` 8.1), and what all its records have in common.

use crate::fault::{Cause, Fault, Reason};
use crate::json::{Field, FieldPath, Json, JsonWriter, Object, Schema};
use crate::model::{Kind, Model, attributes};
use crate::record;

/// When and by whom a record was made.
#[derive(Debug, Clone, Copy)]
pub struct Birth<'a> {
    /// RFC 3339 text.
    pub time: &'a str,
    pub user: &'a str,
}

/// The `kind` (`default` on the wire) of ordinary records.
pub const ORDINARY: i64 = 0;

/// A reference to another record inside of a free-form record; null stands for none.
pub(crate) fn read_reference(given: &Object, field: &str) -> Result<Option<i64>, Fault> {
    match given.get(field) {
        None | Some(Json::Null) => Ok(None),
        Some(Json::Int(id)) => Ok(Some(*id)),
        Some(_) => Err(Fault::new(Cause::ParamInvalid, field).because(Reason::NeedsInteger)),
    }
}

/// The parent must be named, and be the one the record is put under.
pub(crate) fn check_parent(given: &Object, parent: i64) -> Result<(), Fault> {
    const FIELD: &str = "bk_parent_id";
    match read_reference(given, FIELD)? {
        None => Err(Fault::new(Cause::NotSet, FIELD).because(Reason::Blank)),
        Some(stated) if stated == parent && parent > 0 => Ok(()),
        Some(stated) => Err(Fault::new(Cause::ParamInvalid, FIELD).because(Reason::NoChoice {
            value: stated.to_string(),
            choices: "the id of the record above it in the path",
        })),
    }
}

/// What is put there by hand follows no template of this kind, so an id other than 0 names nothing.
pub(crate) fn check_no_template(given: &Object, field: &str) -> Result<(), Fault> {
    match read_reference(given, field)? {
        None | Some(0) => Ok(()),
        Some(id) => Err(Fault::absent(Cause::ParamInvalid, field, id)),
    }
}

/// A text that validation has put into a record.
pub(crate) fn text_of(record: &Object, field: &str) -> String {
    let text = record.get(field).and_then(Json::as_text);
    text.unwrap_or_default().to_owned()
}

/// The attributes of a new record, when neither they nor the references before them are at fault.
pub(crate) fn read_attributes(
    model: Model,
    given: &Object,
    references: impl IntoIterator<Item = Result<(), Fault>>,
) -> Result<Object, Vec<Fault>> {
    let mut faults: Vec<Fault> = references.into_iter().filter_map(Result::err).collect();
    match record::create(model, given, &FieldPath::root()) {
        Ok(attributes) if faults.is_empty() => Ok(attributes),
        Ok(_) => Err(faults),
        Err(more) => {
            faults.extend(more);
            Err(faults)
        }
    }
}

/// The wire document of a new record: its attributes, what the operation adds, the stamps.
pub(crate) fn document_of<const N: usize>(
    attributes: &Object,
    added: [(&'static str, Json); N],
    birth: &Birth<'_>,
) -> String {
    let mut document = attributes.clone();
    record::put(&mut document, added);
    record::put(&mut document, record::stamps(birth.time, birth.user));
    Json::Object(document).to_string()
}

/// A record of the tree with what is below it.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    pub model: Model,
    pub id: i64,
    pub name: String,
    /// `default` on the wire.
    pub kind: i64,
    pub children: Vec<Node>,
}

/// What a model is called in the tree.
pub fn model_name(model: Model, english: bool) -> &'static str {
    let (chinese, name) = match model {
        Model::Business => ("业务", "Business"),
        Model::Set => ("集群", "Set"),
        Model::Module => ("模块", "Module"),
        Model::Host => ("主机", "Host"),
        Model::Process => ("进程", "Process"),
    };
    if english { name } else { chinese }
}

impl Node {
    /// Orders brothers and sisters: the built-in ones first, by kind, then the others by name, its case not counting.
    pub fn sort_by_name(&mut self) {
        self.children.sort_by_cached_key(|node| match node.kind {
            ORDINARY => (i64::MAX, node.name.to_lowercase(), node.id),
            kind => (kind, String::new(), node.id),
        });
        for child in &mut self.children {
            child.sort_by_name();
        }
    }

    /// Writes the node and all below it.
    pub fn write(&self, out: &mut JsonWriter, english: bool) {
        out.separate();
        out.raw("{\"bk_obj_id\":").text(self.model.wire());
        out.raw(",\"bk_obj_name\":").text(model_name(self.model, english));
        out.raw(",\"bk_inst_id\":").int(self.id);
        out.raw(",\"bk_inst_name\":").text(&self.name);
        out.raw(",\"default\":").int(self.kind);
        out.raw(",\"child\":[");
        for child in &self.children {
            child.write(out, english);
        }
        out.raw("]}");
    }

    /// The shape of a node.
    pub fn schema() -> Schema {
        Schema::object([
            ("bk_obj_id", Schema::Text),
            ("bk_obj_name", Schema::Text),
            ("bk_inst_id", Schema::Integer),
            ("bk_inst_name", Schema::Text),
            ("default", Schema::Integer),
            ("child", Schema::Any.list()),
        ])
    }
}

/// The shape of what callers change of a record, with the ids that come with it.
pub fn change_schema(model: Model, ids: &[&'static str]) -> Schema {
    let beside: &[_] = match model {
        Model::Module => &["service_category_id"],
        _ => &[],
    };
    let ids = ids.iter().chain(beside).map(|id| (*id, Schema::Integer));
    let editable = |field: &Field| model.attribute(field.name).is_some_and(|attribute| attribute.editable);
    Schema::Object(fields(ids).chain(attribute_fields(model).filter(editable)).collect())
}

/// The shape of a free-form record as callers send it, with the ids that come with it.
pub fn input_schema(model: Model, ids: &[&'static str]) -> Schema {
    let beside: &[_] = match model {
        Model::Set => &[
            ("bk_parent_id", "The business again; needed."),
            ("set_template_id", "A set template of the business, whose modules the set gets; 0 or missing: none."),
        ],
        Model::Module => &[
            ("bk_parent_id", "The set again; needed."),
            ("service_category_id", "A service category of the second level; missing: the default one."),
        ],
        _ => &[],
    };
    let beside =
        beside.iter().map(|(name, description)| Field { name, description, schema: Schema::Integer, always: false });
    let ids = ids.iter().map(|id| (*id, Schema::Integer));
    Schema::Object(fields(ids).chain(beside).chain(attribute_fields(model)).collect())
}

/// The shape of a stored record: its attributes, what stands beside them, the stamps.
pub(crate) fn row_schema<const N: usize>(model: Model, added: [(&'static str, Schema); N]) -> Schema {
    let stamps = [
        ("create_time", Schema::Time),
        ("last_time", Schema::Time),
        ("bk_created_at", Schema::Time),
        ("bk_created_by", Schema::Text),
        ("bk_updated_at", Schema::Time),
        ("bk_updated_by", Schema::Text.or_null()),
        ("bk_supplier_account", Schema::Text),
    ];
    let always = |field| Field { always: true, ..field };
    let all = fields(added).chain(attribute_fields(model)).chain(fields(stamps));
    Schema::Object(all.map(always).collect())
}

fn fields(members: impl IntoIterator<Item = (&'static str, Schema)>) -> impl Iterator<Item = Field> {
    members.into_iter().map(|(name, schema)| Field { name, description: "", schema, always: false })
}

fn attribute_fields(model: Model) -> impl Iterator<Item = Field> {
    attributes(model).iter().filter(|attribute| !attribute.by_server).map(|attribute| Field {
        name: attribute.id,
        description: attribute.name,
        schema: attribute_schema(attribute.kind),
        always: false,
    })
}

fn attribute_schema(kind: Kind) -> Schema {
    match kind {
        Kind::Int(_) => Schema::Integer.or_null(),
        Kind::CloudArea => Schema::Integer,
        Kind::Bool => Schema::Boolean,
        Kind::Time => Schema::Time.or_null(),
        Kind::BindRows => Schema::Any,
        Kind::ShortText(_)
        | Kind::LongText
        | Kind::Addresses(_)
        | Kind::Enum(_)
        | Kind::List(_)
        | Kind::Users(_)
        | Kind::TimeZone => Schema::Text.or_null(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(model: Model, id: i64, name: &str, kind: i64, children: Vec<Node>) -> Node {
        Node { model, id, name: name.to_owned(), kind, children }
    }

    #[test]
    fn a_leaf_has_an_empty_list_of_children() {
        // topology 8.1, clients 8: contract point 1.
        let modules = vec![node(Model::Module, 20, "m1", 0, vec![])];
        let sets = vec![node(Model::Set, 10, "s\"1", 0, modules)];
        let tree = node(Model::Business, 2, "蓝鲸", 0, sets);
        let mut out = JsonWriter::default();
        tree.write(&mut out, false);
        let want = concat!(
            r#"{"bk_obj_id":"biz","bk_obj_name":"业务","bk_inst_id":2,"bk_inst_name":"蓝鲸","default":0,"child":["#,
            r#"{"bk_obj_id":"set","bk_obj_name":"集群","bk_inst_id":10,"bk_inst_name":"s\"1","default":0,"child":["#,
            r#"{"bk_obj_id":"module","bk_obj_name":"模块","bk_inst_id":20,"bk_inst_name":"m1","default":0,"child":[]}]}]}"#
        );
        assert_eq!(out.finish(), want);
    }

    #[test]
    fn sorting_puts_built_in_nodes_first() {
        let set = |id, name, kind| node(Model::Set, id, name, kind, vec![]);
        let sets = vec![set(3, "b", 0), set(4, "A", 0), set(5, "a", 0), set(6, "z", 1)];
        let mut tree = node(Model::Business, 2, "x", 0, sets);
        tree.sort_by_name();
        let ids: Vec<_> = tree.children.iter().map(|node| node.id).collect();
        assert_eq!(ids, [6, 4, 5, 3]);
    }

    #[test]
    fn the_parent_is_named_and_the_right_one() {
        let parent = |value: Json| Object::from_iter([("bk_parent_id".to_owned(), value)]);
        let check = |given: Object| check_parent(&given, 3).map_err(|fault| fault.cause);
        assert_eq!(check(parent(Json::Int(3))), Ok(()));
        assert_eq!(check(parent(Json::Int(4))), Err(Cause::ParamInvalid));
        assert_eq!(check(parent("3".into())), Err(Cause::ParamInvalid));
        assert_eq!(check(parent(Json::Float(3.0))), Err(Cause::ParamInvalid));
        assert_eq!(check(parent(Json::Null)), Err(Cause::NotSet));
        assert_eq!(check(Object::new()), Err(Cause::NotSet));
    }
}
