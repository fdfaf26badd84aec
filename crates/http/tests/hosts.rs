//! Hosts and their moves: the edge cases of `topology` §17 by their numbers, the recordings `host.*`, the rights of `gateway` 5.4.

mod support;

use rollcall_app::access::Action;
use serde_json::{Value, json};
use support::{Answer, Estate, TestApp, USER, process};

const NONE: [i64; 0] = [];

fn add(app: &TestApp, business: i64, row: Value) -> Answer {
    app.post("/hosts/add", json!({"bk_biz_id": business, "host_info": {"0": row}}))
}

/// The hosts of a business by their addresses, with these fields beside the id.
fn list(app: &TestApp, business: i64, more: Value) -> Value {
    let mut body = json!({"page": {"limit": 1000}});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    app.post(&format!("/hosts/app/{business}/list_hosts"), body).data()
}

fn listed_ids(app: &TestApp, business: i64, more: Value) -> Vec<i64> {
    let page = list(app, business, more);
    let rows = page["info"].as_array().unwrap();
    assert_eq!(page["count"], rows.len());
    rows.iter().map(|host| host["bk_host_id"].as_i64().unwrap()).collect()
}

fn transfer(app: &TestApp, business: i64, hosts: &[i64], modules: &[i64], is_increment: bool) -> Answer {
    let body = json!({
        "bk_biz_id": business, "bk_host_id": hosts, "bk_module_id": modules, "is_increment": is_increment,
        "disable_auto_create": true,
    });
    app.post("/hosts/modules", body)
}

fn to_idle(app: &TestApp, business: i64, hosts: &[i64]) -> Answer {
    app.post("/hosts/modules/idle", json!({"bk_biz_id": business, "bk_host_id": hosts}))
}

fn assign(app: &TestApp, business: i64, hosts: &[i64]) -> Answer {
    app.post("/hosts/modules/resource/idle", json!({"bk_biz_id": business, "bk_host_id": hosts}))
}

fn idle_module(app: &TestApp, business: i64) -> i64 {
    let internal = app.native("GET", &format!("/topo/internal/0/{business}"), json!({})).data();
    let modules = internal["module"].as_array().unwrap();
    let idle = modules.iter().find(|module| module["default"] == 1).unwrap();
    idle["bk_module_id"].as_i64().unwrap()
}

fn new_module(app: &TestApp, estate: &Estate, name: &str) -> i64 {
    let body = json!({"bk_module_name": name, "bk_parent_id": estate.set});
    let module = app.post(&format!("/module/{}/{}", estate.business, estate.set), body).data();
    module["bk_module_id"].as_i64().unwrap()
}

/// A host of the pool.
fn pool_host(app: &TestApp, address: &str) -> i64 {
    app.post("/hosts/add", json!({"host_info": {"0": {"bk_host_innerip": address}}})).data();
    *listed_ids(app, 1, json!({"page": {"limit": 1, "sort": "-bk_host_id"}, "bk_set_ids": [1]})).first().unwrap()
}

/// Everything a refused call might have left.
fn traces(app: &TestApp) -> Vec<i64> {
    ["host", "host_address", "host_module", "audit", "event", "service_instance", "process"]
        .map(|table| match table {
            "host" => app.number("SELECT count(*) FROM host"),
            "host_address" => app.number("SELECT count(*) FROM host_address"),
            "host_module" => app.number("SELECT CAST(sum(module_id * 31 + host_id) AS BIGINT) FROM host_module"),
            "audit" => app.number("SELECT count(*) FROM audit"),
            "event" => app.number("SELECT count(*) FROM event"),
            "service_instance" => app.number("SELECT count(*) FROM service_instance"),
            _ => app.number("SELECT count(*) FROM process"),
        })
        .to_vec()
}

