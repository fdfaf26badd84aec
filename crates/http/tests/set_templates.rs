//! Set templates themselves: `templates` 13 (T1 to T10, T20 to T22), the edge cases 26, 88, 91 and 92, and what changes leave behind.

#![expect(clippy::unwrap_used, reason = "a test ends with its first error")]

mod support;

use rollcall_app::access::Action;
use serde_json::{Value, json};
use support::{Answer, Estate, TestApp, next_millisecond};

/// Calls about the set templates of a business that has three service templates.
struct Case {
    app: TestApp,
    estate: Estate,
    services: Vec<i64>,
}

impl Case {
    fn new() -> Self {
        let app = TestApp::new();
        let estate = app.estate();
        let services = ["a", "b", "c"].map(|name| app.service_template(&estate, name)).to_vec();
        Self { app, estate, services }
    }

    fn create(&self, body: Value) -> Answer {
        self.app.post(&format!("/create/topo/set_template/bk_biz_id/{}", self.estate.business), body)
    }

    /// A template that lists these of the service templates.
    fn made(&self, name: &str, services: &[i64]) -> i64 {
        self.create(json!({"name": name, "service_template_ids": services})).data()["id"].as_i64().unwrap()
    }

    fn path(&self, id: i64, verb: &str, tail: &str) -> String {
        format!("/{verb}/topo/set_template/{id}/bk_biz_id/{}{tail}", self.estate.business)
    }

    fn update(&self, id: i64, body: Value) -> Answer {
        self.app.native("PUT", &self.path(id, "update", ""), body)
    }

    fn delete(&self, body: Value) -> Answer {
        let path = format!("/deletemany/topo/set_template/bk_biz_id/{}", self.estate.business);
        self.app.native("DELETE", &path, body)
    }

    fn get(&self, id: i64) -> Answer {
        self.app.native("GET", &self.path(id, "find", ""), "")
    }

    fn all_info(&self, id: i64) -> Answer {
        let body = json!({"bk_biz_id": self.estate.business, "id": id});
        self.app.post("/find/topo/set_template/all_info", body)
    }

    fn list(&self, tail: &str, body: Value) -> Answer {
        self.app.post(&format!("/findmany/topo/set_template/bk_biz_id/{}{tail}", self.estate.business), body)
    }

    /// The ids of the service templates that a template lists, as T10 and T7 tell them alike.
    fn services_of(&self, id: i64) -> Vec<i64> {
        let listed = self.app.native("GET", &self.path(id, "findmany", "/service_templates"), "").data();
        let listed: Vec<_> = listed.as_array().unwrap().iter().map(|row| row["id"].as_i64().unwrap()).collect();
        assert_eq!(self.all_info(id).data()["service_template_ids"], json!(listed));
        listed
    }

    /// How many audit entries and events there are.
    fn traces(&self) -> i64 {
        self.app.number("SELECT count(*) FROM audit") + self.app.number("SELECT count(*) FROM event")
    }
}

#[test]
fn a_template_is_made_and_read_back() {
    let case = Case::new();
    let [a, b, _] = case.services[..] else { panic!("three service templates") };
    let made = case.create(json!({"name": " test ", "service_template_ids": [b, a, b]})).data();
    let (id, business) = (made["id"].as_i64().unwrap(), case.estate.business);
    let told = json!({"id": id, "name": "test", "bk_biz_id": business, "creator": "ops", "modifier": "ops",
        "create_time": made["create_time"], "last_time": made["create_time"], "bk_supplier_account": "0"});
    assert_eq!(made, told);
    assert!(made["create_time"].as_str().unwrap().ends_with("+08:00"));
    assert_eq!(case.get(id).data(), told);
    assert_eq!(case.list("", json!({})).data(), json!({"count": 1, "info": [told]}));
    let counted = json!({"count": 1, "info": [{"set_instance_count": 0, "set_template": told}]});
    assert_eq!(case.list("/web", json!({})).data(), counted);
    assert_eq!(case.services_of(id), [a, b]);
    let all =
        json!({"id": id, "bk_biz_id": business, "name": "test", "service_template_ids": [a, b], "attributes": []});
    assert_eq!(case.all_info(id).data(), all);
    let services = case.app.native("GET", &case.path(id, "findmany", "/service_templates/"), "").data();
    let first = case.app.native("GET", &format!("/find/proc/service_template/{a}"), "").data();
    assert_eq!(services[0], first);
    case.no_services_of(99_999);
    case.app.check();
}

