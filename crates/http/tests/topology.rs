//! Businesses, sets, modules, the tree, categories and attributes through the doors (`topology` 5 to 8, 11, 17).

mod support;

use rollcall_app::access::Action;
use rollcall_store::{StoreError, Tx};
use serde_json::{Value, json};
use support::{Answer, TestApp};

fn create_business(app: &TestApp, name: &str) -> i64 {
    let record = json!({"bk_biz_name": name, "bk_biz_maintainer": "ops"});
    let business = app.post("/biz/0", record).data();
    business["bk_biz_id"].as_i64().unwrap()
}

fn create_set(app: &TestApp, business: i64, name: &str) -> i64 {
    let record = json!({"bk_set_name": name, "bk_parent_id": business});
    let set = app.post(&format!("/set/{business}"), record).data();
    set["bk_set_id"].as_i64().unwrap()
}

fn create_module(app: &TestApp, business: i64, set: i64, name: &str) -> i64 {
    let record = json!({"bk_module_name": name, "bk_parent_id": set});
    let module = app.post(&format!("/module/{business}/{set}"), record).data();
    module["bk_module_id"].as_i64().unwrap()
}

/// Count and the values of one field of a list.
fn listed(answer: &Answer, field: &str) -> (i64, Vec<Value>) {
    let data = answer.data();
    let info = data["info"].as_array().unwrap();
    let values = info.iter().map(|row| row[field].clone()).collect();
    (data["count"].as_i64().unwrap(), values)
}

fn check_list(answer: &Answer, field: &str, count: i64, want: Value) {
    let (got, values) = listed(answer, field);
    assert_eq!((got, json!(values)), (count, want), "{}", answer.text);
}

/// Every key of `want` is in `got` with the same value; times are not compared.
fn has_recorded(got: &Value, want: Value) {
    for (key, value) in want.as_object().unwrap() {
        match key.as_str() {
            "create_time" | "last_time" => {
                assert!(got[key].as_str().is_some_and(|time| time.contains('T')));
            }
            _ => assert_eq!(&got[key], value, "{key} in {got}"),
        }
    }
}

/// Rows of the tables that a failed call must leave as they are.
fn traces(app: &TestApp) -> Vec<i64> {
    [
        "SELECT count(*) FROM business",
        "SELECT count(*) FROM topology_set",
        "SELECT count(*) FROM module",
        "SELECT count(*) FROM audit",
        "SELECT count(*) FROM event",
    ]
    .into_iter()
    .map(|sql| app.number(sql))
    .collect()
}

/// Type, action, id, name and business of the entries about a kind of record, with their details.
fn audited(app: &TestApp, resource: &str) -> Vec<(Value, Value)> {
    let sql = "SELECT audit_type, action, resource_id, resource_name, business_id, detail FROM audit
        WHERE resource_type = $1 ORDER BY id";
    let entries: Result<_, StoreError> = app.store.read(false, |tx| {
        tx.list(sql, &[resource.into()], |row| {
            let (kind, action, id) = (row.text(0)?, row.text(1)?, row.int(2)?);
            let entry = json!([kind, action, id, row.text(3)?, row.int(4)?]);
            Ok((entry, serde_json::from_str(row.text(5)?).unwrap()))
        })
    });
    entries.unwrap()
}

#[test]
fn search_business_without_anything_answers_all_but_the_pool() {
    // topology E1, E2; clients 3.3.
    let app = TestApp::new();
    let search = |body: Value| app.post("/biz/search/0", body);
    check_list(&search(json!({})), "bk_biz_name", 1, json!(["蓝鲸"]));
    check_list(&app.post("/biz/search/bk_supplier_account", ""), "bk_biz_id", 1, json!([2]));
    let id = create_business(&app, "Shop");
    assert_eq!(id, 3);
    let by = |condition: Value| search(json!({"condition": condition}));
    check_list(&by(json!({"bk_biz_name": "蓝"})), "bk_biz_id", 1, json!([2]));
    check_list(&by(json!({"bk_biz_name": "sHO"})), "bk_biz_id", 1, json!([3]));
    check_list(&by(json!({"bk_biz_name": "S.op"})), "bk_biz_id", 0, json!([]));
    check_list(&by(json!({"bk_biz_maintainer": "ops"})), "bk_biz_id", 1, json!([3]));
    check_list(&by(json!({"bk_biz_maintainer": "op"})), "bk_biz_id", 0, json!([]));
    check_list(&by(json!({"bk_biz_id": 3})), "bk_biz_id", 1, json!([3]));
    check_list(&by(json!({"bk_biz_id": {"$in": [2, 3, 9]}})), "bk_biz_id", 2, json!([2, 3]));
    check_list(&by(json!({"default": 1})), "bk_biz_id", 2, json!([2, 3]));
    check_list(&by(json!({})), "bk_biz_id", 2, json!([2, 3]));
    // topology E4: nothing can be archived yet, but the clause is honoured.
    check_list(&by(json!({"bk_data_status": "disabled"})), "bk_biz_id", 0, json!([]));
    check_list(&by(json!({"bk_data_status": "enable"})), "bk_biz_id", 2, json!([2, 3]));
}

