//! update_process_instance and the update of processes by ids: `instances` 10.14, 10.15, the edge cases of §17 by their numbers,
//! and the properties of §14.

mod support;

use proptest::prelude::*;
use rollcall_app::access::Action;
use serde_json::{Value, json};
use support::{Answer, Estate, TestApp, process};

const BY_IDS: &str = "/update/proc/process_instance/by_ids";

struct Case {
    app: TestApp,
    estate: Estate,
    instance: i64,
}

impl Case {
    /// An instance with the processes a, b and c.
    fn new() -> Self {
        let app = TestApp::new();
        let estate = app.estate();
        let instance = app.instance(&estate, full("a"));
        let case = Self { app, estate, instance };
        case.create(case.instance, vec![full("b"), full("c")]);
        case
    }

    fn create(&self, instance: i64, processes: Vec<Value>) -> Vec<i64> {
        let processes: Vec<_> = processes.into_iter().map(|info| json!({"process_info": info})).collect();
        let body = json!({"bk_biz_id": self.estate.business, "service_instance_id": instance, "processes": processes});
        serde_json::from_value(self.app.post("/create/proc/process_instance", body).data()).unwrap()
    }

    fn update(&self, processes: Value) -> Answer {
        let body = json!({"bk_biz_id": self.estate.business, "processes": processes});
        self.app.native("PUT", "/update/proc/process_instance", body)
    }

    fn by_ids(&self, ids: &[i64], update_data: Value) -> Answer {
        let body = json!({"bk_biz_id": self.estate.business, "process_ids": ids, "update_data": update_data});
        self.app.native("PUT", BY_IDS, body)
    }

    fn list(&self) -> Vec<Value> {
        let body = json!({"bk_biz_id": self.estate.business, "service_instance_id": self.instance});
        let list = self.app.post("/findmany/proc/process_instance", body).data();
        list.as_array().unwrap().iter().map(|row| row["property"].clone()).collect()
    }

    fn ids(&self) -> Vec<i64> {
        self.list().iter().map(|property| property["bk_process_id"].as_i64().unwrap()).collect()
    }

    /// What writes leave behind: the documents, and how many events and entries there are.
    fn traces(&self) -> (Vec<Value>, i64, i64) {
        let [events, audits] =
            ["SELECT count(*) FROM event", "SELECT count(*) FROM audit"].map(|count| self.app.number(count));
        (self.list(), events, audits)
    }
}

/// A process with most of its fields set.
fn full(name: &str) -> Value {
    with(
        process(name),
        json!({"work_path": "/data", "proc_num": 2, "auto_start": true, "bk_start_param_regex": "-x", "user": "www",
            "bind_info": [{"enable": true, "ip": "127.0.0.1", "port": "80", "protocol": "1", "template_row_id": 3}]}),
    )
}

fn with(mut value: Value, more: Value) -> Value {
    value.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    value
}

/// A document without what every update changes.
fn without_stamps(property: &Value) -> Value {
    let mut property = property.clone();
    for stamp in ["last_time", "bk_updated_at", "bk_updated_by"] {
        assert!(property.as_object_mut().unwrap().remove(stamp).is_some(), "{stamp}");
    }
    property
}

fn entry(id: i64, name: &str) -> Value {
    with(process(name), json!({"bk_process_id": id}))
}

#[test]
fn e57_to_e59_an_update_replaces_the_whole_process() {
    let case = Case::new();
    let before = case.traces();
    assert_eq!(case.update(json!([])).data(), json!([])); // E57
    assert_eq!(case.app.native("PUT", "/update/proc/process_instance", json!({"bk_biz_id": 2})).data(), json!([]));
    let id = case.ids()[0];
    case.update(json!([{"bk_process_id": id, "work_path": "/x"}]))
        .fails_with(1_199_011)
        .naming("processes[0].bk_process_name")
        .naming("processes[0].bk_func_name"); // E58
    assert_eq!(case.traces(), before);
    let changed = with(entry(id, "new"), json!({"work_path": " /x "}));
    assert_eq!(case.update(json!([changed])).data(), json!([id]));
    let (after, stored) = (case.list()[0].clone(), &before.0[0]);
    for (field, value) in after.as_object().unwrap() {
        let want = match field.as_str() {
            "bk_process_name" | "bk_func_name" => json!("new"),
            "work_path" => json!("/x"),
            "bk_updated_by" => json!("ops"),
            "last_time" | "bk_updated_at" => value.clone(),
            "bk_process_id"
            | "bk_biz_id"
            | "service_instance_id"
            | "bk_supplier_account"
            | "create_time"
            | "bk_created_at"
            | "bk_created_by" => stored[field].clone(),
            _ => Value::Null, // E59
        };
        assert_eq!(*value, want, "{field}");
    }
    assert_eq!(after.as_object().unwrap().len(), 28);
    assert!(after["last_time"].as_str() > stored["last_time"].as_str());
    assert_eq!(after["last_time"], after["bk_updated_at"]);
    assert_eq!(case.list()[1..], before.0[1..]);
}

