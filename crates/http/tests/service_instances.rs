//! Service instances renamed and removed, those of a host and of a set template, hosts without any: `instances` 10.3, 10.4, 10.6 to
//! 10.8, 10.22 and §17.

#![expect(clippy::unwrap_used, reason = "a test ends with its first error")]

mod support;

use rollcall_app::access::Action;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use support::{Answer, Estate, TestApp, process};

fn ids(answer: &Answer) -> Vec<i64> {
    answer.data()["info"].as_array().unwrap().iter().map(|row| row["id"].as_i64().unwrap()).collect()
}

fn list(app: &TestApp, estate: &Estate) -> Vec<Value> {
    let listed = app.post("/findmany/proc/service_instance", json!({"bk_biz_id": estate.business})).data();
    listed["info"].as_array().unwrap().clone()
}

fn instance_on(app: &TestApp, estate: &Estate, host: usize, name: &str) -> i64 {
    let instances = json!([{"bk_host_id": estate.hosts[host], "processes": [{"process_info": process(name)}]}]);
    let body = json!({"bk_biz_id": estate.business, "bk_module_id": estate.module, "instances": instances});
    app.post("/create/proc/service_instance", body).data()[0].as_i64().unwrap()
}

/// Changes the store beside the program.
fn change(app: &TestApp, sql: &'static str) {
    app.store.write_blocking(move |tx| tx.execute(sql, &[]).map(|_| ())).unwrap();
}

fn rename(app: &TestApp, business: i64, data: Value) -> Answer {
    app.native("PUT", &format!("/updatemany/proc/service_instance/biz/{business}"), json!({ "data": data }))
}

#[test]
fn names_are_changed_in_one_call() {
    // instances 10.6
    let app = TestApp::new();
    let estate = app.estate();
    let [first, second] = [0, 1].map(|host| instance_on(&app, &estate, host, "p"));
    let entry = |id: i64, name: &str| json!({"service_instance_id": id, "update": {"name": name}});
    let before = list(&app, &estate);
    let path = format!("/api/v3/updatemany/proc/service_instance/biz/{}", estate.business);
    let headers = [("BK_User", "other"), ("HTTP_BLUEKING_LANGUAGE", "en")];
    // Of an instance that stands there twice, the last name counts. Blanks and quotes are kept.
    let data = json!([entry(first, "x"), entry(second, " \"y\" "), entry(first, "z")]);
    let answer = app.send("PUT", &path, &headers, json!({ "data": data }));
    assert_eq!(answer.data(), Value::Null);
    let after = list(&app, &estate);
    for (i, name) in [(0, "z"), (1, " \"y\" ")] {
        assert_eq!((&after[i]["name"], &after[i]["modifier"]), (&json!(name), &json!("other")));
        assert_ne!(after[i]["last_time"], before[i]["last_time"]);
        for key in ["id", "labels", "creator", "create_time", "bk_host_id", "bk_module_id", "service_template_id"] {
            assert_eq!(after[i][key], before[i][key], "{key}");
        }
    }
    let found = json!({"bk_biz_id": estate.business, "search_key": "z"});
    assert_eq!(ids(&app.post("/findmany/proc/service_instance", found)), [first]);
    let details = json!({"bk_biz_id": estate.business, "page": {"limit": 10, "sort": "id"}});
    let details = app.post("/findmany/proc/service_instance/details", details).data();
    assert_eq!(details["info"][0]["name"], "z");
    // One entry and one event per instance.
    let entries = app.documents("SELECT detail FROM audit WHERE action = 'update' ORDER BY resource_id");
    assert_eq!(entries.len(), 2);
    assert_eq!(entries[0]["details"]["pre_data"], before[0]);
    assert_eq!(entries[0]["details"]["cur_data"], after[0]);
    assert_eq!(entries[0]["details"]["update_fields"], json!({"name": "z"}));
    assert_eq!((&entries[0]["bk_host_id"], &entries[0]["processes"]), (&json!(estate.hosts[0]), &json!([])));
    let states = app.documents("SELECT after_state FROM event WHERE kind = 100 AND operation = 2 ORDER BY object_id");
    assert_eq!(states, after);
}

