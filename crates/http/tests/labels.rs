//! Labels of service instances, and lists selected by them: `instances` 10.9 to 10.12, 12.1 and §17.

#![expect(clippy::unwrap_used, reason = "a test ends with its first error")]

mod support;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use rollcall_app::access::Action;
use rollcall_domain::label::{Labels, SelectorIn, Selectors};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use support::{Answer, Estate, TestApp, USER, process};

struct Case {
    app: TestApp,
    estate: Estate,
    /// On the hosts 0, 1, 2, 0, 1, 2, ….
    ids: Vec<i64>,
}

impl Case {
    fn new(count: usize) -> Self {
        Self::on(TestApp::new(), count)
    }

    fn on(app: TestApp, count: usize) -> Self {
        let estate = app.estate();
        let instance =
            |i: usize| json!({"bk_host_id": estate.hosts[i % 3], "processes": [{"process_info": process("p")}]});
        let instances: Vec<_> = (0..count).map(instance).collect();
        let body = json!({"bk_biz_id": estate.business, "bk_module_id": estate.module, "instances": instances});
        let ids = serde_json::from_value(app.post("/create/proc/service_instance", body).data()).unwrap();
        Self { app, estate, ids }
    }

    fn with_business(&self, mut body: Value) -> Value {
        body.as_object_mut().unwrap().entry("bk_biz_id").or_insert(self.estate.business.into());
        body
    }

    fn add(&self, ids: &[i64], labels: Value) -> Answer {
        let body = self.with_business(json!({"instance_ids": ids, "labels": labels}));
        self.app.post("/createmany/proc/service_instance/labels", body)
    }

    fn remove(&self, ids: &[i64], keys: Value) -> Answer {
        let body = self.with_business(json!({"instance_ids": ids, "keys": keys}));
        self.app.native("DELETE", "/deletemany/proc/service_instance/labels", body)
    }

    fn replace(&self, ids: &[i64], labels: Value) -> Answer {
        let body = self.with_business(json!({"instance_ids": ids, "labels": labels}));
        self.app.post("/updatemany/proc/service_instance/labels", body)
    }

    fn aggregation(&self, more: Value) -> Answer {
        self.app.post("/findmany/proc/service_instance/labels/aggregation", self.with_business(more))
    }

    /// The labels of all instances.
    fn labels(&self) -> Vec<Value> {
        let listed = self.app.post("/findmany/proc/service_instance", self.with_business(json!({}))).data();
        listed["info"].as_array().unwrap().iter().map(|row| row["labels"].clone()).collect()
    }

    /// How many instances the selectors select; every list selects the same.
    fn selected(&self, selectors: &Value) -> Vec<i64> {
        let page = json!({"limit": 1000, "sort": "id"});
        let body = self.with_business(json!({"selectors": selectors, "page": page}));
        let list = ids(&self.app.post("/findmany/proc/service_instance", body.clone()));
        assert_eq!(ids(&self.app.post("/findmany/proc/service_instance/details", body.clone())), list);
        let of_host = |host: &i64| {
            let mut body = body.clone();
            body["bk_host_id"] = (*host).into();
            ids(&self.app.post("/findmany/proc/service_instance/with_host", body))
        };
        let mut of_hosts: Vec<_> = self.estate.hosts.iter().flat_map(of_host).collect();
        of_hosts.sort_unstable();
        assert_eq!(of_hosts, list);
        list
    }
}

fn ids(answer: &Answer) -> Vec<i64> {
    let data = answer.data();
    let ids: Vec<_> = data["info"].as_array().unwrap().iter().map(|row| row["id"].as_i64().unwrap()).collect();
    assert_eq!(data["count"], ids.len());
    ids
}

