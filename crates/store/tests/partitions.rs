//! A store whose tables are split by business: what serves a request touches one partition of each. Only on PostgreSQL.

#![expect(clippy::unwrap_used, reason = "a test ends with its first error")]

mod support;

use rollcall_store::dialect::for_postgres;
use rollcall_store::migrate::{Migrated, newest};
use rollcall_store::postgres::{Options, Postgres};
use rollcall_store::{StoreError, serving_statements};
use rollcall_testbed::Database;
use std::collections::BTreeSet;
use support::home::{self, on_postgres};
use support::plan::{Made, Part, Planner};

const COUNT: u32 = 16;

/// The tables that are split.
const SPLIT: [&str; 3] = ["service_instance", "process", "audit"];

/// Statements that touch more than one partition, by a part of their text, with the reason. Whatever else is known by its id alone has
/// its business looked up first, in a table that is not split.
const MANY_PARTITIONS: &[(&str, &str)] = &[
    ("WHERE {after in business", "a copy reads whole tables, in the order of their keys"),
    (
        "FROM audit WHERE id {in $1}",
        "few entries are ever looked at, and remembering where each is would be a row for each",
    ),
];

/// The partitions that a plan reads, by what is behind the table's name: those of one business are called the same in every table.
fn partitions(parts: &[Part]) -> BTreeSet<&str> {
    let read = parts.iter().filter(|part| part.kind != "ModifyTable" && part.partition != part.table);
    read.map(|part| part.partition.strip_prefix(&part.table).unwrap_or(&part.partition)).collect()
}

#[test]
fn what_serves_a_request_touches_one_partition() {
    if !on_postgres() {
        return;
    }
    let mut planner = Planner::new(Some(COUNT));
    let (mut read, mut wrong) = (0, Vec::new());
    for sql in serving_statements().filter(|sql| !MANY_PARTITIONS.iter().any(|(part, _)| sql.contains(part))) {
        for made in [Made::ForValues, Made::ForAll] {
            let parts = planner.plan(sql, made);
            if !parts.iter().any(|part| SPLIT.contains(&part.table.as_str())) {
                continue;
            }
            // Rows find their partition one by one as they are inserted.
            let wanted = if for_postgres(sql).starts_with("INSERT") { 0 } else { 1 };
            read += wanted;
            let found = partitions(&parts);
            if found.len() != wanted || parts.iter().any(Part::is_scan) {
                wrong.push(format!("{sql}\n    {made:?}: {found:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "more than one partition, or all of one:\n{}", wrong.join("\n"));
    assert!(read > 80, "only {read} plans were looked at");
}

#[test]
fn the_look_at_partitions_sees_what_it_should() {
    if !on_postgres() {
        return;
    }
    let mut planner = Planner::new(Some(COUNT));
    for made in [Made::ForValues, Made::ForAll] {
        let mut check = |sql, count: u32| {
            let parts = planner.plan(sql, made);
            assert_eq!(partitions(&parts).len(), count as usize, "{made:?} {sql}");
        };
        check("SELECT id FROM process WHERE service_instance_id = $1", COUNT);
        check("DELETE FROM audit WHERE time_ms < $1", COUNT);
        check("SELECT id FROM process WHERE business_id = $1", 1);
        check("DELETE FROM audit WHERE business_id = $1", 1);
        check("SELECT id FROM host WHERE id = $1", 0);
    }
}

fn migrate(database: &Database, partitions: Option<u32>) -> Result<Migrated, StoreError> {
    Postgres::migrate(&Options { partitions, ..home::options(&database.url()) })
}

#[test]
fn tables_are_split_when_they_are_made_or_never() {
    if !on_postgres() {
        return;
    }
    let refused = |database: &Database, partitions: u32, words: &str| {
        let Err(StoreError::Unavailable(text)) = migrate(database, Some(partitions)) else {
            panic!("tables were split anew");
        };
        assert_eq!(text, words);
    };
    let to = newest();

    let split = Database::new();
    assert_eq!(migrate(&split, Some(2)).unwrap(), Migrated { from: 0, to, partitions: Some(2) });
    let as_it_is = Migrated { from: to, to, partitions: Some(2) };
    assert_eq!((migrate(&split, Some(2)).unwrap(), migrate(&split, None).unwrap()), (as_it_is, as_it_is));
    refused(&split, 16, "its tables are split into 2 partitions; only a store that is made anew can have 16");

    let whole = Database::new();
    assert_eq!(migrate(&whole, None).unwrap(), Migrated { from: 0, to, partitions: None });
    refused(&whole, 16, "its tables are not split; only a store that is made anew can have 16");
}
