//! Sets that follow set templates: create_set with a template, and how far sets are from their templates (`templates` 13: T11, T12,
//! T17 to T19), the edge cases 89 and 93, and 11 of `topology`.

#![expect(clippy::unwrap_used, reason = "a test ends with its first error")]

mod support;

use rollcall_app::access::Action;
use serde_json::{Value, json};
use support::{Answer, Estate, TestApp, named, process};

/// A business with three service templates and a set template that lists two of them.
struct Case {
    app: TestApp,
    estate: Estate,
    services: Vec<i64>,
    template: i64,
}

impl Case {
    fn new() -> Self {
        let app = TestApp::new();
        let estate = app.estate();
        let services = ["a", "b", "c"].map(|name| app.service_template(&estate, name)).to_vec();
        let template = app.set_template(&estate, "kit", &services[..2]);
        Self { app, estate, services, template }
    }

    fn create(&self, more: Value) -> Answer {
        let business = self.estate.business;
        let mut set = json!({"bk_set_name": "s", "bk_parent_id": business, "set_template_id": self.template});
        set.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.app.post(&format!("/set/{business}"), set)
    }

    fn set(&self, name: &str) -> i64 {
        self.app.set_of(&self.estate, name, self.template)
    }

    /// The modules of a set, by their names.
    fn modules(&self, set: i64) -> Vec<Value> {
        let body = json!({"page": {"sort": "bk_module_name"}});
        let found = self.app.post(&format!("/module/search/0/{}/{set}", self.estate.business), body).data();
        found["info"].as_array().unwrap().clone()
    }

    /// Makes the template list these, and fix these values.
    fn change(&self, services: &[i64], attributes: &Value) {
        let body = json!({"bk_biz_id": self.estate.business, "id": self.template, "service_template_ids": services,
            "attributes": attributes});
        self.app.native("PUT", "/update/topo/set_template/all_info", body).data();
    }

    fn fixed(&self, attribute: &str, value: Value) -> Value {
        json!({"bk_attribute_id": self.app.set_attribute(attribute), "bk_property_value": value})
    }

    fn ask(&self, tail: &str, body: Value) -> Answer {
        let business = self.estate.business;
        let path = format!("/findmany/topo/set_template/{}/bk_biz_id/{business}/{tail}", self.template);
        self.app.post(&path, body)
    }

    fn compare(&self, set: i64) -> Value {
        self.ask("diff_with_instances", json!({ "bk_set_id": set })).data()
    }

    /// Which kind of step each module of a set would see, with its name.
    fn steps(&self, set: i64) -> Vec<(String, String)> {
        let difference = self.compare(set)["difference"].clone();
        let text = |row: &Value, field: &str| row[field].as_str().unwrap().to_owned();
        let rows = difference["module_diffs"].as_array().unwrap().iter();
        rows.map(|row| (text(row, "diff_type"), text(row, "bk_module_name"))).collect()
    }

    fn status(&self) -> Value {
        let business = self.estate.business;
        let path = format!("/findmany/topo/set_template/{}/bk_biz_id/{business}/set_template_status", self.template);
        let one = self.app.native("GET", &path, "").data();
        let many = format!("/findmany/topo/set_template/bk_biz_id/{business}/set_template_status");
        let many = self.app.post(&many, json!({"set_template_ids": [self.template]})).data();
        assert_eq!(many, json!([one]));
        one
    }

    fn transfer(&self, host: i64, module: &Value) {
        let body = json!({"bk_biz_id": self.estate.business, "bk_host_id": [host], "bk_module_id": [module],
            "is_increment": true});
        self.app.post("/hosts/modules", body).data();
    }
}