#[test]
fn what_is_wrong_with_names() {
    // instances 10.6
    let app = TestApp::new();
    let estate = app.estate();
    let id = instance_on(&app, &estate, 0, "p");
    let business = estate.business;
    let put = |path: &str| app.native("PUT", &format!("/updatemany/proc/service_instance/biz/{path}"), json!({}));
    put("x").fails_with(1_199_011).naming("bk_biz_id");
    put("0").fails_with(1_199_006).naming("bk_biz_id");
    put("-1").fails_with(1_199_006);
    put(&business.to_string()).fails_with(1_199_006).naming("data");
    rename(&app, business, json!([])).fails_with(1_199_006).naming("data");
    rename(&app, business, Value::Null).fails_with(1_199_006).naming("data");
    let one = json!({"service_instance_id": id, "update": {"name": "n"}});
    rename(&app, business, json!(vec![one.clone(); 101])).fails_with(1_199_035);
    rename(&app, business, json!(vec![one; 100])).data();
    for (update, path) in [
        (json!({}), "data[0].update.name"),
        (Value::Null, "data[0].update.name"),
        (json!({"name": null}), "data[0].update.name"),
        (json!({"name": ""}), "data[0].update.name"),
        (json!({"name": 5}), "data[0].update.name"),
        (json!({"name": "x".repeat(257)}), "data[0].update.name"),
        (json!({"name": "名".repeat(86)}), "data[0].update.name"),
        (json!({"NAME": "x"}), "data[0].update.NAME"),
        (json!({"name": "x", "labels": {}}), "data[0].update.labels"),
    ] {
        let data = json!([{"service_instance_id": id, "update": update}]);
        rename(&app, business, data).fails_with(1_199_006).naming(path);
    }
    rename(&app, business, json!([{"service_instance_id": id, "update": []}])).fails_with(1_199_000);
    let all = json!([{"service_instance_id": 0, "update": {"name": ""}}, {"service_instance_id": -1, "update": {"name": "x"}}]);
    let every = rename(&app, business, all);
    every.fails_with(1_199_006).naming("data[0].service_instance_id");
    every.naming("data[0].update.name").naming("data[1].service_instance_id");
    let longest = "x".repeat(256);
    rename(&app, business, json!([{"service_instance_id": id, "update": {"name": longest}}])).data();
}

#[test]
fn instances_that_are_not_there_are_not_renamed() {
    // instances D4, I-27
    let app = TestApp::new();
    let (estate, other) = (app.estate(), app.estate_named("other", "10.0.1"));
    let (own, foreign) = (instance_on(&app, &estate, 0, "p"), instance_on(&app, &other, 0, "p"));
    let entry = |id: i64| json!({"service_instance_id": id, "update": {"name": "new"}});
    let updates = || app.number("SELECT count(*) FROM audit WHERE action = 'update'");
    let before = updates();
    rename(&app, estate.business, json!([entry(foreign), entry(99_999)])).data();
    assert_eq!(updates(), before);
    rename(&app, estate.business, json!([entry(foreign), entry(own)])).data();
    assert_eq!(updates(), before + 1);
    assert_eq!(list(&app, &estate)[0]["name"], "new");
    assert_eq!(list(&app, &other)[0]["name"], "10.0.1.1_p");
    assert_eq!(app.number("SELECT count(*) FROM event WHERE kind = 100 AND operation = 2"), 1);
}

fn delete(app: &TestApp, business: i64, ids: Value) -> Answer {
    let body = json!({"bk_biz_id": business, "service_instance_ids": ids, "page": {"limit": -1}});
    app.native("DELETE", "/deletemany/proc/service_instance", body)
}

