//! Process templates: `templates` 7, the edge cases 30 to 43 by their numbers, and what is left behind by changes.

#![expect(clippy::unwrap_used, reason = "a test ends with its first error")]

mod support;

use rollcall_app::access::Action;
use serde_json::{Value, json};
use support::{Answer, Estate, TestApp, named, next_millisecond};

struct Case {
    app: TestApp,
    estate: Estate,
    template: i64,
}

impl Case {
    fn new() -> Self {
        let app = TestApp::new();
        let estate = app.estate();
        let template = app.service_template(&estate, "st");
        Self { app, estate, template }
    }

    fn create(&self, specs: Vec<Value>) -> Answer {
        let processes: Vec<_> = specs.into_iter().map(|spec| json!({"spec": spec})).collect();
        let body =
            json!({"bk_biz_id": self.estate.business, "service_template_id": self.template, "processes": processes});
        self.app.post("/createmany/proc/proc_template", body)
    }

    fn made(&self, spec: Value) -> i64 {
        self.create(vec![spec]).data()[0].as_i64().unwrap()
    }

    fn update(&self, id: i64, property: Value) -> Answer {
        let body = json!({"bk_biz_id": self.estate.business, "process_template_id": id, "process_property": property});
        self.app.native("PUT", "/update/proc/proc_template", body)
    }

    fn delete(&self, ids: &[i64]) -> Answer {
        let body = json!({"bk_biz_id": self.estate.business, "process_templates": ids});
        self.app.native("DELETE", "/deletemany/proc/proc_template", body)
    }

    fn list(&self, more: Value) -> Answer {
        let mut body = json!({"bk_biz_id": self.estate.business});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.app.post("/findmany/proc/proc_template", body)
    }

    fn get(&self, id: i64) -> Value {
        self.app.post(&format!("/find/proc/proc_template/id/{id}"), json!({})).data()
    }

    /// The ids of all templates of the service template, and how many events and entries there are.
    fn traces(&self) -> (Value, i64, i64) {
        let [events, audits] =
            ["SELECT count(*) FROM event", "SELECT count(*) FROM audit"].map(|count| self.app.number(count));
        (self.list(json!({"service_template_id": self.template})).data(), events, audits)
    }
}

fn with(spec: Value, field: &str, value: Value) -> Value {
    let mut spec = spec;
    spec[field] = value;
    spec
}

fn rows(rows: Value) -> Value {
    json!({"value": rows, "as_default_value": true})
}

#[test]
fn a_template_is_made_and_read_back() {
    let case = Case::new();
    let row = json!({"ip": {"value": "3", "as_default_value": true}, "port": {"value": "80"}, "protocol": {"value": "1"},
        "enable": {"value": true}});
    let spec = with(named("job"), "bind_info", rows(json!([row])));
    let spec = with(spec, "user", json!({"value": "root", "as_default_value": true}));
    let id = case.made(spec);
    let told = case.get(id);
    let unset = json!({"value": null, "as_default_value": null});
    let mut property: Value = [
        "proc_num",
        "stop_cmd",
        "restart_cmd",
        "face_stop_cmd",
        "work_path",
        "priority",
        "reload_cmd",
        "pid_file",
        "auto_start",
        "bk_start_check_secs",
        "start_cmd",
        "timeout",
        "description",
        "bk_start_param_regex",
    ]
    .iter()
    .map(|field| ((*field).to_owned(), unset.clone()))
    .collect::<serde_json::Map<_, _>>()
    .into();
    property["bk_func_name"] = json!({"value": "job", "as_default_value": true}); // E33
    property["bk_process_name"] = json!({"value": "job", "as_default_value": true});
    property["user"] = json!({"value": "root", "as_default_value": true});
    let unlocked = |value: Value| json!({"value": value, "as_default_value": null});
    property["bind_info"] = rows(json!([{"row_id": 1, "ip": {"value": "3", "as_default_value": true},
        "port": unlocked(json!("80")), "protocol": unlocked(json!("1")), "enable": unlocked(json!(true))}]));
    assert_eq!(
        told,
        json!({"id": id, "bk_process_name": "job", "bk_biz_id": case.estate.business,
            "service_template_id": case.template, "property": property, "creator": "ops", "modifier": "ops",
            "create_time": told["create_time"], "last_time": told["create_time"], "bk_supplier_account": "0"})
    );
    let list = case.list(json!({"service_template_id": case.template})).data();
    assert_eq!(list, json!({"count": 1, "info": [told]}));
    let at_gateway = case.app.gateway("POST", &format!("/find/proc/proc_template/id/{id}"), json!({})).json();
    assert_eq!(at_gateway["data"], told);
    assert_eq!(case.app.esb("get_proc_template", json!({"process_template_id": id})).json()["data"], told);
    assert_eq!(
        case.app
            .esb("list_proc_template", json!({"bk_biz_id": case.estate.business, "process_template_ids": [id]}))
            .json()["data"]["info"],
        json!([told])
    );
}

