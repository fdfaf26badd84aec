//! The tables of a store with all their columns, and the statements that move their rows. A test compares this with the schema.

use crate::{Param, Row, StoreError};

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Int,
    Text,
    TextOrNull,
}

/// One column of a table.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    pub name: &'static str,
    pub kind: Kind,
}

/// A table whose rows are moved.
#[derive(Debug)]
pub struct Table {
    pub name: &'static str,
    /// What is unique in a row, and what pages of rows go on from.
    pub key: &'static [&'static str],
    pub columns: &'static [Column],
    /// Answers the first rows behind a key: `$1` … are its values, the last parameter is the most rows.
    pub read: &'static str,
    pub(super) insert: &'static str,
    /// Answers how many rows there are.
    pub count: &'static str,
}

/// Declares tables: the key, where rows are read from, and the columns.
macro_rules! tables {
    ($($name:ident ($($key:ident),+) from $from:literal { $first:ident: $kind:ident $(, $column:ident: $kinds:ident)* $(,)? })*) => {
        &[$(Table {
            name: stringify!($name),
            key: &[$(stringify!($key)),+],
            columns: &[
                Column { name: stringify!($first), kind: Kind::$kind },
                $(Column { name: stringify!($column), kind: Kind::$kinds }),*
            ],
            read: concat!("SELECT ", stringify!($first), $(", ", stringify!($column),)* " FROM ", $from),
            insert: concat!(
                "INSERT INTO ", stringify!($name), " (", stringify!($first), $(", ", stringify!($column),)* ") VALUES ($1",
                parameters!([$($column)*] [2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20] []), ")"
            ),
            count: concat!("SELECT count(*) FROM ", stringify!($name)),
        }),*]
    };
}

/// `, $2, $3` … for as many columns.
macro_rules! parameters {
    ([] [$($left:literal)*] [$($number:literal)*]) => { concat!($(", $", $number),*) };
    ([$column:ident $($columns:ident)*] [$next:literal $($left:literal)*] [$($number:literal)*]) => {
        parameters!([$($columns)*] [$($left)*] [$($number)* $next])
    };
}