#[test]
fn e83_e85_instances_to_remove() {
    let app = TestApp::new();
    let (estate, other) = (app.estate(), app.estate_named("other", "10.0.1"));
    let [first, second] = [0, 1].map(|host| instance_on(&app, &estate, host, "p"));
    let foreign = instance_on(&app, &other, 0, "p");
    let business = estate.business;
    let gone = |ids: Value| delete(&app, business, ids);
    for (ids, path) in [
        (json!([first, second, first]), "service_instance_ids[2]"),
        (json!([first, 99_999]), "service_instance_ids[1]"),
        (json!([foreign, first]), "service_instance_ids[0]"),
        (json!([first, 0, -1]), "service_instance_ids[1]"),
    ] {
        gone(ids).fails_with(1_199_006).naming(path); // E83, I-27
    }
    gone(json!([99_998, 99_999])).fails_with(1_199_006).naming("99998").naming("99999");
    gone(json!((0..501).collect::<Vec<_>>())).fails_with(1_199_035); // E85
    gone(json!([])).fails_with(1_199_010).naming("service_instance_ids"); // E85
    gone(Value::Null).fails_with(1_199_010);
    delete(&app, 0, json!([first])).fails_with(1_199_006).naming("bk_biz_id");
    delete(&app, 777, json!([first])).fails_with(1_199_006).naming("service_instance_ids");
    assert_eq!(app.number("SELECT count(*) FROM audit WHERE action = 'delete'"), 0); // I-28
    assert_eq!(ids(&app.post("/findmany/proc/service_instance", json!({"bk_biz_id": business}))), [first, second]);
    assert_eq!(gone(json!([second])).data(), Value::Null);
    assert_eq!(ids(&app.post("/findmany/proc/service_instance", json!({"bk_biz_id": business}))), [first]);
    gone(json!([second])).fails_with(1_199_006);
    app.esb("delete_service_instance", json!({"bk_biz_id": business, "service_instance_ids": [first]})).data();
    assert_eq!(app.number("SELECT count(*) FROM process"), 1); // I-18: that of the other business
}

#[test]
fn e84_a_removed_instance_takes_its_processes_and_leaves_its_host() {
    let app = TestApp::new();
    let estate = app.estate();
    let id = instance_on(&app, &estate, 0, "p");
    let more = json!({"bk_biz_id": estate.business, "service_instance_id": id,
        "processes": [{"process_info": process("q")}]});
    app.post("/create/proc/process_instance", more).data();
    app.post(
        "/createmany/proc/service_instance/labels",
        json!({"bk_biz_id": estate.business, "instance_ids": [id], "labels": {"env": "prod"}}),
    )
    .data();
    // As an instance made from a template has it.
    change(&app, "UPDATE service_instance SET service_template_id = 7");
    let last_state = list(&app, &estate)[0].clone();
    delete(&app, estate.business, json!([id])).data();
    assert_eq!(app.number("SELECT count(*) FROM process"), 0);
    let hosts = json!({"bk_module_ids": [estate.module], "page": {"limit": 10, "start": 0}});
    let hosts = app.post(&format!("/hosts/app/{}/list_hosts", estate.business), hosts).data();
    assert_eq!(hosts["count"], 3); // I-18
    let entries = app.documents("SELECT detail FROM audit WHERE action = 'delete'");
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0]["details"], json!({"pre_data": last_state, "cur_data": null, "update_fields": null}));
    let told: Vec<_> = entries[0]["processes"].as_array().unwrap().iter().collect();
    assert_eq!(told.iter().map(|it| &it["bk_process_names"]).collect::<Vec<_>>(), ["p", "q"]);
    assert!(told.iter().all(|it| it["action"] == "delete"));
    assert_eq!(app.documents("SELECT before_state FROM event WHERE kind = 100 AND operation = 3"), [last_state]);
    let gone = app.documents("SELECT before_state FROM event WHERE kind = 9 AND operation = 3 ORDER BY object_id");
    assert_eq!(gone.iter().map(|it| &it["bk_process_name"]).collect::<Vec<_>>(), ["p", "q"]);
    // The same alias may come back.
    instance_on(&app, &estate, 0, "p");
}