#[test]
fn search_business_pages_sorts_and_projects() {
    let app = TestApp::new();
    for name in ["c", "a", "b"] {
        create_business(&app, name);
    }
    let search = |body: Value| app.post("/biz/search/0", body);
    let page = |page: Value| search(json!({"page": page, "condition": {"bk_biz_maintainer": "ops"}}));
    let fields = search(json!({"fields": ["bk_biz_name", "nothing"], "page": {"start": 0, "limit": 1}}));
    // topology 5.1: the example.
    assert_eq!(fields.data(), json!({"count": 4, "info": [{"bk_biz_id": 2, "bk_biz_name": "蓝鲸", "default": 0}]}));
    check_list(&page(json!({"sort": "bk_biz_name"})), "bk_biz_name", 3, json!(["a", "b", "c"]));
    check_list(&page(json!({"sort": "-bk_biz_id", "limit": 2})), "bk_biz_id", 3, json!([5, 4]));
    check_list(&page(json!({"start": 1, "limit": 1})), "bk_biz_id", 3, json!([4]));
    check_list(&page(json!({"start": 9, "limit": 1})), "bk_biz_id", 3, json!([]));
    check_list(&page(json!({"enable_count": true})), "bk_biz_id", 3, json!([]));
    page(json!({"enable_count": true, "limit": 1})).fails_with(1_199_006);
    page(json!({"start": -1})).fails_with(1_199_006);
    page(json!({"limit": "1"})).fails_with(1_199_000);
    page(json!(7)).fails_with(1_199_000);
}

#[test]
fn filters_of_later_releases_are_refused_not_ignored() {
    // topology E3.
    let app = TestApp::new();
    let rules = json!({"condition": "AND", "rules": [{"field": "bk_biz_id", "operator": "equal", "value": 2}]});
    for body in [
        json!({"condition": {"bk_biz_id": 2}, "biz_property_filter": rules}),
        json!({"biz_property_filter": rules}),
        json!({"biz_property_filter": {}}),
    ] {
        app.post("/biz/search/0", body).fails_with(1_199_006).naming("biz_property_filter");
    }
    let null = json!({"biz_property_filter": null, "time_condition": null});
    app.post("/biz/search/0", null).data();
    for field in ["filter", "time_condition"] {
        app.post("/set/search/0/2", json!({field: rules})).fails_with(1_199_006).naming(field);
    }
    app.post("/set/search/0/2", json!({"condition": {"default": 1}, "filter": rules})).fails_with(1_199_006);
    // topology 7.4, 16 invariant 15: search_module never had one, so it is a key without meaning.
    check_list(&app.post("/findmany/module/biz/2", json!({"filter": rules})), "default", 3, json!([1, 2, 3]));
}

#[test]
fn search_business_is_limited_to_what_the_caller_may_find() {
    // gateway 5.3.
    let app = TestApp::with().administrator("boss").start();
    let record = |name: &str| json!({"bk_biz_name": name, "bk_biz_maintainer": "x"});
    app.native_as("boss", "POST", "/biz/0", record("a")).data();
    let search = |user: &str, body: Value| app.native_as(user, "POST", "/biz/search/0", body);
    check_list(&search("ann", json!({})), "bk_biz_id", 0, json!([]));
    app.grant("ann", Action::FindBusiness, Some(3));
    check_list(&search("ann", json!({})), "bk_biz_id", 1, json!([3]));
    check_list(&search("ann", json!({"page": {"enable_count": true}})), "bk_biz_id", 1, json!([]));
    app.grant("ann", Action::FindBusiness, None);
    check_list(&search("ann", json!({})), "bk_biz_id", 2, json!([2, 3]));
    check_list(&search("boss", json!({})), "bk_biz_id", 2, json!([2, 3]));
}

#[test]
fn create_business_answers_the_row_and_makes_its_idle_set() {
    // Recordings biz.create, topo.internal; topology E6.
    let app = TestApp::new();
    let before = traces(&app);
    let body = json!({"bk_biz_name": "oracle_biz", "bk_biz_maintainer": "admin", "life_cycle": "2", "language": "1",
        "time_zone": "Asia/Shanghai", "default": 1, "bk_biz_id": 77, "bk_supplier_account": "x", "unknown": [1]});
    let business = app.post("/biz/0", body).data();
    has_recorded(
        &business,
        json!({"bk_biz_developer": null, "bk_biz_id": 3, "bk_biz_maintainer": "admin", "bk_biz_name": "oracle_biz",
            "bk_biz_productor": null, "bk_biz_tester": null, "bk_supplier_account": "0", "create_time": "", "default": 0,
            "language": "1", "last_time": "", "life_cycle": "2", "operator": null, "time_zone": "Asia/Shanghai",
            "bk_data_status": "enable", "bk_created_by": "ops"}),
    );
    assert_eq!(business["unknown"], Value::Null);
    let internal = app.native("GET", "/topo/internal/0/3", "").data();
    assert_eq!(
        internal,
        json!({"bk_set_id": 3, "bk_set_name": "空闲机池", "module": [
            {"bk_module_id": 7, "bk_module_name": "空闲机", "default": 1, "host_apply_enabled": false},
            {"bk_module_id": 8, "bk_module_name": "故障机", "default": 2, "host_apply_enabled": false},
            {"bk_module_id": 9, "bk_module_name": "待回收", "default": 3, "host_apply_enabled": false}]})
    );
    // topology 12.5, 16 invariant 10: one event and one entry a row.
    let made: Vec<_> = traces(&app).iter().zip(&before).map(|(now, then)| now - then).collect();
    assert_eq!(made, [1, 1, 3, 5, 5]);
    let kinds = "SELECT kind FROM event ORDER BY id";
    let read = |tx: &mut dyn Tx| tx.list(kinds, &[], |row| row.int(0));
    assert_eq!(app.store.read::<_, StoreError>(true, read).unwrap(), [4, 5, 6, 6, 6]);
    let entries = audited(&app, "business");
    assert_eq!(entries.len(), 1);
    let (entry, detail) = &entries[0];
    assert_eq!(*entry, json!(["business", "create", 3, "oracle_biz", 3]));
    assert_eq!(detail["bk_obj_id"], "biz");
    let changed = json!({"pre_data": null, "cur_data": business, "update_fields": null});
    assert_eq!(detail["details"], changed);
}