#[test]
fn e60_to_e63_bind_rows() {
    let case = Case::new();
    let id = case.ids()[0];
    let update = |rows: Value| case.update(json!([with(entry(id, "a"), json!({"bind_info": rows}))]));
    let row = |more: Value| with(json!({"enable": true, "ip": null, "port": "81", "protocol": "2"}), more);
    let without = |cell: &str| {
        let mut row = row(json!({}));
        row.as_object_mut().unwrap().remove(cell);
        row
    };
    for cell in ["enable", "port", "protocol"] {
        let path = format!("processes[0].bind_info[1].{cell}");
        update(json!([row(json!({})), without(cell)])).fails_with(1_199_011).naming(&path); // E60
        update(json!([row(json!({})), row(json!({cell: null}))])).fails_with(1_199_011).naming(&path);
    }
    for (cell, value) in [
        ("port", json!("0")),
        ("port", json!("")),
        ("port", json!("90-80")),
        ("protocol", json!("5")),
        ("ip", json!("localhost")),
    ] {
        let path = format!("processes[0].bind_info[0].{cell}");
        update(json!([row(json!({cell: value}))])).fails_with(1_199_011).naming(&path);
    }
    for (cell, value) in [("port", json!(81)), ("protocol", json!(1)), ("enable", json!("true")), ("ip", json!(1))] {
        let path = format!("processes[0].bind_info[0].{cell}");
        update(json!([row(json!({cell: value}))])).fails_with(1_199_000).naming(&path);
    }
    update(json!("80")).fails_with(1_199_000).naming("processes[0].bind_info");
    update(json!(80)).fails_with(1_199_000);
    update(json!(["80"])).fails_with(1_199_000).naming("processes[0].bind_info[0]");
    update(json!([row(json!({"row_id": 1, "template_row_id": 2}))])).fails_with(1_199_011).naming("row_id");
    let stored = |rows: Value| {
        update(rows).data();
        case.list()[0]["bind_info"].clone()
    };
    let normal = with(row(json!({})), json!({"template_row_id": 0}));
    assert_eq!(stored(json!([row(json!({"port": " 81 ", "unknown": 1}))])), json!([normal])); // E61: other keys are ignored
    let numbered = with(normal.clone(), json!({"template_row_id": 7}));
    assert_eq!(stored(json!([row(json!({"row_id": 7}))])), json!([numbered]), "row_id counts (design §4, not E61)");
    assert_eq!(stored(json!([row(json!({"TEMPLATE_ROW_ID": 7}))])), json!([numbered]));
    assert_eq!(stored(row(json!({}))), json!([normal]), "one object is one row (design §4, not E62)");
    assert_eq!(stored(json!([])), json!([]));
    assert_eq!(stored(Value::Null), Value::Null);
    case.update(json!([{"bk_process_id": id, "process_info": process("a")}])).fails_with(1_199_011); // E63
}

