//! update_host and batch_update_host (`topology` 9.12), and the processes that follow the addresses of their host (`templates` 7.4,
//! invariant 26, defects 30 and 31), whichever operation changes these.

#![expect(clippy::unwrap_used, reason = "a test ends with its first error")]

mod support;

use rollcall_app::access::Action;
use serde_json::{Value, json};
use support::{Answer, Estate, TestApp, named, process};

fn update(app: &TestApp, ids: Value, mut record: Value) -> Answer {
    record["bk_host_id"] = ids;
    app.native("PUT", "/hosts/batch", record)
}

fn each(app: &TestApp, changes: Value) -> Answer {
    app.native("PUT", "/hosts/property/batch", json!({"update": changes}))
}

fn stored(app: &TestApp, host: i64) -> Value {
    let hosts = app.documents("SELECT document FROM host");
    hosts.into_iter().find(|document| document["bk_host_id"] == host).unwrap()
}

fn comments(app: &TestApp, estate: &Estate) -> Vec<Value> {
    estate.hosts.iter().map(|host| stored(app, *host)["bk_comment"].clone()).collect()
}

/// What a refused call, or one that changes nothing, must leave as it is.
fn traces(app: &TestApp) -> (Vec<Value>, Vec<Value>, i64, i64) {
    (
        app.documents("SELECT document FROM host ORDER BY id"),
        app.documents("SELECT '{' || fixed_fields || ',' || extra_fields || '}' FROM process ORDER BY id"),
        app.number("SELECT count(*) FROM audit"),
        app.number("SELECT count(*) FROM event"),
    )
}

/// A host of the pool.
fn pool_host(app: &TestApp, address: &str) -> i64 {
    app.esb("add_host_to_resource", json!({"host_info": {"0": {"bk_host_innerip": address}}})).data();
    let hosts = app.documents("SELECT document FROM host").into_iter();
    let mut hosts = hosts.filter(|document| document["bk_host_innerip"] == address);
    hosts.next().unwrap()["bk_host_id"].as_i64().unwrap()
}

#[test]
fn hosts_are_changed_through_every_door() {
    let app = TestApp::new();
    let estate = app.estate();
    let [a, b, c] = estate.hosts[..] else { panic!("three hosts") };
    let before = stored(&app, a);
    let (events, entries) = (app.number("SELECT count(*) FROM event"), app.number("SELECT count(*) FROM audit"));
    let record = json!({"bk_comment": " one ", "operator": ["ann", "tom"], "bk_host_innerip": "9.9.9.9", "bk_cloud_id": 5,
        "bk_agent_id": "a9", "bk_host_innerip_v6": "::9", "bk_asset_id": "x", "nothing": [1]});
    assert_eq!(update(&app, json!(a), record).data(), Value::Null);
    let after = stored(&app, a);
    for (key, value) in before.as_object().unwrap() {
        match key.as_str() {
            "bk_comment" => assert_eq!(after[key], "one"),
            "operator" => assert_eq!(after[key], "ann,tom"),
            "bk_updated_by" => assert_eq!(after[key], "ops"),
            "last_time" | "bk_updated_at" => assert!(after[key].is_string()),
            _ => assert_eq!(&after[key], value, "{key}"),
        }
    }
    assert_eq!(app.number("SELECT count(*) FROM event"), events + 1);
    assert_eq!(app.number("SELECT count(*) FROM audit"), entries + 1);
    let event = app.documents("SELECT after_state FROM event WHERE kind = 2 AND operation = 2");
    assert_eq!(event, [after]);
    let details = app.documents("SELECT detail FROM audit WHERE resource_type = 'host' AND action = 'update'");
    let fields = json!({"operator": "ann,tom", "bk_comment": "one"});
    let details_wanted = json!({"pre_data": before, "cur_data": null, "update_fields": fields});
    assert_eq!(details, [json!({"details": details_wanted, "bk_obj_id": "host"})]);

    update(&app, json!(format!("{b},{c}")), json!({"bk_comment": "two"})).data();
    assert_eq!(comments(&app, &estate), ["one", "two", "two"]);
    let data = json!({"bk_comment": "three", "bk_supplier_account": "0"});
    for ids in [json!([a, b]), json!(format!("{a}, {b}")), json!([a.to_string(), b]), json!(a)] {
        app.esb("update_host", json!({"bk_host_id": ids, "data": data})).data();
    }
    assert_eq!(comments(&app, &estate), ["three", "three", "two"]);
    app.gateway("PUT", "/hosts/batch", json!({"bk_host_id": c, "bk_comment": "four"})).data();
    assert_eq!(comments(&app, &estate), ["three", "three", "four"]);
    app.esb("update_host", json!({"bk_host_id": a})).fails_with(1_306_000);
    app.esb("update_host", json!({"data": {}})).fails_with(1_306_000);

    let changes = json!([{"bk_host_id": a, "properties": {"bk_comment": "five", "bk_cloud_id": 7}},
        {"bk_host_id": b, "properties": {"bk_comment": "six"}}]);
    assert_eq!(each(&app, changes.clone()).data(), Value::Null);
    assert_eq!(comments(&app, &estate), ["five", "six", "four"]);
    let before = traces(&app);
    // What is as it should be is left alone.
    app.esb("batch_update_host", json!({"update": changes})).data();
    app.gateway("PUT", "/hosts/property/batch", json!({"update": []})).data();
    update(&app, json!(a), json!({})).data();
    assert_eq!(traces(&app), before);
    // One host twice: first the one, then the other, as one change.
    let twice = json!([{"bk_host_id": a, "properties": {"bk_comment": "x", "bk_sn": "s"}},
        {"bk_host_id": a, "properties": {"bk_comment": "y"}}]);
    each(&app, twice).data();
    assert_eq!((&stored(&app, a)["bk_comment"], &stored(&app, a)["bk_sn"]), (&json!("y"), &json!("s")));
    assert_eq!(app.number("SELECT count(*) FROM event"), before.3 + 1);
    // Of the pool, and of several businesses at once.
    let free = pool_host(&app, "10.7.0.1");
    let other = app.estate_named("other", "10.9.9");
    update(&app, json!([free, a, other.hosts[0]]), json!({"bk_comment": "all"})).data();
    let all = [free, a, other.hosts[0]].map(|host| stored(&app, host)["bk_comment"].clone());
    assert_eq!(all, ["all", "all", "all"]);
    let businesses =
        app.documents("SELECT CAST(business_id AS TEXT) FROM event WHERE kind = 2 ORDER BY id DESC LIMIT 3");
    assert_eq!(businesses.iter().map(|id| id.as_i64().unwrap()).sum::<i64>(), 1 + estate.business + other.business);
    app.check();
}

