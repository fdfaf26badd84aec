//! Searches of the audit by any of several conditions, in any order. Their statements are put together from constants by which
//! conditions there are; see [`crate::query_filter`].
//!
//! What a search costs: with a record's id, that record's entries, by `audit_resource`; else the time that is asked for, by
//! `audit_time`, both of each business that is meant. As long as nothing but the time is asked for, no entry is read but those of the
//! page, and what counts and sorts by time or id is in the index; other conditions and orders read the entries of that time. Counting
//! is exact and therefore walks through all that is meant.

use crate::engine::size;
use crate::{Param, Row, StoreError, Tx};
use rollcall_domain::audit::{AuditSearch, AuditTest, AuditText};
use rollcall_domain::id::BusinessId;
use rollcall_domain::moment::Moment;
use rollcall_domain::page::SortKey;

/// Which entries are meant.
#[derive(Debug, Clone, Copy)]
pub struct AuditQuery<'a> {
    /// Those about one of these businesses; `None`: about any, or about none.
    pub businesses: Option<&'a [i64]>,
    pub search: &'a AuditSearch,
}

/// An entry in a list, borrowed from the row it is read from.
#[derive(Debug, Clone, Copy)]
pub struct ListedEntry<'a> {
    pub id: i64,
    pub time: Moment,
    pub business_id: BusinessId,
    pub user: &'a str,
    pub resource_type: &'a str,
    pub action: &'a str,
    pub resource_id: i64,
    pub resource_name: &'a str,
}

const LISTED: &str = "id, time_ms, business_id, user_name, resource_type, action, resource_id, resource_name";

fn read_listed(row: &dyn Row) -> Result<ListedEntry<'_>, StoreError> {
    Ok(ListedEntry {
        id: row.int(0)?,
        time: Moment(row.int(1)?),
        business_id: BusinessId(row.int(2)?),
        user: row.text(3)?,
        resource_type: row.text(4)?,
        action: row.text(5)?,
        resource_id: row.int(6)?,
        resource_name: row.text(7)?,
    })
}

