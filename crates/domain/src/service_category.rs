//! Service categories: what kind of service a module or a template is (`templates` 4).

use crate::fault::{Cause, Fault, Reason, quoted};
use crate::id::{BusinessId, CategoryId, SUPPLIER_ACCOUNT};
use crate::json::{FieldPath, JsonWriter, Schema};
use std::collections::{HashMap, HashSet};

/// A service category.
#[derive(Debug, Clone, PartialEq)]
pub struct ServiceCategory {
    pub id: CategoryId,
    /// 0: shared by all businesses.
    pub business_id: BusinessId,
    pub name: String,
    /// 0: a root. Below 0: a root that counts as none when names are compared, see [`name_is_taken`].
    pub parent_id: CategoryId,
    /// The root it stands under; its own id for a root.
    pub root_id: CategoryId,
    pub is_built_in: bool,
}

/// The built-in categories: id, parent, name. Clients hard-code some of these ids.
const BUILT_IN: [(i64, i64, &str); 20] = [
    (1, 0, "Default"),
    (2, 1, "Default"),
    (3, 0, "数据库"),
    (4, 3, "Mysql"),
    (5, 3, "Redis"),
    (6, 3, "Oracle"),
    (7, 3, "SQLServer"),
    (8, 3, "MongoDB"),
    (9, 3, "Etcd"),
    (10, 3, "Zookeeper"),
    (11, 0, "消息队列"),
    (12, 11, "Kafka"),
    (13, 11, "RabbitMQ"),
    (14, 0, "HTTP 服务"),
    (15, 14, "Nginx"),
    (16, 14, "Apache"),
    (17, 14, "Tomcat"),
    (18, 0, "存储"),
    (19, 18, "Ceph"),
    (20, 18, "NFS"),
];

impl ServiceCategory {
    /// Those that every store is born with.
    pub fn built_in() -> Vec<Self> {
        let category = |(id, parent, name): (i64, i64, &str)| Self {
            id: CategoryId(id),
            business_id: BusinessId(0),
            name: name.to_owned(),
            parent_id: CategoryId(parent),
            root_id: CategoryId(if parent == 0 { id } else { parent }),
            is_built_in: true,
        };
        BUILT_IN.into_iter().map(category).collect()
    }

    /// Whether it is one of all businesses.
    pub fn is_shared(&self) -> bool {
        self.business_id == BusinessId(0)
    }

    /// Whether modules and templates of a business may be of this category.
    pub fn is_usable_by(&self, business: BusinessId) -> bool {
        self.is_shared() || self.business_id == business
    }

    /// The name to show. Stored names never change; the Chinese built-in ones have an English form.
    pub fn shown_name(&self, english: bool) -> &str {
        if !english || !self.is_built_in {
            return &self.name;
        }
        match self.name.as_str() {
            "数据库" => "Database",
            "消息队列" => "Message Queue",
            "HTTP 服务" => "HTTP Web Service",
            "存储" => "Storage",
            name => name,
        }
    }

    /// A new category of a business, below its parent if it has one.
    pub fn new(id: CategoryId, business_id: BusinessId, name: &str, place: Place<'_>) -> Self {
        let (parent_id, root_id) = match place {
            Place::Below(parent) => (parent.id, parent.root_id),
            Place::Top(stated) => (stated, id),
        };
        Self { id, business_id, name: name.to_owned(), parent_id, root_id, is_built_in: false }
    }

    /// The category as it is stored and told of.
    pub fn document(&self) -> String {
        let mut out = JsonWriter::with_capacity(160);
        self.write(&mut out, false);
        out.finish()
    }

    /// Writes the category as the wire shows it.
    pub fn write(&self, out: &mut JsonWriter, english: bool) {
        out.raw("{\"bk_biz_id\":").int(self.business_id.get());
        out.raw(",\"id\":").int(self.id.get());
        out.raw(",\"name\":").text(self.shown_name(english));
        out.raw(",\"bk_root_id\":").int(self.root_id.get());
        out.raw(",\"bk_parent_id\":").int(self.parent_id.get());
        out.raw(",\"bk_supplier_account\":").text(SUPPLIER_ACCOUNT);
        out.raw(",\"is_built_in\":").raw(if self.is_built_in { "true}" } else { "false}" });
    }