#[test]
fn new_hosts_go_to_the_pool_or_to_a_business() {
    let app = TestApp::new();
    // topology E22.
    let row = json!({"bk_host_innerip": "10.0.0.7", "bk_cloud_id": 0, "import_from": "3"});
    let answer = app.post("/hosts/add", json!({"host_info": {"0": row}, "surplus": 1})).data();
    assert_eq!(answer, json!({"success": ["0"]}));
    assert_eq!(listed_ids(&app, 1, json!({"bk_module_ids": [idle_module(&app, 1)]})), [1]);
    // Recordings host.add, host.list_biz_hosts: rows by their numbers, in a business.
    let rows = json!({
        "10": {"bk_host_innerip": "10.0.0.10", "bk_asset_id": "a10"},
        "2": {"bk_host_innerip": ["10.0.0.2", "10.0.1.2"], "bk_host_innerip_v6": "FE80::1", "bk_asset_id": "a2"},
    });
    let answer = app.post("/hosts/add", json!({"bk_biz_id": 2, "host_info": rows})).data();
    assert_eq!(answer, json!({"success": ["2", "10"]}));
    let page = list(&app, 2, json!({}));
    assert_eq!(page["count"], 2);
    let host = &page["info"][0];
    for (field, value) in [
        ("bk_host_id", json!(2)),
        ("bk_host_innerip", json!("10.0.0.2,10.0.1.2")),
        ("bk_host_innerip_v6", json!("fe80:0000:0000:0000:0000:0000:0000:0001")),
        ("bk_asset_id", json!("a2")),
        ("bk_cpu_architecture", json!("x86")),
        ("bk_cloud_id", json!(0)),
        ("bk_supplier_account", json!("0")),
        ("operator", json!("")),
        ("import_from", Value::Null),
    ] {
        assert_eq!(host[field], value, "{field}");
    }
    assert_eq!(page["info"][1]["bk_asset_id"], "a10");
    // A host, its relation, its audit entry: each once.
    assert_eq!(app.number("SELECT count(*) FROM event WHERE kind = 2 AND operation = 1"), 3);
    assert_eq!(app.number("SELECT count(*) FROM event WHERE kind = 3 AND operation = 1"), 3);
    assert_eq!(app.number("SELECT count(*) FROM audit WHERE resource_type = 'host' AND action = 'create'"), 3);
    // Recording host.add.empty.
    assert_eq!(app.post("/hosts/add", json!({"host_info": {}})).data(), json!({"success": null}));
    let esb = app.esb("add_host_to_resource", json!({"host_info": {"0": {"bk_host_innerip": "10.9.0.1"}}}));
    assert_eq!(esb.data(), json!({"success": ["0"]}));
    app.esb("add_host_to_resource", json!({"bk_biz_id": 2})).fails_with(1_306_000);
}

#[test]
fn a_known_address_changes_its_host_where_it_is() {
    let app = TestApp::new();
    let estate = app.estate();
    // topology E23, recording host.add.duplicate_ip: the asset id is fixed, the host stays where it is.
    let row = json!({"bk_host_innerip": "10.0.0.1", "bk_sn": "s1", "bk_asset_id": "dup", "import_from": "1"});
    assert_eq!(add(&app, estate.business, row).data(), json!({"success": ["0"]}));
    let host = &list(&app, estate.business, json!({"bk_module_ids": [estate.module]}))["info"][0];
    assert_eq!((&host["bk_sn"], &host["bk_asset_id"], &host["import_from"]), (&json!("s1"), &json!(""), &Value::Null));
    assert_eq!(app.number("SELECT count(*) FROM event WHERE kind = 2 AND operation = 2"), 1);
    assert_eq!(app.number("SELECT count(*) FROM audit WHERE resource_type = 'host' AND action = 'update'"), 1);
    // topology E25.
    add(&app, 2, json!({"bk_host_innerip": "1.1.1.1,1.1.1.2"})).data();
    add(&app, 2, json!({"bk_host_innerip": "1.1.1.2", "bk_sn": "s2", "bk_host_outerip": "8.8.8.8"})).data();
    let page = list(&app, 2, json!({"fields": ["bk_sn", "bk_host_innerip", "bk_host_outerip", "nothing"]}));
    let want = json!([{"bk_host_innerip": "1.1.1.1,1.1.1.2", "bk_sn": "s2", "bk_host_outerip": "8.8.8.8"}]);
    assert_eq!(page, json!({"count": 1, "info": want}));
    // By its id.
    add(&app, 2, json!({"bk_host_id": estate.hosts[1], "bk_sn": "s3"})).data();
    let page = list(&app, estate.business, json!({"fields": ["bk_sn"], "page": {"limit": 10, "sort": "-bk_sn"}}));
    assert_eq!(page["info"], json!([{"bk_sn": "s3"}, {"bk_sn": "s1"}, {"bk_sn": ""}]));
}