impl Case {
    /// [`Case::services_of`] of a template that is not there: T10 alone.
    fn no_services_of(&self, id: i64) {
        let listed = self.app.native("GET", &self.path(id, "findmany", "/service_templates"), "");
        assert_eq!(listed.data(), json!([]));
    }
}

/// templates E88, and the order of the checks
#[test]
fn what_a_new_template_needs() {
    let case = Case::new();
    let services = json!([case.services[0]]);
    for none in [json!([]), Value::Null] {
        case.create(json!({"name": "t", "service_template_ids": none}))
            .fails_with(1_199_010)
            .naming("service_template_ids"); // E88
    }
    case.create(json!({"name": "a b", "service_template_ids": []})).fails_with(1_199_010).naming("name");
    for name in ["", "  ", "a/b", "a b", "#", &"n".repeat(257)] {
        case.create(json!({"name": name, "service_template_ids": services})).fails_with(1_199_006).naming("name");
    }
    case.create(json!({"name": "名".repeat(256), "service_template_ids": services})).data();
    let other = case.app.estate_named("other", "10.1.0");
    let theirs = case.app.service_template(&other, "theirs");
    let refused = case.create(json!({"name": "t", "service_template_ids": [case.services[0], theirs, 0, 99_999]}));
    refused.fails_with(1_199_006).naming("service_template_ids[1]").naming("service_template_ids[3]");
    assert!(!refused.message().contains("service_template_ids[0]"));
    let many: Vec<_> = (0..1001).collect();
    case.create(json!({"name": "t", "service_template_ids": many})).fails_with(1_199_035);
    case.create(json!({"name": "t", "service_template_ids": ["1"]})).fails_with(1_199_000);
    for business in ["0", "-1", "99999"] {
        let body = json!({"name": "t", "service_template_ids": services});
        let path = format!("/create/topo/set_template/bk_biz_id/{business}");
        case.app.post(&path, body).fails_with(1_199_006).naming("bk_biz_id");
    }
    case.app.post("/create/topo/set_template/bk_biz_id/x", json!({})).fails_with(1_199_006).naming("bk_biz_id");
    case.made("t", &case.services);
    case.create(json!({"name": " t", "service_template_ids": services})).fails_with(1_199_014).naming("name");
    let body = json!({"name": "t", "service_template_ids": [theirs]});
    case.app.post(&format!("/create/topo/set_template/bk_biz_id/{}", other.business), body).data();
}

