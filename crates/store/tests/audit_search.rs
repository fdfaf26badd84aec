//! A search of the audit answers what the same search asked of every entry does, on every engine (`topology` 13.2).

#![expect(clippy::unwrap_used, reason = "a test ends with its first error")]

mod support;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};
use rollcall_domain::audit::{AuditRule, AuditSearch, AuditTest, AuditText};
use rollcall_domain::id::BusinessId;
use rollcall_domain::moment::Moment;
use rollcall_domain::page::SortKey;
use rollcall_store::audit::{Actor, AuditRow, insert};
use rollcall_store::audit_search::AuditQuery;
use rollcall_store::{Store, StoreError};
use std::cmp::Ordering;
use support::home::Home;

const BUSINESSES: [i64; 4] = [0, 3, 4, 5];
const USERS: [&str; 3] = ["ann", "Bob", "机器"];
const TYPES: [&str; 2] = ["business_resource", "host"];
const RESOURCES: [&str; 2] = ["service_instance", "host"];
const ACTIONS: [&str; 3] = ["create", "update", "delete"];
/// With what is special in patterns and to those who ignore case.
const NAMES: [&str; 6] = ["", "web", "WEB%_1", "a.b", "\u{e9}cole", "\u{c9}COLE"];
const TIMES: i64 = 12;
const IDS: i64 = 5;

/// An entry as it was written; its id is told by the store.
#[derive(Debug, Clone)]
struct Written {
    id: i64,
    time: i64,
    business: i64,
    user: &'static str,
    audit_type: &'static str,
    resource_type: &'static str,
    action: &'static str,
    resource_id: i64,
    name: &'static str,
}

fn written() -> impl Strategy<Value = Written> {
    use prop::sample::select;
    (
        0..TIMES,
        select(&BUSINESSES[..]),
        select(&USERS[..]),
        select(&TYPES[..]),
        select(&RESOURCES[..]),
        select(&ACTIONS[..]),
        0..IDS,
        select(&NAMES[..]),
    )
        .prop_map(|(time, business, user, audit_type, resource_type, action, resource_id, name)| Written {
            id: 0,
            time,
            business,
            user,
            audit_type,
            resource_type,
            action,
            resource_id,
            name,
        })
}

fn some_of(texts: &'static [&'static str]) -> impl Strategy<Value = Vec<String>> {
    prop::sample::subsequence(texts, 0..=texts.len()).prop_map(|texts| texts.into_iter().map(str::to_owned).collect())
}

fn rule() -> impl Strategy<Value = AuditRule> {
    let test = |texts| prop_oneof![some_of(texts).prop_map(AuditTest::In), some_of(texts).prop_map(AuditTest::NotIn)];
    let part = prop::sample::select(vec!["w", "web", "%", "_", ".", "\u{e9}", "nothing"]);
    prop_oneof![
        test(&USERS).prop_map(|test| AuditRule { field: AuditText::User, test }),
        test(&NAMES).prop_map(|test| AuditRule { field: AuditText::ResourceName, test }),
        part.prop_map(|part| AuditRule { field: AuditText::ResourceName, test: AuditTest::Contains(part.to_owned()) }),
    ]
}

fn search() -> impl Strategy<Value = AuditSearch> {
    let end = || prop::option::of(0..TIMES);
    let one = |texts: &'static [&'static str]| prop::option::of(prop::sample::select(texts).prop_map(str::to_owned));
    (
        (end(), end()),
        one(&RESOURCES),
        prop::option::of(0..IDS),
        prop::option::of(some_of(&TYPES)),
        prop::option::of(some_of(&ACTIONS)),
        prop::collection::vec(rule(), 0..3),
    )
        .prop_map(|((first, last), resource_type, resource_id, audit_types, actions, rules)| AuditSearch {
            period: (Moment(first.unwrap_or(i64::MIN)), Moment(last.unwrap_or(i64::MAX))),
            resource_type,
            resource_id,
            audit_types,
            actions,
            rules,
        })
}

fn sort() -> impl Strategy<Value = Vec<SortKey>> {
    let field = prop::sample::select(vec![
        "id",
        "operation_time",
        "bk_biz_id",
        "user",
        "code",
        "rid",
        "audit_type",
        "resource_type",
        "action",
        "resource_id",
        "resource_name",
        "operate_from",
        "nothing",
    ]);
    let key = (field, any::<bool>()).prop_map(|(field, descending)| SortKey { field: field.to_owned(), descending });
    prop::collection::vec(key, 0..3)
}