/// templates E30 to E36, E38, defects 13 and 27
#[test]
fn what_a_new_template_needs() {
    let case = Case::new();
    let empty = json!({"bk_biz_id": case.estate.business, "service_template_id": 99_999, "processes": []});
    assert_eq!(case.app.post("/createmany/proc/proc_template", empty).data(), json!([]));
    let before = case.traces();
    let blank = with(named("job"), "user", json!({"value": " root"}));
    case.create(vec![named("a"), blank]).fails_with(1_199_998).naming("processes[1].spec.user");
    let many: Vec<_> = (0..101).map(|i| named(&format!("p{i}"))).collect();
    case.create(many).fails_with(1_199_035);
    case.create(vec![named("a"), named("b"), named("a")]).fails_with(1_113_019).naming("processes[2].spec");
    case.create(vec![Value::Null]).fails_with(1_199_006).naming("property");
    case.create(vec![json!({"bk_process_name": {"value": "a"}})]).fails_with(1_199_006).naming("bk_func_name");
    case.create(vec![with(named("a"), "proc_num", json!({"value": "3"}))]).fails_with(1_199_000);
    case.create(vec![with(named("a"), "proc_num", json!({"value": 0}))]).fails_with(1_199_006).naming("proc_num");
    case.create(vec![with(named("a"), "bk_start_check_secs", json!({"value": 601}))]).fails_with(1_199_006);
    let row = |id: i64, ip: &str| json!({"row_id": id, "ip": {"value": ip}, "port": {"value": "80"}, "protocol": {"value": "1"}});
    let with_rows = |list: Value| with(named("a"), "bind_info", rows(list));
    case.create(vec![with_rows(json!([row(0, "1"), row(0, "5")]))]).fails_with(1_199_006).naming("value[1]");
    case.create(vec![with_rows(json!([row(1, "1"), row(1, "1")]))]).fails_with(1_199_006).naming("value[1].row_id");
    for (field, id) in [("service_template_id", 99_999), ("bk_biz_id", 99_999), ("bk_biz_id", 0)] {
        let mut body = json!({"bk_biz_id": case.estate.business, "service_template_id": case.template,
            "processes": [{"spec": named("a")}]});
        body[field] = id.into();
        case.app.post("/createmany/proc/proc_template", body).fails_with(1_199_006).naming(field);
    }
    assert_eq!(case.traces(), before);
    // Program and parameter: null clashes with nothing, "" with "".
    let of_java = |name: &str, regex: Value| {
        let spec = with(named(name), "bk_func_name", json!({"value": "java"}));
        with(spec, "bk_start_param_regex", json!({"value": regex}))
    };
    case.create(vec![of_java("a", Value::Null), of_java("b", Value::Null), of_java("c", json!(""))]).data();
    case.create(vec![of_java("d", json!(""))]).fails_with(1_113_020).naming("bk_func_name");
    case.create(vec![of_java("b", json!("x"))]).fails_with(1_113_019).naming("bk_process_name");
}