/// topology E11, and what belongs to the modules of the set
#[test]
fn a_set_gets_the_modules_of_its_template() {
    let case = Case::new();
    let [a, b, _] = case.services[..] else { panic!("three service templates") };
    let operator = case.app.post("/find/objectattr", json!({"bk_obj_id": "module"})).data();
    let operator = operator.as_array().unwrap().iter().find(|row| row["bk_property_id"] == "operator").unwrap();
    let fixed = json!([{"bk_attribute_id": operator["id"], "bk_property_value": "ann"}]);
    case.app.fix_attributes(case.estate.business, a, &fixed);
    let values = json!([case.fixed("bk_capacity", json!(7)), case.fixed("bk_set_env", json!("2"))]);
    case.change(&[a, b], &values);
    let made = case.create(json!({"bk_capacity": "no number", "bk_set_env": "1", "bk_set_desc": "own"})).data();
    let set = made["bk_set_id"].as_i64().unwrap();
    let told = ["set_template_id", "bk_capacity", "bk_set_env", "bk_set_desc"].map(|field| made[field].clone());
    assert_eq!(told, [json!(case.template), json!(7), json!("2"), json!("own")]);
    let modules = case.modules(set);
    let facts = |module: &Value| {
        ["bk_module_name", "service_template_id", "set_template_id", "service_category_id", "operator", "default"]
            .map(|field| module[field].clone())
    };
    assert_eq!(
        modules.iter().map(facts).collect::<Vec<_>>(),
        [
            [json!("a"), json!(a), json!(case.template), json!(2), json!("ann"), json!(0)],
            [json!("b"), json!(b), json!(case.template), json!(2), Value::Null, json!(0)],
        ]
    );
    let module = json!({"bk_module_name": "more", "bk_parent_id": set});
    case.app.post(&format!("/module/{}/{set}", case.estate.business), module).fails_with(1_101_097);
    let of_service = json!({"bk_parent_id": set, "service_template_id": case.services[2]});
    case.app.post(&format!("/module/{}/{set}", case.estate.business), of_service).fails_with(1_101_097);
    // One request, so one entry and one event for each record.
    let entries = "SELECT count(*) FROM audit WHERE resource_type IN ('set', 'module') AND action = 'create'
        AND request_id = (SELECT request_id FROM audit WHERE resource_type = 'set' ORDER BY id DESC LIMIT 1)";
    assert_eq!(case.app.number(entries), 3);
    assert_eq!(case.steps(set), [("unchanged".into(), "a".into()), ("unchanged".into(), "b".into())]);
    assert!(!case.compare(set)["difference"]["need_sync"].as_bool().unwrap());
    case.app.check();
}

#[test]
fn what_a_set_of_a_template_needs() {
    let case = Case::new();
    let count = || case.app.number("SELECT (SELECT count(*) FROM topology_set) * 1000 + (SELECT count(*) FROM module)");
    let before = count();
    for template in [99_999, -1] {
        case.create(json!({"set_template_id": template})).fails_with(1_199_019).naming("set_template_id");
    }
    case.create(json!({"set_template_id": "x"})).fails_with(1_199_006).naming("set_template_id");
    case.create(json!({"bk_set_name": "a b"})).fails_with(1_199_006).naming("bk_set_name");
    case.create(json!({"bk_set_name": "set"})).fails_with(1_101_108);
    case.create(json!({"bk_parent_id": 0})).fails_with(1_199_006).naming("bk_parent_id");
    let other = case.app.estate_named("other", "10.1.0");
    let foreign = json!({"bk_set_name": "s", "bk_parent_id": other.business, "set_template_id": case.template});
    case.app.post(&format!("/set/{}", other.business), foreign).fails_with(1_199_019);
    case.change(&[], &json!([]));
    let empty = case.create(json!({})).data()["bk_set_id"].as_i64().unwrap();
    assert_eq!(case.modules(empty), [] as [Value; 0]);
    assert_eq!(count() - before, 3_000 + 4); // the sets of the other business, and its modules
    // A `default` lets the template go unread.
    let built_in = case.create(json!({"bk_set_name": "t", "default": 1, "set_template_id": 99_999})).data();
    assert_eq!((&built_in["default"], &built_in["set_template_id"]), (&json!(0), &json!(0)));
    case.app.check();
}