#[test]
fn rights_to_rename_and_to_remove() {
    let app = TestApp::with().administrator(support::USER).start();
    let estate = app.estate();
    let id = instance_on(&app, &estate, 0, "p");
    let business = estate.business;
    app.grant("editor", Action::EditServiceInstance, Some(business));
    app.grant("deleter", Action::DeleteServiceInstance, Some(business));
    let rename = |user: &str| {
        let body = json!({"data": [{"service_instance_id": id, "update": {"name": "n"}}]});
        app.native_as(user, "PUT", &format!("/updatemany/proc/service_instance/biz/{business}"), body).code()
    };
    assert_eq!(["deleter", "editor"].map(rename), [9_900_403, 0]);
    let delete = |user: &str, business: i64, id: i64| {
        let body = json!({"bk_biz_id": business, "service_instance_ids": [id]});
        app.esb_as(user, "delete_service_instance", body).code()
    };
    assert_eq!(delete("editor", business, id), 9_900_403);
    // Whether a business or an instance exists is nothing a stranger learns.
    assert_eq!([delete("deleter", 777, id), delete("deleter", 2, id)], [9_900_403; 2]);
    assert_eq!([delete("deleter", business, 99_999), delete("deleter", business, id)], [1_199_006, 0]);
}

#[test]
fn e94_instances_of_a_host() {
    let app = TestApp::new();
    let (estate, other) = (app.estate(), app.estate_named("other", "10.0.1"));
    let made: Vec<_> = [0, 1, 0, 0].map(|host| instance_on(&app, &estate, host, "p")).to_vec();
    let foreign = instance_on(&app, &other, 0, "p");
    let ask = |body: Value| app.post("/findmany/proc/service_instance/with_host", body);
    let (business, host) = (estate.business, estate.hosts[0]);
    ask(json!({"bk_biz_id": business})).fails_with(1_199_003).naming("bk_host_id"); // E94
    ask(json!({"bk_biz_id": business, "bk_host_id": 0})).fails_with(1_199_003);
    ask(json!({"bk_host_id": host})).fails_with(1_199_006).naming("bk_biz_id");
    let of_host = [made[0], made[2], made[3]];
    assert_eq!(ids(&ask(json!({"bk_biz_id": business, "bk_host_id": host}))), of_host);
    assert_eq!(ids(&ask(json!({"bk_biz_id": other.business, "bk_host_id": other.hosts[0]}))), [foreign]);
    assert_eq!(ask(json!({"bk_biz_id": business, "bk_host_id": other.hosts[0]})).data()["count"], 0); // I-27
    // The page is not checked.
    for page in [json!({}), json!({"limit": -1}), json!({"start": -5, "limit": 0}), json!({"limit": 5000})] {
        let answer = ask(json!({"bk_biz_id": business, "bk_host_id": host, "page": page}));
        assert_eq!(ids(&answer), of_host, "{page}");
    }
    let page = json!({"start": 1, "limit": 1, "sort": "-id"});
    let answer = ask(json!({"bk_biz_id": business, "bk_host_id": host, "page": page}));
    assert_eq!((ids(&answer), answer.data()["count"].clone()), (vec![made[2]], json!(3)));
    let none = ask(json!({"bk_biz_id": business, "bk_host_id": host, "search_key": "nothing"}));
    assert_eq!(none.data(), json!({"count": 0, "info": []}));
    assert_eq!(list(&app, &estate)[0], ask(json!({"bk_biz_id": business, "bk_host_id": host})).data()["info"][0]);
    app.esb("list_service_instance_by_host", json!({"bk_biz_id": business, "bk_host_id": host})).data();
}

#[test]
fn an_answer_holds_only_so_many_rows_whatever_the_page() {
    // instances D18
    let app = TestApp::with().settings(|settings| {
        settings.dev = true;
        settings.limits.unpaged_rows = 3;
    });
    let app = app.administrator(support::USER).start();
    let estate = app.estate();
    for _ in 0..5 {
        instance_on(&app, &estate, 0, "p");
    }
    let ask = |page: Value| {
        let body = json!({"bk_biz_id": estate.business, "bk_host_id": estate.hosts[0], "page": page});
        app.post("/findmany/proc/service_instance/with_host", body)
    };
    ask(json!({})).fails_with(1_199_059).naming("page");
    ask(json!({"limit": 5000})).fails_with(1_199_059);
    assert_eq!(ids(&ask(json!({"limit": 5000, "start": 2}))).len(), 3);
    assert_eq!(ids(&ask(json!({"limit": 1000}))).len(), 5);
}