#[test]
fn e105_what_labels_look_like() {
    let case = Case::new(1);
    let long = "a".repeat(64);
    for (labels, named) in [
        (json!({"9a": "v"}), "label.9a"),
        (json!({"a-": "v"}), "label.a-"),
        (json!({ long.as_str(): "v" }), "label.aaa"),
        (json!({"": "v"}), "label."),
        (json!({"a": ""}), "label.a:"),
        (json!({"a": null}), "label.a:"),
        (json!({ "a": long }), "label.a:aaa"),
        (json!({"a": "-"}), "label.a:-"),
    ] {
        case.add(&case.ids, labels.clone()).fails_with(1_199_006).naming(named); // E105
        case.replace(&case.ids, labels).fails_with(1_199_006).naming(named);
    }
    case.add(&case.ids, json!({"a-": "1", "b": "2", "c": "-"}))
        .fails_with(1_199_006)
        .naming("label.a-")
        .naming("label.c:-");
    case.add(&case.ids, json!({"a": 1})).fails_with(1_199_000).naming("labels.a");
    case.add(&case.ids, json!([])).fails_with(1_199_000).naming("labels");
    assert_eq!(case.labels(), [Value::Null]);
    case.add(&case.ids, json!({ "a".repeat(63): "1".repeat(63), "A.b-c_d": "x.y" })).data();
}

#[test]
fn e106_e107_labels_are_merged() {
    let case = Case::new(2);
    assert_eq!(case.add(&case.ids, json!({})).data(), Value::Null);
    assert_eq!(case.labels(), [Value::Null, Value::Null]);
    case.add(&case.ids, json!({"env": "test", "zone": "a"})).data();
    case.add(&case.ids[..1], json!({"env": "prod"})).data(); // E106
    assert_eq!(case.labels(), [json!({"env": "prod", "zone": "a"}), json!({"env": "test", "zone": "a"})]);
    case.add(&[case.ids[0], case.ids[0]], json!({"k": "v"})).data(); // E107
    case.add(&[case.ids[0]; 100], json!({})).data();
    case.add(&[case.ids[0]; 101], json!({})).fails_with(1_199_035); // E107
    case.add(&[], json!({"k": "v"})).fails_with(1_199_010).naming("instance_ids");
    case.remove(&[], json!(["k"])).fails_with(1_199_010).naming("instance_ids");
    case.replace(&[], json!({})).fails_with(1_199_010).naming("instance_ids");
    case.remove(&[case.ids[0]; 500], json!(["k"])).data();
    case.remove(&[case.ids[0]; 501], json!(["k"])).fails_with(1_199_035);
    case.replace(&[case.ids[0]; 1000], json!({"env": "prod"})).data();
    case.replace(&vec![case.ids[0]; 10_001], json!({})).fails_with(1_199_035);
    let nowhere = json!({"bk_biz_id": 0, "instance_ids": case.ids, "labels": {}});
    case.app
        .post("/createmany/proc/service_instance/labels", nowhere.clone())
        .fails_with(1_199_006)
        .naming("bk_biz_id");
    case.app
        .post("/updatemany/proc/service_instance/labels", nowhere.clone())
        .fails_with(1_199_006)
        .naming("bk_biz_id");
    let path = "/deletemany/proc/service_instance/labels";
    case.app.native("DELETE", path, nowhere).fails_with(1_199_006).naming("bk_biz_id");
    assert_eq!(case.labels()[0], json!({"env": "prod"}));
}

