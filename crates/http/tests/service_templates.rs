//! Service templates: `templates` 5, the edge cases 12 to 17 and 23 to 27, and what is left behind by changes.

#![expect(clippy::unwrap_used, reason = "a test ends with its first error")]

mod support;

use rollcall_app::access::Action;
use serde_json::{Value, json};
use support::{Answer, Estate, TestApp, named, next_millisecond, process};

/// Calls about the templates of a business.
struct Case {
    app: TestApp,
    estate: Estate,
}

impl Case {
    fn new() -> Self {
        let app = TestApp::new();
        let estate = app.estate();
        Self { app, estate }
    }

    fn with_business(&self, mut body: Value) -> Value {
        body.as_object_mut().unwrap().entry("bk_biz_id").or_insert(self.estate.business.into());
        body
    }

    fn create(&self, body: Value) -> Answer {
        self.app.post("/create/proc/service_template", self.with_business(body))
    }

    /// A template of the category 2 that can be made.
    fn made(&self, name: &str) -> i64 {
        self.create(json!({"name": name, "service_category_id": 2})).data()["id"].as_i64().unwrap()
    }

    fn update(&self, body: Value) -> Answer {
        self.app.native("PUT", "/update/proc/service_template", self.with_business(body))
    }

    fn delete(&self, id: i64) -> Answer {
        let body = self.with_business(json!({"service_template_id": id}));
        self.app.native("DELETE", "/delete/proc/service_template", body)
    }

    fn get(&self, id: i64) -> Answer {
        self.app.native("GET", &format!("/find/proc/service_template/{id}"), "")
    }

    fn list(&self, body: Value) -> Answer {
        self.app.post("/findmany/proc/service_template", self.with_business(body))
    }

    /// The names that a list answers.
    fn names(&self, body: Value) -> Vec<String> {
        let data = self.list(body).data();
        data["info"].as_array().unwrap().iter().map(|row| row["name"].as_str().unwrap().to_owned()).collect()
    }

    fn category(&self, name: &str, parent: i64) -> i64 {
        let body = self.with_business(json!({"name": name, "bk_parent_id": parent}));
        self.app.post("/create/proc/service_category", body).data()["id"].as_i64().unwrap()
    }

    fn module(&self, set: i64, name: &str) -> i64 {
        let module = json!({"bk_module_name": name, "bk_parent_id": set});
        let made = self.app.post(&format!("/module/{}/{set}", self.estate.business), module).data();
        made["bk_module_id"].as_i64().unwrap()
    }

    fn set(&self, name: &str) -> i64 {
        let business = self.estate.business;
        let set = json!({"bk_set_name": name, "bk_parent_id": business});
        self.app.post(&format!("/set/{business}"), set).data()["bk_set_id"].as_i64().unwrap()
    }

    /// Name and category of a module.
    fn module_row(&self, id: i64) -> Value {
        let modules = self.app.documents("SELECT document FROM module");
        modules.into_iter().find(|module| module["bk_module_id"] == id).unwrap()
    }
}

#[test]
fn a_template_is_made_and_read_back() {
    let case = Case::new();
    let made = case.create(json!({"name": " st ", "service_category_id": 2})).data(); // E12
    let id = made["id"].as_i64().unwrap();
    let business = case.estate.business;
    let told = json!({"bk_biz_id": business, "id": id, "name": "st", "service_category_id": 2, "creator": "ops",
        "modifier": "ops", "create_time": made["create_time"], "last_time": made["create_time"],
        "bk_supplier_account": "0", "host_apply_enabled": false});
    assert_eq!(made, told);
    assert!(made["create_time"].as_str().unwrap().ends_with("+08:00"));
    assert_eq!(case.get(id).data(), told);
    assert_eq!(case.list(json!({})).data(), json!({"count": 1, "info": [told]}));
    let detail = case.app.native("GET", &format!("/find/proc/service_template/{id}/detail"), "").data();
    assert_eq!(detail, json!({"template": told, "service_instance_count": 0, "process_instance_count": 0}));
    let applied = case.create(json!({"name": "other", "service_category_id": 2, "host_apply_enabled": true}));
    assert_eq!(applied.data()["host_apply_enabled"], true);
}

