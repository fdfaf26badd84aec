//! Every statement is valid on a migrated store and finds its rows by an index.

#![expect(clippy::unwrap_used, reason = "a test ends with its first error")]

mod support;

use rollcall_store::dialect::for_sqlite;
use rollcall_store::{every_statement, serving_statements};
use rusqlite::Connection;
use support::Folder;

/// Tables that stay small whatever the estate: a scan of them is a plain thing to do.
const SMALL: &[&str] = &[
    "access_grant",
    "app",
    "app_secret",
    "cloud_area",
    "json_each",
    "sequence",
    "service_category",
    "setting",
    "user_token",
];

/// Statements that read a large table from end to end, by a part of their text, with the reason.
const SCANS_ON_PURPOSE: &[(&str, &str)] =
    &[("FROM business WHERE kind = 0", "searches look at every business, and an estate has a few thousand at most")];

fn migrated() -> (Folder, Connection) {
    let folder = Folder::new();
    folder.open().engine().close();
    let connection = folder.outsider();
    (folder, connection)
}

/// The steps of SQLite's plan that read a table or an index from end to end.
fn scans(connection: &Connection, sql: &str) -> Vec<String> {
    let sql = for_sqlite(sql);
    if sql.is_empty() {
        // For another engine.
        return Vec::new();
    }
    let explain = format!("EXPLAIN QUERY PLAN {sql}");
    let mut statement = connection.prepare(&explain).unwrap();
    let mut rows = statement.raw_query();
    let mut scans = Vec::new();
    while let Some(row) = rows.next().unwrap() {
        let step: String = row.get(3).unwrap();
        if step.starts_with("SCAN ") {
            scans.push(step);
        }
    }
    // Aliases hide the table's name, so what is not known to be small counts as large.
    scans.retain(|step| {
        let name = step.split(' ').nth(1).unwrap_or_default();
        !SMALL.contains(&name) && !name.starts_with('(') && step != "SCAN CONSTANT ROW"
    });
    scans
}

#[test]
fn every_statement_prepares_on_a_migrated_store() {
    let (_folder, connection) = migrated();
    let mut count = 0;
    for sql in every_statement() {
        let prepared = connection.prepare(&for_sqlite(sql));
        assert!(prepared.is_ok(), "{sql}: {:?}", prepared.err());
        count += 1;
    }
    assert!(count > 50, "only {count} statements are listed");
}

#[test]
fn no_statement_reads_a_large_table_from_end_to_end() {
    let (_folder, connection) = migrated();
    let on_purpose = |sql: &str| SCANS_ON_PURPOSE.iter().any(|(part, _)| sql.contains(part));
    let slow: Vec<_> = serving_statements()
        .filter(|sql| !on_purpose(sql))
        .filter_map(|sql| {
            let scans = scans(&connection, sql);
            (!scans.is_empty()).then(|| format!("{sql}\n    {}", scans.join("\n    ")))
        })
        .collect();
    assert!(slow.is_empty(), "full scans:\n{}", slow.join("\n"));
    for (part, _) in SCANS_ON_PURPOSE {
        let needed = serving_statements().any(|sql| sql.contains(part) && !scans(&connection, sql).is_empty());
        assert!(needed, "no statement with {part:?} scans any more, take it off the list");
    }
}

#[test]
fn the_refusal_of_scans_sees_what_it_should() {
    let (_folder, connection) = migrated();
    let check = |sql, found: usize| assert_eq!(scans(&connection, sql).len(), found, "{sql}");
    check("SELECT id FROM process WHERE func_name = $1", 1);
    check("SELECT count(*) FROM event", 1);
    check("SELECT p.id FROM process p JOIN host h ON h.id = p.host_id WHERE p.name = $1", 1);
    check("DELETE FROM audit WHERE time_ms < $1", 1);
    check("SELECT id FROM host WHERE id {in $1}", 0);
    check("SELECT name FROM setting", 0);
}
