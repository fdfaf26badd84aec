//! A transaction that notes what it is asked: the statements of a call and their values, for bare programs that run the same.

use anyhow::Context;
use rollcall_store::dialect::for_sqlite;
use rollcall_store::{Journal, Param, Row, StoreError, Tx};
use rusqlite::types::Value;

/// A statement of a call.
pub struct Asked {
    /// As SQLite takes it.
    pub sql: String,
    /// The values of its parameters, for each time it was run.
    pub rows: Vec<Vec<Value>>,
    pub is_change: bool,
}

/// The texts of exactly so many statements.
pub fn texts<const COUNT: usize>(asked: Vec<Asked>) -> anyhow::Result<[String; COUNT]> {
    let texts: Vec<_> = asked.into_iter().map(|asked| asked.sql).collect();
    let many = texts.len();
    texts.try_into().ok().with_context(|| format!("the program runs {many} statements for it instead of {COUNT}"))
}

/// See the module. Ids are taken apart and not noted.
pub struct Recording<'a> {
    inner: &'a mut dyn Tx,
    pub asked: Vec<Asked>,
}

impl<'a> Recording<'a> {
    pub fn of(inner: &'a mut dyn Tx) -> Self {
        Self { inner, asked: Vec::new() }
    }

    /// A statement that is another engine's is none.
    fn note(&mut self, sql: &str, rows: Vec<Vec<Value>>, is_change: bool) {
        let sql = for_sqlite(sql);
        if !sql.is_empty() {
            self.asked.push(Asked { sql, rows, is_change });
        }
    }
}

fn values(params: &[Param<'_>]) -> Vec<Value> {
    let value = |param: &Param<'_>| match param {
        Param::Null => Value::Null,
        Param::Int(number) => Value::Integer(*number),
        Param::Text(text) => Value::Text((*text).to_owned()),
        Param::Ids(ids) => Value::Text(list(ids)),
        Param::Texts(texts) => Value::Text(serde_json::json!(texts).to_string()),
    };
    params.iter().map(value).collect()
}

/// A list as one parameter.
pub fn list(ids: &[i64]) -> String {
    serde_json::json!(ids).to_string()
}

impl Tx for Recording<'_> {
    fn query(
        &mut self,
        sql: &'static str,
        params: &[Param<'_>],
        each: &mut dyn FnMut(&dyn Row) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.note(sql, vec![values(params)], false);
        self.inner.query(sql, params, each)
    }

    fn query_composed(
        &mut self,
        sql: &str,
        params: &[Param<'_>],
        each: &mut dyn FnMut(&dyn Row) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.note(sql, vec![values(params)], false);
        self.inner.query_composed(sql, params, each)
    }

    fn execute(&mut self, sql: &'static str, params: &[Param<'_>]) -> Result<usize, StoreError> {
        self.note(sql, vec![values(params)], true);
        self.inner.execute(sql, params)
    }

    fn execute_many(&mut self, sql: &'static str, width: usize, params: &[Param<'_>]) -> Result<(), StoreError> {
        self.note(sql, params.chunks(width).map(values).collect(), true);
        self.inner.execute_many(sql, width, params)
    }

    fn take_ids(&mut self, counter: &'static str, count: i64) -> Result<i64, StoreError> {
        self.inner.take_ids(counter, count)
    }

    fn reserve_ids(&mut self, counter: &'static str, id: i64) -> Result<(), StoreError> {
        self.inner.reserve_ids(counter, id)
    }

    fn number_rows(&mut self, journal: Journal, count: usize) -> Result<Option<i64>, StoreError> {
        self.inner.number_rows(journal, count)
    }
}
