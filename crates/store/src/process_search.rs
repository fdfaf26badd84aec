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
        let mut sql = format!("SELECT {what} FROM process p");
        if self.module_ids.is_some() {
            sql += &format!(" JOIN service_instance s ON s.business_id = {business} AND s.id = p.service_instance_id");
        }
        sql += &format!(" WHERE p.business_id = {business}");
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