#[test]
fn a_change_of_labels_is_told_and_leaves_the_instance_as_it_was() {
    let case = Case::new(2);
    let list =
        || case.app.post("/findmany/proc/service_instance", case.with_business(json!({}))).data()["info"].clone();
    let before = list();
    let other = [("BK_User", "other")];
    let body = case.with_business(json!({"instance_ids": [case.ids[0]], "labels": {"b": "2", "a": "1"}}));
    case.app.send("POST", "/api/v3/createmany/proc/service_instance/labels", &other, body).data();
    let after = list();
    let mut want = before.clone();
    want[0]["labels"] = json!({"a": "1", "b": "2"});
    assert_eq!(after, want, "neither modifier nor time change");
    let entries = case.app.documents("SELECT detail FROM audit WHERE action = 'update'");
    assert_eq!(entries.len(), 1); // I-28
    assert_eq!(entries[0]["details"]["pre_data"], before[0]);
    assert_eq!(entries[0]["details"]["cur_data"], after[0]);
    assert_eq!(entries[0]["details"]["update_fields"]["labels"], after[0]["labels"]);
    let events = || case.app.documents("SELECT after_state FROM event WHERE kind = 100 AND operation = 2 ORDER BY id");
    assert_eq!(events(), [after[0].clone()]);
    // What changes nothing is no change: `rollcall check` finds no entry without an event.
    case.add(&case.ids[..1], json!({"a": "1"})).data();
    assert_eq!(case.app.number("SELECT count(*) FROM audit WHERE action = 'update'"), 1);
    assert_eq!(events().len(), 1);
    let read = |tx: &mut dyn rollcall_store::Tx| rollcall_store::check::run(tx, &mut |_| {});
    assert_eq!(case.app.store.read(true, read).unwrap(), []);
    // The name changes beside the labels.
    let data = json!({"data": [{"service_instance_id": case.ids[0], "update": {"name": "n"}}]});
    let path = format!("/updatemany/proc/service_instance/biz/{}", case.estate.business);
    case.app.native("PUT", &path, data).data();
    assert_eq!((&list()[0]["name"], &list()[0]["labels"]), (&json!("n"), &want[0]["labels"]));
    let page = json!({"page": {"limit": 10, "sort": "id"}});
    let details = case.app.post("/findmany/proc/service_instance/details", case.with_business(page)).data();
    assert_eq!(details["info"][0]["labels"], want[0]["labels"]);
    assert_eq!(details["info"][1]["labels"], Value::Null);
}

#[test]
fn e108_all_instances_must_be_there() {
    let case = Case::new(1);
    let other = case.app.estate_named("other", "10.0.1");
    let foreign = case.app.instance(&other, process("p"));
    for id in [99_999, foreign, 0, -1] {
        let ids = [case.ids[0], id];
        for answer in
            [case.add(&ids, json!({"k": "v"})), case.remove(&ids, json!(["k"])), case.replace(&ids, json!({}))]
        {
            answer.fails_with(1_199_006).naming("instance_ids[1]"); // E108, D2, I-27
        }
    }
    let both = case.add(&[99_998, case.ids[0], 99_999], json!({"k": "v"}));
    both.fails_with(1_199_006).naming("instance_ids[0]").naming("instance_ids[2]");
    assert_eq!(case.labels(), [Value::Null]);
    assert_eq!(case.app.number("SELECT count(*) FROM service_instance WHERE labels IS NOT NULL"), 0);
    assert_eq!(case.app.number("SELECT count(*) FROM audit WHERE action = 'update'"), 0); // I-9
}

#[test]
fn e109_e110_labels_go() {
    let case = Case::new(2);
    case.remove(&case.ids, json!(["unknown"])).data(); // E109
    assert_eq!(case.labels(), [json!({}), json!({})]);
    case.replace(&case.ids[..1], json!({"a": "1", "b": "2"})).data();
    case.remove(&case.ids, json!(["a", "unknown", "a", "B"])).data();
    assert_eq!(case.labels(), [json!({"b": "2"}), json!({})]);
    case.remove(&case.ids, json!([])).data();
    assert_eq!(case.labels()[0], json!({"b": "2"}));
    case.replace(&case.ids[..1], json!({})).data(); // E110
    case.replace(&case.ids[1..], Value::Null).data();
    assert_eq!(case.labels(), [json!({}), Value::Null]);
    case.replace(&case.ids, json!({"c": "3"})).data();
    assert_eq!(case.labels(), [json!({"c": "3"}), json!({"c": "3"})]); // I-21
}

#[test]
fn rights_to_change_labels() {
    // instances D23
    let case = Case::on(TestApp::with().administrator(USER).start(), 1);
    let business = case.estate.business;
    case.app.grant("editor", Action::EditServiceInstance, Some(business));
    case.app.grant("deleter", Action::DeleteServiceInstance, Some(business));
    let body = json!({"bk_biz_id": business, "instance_ids": case.ids, "labels": {"k": "v"}, "keys": ["k"]});
    let ask = |user: &str, operation: &str| case.app.call_as(user, operation, body.clone());
    for (operation, who) in [
        ("add_label_for_service_instance", [0, 9_900_403, 9_900_403]),
        ("remove_label_from_service_instance", [0, 0, 9_900_403]),
        ("post_updatemany_proc_service_instance_labels", [0, 9_900_403, 9_900_403]),
    ] {
        assert_eq!(["editor", "deleter", "nobody"].map(|user| ask(user, operation).code()), who, "{operation}");
    }
    let refused = ask("nobody", "remove_label_from_service_instance").json();
    assert_eq!(refused["permission"]["actions"][0]["id"], "delete_biz_service_instance");
}