    /// The shape of a category.
    pub fn schema() -> Schema {
        Schema::object([
            ("bk_biz_id", Schema::Integer),
            ("id", Schema::Integer),
            ("name", Schema::Text),
            ("bk_root_id", Schema::Integer),
            ("bk_parent_id", Schema::Integer),
            ("bk_supplier_account", Schema::Text),
            ("is_built_in", Schema::Boolean),
        ])
    }
}

/// Where a new category is put.
#[derive(Debug, Clone, Copy)]
pub enum Place<'a> {
    Below(&'a ServiceCategory),
    /// Below none, with the `bk_parent_id` that was sent: 0, or a number below it (`templates E4`).
    Top(CategoryId),
}

impl Place<'_> {
    fn is_first_level(self) -> bool {
        matches!(self, Place::Top(CategoryId(0)))
    }
}

/// The longest name of a category, in characters.
const MAX_NAME: usize = 128;

/// Checks the name that a caller gives a category. Names of built-in ones may be different.
pub fn check_name(name: &str, at: impl Into<FieldPath>) -> Result<(), Fault> {
    let refuse = |reason| Err(Fault::new(Cause::ParamInvalid, at).because(reason));
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | ':' | '-' | '(' | ')') || is_han(c);
    if name.is_empty() {
        refuse(Reason::Blank)
    } else if name.chars().nth(MAX_NAME).is_some() {
        refuse(Reason::TooManyCharacters { max: MAX_NAME })
    } else if !name.chars().all(is_allowed) {
        refuse(Reason::Characters { value: quoted(name) })
    } else {
        Ok(())
    }
}

/// The characters of the Unicode script Han, first and last of each range.
const HAN: [(char, char); 21] = [
    ('\u{2e80}', '\u{2e99}'),
    ('\u{2e9b}', '\u{2ef3}'),
    ('\u{2f00}', '\u{2fd5}'),
    ('\u{3005}', '\u{3005}'),
    ('\u{3007}', '\u{3007}'),
    ('\u{3021}', '\u{3029}'),
    ('\u{3038}', '\u{303b}'),
    ('\u{3400}', '\u{4dbf}'),
    ('\u{4e00}', '\u{9fff}'),
    ('\u{f900}', '\u{fa6d}'),
    ('\u{fa70}', '\u{fad9}'),
    ('\u{16fe2}', '\u{16fe3}'),
    ('\u{16ff0}', '\u{16ff1}'),
    ('\u{20000}', '\u{2a6df}'),
    ('\u{2a700}', '\u{2b739}'),
    ('\u{2b740}', '\u{2b81d}'),
    ('\u{2b820}', '\u{2cea1}'),
    ('\u{2ceb0}', '\u{2ebe0}'),
    ('\u{2ebf0}', '\u{2ee5d}'),
    ('\u{2f800}', '\u{2fa1d}'),
    ('\u{30000}', '\u{323af}'),
];

fn is_han(c: char) -> bool {
    HAN.iter().any(|(first, last)| (*first..=*last).contains(&c))
}

/// Whether a new category clashes with one of these, which have its name: on the first level with those there, on any other with all
/// that are not on the first (`templates E5`).
pub fn name_is_taken(place: Place<'_>, same_named: &[ServiceCategory]) -> bool {
    same_named.iter().any(|other| (other.parent_id == CategoryId(0)) == place.is_first_level())
}

/// Whether a category cannot get the name that these have: brothers and sisters only (`templates E6`).
pub fn rename_is_taken(category: &ServiceCategory, same_named: &[ServiceCategory]) -> bool {
    same_named.iter().any(|other| other.parent_id == category.parent_id && other.id != category.id)
}