#[test]
fn e104_instances_of_a_set_template() {
    let app = TestApp::new();
    let (estate, other) = (app.estate(), app.estate_named("other", "10.0.1"));
    let made: Vec<_> = [0, 1, 2].map(|host| instance_on(&app, &estate, host, "p")).to_vec();
    instance_on(&app, &other, 0, "p");
    let ask = |business: &str, body: Value| {
        app.post(&format!("/findmany/proc/service/set_template/list_service_instance/biz/{business}"), body)
    };
    let business = estate.business.to_string();
    let page = json!({"limit": 10});
    ask("x", json!({"set_template_id": 5, "page": page})).fails_with(1_199_011).naming("bk_biz_id");
    for page in [json!({}), json!({"limit": 0}), json!({"limit": 1001}), json!({"limit": 5, "start": -1})] {
        ask(&business, json!({ "page": page })).fails_with(1_199_059);
    }
    ask(&business, json!({ "page": page })).fails_with(1_199_008).naming("set_template_id");
    let asked = |page: Value| ask(&business, json!({"set_template_id": 5, "page": page}));
    assert_eq!(asked(page.clone()).data(), json!({"count": 0, "info": []})); // E104
    change(&app, "UPDATE topology_set SET set_template_id = 5 WHERE kind = 0");
    assert_eq!(ids(&asked(page)), made); // I-27: none of the other business
    let last = asked(json!({"limit": 2, "start": 2, "sort": "-id"}));
    assert_eq!((ids(&last), last.data()["count"].clone()), (vec![made[2]], json!(3)));
    assert_eq!(ids(&asked(json!({"limit": 999_999_999}))), made);
    let none = ask(&business, json!({"set_template_id": 6, "page": {"limit": 1}}));
    assert_eq!(none.data(), json!({"count": 0, "info": []}));
    let body = json!({"bk_biz_id": estate.business, "set_template_id": 5, "page": {"limit": 10}});
    assert_eq!(ids(&app.esb("list_service_instance_by_set_template", body)), made);
}

#[test]
fn e103_hosts_without_service_instance() {
    let app = TestApp::new();
    let estate = app.estate();
    let ask = |body: Value| app.post("/findmany/proc/host/with_no_service_instance", body);
    let (business, module, hosts) = (estate.business, estate.module, &estate.hosts);
    ask(json!({"bk_module_id": module})).fails_with(1_199_010).naming("bk_biz_id");
    ask(json!({"bk_biz_id": business})).fails_with(1_199_010).naming("bk_module_id");
    let without = |more: Value| {
        let answer = ask(json!({"bk_biz_id": business, "bk_module_id": module, "bk_host_ids": more}));
        serde_json::from_value::<Vec<i64>>(answer.data()["bk_host_ids"].clone()).unwrap()
    };
    assert_eq!(without(json!([])), *hosts);
    let id = instance_on(&app, &estate, 1, "p");
    assert_eq!(without(Value::Null), [hosts[0], hosts[2]]);
    assert_eq!(without(json!([hosts[1]])), Vec::<i64>::new()); // E103
    assert_eq!(without(json!([hosts[2], hosts[1], 99_999, hosts[2]])), [hosts[2]]);
    // I-24
    let with: BTreeSet<_> = list(&app, &estate).iter().map(|row| row["bk_host_id"].as_i64().unwrap()).collect();
    let without_any: BTreeSet<_> = without(json!([])).into_iter().collect();
    assert!(with.is_disjoint(&without_any));
    assert_eq!(with.union(&without_any).copied().collect::<Vec<_>>(), *hosts);
    // An instance in another module does not count.
    let body = json!({"bk_module_name": "second", "bk_parent_id": estate.set});
    let second = app.post(&format!("/module/{business}/{}", estate.set), body).data()["bk_module_id"].clone();
    let body = json!({"bk_biz_id": business, "bk_host_id": [hosts[1]], "bk_module_id": [second], "is_increment": true});
    app.post("/hosts/modules", body).data();
    let answer = ask(json!({"bk_biz_id": business, "bk_module_id": second})).data();
    assert_eq!(answer, json!({"bk_host_ids": [hosts[1]]}));
    for (business, module) in [(2, module), (business, 99_999)] {
        let answer = ask(json!({"bk_biz_id": business, "bk_module_id": module})).data();
        assert_eq!(answer, json!({"bk_host_ids": []})); // I-27
    }
    delete(&app, business, json!([id])).data();
    assert_eq!(without(json!([])), *hosts);
}

