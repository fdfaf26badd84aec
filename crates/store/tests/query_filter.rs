//! A filter asked of stored processes by SQL answers what it answers in memory, on every engine (`instances` 12.2).

#![expect(clippy::unwrap_used, reason = "a test ends with its first error")]

mod support;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};
use rollcall_domain::bind_info::HostAddresses;
use rollcall_domain::id::{BusinessId, HostId, ProcessId, ServiceInstanceId};
use rollcall_domain::json::{FieldPath, Json, Limits, Object, parse};
use rollcall_domain::moment::Zone;
use rollcall_domain::process::{Placement, read_draft, shape};
use rollcall_domain::query_filter::QueryFilter;
use rollcall_store::process::{PlacedProcess, insert};
use rollcall_store::query_filter::Condition;
use rollcall_store::{Store, StoreError};
use std::cell::Cell;
use support::home::Home;

const BUSINESS: BusinessId = BusinessId(3);

/// Texts with what is special in patterns, in JSON and to those who ignore case.
const TEXTS: [&str; 8] = ["", "nginx", "Nginx", "a.b%_", "\"q\\\"", "\u{e9}cole", "\u{c9}COLE", "名字"];
const TIMES: [&str; 3] =
    ["2026-11-21T10:00:00.123+08:00", "2026-11-21T10:00:00.124+08:00", "2026-11-22T00:00:00.000+08:00"];

fn text() -> impl Strategy<Value = &'static str> {
    prop::sample::select(&TEXTS[..])
}

fn or_null<T: Strategy<Value = Json> + 'static>(value: T) -> BoxedStrategy<Json> {
    prop_oneof![3 => value, 1 => Just(Json::Null)].boxed()
}

