//! Every statement is valid on a migrated store and finds its rows by an index.

#![expect(clippy::unwrap_used, reason = "a test ends with its first error")]

mod support;

use postgres::types::Type;
use rollcall_domain::audit::{AuditRule, AuditSearch, AuditTest, AuditText};
use rollcall_domain::moment::Moment;
use rollcall_domain::page::SortKey;
use rollcall_store::audit_search::AuditQuery;
use rollcall_store::dialect::{for_postgres, for_sqlite, many_for_postgres};
use rollcall_store::{every_statement, serving_statements, statements_for_many};
use rollcall_testbed::{Engine, engine};
use rusqlite::Connection;
use std::collections::BTreeSet;
use support::Folder;
use support::home::on_postgres;
use support::plan::{Made, Planner};

/// Tables that stay small whatever the estate: a scan of them is a plain thing to do.
const SMALL: &[&str] = &[
    "access_grant",
    "app",
    "app_secret",
    "cloud_area",
    // Numbers that the caller names.
    "e",
    "json_each",
    // Selectors and labels, taken apart.
    "label",
    "one",
    "selector",
    // The few rows of a page.
    "page",
    "published",
    "sequence",
    "service_category",
    "setting",
    "user_token",
];

/// Statements that read a large table from end to end, by a part of their text, with the reason.
const SCANS_ON_PURPOSE: &[(&str, &str)] =
    &[("FROM business WHERE kind = 0", "searches look at every business, and an estate has a few thousand at most")];

/// The same on PostgreSQL only.
const SCANS_ON_PURPOSE_THERE: &[(&str, &str)] =
    &[("is_pending = 1 ORDER BY draw LIMIT", "an index holds what is pending and nothing else")];

/// A migrated store as others than the program see it.
enum Outside {
    Sqlite(Connection, #[expect(dead_code, reason = "keeps the file")] Folder),
    Postgres(Box<Planner>),
}

impl Outside {
    /// On the engine that the environment names.
    fn new() -> Self {
        match engine() {
            Engine::Sqlite => {
                let folder = Folder::new();
                folder.open().engine().close();
                let connection = folder.outsider();
                Self::Sqlite(connection, folder)
            }
            Engine::Postgres => Self::Postgres(Box::new(Planner::new(None))),
        }
    }

    /// What is wrong with a statement.
    fn prepare(&mut self, sql: &str) -> Result<(), String> {
        match self {
            Self::Sqlite(connection, _) => connection.prepare(&for_sqlite(sql)).map(|_| ()).map_err(|e| e.to_string()),
            Self::Postgres(planner) => {
                planner.client.prepare(&for_postgres(sql)).map(|_| ()).map_err(|e| format!("{e:?}"))
            }
        }
    }

