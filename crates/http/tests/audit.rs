//! The audit as its readers see it: `topology` 13 and the edge cases of §17 by their numbers.

mod support;

use rollcall_app::access::Action;
use rollcall_domain::id::BusinessId;
use rollcall_domain::moment::Moment;
use rollcall_store::StoreError;
use rollcall_store::audit::{Actor, AuditRow, insert};
use serde_json::{Value, json};
use support::{Answer, Estate, TestApp, named, process};

const LIST: &str = "/findmany/audit_list";
const FIND: &str = "/find/audit";

/// From ever until now.
fn ever() -> Value {
    json!({"start": "2000-01-01 00:00:00"})
}

/// Asks for entries of all times, 200 of them, by id; `more` says which.
fn ask(app: &TestApp, mut more: Value) -> Answer {
    more.as_object_mut().unwrap().entry("operation_time").or_insert(ever());
    app.post(LIST, json!({"condition": more, "page": {"limit": 200}}))
}

/// Count and entries of an answer.
fn found(answer: &Answer) -> (i64, Vec<Value>) {
    let data = answer.data();
    (data["count"].as_i64().unwrap(), data["info"].as_array().unwrap().clone())
}

/// One field of the entries that are meant.
fn column(app: &TestApp, more: Value, field: &str) -> Vec<Value> {
    let (count, entries) = found(&ask(app, more));
    assert_eq!(usize::try_from(count).unwrap(), entries.len());
    entries.iter().map(|entry| entry[field].clone()).collect()
}

/// The whole entries with these ids.
fn whole(app: &TestApp, ids: &[Value]) -> Vec<Value> {
    app.post(FIND, json!({"id": ids})).data().as_array().unwrap().clone()
}

/// An entry as somebody's change leaves it, written beside the program.
#[derive(Clone, Copy)]
struct Written {
    time: i64,
    business: i64,
    user: &'static str,
    name: &'static str,
}

/// 2026-11-21 10:00:00 in Shanghai.
const TEN: i64 = 1_795_226_400_000;

fn write(app: &TestApp, entries: Vec<Written>) {
    let written = app.store.write_blocking(move |tx| {
        for entry in &entries {
            let actor =
                Actor { user: entry.user, verified: false, app_code: "", request_id: "", time: Moment(entry.time) };
            let row = AuditRow {
                business_id: BusinessId(entry.business),
                audit_type: "host",
                resource_type: "host",
                action: "update",
                resource_id: 77,
                resource_name: entry.name.into(),
                detail: "{}".into(),
            };
            insert(tx, actor, &[row])?;
        }
        Ok::<_, StoreError>(())
    });
    written.unwrap();
}

/// An estate with an instance of two processes, to which everything happens once.
fn lived(app: &TestApp) -> (Estate, i64) {
    let estate = app.estate();
    let biz = estate.business;
    let instance = app.instance(&estate, process("a"));
    let put = |path: &str, body: Value| app.native("PUT", path, body).data();
    put(
        &format!("/updatemany/proc/service_instance/biz/{biz}"),
        json!({"data": [{"service_instance_id": instance, "update": {"name": "renamed"}}]}),
    );
    let labels = json!({"bk_biz_id": biz, "instance_ids": [instance], "labels": {"env": "test"}});
    app.post("/createmany/proc/service_instance/labels", labels).data();
    let made =
        json!({"bk_biz_id": biz, "service_instance_id": instance, "processes": [{"process_info": process("b")}]});
    let made = app.post("/create/proc/process_instance", made).data();
    let changed = json!({"bk_biz_id": biz, "process_ids": made, "update_data": {"user": "www"}});
    put("/update/proc/process_instance/by_ids", changed);
    app.native("DELETE", "/delete/proc/process_instance", json!({"bk_biz_id": biz, "process_instance_ids": made}))
        .data();
    let gone = json!({"bk_biz_id": biz, "service_instance_ids": [instance]});
    app.native("DELETE", "/deletemany/proc/service_instance", gone).data();
    (estate, instance)
}