/// A category with all below it.
pub fn with_descendants(top: CategoryId, categories: &[ServiceCategory]) -> HashSet<CategoryId> {
    let mut below: HashMap<CategoryId, Vec<CategoryId>> = HashMap::new();
    for category in categories {
        below.entry(category.parent_id).or_default().push(category.id);
    }
    let mut found = HashSet::from([top]);
    let mut left = vec![top];
    while let Some(id) = left.pop() {
        for child in below.get(&id).into_iter().flatten() {
            if found.insert(*child) {
                left.push(*child);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_in_categories_have_two_levels() {
        let all = ServiceCategory::built_in();
        for (id, category) in (1..).zip(&all) {
            assert_eq!(category.id, CategoryId(id));
            let root = &all[usize::try_from(category.root_id.get() - 1).unwrap()];
            assert_eq!(root.parent_id, CategoryId(0));
            assert_eq!(category.parent_id == CategoryId(0), category.root_id == category.id);
        }
        // clients 7, install: exactly one child of this name.
        let defaults = all.iter().filter(|c| c.name == "Default" && c.parent_id != CategoryId(0));
        assert_eq!(defaults.map(|c| c.id).collect::<Vec<_>>(), [CategoryId::DEFAULT]);
    }

    #[test]
    fn names_have_letters_and_few_signs() {
        let check = |name: &str, good: bool| assert_eq!(check_name(name, "name").is_ok(), good, "{name:?}");
        for good in ["a", "Z_9:-()", "中文〇々", &"名".repeat(128), &"𠀀".repeat(128)] {
            check(good, true);
        }
        for bad in ["", " a", "a b", "a.b", "é", "（）", "ア", "a\n", "𝒳", &"名".repeat(129)] {
            check(bad, false);
        }
    }

    /// A tree of 1 (2 (3), 4) and 5.
    fn tree() -> Vec<ServiceCategory> {
        let category = |(id, parent): (i64, i64)| ServiceCategory {
            id: CategoryId(id),
            business_id: BusinessId(3),
            name: "n".into(),
            parent_id: CategoryId(parent),
            root_id: CategoryId(1),
            is_built_in: false,
        };
        [(1, 0), (2, 1), (3, 2), (4, 1), (5, 0)].map(category).into()
    }

    #[test]
    fn names_clash_by_level() {
        let tree = tree();
        let check = |place: Place<'_>, other: usize, taken: bool| {
            assert_eq!(name_is_taken(place, &tree[other..=other]), taken, "{place:?} {other}");
        };
        check(Place::Top(CategoryId(0)), 0, true);
        check(Place::Top(CategoryId(0)), 1, false);
        check(Place::Top(CategoryId(-1)), 0, false);
        check(Place::Top(CategoryId(-1)), 1, true);
        check(Place::Below(&tree[4]), 2, true);
        check(Place::Below(&tree[4]), 0, false);
        assert!(!name_is_taken(Place::Top(CategoryId(0)), &[]));
        assert!(rename_is_taken(&tree[1], &tree[3..]));
        assert!(!rename_is_taken(&tree[1], &tree[..3]));
    }

    #[test]
    fn descendants_are_found_at_any_depth() {
        let found = |top| {
            let mut ids: Vec<_> = with_descendants(CategoryId(top), &tree()).into_iter().map(CategoryId::get).collect();
            ids.sort_unstable();
            ids
        };
        assert_eq!(found(1), [1, 2, 3, 4]);
        assert_eq!(found(2), [2, 3]);
        assert_eq!(found(9), [9]);
    }

    #[test]
    fn only_built_in_names_are_translated() {
        let mut category = ServiceCategory::built_in().swap_remove(2);
        assert_eq!(category.shown_name(true), "Database");
        assert_eq!(category.shown_name(false), "数据库");
        category.is_built_in = false;
        assert_eq!(category.shown_name(true), "数据库");
    }
}