/// templates T3, E88, E91, defects 18 and 34
#[test]
fn a_template_changes() {
    let case = Case::new();
    let [a, b, c] = case.services[..] else { panic!("three service templates") };
    let id = case.made("t", &[a, b]);
    let before = case.get(id).data();
    let count = case.traces();
    for same in [
        json!({"name": "t"}),
        json!({"name": " t ", "service_template_ids": null}),
        json!({"service_template_ids": [b, a, a]}),
    ] {
        assert_eq!(case.update(id, same).data(), before);
    }
    assert_eq!(case.traces(), count);
    for nothing in [json!({}), json!({"name": ""}), json!({"name": "a b", "service_template_ids": [c]})] {
        case.update(id, nothing).fails_with(1_199_005).naming("name");
    }
    next_millisecond();
    let changed = case.update(id, json!({"name": " new "})).data();
    assert_eq!((&changed["name"], &changed["create_time"]), (&json!("new"), &before["create_time"]));
    assert_ne!(changed["last_time"], before["last_time"]);
    assert_eq!(case.get(id).data(), changed);
    assert_eq!(case.services_of(id), [a, b]);
    case.update(id, json!({"service_template_ids": [c, b]})).data();
    assert_eq!(case.services_of(id), [b, c]);
    case.update(id, json!({"service_template_ids": []})).data(); // E88
    assert_eq!(case.services_of(id), [0; 0]);
    case.update(id, json!({"service_template_ids": [c, 99_999]}))
        .fails_with(1_199_006)
        .naming("service_template_ids[1]");
    assert_eq!(case.services_of(id), [0; 0]);
    case.made("taken", &[a]);
    case.update(id, json!({"name": " taken"})).fails_with(1_199_014).naming("name");
    case.update(99_999, json!({"name": "x"})).fails_with(1_199_019).naming("set_template_id");
    // E91: the original does not look at the business.
    let other = case.app.estate_named("other", "10.1.0");
    let path = format!("/update/topo/set_template/{id}/bk_biz_id/{}", other.business);
    case.app.native("PUT", &path, json!({"name": "x"})).fails_with(1_199_019);
    let path = format!("/update/topo/set_template/x/bk_biz_id/{}", case.estate.business);
    case.app.native("PUT", &path, json!({"name": "x"})).fails_with(1_199_006).naming("set_template_id");
    case.app.check();
}