fn meets(entry: &Written, search: &AuditSearch) -> bool {
    let among =
        |list: &Option<Vec<String>>, text: &str| list.as_ref().is_none_or(|list| list.iter().any(|one| one == text));
    let rules = search.rules.iter().all(|rule| {
        let text = match rule.field {
            AuditText::User => entry.user,
            AuditText::ResourceName => entry.name,
        };
        match &rule.test {
            AuditTest::In(texts) => texts.iter().any(|one| one == text),
            AuditTest::NotIn(texts) => !texts.iter().any(|one| one == text),
            AuditTest::Contains(part) => text.to_ascii_lowercase().contains(part),
        }
    });
    (search.period.0.0..=search.period.1.0).contains(&entry.time)
        && search.resource_type.as_ref().is_none_or(|one| one == entry.resource_type)
        && search.resource_id.is_none_or(|id| id == entry.resource_id)
        && among(&search.audit_types, entry.audit_type)
        && among(&search.actions, entry.action)
        && rules
}

fn compare(left: &Written, right: &Written, sort: &[SortKey]) -> Ordering {
    let by = |field: &str| match field {
        "id" => left.id.cmp(&right.id),
        "operation_time" => left.time.cmp(&right.time),
        "bk_biz_id" => left.business.cmp(&right.business),
        "user" => left.user.cmp(right.user),
        "audit_type" => left.audit_type.cmp(right.audit_type),
        "resource_type" => left.resource_type.cmp(right.resource_type),
        "action" => left.action.cmp(right.action),
        "resource_id" => left.resource_id.cmp(&right.resource_id),
        "resource_name" => left.name.cmp(right.name),
        _ => Ordering::Equal,
    };
    let turned = |order: Ordering, descending: bool| if descending { order.reverse() } else { order };
    let keys = sort.iter().map(|key| turned(by(&key.field), key.descending));
    let known = sort.iter().rev().find(|key| !matches!(key.field.as_str(), "operate_from" | "nothing"));
    let ids = turned(left.id.cmp(&right.id), known.is_some_and(|key| key.descending));
    keys.chain([ids]).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
}

/// Writes the entries, and reads back which ids they got.
fn store(store: &Store, mut entries: Vec<Written>) -> Vec<Written> {
    let rows = entries.clone();
    let ids = store.write_blocking(move |tx| {
        for row in &rows {
            let actor = Actor { user: row.user, verified: true, app_code: "", request_id: "r", time: Moment(row.time) };
            let entry = AuditRow {
                business_id: BusinessId(row.business),
                audit_type: row.audit_type,
                resource_type: row.resource_type,
                action: row.action,
                resource_id: row.resource_id,
                resource_name: row.name.to_owned(),
                detail: "{}".into(),
            };
            insert(tx, actor, &[entry])?;
        }
        // A business is looked up where none is named.
        for business in &BUSINESSES[1..] {
            let sql = "INSERT INTO business (id, name, kind, status, document) VALUES ($1, $2, 0, 'enable', '{}')";
            tx.execute(sql, &[(*business).into(), business.to_string().as_str().into()])?;
        }
        tx.list("SELECT id FROM audit ORDER BY id", &[], |row| row.int(0))
    });
    let ids: Vec<i64> = ids.unwrap_or_else(|error: StoreError| panic!("{error:?}"));
    assert_eq!(ids.len(), entries.len());
    for (entry, id) in entries.iter_mut().zip(ids) {
        entry.id = id;
    }
    entries
}

#[test]
fn searches_find_what_a_look_at_every_entry_finds() {
    let home = Home::new();
    let opened = home.open();
    let mut runner = TestRunner::new(Config { cases: 400, ..Config::default() });
    let entries = prop::collection::vec(written(), 150).new_tree(&mut runner).unwrap().current();
    let entries = store(&opened, entries);
    let businesses = prop::option::of(prop::sample::subsequence(&BUSINESSES[..], 1..=3));
    let asked = (businesses, search(), sort(), 0..6usize, 1..20usize);
    let result = runner.run(&asked, |(businesses, search, sort, start, limit)| {
        let query = AuditQuery { businesses: businesses.as_deref(), search: &search };
        let mut wanted: Vec<_> = entries
            .iter()
            .filter(|entry| businesses.as_ref().is_none_or(|list| list.contains(&entry.business)))
            .filter(|entry| meets(entry, &search))
            .collect();
        wanted.sort_by(|left, right| compare(left, right, &sort));
        let found = opened.read::<_, StoreError>(true, |tx| {
            let mut ids = Vec::new();
            query.each_of_page(tx, &sort, start, limit, &mut |entry| ids.push((entry.id, entry.user.to_owned())))?;
            Ok((query.count(tx)?, ids))
        });
        let (count, ids) = found.unwrap();
        prop_assert_eq!(count, wanted.len());
        let wanted = wanted.iter().skip(start).take(limit).map(|entry| (entry.id, entry.user.to_owned()));
        prop_assert_eq!(ids, wanted.collect::<Vec<_>>());
        Ok(())
    });
    result.unwrap();
}