#[test]
fn pages_far_into_a_list_are_those_of_the_whole() {
    // instances I-20
    let app = TestApp::new();
    let estate = app.estate();
    let mut made: Vec<_> = (0..9).map(|i| instance_on(&app, &estate, i % 3, "p")).collect();
    instance_on(&app, &app.estate_named("other", "10.0.1"), 0, "p");
    for sort in ["id", "-id"] {
        for more in [json!({}), json!({"bk_module_id": estate.module}), json!({"search_key": "_p"})] {
            for start in 0..11 {
                let mut body = more.clone();
                body["bk_biz_id"] = estate.business.into();
                body["page"] = json!({"start": start, "limit": 2, "sort": sort});
                let answer = app.post("/findmany/proc/service_instance", body);
                let want: Vec<_> = made.iter().skip(start).take(2).copied().collect();
                assert_eq!((ids(&answer), answer.data()["count"].clone()), (want, json!(9)), "{sort} {more} {start}");
            }
        }
        made.reverse();
    }
}

#[test]
fn reads_for_business_sets() {
    // instances 10.22: the answers are those of the base operations.
    let app = TestApp::new();
    let estate = app.estate();
    let id = instance_on(&app, &estate, 0, "p");
    let body = json!({"bk_biz_id": estate.business, "instance_ids": [id], "labels": {"env": "prod"}});
    app.post("/createmany/proc/service_instance/labels", body).data();
    let body = json!({"bk_biz_id": estate.business, "bk_host_id": estate.hosts[0]});
    for path in ["/service_instance", "/service_instance/with_host", "/service_instance/labels/aggregation"] {
        let base = app.post(&format!("/findmany/proc{path}"), body.clone()).data();
        let ask = |set: &str| app.post(&format!("/findmany/proc/biz_set/{set}{path}"), body.clone());
        assert_eq!(ask("7").data(), base, "{path}");
        ask("x").fails_with(1_199_009).naming("bk_biz_set_id");
        let gateway = app.gateway("POST", &format!("/findmany/proc/biz_set/7{path}"), body.clone());
        assert_eq!(gateway.data(), base, "{path}");
    }
    // instances D5: the right is asked for on the business in the body, whatever the path says.
    let app = TestApp::with().settings(|settings| settings.protect_reads = true).start();
    app.grant("reader", Action::FindBusinessResource, Some(2));
    for path in ["/service_instance", "/service_instance/with_host", "/service_instance/labels/aggregation"] {
        let ask = |business: i64| {
            let body = json!({"bk_biz_id": business, "bk_host_id": 1});
            app.native_as("reader", "POST", &format!("/findmany/proc/biz_set/7{path}"), body).code()
        };
        assert_eq!([ask(2), ask(1)], [0, 9_900_403], "{path}");
    }
}

#[test]
fn operations_without_a_name_of_their_own_are_not_at_the_esb() {
    let app = TestApp::new();
    for operation in rollcall_app::table::operations() {
        if operation.esb.is_none() {
            app.esb(operation.name, json!({})).fails_with(1_306_404);
        }
    }
}