#[test]
fn stored_rows_may_be_sent_back_whatever_the_rules_say() {
    // design §4
    let case = Case::new();
    let bare = with(process("bare"), json!({"bind_info": [{"ip": "::1"}, {"port": "80"}]}));
    let id = case.create(case.instance, vec![bare])[0];
    let mut property = case.list().pop().unwrap();
    case.update(json!([property])).data();
    assert_eq!(case.list().pop().unwrap()["bind_info"], property["bind_info"]);
    property["bind_info"][0]["ip"] = json!("::2");
    case.update(json!([property])).data();
    assert_eq!(case.list().pop().unwrap()["bind_info"], property["bind_info"], "a null stays where it is");
    property["bind_info"][1]["port"] = Value::Null;
    case.update(json!([property])).fails_with(1_199_011).naming("bind_info[1].port");
    let odd = r#"UPDATE process SET fixed_fields = replace(fixed_fields, '"port":"80"', '"port":"90-80"') WHERE name = 'bare'"#;
    case.app.store.write_blocking(move |tx| tx.execute(odd, &[])).unwrap();
    property["bind_info"][1]["port"] = json!("90-80");
    case.update(json!([property])).data();
    property["bind_info"][1]["ip"] = json!("::3");
    case.update(json!([property])).fails_with(1_199_011).naming("bind_info[1].port");
    case.by_ids(&[id], json!({"work_path": "/x"})).data();
    assert_eq!(case.list().pop().unwrap()["bind_info"][1]["port"], "90-80");
}

#[test]
fn e68_to_e70_ids() {
    let case = Case::new();
    let (ids, before) = (case.ids(), case.traces());
    let other = case.app.estate_named("other", "10.9.0");
    case.app.instance(&other, process("theirs"));
    let theirs = case.app.number("SELECT max(id) FROM process");
    let before = (before.0, case.traces().1, case.traces().2);
    for unknown in [99_999, theirs, 0, -1] {
        case.update(json!([entry(unknown, "x")])).fails_with(1_199_010).naming("service_instance_ids"); // E68, I-27
    }
    for unknown in [99_999, theirs] {
        case.update(json!([entry(ids[0], "x"), entry(unknown, "y"), entry(99_998, "z")]))
            .fails_with(1_199_011)
            .naming("processes[1].bk_process_id")
            .naming("processes[2].bk_process_id"); // E68
    }
    case.update(json!([entry(ids[0], "x"), entry(0, "y")])).fails_with(1_199_006).naming("processes[1].bk_process_id");
    for id in [json!("43"), Value::Null, json!(1.5), json!([1])] {
        case.update(json!([entry(ids[0], "x"), {"bk_process_id": id, "bk_process_name": "y"}, null]))
            .fails_with(1_199_006)
            .naming("processes[1].bk_process_id")
            .naming("processes[2].bk_process_id"); // E69
    }
    case.update(json!(vec![entry(ids[0], "x"); 101])).fails_with(1_199_035).naming("100");
    assert_eq!(case.traces(), before);
    let twice = json!([entry(ids[1], "b"), entry(ids[0], "first"), entry(ids[1], "last")]);
    assert_eq!(case.update(twice).data(), json!([ids[1], ids[0]])); // E70
    let names: Vec<_> = case.list().iter().map(|property| property["bk_process_name"].clone()).collect();
    assert_eq!(names, ["first", "last", "c"]);
    case.update(json!([{"BK_PROCESS_ID": ids[2], "Bk_Process_Name": "d", "bk_FUNC_name": "d", "Work_Path": "/d"}]))
        .data();
    assert_eq!(case.list()[2]["work_path"], "/d", "I-29");
}

#[test]
fn the_business_is_needed() {
    let case = Case::new();
    let id = case.ids()[0];
    for business in [Value::Null, json!(0), json!(-1)] {
        let body = json!({"bk_biz_id": business, "processes": [entry(id, "x")]});
        case.app.native("PUT", "/update/proc/process_instance", body).fails_with(1_199_006).naming("bk_biz_id");
        let body = json!({"bk_biz_id": business, "process_ids": [id], "update_data": {"user": "x"}});
        case.app.native("PUT", BY_IDS, body).fails_with(1_199_006).naming("bk_biz_id");
    }
}