    /// The steps of a statement's plan that read a large table or an index of it from end to end.
    fn scans(&mut self, sql: &str) -> Vec<String> {
        match self {
            Self::Sqlite(connection, _) => scans_in_sqlite(connection, sql),
            Self::Postgres(planner) => {
                let mut scans = Vec::new();
                for made in [Made::ForValues, Made::ForAll] {
                    let mut parts = planner.plan(sql, made);
                    parts.retain(|part| part.is_scan() && !SMALL.contains(&part.table.as_str()));
                    scans.extend(parts.iter().map(|part| format!("{made:?}: {} of {}", part.kind, part.table)));
                }
                scans
            }
        }
    }
}

/// The steps of a statement's plan; none of one for another engine.
fn steps_in_sqlite(connection: &Connection, sql: &str) -> Vec<String> {
    let sql = for_sqlite(sql);
    if sql.is_empty() {
        return Vec::new();
    }
    let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    let mut rows = statement.raw_query();
    let mut steps = Vec::new();
    while let Some(row) = rows.next().unwrap() {
        steps.push(row.get(3).unwrap());
    }
    steps
}

fn scans_in_sqlite(connection: &Connection, sql: &str) -> Vec<String> {
    let mut scans = steps_in_sqlite(connection, sql);
    scans.retain(|step| step.starts_with("SCAN "));
    // Aliases hide the table's name, so what is not known to be small counts as large.
    scans.retain(|step| {
        let name = step.split(' ').nth(1).unwrap_or_default();
        step.starts_with("SCAN ") && !SMALL.contains(&name) && !name.starts_with('(') && step != "SCAN CONSTANT ROW"
    });
    scans
}

#[test]
fn every_statement_prepares_on_a_migrated_store() {
    let mut store = Outside::new();
    let mut count = 0;
    for sql in every_statement() {
        let prepared = store.prepare(sql);
        assert!(prepared.is_ok(), "{sql}: {prepared:?}");
        count += 1;
    }
    assert!(count > 50, "only {count} statements are listed");
}

/// A business may have most processes of the estate. What PostgreSQL does depends on how many there are.
#[test]
fn no_statement_reads_all_processes_of_a_business_for_some_of_them() {
    let store = Outside::new();
    let Outside::Sqlite(connection, _) = &store else { return };
    let (mut looked_up, mut wrong) = (0, Vec::new());
    for sql in serving_statements() {
        for step in steps_in_sqlite(connection, sql) {
            let of_processes = matches!(step.split(' ').nth(1), Some("process" | "p"));
            looked_up += usize::from(of_processes);
            // All that follows any template, and all hosts of a business, are as many.
            let is_wrong = (of_processes && step.ends_with("(business_id=?)"))
                || step.contains("template_id>?")
                || (sql.contains("r.module_id") && step.contains("host_module_business (business_id=?)"));
            if is_wrong {
                wrong.push(format!("{sql}: {step}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(looked_up > 10, "only {looked_up} steps look for processes");
}

/// Jobs are kept for a year, and runners look for one every second.
#[test]
fn no_statement_reads_all_jobs_of_a_business_or_a_kind_for_some_of_them() {
    let store = Outside::new();
    let Outside::Sqlite(connection, _) = &store else { return };
    let mut wrong = Vec::new();
    for sql in serving_statements() {
        for step in steps_in_sqlite(connection, sql) {
            let reads_business =
                step.ends_with("job_business_time (business_id=?)") && !sql.contains("{index job_business_time}");
            if reads_business || step.ends_with("(kind=?)") {
                wrong.push(format!("{sql}: {step}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn statements_for_many_rows_prepare_on_postgresql() {
    if !on_postgres() {
        return;
    }
    let mut planner = Planner::new(None);
    let client = &mut planner.client;
    let mut count = 0;
    for sql in statements_for_many() {
        let one = client.prepare(&for_postgres(sql)).unwrap();
        let types: Vec<_> =
            one.params().iter().map(|kind| if *kind == Type::INT8 { "bigint" } else { "text" }).collect();
        let many = many_for_postgres(&for_postgres(sql), &types);
        let prepared = client.prepare(&many).unwrap_or_else(|e| panic!("{many}: {e:?}"));
        let lists = prepared.params().iter().map(Type::name);
        let wanted = one.params().iter().map(|kind| format!("_{}", kind.name()));
        assert_eq!(lists.collect::<Vec<_>>(), wanted.collect::<Vec<_>>(), "{many}");
        count += 1;
    }
    assert!(count > 10, "only {count} statements are for many rows");
}

/// PostgreSQL takes the type of each from its use, and a gap has none.
#[test]
fn parameters_are_numbered_without_gaps() {
    for sql in every_statement().map(for_postgres) {
        let digits = |text: &str| text.chars().take_while(char::is_ascii_digit).collect::<String>();
        let numbers: BTreeSet<usize> = sql.split('$').skip(1).filter_map(|rest| digits(rest).parse().ok()).collect();
        assert!(numbers.iter().copied().eq(1..=numbers.len()), "{sql}");
    }
}

#[test]
fn no_statement_reads_a_large_table_from_end_to_end() {
    let mut store = Outside::new();
    let purposes = match engine() {
        Engine::Sqlite => SCANS_ON_PURPOSE.to_vec(),
        Engine::Postgres => [SCANS_ON_PURPOSE, SCANS_ON_PURPOSE_THERE].concat(),
    };
    let on_purpose = |sql: &str| purposes.iter().any(|(part, _)| sql.contains(part));
    let slow: Vec<_> = serving_statements()
        .filter(|sql| !on_purpose(sql))
        .filter_map(|sql| {
            let scans = store.scans(sql);
            (!scans.is_empty()).then(|| format!("{sql}\n    {}", scans.join("\n    ")))
        })
        .collect();
    assert!(slow.is_empty(), "full scans:\n{}", slow.join("\n"));
    for (part, _) in purposes {
        let needed = serving_statements().any(|sql| sql.contains(part) && !store.scans(sql).is_empty());
        assert!(needed, "no statement with {part:?} scans any more, take it off the list");
    }
}

#[test]
fn the_refusal_of_scans_sees_what_it_should() {
    let mut store = Outside::new();
    let mut check = |sql, found: bool| assert_eq!(!store.scans(sql).is_empty(), found, "{sql}");
    check("SELECT id FROM process WHERE func_name = $1", true);
    check("SELECT count(*) FROM event", true);
    check("SELECT p.id FROM process p JOIN host h ON h.id = p.host_id WHERE p.name = $1", true);
    check("DELETE FROM audit WHERE time_ms < $1", true);
    check("SELECT id FROM process WHERE service_instance_id = $1", true);
    check("SELECT id FROM host WHERE id {in $1}", false);
    check("SELECT name FROM setting", false);
}

/// They are put together for each caller; these are those that the conditions lead to.
#[test]
fn searches_of_the_audit_find_their_entries_by_an_index() {
    let mut store = Outside::new();
    let plain = AuditSearch {
        period: (Moment(1), Moment(2)),
        resource_type: None,
        resource_id: None,
        audit_types: None,
        actions: None,
        rules: Vec::new(),
    };
    let fuzzy = AuditRule { field: AuditText::ResourceName, test: AuditTest::Contains("web".into()) };
    let searches = [
        plain.clone(),
        AuditSearch { resource_type: Some("host".into()), resource_id: Some(3), ..plain.clone() },
        AuditSearch { audit_types: Some(vec!["host".into()]), actions: Some(Vec::new()), rules: vec![fuzzy], ..plain },
    ];
    for search in &searches {
        for businesses in [None, Some(&[3][..]), Some(&[3, 4][..])] {
            // Whether it looks for each business, PostgreSQL decides by how many entries there are, and here are none.
            if businesses.is_none() && on_postgres() {
                continue;
            }
            for sort in ["", "-operation_time", "-id", "user"] {
                let sort = SortKey::parse_list(sort).unwrap();
                for sql in (AuditQuery { businesses, search }).statements(&sort) {
                    let mut scans = store.scans(&sql);
                    // Without a business, each is looked for; there are a few thousand at most.
                    scans.retain(|scan| businesses.is_some() || !scan.contains(" business"));
                    // All that a business ever did is as good as the whole table.
                    if let Outside::Sqlite(connection, _) = &store {
                        let steps = steps_in_sqlite(connection, &sql);
                        scans.extend(steps.into_iter().filter(|step| step.ends_with("(business_id=?)")));
                    }
                    assert!(scans.is_empty(), "{sql}\n    {}", scans.join("\n    "));
                }
            }
        }
    }
}

/// To walk through all changes of a business until a page of one module is together costs more than to sort the module.
#[test]
fn a_list_that_is_narrowed_down_is_not_served_by_its_order() {
    let store = Outside::new();
    let Outside::Sqlite(connection, _) = &store else { return };
    let by_change =
        |sql: &str| steps_in_sqlite(connection, sql).iter().any(|step| step.contains("service_instance_change"));
    let served: Vec<_> = serving_statements().filter(|sql| by_change(sql)).collect();
    assert!(served.len() >= 2, "{served:?}");
    for sql in served {
        assert!(!["module_id =", "host_id {in", "AND id {in"].iter().any(|narrow| sql.contains(narrow)), "{sql}");
    }
}