#[test]
fn one_bad_row_keeps_all_out() {
    let app = TestApp::new();
    add(&app, 2, json!({"bk_host_innerip": "10.0.0.1"})).data();
    let before = traces(&app);
    // topology E24, recording host.add.bad_ip.
    let rows = json!({
        "1": {"bk_host_innerip": "10.0.0.9"},
        "2": {"bk_host_innerip": "999.0.0.1"},
        "3": {"bk_host_innerip": "10.0.0.1", "bk_sla": "x"},
        "4": null,
        "5": {"bk_host_innerip": "10.0.0.9"},
        "6": {"bk_host_innerip": "10.0.0.11", "bk_cloud_id": 7},
        "7": {"bk_host_id": 99, "bk_sn": "s"},
    });
    let answer = app.post("/hosts/add", json!({"bk_biz_id": 2, "host_info": rows}));
    answer.fails_with(1_110_004).naming("host_info.2.bk_host_innerip").naming("host_info.7.bk_host_id");
    let data = &answer.json()["data"];
    let errors: Vec<&str> = data["error"].as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect();
    assert_eq!(errors.len(), 5, "{errors:?}");
    assert!(errors[0].contains("row 2") && errors[0].contains("999.0.0.1"), "{errors:?}");
    assert_eq!(data["update_error"].as_array().unwrap().len(), 1, "{data}");
    let answer = app.post("/hosts/add", json!({"host_info": {"1": {"bk_host_innerip": "999.0.0.1"}}}));
    assert_eq!(answer.fails_with(1_110_004).json()["data"]["update_error"], Value::Null);
    assert_eq!(traces(&app), before);
}