/// templates E12, E13, E14
#[test]
fn what_a_new_template_needs() {
    let case = Case::new();
    for name in ["a/b", "a b", "", "  ", "#a", &"n".repeat(257)] {
        case.create(json!({"name": name, "service_category_id": 2})).fails_with(1_199_006).naming("name");
    }
    case.create(json!({"name": "n".repeat(256), "service_category_id": 2})).data();
    case.create(json!({"name": "名".repeat(256), "service_category_id": 2})).data();
    case.create(json!({"name": "st", "service_category_id": 1})).fails_with(1_113_032).naming("Default");
    for category in [json!(0), json!(99_999), Value::Null] {
        case.create(json!({"name": "st", "service_category_id": category}))
            .fails_with(1_199_006)
            .naming("service_category_id");
    }
    case.create(json!({"name": "st", "service_category_id": "2"})).fails_with(1_199_000);
    for business in [0, -1, 99_999] {
        case.create(json!({"bk_biz_id": business, "name": "st", "service_category_id": 2}))
            .fails_with(1_199_006)
            .naming("bk_biz_id");
    }
    // E14: a category of another business.
    let root = case.category("root", 0);
    let leaf = case.category("leaf", root);
    let other = case.app.estate_named("other", "10.1.0");
    let foreign = |category: i64| {
        case.create(json!({"bk_biz_id": other.business, "name": "st", "service_category_id": category}))
    };
    foreign(leaf).fails_with(1_199_006).naming("bk_biz_id");
    foreign(root).fails_with(1_113_032);
    case.create(json!({"name": "st", "service_category_id": leaf})).data();
    case.create(json!({"name": " st", "service_category_id": 2})).fails_with(1_199_014).naming("name");
    case.create(json!({"bk_biz_id": other.business, "name": "st", "service_category_id": 2})).data();
}

/// templates E10, E14, E15, E17
#[test]
fn a_template_changes() {
    let case = Case::new();
    let root = case.category("root", 0);
    let leaf = case.category("leaf", root);
    let id = case.create(json!({"name": "st", "service_category_id": leaf})).data()["id"].as_i64().unwrap();
    let before = case.get(id).data();
    let traces = || case.app.number("SELECT count(*) FROM audit") + case.app.number("SELECT count(*) FROM event");
    let count = traces();
    for same in [json!({}), json!({"name": ""}), json!({"name": " st "}), json!({"service_category_id": leaf})] {
        let mut body = same;
        body["id"] = id.into();
        assert_eq!(case.update(body).data(), before); // E15
    }
    assert_eq!(traces(), count);
    next_millisecond();
    let changed = case.update(json!({"id": id, "name": " new ", "service_category_id": 2})).data();
    assert_eq!((&changed["name"], &changed["service_category_id"]), (&json!("new"), &json!(2)));
    assert_eq!(changed["create_time"], before["create_time"]);
    assert_ne!(changed["last_time"], before["last_time"]);
    assert_eq!(case.get(id).data(), changed);
    case.made("st2");
    case.update(json!({"id": id, "name": " st2"})).fails_with(1_199_014).naming("name"); // E17
    for name in ["a b", "  ", &"n".repeat(257)] {
        case.update(json!({"id": id, "name": name})).fails_with(1_199_006).naming("name");
    }
    let other = case.app.estate_named("other", "10.1.0");
    let body = json!({"bk_biz_id": other.business, "name": "theirs"});
    let theirs = case.app.post("/create/proc/service_category", body).data()["id"].clone();
    for category in [theirs, json!(99_999), json!(-1)] {
        case.update(json!({"id": id, "service_category_id": category}))
            .fails_with(1_199_006)
            .naming("service_category_id"); // E14
    }
    // E10: what was a leaf is none any more; who uses it already goes on.
    case.update(json!({"id": id, "service_category_id": leaf})).data();
    case.category("below", leaf);
    case.update(json!({"id": id, "service_category_id": leaf})).fails_with(1_113_032).naming("leaf");
    case.update(json!({"id": id, "name": "still"})).data();
    case.update(json!({"id": 99_999, "name": "a b"})).fails_with(1_199_019);
    case.update(json!({"id": 0})).fails_with(1_199_019);
}