#[test]
fn e71_processes_may_swap_what_is_unique() {
    let case = Case::new();
    let ids = case.ids();
    let named = |id: i64, name: &str, func: &str| json!({"bk_process_id": id, "bk_process_name": name, "bk_func_name": func, "bk_start_param_regex": "-x"});
    let keys = || -> Vec<(Value, Value)> {
        case.list().iter().map(|p| (p["bk_process_name"].clone(), p["bk_func_name"].clone())).collect()
    };
    let want = |keys: [(&str, &str); 3]| keys.map(|(name, func)| (json!(name), json!(func))).to_vec();
    // Around in a circle, in an order in which each takes what the next still holds.
    let circle = json!([named(ids[0], "b", "b"), named(ids[1], "c", "c"), named(ids[2], "a", "a")]);
    case.update(circle).data(); // E71: it works here
    assert_eq!(keys(), want([("b", "b"), ("c", "c"), ("a", "a")]));
    // Names only, then programs only.
    case.update(json!([named(ids[1], "b", "c"), named(ids[0], "c", "b")])).data();
    assert_eq!(keys(), want([("c", "b"), ("b", "c"), ("a", "a")]));
    case.update(json!([named(ids[1], "b", "b"), named(ids[0], "c", "c")])).data();
    assert_eq!(keys(), want([("c", "c"), ("b", "b"), ("a", "a")]));
    let before = case.traces();
    case.update(json!([named(ids[0], "b", "x"), named(ids[2], "new", "y")]))
        .fails_with(1_199_014)
        .naming("processes[0].bk_process_name");
    case.update(json!([named(ids[0], "x", "y"), named(ids[2], "y", "y")]))
        .fails_with(1_199_014)
        .naming("processes[1].bk_func_name")
        .naming("processes[0].bk_func_name");
    case.update(json!([named(ids[0], "x", "b")])).fails_with(1_199_014).naming("processes[0].bk_func_name");
    assert_eq!(case.traces(), before);
    // Processes of other instances are no hindrance, and a parameter that is null is outside of the rule.
    let other = case.app.instance(&case.estate, process("a"));
    case.create(other, vec![process("b")]);
    case.update(json!([entry(ids[0], "x"), entry(ids[1], "y")])).data();
    case.update(json!([named(ids[0], "x", "same"), with(entry(ids[1], "y"), json!({"bk_func_name": "same"}))])).data();
}

#[test]
fn a_clash_is_told_beside_what_is_wrong_with_others() {
    let case = Case::new();
    let ids = case.ids();
    let bad = with(entry(ids[0], "x"), json!({"priority": -101, "bind_info": [{}]}));
    case.update(json!([bad, entry(ids[1], "c")]))
        .fails_with(1_199_014)
        .naming("processes[0].priority")
        .naming("processes[1].bk_process_name");
    // Wrong types are another stage, before what is unknown.
    let mistyped = with(entry(ids[0], "x"), json!({"priority": "1", "work_path": 2}));
    case.update(json!([mistyped, entry(99_999, "y"), with(entry(ids[1], "z"), json!({"auto_start": 1}))]))
        .fails_with(1_199_000)
        .naming("processes[0].priority")
        .naming("processes[0].work_path")
        .naming("processes[2].auto_start");
    for (field, value) in [
        ("proc_num", json!(0)),
        ("timeout", json!(-1)),
        ("bk_start_check_secs", json!(601)),
        ("description", json!("x".repeat(257))),
        ("start_cmd", json!("x".repeat(2001))),
        ("bk_func_id", json!(1)),
        ("bk_process_name", json!("  ")),
        ("bk_func_name", Value::Null),
    ] {
        let path = format!("processes[0].{field}");
        case.update(json!([with(entry(ids[0], "x"), json!({field: value}))])).fails_with(1_199_011).naming(&path);
    }
}

#[test]
fn e72_the_name_of_the_instance_stays() {
    let case = Case::new();
    let names = |what: &str| {
        let body = json!({"bk_biz_id": case.estate.business});
        let answer = case.app.post("/findmany/proc/service_instance", body).data();
        assert_eq!(answer["info"][0]["name"], "10.0.0.1_a_80", "{what}");
    };
    names("before");
    case.update(json!([entry(case.ids()[0], "renamed")])).data();
    names("after"); // E72
}

#[test]
fn e73_e74_what_the_caller_cannot_set() {
    let case = Case::new();
    let (id, before) = (case.ids()[0], case.list().remove(0));
    let time = "2019-06-05T14:59:12.065+08:00";
    let foreign = json!({"service_instance_id": 77, "bk_biz_id": 2, "bk_supplier_account": "9", "create_time": time,
        "last_time": time, "bk_created_by": "x", "bk_created_at": 5, "bk_updated_by": "x", "default": 1, "foo": {}});
    case.update(json!([with(before.clone(), foreign)])).data(); // E73, I-13, I-16
    assert_eq!(without_stamps(&case.list()[0]), without_stamps(&before));
    for (field, value) in [
        ("create_time", json!("2019-06-05 14:59:12")), // E74
        ("last_time", json!("yesterday")),
        ("last_time", json!(5)),
        ("bk_biz_id", json!("2")),
        ("service_instance_id", json!([])),
        ("bk_supplier_account", json!(0)),
    ] {
        let path = format!("processes[0].{field}");
        case.update(json!([with(entry(id, "a"), json!({field: value}))])).fails_with(1_199_000).naming(&path);
    }
}