fn object(members: Vec<(&'static str, Json)>) -> Json {
    let mut object = Object::new();
    for (name, value) in members {
        object.insert(name, value);
    }
    Json::Object(object)
}

fn process_info() -> impl Strategy<Value = Json> {
    let row = (
        prop::option::of(prop::sample::select(vec!["80", "81", "90-95"])),
        prop::option::of(any::<bool>()),
        prop::option::of(prop::sample::select(vec!["", "127.0.0.1", "::1"])),
        0..3i64,
    );
    let row = row.prop_map(|(port, enable, ip, id)| {
        let mut members = vec![("template_row_id", Json::Int(id))];
        members.extend(port.map(|port| ("port", port.into())));
        members.extend(enable.map(|enable| ("enable", Json::Bool(enable))));
        members.extend(ip.map(|ip| ("ip", ip.into())));
        object(members)
    });
    let rows = prop_oneof![1 => Just(Json::Null), 4 => prop::collection::vec(row, 0..3).prop_map(Json::List)];
    (
        or_null(text().prop_map(Json::from)),
        or_null((1..4i64).prop_map(Json::Int)),
        or_null(any::<bool>().prop_map(Json::Bool)),
        rows,
        prop::option::of(text()),
        text(),
    )
        .prop_map(|(work_path, proc_num, auto_start, bind_info, kept, param)| {
            let mut members = vec![
                ("bk_func_name", Json::from("f")),
                ("bk_start_param_regex", param.into()),
                ("work_path", work_path),
                ("proc_num", proc_num),
                ("auto_start", auto_start),
                ("bind_info", bind_info),
            ];
            members.extend(kept.map(|kept| ("bk_func_id", kept.into())));
            object(members)
        })
}

fn rule() -> BoxedStrategy<Json> {
    let field = prop::sample::select(vec![
        "bk_process_id",
        "bk_process_name",
        "bk_func_name",
        "bk_start_param_regex",
        "work_path",
        "proc_num",
        "auto_start",
        "bind_info",
        "bind_info.port",
        "bind_info.enable",
        "bind_info.ip",
        "bind_info.template_row_id",
        "bind_info.nothing",
        "bk_biz_id",
        "service_instance_id",
        "bk_supplier_account",
        "create_time",
        "last_time",
        "bk_created_at",
        "bk_updated_by",
        "bk_func_id",
        "nothing",
        "work_path.deeper",
    ]);
    let number = prop_oneof![
        (0..4i64).prop_map(Json::Int),
        prop::sample::select(vec![0.5, 2.0, 2.5, -1e30, 1e30, 9.3e18, 9.2e18]).prop_map(Json::Float),
        prop::sample::select(vec![i64::MIN, i64::MAX]).prop_map(Json::Int),
    ];
    let some_text = prop_oneof![
        text(),
        prop::sample::select(vec!["n", "x", ".", "É", "80", "n01", "p1", "0", "\\"]),
        prop::sample::select(&TIMES[..])
    ]
    .prop_map(Json::from);
    let scalar = prop_oneof![some_text.clone(), number.clone(), any::<bool>().prop_map(Json::Bool)];
    let list = prop_oneof![
        prop::collection::vec(some_text.clone(), 0..4),
        prop::collection::vec(number.clone(), 0..4),
        prop::collection::vec(any::<bool>().prop_map(Json::Bool), 0..3),
    ]
    .prop_map(Json::List);
    let part = some_text.prop_filter("not empty", |text| text.as_text() != Some(""));
    let time =
        prop::sample::select(vec!["2026-11-21", "2026-11-21 10:00:00", TIMES[0], TIMES[1], "2026-11-21T16:00:00Z"]);
    let of = |operators: &[&'static str]| prop::sample::select(operators.to_vec());
    let equal = (of(&["equal", "not_equal"]), scalar.clone());
    let among = (of(&["in", "not_in"]), list);
    let compared = (of(&["less", "less_or_equal", "greater", "greater_or_equal"]), number);
    let dated = (
        of(&["datetime_less", "datetime_less_or_equal", "datetime_greater", "datetime_greater_or_equal"]),
        time.prop_map(Json::from),
    );
    let partial =
        (of(&["begins_with", "not_begins_with", "contains", "not_contains", "ends_with", "not_ends_with"]), part);
    let there = (of(&["is_empty", "is_not_empty", "is_null", "is_not_null", "exist", "not_exist"]), Just(Json::Null));
    let anything = prop_oneof![equal.clone(), among.clone(), compared.clone(), dated.clone(), partial.clone(), there,];
    // Most ask a field what fits it.
    let text_fields =
        of(&["bk_process_name", "bk_start_param_regex", "work_path", "bind_info.port", "bind_info.ip", "bk_func_id"]);
    let numbers = of(&["bk_process_id", "proc_num", "bind_info.template_row_id", "service_instance_id"]);
    prop_oneof![
        (field, anything),
        (text_fields.clone(), prop_oneof![partial, equal.clone()]),
        (text_fields, among.clone()),
        (numbers, prop_oneof![compared, equal.clone(), among]),
        (of(&["create_time", "last_time", "bk_created_at"]), dated),
        (of(&["auto_start", "bind_info.enable"]), equal),
    ]
    .prop_map(|(field, (operator, value))| {
        object(vec![("field", field.into()), ("operator", operator.into()), ("value", value)])
    })
    .boxed()
}

fn group(parts: BoxedStrategy<Json>) -> BoxedStrategy<Json> {
    (prop::sample::select(vec!["AND", "OR"]), prop::collection::vec(parts, 1..4))
        .prop_map(|(condition, rules)| object(vec![("condition", condition.into()), ("rules", Json::List(rules))]))
        .boxed()
}

fn filter() -> BoxedStrategy<Json> {
    group(prop_oneof![3 => rule(), 1 => group(rule())].boxed())
}

/// Stores processes and answers them as lists of processes show them.
fn put(store: &Store, infos: &[Json]) -> Vec<(i64, Object)> {
    let infos = infos.to_vec();
    store
        .write_blocking(move |tx| {
            let mut there = Vec::new();
            let mut processes = Vec::new();
            for (info, id) in infos.iter().zip(1i64..) {
                let mut info = info.as_object().unwrap().clone();
                info.insert("bk_process_name", format!("p{id}").as_str().into());
                let draft = read_draft(&info, &FieldPath::root(), &mut Vec::new()).unwrap();
                let at = Placement {
                    business_id: BUSINESS,
                    service_instance_id: ServiceInstanceId(id % 3),
                    host_id: HostId(1),
                    host: &HostAddresses::default(),
                    time: TIMES[usize::try_from(id).unwrap() % TIMES.len()],
                    user: "nobody",
                };
                processes.push(draft.place(ProcessId(id), &at));
            }
            // One instance for each: only the ids in the records are shared.
            let placed: Vec<_> = processes
                .iter()
                .map(|process| PlacedProcess {
                    business_id: BUSINESS,
                    service_instance_id: ServiceInstanceId(process.id.get()),
                    host_id: HostId(1),
                    process_template_id: 0,
                    process,
                })
                .collect();
            insert(tx, &placed)?;
            for (process, id) in processes.iter().zip(1i64..) {
                let text = format!("{{{},{}}}", process.fixed_fields, process.extra_fields);
                let record = parse(text.as_bytes(), Limits::default()).unwrap();
                let mut record = record.as_object().unwrap().clone();
                record.insert("service_instance_id", Json::Int(id));
                there.push((id, record));
            }
            Ok::<_, StoreError>(there)
        })
        .unwrap()
}

#[test]
fn statements_and_memory_agree() {
    let home = Home::new();
    let store = home.open();
    let mut runner = TestRunner::new(Config { cases: 1, ..Config::default() });
    let infos = prop::collection::vec(process_info(), 60).new_tree(&mut runner).unwrap().current();
    let there = put(&store, &infos);
    let zone = Zone::named(Zone::DEFAULT_NAME).unwrap();
    let mut runner = TestRunner::new(Config { cases: 1500, ..Config::default() });
    let telling = Cell::new(0);
    runner
        .run(&filter(), |sent| {
            let filter = QueryFilter::parse(&sent, &FieldPath::root(), shape, &zone);
            let filter = filter.map_err(|faults| TestCaseError::fail(format!("{sent}: {faults:?}")))?.unwrap();
            let wanted: Vec<_> = there.iter().filter(|(_, record)| filter.matches(record)).map(|(id, _)| *id).collect();
            let condition = Condition::on_process(&filter, 2);
            let sql =
                format!("SELECT p.id FROM process p WHERE p.business_id = $1 AND {} ORDER BY p.id", condition.sql);
            let found = store.read(false, |tx| {
                let texts = condition.texts();
                let mut params = vec![BUSINESS.get().into()];
                params.extend(condition.params(&texts));
                let mut found = Vec::new();
                tx.query_composed(&sql, &params, &mut |row| {
                    found.push(row.int(0)?);
                    Ok(())
                })?;
                Ok::<_, StoreError>(found)
            });
            let found = found.map_err(|error| TestCaseError::fail(format!("{sent}\n{sql}: {error}")))?;
            if (1..there.len()).contains(&found.len()) {
                telling.set(telling.get() + 1);
            }
            prop_assert_eq!(found, wanted, "{}\n{}", sent, sql);
            Ok(())
        })
        .unwrap();
    assert!(telling.get() > 150, "only {} filters chose some processes and not others", telling.get());
}