#[test]
fn e54_an_instance_has_an_entry_for_each_thing_that_happened_to_it() {
    let app = TestApp::new();
    let (estate, instance) = lived(&app);
    let about = json!({"bk_biz_id": estate.business, "resource_type": "service_instance", "resource_id": instance});
    let (count, listed) = found(&ask(&app, about));
    let actions: Vec<_> = listed.iter().map(|entry| entry["action"].as_str().unwrap()).collect();
    assert_eq!((count, &actions[..]), (7, &["create", "update", "update", "update", "update", "update", "delete"][..]));
    let names: Vec<_> = listed.iter().map(|entry| entry["resource_name"].as_str().unwrap()).collect();
    assert_eq!((names[0], names[6]), ("10.0.0.1_a", "renamed"));

    // What is not for a table is blank, and yet there.
    let first = listed[0].as_object().unwrap();
    let time = first["operation_time"].as_str().unwrap();
    assert_eq!((time.len(), &time[10..11]), (19, " "));
    let want = json!({"id": first["id"], "audit_type": "", "bk_supplier_account": "", "user": "ops",
        "resource_type": "service_instance", "action": "create", "operate_from": "", "operation_detail": null,
        "operation_time": time, "bk_biz_id": estate.business, "resource_id": instance, "resource_name": "10.0.0.1_a",
        "extend_resource_name": ""});
    assert_eq!(listed[0], want);

    let ids: Vec<_> = listed.iter().map(|entry| entry["id"].clone()).collect();
    let entries = whole(&app, &ids);
    let [created, renamed, labelled, added, updated, removed, deleted] = &entries[..] else { panic!("{entries:?}") };
    for (entry, listed) in entries.iter().zip(&listed) {
        for key in
            ["id", "user", "resource_type", "action", "operation_time", "bk_biz_id", "resource_id", "resource_name"]
        {
            assert_eq!(entry[key], listed[key], "{key}");
        }
        let rest =
            [&entry["audit_type"], &entry["bk_supplier_account"], &entry["operate_from"], &entry["user_verified"]];
        assert_eq!(rest, [&json!("business_resource"), &json!("0"), &json!("user"), &json!(true)]);
        assert!(entry["rid"].as_str().unwrap().starts_with("cc"), "{entry}");
        assert_eq!(entry.get("code"), None, "no app is known at this door");
        assert_eq!(entry["operation_detail"]["bk_host_id"], estate.hosts[0]);
    }
    let detail = |entry: &Value| entry["operation_detail"]["details"].clone();
    let processes = |entry: &Value| entry["operation_detail"]["processes"].clone();
    let told = |action: &str, name: &str, entry: &Value| {
        let told = processes(entry)[0].clone();
        assert_eq!((&told["action"], &told["bk_process_names"]), (&json!(action), &json!(name)));
        assert!(told["bk_process_ids"].is_i64(), "a number in spite of its name");
        told["details"].clone()
    };
    // A creation has its record as cur_data, a removal as pre_data, a change what it was and what was sent.
    assert_eq!((&detail(created)["pre_data"], &detail(created)["update_fields"]), (&Value::Null, &Value::Null));
    assert_eq!(detail(created)["cur_data"]["name"], "10.0.0.1_a");
    assert_eq!(told("create", "a", created), Value::Null);
    assert_eq!(detail(renamed)["pre_data"]["name"], "10.0.0.1_a");
    assert_eq!(detail(renamed)["update_fields"], json!({"name": "renamed"}));
    assert_eq!(detail(labelled)["update_fields"]["labels"], json!({"env": "test"}));
    assert_eq!((detail(added), told("create", "b", added)), (Value::Null, Value::Null), "E54");
    assert_eq!(detail(updated), Value::Null);
    assert_eq!(told("update", "b", updated)["update_fields"], json!({"user": "www"}));
    assert_eq!((detail(removed), told("delete", "b", removed)), (Value::Null, Value::Null));
    assert_eq!((&detail(deleted)["pre_data"]["name"], &detail(deleted)["cur_data"]), (&json!("renamed"), &Value::Null));
    assert_eq!(processes(deleted).as_array().unwrap().len(), 1);
}