/// Every table, in the order in which they are copied.
pub static TABLES: &[Table] = tables! {
    business (id) from "business WHERE id > $1 ORDER BY id LIMIT $2" {
        id: Int, name: Text, kind: Int, status: Text, document: Text,
    }
    topology_set (id) from "topology_set WHERE id > $1 ORDER BY id LIMIT $2" {
        id: Int, business_id: Int, parent_id: Int, kind: Int, name: Text, set_template_id: Int, document: Text,
    }
    module (id) from "module WHERE id > $1 ORDER BY id LIMIT $2" {
        id: Int, business_id: Int, set_id: Int, kind: Int, name: Text, service_template_id: Int, service_category_id: Int,
        document: Text,
    }
    service_category (id) from "service_category WHERE id > $1 ORDER BY id LIMIT $2" {
        id: Int, business_id: Int, parent_id: Int, root_id: Int, name: Text, is_built_in: Int,
    }
    service_template (id) from "service_template WHERE id > $1 ORDER BY id LIMIT $2" {
        id: Int, business_id: Int, name: Text, service_category_id: Int, document: Text,
    }
    process_template (id) from "process_template WHERE id > $1 ORDER BY id LIMIT $2" {
        id: Int, business_id: Int, service_template_id: Int, name: Text, func_name: Text, start_param: TextOrNull,
        property: Text, last_row_id: Int, creator: Text, modifier: Text, create_time: Text, last_time: Text,
    }
    service_template_attribute (id) from "service_template_attribute WHERE id > $1 ORDER BY id LIMIT $2" {
        id: Int, business_id: Int, service_template_id: Int, attribute_id: Int, document: Text,
    }
    set_template (id) from "set_template WHERE id > $1 ORDER BY id LIMIT $2" {
        id: Int, business_id: Int, name: Text, document: Text,
    }
    set_template_relation (set_template_id, service_template_id) from
        "set_template_relation WHERE (set_template_id, service_template_id) > ($1, $2)
            ORDER BY set_template_id, service_template_id LIMIT $3" {
        business_id: Int, set_template_id: Int, service_template_id: Int,
    }
    set_template_attribute (id) from "set_template_attribute WHERE id > $1 ORDER BY id LIMIT $2" {
        id: Int, business_id: Int, set_template_id: Int, attribute_id: Int, document: Text,
    }
    cloud_area (id) from "cloud_area WHERE id > $1 ORDER BY id LIMIT $2" { id: Int, name: Text }
    host (id) from "host WHERE id > $1 ORDER BY id LIMIT $2" {
        id: Int, cloud_id: Int, inner_ip: Text, inner_ip_v6: Text, outer_ip: Text, outer_ip_v6: Text, agent_id: TextOrNull,
        document: Text,
    }
    host_address (address, cloud_id) from
        "host_address WHERE (address, cloud_id) > ($1, $2) ORDER BY address, cloud_id LIMIT $3" {
        cloud_id: Int, address: Text, host_id: Int,
    }
    host_module (module_id, host_id) from
        "host_module WHERE (module_id, host_id) > ($1, $2) ORDER BY module_id, host_id LIMIT $3" {
        business_id: Int, set_id: Int, module_id: Int, host_id: Int,
    }
    service_instance (business_id, id) from "service_instance WHERE {after in business $1 $2} LIMIT $3" {
        id: Int, business_id: Int, module_id: Int, host_id: Int, service_template_id: Int, name: Text, document: Text,
        labels: TextOrNull,
    }
    process (business_id, id) from "process WHERE {after in business $1 $2} LIMIT $3" {
        id: Int, business_id: Int, service_instance_id: Int, host_id: Int, process_template_id: Int, name: Text, func_name: Text,
        start_param: TextOrNull, fixed_fields: Text, extra_fields: Text,
    }
    job (id) from "job WHERE id > $1 ORDER BY id LIMIT $2" {
        id: Int, business_id: Int, kind: Int, target_id: Int, template_id: Int, status: Int, user_name: Text, user_verified: Int,
        app_code: Text, request_id: Text, created_ms: Int, changed_ms: Int, reason: Text, holder: Text, lease_ms: Int,
    }
    job_part (job_id, number) from "job_part WHERE (job_id, number) > ($1, $2) ORDER BY job_id, number LIMIT $3" {
        job_id: Int, number: Int, status: Int, content: Text, response: TextOrNull, overruns: Int,
    }
    app (code) from "app WHERE code > $1 ORDER BY code LIMIT $2" { code: Text, login_free: Int, created_ms: Int }
    app_secret (id) from "app_secret WHERE id > $1 ORDER BY id LIMIT $2" {
        id: Int, app_code: Text, digest: Text, created_ms: Int,
    }
    user_token (id) from "user_token WHERE id > $1 ORDER BY id LIMIT $2" {
        id: Int, user_name: Text, digest: Text, created_ms: Int, expires_ms: Int,
    }
    access_grant (id) from "access_grant WHERE id > $1 ORDER BY id LIMIT $2" {
        id: Int, user_name: Text, action: Text, business_id: Int, created_ms: Int,
    }
    // Where audit entries are numbered by a counter, it is an engine's own.
    sequence (name) from "sequence WHERE name > $1 AND name <> 'audit' ORDER BY name LIMIT $2" { name: Text, next: Int }
    audit (business_id, id) from "audit WHERE {after in business $1 $2} LIMIT $3" {
        id: Int, time_ms: Int, business_id: Int, user_name: Text, user_verified: Int, app_code: Text, request_id: Text,
        audit_type: Text, resource_type: Text, action: Text, resource_id: Int, resource_name: Text, detail: Text,
    }
    // What stands for an event everywhere is its position.
    event (id) from
        "(SELECT position AS id, time_ms, business_id, kind, operation, object_id, request_id, before_state, after_state
            FROM {events_after $1 $2} published) event ORDER BY id LIMIT $2" {
        id: Int, time_ms: Int, business_id: Int, kind: Int, operation: Int, object_id: Int, request_id: Text,
        before_state: TextOrNull, after_state: TextOrNull,
    }
    // The schema is the target's own, and so is what says that it is not complete.
    setting (name) from "setting WHERE name > $1 AND name NOT IN ('schema_version', 'unfinished_copy', 'unfinished_copy_at')
            ORDER BY name LIMIT $2" {
        name: Text, value: Text,
    }
};

/// A value of a row on its way.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Null,
    Int(i64),
    Text(String),
}

impl Value {
    pub(super) fn param(&self) -> Param<'_> {
        match self {
            Self::Null => Param::Null,
            Self::Int(number) => Param::Int(*number),
            Self::Text(text) => Param::Text(text),
        }
    }

    /// About what it takes in memory.
    pub(super) fn size(&self) -> usize {
        let text = if let Self::Text(text) = self { text.len() } else { 0 };
        size_of::<Self>() + text
    }
}

impl Table {
    /// A key before that of every row.
    pub(super) fn start(&self) -> Vec<Value> {
        let first = |kind| match kind {
            // Positions of events are calculated with.
            Kind::Int => Value::Int(i64::MIN / 2),
            Kind::Text | Kind::TextOrNull => Value::Text(String::new()),
        };
        self.key_columns().map(|number| first(self.columns[number].kind)).collect()
    }

    /// The key of a row.
    pub(super) fn key_of(&self, row: &[Value]) -> Vec<Value> {
        self.key_columns().map(|number| row[number].clone()).collect()
    }

    fn key_columns(&self) -> impl Iterator<Item = usize> {
        self.key.iter().map(|name| self.column(name))
    }

    /// The number of a column that the table has.
    pub(super) fn column(&self, name: &str) -> usize {
        let found = self.columns.iter().position(|column| column.name == name);
        found.unwrap_or_else(|| panic!("{} has a column {name}", self.name))
    }

    pub(super) fn read_row(&self, row: &dyn Row, into: &mut Vec<Value>) -> Result<(), StoreError> {
        for (number, column) in self.columns.iter().enumerate() {
            into.push(match column.kind {
                Kind::Int => Value::Int(row.int(number)?),
                Kind::Text => Value::Text(row.text(number)?.to_owned()),
                Kind::TextOrNull => row.text_or_null(number)?.map_or(Value::Null, |text| Value::Text(text.to_owned())),
            });
        }
        Ok(())
    }
}