#[test]
fn a_second_business_of_the_same_name_leaves_nothing_behind() {
    // topology E5; recording biz.create.missing_name.
    let app = TestApp::new();
    create_business(&app, "shop");
    let before = traces(&app);
    let create = |body: Value| app.post("/biz/0", body);
    for taken in ["shop", " shop ", "资源池", "蓝鲸"] {
        create(json!({"bk_biz_name": taken, "bk_biz_maintainer": "x"})).fails_with(1_199_014).naming("bk_biz_name");
    }
    create(json!({"bk_biz_maintainer": "x"})).fails_with(1_199_010).naming("bk_biz_name");
    create(json!({"bk_biz_name": "new"})).fails_with(1_199_010).naming("bk_biz_maintainer");
    create(json!({"bk_biz_name": "", "bk_biz_maintainer": ""})).fails_with(1_199_010);
    create(json!({"bk_biz_name": 5, "bk_biz_maintainer": "x"})).fails_with(1_199_011).naming("bk_biz_name");
    create(json!({"bk_biz_name": "n", "bk_biz_maintainer": "x", "language": "7"}))
        .fails_with(1_199_011)
        .naming("language");
    create(json!({"bk_biz_name": "n", "bk_biz_maintainer": "x", "time_zone": []}))
        .fails_with(1_199_011)
        .naming("time_zone");
    for nonsense in ["[]", "7", "\"x\"", "{", "{}}"] {
        app.post("/biz/0", nonsense).fails_with(1_199_000);
    }
    assert_eq!(traces(&app), before);
    // design 4: the last two may be left out.
    let lenient = create(json!({"bk_biz_name": "n", "bk_biz_maintainer": "x"})).data();
    has_recorded(&lenient, json!({"time_zone": "Asia/Shanghai", "language": "1", "life_cycle": "2"}));
}

#[test]
fn create_business_needs_the_right_and_its_maker_sees_it() {
    // gateway 5.3, 8.3.
    let app = TestApp::with().start();
    let record = json!({"bk_biz_name": "a", "bk_biz_maintainer": "x"});
    let create = |user: &str| app.native_as(user, "POST", "/biz/0", record.clone());
    let before = traces(&app);
    let refused = create("ann");
    refused.fails_with(9_900_403);
    let permission = refused.json()["permission"].clone();
    assert_eq!(permission["actions"][0]["id"], "create_business");
    assert_eq!(permission["actions"][0]["related_resource_types"], json!([]));
    assert_eq!(traces(&app), before);
    app.grant("ann", Action::CreateBusiness, None);
    create("ann").data();
    assert_eq!(app.send("GET", "/healthz", &[], "").status, 200);
    let seen = app.native_as("ann", "POST", "/biz/search/0", "{}");
    check_list(&seen, "bk_biz_id", 1, json!([3]));
}

#[test]
fn create_set_answers_the_row() {
    // Recording set.create; topology 6.1.
    let app = TestApp::new();
    let business = create_business(&app, "a");
    let before = traces(&app);
    let body = json!({"bk_set_name": " set1 ", "bk_parent_id": business, "bk_supplier_account": "0", "bk_biz_id": 999,
        "bk_service_status": "1", "bk_set_env": "2", "bk_set_id": 1, "default": 1, "set_template_id": 0});
    let set = app.post(&format!("/set/{business}"), body).data();
    has_recorded(
        &set,
        json!({"bk_set_id": 4, "bk_set_name": "set1", "bk_biz_id": 3, "bk_parent_id": 3, "default": 0, "bk_set_env": "2",
            "bk_service_status": "1", "set_template_id": 0, "bk_supplier_account": "0", "bk_capacity": null,
            "bk_set_desc": "", "description": "", "create_time": "", "last_time": ""}),
    );
    let made: Vec<_> = traces(&app).iter().zip(&before).map(|(now, then)| now - then).collect();
    assert_eq!(made, [0, 1, 0, 1, 1]);
    let entries = audited(&app, "set");
    let (entry, detail) = entries.last().unwrap();
    assert_eq!(*entry, json!(["business_resource", "create", 4, "set1", 3]));
    assert_eq!((&detail["bk_obj_id"], &detail["details"]["cur_data"]), (&json!("set"), &set));
}