/// templates T12
#[test]
fn the_difference_of_a_set_is_told() {
    let case = Case::new();
    let [a, b, c] = case.services[..] else { panic!("three service templates") };
    let set = case.set("s");
    let modules = case.modules(set);
    case.transfer(case.estate.hosts[0], &modules[0]["bk_module_id"]);
    case.transfer(case.estate.hosts[1], &modules[0]["bk_module_id"]);
    case.change(&[b, c], &json!([case.fixed("bk_capacity", json!(7))]));
    let told = case.compare(set);
    let row = |module: &Value, name: &str, service: i64, listed: &str, kind: &str| {
        json!({"bk_module_id": module, "bk_module_name": name, "service_template_id": service,
            "service_template_name": listed, "diff_type": kind})
    };
    assert_eq!(
        told["difference"]["module_diffs"],
        json!([
            row(&modules[0]["bk_module_id"], "a", a, "", "remove"),
            row(&modules[1]["bk_module_id"], "b", b, "b", "unchanged"),
            row(&json!(0), "c", c, "c", "add"),
        ])
    );
    let counts = json!({modules[0]["bk_module_id"].to_string(): 2, modules[1]["bk_module_id"].to_string(): 0});
    assert_eq!(told["module_host_count"], counts);
    let difference = &told["difference"];
    assert_eq!((&difference["bk_set_id"], &difference["need_sync"]), (&json!(set), &json!(true)));
    let detail = ["bk_set_id", "bk_set_name", "bk_biz_id", "set_template_id"].map(|it| &difference["set_detail"][it]);
    assert_eq!(detail, [&json!(set), &json!("s"), &json!(case.estate.business), &json!(case.template)]);
    let capacity = case.app.set_attribute("bk_capacity");
    let values = json!([{"id": capacity, "template_value": 7, "inst_value": null}]);
    assert_eq!(difference["attributes"], values);
    assert_eq!(
        difference["topo_path"],
        json!([{"bk_obj_id": "set", "bk_inst_id": set, "bk_inst_name": "s"},
            {"bk_obj_id": "biz", "bk_inst_id": case.estate.business, "bk_inst_name": "estate"}])
    );
    // A module that was let go of its service template is none of the set template's any more.
    let unbound = json!({"bk_biz_id": case.estate.business, "bk_module_id": modules[1]["bk_module_id"]});
    case.app.native("DELETE", "/delete/proc/template_binding_on_module", unbound).data();
    let kinds: Vec<_> = case.steps(set).into_iter().map(|(kind, name)| format!("{kind} {name}")).collect();
    assert_eq!(kinds, ["remove a", "remove b", "add b", "add c"]);

    case.ask("diff_with_instances", json!({})).fails_with(1_199_006).naming("bk_set_id");
    for other in [case.estate.set, 99_999] {
        case.ask("diff_with_instances", json!({ "bk_set_id": other })).fails_with(1_101_011).naming("bk_set_id");
    }
    let path = format!("/findmany/topo/set_template/{}/bk_biz_id/1/diff_with_instances", case.template);
    case.app.post(&path, json!({ "bk_set_id": set })).fails_with(1_101_011);
    let free = format!("/findmany/topo/set_template/0/bk_biz_id/{}/diff_with_instances", case.estate.business);
    case.app.post(&free, json!({"bk_set_id": case.estate.set})).fails_with(1_101_011);
}

/// A service template gives its name to its modules at once, so that a name waits for a synchronization only when something else took it
/// away.
#[test]
fn a_module_with_another_name_is_told() {
    let case = Case::new();
    let set = case.set("s");
    let body = json!({"bk_biz_id": case.estate.business, "id": case.services[0], "name": "z"});
    case.app.native("PUT", "/update/proc/service_template", body).data();
    assert_eq!(case.steps(set), [("unchanged".into(), "z".into()), ("unchanged".into(), "b".into())]);
    let renamed = case.app.store.write_blocking(move |tx| {
        tx.execute("UPDATE module SET name = 'old' WHERE set_id = $1 AND name = 'z'", &[set.into()])
    });
    assert_eq!(renamed.unwrap(), 1);
    assert_eq!(case.steps(set)[0], ("changed".into(), "old".into()));
    assert_eq!(case.compare(set)["difference"]["module_diffs"][0]["service_template_name"], "z");
}