#[test]
fn the_base_has_entries_of_its_own() {
    // topology 13.1
    let app = TestApp::new();
    let estate = app.estate();
    let of = |resource: &str| json!({"bk_biz_id": estate.business, "resource_type": resource});
    assert_eq!(column(&app, of("business"), "action"), ["create"]);
    assert_eq!(column(&app, of("business"), "resource_id"), [estate.business]);
    assert_eq!(column(&app, of("set"), "resource_name"), ["空闲机池", "set"]);
    assert_eq!(column(&app, of("module"), "resource_name"), ["空闲机", "故障机", "待回收", "module"]);
    let of_host = json!({"bk_biz_id": estate.business, "resource_type": "host", "resource_id": estate.hosts[1]});
    assert_eq!(column(&app, of_host.clone(), "action"), ["create", "transfer_host_module"]);
    assert_eq!(column(&app, of_host.clone(), "resource_name"), ["10.0.0.2", "10.0.0.2"]);
    let [made, moved] = &whole(&app, &column(&app, of_host, "id"))[..] else { panic!("two entries") };
    assert_eq!((&made["audit_type"], &made["operation_detail"]["bk_obj_id"]), (&json!("host"), &json!("host")));
    assert_eq!(made["operation_detail"]["details"]["cur_data"]["bk_host_innerip"], "10.0.0.2");
    let place = |key: &str| moved["operation_detail"][key].clone();
    assert_eq!(
        (&place("pre_data")["bk_biz_id"], &place("pre_data")["bk_biz_name"]),
        (&json!(estate.business), &json!("estate"))
    );
    assert_eq!(place("pre_data")["set"][0]["module"][0]["bk_module_name"], "空闲机");
    let module = json!([{"bk_module_id": estate.module, "bk_module_name": "module"}]);
    assert_eq!(place("cur_data")["set"], json!([{"bk_set_id": estate.set, "bk_set_name": "set", "module": module}]));

    // A host whose name is longer than a name may be.
    let addresses: Vec<_> = (1..40).map(|i| format!("10.7.0.{i}")).collect();
    let row = json!({"bk_host_innerip": addresses.join(","), "bk_cloud_id": 0});
    app.post("/hosts/add", json!({"host_info": {"0": row}})).data();
    let names = column(&app, json!({"bk_biz_id": 1, "resource_type": "host"}), "resource_name");
    assert!(names.iter().all(|name| name.as_str().unwrap().len() <= 256), "{names:?}");
}

/// A change tells what became another, beside what it was before.
#[test]
fn changes_of_templates_and_jobs_tell_what_changed() {
    let app = TestApp::new();
    let estate = app.estate();
    let template = app.service_template(&estate, "st");
    let process = app.process_templates(&estate, template, vec![named("one")])[0];
    let property = json!({"user": {"value": "www", "as_default_value": true}});
    let body = json!({"bk_biz_id": estate.business, "process_template_id": process, "process_property": property});
    app.native("PUT", "/update/proc/proc_template", body).data();
    let of = |resource: &str| json!({"bk_biz_id": estate.business, "resource_type": resource, "action": ["update"]});
    let changed =
        |resource: &str| whole(&app, &column(&app, of(resource), "id"))[0]["operation_detail"]["details"].clone();
    let told = changed("process_template");
    assert_eq!(told["pre_data"]["property"]["user"], json!({"value": null, "as_default_value": null}));
    assert_eq!(told["update_fields"]["property"]["user"], property["user"]);
    assert_eq!(told["update_fields"].as_object().unwrap().len(), 1, "{told}");
    let renamed = json!({"bk_biz_id": estate.business, "id": template, "name": "other", "service_category_id": 2});
    app.native("PUT", "/update/proc/service_template", renamed).data();
    assert_eq!(changed("service_template")["update_fields"], json!({"name": "other"}));
    let module = app.bound_module(&estate, template).data()["bk_module_id"].clone();
    let body = json!({"bk_biz_id": estate.business, "bk_module_ids": [module], "service_template_id": template});
    app.native("PUT", "/update/proc/service_instance/sync", body).data();
    app.wait_for_jobs(estate.business);
    assert_eq!(changed("sync_job")["update_fields"], json!({"status": "finished"}));
}