#[test]
fn sets_that_cannot_be_made() {
    // topology E9, E10; recordings set.create.*.
    let app = TestApp::new();
    let business = create_business(&app, "a");
    let other = create_business(&app, "b");
    create_set(&app, business, "set1");
    let before = traces(&app);
    let create = |more: Value| {
        let mut body = json!({"bk_set_name": "s", "bk_parent_id": business});
        for (key, value) in more.as_object().unwrap() {
            body[key] = value.clone();
        }
        app.post(&format!("/set/{business}"), body)
    };
    for name in ["a b", "a/b", "a|b", "a\tb"] {
        create(json!({"bk_set_name": name})).fails_with(1_199_006).naming("bk_set_name");
    }
    create(json!({"bk_set_name": "n".repeat(257)})).fails_with(1_199_006).naming("bk_set_name");
    create(json!({"bk_set_name": "set1"})).fails_with(1_101_108);
    create(json!({"bk_set_name": "空闲机池"})).fails_with(1_101_108);
    create(json!({"bk_set_name": ""})).fails_with(1_199_010).naming("bk_set_name");
    create(json!({"bk_set_name": null})).fails_with(1_199_010).naming("bk_set_name");
    create(json!({"bk_parent_id": null})).fails_with(1_199_010).naming("bk_parent_id");
    for parent in [json!(0), json!(-1), json!(other), json!("3"), json!(3.5), json!([])] {
        create(json!({"bk_parent_id": parent})).fails_with(1_199_006).naming("bk_parent_id");
    }
    create(json!({"set_template_id": "x"})).fails_with(1_199_006).naming("set_template_id");
    for template in [1, -1] {
        create(json!({"set_template_id": template})).fails_with(1_199_019).naming("set_template_id");
    }
    create(json!({"bk_capacity": 0})).fails_with(1_199_011).naming("bk_capacity");
    create(json!({"bk_set_env": 3})).fails_with(1_199_011).naming("bk_set_env");
    let unknown = json!({"bk_set_name": "x", "bk_parent_id": 99999, "bk_biz_id": 99999});
    app.post("/set/99999", unknown).fails_with(1_199_011).naming("bk_biz_id");
    let none = json!({"bk_set_name": "x", "bk_parent_id": 0});
    app.post("/set/0", none.clone()).fails_with(1_199_006).naming("bk_biz_id");
    app.post("/set/-4", none.clone()).fails_with(1_199_006).naming("bk_biz_id");
    app.post("/set/abc", none).fails_with(1_199_009).naming("bk_biz_id");
    app.post(&format!("/set/{business}"), "[]").fails_with(1_199_000);
    assert_eq!(traces(&app), before);
    // The same name under another business is another name.
    create_set(&app, other, "set1");
}

#[test]
fn every_fault_of_a_record_is_named() {
    let app = TestApp::new();
    let body = json!({"bk_set_name": "a b", "bk_parent_id": 2, "bk_set_env": "9", "bk_capacity": -1});
    app.post("/set/2", body).fails_with(1_199_006).naming("bk_set_name").naming("bk_set_env").naming("bk_capacity");
}

#[test]
fn writing_the_tree_needs_the_right_on_the_business() {
    // gateway 5.3; design 4: a business the caller has no right on is refused whether it exists or not.
    let app = TestApp::with().administrator("boss").start();
    for name in ["a", "b"] {
        app.native_as("boss", "POST", "/biz/0", json!({"bk_biz_name": name, "bk_biz_maintainer": "x"})).data();
    }
    app.grant("ann", Action::CreateTopology, Some(3));
    let before = traces(&app);
    let set = |business: i64| {
        let body = json!({"bk_set_name": "s", "bk_parent_id": business});
        app.native_as("ann", "POST", &format!("/set/{business}"), body)
    };
    let module = |business: i64, set: i64, name: &str| {
        let body = json!({"bk_module_name": name, "bk_parent_id": set});
        app.native_as("ann", "POST", &format!("/module/{business}/{set}"), body)
    };
    for business in [2, 4, 999] {
        let refused = set(business);
        refused.fails_with(9_900_403);
        let node = refused.json()["permission"]["actions"][0]["related_resource_types"][0]["instances"][0][0].clone();
        assert_eq!((&node["type"], &node["id"]), (&json!("biz"), &json!(business.to_string())));
        module(business, 2, "m").fails_with(9_900_403);
    }
    assert_eq!(traces(&app), before);
    let own = set(3).data()["bk_set_id"].as_i64().unwrap();
    module(3, own, "m").data();
    // Sets of another business and sets that are not there look the same.
    let (foreign, absent) = (module(3, 4, "m"), module(3, 999, "m"));
    foreign.fails_with(1_199_011).naming("bk_biz_id/bk_set_id");
    assert_eq!(foreign.message().replace('4', "N"), absent.message().replace("999", "N"));
}

#[test]
fn create_module_answers_the_row() {
    // Recording module.create.default_category; topology E15.
    let app = TestApp::new();
    let business = create_business(&app, "a");
    let set = create_set(&app, business, "s");
    let path = format!("/module/{business}/{set}");
    let body = json!({"bk_module_name": "m_default", "bk_parent_id": set, "host_apply_enabled": true, "default": 1});
    let module = app.post(&path, body).data();
    has_recorded(
        &module,
        json!({"bk_bak_operator": null, "bk_biz_id": business, "bk_module_id": 10, "bk_module_name": "m_default",
            "bk_module_type": "1", "bk_parent_id": set, "bk_set_id": set, "bk_supplier_account": "0", "create_time": "",
            "default": 0, "host_apply_enabled": false, "last_time": "", "operator": null, "service_category_id": 2,
            "service_template_id": 0, "set_template_id": 0}),
    );
    let body = json!({"bk_module_name": "redis", "bk_parent_id": set, "service_category_id": 5, "operator": "ann"});
    has_recorded(&app.post(&path, body).data(), json!({"service_category_id": 5, "operator": "ann"}));
    let entries = audited(&app, "module");
    let (entry, detail) = &entries[3];
    assert_eq!(*entry, json!(["business_resource", "create", 10, "m_default", business]));
    assert_eq!((&detail["bk_obj_id"], &detail["details"]["cur_data"]), (&json!("module"), &module));
}