/// templates T2, T4, T7, defects 22 and 35
#[test]
fn all_of_a_template_is_written_at_once() {
    let case = Case::new();
    let [a, b, c] = case.services[..] else { panic!("three service templates") };
    let (business, number) = (case.estate.business, |id: &str| case.app.set_attribute(id));
    let fixed = |id: &str, value: Value| json!({"bk_attribute_id": number(id), "bk_property_value": value});
    let create = |body: Value| case.app.post("/create/topo/set_template/all_info", body);
    let whole = json!({"bk_biz_id": business, "name": " t ", "service_template_ids": [b, a],
        "attributes": [fixed("bk_capacity", json!(7)), fixed("bk_set_env", json!("2"))]});
    let with = |field: &str, value: Value| {
        let mut body = whole.clone();
        body[field] = value;
        create(body)
    };
    for (field, value, code) in [
        ("bk_biz_id", json!(0), 1_199_010),
        ("bk_biz_id", json!(-1), 1_199_006),
        ("name", json!(""), 1_199_010),
        ("name", json!("a b"), 1_199_006),
        ("service_template_ids", json!([]), 1_199_010),
        ("service_template_ids", json!([99_999]), 1_199_006),
        ("attributes", json!([fixed("bk_set_name", json!("n"))]), 1_199_011),
        ("attributes", json!([fixed("bk_capacity", json!("n"))]), 1_199_011),
        ("attributes", json!([fixed("bk_capacity", Value::Null)]), 1_199_010),
        ("attributes", json!([fixed("bk_capacity", json!(1)), fixed("bk_capacity", json!(2))]), 1_199_006),
    ] {
        let named = if field == "attributes" { "attribute" } else { field };
        with(field, value).fails_with(code).naming(named);
    }
    assert_eq!(case.app.number("SELECT count(*) FROM set_template"), 0);
    let id = create(whole.clone()).data()["id"].as_i64().unwrap();
    let told = case.all_info(id).data();
    assert_eq!((&told["name"], &told["service_template_ids"]), (&json!("t"), &json!([a, b])));
    let attribute = |place: usize, id: &str, value: Value| {
        json!({"id": place + 1, "bk_biz_id": business, "set_template_id": told["id"], "bk_attribute_id": number(id),
            "bk_property_value": value, "creator": "ops", "modifier": "ops",
            "create_time": told["attributes"][place]["create_time"],
            "last_time": told["attributes"][place]["last_time"], "bk_supplier_account": "0"})
    };
    let attributes = json!([attribute(0, "bk_capacity", json!(7)), attribute(1, "bk_set_env", json!("2"))]);
    assert_eq!(told["attributes"], attributes);

    let replace = |more: Value| {
        let mut body = json!({"bk_biz_id": business, "id": id});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        case.app.native("PUT", "/update/topo/set_template/all_info", body)
    };
    let count = case.traces();
    replace(json!({"name": "t", "service_template_ids": [a, b], "attributes": whole["attributes"]})).data();
    replace(json!({"attributes": whole["attributes"]})).data();
    assert_eq!(case.all_info(id).data(), told);
    assert_eq!(case.traces(), count);
    let other = json!([fixed("bk_capacity", json!(9)), fixed("bk_set_desc", json!("d"))]);
    replace(json!({"name": "u", "service_template_ids": [c], "attributes": other})).data();
    let told = case.all_info(id).data();
    assert_eq!((&told["name"], &told["service_template_ids"]), (&json!("u"), &json!([c])));
    let values: Vec<_> = told["attributes"].as_array().unwrap().iter().map(|it| &it["bk_property_value"]).collect();
    assert_eq!(values, [&json!(9), &json!("d")]);
    replace(json!({"service_template_ids": [99_999]})).fails_with(1_199_006).naming("service_template_ids");
    replace(json!({"name": "a b"})).fails_with(1_199_005).naming("name");
    replace(json!({"attributes": [fixed("bk_capacity", json!(0))]})).fails_with(1_199_011).naming("attributes");
    assert_eq!(case.all_info(id).data(), told);
    replace(json!({"service_template_ids": []})).data();
    let told = case.all_info(id).data();
    assert_eq!((&told["service_template_ids"], &told["attributes"]), (&json!([]), &json!([])));
    for (body, code) in [
        (json!({"bk_biz_id": 0, "id": id}), 1_199_010),
        (json!({"bk_biz_id": -1, "id": id}), 1_199_006),
        (json!({"bk_biz_id": business, "id": 0}), 1_199_010),
        (json!({"bk_biz_id": business, "id": 99_999}), 1_199_019),
        (json!({"bk_biz_id": 1, "id": id}), 1_199_019),
    ] {
        case.app.post("/find/topo/set_template/all_info", body.clone()).fails_with(code);
        case.app.native("PUT", "/update/topo/set_template/all_info", body).fails_with(code);
    }
    case.app.check();
}

/// templates T5, E92, the T5 part of invariant 18, defect 20
#[test]
fn templates_are_removed() {
    let case = Case::new();
    let ids = ["t", "u", "v"].map(|name| case.made(name, &case.services));
    let attributes = json!([{"bk_attribute_id": case.app.set_attribute("bk_capacity"), "bk_property_value": 7}]);
    let body = json!({"bk_biz_id": case.estate.business, "id": ids[0], "attributes": attributes});
    case.app.native("PUT", "/update/topo/set_template/all_info", body).data();
    case.delete(json!({})).fails_with(1_199_017).naming("set_template_ids"); // E92
    assert_eq!(case.delete(json!({"set_template_ids": []})).data(), Value::Null); // E92
    let set = case.app.set_of(&case.estate, "s", ids[1]);
    let refused = case.delete(json!({"set_template_ids": [ids[0], ids[1]]}));
    refused.fails_with(1_199_056).naming("set_template_ids[1]").naming("sets");
    assert_eq!(case.list("", json!({})).data()["count"], 3);
    let other = case.app.estate_named("other", "10.1.0");
    let path = format!("/deletemany/topo/set_template/bk_biz_id/{}", other.business);
    case.app.native("DELETE", &path, json!({"set_template_ids": ids})).data();
    assert_eq!(case.list("", json!({})).data()["count"], 3);
    case.delete(json!({"set_template_ids": [ids[2], 99_999, ids[0], ids[0]]})).data();
    assert_eq!(case.list("", json!({})).data()["info"][0]["id"], ids[1]);
    assert_eq!(case.app.number("SELECT count(*) FROM set_template_attribute"), 0);
    assert_eq!(case.app.number("SELECT count(*) FROM set_template_relation"), 3);
    case.get(ids[0]).fails_with(1_199_019);
    case.no_services_of(ids[0]);
    assert!(set > 0);
    case.app.check();
}