#[test]
fn what_a_condition_says() {
    let app = TestApp::new();
    let estate = app.estate();
    app.instance(&estate, process("a"));
    let set = json!({"bk_set_name": "Eve's", "bk_parent_id": estate.business});
    app.native_as("eve", "POST", &format!("/set/{}", estate.business), set).data();
    let all = column(&app, json!({}), "id").len();
    // A business, three sets and four modules with the built-in ones, three hosts that came and moved, an instance.
    assert_eq!(all, 15);
    let count = |more: Value, want: usize| {
        let (count, entries) = found(&ask(&app, more.clone()));
        assert_eq!((usize::try_from(count).unwrap(), entries.len()), (want, want), "{more}");
    };
    let rule = |field: &str, operator: &str, value: Value| json!({"condition": [{"field": field, "operator": operator, "value": value}]});
    count(json!({"bk_biz_id": estate.business}), all);
    count(json!({"bk_biz_id": 2}), 0);
    count(json!({"bk_biz_id": -1}), 0);
    count(json!({"resource_type": "set"}), 3);
    count(json!({"resource_type": "Set"}), 0);
    count(json!({"resource_id": estate.hosts[0], "resource_type": "host"}), 2);
    count(json!({"resource_id": 99_999}), 0);
    count(json!({"audit_type": "host"}), 6);
    count(json!({"audit_type": "nothing"}), 0);
    count(json!({"action": ["create"]}), 12);
    count(json!({"action": ["transfer_host_module", "delete"]}), 3);
    count(json!({"action": []}), all);
    count(json!({"action": ["nope"]}), 0);
    count(json!({"operate_from": "user"}), all);
    count(json!({"operate_from": "cc_system"}), 0);
    count(json!({"user": "eve"}), 1);
    count(json!({"user": "ev"}), 0);
    count(json!({"resource_name": "10.0.0.1"}), 2);
    count(json!({"resource_name": "10.0.0"}), 0);
    count(json!({"resource_name": "10.0.0", "fuzzy_query": true}), 7);
    count(json!({"resource_name": "EVE'S", "fuzzy_query": true}), 1);
    count(json!({"resource_name": "10.0.0.1.a", "fuzzy_query": true}), 0);
    count(json!({"resource_name": "%", "fuzzy_query": true}), 0);
    count(json!({"user": "eve", "resource_name": "eve", "fuzzy_query": true}), 1);
    // Categories, and what contradicts them.
    count(json!({"category": "business"}), 8);
    count(json!({"category": "resource"}), 1);
    count(json!({"category": "host"}), 6);
    count(json!({"category": "other"}), 0);
    count(json!({"category": "nothing"}), 0);
    count(json!({"category": "host", "audit_type": "host"}), 6);
    count(json!({"category": "resource", "audit_type": "business"}), 1);
    count(json!({"category": "business", "audit_type": "host"}), 0);
    // Rules in the place of user and name.
    count(rule("user", "in", json!(["eve", "nobody"])), 1);
    count(rule("user", "not_in", json!(["eve"])), all - 1);
    count(rule("user", "in", json!([])), 0);
    count(rule("user", "not_in", json!([])), all);
    count(rule("resource_name", "contains", json!("EVE")), 1);
    count(rule("resource_name", "in", json!(["set", "module"])), 2);
    let both = json!([{"field": "user", "operator": "in", "value": ["eve"]},
        {"field": "resource_name", "operator": "not_in", "value": ["Eve's"]}]);
    count(json!({"condition": both}), 0);
    // Ids that are texts, and models: there is nothing of either.
    count(json!({"resource_id": "5"}), 0);
    count(json!({"resource_type": "model_instance", "bk_obj_id": "switch"}), 0);
    count(json!({"resource_type": "instance_association", "bk_obj_id": "switch"}), 0);
    count(json!({"unknown": 1}), all);
}