#[test]
fn modules_that_cannot_be_made() {
    // topology E16, 7.1; recordings module.create.*.
    let app = TestApp::new();
    let business = create_business(&app, "a");
    let set = create_set(&app, business, "s");
    let other = create_business(&app, "b");
    let foreign = create_set(&app, other, "s");
    create_module(&app, business, set, "m_plain");
    let before = traces(&app);
    let create = |more: Value| {
        let mut body = json!({"bk_module_name": "m", "bk_parent_id": set});
        for (key, value) in more.as_object().unwrap() {
            body[key] = value.clone();
        }
        app.post(&format!("/module/{business}/{set}"), body)
    };
    create(json!({"bk_module_name": "m_plain"})).fails_with(1_199_014).naming("bk_module_name");
    create(json!({"bk_module_name": ""})).fails_with(1_199_010).naming("bk_module_name");
    create(json!({"bk_module_name": null})).fails_with(1_199_010).naming("bk_module_name");
    create(json!({"bk_module_name": "a b"})).fails_with(1_199_006).naming("bk_module_name");
    create(json!({"bk_parent_id": null})).fails_with(1_199_010).naming("bk_parent_id");
    create(json!({"bk_parent_id": foreign})).fails_with(1_199_006).naming("bk_parent_id");
    create(json!({"service_template_id": 99999})).fails_with(1_199_006).naming("service_template_id");
    create(json!({"service_template_id": "1"})).fails_with(1_199_006).naming("service_template_id");
    create(json!({"service_category_id": 99999})).fails_with(1_199_019).naming("service_category_id");
    create(json!({"service_category_id": -1})).fails_with(1_199_006).naming("service_category_id");
    create(json!({"service_category_id": true})).fails_with(1_199_006).naming("service_category_id");
    create(json!({"bk_module_type": "3"})).fails_with(1_199_011).naming("bk_module_type");
    let into = |business: i64, set: i64| {
        app.post(&format!("/module/{business}/{set}"), json!({"bk_module_name": "x", "bk_parent_id": set}))
    };
    into(business, foreign).fails_with(1_199_011).naming("bk_biz_id/bk_set_id");
    into(business, 99999).fails_with(1_199_011);
    into(business, 0).fails_with(1_199_011);
    into(business, 3).fails_with(1_101_098);
    into(99999, set).fails_with(1_199_011);
    into(0, set).fails_with(1_199_006).naming("bk_biz_id");
    app.post(&format!("/module/{business}/x"), json!({})).fails_with(1_199_009).naming("bk_set_id");
    assert_eq!(traces(&app), before);
}

#[test]
fn search_set_by_condition_page_and_fields() {
    // topology 6.4, 3.4.
    let app = TestApp::new();
    let business = create_business(&app, "a");
    let other = create_business(&app, "b");
    create_set(&app, other, "foreign");
    for (name, env) in [("s1", "1"), ("s2", "3"), ("t1", "3")] {
        let record = json!({"bk_set_name": name, "bk_parent_id": business, "bk_set_env": env});
        app.post(&format!("/set/{business}"), record).data();
    }
    let search = |body: Value| app.post(&format!("/set/search/0/{business}"), body);
    check_list(&search(json!({})), "bk_set_name", 4, json!(["空闲机池", "s1", "s2", "t1"]));
    let by = |condition: Value| search(json!({"condition": condition}));
    for (condition, want) in [
        (json!({"bk_set_env": "3", "default": 0}), json!(["s2", "t1"])),
        (json!({"bk_set_name": "s1"}), json!(["s1"])),
        (json!({"bk_set_name": "S1"}), json!([])),
        (json!({"bk_set_name": "s"}), json!([])),
        (json!({"bk_set_name": {"$regex": "^s[0-9]$"}}), json!(["s1", "s2"])),
        (json!({"bk_set_name": {"$in": ["t1", "foreign"]}}), json!(["t1"])),
        (json!({"$or": [{"bk_set_name": "t1"}, {"default": 1}]}), json!(["空闲机池", "t1"])),
        // The business in the path wins.
        (json!({"bk_biz_id": other, "bk_set_name": "s2"}), json!(["s2"])),
        (json!({"nothing": 5}), json!([])),
    ] {
        let count = i64::try_from(want.as_array().unwrap().len()).unwrap();
        check_list(&by(condition), "bk_set_name", count, want);
    }
    for page in [json!({"start": 1, "limit": 2}), json!({"start": 1, "limit": 2, "sort": "bk_set_id"})] {
        check_list(&search(json!({"page": page})), "bk_set_name", 4, json!(["s1", "s2"]));
    }
    let sorted = json!({"page": {"start": 0, "limit": 2, "sort": "-bk_set_name"}, "condition": {"default": 0}});
    check_list(&search(sorted), "bk_set_name", 3, json!(["t1", "s2"]));
    let cut = search(json!({"fields": ["bk_set_name", "bk_set_env"], "condition": {"bk_set_name": "s1"}})).data();
    assert_eq!(cut["info"], json!([{"bk_set_name": "s1", "bk_set_env": "1"}]));
    check_list(&search(json!({"page": {"enable_count": true}})), "bk_set_id", 4, json!([]));
}