#[test]
fn templates_are_listed_by_pages() {
    let case = Case::new();
    let ids: Vec<_> = (0..23).map(|i| case.made(&format!("t{:02}", 22 - i), &case.services[..1])).collect();
    let listed = |tail: &str, body: Value| -> (Value, Vec<i64>) {
        let data = case.list(tail, body).data();
        let rows = data["info"].as_array().map(Vec::as_slice).unwrap_or_default();
        let id = |row: &Value| row.get("set_template").unwrap_or(row)["id"].as_i64().unwrap();
        (data["count"].clone(), rows.iter().map(id).collect())
    };
    assert_eq!(listed("", json!({})), (json!(23), ids[..20].to_vec()));
    assert_eq!(listed("/web", json!({})), (json!(23), ids.clone()));
    for tail in ["", "/web"] {
        assert_eq!(listed(tail, json!({"page": {"limit": 999_999_999}})), (json!(23), ids.clone()));
        assert_eq!(listed(tail, json!({"page": {"start": 20, "limit": 10}})), (json!(23), ids[20..].to_vec()));
        let named = listed(tail, json!({"page": {"limit": 2, "sort": "name"}}));
        assert_eq!(named, (json!(23), vec![ids[22], ids[21]]));
        let newest = listed(tail, json!({"page": {"limit": 1, "sort": "-id"}, "set_template_ids": [ids[3], ids[5]]}));
        assert_eq!(newest, (json!(2), vec![ids[5]]));
        assert_eq!(listed(tail, json!({"set_template_ids": []})), (json!(0), vec![]));
        for page in [json!({"limit": 1001}), json!({"limit": -1}), json!({"start": -1})] {
            case.list(tail, json!({"page": page})).fails_with(1_199_059).naming("page");
        }
    }
    assert_eq!(case.list("/web", json!({"set_template_ids": []})).data(), json!({"count": 0, "info": null}));
    assert_eq!(case.list("", json!({"set_template_ids": []})).data(), json!({"count": 0, "info": []}));
    case.app.post("/findmany/topo/set_template/bk_biz_id/x", json!({})).fails_with(1_199_006).naming("bk_biz_id");
    case.app.post("/findmany/topo/set_template/bk_biz_id/0/web", json!({})).fails_with(1_199_006).naming("bk_biz_id");
}

/// templates T9: each template with the number of its own sets.
#[test]
fn sets_of_a_template_are_counted() {
    let case = Case::new();
    let [none, two, one] = ["t", "u", "v"].map(|name| case.made(name, &case.services));
    for (name, template) in [("a", two), ("b", one), ("c", two)] {
        case.app.set_of(&case.estate, name, template);
    }
    let counts = |body: Value| -> Vec<(i64, i64)> {
        let data = case.list("/web", body).data();
        let number = |value: &Value| value.as_i64().unwrap();
        let rows = data["info"].as_array().unwrap().iter();
        rows.map(|row| (number(&row["set_template"]["id"]), number(&row["set_instance_count"]))).collect()
    };
    assert_eq!(counts(json!({})), [(none, 0), (two, 2), (one, 1)]);
    assert_eq!(counts(json!({"set_template_ids": [one, two], "page": {"sort": "-id", "limit": 1}})), [(one, 1)]);
}