/// templates T17, T18, E93, defect 32
#[test]
fn which_sets_need_a_synchronization() {
    let case = Case::new();
    assert_eq!(case.status(), json!({"sets": [], "set_template_id": case.template, "need_sync": false}));
    let sets = ["s", "t", "u"].map(|name| case.set(name));
    let status = |needs: [bool; 3]| {
        let sets: Vec<_> =
            sets.iter().zip(needs).map(|(set, need)| json!({"bk_set_id": set, "need_sync": need})).collect();
        json!({"sets": sets, "set_template_id": case.template, "need_sync": needs.contains(&true)})
    };
    assert_eq!(case.status(), status([false; 3]));
    // E93: a template without attributes is looked at like any other, and all its sets are.
    case.change(&case.services, &json!([]));
    assert_eq!(case.status(), status([true; 3]));
    case.change(&case.services[..1], &json!([]));
    assert_eq!(case.status(), status([true; 3]));
    case.change(&case.services[..2], &json!([]));
    assert_eq!(case.status(), status([false; 3]));
    case.change(&case.services[..2], &json!([case.fixed("bk_capacity", json!(7))]));
    assert_eq!(case.status(), status([true; 3]));
    let fourth = case.set("v");
    let told = case.status();
    assert_eq!(told["sets"][3], json!({"bk_set_id": fourth, "need_sync": false}));

    let business = case.estate.business;
    let other = case.app.set_template(&case.estate, "other", &case.services);
    let many = format!("/findmany/topo/set_template/bk_biz_id/{business}/set_template_status");
    let asked = case.app.post(&many, json!({"set_template_ids": [other, 99_999, case.template, other]})).data();
    let ids: Vec<_> = asked.as_array().unwrap().iter().map(|row| &row["set_template_id"]).collect();
    assert_eq!(ids, [&json!(other), &json!(case.template)]);
    case.app.post(&many, json!({"set_template_ids": []})).fails_with(1_199_010).naming("set_template_ids");
    let unknown = format!("/findmany/topo/set_template/99999/bk_biz_id/{business}/set_template_status");
    case.app.native("GET", &unknown, "").fails_with(1_199_019);
}

/// templates T19, E89
#[test]
fn hosts_in_the_way_are_told() {
    let case = Case::new();
    let sets = ["s", "t"].map(|name| case.set(name));
    let modules = sets.map(|set| case.modules(set));
    case.transfer(case.estate.hosts[0], &modules[0][0]["bk_module_id"]);
    case.transfer(case.estate.hosts[0], &modules[1][1]["bk_module_id"]);
    let ask = |sets: Value| case.ask("host_with_instances", json!({ "bk_set_ids": sets }));
    let told = |flags: [bool; 2]| json!([{"id": sets[0], "has_host": flags[0]}, {"id": sets[1], "has_host": flags[1]}]);
    assert_eq!(ask(json!(sets)).data(), told([false, false]));
    case.change(&case.services[1..], &json!([]));
    assert_eq!(ask(json!(sets)).data(), told([true, false])); // E89: it warns beforehand
    case.change(&[], &json!([]));
    assert_eq!(ask(json!(sets)).data(), told([true, true]));
    ask(json!([])).fails_with(1_199_010).naming("bk_set_ids");
    ask(json!([sets[0], 0])).fails_with(1_199_011).naming("bk_set_ids[1]");
    let refused = ask(json!([sets[0], case.estate.set, 99_999]));
    refused.fails_with(1_199_006).naming("bk_set_ids[1]").naming("bk_set_ids[2]");
}