#[test]
fn search_set_refuses_nonsense() {
    let app = TestApp::new();
    let search = |body: Value| app.post("/set/search/0/2", body);
    for (page, path) in [
        (json!({"limit": 1001}), "page.limit"),
        (json!({"limit": -1}), "page.limit"),
        (json!({"start": -1}), "page.start"),
        (json!({"enable_count": true, "start": 1}), "page.enable_count"),
    ] {
        search(json!({"page": page})).fails_with(1_199_006).naming(path);
    }
    search(json!({"condition": {"bk_set_name": {"$regex": "("}}})).fails_with(1_199_006).naming("condition");
    search(json!({"condition": {"bk_set_name": {"$where": "1"}}})).fails_with(1_199_006).naming("condition");
    search(json!({"condition": []})).fails_with(1_199_000);
    search(json!({"fields": "bk_set_id"})).fails_with(1_199_000);
    search(json!({"fields": [1]})).fails_with(1_199_000);
    app.post("/set/search/0/0", "{}").fails_with(1_199_006).naming("bk_biz_id");
    app.post("/set/search/0/x", "{}").fails_with(1_199_009).naming("bk_biz_id");
    check_list(&app.post("/set/search/0/999", "{}"), "bk_set_id", 0, json!([]));
}

#[test]
fn search_module_of_one_set_or_all() {
    // topology E18; recording module.search.
    let app = TestApp::new();
    let business = create_business(&app, "a");
    let (one, two) = (create_set(&app, business, "s1"), create_set(&app, business, "s2"));
    for (set, name) in [(one, "m1"), (two, "m2"), (one, "m3")] {
        create_module(&app, business, set, name);
    }
    let all = json!(["空闲机", "故障机", "待回收", "m1", "m2", "m3"]);
    let everywhere = format!("/findmany/module/biz/{business}");
    for path in [everywhere.clone(), format!("/module/search/0/{business}/0")] {
        check_list(&app.post(&path, "{}"), "bk_module_name", 6, all.clone());
    }
    let recorded = json!({"condition": {}, "fields": [], "page": {"start": 0, "limit": 20, "sort": "bk_module_id"}});
    let of_set = format!("/module/search/0/{business}/{one}");
    check_list(&app.post(&of_set, recorded), "bk_module_name", 2, json!(["m1", "m3"]));
    check_list(&app.post(&everywhere, json!({"bk_set_id": two})), "bk_module_name", 1, json!(["m2"]));
    let search = |body: Value| app.post(&everywhere, body);
    let by = |condition: Value| search(json!({"condition": condition}));
    // clients 4: gsekit.
    check_list(&by(json!({"service_template_id": 5})), "bk_module_name", 0, json!([]));
    check_list(&by(json!({"bk_module_name": "m2"})), "bk_set_id", 1, json!([two]));
    check_list(&by(json!({"bk_set_id": one, "bk_biz_id": 1})), "bk_module_name", 2, json!(["m1", "m3"]));
    // The set in the path wins over the one in the condition.
    let both = json!({"condition": {"bk_set_id": two}});
    check_list(&app.post(&of_set, both), "bk_module_name", 2, json!(["m1", "m3"]));
    let page = json!({"page": {"start": 4, "limit": 1}, "fields": ["bk_module_name"]});
    assert_eq!(search(page).data(), json!({"count": 6, "info": [{"bk_module_name": "m2"}]}));
    let sorted = json!({"page": {"sort": "-bk_module_name", "limit": 2}, "condition": {"default": 0}});
    check_list(&search(sorted), "bk_module_name", 3, json!(["m3", "m2"]));
    check_list(&search(json!({"page": {"limit": 5000}})), "bk_module_name", 6, all);
    search(json!({"page": {"limit": -5}})).fails_with(1_199_006).naming("page.limit");
    // Of no other business.
    check_list(&app.post(&format!("/module/search/0/2/{one}"), "{}"), "bk_module_id", 0, json!([]));
    app.post("/module/search/0/2/x", "{}").fails_with(1_199_009).naming("bk_set_id");
    app.post("/findmany/module/biz/-1", "{}").fails_with(1_199_006).naming("bk_biz_id");
}

#[test]
fn a_list_without_a_page_is_bounded() {
    // design 4.
    let app = TestApp::with()
        .settings(|settings| {
            settings.dev = true;
            settings.limits.unpaged_rows = 2;
        })
        .start();
    for body in [json!({}), json!({"condition": {"bk_biz_id": 2}}), json!({"page": {"sort": "-default"}})] {
        app.post("/findmany/module/biz/2", body).fails_with(1_199_059);
    }
    let page = |limit: i64| app.post("/findmany/module/biz/2", json!({"page": {"limit": limit}}));
    check_list(&page(2), "default", 3, json!([1, 2]));
    page(3).fails_with(1_199_059);
    let counted = json!({"page": {"enable_count": true}});
    check_list(&app.post("/findmany/module/biz/2", counted), "default", 3, json!([]));
    // clients 3.3: all businesses in one answer.
    for name in ["a", "b", "c"] {
        create_business(&app, name);
    }
    check_list(&app.post("/biz/search/0", "{}"), "bk_biz_id", 4, json!([2, 3, 4, 5]));
}