#[test]
fn nonsense_is_refused_by_name() {
    let app = TestApp::new();
    let estate = app.estate();
    let before = traces(&app);
    let check = |path: &str, body: Value, code: i64, name: &str| {
        app.post(path, body.clone()).fails_with(code).naming(name);
    };
    let host = json!({"bk_host_innerip": "10.7.0.1"});
    for (body, code, name) in [
        (json!({}), 1_199_010, "host_info"),
        (json!({"host_info": null}), 1_199_010, "host_info"),
        (json!({"host_info": []}), 1_199_000, "host_info"),
        (json!({"host_info": {"first": host}}), 1_199_000, "host_info.first"),
        (json!({"host_info": {"0": "10.7.0.1"}}), 1_199_000, "host_info.0"),
        (json!({"host_info": {"0": host}, "bk_biz_id": "2"}), 1_199_000, "bk_biz_id"),
        (json!({"host_info": {"0": host}, "bk_biz_id": 999}), 1_101_033, "bk_biz_id"),
        (json!({"host_info": {"0": host}, "bk_biz_id": -1}), 1_101_033, "bk_biz_id"),
        (json!({"host_info": {"0": {"bk_host_innerip": 7}}}), 1_110_004, "host_info.0.bk_host_innerip"),
    ] {
        check("/hosts/add", body, code, name);
    }
    let many: Vec<_> = (0..201).map(|i| json!({"bk_host_innerip": format!("10.8.0.{i}")})).collect();
    for (body, code, name) in [
        (json!({"bk_host_list": [host]}), 1_199_010, "bk_biz_id"),
        (json!({"bk_biz_id": 2}), 1_199_010, "bk_host_list"),
        (json!({"bk_biz_id": 2, "bk_host_list": []}), 1_199_010, "bk_host_list"),
        (json!({"bk_biz_id": 2, "bk_host_list": many}), 1_199_035, "bk_host_list"),
        (json!({"bk_biz_id": 2, "bk_host_list": [host, "x"]}), 1_199_000, "bk_host_list[1]"),
        (json!({"bk_biz_id": 2, "bk_host_list": [host, {}]}), 1_199_010, "bk_host_list[1].bk_host_innerip"),
        (json!({"bk_biz_id": 2, "bk_host_list": [host, host]}), 1_199_014, "bk_host_list[1].bk_host_innerip"),
        (json!({"bk_biz_id": 2, "bk_host_list": [{"bk_host_innerip": "10.0.0.1"}]}), 1_199_014, "duplicated"),
        (json!({"bk_biz_id": 999, "bk_host_list": [host]}), 1_101_033, "bk_biz_id"),
        (json!({"bk_biz_id": 1, "bk_host_list": [host]}), 1_199_006, "bk_biz_id"),
    ] {
        check("/hosts/add/business_idle", body, code, name);
    }
    let (business, module, hosts) = (estate.business, estate.module, &estate.hosts);
    for (body, code, name) in [
        (json!({}), 1_199_006, "bk_biz_id"),
        (json!({"bk_biz_id": 0, "bk_host_id": hosts, "bk_module_id": [module]}), 1_199_006, "bk_biz_id"),
        (json!({"bk_biz_id": business, "bk_module_id": [module]}), 1_199_010, "bk_host_id"),
        (json!({"bk_biz_id": business, "bk_host_id": hosts}), 1_199_010, "bk_module_id"),
        (json!({"bk_biz_id": business, "bk_host_id": hosts[0], "bk_module_id": [module]}), 1_199_000, "bk_host_id"),
        (json!({"bk_biz_id": business, "bk_host_id": [1.5], "bk_module_id": [module]}), 1_199_000, "bk_host_id[0]"),
        (json!({"bk_biz_id": 999, "bk_host_id": hosts, "bk_module_id": [module]}), 1_113_006, "bk_biz_id"),
        // Recordings host.transfer.unknown_module, .unknown_host.
        (json!({"bk_biz_id": business, "bk_host_id": hosts, "bk_module_id": [99_999]}), 1_101_080, "bk_module_id[0]"),
        (json!({"bk_biz_id": business, "bk_host_id": [99_999], "bk_module_id": [module]}), 1_199_011, "bk_host_id"),
        (json!({"bk_biz_id": business, "bk_host_id": [0, hosts[0], -3], "bk_module_id": [module]}), 1_199_011, "-3"),
    ] {
        check("/hosts/modules", body, code, name);
    }
    for (body, code, name) in [
        (json!({"bk_biz_id": 999, "bk_host_id": hosts}), 1_110_030, "bk_biz_id"),
        (json!({"bk_biz_id": business, "bk_host_id": []}), 1_199_010, "bk_host_id"),
        (json!({"bk_biz_id": business, "bk_host_id": [99_999]}), 1_199_011, "bk_host_id"),
    ] {
        check("/hosts/modules/idle", body, code, name);
    }
    for (body, code, name) in [
        (json!({"bk_biz_id": 999, "bk_host_id": hosts}), 1_199_019, "bk_biz_id"),
        (json!({"bk_biz_id": 1, "bk_host_id": hosts}), 1_110_052, "bk_biz_id"),
        (json!({"bk_biz_id": business, "bk_host_id": []}), 1_199_010, "bk_host_id"),
        (json!({"bk_biz_id": business, "bk_host_id": [hosts[0], 99_999]}), 1_110_056, "99999"),
    ] {
        check("/hosts/modules/resource/idle", body, code, name);
    }
    assert_eq!(traces(&app), before);
}