/// templates E26, and what it leaves behind
#[test]
fn a_service_template_that_goes_is_not_listed_any_more() {
    let case = Case::new();
    let [a, b, c] = case.services[..] else { panic!("three service templates") };
    let ids = [case.made("t", &[a, b]), case.made("u", &[a])];
    let events = case.app.number("SELECT count(*) FROM event WHERE kind = 114");
    let gone = json!({"bk_biz_id": case.estate.business, "service_template_id": a});
    case.app.native("DELETE", "/delete/proc/service_template", gone).data();
    assert_eq!((case.services_of(ids[0]), case.services_of(ids[1])), (vec![b], vec![]));
    assert_eq!(case.app.number("SELECT count(*) FROM event WHERE kind = 114") - events, 2);
    let states = case.app.documents("SELECT after_state FROM event WHERE kind = 114 ORDER BY id DESC LIMIT 2");
    let mut listed: Vec<_> = states.iter().map(|state| state["service_template_ids"].clone()).collect();
    listed.sort_by_key(|ids| ids.as_array().unwrap().len());
    assert_eq!(listed, [json!([]), json!([b])]);
    case.update(ids[0], json!({"service_template_ids": [a]})).fails_with(1_199_006).naming("service_template_ids");
    case.update(ids[0], json!({"service_template_ids": [c]})).data();
    // One that a set follows stays.
    case.app.set_of(&case.estate, "s", ids[0]);
    let used = json!({"bk_biz_id": case.estate.business, "service_template_id": c});
    case.app.native("DELETE", "/delete/proc/service_template", used).fails_with(1_108_030).naming("modules");
    assert_eq!(case.services_of(ids[0]), [c]);
    case.app.check();
}