/// templates E16, invariant 11, and what the modules leave behind
#[test]
fn modules_follow_at_once() {
    let case = Case::new();
    let (first, second) = (case.set("first"), case.set("second"));
    let id = case.made("st");
    case.module(first, "plain");
    case.update(json!({"id": id, "name": "plain"})).data(); // E16: nothing is bound
    case.update(json!({"id": id, "name": "st"})).data();
    let bound = [case.module(first, "st"), case.module(second, "st")];
    for module in bound {
        case.app.bind(module, id);
    }
    case.update(json!({"id": id, "name": "plain"})).fails_with(1_199_014).naming("name"); // E16
    // A module of another template stands in the way too.
    let other = case.made("other");
    let theirs = case.module(second, "other");
    case.app.bind(theirs, other);
    case.update(json!({"id": other, "name": "away"})).data();
    assert_eq!(case.module_row(theirs)["bk_module_name"], "away");
    case.made("free");
    case.update(json!({"id": id, "name": "free"})).fails_with(1_199_014);
    let before = bound.map(|module| case.module_row(module));
    let (audits, events) =
        ("SELECT count(*) FROM audit", "SELECT count(*) FROM event WHERE kind = 6 AND operation = 2");
    let counts = || [case.app.number(audits), case.app.number(events)];
    let [audits_before, events_before] = counts();
    next_millisecond();
    case.update(json!({"id": id, "name": "new", "service_category_id": 4})).data();
    assert_eq!(counts(), [audits_before + 3, events_before + 2]);
    for (module, before) in bound.into_iter().zip(before) {
        let after = case.module_row(module);
        assert_eq!((&after["bk_module_name"], &after["service_category_id"]), (&json!("new"), &json!(4)));
        assert_ne!(after["last_time"], before["last_time"]);
        assert_eq!(after["bk_updated_by"], "ops");
        assert_eq!(after["operator"], before["operator"]);
        let found = case.app.post(
            &format!("/findmany/module/biz/{}", case.estate.business),
            json!({"condition": {"bk_module_name": "new", "bk_module_id": module}}),
        );
        assert_eq!(found.data()["info"], json!([after]));
    }
    let details = case.app.documents(
        "SELECT detail FROM audit WHERE resource_type = 'module' AND action = 'update' ORDER BY id DESC LIMIT 1",
    );
    assert_eq!(details[0]["details"]["update_fields"], json!({"bk_module_name": "new", "service_category_id": 4}));
    assert_eq!((&details[0]["details"]["cur_data"], &details[0]["bk_obj_id"]), (&Value::Null, &json!("module")));
    // The category alone.
    case.update(json!({"id": id, "service_category_id": 5})).data();
    assert_eq!(case.module_row(bound[1])["service_category_id"], 5);
    assert_eq!(counts()[1], events_before + 4);
}

/// templates E23, E24
#[test]
fn templates_are_listed() {
    let case = Case::new();
    let root = case.category("root", 0);
    let leaf = case.category("leaf", root);
    let deep = case.category("deep", leaf);
    let ids: Vec<_> = ["Alpha", "beta+1", "beta", "gamma"].map(|name| case.made(name)).into();
    case.create(json!({"name": "rooted", "service_category_id": deep})).data();
    let all = ["rooted", "gamma", "beta", "beta+1", "Alpha"];
    assert_eq!(case.names(json!({"page": {"start": 0, "limit": 1000}})), all);
    assert_eq!(case.names(json!({"page": {"limit": 999_999_999}})), all);
    // Installers send no page.
    assert_eq!(case.names(json!({})), all);
    for page in [json!({"limit": 1001}), json!({"limit": 0}), json!({}), json!({"start": -1, "limit": 10})] {
        case.list(json!({"page": page})).fails_with(1_199_059).naming("page"); // E23
    }
    let part = case.list(json!({"page": {"start": 1, "limit": 2}})).data();
    assert_eq!((&part["count"], part["info"].as_array().unwrap().len()), (&json!(5), 2));
    assert_eq!(case.names(json!({"page": {"start": 1, "limit": 2}})), all[1..3]);
    assert_eq!(case.names(json!({"page": {"start": 1, "limit": 2, "sort": "name"}})), ["beta", "beta+1"]);
    assert_eq!(case.names(json!({"page": {"limit": 2, "sort": "id"}})), ["Alpha", "beta+1"]);
    assert_eq!(case.names(json!({"search": "BETA"})), ["beta", "beta+1"]);
    assert_eq!(case.names(json!({"search": "a+"})), ["beta+1"]); // defect 37
    assert_eq!(case.names(json!({"search": "."})), [""; 0]);
    assert_eq!(case.names(json!({"search": "beta", "is_exact": true})), ["beta"]);
    assert_eq!(case.names(json!({"search": "Beta", "is_exact": true})), [""; 0]);
    assert_eq!(case.names(json!({"service_template_ids": [ids[3], ids[0], 99_999]})), ["gamma", "Alpha"]);
    let counted = case.list(json!({"search": "a", "page": {"start": 0, "limit": 1}})).data();
    assert_eq!((&counted["count"], counted["info"].as_array().unwrap().len()), (&json!(4), 1));
    // E24: with the categories below it; and a business has to be named.
    for category in [root, leaf, deep] {
        assert_eq!(case.names(json!({"service_category_id": category})), ["rooted"]);
    }
    assert_eq!(case.names(json!({"service_category_id": 1})).len(), 4);
    assert_eq!(case.names(json!({"service_category_id": 77_777})), [""; 0]);
    for business in [0, -1] {
        case.list(json!({"bk_biz_id": business})).fails_with(1_199_006).naming("bk_biz_id");
    }
    assert_eq!(case.names(json!({"bk_biz_id": 99_999})), [""; 0]);
    let other = case.app.estate_named("other", "10.1.0");
    assert_eq!(case.names(json!({"bk_biz_id": other.business, "service_template_ids": ids})), [""; 0]);
}