#[test]
fn hosts_straight_into_a_business() {
    let app = TestApp::new();
    let hosts = json!([{"bk_host_innerip": "10.0.0.8", "bk_cloud_id": 0}, {"bk_host_innerip": "10.0.0.7"}]);
    let answer = app.gateway("POST", "/hosts/add/business_idle", json!({"bk_biz_id": 2, "bk_host_list": hosts})).data();
    assert_eq!(answer, json!({"bk_host_ids": [1, 2]}));
    assert_eq!(listed_ids(&app, 2, json!({"bk_module_ids": [idle_module(&app, 2)]})), [1, 2]);
    // Dynamic addressing: an agent is needed and unique, the address is not.
    let dynamic =
        |agent: &str| json!({"bk_host_innerip": "10.0.0.8", "bk_addressing": "dynamic", "bk_agent_id": agent});
    let add = |host: Value| app.post("/hosts/add/business_idle", json!({"bk_biz_id": 2, "bk_host_list": [host]}));
    assert_eq!(add(dynamic("a1")).data(), json!({"bk_host_ids": [3]}));
    assert_eq!(add(dynamic("a2")).data(), json!({"bk_host_ids": [4]}));
    add(dynamic("a1")).fails_with(1_199_014).naming("bk_agent_id");
    add(dynamic("")).fails_with(1_199_010).naming("bk_agent_id");
}

#[test]
fn lists_of_a_business() {
    let app = TestApp::new();
    let estate = app.estate();
    let (business, module, hosts) = (estate.business, estate.module, estate.hosts.clone());
    let second = new_module(&app, &estate, "second");
    transfer(&app, business, &hosts[1..], &[second], true).data();
    to_idle(&app, business, &hosts[..1]).data();
    let listed = |more: Value| listed_ids(&app, business, more);
    // A host in two modules is one host; those of the idle set are included.
    assert_eq!(listed(json!({})), hosts);
    assert_eq!(listed(json!({"bk_set_ids": [estate.set]})), hosts[1..]);
    assert_eq!(listed(json!({"bk_module_ids": [module, second]})), hosts[1..]);
    assert_eq!(listed(json!({"bk_module_ids": [idle_module(&app, business)]})), hosts[..1]);
    assert_eq!(listed(json!({"bk_set_ids": [estate.set], "bk_module_ids": [idle_module(&app, business)]})), NONE);
    assert_eq!(listed(json!({"bk_set_ids": [], "bk_module_ids": null})), hosts);
    assert_eq!(listed(json!({"bk_set_ids": [99_999]})), NONE);
    assert_eq!(listed_ids(&app, 999, json!({})), NONE);
    assert_eq!(listed_ids(&app, 2, json!({"bk_module_ids": [module]})), NONE);
    let page = |page: Value| list(&app, business, json!({"page": page, "fields": ["bk_host_id"]}));
    let row = |i: usize| json!({"bk_host_id": hosts[i]});
    assert_eq!(page(json!({"start": 1, "limit": 1})), json!({"count": 3, "info": [row(1)]}));
    assert_eq!(page(json!({"start": 3, "limit": 1})), json!({"count": 3, "info": []}));
    let sorted = json!({"limit": 2, "sort": "-bk_host_innerip"});
    assert_eq!(page(sorted), json!({"count": 3, "info": [row(2), row(1)]}));
    assert_eq!(page(json!({"limit": 1, "sort": "-bk_host_id"})), json!({"count": 3, "info": [row(2)]}));
    // topology E27, E28a; what this release does not do yet is refused, never passed over.
    let path = format!("/hosts/app/{business}/list_hosts");
    let long = |n: i64| (1..=n).collect::<Vec<_>>();
    let rules = json!({"condition": "AND", "rules": [{"field": "bk_host_innerip", "operator": "in", "value": ["1"]}]});
    for (body, code, name) in [
        (json!({}), 1_199_006, "page.limit"),
        (json!({"page": {"limit": 0}}), 1_199_006, "page.limit"),
        (json!({"page": {"limit": 1001}}), 1_199_006, "page.limit"),
        (json!({"page": {"limit": 1, "start": -1}}), 1_199_006, "page.start"),
        (json!({"page": {"limit": 1}, "bk_set_ids": long(201)}), 1_199_006, "bk_set_ids"),
        (json!({"page": {"limit": 1}, "bk_module_ids": long(501)}), 1_199_006, "bk_module_ids"),
        (json!({"page": {"limit": 1}, "bk_module_ids": ["1"]}), 1_199_000, "bk_module_ids[0]"),
        (json!({"page": {"limit": 1}, "host_property_filter": {}}), 1_199_000, "host_property_filter"),
        (json!({"page": {"limit": 1}, "host_property_filter": rules}), 1_199_006, "host_property_filter"),
        (json!({"page": {"limit": 1}, "set_cond": [{"field": "a"}]}), 1_199_006, "set_cond"),
        (json!({"page": {"limit": 1}, "module_cond": [1]}), 1_199_006, "module_cond"),
    ] {
        app.post(&path, body).fails_with(code).naming(name);
    }
    let none = json!({"page": {"limit": 1}, "host_property_filter": null, "set_cond": [], "module_cond": null});
    assert_eq!(app.post(&path, none).data()["count"], 3);
    // The business of the path counts; the ESB takes it out of the body, digits too.
    assert_eq!(list(&app, business, json!({"bk_biz_id": 2}))["count"], 3);
    let esb = json!({"bk_biz_id": business.to_string(), "page": {"limit": 10}, "fields": ["bk_host_id"]});
    assert_eq!(app.esb("list_biz_hosts", esb).data(), json!({"count": 3, "info": [row(0), row(1), row(2)]}));
    app.post("/hosts/app/three/list_hosts", json!({"page": {"limit": 1}})).fails_with(1_199_009);
}