#[test]
fn what_hosts_cannot_become() {
    let app = TestApp::new();
    let estate = app.estate();
    let host = estate.hosts[0];
    let before = traces(&app);
    for (ids, record, code, name) in [
        (json!(host), json!({"bk_sla": "9", "bk_cpu": 0}), 1_199_011, "bk_cpu"),
        (json!(host), json!({"bk_host_outerip": "999.1.1.1"}), 1_199_011, "bk_host_outerip"),
        (json!(99_999), json!({"bk_comment": "x"}), 1_199_011, "99999"),
        (json!(format!("{host},99999,-1")), json!({"bk_comment": "x"}), 1_199_011, "-1"),
        (json!(null), json!({}), 1_199_011, "bk_host_id"),
        (json!(true), json!({}), 1_199_011, "bk_host_id"),
        (json!([]), json!({}), 1_199_011, "bk_host_id"),
        (json!([[1]]), json!({}), 1_199_011, "bk_host_id"),
        (json!(""), json!({}), 1_199_006, "bk_host_id"),
        (json!("1,x"), json!({}), 1_199_006, "bk_host_id"),
        (json!((0..1001).collect::<Vec<_>>()), json!({}), 1_199_035, "bk_host_id"),
    ] {
        update(&app, ids, record).fails_with(code).naming(name);
    }
    let one = |properties: Value| json!({"bk_host_id": host, "properties": properties});
    let many: Vec<_> = (0..1001).map(|_| one(json!({}))).collect();
    for (changes, code, name) in [
        (
            json!([one(json!({"bk_comment": "x"})), one(json!({"bk_sla": "9"}))]),
            1_199_011,
            "update[1].properties.bk_sla",
        ),
        (json!([one(json!({})), {"bk_host_id": 99_999, "properties": {}}]), 1_199_011, "update[1].bk_host_id"),
        (json!([{"properties": {}}]), 1_199_011, "update[0].bk_host_id"),
        (json!([{"bk_host_id": host}]), 1_199_010, "update[0].properties"),
        (json!([{"bk_host_id": "1", "properties": {}}]), 1_199_000, "update[0].bk_host_id"),
        (json!([one(json!([]))]), 1_199_000, "update[0].properties"),
        (json!(null), 1_199_010, "update"),
        (json!({}), 1_199_000, "update"),
        (json!(many), 1_199_035, "update"),
    ] {
        each(&app, changes).fails_with(code).naming(name);
    }
    app.native("PUT", "/hosts/batch", "[]").fails_with(1_199_000);
    assert_eq!(traces(&app), before);
}

