//! How PostgreSQL would run a statement, in a session as the engine's are.

use super::home;
use postgres::types::Type;
use postgres::{Client, NoTls, SimpleQueryMessage};
use rollcall_store::dialect::for_postgres;
use rollcall_store::postgres::{Options, Postgres, SESSION};
use rollcall_testbed::Database;
use serde_json::Value;

/// Whether the plan is made for the values of a call, or once for all of them. PostgreSQL does the one for a statement's first calls,
/// then what is cheaper.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Made {
    ForValues,
    ForAll,
}

/// A session beside the program on a store of its own.
pub struct Planner {
    pub client: Client,
    _database: Database,
}

impl Planner {
    /// On a store whose tables are split into so many.
    pub fn new(partitions: Option<u32>) -> Self {
        let database = Database::from_template(&format!("split into {partitions:?}"), |url| {
            Postgres::migrate(&Options { partitions, ..home::options(url) }).unwrap();
        });
        let mut client = Client::connect(&database.url(), NoTls).unwrap();
        client.batch_execute(SESSION).unwrap();
        Self { client, _database: database }
    }

    /// The parts of the plan of a statement in the shared SQL; none of one that has no plan, such as `CREATE TABLE`.
    pub fn plan(&mut self, sql: &str, made: Made) -> Vec<Part> {
        let sql = for_postgres(sql);
        let has_plan = ["SELECT", "INSERT", "UPDATE", "DELETE", "WITH"].iter().any(|verb| sql.starts_with(verb));
        if !has_plan {
            return Vec::new();
        }
        let types = self.client.prepare(&sql).unwrap().params().to_vec();
        let values: Vec<_> = types.iter().map(value_of).collect();
        let values = if values.is_empty() { String::new() } else { format!("({})", values.join(", ")) };
        let mode = match made {
            Made::ForValues => "force_custom_plan",
            Made::ForAll => "force_generic_plan",
        };
        self.client.batch_execute(&format!("SET plan_cache_mode = {mode}; PREPARE asked AS {sql}")).unwrap();
        let explained = self.client.simple_query(&format!("EXPLAIN (FORMAT JSON) EXECUTE asked{values}")).unwrap();
        self.client.batch_execute("DEALLOCATE asked").unwrap();
        let text = explained.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.get(0),
            _ => None,
        });
        let plan: Value = serde_json::from_str(text.unwrap()).unwrap();
        let mut parts = Vec::new();
        self.collect(&plan[0]["Plan"], &mut parts);
        parts
    }

    fn collect(&mut self, node: &Value, parts: &mut Vec<Part>) {
        let text = |key: &str| node[key].as_str().unwrap_or_default().to_owned();
        let (mut partition, mut narrows) = (text("Relation Name"), false);
        if let Some(index) = node["Index Name"].as_str() {
            let first_column;
            (partition, first_column) = self.table_and_first_column(index);
            // A condition on columns behind the first one is looked up in every entry.
            narrows = words(&text("Index Cond")).any(|word| word == first_column);
        }
        let table = partition.split("_part").next().unwrap_or_default().to_owned();
        parts.push(Part { kind: text("Node Type"), table, partition, narrows });
        for below in node["Plans"].as_array().into_iter().flatten() {
            self.collect(below, parts);
        }
    }

    fn table_and_first_column(&mut self, index: &str) -> (String, String) {
        let sql = "SELECT i.indrelid::regclass::text, a.attname::text FROM pg_index i
            JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0] WHERE i.indexrelid = $1::text::regclass";
        let row = self.client.query_one(sql, &[&index]).unwrap();
        (row.get(0), row.get(1))
    }
}

/// A value of the type, as SQL. The numbers are different ones.
fn value_of(kind: &Type) -> String {
    match *kind {
        Type::INT8 => "3".into(),
        // Some texts are JSON.
        Type::TEXT => "'[]'".into(),
        Type::INT8_ARRAY => "'{1,2,3}'".into(),
        Type::TEXT_ARRAY => "'{a,b}'".into(),
        _ => panic!("a parameter of the type {kind}"),
    }
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
}

/// A part of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// As PostgreSQL calls it: `Index Scan`.
    pub kind: String,
    /// The table it reads or writes, whatever the partition; "" when it does neither.
    pub table: String,
    pub partition: String,
    /// It goes by an index that leads to the rows that are meant.
    pub narrows: bool,
}

impl Part {
    /// Whether it reads a table or an index from end to end.
    pub fn is_scan(&self) -> bool {
        match self.kind.as_str() {
            "Seq Scan" => true,
            "Index Scan" | "Index Only Scan" | "Bitmap Index Scan" => !self.narrows,
            _ => false,
        }
    }
}