#[test]
fn more_than_one_answer_holds_needs_a_page() {
    let app = TestApp::with().settings(|settings| {
        settings.dev = true;
        settings.limits.unpaged_rows = 2;
    });
    let case = Case { app: app.start(), estate: Estate { business: 2, set: 2, module: 0, hosts: Vec::new() } };
    for name in ["a", "b", "c"] {
        case.made(name);
    }
    for body in [json!({}), json!({"page": {"limit": 999_999_999}}), json!({"page": {"limit": 1000, "sort": "name"}})] {
        case.list(body).fails_with(1_199_059).naming("page");
    }
    case.list(json!({"page": {"limit": 2}})).data();
    assert_eq!(case.names(json!({"search": "a"})), ["a"]);
}

#[test]
fn templates_are_found_by_their_ids() {
    let case = Case::new();
    let id = case.made("st");
    case.get(99_999).fails_with(1_199_019).naming("service_template_id");
    for path in ["abc", "abc/detail", "1.5"] {
        let answer = case.app.native("GET", &format!("/find/proc/service_template/{path}"), "");
        answer.fails_with(1_199_006).naming("service_template_id");
    }
    // Both kinds of client: POST with a body, GET with a query; bscp sends a body with GET.
    let body = json!({"bk_biz_id": case.estate.business, "service_template_id": id});
    assert_eq!(case.app.esb("get_service_template", body).data()["name"], "st");
    let gateway = case.app.gateway("GET", &format!("/find/proc/service_template/{id}"), r#"{"bk_biz_id":99}"#);
    assert_eq!(gateway.data()["name"], "st");
    let other = case.app.estate_named("other", "10.1.0");
    let body = json!({"bk_biz_id": other.business, "service_template_id": id});
    case.app.esb("get_service_template", body).fails_with(1_199_019);
}

/// templates E25, E27, defect 21
#[test]
fn what_is_followed_stays() {
    let case = Case::new();
    let (id, unused) = (case.made("st"), case.made("unused"));
    case.delete(99_999).fails_with(1_108_030).naming("99999");
    case.app.bind(case.estate.module, id);
    case.delete(id).fails_with(1_108_030).naming("st").naming("modules");
    case.app.process_templates(&case.estate, id, vec![named("p")]);
    let instance = case.app.instance(&case.estate, process("ignored"));
    case.delete(id).fails_with(1_108_030).naming("modules").naming("service instances");
    let detail = case.app.native("GET", &format!("/find/proc/service_template/{id}/detail"), "").data();
    assert_eq!((&detail["service_instance_count"], &detail["process_instance_count"]), (&json!(1), &json!(1)));
    let count = |ids: Value| {
        let path = format!("/findmany/proc/service_template/count_info/biz/{}", case.estate.business);
        case.app.post(&path, json!({"service_template_ids": ids}))
    };
    let row = |id: i64, count: i64| {
        json!({"service_template_id": id, "process_template_count": count, "service_instance_count": count,
            "module_count": count})
    };
    let counted = count(json!([unused, id, 99_999, id])).data();
    assert_eq!(counted, json!([row(unused, 0), row(id, 1), row(99_999, 0), row(id, 1)]));
    for ids in [json!([]), Value::Null, json!((0..501).collect::<Vec<_>>())] {
        count(ids).fails_with(1_199_089).naming("service_template_ids"); // E27
    }
    count(json!((0..500).collect::<Vec<_>>())).data();
    let path = "/findmany/proc/service_template/count_info/biz/abc";
    case.app.post(path, json!({"service_template_ids": [1]})).fails_with(1_199_011).naming("bk_biz_id");
    let elsewhere =
        case.app.post("/findmany/proc/service_template/count_info/biz/2", json!({"service_template_ids": [id]}));
    assert_eq!(elsewhere.data(), json!([row(id, 0)]));
    let body = json!({"bk_biz_id": case.estate.business, "service_instance_ids": [instance]});
    case.app.native("DELETE", "/deletemany/proc/service_instance", body).data();
    assert_eq!(case.delete(unused).data(), Value::Null);
    case.delete(unused).fails_with(1_108_030);
    case.get(unused).fails_with(1_199_019);
    // Its name is free again.
    case.made("unused");
}

#[test]
fn changes_leave_entries_and_events() {
    let case = Case::new();
    let id = case.made("st");
    let first = case.get(id).data();
    let second = case.update(json!({"id": id, "service_category_id": 4})).data();
    case.delete(id).data();
    let details = |before: &Value, after: &Value, fields: Value| json!({"details": {"pre_data": before, "cur_data": after, "update_fields": fields}});
    assert_eq!(
        case.app.documents("SELECT detail FROM audit WHERE resource_type = 'service_template' ORDER BY id"),
        [
            details(&Value::Null, &first, Value::Null),
            details(&first, &Value::Null, json!({"service_category_id": 4})),
            details(&second, &Value::Null, Value::Null),
        ]
    );
    let states =
        "SELECT '[' || coalesce(before_state, 'null') || ',' || coalesce(after_state, 'null') || ']' FROM event
        WHERE kind = 111 ORDER BY id";
    assert_eq!(case.app.documents(states), [json!([null, first]), json!([first, second]), json!([second, null])]);
}

/// What the caller has no right on looks as if it were not there, and what is another business's too.
#[test]
fn rights_are_asked_for() {
    let app = TestApp::with().administrator("root").settings(|settings| settings.protect_reads = true).start();
    for (name, user) in [("b3", "ann"), ("b4", "tom")] {
        let made = app.native_as("root", "POST", "/biz/0", json!({"bk_biz_name": name, "bk_biz_maintainer": "ops"}));
        let business = made.data()["bk_biz_id"].as_i64();
        for action in [
            Action::CreateServiceTemplate,
            Action::EditServiceTemplate,
            Action::DeleteServiceTemplate,
            Action::CreateServiceCategory,
            Action::FindBusinessResource,
        ] {
            app.grant(user, action, business);
        }
    }
    let call = |user: &str, method: &str, verb: &str, body: Value| {
        app.native_as(user, method, &format!("/{verb}/proc/service_template"), body)
    };
    let category = json!({"bk_biz_id": 3, "name": "theirs"});
    let category =
        app.native_as("ann", "POST", "/create/proc/service_category", category).data()["id"].as_i64().unwrap();
    let made = call("ann", "POST", "create", json!({"bk_biz_id": 3, "name": "st", "service_category_id": 2}));
    let id = made.data()["id"].as_i64().unwrap();
    for business in [3, 99_999] {
        call("tom", "POST", "create", json!({"bk_biz_id": business, "name": ""})).fails_with(9_900_403);
        call("tom", "PUT", "update", json!({"bk_biz_id": business, "id": id})).fails_with(9_900_403);
        call("tom", "DELETE", "delete", json!({"bk_biz_id": business, "service_template_id": id}))
            .fails_with(9_900_403);
        call("tom", "POST", "findmany", json!({"bk_biz_id": business})).fails_with(9_900_403);
        let count = format!("/findmany/proc/service_template/count_info/biz/{business}");
        app.native_as("tom", "POST", &count, json!({"service_template_ids": [id]})).fails_with(9_900_403);
        let body = json!({"bk_biz_id": business, "service_template_id": id});
        app.esb_as("tom", "get_service_template", body).fails_with(9_900_403);
    }
    let kinds = call("tom", "PUT", "update", json!({"bk_biz_id": 3, "id": id})).json();
    assert_eq!(kinds["permission"]["actions"][0]["related_resource_types"][0]["type"], "biz_process_service_template");
    let same = |code: i64, ask: &dyn Fn(i64) -> Answer, hidden: i64| {
        let words = |id: i64| ask(id).fails_with(code).message().replace(&id.to_string(), "");
        assert_eq!(words(hidden), words(99_999));
    };
    for business in [json!(4), Value::Null] {
        same(1_199_019, &|id| call("tom", "PUT", "update", json!({"bk_biz_id": business, "id": id})), id);
        let delete =
            |id: i64| call("tom", "DELETE", "delete", json!({"bk_biz_id": business, "service_template_id": id}));
        same(1_108_030, &delete, id);
    }
    let get = |tail: &'static str| {
        let app = &app;
        move |id: i64| app.native_as("tom", "GET", &format!("/find/proc/service_template/{id}{tail}"), "")
    };
    same(1_199_019, &get(""), id);
    same(1_199_019, &get("/detail"), id);
    // A category of a business that the caller knows nothing of is as one that is not there.
    let create = |category: i64| {
        call("tom", "POST", "create", json!({"bk_biz_id": 4, "name": "x", "service_category_id": category}))
    };
    same(1_199_006, &create, category);
    call("root", "PUT", "update", json!({"bk_biz_id": 4, "id": id})).fails_with(1_199_019);
    call("tom", "PUT", "update", json!({"bk_biz_id": 0, "id": id})).fails_with(1_199_006).naming("bk_biz_id");
    // Without a business it is that of the template.
    call("ann", "PUT", "update", json!({"id": id, "name": "new"})).data();
    assert_eq!(app.native_as("ann", "GET", &format!("/find/proc/service_template/{id}"), "").data()["name"], "new");
    call("ann", "DELETE", "delete", json!({"service_template_id": id})).data();
}