#[test]
fn e53_what_is_refused() {
    let app = TestApp::new();
    let page = json!({"limit": 20});
    let list = |condition: Value, page: &Value| app.post(LIST, json!({"condition": condition, "page": page}));
    list(json!({}), &page).fails_with(1_199_010).naming("operation_time"); // E53
    list(json!({"operation_time": {}}), &page).fails_with(1_199_010);
    list(json!({"operation_time": {"start": "", "end": ""}}), &page).fails_with(1_199_010);
    app.post(LIST, json!({"page": page})).fails_with(1_199_010);
    let ever = json!({"operation_time": ever()});
    list(ever.clone(), &json!({"limit": 201})).fails_with(1_199_059); // E53
    list(ever.clone(), &json!({"limit": 0})).fails_with(1_199_006).naming("limit");
    list(ever.clone(), &json!({"limit": -1})).fails_with(1_199_006).naming("limit");
    list(ever.clone(), &json!({"limit": 1, "start": -1})).fails_with(1_199_006).naming("start");
    list(ever.clone(), &Value::Null).fails_with(1_199_006).naming("limit");
    list(ever.clone(), &json!({"limit": 999_999_999})).fails_with(1_199_059);
    list(ever.clone(), &json!({"limit": "5"})).fails_with(1_199_000);
    app.post(LIST, "").fails_with(1_199_006);
    app.post(LIST, "{").fails_with(1_199_000);
    app.post(LIST, json!({"condition": [], "page": page})).fails_with(1_199_000);

    let refused = |more: Value, field: &str| {
        ask(&app, more).fails_with(1_199_006).naming(&format!("condition.{field}"));
    };
    refused(json!({"operation_time": {"start": "yesterday"}}), "operation_time.start");
    refused(json!({"operation_time": {"start": "2026-01-01", "end": "2026-13-01"}}), "operation_time.end");
    refused(json!({"resource_id": {"$gt": 0}}), "resource_id");
    refused(json!({"bk_obj_id": "host"}), "resource_type");
    refused(json!({"bk_obj_id": "host", "resource_type": "host"}), "resource_type");
    let rule = json!([{"field": "user", "operator": "in", "value": ["a"]}]);
    refused(json!({"condition": rule, "user": "a"}), "condition");
    refused(json!({"condition": rule, "resource_name": "a"}), "condition");
    for (field, operator, value, at) in [
        ("id", "in", json!([1]), "field"),
        ("", "in", json!([1]), "field"),
        ("user", "contains", json!("a"), "operator"),
        ("user", "equal", json!("a"), "operator"),
        ("resource_name", "$regex", json!("a"), "operator"),
        ("user", "in", json!("a"), "value"),
        ("user", "in", json!([1]), "value[0]"),
        ("resource_name", "contains", json!(["a"]), "value"),
        ("resource_name", "contains", json!(""), "value"),
    ] {
        let rules = json!([{"field": field, "operator": operator, "value": value}]);
        refused(json!({"condition": rules}), &format!("condition[0].{at}"));
    }
    ask(&app, json!({"action": "create"})).fails_with(1_199_000);
    ask(&app, json!({"bk_biz_id": "2"})).fails_with(1_199_000);

    // All that is wrong, at once.
    let wrong = json!({"operation_time": {"start": "x", "end": "y"}, "resource_id": true});
    ask(&app, wrong).fails_with(1_199_006).naming("start").naming("end").naming("resource_id");

    let find = |ids: Value| app.post(FIND, json!({"id": ids}));
    find(json!([])).fails_with(1_199_010).naming("id");
    app.post(FIND, json!({})).fails_with(1_199_010).naming("id");
    find((1..=201).collect()).fails_with(1_199_059);
    find(json!([99_999_999])).fails_with(1_199_011).naming("id");
    find(json!(["1"])).fails_with(1_199_000);
    assert_eq!(app.number("SELECT count(*) FROM audit"), 0);
}