/// templates T11
#[test]
fn the_sets_of_a_template_are_listed() {
    let case = Case::new();
    let sets = ["t", "s"].map(|name| case.set(name));
    let modules = case.modules(sets[0]);
    // A host in two modules of a set counts once.
    for module in &modules {
        case.transfer(case.estate.hosts[0], &module["bk_module_id"]);
    }
    let list = |body: Value| case.ask("sets/web", body).data();
    let told = list(json!({}));
    assert_eq!(told["count"], 2);
    let first = &told["info"][0];
    let facts = ["bk_set_id", "bk_set_name", "set_template_id", "host_count"].map(|field| &first[field]);
    assert_eq!(facts, [&json!(sets[0]), &json!("t"), &json!(case.template), &json!(1)]);
    assert_eq!(first["topo_path"], case.compare(sets[0])["difference"]["topo_path"]);
    assert_eq!(told["info"][1]["host_count"], 0);
    let ids = |body: Value| -> Vec<i64> {
        let told = list(body);
        told["info"].as_array().unwrap().iter().map(|row| row["bk_set_id"].as_i64().unwrap()).collect()
    };
    assert_eq!(ids(json!({"page": {"sort": "bk_set_name"}})), [sets[1], sets[0]]);
    assert_eq!(ids(json!({"page": {"start": 1, "limit": 5}})), [sets[1]]);
    assert_eq!(ids(json!({"bk_set_ids": [sets[1], case.estate.set, 99_999]})), [sets[1]]);
    assert_eq!(ids(json!({"bk_set_ids": []})), [0; 0]);
    case.ask("sets/web", json!({"page": {"limit": 1001}})).fails_with(1_199_059);
    let path = format!("/findmany/topo/set_template/99999/bk_biz_id/{}/sets/web", case.estate.business);
    assert_eq!(case.app.post(&path, json!({})).data(), json!({"count": 0, "info": []}));
}

/// instances 10.4, of modules that a set template made
#[test]
fn instances_are_found_by_their_set_template() {
    let case = Case::new();
    case.app.process_templates(&case.estate, case.services[0], vec![named("p")]);
    let set = case.set("s");
    case.transfer(case.estate.hosts[0], &case.modules(set)[0]["bk_module_id"]);
    case.app.instance(&case.estate, process("other"));
    let path = format!("/findmany/proc/service/set_template/list_service_instance/biz/{}", case.estate.business);
    let body = json!({"set_template_id": case.template, "page": {"limit": 10}});
    let found = case.app.post(&path, body).data();
    assert_eq!(found["count"], 1);
    assert_eq!(found["info"][0]["bk_module_id"], case.modules(set)[0]["bk_module_id"]);
}

/// Reads of another business find nothing, and ask for the right where the store protects reads.
#[test]
fn rights_are_asked_for() {
    let app = TestApp::with().administrator("root").settings(|settings| settings.protect_reads = true).start();
    for name in ["b3", "b4"] {
        let body = json!({"bk_biz_name": name, "bk_biz_maintainer": "ops"});
        app.native_as("root", "POST", "/biz/0", body).data();
    }
    app.grant("tom", Action::FindBusinessResource, Some(4));
    app.grant("tom", Action::CreateTopology, Some(4));
    let post = |user: &str, path: &str, body: Value| app.native_as(user, "POST", path, body);
    let service = json!({"bk_biz_id": 3, "name": "st", "service_category_id": 2});
    let service = post("root", "/create/proc/service_template", service).data()["id"].clone();
    let template = json!({"name": "t", "service_template_ids": [service]});
    let template = post("root", "/create/topo/set_template/bk_biz_id/3", template).data()["id"].clone();
    let set = json!({"bk_set_name": "s", "bk_parent_id": 3, "set_template_id": template});
    let set = post("root", "/set/3", set).data()["bk_set_id"].clone();
    let theirs = json!({"bk_set_name": "s", "bk_parent_id": 4, "set_template_id": template});
    post("tom", "/set/4", theirs).fails_with(1_199_019);
    let asks = [
        ("diff_with_instances", json!({ "bk_set_id": set }), Some(1_101_011)),
        ("host_with_instances", json!({"bk_set_ids": [set]}), Some(1_199_006)),
        ("sets/web", json!({}), None),
    ];
    for (tail, body, code) in asks {
        let path = |business: i64| format!("/findmany/topo/set_template/{template}/bk_biz_id/{business}/{tail}");
        post("tom", &path(3), body.clone()).fails_with(9_900_403);
        let answer = post("tom", &path(4), body);
        match code {
            Some(code) => assert_eq!(answer.code(), code),
            None => assert_eq!(answer.data()["count"], 0),
        }
    }
    let status = |business: i64| format!("/findmany/topo/set_template/bk_biz_id/{business}/set_template_status");
    post("tom", &status(3), json!({"set_template_ids": [template]})).fails_with(9_900_403);
    assert_eq!(post("tom", &status(4), json!({"set_template_ids": [template]})).data(), json!([]));
}