/// gateway 5.4
#[test]
fn hosts_are_changed_with_the_right_on_each() {
    let app = TestApp::with().administrator("boss").start();
    let business = |name: &str, address: &str| {
        let record = json!({"bk_biz_name": name, "bk_biz_maintainer": "x"});
        let business = app.native_as("boss", "POST", "/biz/0", record).data()["bk_biz_id"].as_i64().unwrap();
        let hosts = json!({"bk_biz_id": business, "bk_host_list": [{"bk_host_innerip": address}]});
        let added = app.native_as("boss", "POST", "/hosts/add/business_idle", hosts).data();
        (business, added["bk_host_ids"][0].as_i64().unwrap())
    };
    let ((one, mine), (_, foreign)) = (business("one", "10.1.0.1"), business("two", "10.2.0.1"));
    app.native_as("boss", "POST", "/hosts/add", json!({"host_info": {"0": {"bk_host_innerip": "10.3.0.1"}}})).data();
    let free = foreign + 1;
    assert_eq!(stored(&app, free)["bk_host_innerip"], "10.3.0.1");
    let before = traces(&app);
    let change =
        |ids: Value| app.native_as("ann", "PUT", "/hosts/batch", json!({"bk_host_id": ids, "bk_comment": "x"}));
    let each = |ids: &[i64]| {
        let changes = ids.iter().map(|id| json!({"bk_host_id": id, "properties": {"bk_comment": "x"}}));
        app.native_as("ann", "PUT", "/hosts/property/batch", json!({"update": changes.collect::<Vec<_>>()}))
    };
    for host in [mine, foreign, free, 99_999] {
        for refused in [change(json!(host)), each(&[host])] {
            refused.fails_with(9_900_403);
            assert_eq!(refused.json()["permission"]["actions"][0]["id"], "edit_biz_host");
        }
    }
    app.grant("ann", Action::EditBusinessHost, Some(one));
    for host in [foreign, free, 99_999] {
        change(json!([mine, host])).fails_with(1_199_011).naming(&host.to_string());
        each(&[host, mine]).fails_with(1_199_011).naming("update[0].bk_host_id");
    }
    assert_eq!(traces(&app), before);
    change(json!(mine)).data();
    app.grant("ann", Action::EditPoolHost, None);
    each(&[mine, free]).data();
    change(json!(foreign)).fails_with(1_199_011);
    assert_eq!([mine, foreign, free].map(|host| stored(&app, host)["bk_comment"].clone()), ["x", "", "x"]);
    // The right on the pool alone.
    app.grant("eve", Action::EditPoolHost, None);
    let by_eve =
        |host: i64| app.native_as("eve", "PUT", "/hosts/batch", json!({"bk_host_id": host, "bk_comment": "y"}));
    by_eve(free).data();
    by_eve(mine).fails_with(1_199_011);
    app.check();
}

/// A row of a template: its id, address, whether that is locked, protocol.
fn row(id: i64, ip: &str, is_locked: bool, protocol: &str) -> Value {
    json!({"row_id": id, "ip": {"value": ip, "as_default_value": is_locked}, "port": {"value": "80"},
        "protocol": {"value": protocol, "as_default_value": true}, "enable": {"value": true}})
}

/// A template with rows of each sort, in an order that is not that of their ids. The lock around them says nothing.
fn spec(name: &str, outer_lock: bool) -> Value {
    let mut spec = named(name);
    let rows = json!([
        row(9, "4", true, "1"),
        row(3, "3", true, "1"),
        row(5, "4", false, "2"),
        row(2, "8", true, "3"),
        row(7, "2", true, "1")
    ]);
    spec["bind_info"] = json!({"value": rows, "as_default_value": outer_lock});
    spec["user"] = json!({"value": "www", "as_default_value": true});
    spec
}

/// A module that follows a template, with the first two hosts of its estate in it.
struct Following {
    app: TestApp,
    estate: Estate,
    template: i64,
    module: i64,
    /// One on each of the two hosts.
    instances: Vec<i64>,
}