#[test]
fn a_time_ends_with_the_second_it_names() {
    let app = TestApp::new();
    fn at(time: i64) -> Written {
        Written { time, business: 2, user: "ops", name: "h" }
    }
    write(&app, vec![at(TEN - 1), at(TEN), at(TEN + 999), at(TEN + 1000), at(TEN + 86_400_000)]);
    let count = |time: Value| found(&ask(&app, json!({"operation_time": time}))).0;
    let text = |text: &str| json!({"start": text, "end": text});
    assert_eq!(count(text("2026-11-21 10:00:00")), 2);
    assert_eq!(count(text("2026-11-21T02:00:00Z")), 2);
    assert_eq!(count(json!({"start": "2026-11-21 10:00:01"})), 2);
    assert_eq!(count(json!({"end": "2026-11-21 09:59:59"})), 1);
    assert_eq!(count(json!({"end": "2026-11-21 09:59:58"})), 0);
    assert_eq!(count(json!({"start": "2026-11-21", "end": "2026-11-22"})), 4);
    assert_eq!(count(json!({"start": "2026-11-22 00:00:00", "end": "2026-11-21 00:00:00"})), 0);
    let times = column(&app, json!({"operation_time": text("2026-11-21 10:00:00")}), "operation_time");
    assert_eq!(times, ["2026-11-21 10:00:00", "2026-11-21 10:00:00"]);
}

#[test]
fn pages_in_any_order() {
    let app = TestApp::new();
    fn entry(time: i64, user: &'static str, name: &'static str) -> Written {
        Written { time: TEN + time, business: 2, user, name }
    }
    // Ids are given in this order.
    write(
        &app,
        vec![entry(3, "b", "x"), entry(1, "a", "y"), entry(2, "b", "y"), entry(1, "c", "x"), entry(4, "a", "z")],
    );
    let first = column(&app, json!({}), "id")[0].as_i64().unwrap();
    let page = |page: Value| {
        let (count, entries) = found(&app.post(LIST, json!({"condition": {"operation_time": ever()}, "page": page})));
        assert_eq!(count, 5, "whatever the page");
        entries.iter().map(|entry| entry["id"].as_i64().unwrap() - first).collect::<Vec<_>>()
    };
    let sorted = |sort: &str| page(json!({"limit": 200, "sort": sort}));
    assert_eq!(sorted(""), [0, 1, 2, 3, 4]);
    assert_eq!(sorted("nothing,-operate_from"), [0, 1, 2, 3, 4]);
    assert_eq!(sorted("-id"), [4, 3, 2, 1, 0]);
    assert_eq!(sorted("operation_time"), [1, 3, 2, 0, 4]);
    assert_eq!(sorted("-operation_time"), [4, 0, 2, 3, 1]);
    assert_eq!(sorted("operation_time:-1"), [4, 0, 2, 3, 1]);
    assert_eq!(sorted("user,-operation_time"), [4, 1, 0, 2, 3]);
    assert_eq!(sorted("-resource_name,id"), [4, 1, 2, 0, 3]);
    assert_eq!(page(json!({"limit": 2, "start": 2, "sort": "-operation_time"})), [2, 3]);
    assert_eq!(page(json!({"limit": 2, "start": 4})), [4]);
    assert!(page(json!({"limit": 2, "start": 5})).is_empty());
    // Put together, pages are the whole list.
    for sort in ["", "-id", "operation_time", "-resource_name", "user"] {
        let parts = (0..5).flat_map(|start| page(json!({"limit": 1, "start": start, "sort": sort})));
        assert_eq!(parts.collect::<Vec<_>>(), sorted(sort), "{sort}");
    }
}

#[test]
fn entries_are_found_once_by_id() {
    let app = TestApp::new();
    app.estate();
    let ids = column(&app, json!({}), "id");
    let asked = [&ids[2], &ids[0], &json!(99_999_999), &ids[2], &json!(-1)];
    let found = app.post(FIND, json!({"id": asked})).data();
    let found: Vec<_> = found.as_array().unwrap().iter().map(|entry| &entry["id"]).collect();
    assert_eq!(found, [&ids[0], &ids[2]]);
    write(&app, vec![Written { time: TEN, business: 0, user: "ops", name: "of no business" }]);
    let [id] = &column(&app, json!({"resource_name": "of no business"}), "id")[..] else { panic!("one entry") };
    let entry = whole(&app, std::slice::from_ref(id)).remove(0);
    assert_eq!((&entry["user_verified"], entry.get("bk_biz_id"), entry.get("rid")), (&json!(false), None, None));
}