#[test]
fn fields_of_older_releases() {
    // design §4
    let case = Case::new();
    let old = with(process("old"), json!({"bk_func_id": "5", "auto_time_gap": 60}));
    let id = case.create(case.instance, vec![old])[0];
    let last = || case.list().pop().unwrap();
    case.update(json!([entry(id, "old")])).data();
    assert_eq!((&last()["bk_func_id"], &last()["auto_time_gap"]), (&json!("5"), &json!(60)), "kept when not sent");
    case.update(json!([with(entry(id, "old"), json!({"bk_func_id": "6", "auto_time_gap": null}))])).data();
    assert_eq!(last()["bk_func_id"], "6");
    assert!(last().get("auto_time_gap").is_none());
    let ports = json!({"bind_ip": "3", "port": "8008,8443", "protocol": "2", "bk_enable_port": false});
    case.update(json!([with(entry(id, "old"), ports.clone())])).data();
    let row = |port: &str, id: i64| json!({"enable": false, "ip": "10.0.0.1", "port": port, "protocol": "2", "template_row_id": id});
    assert_eq!(last()["bind_info"], json!([row("8008", 1), row("8443", 2)]));
    case.update(json!([with(entry(id, "old"), json!({"port": "80,x"}))]))
        .fails_with(1_199_011)
        .naming("processes[0].port");
    case.by_ids(&[id], ports).data();
    assert_eq!(last()["bind_info"], json!([row("8008", 1), row("8443", 2)]), "a partial update drops them (10.15)");
    case.update(json!([with(entry(id, "old"), json!({"bind_info": [], "port": "nonsense"}))])).data();
    assert_eq!(last()["bind_info"], json!([]));
}

#[test]
fn e75_by_ids_changes_only_what_it_names() {
    let case = Case::new();
    let (ids, before) = (case.ids(), case.list());
    assert_eq!(
        case.by_ids(&[ids[1], ids[0], ids[1], 99_999], json!({"work_path": "/x", "foo": 1})).data(),
        json!([ids[1], ids[0]])
    );
    for (after, before) in case.list().iter().zip(&before).take(2) {
        assert_eq!(without_stamps(after), without_stamps(&with(before.clone(), json!({"work_path": "/x"})))); // E75, I-14
    }
    assert_eq!(case.list()[2], before[2]);
    case.by_ids(&ids, json!({"user": null, "BIND_INFO": {"enable": false, "ip": "", "port": "1-2", "protocol": "3"}}))
        .data();
    let row = json!({"enable": false, "ip": "", "port": "1-2", "protocol": "3", "template_row_id": 0});
    for after in case.list() {
        assert_eq!((&after["user"], &after["bind_info"]), (&Value::Null, &json!([row])));
        assert_eq!((&after["proc_num"], &after["auto_start"]), (&json!(2), &json!(true)));
    }
    case.by_ids(&ids[..1], json!({"nothing": "known"})).data();
}