#[test]
fn every_door_leads_to_them() {
    let case = Case::new();
    let business = case.estate.business;
    let body = json!({"bk_biz_id": business, "name": "a", "service_category_id": 2});
    let id = case.app.esb("create_service_template", body).data()["id"].as_i64().unwrap();
    let body = json!({"bk_biz_id": business, "id": id, "name": "b"});
    assert_eq!(case.app.gateway("PUT", "/update/proc/service_template", body.clone()).data()["name"], "b");
    assert_eq!(case.app.esb("update_service_template", body).data()["name"], "b");
    let detail = case.app.gateway("GET", &format!("/find/proc/service_template/{id}/detail"), "");
    assert_eq!(detail.data()["template"]["id"], id);
    let counted = format!("/findmany/proc/service_template/count_info/biz/{business}");
    let counted = case.app.gateway("POST", &counted, json!({"service_template_ids": [id]}));
    assert_eq!(counted.data()[0]["module_count"], 0);
    let body = json!({"bk_biz_id": business, "page": {"start": 0, "limit": 500, "return_total": true}});
    assert_eq!(case.app.esb("list_service_template", body).data()["count"], 1);
    let body = json!({"bk_biz_id": business, "service_template_id": id});
    assert_eq!(case.app.esb("delete_service_template", body).data(), Value::Null);
}