#[test]
fn moves_between_modules() {
    let app = TestApp::new();
    let estate = app.estate();
    let (business, m1, host) = (estate.business, estate.module, estate.hosts[0]);
    let m2 = new_module(&app, &estate, "m2");
    let instance = app.instance(&estate, process("nginx"));
    let in_modules = |modules: &[i64]| {
        let of = |module: i64| listed_ids(&app, business, json!({"bk_module_ids": [module]})).contains(&host);
        assert_eq!(
            [m1, m2, idle_module(&app, business)].map(of),
            [m1, m2, idle_module(&app, business)].map(|m| modules.contains(&m))
        );
    };
    let instances = || app.number("SELECT count(*) FROM service_instance");
    // topology E34: the instance of a module the host is in already stays.
    transfer(&app, business, &[host], &[m1, m2], false).data();
    in_modules(&[m1, m2]);
    assert_eq!(app.number("SELECT min(id) FROM service_instance"), instance);
    // topology E35: an increment takes nothing.
    transfer(&app, business, &[host], &[m2], true).data();
    in_modules(&[m1, m2]);
    assert_eq!(instances(), 1);
    // topology E33: leaving a module takes its instances, with their processes, their last states and an audit entry.
    transfer(&app, business, &[host], &[m2], false).data();
    in_modules(&[m2]);
    assert_eq!((instances(), app.number("SELECT count(*) FROM process")), (0, 0));
    let gone = |sql| {
        let documents = app.documents(sql);
        assert_eq!(documents.len(), 1, "{sql}");
        documents.into_iter().next().unwrap()
    };
    let process = gone("SELECT before_state FROM event WHERE kind = 9 AND operation = 3");
    assert_eq!(process["bk_process_name"], "nginx");
    assert_eq!(gone("SELECT before_state FROM event WHERE kind = 100 AND operation = 3")["id"], instance);
    let entry = gone("SELECT detail FROM audit WHERE resource_type = 'service_instance' AND action = 'delete'");
    assert_eq!(entry["processes"][0]["bk_process_names"], "nginx");
    let moves = app.documents("SELECT detail FROM audit WHERE action = 'transfer_host_module'");
    let module_in = |state: &Value| state["set"][0]["module"][0]["bk_module_name"].clone();
    let last = |entry: &&Value| module_in(&entry["pre_data"]) == "module" && module_in(&entry["cur_data"]) == "m2";
    assert_eq!(moves.iter().filter(last).count(), 1);
    // topology 10.4: to idle and, without effect, once more; recording host.transfer_to_idle.with_instances.
    assert_eq!(to_idle(&app, business, &[host]).data(), Value::Null);
    in_modules(&[idle_module(&app, business)]);
    let before = traces(&app);
    to_idle(&app, business, &[host, host]).data();
    assert_eq!(traces(&app), before);
    // topology E35: an increment from idle drops idle.
    transfer(&app, business, &[host], &[m1, m2], true).data();
    in_modules(&[m1, m2]);
    let esb = json!({"bk_biz_id": business, "bk_host_id": [host], "bk_module_id": [m1], "is_increment": false});
    app.esb("transfer_host_module", esb).data();
    in_modules(&[m1]);
    app.esb("transfer_host_to_idlemodule", json!({"bk_biz_id": business})).fails_with(1_306_000).naming("bk_host_id");
}

