//! Searches for processes of a business by any of several conditions, in any order. Their statements are put together from constants
//! by which conditions there are; see [`crate::query_filter`].

use crate::engine::size;
use crate::query_filter::{Condition, order_by};
use crate::{Param, StoreError, Tx};
use rollcall_domain::id::BusinessId;
use rollcall_domain::page::SortKey;
use rollcall_domain::query_filter::QueryFilter;

/// Which processes of a business are meant: those that meet every condition there is.
#[derive(Debug, Clone, Copy)]
pub struct ProcessSearch<'a> {
    pub business: BusinessId,
    pub process_ids: Option<&'a [i64]>,
    pub service_instance_ids: Option<&'a [i64]>,
    pub module_ids: Option<&'a [i64]>,
    pub names: Option<&'a [&'a str]>,
    pub filter: Option<&'a QueryFilter>,
}

impl<'a> ProcessSearch<'a> {
    /// Every process of a business.
    pub fn of(business: BusinessId) -> Self {
        Self { business, process_ids: None, service_instance_ids: None, module_ids: None, names: None, filter: None }
    }

    /// How many there are. Served by the primary key, `process_name` or `service_instance_module`, by what there is a condition on.
    pub fn count(&self, tx: &mut dyn Tx) -> Result<usize, StoreError> {
        let mut count = 0;
        self.query(tx, "count(*)", "", &[], &mut |number| count = number)?;
        size(count)
    }

    /// The ids of a part of them, sorted by fields that are sortable, at last by their ids. Served as [`Self::count`].
    pub fn page(&self, tx: &mut dyn Tx, sort: &[SortKey], start: usize, limit: usize) -> Result<Vec<i64>, StoreError> {
        let keys = sort.iter().map(|key| order_by(&key.field, key.descending));
        let keys: Vec<_> = keys.chain([String::from("p.id")]).collect();
        let behind = format!(" ORDER BY {} LIMIT $1 OFFSET $2", keys.join(", "));
        let part = [limit, start].map(|rows| Param::Int(i64::try_from(rows).unwrap_or(i64::MAX)));
        let mut ids = Vec::new();
        self.query(tx, "p.id", &behind, &part, &mut |id| ids.push(id))?;
        Ok(ids)
    }

    /// What is read, the table with the fewest matches first: SQLite joins in this order, and would rather begin with all processes of
    /// the business.
    fn tables(&self) -> &'static str {
        match (self.process_ids, self.service_instance_ids, self.module_ids) {
            (Some(_), _, None) => "process p {by id}",
            (Some(_), _, Some(_)) => "process p {by id} CROSS JOIN service_instance s",
            (None, Some(_), Some(_)) => "process p CROSS JOIN service_instance s",
            (None, None, Some(_)) => "service_instance s CROSS JOIN process p",
            (None, _, None) => "process p",
        }
    }

    /// Runs a statement that answers numbers; `first` are the values of its first parameters, which `behind` names.
    fn query(
        &self,
        tx: &mut dyn Tx,
        what: &str,
        behind: &str,
        first: &[Param<'a>],
        each: &mut dyn FnMut(i64),
    ) -> Result<(), StoreError> {
        let mut params = first.to_vec();
        let mut bind = |param| {
            params.push(param);
            format!("${}", params.len())
        };
        let business = bind(self.business.get().into());
        let mut sql = format!("SELECT {what} FROM {} WHERE p.business_id = {business}", self.tables());
        if self.module_ids.is_some() {
            sql += &format!(" AND s.business_id = {business} AND s.id = p.service_instance_id");
        }
        let lists = [
            ("p.id", self.process_ids.map(Param::Ids)),
            ("p.service_instance_id", self.service_instance_ids.map(Param::Ids)),
            ("s.module_id", self.module_ids.map(Param::Ids)),
            ("p.name", self.names.map(Param::Texts)),
        ];
        for (column, list) in lists {
            if let Some(list) = list {
                sql += &format!(" AND {column} {{in {}}}", bind(list));
            }
        }
        let condition = self.filter.map(|filter| Condition::on_process(filter, params.len() + 1));
        let texts = condition.as_ref().map(Condition::texts).unwrap_or_default();
        if let Some(condition) = &condition {
            sql += &format!(" AND {}", condition.sql);
        }
        sql += behind;
        // What a filter's values live in is gone before what the other conditions live in.
        let mut all: Vec<Param<'_>> = params;
        all.extend(condition.iter().flat_map(|condition| condition.params(&texts)));
        tx.query_composed(&sql, &all, &mut |row| {
            each(row.int(0)?);
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::for_sqlite;
    use crate::sqlite::{Options, Sqlite};
    use crate::{Journal, Row};

    /// Notes composed statements instead of running them.
    #[derive(Default)]
    struct Noting(Vec<String>);

    impl Tx for Noting {
        fn query(
            &mut self,
            _: &'static str,
            _: &[Param<'_>],
            _: &mut dyn FnMut(&dyn Row) -> Result<(), StoreError>,
        ) -> Result<(), StoreError> {
            unreachable!("searches are composed")
        }

        fn query_composed(
            &mut self,
            sql: &str,
            _: &[Param<'_>],
            _: &mut dyn FnMut(&dyn Row) -> Result<(), StoreError>,
        ) -> Result<(), StoreError> {
            self.0.push(sql.to_owned());
            Ok(())
        }

        fn execute(&mut self, _: &'static str, _: &[Param<'_>]) -> Result<usize, StoreError> {
            unreachable!("searches change nothing")
        }

        fn execute_many(&mut self, _: &'static str, _: usize, _: &[Param<'_>]) -> Result<(), StoreError> {
            unreachable!("searches change nothing")
        }

        fn take_ids(&mut self, _: &'static str, _: i64) -> Result<i64, StoreError> {
            unreachable!("searches change nothing")
        }

        fn reserve_ids(&mut self, _: &'static str, _: i64) -> Result<(), StoreError> {
            unreachable!("searches change nothing")
        }

        fn number_rows(&mut self, _: Journal, _: usize) -> Result<Option<i64>, StoreError> {
            unreachable!("searches change nothing")
        }
    }

    #[test]
    fn ids_of_any_kind_are_looked_up_and_not_searched_for_in_their_business() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("store");
        drop(Sqlite::open(Options::new(&file)).unwrap());
        let connection = rusqlite::Connection::open(&file).unwrap();
        let some = |bits: u8, bit: u8| (bits & bit != 0).then_some(&[1, 2][..]);
        for bits in 1..8 {
            let search = ProcessSearch {
                process_ids: some(bits, 1),
                service_instance_ids: some(bits, 2),
                module_ids: some(bits, 4),
                ..ProcessSearch::of(BusinessId(1))
            };
            let mut noting = Noting::default();
            search.count(&mut noting).unwrap();
            search.page(&mut noting, &[], 0, 10).unwrap();
            assert_eq!(noting.0.len(), 2);
            for sql in &noting.0 {
                let mut explain = connection.prepare(&format!("EXPLAIN QUERY PLAN {}", for_sqlite(sql))).unwrap();
                let mut rows = explain.raw_query();
                while let Some(row) = rows.next().unwrap() {
                    let step: String = row.get(3).unwrap();
                    assert!(!step.ends_with("(business_id=?)") && !step.starts_with("SCAN p"), "{sql}: {step}");
                }
            }
        }
    }
}