#[test]
fn e111_e112_selectors() {
    let case = Case::new(3);
    case.add(&case.ids[..1], json!({"env": "prod", "a.b": "x"})).data();
    case.add(&case.ids[1..2], json!({"env": "test"})).data();
    let ask = |selectors: Value| {
        case.app.post("/findmany/proc/service_instance", case.with_business(json!({ "selectors": selectors })))
    };
    let one =
        |key: &str, operator: &str, values: &[&str]| json!([{"key": key, "operator": operator, "values": values}]);
    for (selectors, named) in [
        (one("env", "=", &["a", "b"]), "values"),
        (one("env", "like", &["a"]), "operator"),
        (one("-a", "exists", &[]), "key"),
        (one("env", "IN", &["a"]), "operator"),
        (json!([{}]), "operator"),
    ] {
        ask(selectors.clone()).fails_with(1_199_006).naming(&format!("selectors[0].{named}")); // E111
        let details = case.with_business(json!({"selectors": selectors, "page": {"limit": 1}}));
        case.app.post("/findmany/proc/service_instance/details", details).fails_with(1_199_006).naming(named);
    }
    ask(json!({"key": "a"})).fails_with(1_199_000);
    ask(json!([{"key": "a", "operator": "=", "values": [1]}])).fails_with(1_199_000).naming("selectors[0].values[0]");
    ask(json!(vec![json!({"key": "a", "operator": "!"}); 101])).fails_with(1_199_035);
    ask(json!([{"key": "a", "operator": "in", "values": vec!["v"; 1001]}])).fails_with(1_199_035);
    // Where a page or the business is wrong, that comes first.
    let both = json!({"bk_biz_id": 0, "selectors": one("a", "like", &[])});
    case.app.post("/findmany/proc/service_instance", both).fails_with(1_199_006).naming("bk_biz_id");
    let [prod, test, none] = [0, 1, 2].map(|i| case.ids[i]);
    for (selectors, want) in [
        (one("env", "=", &["prod"]), vec![prod]),
        (one("env", "!=", &["prod"]), vec![test, none]), // E112
        (one("env", "in", &["prod", "test", "prod"]), vec![prod, test]),
        (one("env", "notin", &["prod", "x"]), vec![test, none]),
        (one("env", "exists", &[]), vec![prod, test]),
        (one("env", "!", &[]), vec![none]),
        (one("ENV", "exists", &[]), vec![]),
        (one("env", "=", &["PROD"]), vec![]),
        (one("env", "=", &["\"]}'"]), vec![]),
        (one("a.b", "=", &["x"]), vec![prod]), // D25
        (one("a", "exists", &[]), vec![]),
        (json!([{"key": "env", "operator": "exists"}, {"key": "a.b", "operator": "!"}]), vec![test]),
        (json!([]), vec![prod, test, none]),
        (Value::Null, vec![prod, test, none]),
    ] {
        assert_eq!(case.selected(&selectors), want, "{selectors}");
    }
    // They meet the other filters.
    let more = json!({"selectors": one("env", "exists", &[]), "bk_host_ids": [case.estate.hosts[1], case.estate.hosts[2]],
        "bk_module_id": case.estate.module, "search_key": "_p", "page": {"limit": 5, "sort": "-id"}});
    assert_eq!(ids(&case.app.post("/findmany/proc/service_instance", case.with_business(more))), [test]);
    let more =
        json!({"selectors": one("env", "exists", &[]), "service_instance_ids": [prod, none], "page": {"limit": 5}});
    assert_eq!(ids(&case.app.post("/findmany/proc/service_instance/details", case.with_business(more))), [prod]);
}