#[test]
fn moves_that_are_refused() {
    let app = TestApp::new();
    let estate = app.estate();
    let other = app.estate_named("other", "10.1.0");
    let free = pool_host(&app, "10.5.0.1");
    app.instance(&estate, process("nginx"));
    let (business, module, hosts) = (estate.business, estate.module, &estate.hosts);
    let idle = idle_module(&app, business);
    let before = traces(&app);
    // topology E36, E37.
    transfer(&app, business, hosts, &[idle, module], false).fails_with(1_113_005).naming("bk_module_id[0]");
    transfer(&app, business, hosts, &[idle], false).fails_with(1_113_013);
    transfer(&app, business, hosts, &[idle], true).fails_with(1_113_013);
    // topology E29, E30; every foreign host is named.
    transfer(&app, business, &[free, hosts[0]], &[module], false).fails_with(1_113_002).naming("bk_host_id[0]");
    let answer = to_idle(&app, business, &[other.hosts[0], hosts[0], other.hosts[2]]);
    answer.fails_with(1_113_002).naming("bk_host_id[0]").naming("bk_host_id[2]");
    // Recording host.transfer.module_other_biz.
    transfer(&app, business, hosts, &[module, other.module], false).fails_with(1_101_080).naming("bk_module_id[1]");
    // topology 10.5: only hosts of the pool are assigned.
    assign(&app, business, &[free, hosts[0]]).fails_with(1_110_056).naming("bk_host_id[1]");
    assert_eq!(traces(&app), before);
}

#[test]
fn hosts_of_the_pool_are_assigned() {
    let app = TestApp::new();
    let estate = app.estate();
    let free = pool_host(&app, "10.5.0.1");
    assert_eq!(assign(&app, estate.business, &[free]).data(), Value::Null);
    let idle = idle_module(&app, estate.business);
    assert_eq!(listed_ids(&app, estate.business, json!({"bk_module_ids": [idle]})), [free]);
    assert_eq!(listed_ids(&app, 1, json!({})), NONE);
    let entries = app.documents("SELECT detail FROM audit WHERE action = 'assign_host'");
    assert_eq!(entries.iter().map(|entry| entry["pre_data"]["bk_biz_id"].clone()).collect::<Vec<_>>(), [json!(1)]);
    let left = "SELECT count(*) FROM event WHERE kind = 3 AND operation = 3 AND business_id = 1";
    assert_eq!(app.number(left), 1);
    let esb = json!({"bk_biz_id": estate.business, "bk_host_id": [free]});
    app.esb("transfer_resourcehost_to_idlemodule", esb).fails_with(1_110_056);
}