/// Random calls about categories, templates and the modules that follow these, compared with a model in memory. Invariants 11, 18
/// and 25 of `templates`.
mod model {
    use super::*;
    use proptest::prelude::*;
    use proptest::sample::Index;
    use proptest::test_runner::{Config, TestRunner};
    use rollcall_store::{StoreError, check};
    use std::collections::BTreeMap;

    const NAMES: [&str; 5] = ["a", "b", "c", "Nginx", "数据库"];

    /// A call; what it is about is chosen among what is there then.
    #[derive(Debug, Clone)]
    enum Call {
        CreateCategory {
            name: usize,
            parent: Index,
        },
        RenameCategory {
            category: Index,
            name: usize,
        },
        DeleteCategory {
            category: Index,
        },
        CreateTemplate {
            name: usize,
            category: Index,
        },
        UpdateTemplate {
            template: Index,
            name: Option<usize>,
            category: Option<Index>,
        },
        DeleteTemplate {
            template: Index,
        },
        /// A module that follows a template, in the first or the second set.
        Follow {
            template: Index,
            set: usize,
        },
        PlainModule {
            name: usize,
            set: usize,
        },
    }

    fn call() -> impl Strategy<Value = Call> {
        let name = || 0..NAMES.len();
        let index = any::<Index>;
        prop_oneof![
            3 => (name(), index()).prop_map(|(name, parent)| Call::CreateCategory { name, parent }),
            1 => (index(), name()).prop_map(|(category, name)| Call::RenameCategory { category, name }),
            2 => index().prop_map(|category| Call::DeleteCategory { category }),
            3 => (name(), index()).prop_map(|(name, category)| Call::CreateTemplate { name, category }),
            3 => (index(), proptest::option::of(name()), proptest::option::of(index()))
                .prop_map(|(template, name, category)| Call::UpdateTemplate { template, name, category }),
            1 => index().prop_map(|template| Call::DeleteTemplate { template }),
            3 => (index(), 0..2_usize).prop_map(|(template, set)| Call::Follow { template, set }),
            1 => (name(), 0..2_usize).prop_map(|(name, set)| Call::PlainModule { name, set }),
        ]
    }

    #[derive(Debug, Clone, PartialEq)]
    struct Category {
        parent: i64,
        root: i64,
        name: String,
    }

    #[derive(Debug, Clone, PartialEq)]
    struct Template {
        name: String,
        category: i64,
    }

    #[derive(Debug, Clone, PartialEq)]
    struct Module {
        set: i64,
        name: String,
        category: i64,
        /// 0: it follows none.
        template: i64,
    }