#[test]
fn e76_to_e78_checks_of_by_ids() {
    let case = Case::new();
    let (ids, before) = (case.ids(), case.traces());
    let fields = json!({"work_path": "/x"});
    case.by_ids(&[], fields.clone()).fails_with(1_199_006).naming("process_ids");
    case.by_ids(&ids, json!({})).fails_with(1_199_006).naming("update_data"); // E76
    case.by_ids(&ids, Value::Null).fails_with(1_199_006).naming("update_data");
    case.by_ids(&ids, json!({"bk_process_id": 1})).fails_with(1_199_006).naming("bk_process_id"); // E76
    case.by_ids(&vec![1; 1001], fields.clone()).fails_with(1_199_081).naming("1000"); // E77
    case.by_ids(&[99_999, 0, -5], fields.clone()).fails_with(1_199_010).naming("service_instance_ids");
    case.by_ids(&ids, json!({"priority": "1"})).fails_with(1_199_000).naming("update_data.priority");
    let wrong = case.by_ids(&ids, json!({"priority": 10_001, "bk_process_name": null, "bind_info": [{}]}));
    wrong.fails_with(1_199_011).naming("update_data.priority").naming("update_data.bk_process_name");
    assert_eq!(wrong.message().matches("update_data.priority").count(), 1, "{}", wrong.message());
    case.by_ids(&ids[..2], json!({"bk_process_name": "same"}))
        .fails_with(1_199_014)
        .naming("process_ids[1]")
        .naming("process_ids[0]"); // E78
    case.by_ids(&ids[..1], json!({"bk_process_name": "b"})).fails_with(1_199_014).naming("process_ids[0]");
    let other = case.app.estate_named("other", "10.9.0");
    case.app.instance(&other, process("theirs"));
    let theirs = case.app.number("SELECT max(id) FROM process");
    case.by_ids(&[theirs], fields.clone()).fails_with(1_199_010); // I-27
    assert_eq!(case.list(), before.0);
    assert_eq!(case.by_ids(&[theirs, ids[0]], fields).data(), json!([ids[0]]), "as absent");
    let name = "SELECT count(*) FROM process WHERE name = 'theirs' AND fixed_fields LIKE '%/x%'";
    assert_eq!(case.app.number(name), 0);
}

#[test]
fn each_instance_gets_an_entry_and_each_process_an_event() {
    // I-28; instances §2, 10.14
    let case = Case::new();
    let ids = case.ids();
    let other = case.app.instance(&case.estate, process("z"));
    let z = case.app.number("SELECT max(id) FROM process");
    let before = case.list();
    let sent = with(entry(ids[0], "x"), json!({"work_path": "/x", "foo": 1}));
    case.update(json!([sent, entry(z, "y"), entry(ids[1], "b")])).data();
    let audits = case.app.documents("SELECT detail FROM audit WHERE action = 'update' ORDER BY id DESC LIMIT 2");
    let [of_other, of_first] = &audits[..] else { panic!("{audits:?}") };
    assert_eq!(of_other["processes"].as_array().unwrap().len(), 1);
    let told = &of_first["processes"];
    assert_eq!(told.as_array().unwrap().len(), 2);
    assert_eq!((&told[0]["action"], &told[0]["bk_process_ids"]), (&json!("update"), &json!(ids[0])));
    assert_eq!(told[0]["details"]["pre_data"], before[0]);
    assert_eq!(told[0]["details"]["update_fields"], with(entry(ids[0], "x"), json!({"work_path": "/x"})));
    assert_eq!(of_first["bk_host_id"], case.estate.hosts[0]);
    let last = |column: &'static str| case.app.documents(column);
    let befores = last("SELECT before_state FROM event WHERE kind = 9 AND operation = 2 ORDER BY object_id");
    let afters = last("SELECT after_state FROM event WHERE kind = 9 AND operation = 2 ORDER BY object_id");
    assert_eq!((befores.len(), afters.len()), (3, 3));
    assert_eq!(befores[..2], before[..2]);
    assert_eq!(afters[..2], case.list()[..2]);
    assert_eq!(case.app.number("SELECT count(DISTINCT request_id) FROM event WHERE kind = 9 AND operation = 2"), 1);
    assert_eq!(
        case.app.number("SELECT count(*) FROM audit WHERE resource_id > 0 AND user_name = 'ops'") > 0,
        other > 0
    );
}

#[test]
fn only_who_may_edit_changes_processes() {
    let app = TestApp::with().administrator("root").start();
    let update = |business: i64| {
        let body = json!({"bk_biz_id": business, "processes": [entry(5, "x")]});
        let by_ids = json!({"bk_biz_id": business, "process_ids": [5], "update_data": {"user": "x"}});
        [("/update/proc/process_instance", body), (BY_IDS, by_ids)]
            .map(|(path, body)| app.native("PUT", path, body).code())
    };
    app.grant("ops", Action::EditServiceInstance, Some(2));
    assert_eq!(update(1), [9_900_403; 2]);
    assert_eq!(update(99_999), [9_900_403; 2]);
    assert_eq!(update(2), [1_199_010; 2]);
}