#[test]
fn the_tree_of_a_business() {
    // topology E7, E8; clients 8: contract point 1.
    let app = TestApp::new();
    let business = create_business(&app, "a");
    let tree = |path: &str| app.native("GET", path, "").data();
    let fresh = json!([{"bk_obj_id": "biz", "bk_obj_name": "Business", "bk_inst_id": business, "bk_inst_name": "a",
        "default": 0, "child": []}]);
    let old = format!("/topo/inst/0/{business}");
    assert_eq!(tree(&old), fresh);
    assert_eq!(tree(&format!("{old}?level=-1")), fresh);
    let new = format!("/find/topoinst/biz/{business}");
    assert_eq!(app.post(&new, "").data(), fresh);
    assert_eq!(app.post("/find/topoinst/biz/999", "").data(), json!([]));
    app.post("/find/topoinst/biz/abc", "").fails_with(1_199_998);
    app.post("/find/topoinst/biz/0", "").fails_with(1_199_006).naming("bk_biz_id");

    let names = |tree: &Value| {
        let sets = tree[0]["child"].as_array().unwrap();
        let named = |node: &Value| node["bk_inst_name"].clone();
        let set =
            |set: &Value| json!([named(set), set["child"].as_array().unwrap().iter().map(named).collect::<Vec<_>>()]);
        Value::from(sets.iter().map(set).collect::<Vec<_>>())
    };
    let built_in = json!(["空闲机池", ["空闲机", "故障机", "待回收"]]);
    assert_eq!(names(&tree(&format!("{old}?with_default=1"))), json!([built_in]));
    assert_eq!(names(&tree(&format!("{old}?with_default="))), json!([built_in]));
    // A query is read here beside a body.
    assert_eq!(names(&app.post(&format!("{new}?with_default=1"), "{}").data()), json!([built_in]));
    let zoo = create_set(&app, business, "zoo");
    let ant = create_set(&app, business, "ant");
    create_module(&app, business, zoo, "y");
    create_module(&app, business, zoo, "x");
    let by_id = json!([["zoo", ["y", "x"]], ["ant", []]]);
    assert_eq!(names(&tree(&old)), by_id);
    assert_eq!(names(&app.post(&new, json!({"level": 2})).data()), by_id);
    let sorted = tree(&format!("{old}?need_sort=true&with_default=1"));
    assert_eq!(names(&sorted), json!([built_in, ["ant", []], ["zoo", ["x", "y"]]]));
    let whole = tree(&old);
    let set = &whole[0]["child"][1];
    assert_eq!((&set["bk_inst_id"], &set["bk_obj_name"], &set["child"]), (&json!(ant), &json!("Set"), &json!([])));
    assert_eq!(whole[0]["child"][0]["child"][0]["child"], json!([]));
}

#[test]
fn names_of_models_follow_the_language() {
    let app = TestApp::new();
    let headers = [("BK_User", "ops"), ("HTTP_BLUEKING_SUPPLIER_ID", "0")];
    let answer = app.send("POST", "/api/v3/find/topoinst/biz/2", &headers, "");
    assert_eq!(answer.data()[0]["bk_obj_name"], "业务");
    let list = |headers: &[(&str, &str)]| {
        let body = json!({"bk_biz_id": 2});
        let answer = app.send("POST", "/api/v3/findmany/proc/service_category", headers, body);
        listed(&answer, "name").1
    };
    assert!(list(&headers).contains(&json!("数据库")));
    let english = [headers[0], headers[1], ("HTTP_BLUEKING_LANGUAGE", "en")];
    let (chinese, english) = (list(&headers), list(&english));
    // templates 4: translated after sorting.
    for (stored, shown) in
        [("数据库", "Database"), ("消息队列", "Message Queue"), ("HTTP 服务", "HTTP Web Service"), ("存储", "Storage")]
    {
        let place = |names: &[Value], name: &str| names.iter().position(|found| found == name);
        assert_eq!(place(&chinese, stored), place(&english, shown), "{stored}");
    }
}

#[test]
fn internal_modules_of_odd_businesses() {
    // topology 8.2.
    let app = TestApp::new();
    let get = |path: &str| app.native("GET", path, "");
    assert_eq!(get("/topo/internal/0/1").data()["bk_set_name"], "空闲机池");
    let none = json!({"bk_set_id": 0, "bk_set_name": "", "module": null});
    assert_eq!(get("/topo/internal/0/999").data(), none);
    get("/topo/internal/0/0").fails_with(1_199_006).naming("bk_biz_id");
    get("/topo/internal/0/x").fails_with(1_199_009).naming("bk_biz_id");
}

#[test]
fn categories_of_a_business() {
    // templates 4 C1; recordings svc_category.list.*.
    let app = TestApp::new();
    let list = |body: Value| app.post("/findmany/proc/service_category", body);
    let (count, ids) = listed(&list(json!({"bk_biz_id": 2})), "id");
    assert_eq!(count, 20);
    let recorded = [16, 19, 1, 2, 9, 14, 12, 8, 4, 20, 15, 6, 13, 5, 7, 17, 10, 18, 3, 11];
    assert_eq!(json!(ids), json!(recorded));
    assert_eq!(
        list(json!({"bk_biz_id": 2})).data()["info"][0],
        json!({"bk_biz_id": 0, "id": 16, "name": "Apache", "bk_root_id": 14, "bk_parent_id": 14,
            "bk_supplier_account": "0", "is_built_in": true})
    );
    for known in [-1, 99999] {
        assert_eq!(listed(&list(json!({"bk_biz_id": known})), "id").0, 20);
    }
    for none in [json!({}), json!({"bk_biz_id": 0}), json!({"bk_biz_id": null})] {
        list(none).fails_with(1_199_006).naming("bk_biz_id");
    }
    app.post("/findmany/proc/service_category", "").fails_with(1_199_006);
    app.post("/findmany/proc/service_category", "[]").fails_with(1_199_000);
    list(json!({"bk_biz_id": "x"})).fails_with(1_199_000);
}