    /// What a business should have: its own categories, templates and modules, beside the shared categories.
    struct World<'a> {
        case: &'a Case,
        sets: [i64; 2],
        shared: BTreeMap<i64, Category>,
        categories: BTreeMap<i64, Category>,
        templates: BTreeMap<i64, Template>,
        modules: BTreeMap<i64, Module>,
    }

    impl<'a> World<'a> {
        fn new(case: &'a Case) -> Self {
            let sets = ["one", "two"].map(|name| case.set(name));
            let mut world = Self {
                case,
                sets,
                shared: BTreeMap::new(),
                categories: BTreeMap::new(),
                templates: BTreeMap::new(),
                modules: BTreeMap::new(),
            };
            world.shared = world.stored_categories(0);
            world
        }

        fn all_categories(&self) -> BTreeMap<i64, Category> {
            self.shared.clone().into_iter().chain(self.categories.clone()).collect()
        }

        /// An own category or one of a few shared ones.
        fn any_category(&self, index: &Index) -> i64 {
            let few = [1, 2, 14, 15];
            let ids: Vec<_> = few.into_iter().chain(self.categories.keys().copied()).collect();
            *index.get(&ids)
        }

        fn is_leaf(&self, id: i64) -> bool {
            self.all_categories().values().all(|category| category.parent != id)
        }

        fn is_used(&self, id: i64) -> bool {
            self.templates.values().any(|template| template.category == id)
                || self.modules.values().any(|module| module.category == id)
        }

        /// Makes the call, and checks that the answer is what the model says.
        fn step(&mut self, call: &Call) {
            match call {
                Call::CreateCategory { name, parent } => self.create_category(NAMES[*name], parent),
                Call::RenameCategory { category, name } => self.rename_category(category, NAMES[*name]),
                Call::DeleteCategory { category } => self.delete_category(category),
                Call::CreateTemplate { name, category } => self.create_template(NAMES[*name], category),
                Call::UpdateTemplate { template, name, category } => {
                    self.update_template(template, name.map(|name| NAMES[name]), category.as_ref());
                }
                Call::DeleteTemplate { template } => self.delete_template(template),
                Call::Follow { template, set } => self.follow(template, self.sets[*set]),
                Call::PlainModule { name, set } => self.plain_module(NAMES[*name], self.sets[*set]),
            }
        }

        fn create_category(&mut self, name: &str, parent: &Index) {
            let ids: Vec<_> = [0, 3, 14].into_iter().chain(self.categories.keys().copied()).collect();
            let parent = *parent.get(&ids);
            let all = self.all_categories();
            let taken = all.values().any(|other| other.name == name && (other.parent == 0) == (parent == 0));
            let body = self.case.with_business(json!({"name": name, "bk_parent_id": parent}));
            let answer = self.case.app.post("/create/proc/service_category", body);
            if taken {
                answer.fails_with(1_113_017);
                return;
            }
            let id = answer.data()["id"].as_i64().unwrap();
            let root = if parent == 0 { id } else { all[&parent].root };
            self.categories.insert(id, Category { parent, root, name: name.into() });
        }

        fn rename_category(&mut self, category: &Index, name: &str) {
            let id = self.any_category(category);
            let all = self.all_categories();
            let parent = all[&id].parent;
            let taken = all.iter().any(|(other, row)| *other != id && row.name == name && row.parent == parent);
            let body = self.case.with_business(json!({"id": id, "name": name}));
            let answer = self.case.app.native("PUT", "/update/proc/service_category", body);
            match self.categories.get_mut(&id) {
                None => {
                    answer.fails_with(1_199_054);
                }
                Some(_) if taken => {
                    answer.fails_with(1_113_017);
                }
                Some(row) => {
                    answer.data();
                    row.name = name.into();
                }
            }
        }

        /// Invariant 18.
        fn delete_category(&mut self, category: &Index) {
            let ids: Vec<_> = self.categories.keys().copied().chain([2]).collect();
            let id = *category.get(&ids);
            let body = self.case.with_business(json!({"id": id}));
            let answer = self.case.app.native("DELETE", "/delete/proc/service_category", body);
            if !self.is_leaf(id) {
                answer.fails_with(1_199_055);
            } else if self.is_used(id) || id == 2 {
                answer.fails_with(1_199_056);
            } else {
                answer.data();
                self.categories.remove(&id);
            }
        }

        fn create_template(&mut self, name: &str, category: &Index) {
            let category = self.any_category(category);
            let answer = self.case.create(json!({"name": name, "service_category_id": category}));
            if !self.is_leaf(category) {
                answer.fails_with(1_113_032);
            } else if self.templates.values().any(|other| other.name == name) {
                answer.fails_with(1_199_014);
            } else {
                let id = answer.data()["id"].as_i64().unwrap();
                self.templates.insert(id, Template { name: name.into(), category });
            }
        }

        fn update_template(&mut self, template: &Index, name: Option<&str>, category: Option<&Index>) {
            let Some(id) = self.any_template(template) else { return };
            let category = category.map_or(0, |category| self.any_category(category));
            let answer =
                self.case.update(json!({"id": id, "name": name.unwrap_or_default(), "service_category_id": category}));
            let now = self.templates[&id].clone();
            let name = name.unwrap_or(&now.name);
            let sets: Vec<_> = self.modules.values().filter(|it| it.template == id).map(|it| it.set).collect();
            let beside = |module: &Module| module.template != id && sets.contains(&module.set) && module.name == name;
            let taken = self.templates.iter().any(|(other, row)| *other != id && row.name == name)
                || (name != now.name && self.modules.values().any(beside));
            if category != 0 && !self.is_leaf(category) {
                answer.fails_with(1_113_032);
            } else if taken {
                answer.fails_with(1_199_014);
            } else {
                answer.data();
                let category = if category == 0 { now.category } else { category };
                self.templates.insert(id, Template { name: name.into(), category });
                for module in self.modules.values_mut().filter(|module| module.template == id) {
                    (module.name, module.category) = (name.into(), category);
                }
            }
        }

        /// Invariant 18.
        fn delete_template(&mut self, template: &Index) {
            let Some(id) = self.any_template(template) else { return };
            let answer = self.case.delete(id);
            if self.modules.values().any(|module| module.template == id) {
                answer.fails_with(1_108_030);
            } else {
                answer.data();
                self.templates.remove(&id);
            }
        }

        fn any_template(&self, index: &Index) -> Option<i64> {
            let ids: Vec<_> = self.templates.keys().copied().collect();
            if ids.is_empty() { None } else { Some(*index.get(&ids)) }
        }

        fn follow(&mut self, template: &Index, set: i64) {
            let Some(id) = self.any_template(template) else { return };
            let Template { name, category } = self.templates[&id].clone();
            if let Some(module) = self.make_module(&name, set) {
                self.case.app.bind(module, id);
                self.modules.insert(module, Module { set, name, category, template: id });
            }
        }

        fn plain_module(&mut self, name: &str, set: i64) {
            if let Some(module) = self.make_module(name, set) {
                self.modules.insert(module, Module { set, name: name.into(), category: 2, template: 0 });
            }
        }

        fn make_module(&self, name: &str, set: i64) -> Option<i64> {
            let is_free = !self.modules.values().any(|module| module.set == set && module.name == name);
            is_free.then(|| self.case.module(set, name))
        }

        fn stored_categories(&self, business: i64) -> BTreeMap<i64, Category> {
            let body = self.case.with_business(json!({}));
            let listed = self.case.app.post("/findmany/proc/service_category", body).data();
            let rows = listed["info"].as_array().unwrap().iter().filter(|row| row["bk_biz_id"] == business);
            let number = |value: &Value| value.as_i64().unwrap();
            rows.map(|row| {
                let (parent, root) = (number(&row["bk_parent_id"]), number(&row["bk_root_id"]));
                // Names of the shared ones are shown in another language.
                let name = match (number(&row["id"]), row["name"].as_str().unwrap()) {
                    (3, _) => "数据库",
                    (_, name) => name,
                };
                (number(&row["id"]), Category { parent, root, name: name.into() })
            })
            .collect()
        }

        /// Everything is as the model says, and invariants 11 and 25 hold.
        fn compare(&self) {
            assert_eq!(self.stored_categories(self.case.estate.business), self.categories);
            assert_eq!(self.stored_categories(0), self.shared);
            let all = self.all_categories();
            for (id, category) in &self.categories {
                let root = if category.parent == 0 { *id } else { all[&category.parent].root };
                assert_eq!(category.root, root, "invariant 25: {id}");
            }
            let listed = self.case.list(json!({"page": {"limit": 1000}})).data();
            let templates: BTreeMap<_, _> = listed["info"].as_array().unwrap().iter().map(template_of).collect();
            assert_eq!(templates, self.templates);
            let path = format!("/findmany/module/biz/{}", self.case.estate.business);
            let condition = json!({"bk_set_id": {"$in": self.sets}});
            let listed = self.case.app.post(&path, json!({"condition": condition})).data();
            let modules: BTreeMap<_, _> = listed["info"].as_array().unwrap().iter().map(module_of).collect();
            assert_eq!(modules, self.modules);
            for module in modules.values().filter(|module| module.template != 0) {
                let template = &templates[&module.template];
                assert_eq!((&module.name, module.category), (&template.name, template.category), "invariant 11");
            }
        }
    }

    fn template_of(row: &Value) -> (i64, Template) {
        let number = |field: &str| row[field].as_i64().unwrap();
        let name = row["name"].as_str().unwrap().to_owned();
        (number("id"), Template { name, category: number("service_category_id") })
    }

    fn module_of(row: &Value) -> (i64, Module) {
        let number = |field: &str| row[field].as_i64().unwrap();
        let name = row["bk_module_name"].as_str().unwrap().to_owned();
        let (set, category) = (number("bk_set_id"), number("service_category_id"));
        (number("bk_module_id"), Module { set, name, category, template: number("service_template_id") })
    }

    #[test]
    fn any_sequence_of_calls_does_what_the_model_does() {
        let mut case = Case::new();
        let businesses = std::cell::Cell::new(0);
        let config = Config { cases: 20, failure_persistence: None, ..Config::default() };
        let mut runner = TestRunner::new(config);
        let case_cell = std::cell::RefCell::new(&mut case);
        let ran = runner.run(&proptest::collection::vec(call(), 1..40), |calls| {
            let mut case = case_cell.borrow_mut();
            businesses.set(businesses.get() + 1);
            let name = format!("business {}", businesses.get());
            let made = case.app.post("/biz/0", json!({"bk_biz_name": name, "bk_biz_maintainer": "ops"})).data();
            case.estate.business = made["bk_biz_id"].as_i64().unwrap();
            let mut world = World::new(&case);
            for call in &calls {
                world.step(call);
                world.compare();
            }
            Ok(())
        });
        ran.unwrap();
        let found = case.app.store.read::<_, StoreError>(true, |tx| check::run(tx, &mut |_| {}));
        assert_eq!(found.unwrap(), []);
    }
}