/// Values that a process can have, field by field; null stands for none.
fn any_process(name: &'static str) -> impl Strategy<Value = Value> {
    let text = || prop_oneof![Just(Value::Null), "[ a-z\"\\\\名]{0,12}".prop_map(Value::from)];
    let number = |min: i64, max: i64| prop_oneof![Just(Value::Null), (min..=max).prop_map(Value::from)];
    let flag = prop_oneof![Just(Value::Null), any::<bool>().prop_map(Value::from)];
    let row = (any::<bool>(), 1..65_536_u32, 1..5_u32, any::<i64>()).prop_map(|(enable, port, protocol, id)| {
        json!({"enable": enable, "ip": "10.1.1.1", "port": port.to_string(), "protocol": protocol.to_string(),
            "template_row_id": id})
    });
    let rows = prop_oneof![Just(Value::Null), proptest::collection::vec(row, 0..4).prop_map(Value::from)];
    let texts = proptest::collection::vec(text(), 6);
    let numbers = (number(1, 10_000), number(-100, 10_000), number(0, 600), number(0, 10_000));
    (texts, numbers, flag, rows).prop_map(move |(texts, numbers, flag, rows)| {
        let mut value = process(name);
        for (field, text) in
            ["work_path", "user", "start_cmd", "description", "bk_start_param_regex", "pid_file"].iter().zip(texts)
        {
            value[*field] = text;
        }
        let (proc_num, priority, secs, timeout) = numbers;
        let more = json!({"proc_num": proc_num, "priority": priority, "bk_start_check_secs": secs, "timeout": timeout,
            "auto_start": flag, "bind_info": rows});
        with(value, more)
    })
}

/// I-12, I-13, I-15, I-16, I-30: what is sent is what is read, sending it back changes stamps only, and no process moves.
#[test]
fn what_is_read_can_be_sent_back() {
    let case = Case::new();
    let ids = case.ids();
    let config = ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() };
    let mut runner = proptest::test_runner::TestRunner::new(config);
    let run = runner.run(&(any_process("p"), any_process("q")), |(first, second)| {
        let entries = json!([
            with(first.clone(), json!({"bk_process_id": ids[0]})),
            with(second, json!({"bk_process_id": ids[2]}))
        ]);
        prop_assert_eq!(case.update(entries.clone()).data(), json!([ids[0], ids[2]]));
        let stored = case.list();
        for (field, value) in first.as_object().unwrap() {
            let want = value.as_str().map_or(value.clone(), |text| text.trim().into());
            prop_assert_eq!(&stored[0][field], &want, "{}", field);
        }
        case.update(entries).data();
        let again = case.list();
        case.update(Value::from(again.clone())).data();
        let back = case.list();
        for ((stored, again), back) in stored.iter().zip(&again).zip(&back) {
            prop_assert_eq!(without_stamps(stored), without_stamps(again));
            prop_assert_eq!(without_stamps(stored), without_stamps(back));
            prop_assert_eq!(&back["service_instance_id"], &json!(case.instance));
        }
        Ok(())
    });
    run.unwrap();
    let rows = case.app.number("SELECT count(*) FROM process");
    assert_eq!(rows, 3);
}

/// A cap of our own: what comes as three bytes is stored as ninety, three times.
#[test]
fn a_process_has_a_thousand_rows_at_most() {
    let case = Case::new();
    let rows = |count: usize| json!(vec![json!({"port": "80", "protocol": "1", "enable": true}); count]);
    let ids = case.ids();
    let by_ids = |rows: Value| case.by_ids(&ids, json!({"bind_info": rows}));
    by_ids(rows(1001)).fails_with(1_199_011).naming("update_data.bind_info").naming("1000");
    by_ids(rows(1000)).data();
    // One fault a place, however many processes share it.
    let message = by_ids(json!([{"port": "x", "protocol": "1", "enable": true}])).fails_with(1_199_011).message();
    assert_eq!(message.matches("bind_info[0].port").count(), 1, "{message}");
    let info = json!({"bk_process_name": "new", "bk_func_name": "new", "bind_info": rows(1001)});
    let body = json!({"bk_biz_id": case.estate.business, "service_instance_id": case.instance,
        "processes": [{"process_info": info}]});
    case.app
        .post("/create/proc/process_instance", body)
        .fails_with(1_199_011)
        .naming("processes[0].process_info.bind_info")
        .naming("1000");
}