#[test]
fn e113_aggregation() {
    let case = Case::new(3);
    case.app
        .post("/findmany/proc/service_instance/labels/aggregation", json!({}))
        .fails_with(1_199_011)
        .naming("bk_biz_id");
    assert_eq!(case.aggregation(json!({})).data(), json!({})); // E113
    case.replace(&case.ids[2..], json!({"env": "first"})).data();
    case.replace(&case.ids[..1], json!({"env": "prod", "zone": "b"})).data();
    case.replace(&case.ids[1..2], json!({})).data();
    // In the order of the instances, whichever got theirs first.
    assert_eq!(case.aggregation(json!({})).data(), json!({"env": ["prod", "first"], "zone": ["b"]}));
    case.replace(&case.ids[1..2], json!({"zone": "a", "env": "prod"})).data();
    let all = json!({"env": ["prod", "first"], "zone": ["b", "a"]});
    assert_eq!(case.aggregation(json!({})).data(), all);
    assert_eq!(case.aggregation(json!({"bk_module_id": case.estate.module})).data(), all);
    assert_eq!(case.aggregation(json!({"bk_module_id": null})).data(), all);
    assert_eq!(case.aggregation(json!({"bk_module_id": 0})).data(), json!({}));
    assert_eq!(case.aggregation(json!({"bk_biz_id": 2})).data(), json!({})); // I-27
}

const KEYS: [&str; 4] = ["a", "b", "a.b", "A"];

fn any_labels() -> impl Strategy<Value = Option<BTreeMap<&'static str, String>>> {
    prop::option::of(prop::collection::btree_map(prop::sample::select(&KEYS[..]), "[1-3]", 0..4))
}

fn any_selectors() -> impl Strategy<Value = Vec<SelectorIn>> {
    let values = |sizes| prop::collection::vec("[1-3]", sizes);
    let how = prop_oneof![
        (prop::sample::select(vec!["=", "!="]), values(1..2)),
        (prop::sample::select(vec!["in", "notin"]), values(1..4)),
        (prop::sample::select(vec!["exists", "!"]), values(0..1)),
    ];
    let one = (prop::sample::select(&KEYS[..]), how).prop_map(|(key, (operator, values))| SelectorIn {
        key: key.into(),
        operator: operator.into(),
        values,
    });
    prop::collection::vec(one, 0..4)
}

/// The store selects what the rule selects (`instances` 12.1, I-22), what was put in place is read back (I-21), and the aggregation is the
/// fold over the list (I-23).
#[test]
fn the_store_selects_as_the_rule_does() {
    const INSTANCES: usize = 5;
    let case = Case::new(INSTANCES);
    let input = (prop::collection::vec(any_labels(), INSTANCES), prop::collection::vec(any_selectors(), 6));
    let mut runner = TestRunner::new(Config { cases: 40, failure_persistence: None, ..Config::default() });
    let ran = runner.run(&input, |(labels, asked)| {
        for (id, labels) in case.ids.iter().zip(&labels) {
            case.replace(&[*id], json!(labels)).data();
        }
        prop_assert_eq!(case.labels(), labels.iter().map(|labels| json!(labels)).collect::<Vec<_>>());
        let stored: Vec<Option<Labels>> = labels
            .iter()
            .map(|labels| {
                let own = |labels: &BTreeMap<&str, String>| {
                    labels.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect()
                };
                labels.as_ref().map(own)
            })
            .collect();
        for asked in asked {
            let selectors = Selectors::read(&asked).unwrap();
            let want = case.ids.iter().zip(&stored).filter(|(_, labels)| selectors.matches(labels.as_ref()));
            let want: Vec<_> = want.map(|(id, _)| *id).collect();
            let sent = asked.iter().map(|it| json!({"key": it.key, "operator": it.operator, "values": it.values}));
            let body = case.with_business(json!({"selectors": sent.collect::<Vec<_>>(), "page": {"sort": "id"}}));
            prop_assert_eq!(ids(&case.app.post("/findmany/proc/service_instance", body)), want, "{:?}", asked);
        }
        let mut fold: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (key, value) in labels.iter().flatten().flatten() {
            let values = fold.entry(*key).or_default();
            if !values.contains(&value.as_str()) {
                values.push(value);
            }
        }
        prop_assert_eq!(case.aggregation(json!({})).data(), json!(fold));
        Ok(())
    });
    ran.unwrap();
}