#[test]
fn attributes_of_models() {
    // topology E43, E44.
    let app = TestApp::new();
    let find = |body: Value| app.post("/find/objectattr", body).data();
    let ids = |rows: &Value| {
        let rows = rows.as_array().unwrap().iter();
        rows.map(|row| row["bk_property_id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let process = find(json!({"bk_obj_id": "process"}));
    assert_eq!(&ids(&process)[..3], ["bk_func_name", "bk_process_name", "bk_start_param_regex"]);
    for hidden in ["bk_biz_id", "auto_start", "service_instance_id"] {
        assert!(!ids(&process).contains(&hidden.to_owned()), "{hidden}");
    }
    let rows = process.as_array().unwrap();
    let bind = rows.iter().find(|row| row["bk_property_id"] == "bind_info").unwrap();
    assert_eq!(bind["bk_property_type"], "table");
    assert_eq!(find(json!({"bk_obj_id": "process", "bk_supplier_account": "0"})), process);
    assert_eq!(find(json!({"bk_obj_id": "process", "bk_biz_id": 3})), process);
    let environment = find(json!({"bk_obj_id": "set", "bk_property_id": "bk_set_env"}));
    has_recorded(
        &environment[0],
        json!({"bk_biz_id": 0, "bk_obj_id": "set", "bk_property_id": "bk_set_env", "bk_property_group": "default",
            "editable": true, "ispre": true, "isrequired": false, "bk_property_type": "enum", "creator": "cc_system",
            "bk_isapi": false}),
    );
}

/// `create_time` of attributes is plain text, unlike that of records.
#[test]
fn attributes_tell_when_the_store_was_made() {
    let app = TestApp::new();
    let rows = app.post("/find/objectattr", json!({"bk_obj_id": "biz"})).data();
    assert_eq!(rows[0]["create_time"], "2026-11-21 10:00:00");
    assert_eq!(app.post("/find/objectattr", json!({"no_such_key": 1})).data(), json!([]));
    assert_eq!(app.post("/find/objectattr", json!({"bk_obj_id": "plat"})).data(), json!([]));
    app.post("/find/objectattr", json!({"bk_biz_id": "3"})).fails_with(1_199_006);
}

#[test]
fn the_esb_door_wraps_records_in_data() {
    // gateway 2.7.
    let app = TestApp::new();
    let call = |name: &str, body: Value| app.esb(name, body);
    let business = call("create_business", json!({"data": {"bk_biz_name": "a", "bk_biz_maintainer": "x"}})).data();
    assert_eq!(business["bk_biz_id"], 3);
    let set = call("create_set", json!({"bk_biz_id": "3", "data": {"bk_set_name": "s", "bk_parent_id": 3}})).data();
    let set = set["bk_set_id"].as_i64().unwrap();
    let module = json!({"bk_module_name": "m", "bk_parent_id": set, "bk_supplier_account": "0"});
    let module = call("create_module", json!({"bk_biz_id": 3, "bk_set_id": set, "data": module})).data();
    assert_eq!((&module["bk_biz_id"], &module["bk_set_id"]), (&json!(3), &json!(set)));
    check_list(&call("search_business", json!({"fields": ["bk_biz_id"]})), "bk_biz_id", 2, json!([2, 3]));
    check_list(&call("search_set", json!({"bk_biz_id": 3, "condition": {"default": 0}})), "bk_set_id", 1, json!([set]));
    check_list(&call("search_module", json!({"bk_biz_id": "3", "bk_set_id": set})), "bk_module_name", 1, json!(["m"]));
    check_list(&call("search_module", json!({"bk_biz_id": 3, "bk_set_id": 0})), "default", 4, json!([1, 2, 3, 0]));
    let tree = call("search_biz_inst_topo", json!({"bk_biz_id": 3, "level": -1})).data();
    assert_eq!(tree[0]["child"][0]["child"][0]["bk_inst_name"], "m");
    assert_eq!(call("get_biz_internal_module", json!({"bk_biz_id": 3})).data()["module"][0]["default"], 1);
    assert_eq!(call("list_service_category", json!({"bk_biz_id": 3})).data()["count"], 20);
    let attributes = call("search_object_attribute", json!({"bk_obj_id": "module", "bk_supplier_account": "0"})).data();
    assert_eq!(attributes[0]["bk_obj_id"], "module");
    call("create_set", json!({"data": {"bk_set_name": "s"}})).fails_with(1_306_000);
}

#[test]
fn protected_reads_ask_for_the_right() {
    // gateway 8.4.
    let app = TestApp::with().settings(|settings| settings.protect_reads = true).start();
    let read = |business: i64| {
        let paths = [
            ("POST", format!("/set/search/0/{business}"), "{}".to_owned()),
            ("POST", format!("/findmany/module/biz/{business}"), "{}".to_owned()),
            ("POST", format!("/find/topoinst/biz/{business}"), String::new()),
            ("GET", format!("/topo/internal/0/{business}"), String::new()),
            ("POST", "/findmany/proc/service_category".to_owned(), json!({"bk_biz_id": business}).to_string()),
        ];
        paths.map(|(method, path, body)| app.native_as("ann", method, &path, body.as_str()).code())
    };
    assert_eq!(read(2), [9_900_403; 5]);
    assert_eq!(read(999), [9_900_403; 5]);
    app.grant("ann", Action::FindBusinessResource, Some(2));
    assert_eq!(read(2), [0; 5]);
}

#[test]
fn built_in_data_is_put_in_once() {
    let app = TestApp::new();
    let before = traces(&app);
    let again = app.store.write_blocking(|tx| {
        let zone = rollcall_domain::moment::Zone::named("UTC").unwrap();
        rollcall_app::built_in::install(tx, &zone, rollcall_domain::moment::Moment(0))
    });
    again.unwrap();
    assert_eq!(traces(&app), before);
    assert_eq!(before, [2, 2, 6, 0, 0]);
    assert_eq!(app.number("SELECT count(*) FROM cloud_area WHERE id = 0"), 1);
}