/// A value of a condition.
#[derive(Debug)]
enum Value<'a> {
    Int(i64),
    Ints(&'a [i64]),
    Text(&'a str),
    Texts(Vec<&'a str>),
}

/// A statement on its way, with the values of its parameters.
#[derive(Debug, Default)]
struct Statement<'a> {
    sql: String,
    values: Vec<Value<'a>>,
}

impl<'a> Statement<'a> {
    fn push(&mut self, sql: &str) -> &mut Self {
        self.sql.push_str(sql);
        self
    }

    /// A parameter with this value.
    fn bind(&mut self, value: Value<'a>) -> String {
        self.values.push(value);
        format!("${}", self.values.len())
    }

    /// `column {in $n}`, or another mark in the place of `in`.
    fn push_list(&mut self, column: &str, mark: &str, list: &'a [String]) {
        let list = self.bind(Value::Texts(list.iter().map(String::as_str).collect()));
        self.push(&format!(" AND {column} {{{mark} {list}}}"));
    }

    fn query(
        &self,
        tx: &mut dyn Tx,
        each: &mut dyn FnMut(&dyn Row) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let params = self.values.iter().map(|value| match value {
            Value::Int(number) => Param::Int(*number),
            Value::Ints(list) => Param::Ids(list),
            Value::Text(text) => Param::Text(text),
            Value::Texts(list) => Param::Texts(list),
        });
        tx.query_composed(&self.sql, &params.collect::<Vec<_>>(), each)
    }
}

impl<'a> AuditQuery<'a> {
    /// How many there are.
    pub fn count(&self, tx: &mut dyn Tx) -> Result<usize, StoreError> {
        let mut count = 0;
        self.counting().query(tx, &mut |row| {
            count = row.int(0)?;
            Ok(())
        })?;
        size(count)
    }

    /// Hands over a part of them, sorted by fields, at last by their ids.
    pub fn each_of_page(
        &self,
        tx: &mut dyn Tx,
        sort: &[SortKey],
        start: usize,
        limit: usize,
        each: &mut dyn FnMut(ListedEntry<'_>),
    ) -> Result<(), StoreError> {
        self.paging(sort, start, limit).query(tx, &mut |row| {
            each(read_listed(row)?);
            Ok(())
        })
    }

    /// The texts of both statements, for a test that looks at their plans.
    pub fn statements(&self, sort: &[SortKey]) -> [String; 2] {
        [self.counting().sql, self.paging(sort, 0, 1).sql]
    }

    fn counting(&self) -> Statement<'a> {
        let mut statement = Statement::default();
        statement.push("SELECT count(*) FROM ");
        self.push_meant(&mut statement);
        statement
    }

    /// What is meant is sorted by what an index holds, as far as one does, and the rest of an entry is read for those of the page only.
    /// The join is written in its order, which engines that do not know how few there are on a page would turn around.
    fn paging(&self, sort: &[SortKey], start: usize, limit: usize) -> Statement<'a> {
        let order = order_by(sort);
        let mut statement = Statement::default();
        statement.push(&format!("SELECT {LISTED} FROM (SELECT business_id AS of_business, id AS found FROM "));
        self.push_meant(&mut statement);
        let [limit, start] =
            [limit, start].map(|rows| statement.bind(Value::Int(i64::try_from(rows).unwrap_or(i64::MAX))));
        statement.push(&format!(
            " ORDER BY {order} LIMIT {limit} OFFSET {start}) page CROSS JOIN audit
            WHERE audit.business_id = of_business AND audit.id = found ORDER BY {order}"
        ));
        statement
    }

    /// The table and all conditions.
    fn push_meant(&self, statement: &mut Statement<'a>) {
        let index = if self.search.resource_id.is_some() { "audit_resource" } else { "audit_time" };
        statement.push(&format!("audit {{index {index}}} WHERE "));
        self.push_businesses(statement);
        self.push_conditions(statement);
    }

    fn push_businesses(&self, statement: &mut Statement<'a>) {
        match self.businesses {
            // One look into the index for each, where there is no index by time alone.
            None => {
                statement.push("business_id IN (SELECT id FROM business UNION ALL SELECT 0)");
            }
            Some([business]) => {
                let business = statement.bind(Value::Int(*business));
                statement.push(&format!("business_id = {business}"));
            }
            Some(businesses) => {
                let businesses = statement.bind(Value::Ints(businesses));
                statement.push(&format!("business_id {{in {businesses}}}"));
            }
        }
    }

    fn push_conditions(&self, statement: &mut Statement<'a>) {
        let search = self.search;
        let (first, last) = search.period;
        let first = statement.bind(Value::Int(first.unix_ms()));
        let last = statement.bind(Value::Int(last.unix_ms()));
        statement.push(&format!(" AND time_ms >= {first} AND time_ms <= {last}"));
        if let Some(id) = search.resource_id {
            let id = statement.bind(Value::Int(id));
            statement.push(&format!(" AND resource_id = {id}"));
        }
        if let Some(resource_type) = &search.resource_type {
            let resource_type = statement.bind(Value::Text(resource_type));
            statement.push(&format!(" AND resource_type = {resource_type}"));
        }
        for (column, list) in [("audit_type", &search.audit_types), ("action", &search.actions)] {
            if let Some(list) = list {
                statement.push_list(column, "in", list);
            }
        }
        for rule in &search.rules {
            let column = match rule.field {
                AuditText::User => "user_name",
                AuditText::ResourceName => "resource_name",
            };
            match &rule.test {
                AuditTest::In(texts) => statement.push_list(column, "in", texts),
                AuditTest::NotIn(texts) => statement.push_list(column, "not in", texts),
                AuditTest::Contains(part) => {
                    let part = statement.bind(Value::Text(part));
                    statement.push(&format!(" AND replace(lower({column}), {part}, '') <> lower({column})"));
                }
            }
        }
    }
}

/// The sort keys of the fields that differ between entries; entries that are the same to them by id, in the direction of the last.
fn order_by(sort: &[SortKey]) -> String {
    let mut keys = Vec::new();
    let mut direction = "";
    for key in sort {
        let column = match key.field.as_str() {
            // An expression, so that no engine walks through the ids of all times to spare itself the sorting.
            "id" => "id + 0",
            "operation_time" => "time_ms",
            "bk_biz_id" => "business_id",
            "user" => "user_name",
            "code" => "app_code",
            "rid" => "request_id",
            "audit_type" => "audit_type",
            "resource_type" => "resource_type",
            "action" => "action",
            "resource_id" => "resource_id",
            "resource_name" => "resource_name",
            _ => continue,
        };
        direction = if key.descending { " DESC" } else { "" };
        keys.push(format!("{column}{direction}"));
    }
    let id = if keys.is_empty() { "id + 0" } else { "id" };
    keys.push(format!("{id}{direction}"));
    keys.join(", ")
}