#[test]
fn the_audit_is_shown_to_who_may_see_it() {
    let app = TestApp::with().administrator("ops").start();
    let (ours, theirs) = (app.estate(), app.estate_named("theirs", "10.9.0"));
    app.grant("ann", Action::FindAuditLog, Some(ours.business));
    app.grant("all", Action::FindAuditLog, None);
    app.grant("eve", Action::EditServiceInstance, None);
    let list = |user: &str, business: Option<i64>| {
        let mut condition = json!({"operation_time": ever()});
        condition["bk_biz_id"] = json!(business);
        app.native_as(user, "POST", LIST, json!({"condition": condition, "page": {"limit": 200}}))
    };
    let businesses = |user: &str, business: Option<i64>| {
        let (count, entries) = found(&list(user, business));
        let mut ids: Vec<_> = entries.iter().map(|entry| entry["bk_biz_id"].as_i64().unwrap()).collect();
        assert_eq!(ids.len(), usize::try_from(count).unwrap());
        ids.dedup();
        ids
    };
    assert_eq!(businesses("ops", None), [ours.business, theirs.business]);
    assert_eq!(businesses("all", None), [ours.business, theirs.business]);
    assert_eq!(businesses("all", Some(theirs.business)), [theirs.business]);
    assert_eq!(businesses("ann", None), [ours.business], "all that this caller may see");
    assert_eq!(businesses("ann", Some(ours.business)), [ours.business]);
    // Another business, and one that does not exist: the same refusal.
    for business in [theirs.business, 99_999, -1] {
        let refused = list("ann", Some(business));
        let action = refused.fails_with(9_900_403).json()["permission"]["actions"][0].clone();
        assert_eq!(action["id"], "find_audit_log");
        let node = &action["related_resource_types"][0]["instances"][0][0];
        assert_eq!((&node["type"], &node["id"]), (&json!("biz"), &json!(business.to_string())));
    }
    for business in [None, Some(ours.business)] {
        list("eve", business).fails_with(9_900_403);
    }

    let id_in = |business: i64| found(&list("ops", Some(business))).1[0]["id"].clone();
    let (our_id, their_id) = (id_in(ours.business), id_in(theirs.business));
    let find = |user: &str, ids: Value| app.native_as(user, "POST", FIND, json!({"id": ids}));
    let count = |user: &str, ids: Value| find(user, ids).data().as_array().unwrap().len();
    assert_eq!(count("ops", json!([our_id, their_id])), 2);
    assert_eq!(count("all", json!([our_id, their_id])), 2);
    assert_eq!(count("ann", json!([our_id, their_id])), 1);
    // What is another's looks as if it were not there.
    let (foreign, absent) = (find("ann", json!([their_id])), find("ann", json!([99_999_999])));
    foreign.fails_with(1_199_011);
    assert_eq!((foreign.message(), &foreign.json()["data"]), (absent.message(), &absent.json()["data"]));
    for id in [our_id, json!(99_999_999)] {
        find("eve", json!([id])).fails_with(9_900_403);
    }
}

#[test]
fn every_door_has_the_audit() {
    let app = TestApp::new();
    let estate = app.estate();
    let body = json!({"condition": {"bk_biz_id": estate.business, "operation_time": ever()}, "page": {"limit": 1}});
    let native = app.post(LIST, body.clone()).data();
    assert_eq!(app.esb("list_operation_audit", body.clone()).data(), native);
    assert_eq!(app.gateway("POST", LIST, body).data(), native);
    let ids = json!({"id": [native["info"][0]["id"]]});
    let native = app.post(FIND, ids.clone()).data();
    assert_eq!(app.esb("find_audit_by_id", ids.clone()).data(), native);
    assert_eq!(app.gateway("POST", FIND, ids).data(), native);
    // What came through the other doors tells its app.
    let set = json!({"bk_biz_id": estate.business, "data": {"bk_set_name": "two", "bk_parent_id": estate.business}});
    app.esb("create_set", set).data();
    let id = column(&app, json!({"resource_name": "two"}), "id").remove(0);
    assert_eq!(whole(&app, &[id])[0]["code"], support::APP);
}