/// templates T20 to T22, and 28 of the edge cases for sets
#[test]
fn attributes_are_written_by_themselves() {
    let case = Case::new();
    let id = case.made("t", &case.services[..1]);
    let number = |id: &str| case.app.set_attribute(id);
    let [capacity, env] = ["bk_capacity", "bk_set_env"].map(number);
    let fixed = |id: i64, value: Value| json!({"bk_attribute_id": id, "bk_property_value": value});
    let body = |more: Value| {
        let mut body = json!({"bk_biz_id": case.estate.business, "id": id});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    let whole = body(json!({"attributes": [fixed(capacity, json!(7)), fixed(env, json!("2"))]}));
    case.app.native("PUT", "/update/topo/set_template/all_info", whole).data();
    let update = |more: Value| case.app.native("PUT", "/update/topo/set_template/attribute", body(more));
    let delete = |more: Value| case.app.native("DELETE", "/delete/topo/set_template/attribute", body(more));
    let list = |more: Value| case.app.post("/findmany/topo/set_template/attribute", body(more));
    let before = list(json!({})).data();
    assert_eq!(before["attributes"][0]["set_template_id"], id);
    next_millisecond();
    update(json!({"attributes": [fixed(capacity, json!(8))]})).data();
    let mut after = before.clone();
    after["attributes"][0]["bk_property_value"] = json!(8);
    assert_eq!(list(json!({})).data(), after);
    let picked = list(json!({"fields": ["bk_property_value"]})).data();
    assert_eq!(
        picked["attributes"][1],
        json!({"id": 0, "bk_biz_id": 0, "set_template_id": 0, "bk_attribute_id": 0, "bk_property_value": "2",
            "creator": "", "modifier": "", "create_time": "0001-01-01T00:00:00Z",
            "last_time": "0001-01-01T00:00:00Z", "bk_supplier_account": ""})
    );
    let desc = fixed(number("bk_set_desc"), json!("d"));
    update(json!({"attributes": [desc]})).fails_with(1_199_011).naming("attributes");
    update(json!({"attributes": [fixed(number("bk_set_name"), json!("d"))]})).fails_with(1_199_011);
    update(json!({"attributes": []})).fails_with(1_199_010).naming("attributes");
    update(json!({"id": 99_999, "attributes": [desc]})).fails_with(1_199_006).naming("set_template_id");
    update(json!({"bk_biz_id": 1, "attributes": [desc]})).fails_with(1_199_006).naming("set_template_id");
    list(json!({"id": 99_999})).fails_with(1_199_006).naming("set_template_id");
    delete(json!({"bk_attribute_ids": [env, env]})).fails_with(1_199_011).naming("bk_attribute_ids[1]");
    delete(json!({"bk_attribute_ids": []})).fails_with(1_199_010).naming("bk_attribute_ids");
    let mut without = body(json!({"bk_attribute_ids": [env]}));
    without["bk_biz_id"] = json!(0);
    case.app.native("DELETE", "/delete/topo/set_template/attribute", without).fails_with(1_199_010);
    delete(json!({"bk_attribute_ids": [env]})).data();
    assert_eq!(list(json!({})).data()["attributes"].as_array().unwrap().len(), 1);
    let told = "SELECT count(*) FROM event WHERE kind = 115";
    assert_eq!(case.app.number(told), 4);
    let entries = "SELECT count(*) FROM audit WHERE resource_type = 'set_template'";
    assert_eq!(case.app.number(entries), 4);
    case.app.check();
}

#[test]
fn changes_leave_entries_and_events() {
    let case = Case::new();
    let [a, b, _] = case.services[..] else { panic!("three service templates") };
    let id = case.made("t", &[a]);
    case.update(id, json!({"name": "u", "service_template_ids": [b]})).data();
    case.delete(json!({"set_template_ids": [id]})).data();
    let details = "SELECT detail FROM audit WHERE resource_type = 'set_template' ORDER BY id";
    let details: Vec<_> = case.app.documents(details).into_iter().map(|it| it["details"].clone()).collect();
    let named = |state: &Value| (state["name"].clone(), state["service_template_ids"].clone());
    let [created, updated, deleted] = &details[..] else { panic!("three entries: {details:?}") };
    assert_eq!(named(&created["cur_data"]), (json!("t"), json!([a])));
    assert_eq!(named(&updated["pre_data"]), (json!("t"), json!([a])));
    assert_eq!(updated["update_fields"], json!({"name": "u", "service_template_ids": [b]}));
    assert_eq!(named(&deleted["pre_data"]), (json!("u"), json!([b])));
    let states = "SELECT '[' || coalesce(before_state, 'null') || ',' || coalesce(after_state, 'null') || ']'
        FROM event WHERE kind = 114 ORDER BY id";
    let states = case.app.documents(states);
    let told: Vec<_> = states.iter().map(|state| [&state[0]["name"], &state[1]["name"]]).collect();
    assert_eq!(told, [[&Value::Null, &json!("t")], [&json!("t"), &json!("u")], [&json!("u"), &Value::Null]]);
    let action = "SELECT count(*) FROM audit WHERE resource_type = 'set_template' AND audit_type = 'business_resource'";
    assert_eq!(case.app.number(action), 3);
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
            Action::CreateSetTemplate,
            Action::EditSetTemplate,
            Action::DeleteSetTemplate,
            Action::FindBusinessResource,
        ] {
            app.grant(user, action, business);
        }
    }
    let service = json!({"bk_biz_id": 3, "name": "st", "service_category_id": 2});
    let service = app.native_as("ann", "POST", "/create/proc/service_template", service).data()["id"].clone();
    let body = json!({"name": "t", "service_template_ids": [service]});
    let made = app.native_as("ann", "POST", "/create/topo/set_template/bk_biz_id/3", body.clone()).data();
    let id = made["id"].as_i64().unwrap();
    let one = |business: i64, id: i64| {
        [
            ("PUT", format!("/update/topo/set_template/{id}/bk_biz_id/{business}"), json!({"name": "x"})),
            ("GET", format!("/find/topo/set_template/{id}/bk_biz_id/{business}"), json!({})),
            ("POST", "/find/topo/set_template/all_info".into(), json!({"bk_biz_id": business, "id": id})),
            ("PUT", "/update/topo/set_template/all_info".into(), json!({"bk_biz_id": business, "id": id})),
        ]
    };
    for business in [3, 99_999] {
        let many = [
            ("POST", format!("/create/topo/set_template/bk_biz_id/{business}"), json!({})),
            ("POST", "/create/topo/set_template/all_info".into(), json!({"bk_biz_id": business})),
            (
                "DELETE",
                format!("/deletemany/topo/set_template/bk_biz_id/{business}"),
                json!({"set_template_ids": [id]}),
            ),
            ("POST", format!("/findmany/topo/set_template/bk_biz_id/{business}"), json!({})),
            ("POST", format!("/findmany/topo/set_template/bk_biz_id/{business}/web"), json!({})),
            ("GET", format!("/findmany/topo/set_template/{id}/bk_biz_id/{business}/service_templates"), json!({})),
        ];
        for (method, path, body) in one(business, id).into_iter().chain(many) {
            app.native_as("tom", method, &path, body).fails_with(9_900_403);
        }
    }
    let refused = app.native_as("tom", "PUT", &format!("/update/topo/set_template/{id}/bk_biz_id/3"), body).json();
    assert_eq!(refused["permission"]["actions"][0]["related_resource_types"][0]["type"], "biz_set_template");
    for (hidden, unknown) in one(4, id).into_iter().zip(one(4, 99_999)) {
        let words = |(method, path, body): (&str, String, Value), id: i64| {
            let answer = app.native_as("tom", method, &path, body);
            answer.fails_with(1_199_019).message().replace(&id.to_string(), "")
        };
        assert_eq!(words(hidden, id), words(unknown, 99_999));
    }
    let theirs = json!({"name": "t", "service_template_ids": [service]});
    let path = "/create/topo/set_template/bk_biz_id/4";
    app.native_as("tom", "POST", path, theirs).fails_with(1_199_006).naming("service_template_ids");
    let delete = "/deletemany/topo/set_template/bk_biz_id/4";
    app.native_as("tom", "DELETE", delete, json!({"set_template_ids": [id]})).data();
    let services = format!("/findmany/topo/set_template/{id}/bk_biz_id/4/service_templates");
    assert_eq!(app.native_as("tom", "GET", &services, "").data(), json!([]));
    assert_eq!(app.number("SELECT count(*) FROM set_template"), 1);
}