impl Following {
    fn new() -> Self {
        let app = TestApp::new();
        let estate = app.estate();
        let template = app.service_template(&estate, "st");
        app.process_templates(&estate, template, vec![spec("open", false), spec("locked", true), named("bare")]);
        let module = app.bound_module(&estate, template).data()["bk_module_id"].as_i64().unwrap();
        let join = json!({"bk_biz_id": estate.business, "bk_host_id": estate.hosts[..2], "bk_module_id": [module],
            "is_increment": true});
        app.post("/hosts/modules", join).data();
        let list = json!({"bk_biz_id": estate.business, "bk_module_id": module});
        let listed = app.post("/findmany/proc/service_instance", list).data();
        let instances = listed["info"].as_array().unwrap().iter().map(|it| it["id"].as_i64().unwrap()).collect();
        Self { app, estate, template, module, instances }
    }

    fn processes(&self, instance: i64) -> Vec<Value> {
        let body = json!({"bk_biz_id": self.estate.business, "service_instance_id": instance});
        let listed = self.app.post("/findmany/proc/process_instance", body).data();
        listed.as_array().unwrap().iter().map(|it| it["property"].clone()).collect()
    }

    /// The addresses of the rows of the processes of an instance, by the ids of the rows.
    fn addresses(&self, instance: i64) -> Vec<Vec<(i64, String)>> {
        let rows = |process: Value| {
            let rows = process["bind_info"].as_array().cloned().unwrap_or_default().into_iter();
            rows.map(|row| (row["template_row_id"].as_i64().unwrap(), row["ip"].as_str().unwrap().to_owned())).collect()
        };
        self.processes(instance).into_iter().map(rows).collect()
    }

    /// Whether a synchronization would change anything.
    fn needs(&self) -> Value {
        let body = json!({"bk_module_ids": [self.module]});
        let path = format!("/findmany/proc/service_template/sync_status/biz/{}", self.estate.business);
        self.app.post(&path, body).data()["modules"][0]["need_sync"].clone()
    }
}

fn rows(outer: &str, unlocked: &str, outer_v6: &str, host: i64) -> Vec<(i64, String)> {
    let inner = format!("10.0.0.{host}");
    [(9, outer), (3, inner.as_str()), (5, unlocked), (2, outer_v6), (7, "0.0.0.0")]
        .map(|(id, ip)| (id, ip.to_owned()))
        .to_vec()
}

/// templates 7.4, invariant 26, defect 30
#[test]
fn processes_follow_the_addresses_of_their_host() {
    let case = Following::new();
    let (app, hosts) = (&case.app, &case.estate.hosts);
    let by_hand = app.instance(&case.estate, process("own"));
    let expect = |instance: usize, rows: Vec<(i64, String)>| {
        assert_eq!(case.addresses(case.instances[instance]), [rows.clone(), rows, vec![]]);
    };
    expect(0, rows("", "", "", 1));
    // The row that may have an address of its own has one.
    let [open, locked] = [0, 1].map(|i| case.processes(case.instances[0])[i]["bk_process_id"].clone());
    for id in [&open, &locked] {
        let own = json!([{"bk_process_id": id, "bind_info": [{"template_row_id": 5, "ip": "1.2.3.4", "port": "81",
            "protocol": "2", "enable": true}]}]);
        let body = json!({"bk_biz_id": case.estate.business, "processes": own});
        app.native("PUT", "/update/proc/process_instance", body).data();
    }
    expect(0, rows("", "1.2.3.4", "", 1));
    let before = traces(app);
    let old = case.processes(case.instances[0]);
    update(app, json!(hosts[0]), json!({"bk_host_outerip": "8.8.8.8,8.8.4.4"})).data();
    expect(0, rows("8.8.8.8", "1.2.3.4", "", 1));
    expect(1, rows("", "", "", 2));
    assert_eq!(case.needs(), json!(false));
    // The host and two processes; the host and one instance.
    assert_eq!(app.number("SELECT count(*) FROM event"), before.3 + 3);
    assert_eq!(app.number("SELECT count(*) FROM audit"), before.2 + 2);
    let now = case.processes(case.instances[0]);
    let mut told =
        app.documents("SELECT after_state FROM event WHERE kind = 9 AND operation = 2 ORDER BY id DESC LIMIT 2");
    told.reverse();
    assert_eq!(told, now[..2]);
    for (old, now) in old.iter().zip(&now) {
        for (field, value) in old.as_object().unwrap() {
            let may_change = ["bind_info", "last_time", "bk_updated_at", "bk_updated_by"].contains(&field.as_str());
            assert!(may_change || now[field] == *value, "{field}");
        }
    }
    let entry = app.documents(
        "SELECT '{\"id\":' || resource_id || ',\"action\":\"' || action || '\",\"detail\":' || detail || '}' FROM audit
            WHERE resource_type = 'service_instance' ORDER BY id DESC LIMIT 1",
    );
    let told = |i: usize| {
        let details =
            json!({"pre_data": old[i], "cur_data": null, "update_fields": {"bind_info": now[i]["bind_info"]}});
        json!({"action": "update", "bk_process_ids": old[i]["bk_process_id"], "bk_process_names": old[i]["bk_process_name"],
            "details": details})
    };
    let detail = json!({"details": null, "bk_host_id": hosts[0], "processes": [told(0), told(1)]});
    assert_eq!(entry, [json!({"id": case.instances[0], "action": "update", "detail": detail})]);

    // Only the first address counts.
    let before = traces(app);
    update(app, json!(hosts[0]), json!({"bk_host_outerip": "8.8.8.8", "bk_comment": "c"})).data();
    assert_eq!(traces(app).1, before.1);
    assert_eq!(app.number("SELECT count(*) FROM event"), before.3 + 1);
    // Both hosts, both families, through the other operations; an address that went leaves none.
    let changes = json!([{"bk_host_id": hosts[0], "properties": {"bk_host_outerip": ""}},
        {"bk_host_id": hosts[1], "properties": {"bk_host_outerip": "9.9.9.9", "bk_host_outerip_v6": "2001::8"}}]);
    each(app, changes).data();
    expect(0, rows("", "1.2.3.4", "", 1));
    let whole = "2001:0000:0000:0000:0000:0000:0000:0008";
    expect(1, rows("9.9.9.9", "", whole, 2));
    let row = json!({"bk_host_innerip": "10.0.0.1", "bk_host_outerip": "7.7.7.7"});
    app.post("/hosts/add", json!({"bk_biz_id": case.estate.business, "host_info": {"0": row}})).data();
    expect(0, rows("7.7.7.7", "1.2.3.4", "", 1));
    assert_eq!(case.needs(), json!(false));
    assert_eq!(case.processes(by_hand)[0]["bind_info"], Value::Null);
    app.check();
}