/// templates E40 to E42, and the row ids of 37 and 60
#[test]
fn an_update_replaces_what_it_names() {
    let case = Case::new();
    let id = case.made(with(named("a"), "user", json!({"value": "u", "as_default_value": true})));
    let before = case.get(id);
    next_millisecond();
    let unnamed = case.update(id, json!({})).data();
    assert_eq!(unnamed["property"], before["property"]);
    assert_ne!(unnamed["last_time"], before["last_time"]);
    assert_eq!(unnamed["create_time"], before["create_time"]);
    let property = |answer: Answer| answer.data()["property"].clone();
    let told = property(case.update(id, json!({"user": {"value": "x"}, "proc_num": null})));
    assert_eq!(told["user"], json!({"value": "x", "as_default_value": null}));
    let told = property(case.update(id, json!({"bk_func_name": {"value": "other"}, "user": {"value": " y "}})));
    assert_eq!((&told["bk_func_name"]["value"], &told["user"]["value"]), (&json!("a"), &json!("y")));
    let renamed = case.update(id, json!({"bk_process_name": {"value": "z", "as_default_value": false}})).data();
    assert_eq!(renamed["bk_process_name"], "z");
    assert_eq!(renamed["property"]["bk_process_name"], json!({"value": "z", "as_default_value": true}));
    let row = |id: i64| json!({"row_id": id, "port": {"value": "80"}, "protocol": {"value": "1"}});
    let ids = |rows: &[i64]| {
        let rows: Vec<_> = rows.iter().map(|id| row(*id)).collect();
        let told = property(case.update(id, json!({"bind_info": {"value": rows}})));
        let rows = told["bind_info"]["value"].as_array().unwrap().clone();
        rows.iter().map(|row| row["row_id"].as_i64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(ids(&[0, 5, 0]), [6, 5, 7]);
    assert_eq!(ids(&[5]), [5]);
    assert_eq!(ids(&[5, 0]), [5, 8]);
    case.made(named("b"));
    let before = case.traces();
    case.update(id, json!({"bk_process_name": {"value": "b"}})).fails_with(1_113_019).naming("process_property");
    case.update(id, json!({"bk_process_name": {"value": ""}})).fails_with(1_199_006).naming("bk_process_name");
    case.update(id, Value::Null).fails_with(1_199_003);
    case.update(0, json!({})).fails_with(1_199_003);
    case.update(99_999, json!({})).fails_with(1_199_019);
    case.update(id, json!({"proc_num": {"value": "3"}})).fails_with(1_199_000);
    let nowhere = json!({"bk_biz_id": 0, "process_template_id": id, "process_property": {"user": {"value": "x"}}});
    case.app.native("PUT", "/update/proc/proc_template", nowhere).fails_with(1_199_006).naming("bk_biz_id");
    assert_eq!(case.traces(), before);
}

/// templates E43
#[test]
fn templates_go_together_or_not_at_all() {
    let case = Case::new();
    let ids: Vec<_> = ["a", "b", "c"].map(|name| case.made(named(name))).into();
    let before = case.traces();
    case.delete(&[ids[0], 99_999, ids[1]]).fails_with(1_108_014).naming("process_templates[1]");
    case.delete(&[]).fails_with(1_199_010);
    case.delete(&(1..=501).collect::<Vec<_>>()).fails_with(1_199_035);
    let nowhere = json!({"bk_biz_id": 0, "process_templates": [ids[0]]});
    case.app.native("DELETE", "/deletemany/proc/proc_template", nowhere).fails_with(1_199_006).naming("bk_biz_id");
    assert_eq!(case.traces(), before);
    assert_eq!(case.delete(&[ids[0], ids[0], ids[2]]).data(), Value::Null);
    let left = case.list(json!({"service_template_id": case.template})).data();
    assert_eq!(left["info"].as_array().unwrap().iter().map(|it| it["id"].clone()).collect::<Vec<_>>(), [ids[1]]);
    case.app.post(&format!("/find/proc/proc_template/id/{}", ids[0]), json!({})).fails_with(1_199_019);
    case.app.post("/find/proc/proc_template/id/abc", json!({})).fails_with(1_199_003);
}

#[test]
fn lists_are_paged_and_sorted() {
    let case = Case::new();
    let ids: Vec<_> = ["b", "c", "a"].map(|name| case.made(named(name))).into();
    let listed = |more: Value| {
        let data = case.list(more).data();
        let ids: Vec<_> = data["info"].as_array().unwrap().iter().map(|it| it["id"].as_i64().unwrap()).collect();
        (data["count"].as_i64().unwrap(), ids)
    };
    let template = case.template;
    assert_eq!(listed(json!({"service_template_id": template})), (3, vec![ids[2], ids[1], ids[0]]));
    assert_eq!(listed(json!({"service_template_id": template, "page": {"limit": 0}})).0, 3); // E43
    let sorted = json!({"service_template_id": template, "page": {"sort": "bk_process_name", "start": 1, "limit": 1}});
    assert_eq!(listed(sorted), (3, vec![ids[0]]));
    assert_eq!(listed(json!({"process_template_ids": [ids[0], ids[1], 99_999]})), (2, vec![ids[1], ids[0]]));
    assert_eq!(listed(json!({"process_template_ids": [ids[0]], "service_template_id": 99_999})), (0, vec![]));
    case.list(json!({})).fails_with(1_199_006);
    case.list(json!({"service_template_id": -1})).fails_with(1_199_006);
    case.list(json!({"process_template_ids": (1..=201).collect::<Vec<_>>()})).fails_with(1_199_089); // E43
    case.list(json!({"bk_biz_id": 0, "service_template_id": template})).fails_with(1_199_006);
}

#[test]
fn templates_of_other_businesses_look_absent() {
    let case = Case::new();
    let id = case.made(named("a"));
    let other = case.app.estate_named("other", "10.9.9").business;
    let at = |path: &str, method: &str, mut body: Value| {
        body["bk_biz_id"] = other.into();
        case.app.native(method, path, body)
    };
    let before = case.traces();
    at("/update/proc/proc_template", "PUT", json!({"process_template_id": id, "process_property": {}}))
        .fails_with(1_199_019);
    at("/deletemany/proc/proc_template", "DELETE", json!({"process_templates": [id]})).fails_with(1_108_014);
    let specs = json!({"service_template_id": case.template, "processes": [{"spec": named("b")}]});
    at("/createmany/proc/proc_template", "POST", specs).fails_with(1_199_006).naming("bk_biz_id");
    let list = json!({"service_template_id": case.template});
    assert_eq!(at("/findmany/proc/proc_template", "POST", list).data(), json!({"count": 0, "info": []}));
    assert_eq!(case.traces(), before);
}

#[test]
fn rights_are_asked_for() {
    let app = TestApp::with().start();
    let body = json!({"bk_biz_id": 2, "service_template_id": 1, "processes": [{"spec": named("a")}]});
    app.native_as("nobody", "POST", "/createmany/proc/proc_template", body.clone()).fails_with(9_900_403);
    let body = |more: Value| {
        let mut body = json!({"bk_biz_id": 2});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    let update = body(json!({"process_template_id": 1, "process_property": {}}));
    app.native_as("nobody", "PUT", "/update/proc/proc_template", update).fails_with(9_900_403);
    let delete = body(json!({"process_templates": [1]}));
    app.native_as("nobody", "DELETE", "/deletemany/proc/proc_template", delete.clone()).fails_with(9_900_403);
    app.grant("editor", Action::EditServiceTemplate, Some(2));
    app.native_as("editor", "DELETE", "/deletemany/proc/proc_template", delete).fails_with(1_108_014);
}

#[test]
fn every_change_leaves_an_event_and_an_entry() {
    let case = Case::new();
    let of = |table: &str| {
        case.app.number(match table {
            "event" => "SELECT count(*) FROM event WHERE kind = 113",
            _ => "SELECT count(*) FROM audit WHERE resource_type = 'process_template'",
        })
    };
    let id = case.made(named("a"));
    case.made(named("b"));
    case.update(id, json!({"user": {"value": "x"}})).data();
    case.delete(&[id]).data();
    assert_eq!((of("event"), of("audit")), (4, 4));
}

/// templates E40, defect 18: of a service template (S3), a process template (P2) and a set template (T3).
#[test]
fn who_wrote_last_is_named() {
    let case = Case::new();
    let (app, business) = (&case.app, case.estate.business);
    let process = case.made(named("a"));
    let set = app.set_template(&case.estate, "set", &[case.template]);
    let path = format!("/topo/set_template/{set}/bk_biz_id/{business}");
    let get = || {
        let service = app.native("GET", &format!("/find/proc/service_template/{}", case.template), "").data();
        [service, case.get(process), app.native("GET", &format!("/find{path}"), "").data()]
    };
    let before = get();
    next_millisecond();
    let put = |path: &str, body: Value| app.native_as("second", "PUT", path, body).data();
    put("/update/proc/service_template", json!({"bk_biz_id": business, "id": case.template, "name": "new"}));
    let property = json!({"user": {"value": "x"}});
    let body = json!({"bk_biz_id": business, "process_template_id": process, "process_property": property});
    put("/update/proc/proc_template", body);
    put(&format!("/update{path}"), json!({"name": "new"}));
    for (before, after) in before.iter().zip(get()) {
        let who = |it: &Value| ["creator", "modifier"].map(|field| it[field].clone());
        assert_eq!((who(before), who(&after)), ([json!("ops"), json!("ops")], [json!("ops"), json!("second")]));
        assert_eq!(before["create_time"], after["create_time"]);
        assert_ne!(before["last_time"], after["last_time"], "{after}");
    }
}

/// A service template with all that belongs to it; templates E18 to E22, invariant 22
#[test]
fn a_service_template_is_written_as_a_whole() {
    let case = Case::new();
    let business = case.estate.business;
    let whole = |more: Value| {
        let mut body = json!({"bk_biz_id": business});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    let create = |processes: Value| {
        let body = whole(json!({"name": "whole", "service_category_id": 2, "processes": processes}));
        case.app.post("/create/proc/service_template/all_info", body)
    };
    create(json!([{"property": named("a")}, {"property": named("a")}])).fails_with(1_113_019);
    create(json!([{"property": named("a")}, {}])).fails_with(1_199_006).naming("processes[1].property");
    let blank = with(named("b"), "user", json!({"value": " root"}));
    let id = create(json!([{"property": named("a")}, {"property": blank}])).data()["id"].as_i64().unwrap();
    let get = || case.app.post("/find/proc/service_template/all_info", whole(json!({"id": id}))).data();
    let names = |all: &Value| {
        let all = all["processes"].as_array().unwrap();
        all.iter().map(|it| it["bk_process_name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let told = get();
    assert_eq!(names(&told), ["b", "a"]);
    assert_eq!(told["processes"][0]["property"]["user"]["value"], "root"); // E31
    let update = |processes: Value| {
        let body = whole(json!({"id": id, "processes": processes}));
        case.app.native("PUT", "/update/proc/service_template/all_info", body)
    };
    // What was read, written back, changes nothing.
    let traces = case.traces();
    update(told["processes"].clone()).data();
    assert_eq!((get(), case.traces()), (told.clone(), traces));
    let ids: Vec<_> = told["processes"].as_array().unwrap().iter().map(|it| it["id"].as_i64().unwrap()).collect();
    // Two templates change names in one call.
    let entry = |id: i64, name: &str| json!({"id": id, "property": with(named("x"), "bk_process_name", json!({"value": name}))});
    update(json!([entry(ids[0], "a"), entry(ids[1], "b")])).data();
    let swapped = get();
    assert_eq!(names(&swapped), ["a", "b"]);
    assert_eq!(swapped["processes"][0]["property"]["bk_func_name"]["value"], "b");
    // Removed first, then renamed: the name is free. The id of another service template makes a new one.
    let foreign = case.made(named("foreign"));
    update(json!([entry(ids[0], "b"), {"id": foreign, "property": named("c")}])).data();
    assert_eq!(names(&get()), ["c", "b"]);
    assert_eq!(case.get(foreign)["bk_process_name"], "foreign");
    update(json!([{"id": ids[0], "property": {}}])).fails_with(1_199_006).naming("processes[0].property");
    update(Value::Null).data();
    assert_eq!(get()["processes"], json!([]));
    let count = case.app.post(
        &format!("/findmany/proc/service_template/count_info/biz/{business}"),
        json!({"service_template_ids": [case.template]}),
    );
    assert_eq!(count.data()[0]["process_template_count"], 1);
    // A service template takes its process templates with it.
    let gone = json!({"bk_biz_id": business, "service_template_id": case.template});
    case.app.native("DELETE", "/delete/proc/service_template", gone).data();
    case.app.post(&format!("/find/proc/proc_template/id/{foreign}"), json!({})).fails_with(1_199_019);
    case.app.check();
}