#[test]
fn every_door_leads_to_them() {
    let case = Case::new();
    let business = case.estate.business;
    let body = json!({"bk_biz_id": business, "name": "a", "service_template_ids": case.services});
    let id = case.app.esb("create_set_template", body).data()["id"].as_i64().unwrap();
    let body = json!({"bk_biz_id": business, "set_template_id": id, "name": "b"});
    assert_eq!(case.app.esb("update_set_template", body).data()["name"], "b");
    let listed = case.app.esb("list_set_template", json!({"bk_biz_id": business, "page": {"limit": 10}})).data();
    assert_eq!(listed["info"][0]["id"], id);
    let of = json!({"bk_biz_id": business, "set_template_id": id});
    let related = case.app.esb("list_set_template_related_service_template", of).data();
    assert_eq!(related.as_array().unwrap().len(), 3);
    let gone = json!({"bk_biz_id": business, "set_template_ids": [id]});
    assert_eq!(case.app.esb("delete_set_template", gone).data(), Value::Null);
    case.app.esb("list_set_template", json!({})).fails_with(1_306_406);
    let whole = json!({"bk_biz_id": business, "name": "c", "service_template_ids": case.services});
    let id = case.app.gateway("POST", "/create/topo/set_template/all_info", whole).data()["id"].clone();
    let path = format!("/find/topo/set_template/{id}/bk_biz_id/{business}");
    assert_eq!(case.app.gateway("GET", &path, "").data()["name"], "c");
}
