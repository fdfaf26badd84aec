//! Service categories: what kind of service a module or a template is (`templates` 4).

use crate::id::{BusinessId, CategoryId, SUPPLIER_ACCOUNT};
use crate::json::{JsonWriter, Schema};

/// A service category.
#[derive(Debug, Clone, PartialEq)]
pub struct ServiceCategory {
    pub id: CategoryId,
    /// 0: shared by all businesses.
    pub business_id: BusinessId,
    pub name: String,
    /// 0: a root.
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

    /// Whether modules and templates of a business may be of this category.
    pub fn is_usable_by(&self, business: BusinessId) -> bool {
        self.business_id == BusinessId(0) || self.business_id == business
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
    fn only_built_in_names_are_translated() {
        let mut category = ServiceCategory::built_in().swap_remove(2);
        assert_eq!(category.shown_name(true), "Database");
        assert_eq!(category.shown_name(false), "数据库");
        category.is_built_in = false;
        assert_eq!(category.shown_name(true), "数据库");
    }
}