/// `gateway` 5.4; what belongs to others looks absent (`design` §4).
#[test]
fn rights() {
    let app = TestApp::with().administrator(USER).start();
    let estate = app.estate();
    let other = app.estate_named("other", "10.1.0");
    let free = pool_host(&app, "10.5.0.1");
    let business = estate.business;
    let before = traces(&app);
    let as_ann = |path: &str, body: Value| app.native_as("ann", "POST", path, body);
    let list = format!("/hosts/app/{business}/list_hosts");
    let new_host = json!({"bk_host_innerip": "10.6.0.1"});
    let moving = json!({"bk_biz_id": business, "bk_host_id": estate.hosts, "bk_module_id": [estate.module]});
    let assigning = json!({"bk_biz_id": business, "bk_host_id": [free]});
    let adding = json!({"bk_biz_id": business, "bk_host_list": [new_host]});
    let to_pool = json!({"host_info": {"0": new_host}});
    let calls = [
        ("/hosts/modules", &moving, "edit_biz_service_instance"),
        ("/hosts/modules/idle", &moving, "edit_biz_service_instance"),
        ("/hosts/modules/resource/idle", &assigning, "assign_host_to_biz"),
        ("/hosts/add/business_idle", &adding, "edit_biz_host"),
        ("/hosts/add", &to_pool, "create_resource_pool_host"),
        (&list, &json!({"page": {"limit": 1}}), "find_business_resource"),
    ];
    for (path, body, action) in calls {
        let answer = as_ann(path, body.clone());
        answer.fails_with(9_900_403);
        assert_eq!(answer.json()["permission"]["actions"][0]["id"], action, "{path}");
    }
    // A business that is not there is refused the same way.
    as_ann("/hosts/modules/idle", json!({"bk_biz_id": 999, "bk_host_id": [1]})).fails_with(9_900_403);
    as_ann("/hosts/app/999/list_hosts", json!({"page": {"limit": 1}})).fails_with(9_900_403);
    assert_eq!(traces(&app), before);

    app.grant("ann", Action::EditServiceInstance, Some(business));
    let absent = as_ann("/hosts/modules/idle", json!({"bk_biz_id": business, "bk_host_id": [99_999]}));
    for hidden in [other.hosts[0], free] {
        let answer = as_ann("/hosts/modules/idle", json!({"bk_biz_id": business, "bk_host_id": [hidden]}));
        let told = answer.fails_with(1_199_011).message();
        assert_eq!(told.replace(&hidden.to_string(), "99999"), absent.message());
    }
    app.grant("ann", Action::AssignHostToBusiness, Some(business));
    as_ann("/hosts/modules/idle", json!({"bk_biz_id": business, "bk_host_id": [free]})).fails_with(1_113_002);
    app.grant("ann", Action::EditServiceInstance, Some(other.business));
    as_ann("/hosts/modules/idle", json!({"bk_biz_id": business, "bk_host_id": other.hosts})).fails_with(1_113_002);

    // Adding hosts changes those of the pool and of the business named, not those of others.
    app.grant("ann", Action::CreatePoolHost, None);
    let change = |address: &str| {
        as_ann(
            "/hosts/add",
            json!({"bk_biz_id": business, "host_info": {"0": {"bk_host_innerip": address, "bk_sn": "s"}}}),
        )
    };
    change("10.5.0.1").data();
    change("10.0.0.1").data();
    change("10.1.0.1").fails_with(1_110_004);
    let by_id = json!({"host_info": {"0": {"bk_host_id": other.hosts[0], "bk_sn": "s"}}});
    as_ann("/hosts/add", by_id).fails_with(1_110_004).naming("bk_host_id");
    app.grant("ann", Action::EditBusinessHost, Some(other.business));
    change("10.1.0.1").data();
    app.grant("ann", Action::FindBusinessResource, Some(business));
    assert_eq!(as_ann(&list, json!({"page": {"limit": 10}})).data()["count"], 3);
    as_ann("/hosts/modules/resource/idle", assigning).data();
    assert_eq!(listed_ids(&app, 1, json!({})), NONE);
}
