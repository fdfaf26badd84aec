//! The attributes every store is born with: what a business, a set, a module, a host and a process can say about themselves
//! (`topology` 2.5, `instances` 4). Records are validated against these tables, and search_object_attribute answers them.

mod choices;
mod document;
mod tables;

pub use document::{built_in_documents, document_of, search_attributes};

use crate::address::Family;

/// A kind of record with attributes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Model {
    Business,
    Set,
    Module,
    Host,
    Process,
}

impl Model {
    /// All of them, in the order their attributes are numbered.
    pub const ALL: [Model; 5] = [Model::Business, Model::Set, Model::Module, Model::Host, Model::Process];

    /// The model of this name on the wire.
    pub fn of_wire(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|model| model.wire() == name)
    }

    /// Its name on the wire (`bk_obj_id`).
    pub fn wire(self) -> &'static str {
        match self {
            Model::Business => "biz",
            Model::Set => "set",
            Model::Module => "module",
            Model::Host => "host",
            Model::Process => "process",
        }
    }

    /// The attribute of this id.
    pub fn attribute(self, id: &str) -> Option<&'static Attribute> {
        attributes(self).iter().find(|attribute| attribute.id == id)
    }
}

/// The built-in attributes of a model, in the order they are stored and numbered.
pub fn attributes(model: Model) -> &'static [Attribute] {
    match model {
        Model::Business => tables::BUSINESS,
        Model::Set => tables::SET,
        Model::Module => tables::MODULE,
        Model::Host => tables::HOST,
        Model::Process => tables::PROCESS,
    }
}

/// Every built-in attribute with its number. Clients and stores keep these numbers, so a change of the tables needs a migration.
pub fn catalogue() -> impl Iterator<Item = (i64, Model, &'static Attribute)> {
    let all =
        Model::ALL.into_iter().flat_map(|model| attributes(model).iter().map(move |attribute| (model, attribute)));
    (1..).zip(all).map(|(number, (model, attribute))| (number, model, attribute))
}

/// One attribute of a model.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Attribute {
    /// Its key in records (`bk_property_id`).
    pub id: &'static str,
    /// What people call it.
    pub name: &'static str,
    pub group: Group,
    /// Where it stands among the others; smaller comes first.
    pub index: i64,
    pub kind: Kind,
    /// It must have a value.
    pub required: bool,
    /// Callers may change it once the record exists.
    pub editable: bool,
    /// Stored and answered, but not listed among the attributes (`bk_isapi`).
    pub hidden: bool,
    /// Not for people at all (`bk_issystem`).
    pub system: bool,
    /// The operation sets it; what a caller sends is ignored.
    pub by_server: bool,
    /// Null stands for the default; no record is without a value.
    pub null_is_default: bool,
    pub unit: &'static str,
}

/// A heading under which attributes are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Group {
    pub id: &'static str,
    pub name: &'static str,
}

/// What values an attribute takes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// A text of up to 256 bytes.
    ShortText(TextRule),
    /// A text of up to 2000 bytes.
    LongText,
    /// Addresses of a host.
    Addresses(Family),
    /// A whole number, between these two where they are given.
    Int(Option<(i64, i64)>),
    /// The id of one of some choices.
    Enum(&'static Choices),
    /// One of some texts.
    List(&'static [&'static str]),
    Bool,
    /// User names joined by commas.
    Users(UsersForm),
    /// The name of a time zone.
    TimeZone,
    Time,
    /// The id of a cloud area.
    CloudArea,
    /// Rows of a process, see the process rules.
    BindRows,
}

/// What a short text must look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextRule {
    Any,
    /// The name of a set or module.
    NodeName,
    /// The id of an agent.
    AgentId,
}

/// How an attribute of users is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UsersForm {
    /// As one text; null without a value.
    Text,
    /// Hosts only: taken as a text or a list, answered as one text, empty without a value (recording host.list_biz_hosts).
    Joined,
}

/// The choices of an enumeration.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Choices {
    /// Id and name of each.
    pub of: &'static [(&'static str, &'static str)],
    /// The id that records without a value get.
    pub default: Option<&'static str>,
    /// The ids in words, for messages.
    pub listed: &'static str,
}

impl Kind {
    /// The name of the type on the wire.
    pub fn wire(self) -> &'static str {
        match self {
            Kind::ShortText(_) | Kind::Addresses(_) => "singlechar",
            Kind::LongText => "longchar",
            Kind::Int(_) => "int",
            Kind::Enum(_) => "enum",
            Kind::List(_) => "list",
            Kind::Bool => "bool",
            Kind::Users(_) => "objuser",
            Kind::TimeZone => "timezone",
            Kind::Time => "time",
            Kind::CloudArea => "foreignkey",
            Kind::BindRows => "table",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn models_have_their_wire_names() {
        for (name, model) in
            [("biz", Some(Model::Business)), ("process", Some(Model::Process)), ("plat", None), ("Biz", None)]
        {
            assert_eq!(Model::of_wire(name), model);
        }
    }

    #[test]
    fn the_tables_are_sound() {
        for model in Model::ALL {
            let ids: HashSet<_> = attributes(model).iter().map(|a| a.id).collect();
            assert_eq!(ids.len(), attributes(model).len(), "{model:?}");
            for attribute in attributes(model) {
                assert!(attribute.required || !attribute.name.is_empty() || attribute.system, "{}", attribute.id);
                if let Kind::Enum(choices) = attribute.kind {
                    let ids: HashSet<_> = choices.of.iter().map(|(id, _)| id).collect();
                    assert_eq!(ids.len(), choices.of.len(), "{}", attribute.id);
                    assert!(choices.default.is_none_or(|id| ids.contains(&id)), "{}", attribute.id);
                }
            }
        }
    }

    /// Service template attributes name attributes by number: a change here breaks existing stores.
    #[test]
    fn numbers_stay() {
        let numbered: Vec<_> = catalogue().collect();
        assert_eq!(numbered.iter().map(|(number, ..)| *number).collect::<Vec<_>>(), (1..=109).collect::<Vec<_>>());
        let number = |model: Model, id: &str| numbered.iter().find(|(_, m, a)| *m == model && a.id == id).unwrap().0;
        assert_eq!(number(Model::Business, "bk_biz_name"), 1);
        assert_eq!(number(Model::Set, "bk_set_name"), 15);
        assert_eq!(number(Model::Module, "bk_module_name"), 30);
        assert_eq!(number(Model::Host, "bk_host_innerip"), 43);
        assert_eq!(number(Model::Process, "bk_func_name"), 86);
    }
}