/// What else differs from the template is left to a synchronization; what follows no template any more stays as it is.
#[test]
fn an_address_that_changed_is_no_synchronization() {
    let case = Following::new();
    let (app, host) = (&case.app, case.estate.hosts[0]);
    let templates =
        json!({"bk_biz_id": case.estate.business, "service_template_id": case.template, "page": {"sort": "id"}});
    let templates = app.post("/findmany/proc/proc_template", templates).data();
    let id = |i: usize| templates["info"][i]["id"].clone();
    // Another user, a row that is gone, a new one, and one that is locked to the outer address now.
    let user = json!({"value": "root", "as_default_value": true});
    let changed =
        json!([row(9, "4", true, "1"), row(5, "4", true, "1"), row(0, "4", true, "1"), row(3, "4", true, "1")]);
    let property = json!({"user": user, "bind_info": {"value": changed, "as_default_value": false}});
    let body = json!({"bk_biz_id": case.estate.business, "process_template_id": id(0), "process_property": property});
    app.native("PUT", "/update/proc/proc_template", body).data();
    let gone = json!({"bk_biz_id": case.estate.business, "process_templates": [id(1)]});
    app.native("DELETE", "/deletemany/proc/proc_template", gone).data();
    let before = case.addresses(case.instances[0]);
    update(app, json!(host), json!({"bk_host_outerip": "8.8.8.8"})).data();
    let mut want = before.clone();
    want[0] = [(9, "8.8.8.8"), (3, "8.8.8.8"), (5, "8.8.8.8"), (2, ""), (7, "0.0.0.0")]
        .map(|(id, ip)| (id, ip.to_owned()))
        .to_vec();
    assert_eq!(case.addresses(case.instances[0]), want);
    let first = &case.processes(case.instances[0])[0];
    assert_eq!((&first["user"], &first["bind_info"][2]["protocol"]), (&json!("www"), &json!("2")));
    assert_eq!(case.needs(), json!(true));

    let unbind = json!({"bk_biz_id": case.estate.business, "bk_module_id": case.module});
    app.native("DELETE", "/delete/proc/template_binding_on_module", unbind).data();
    update(app, json!(host), json!({"bk_host_outerip": "5.5.5.5"})).data();
    assert_eq!(case.addresses(case.instances[0]), want);
    app.check();
}
