//! update_module and delete_module: `topology` 7.2 and 7.3, the edge cases 12, 13 and 17 there, 85 and 87 of `templates`, by their numbers.

#![expect(clippy::unwrap_used, reason = "a test ends with its first error")]

mod support;

use rollcall_app::access::Action;
use serde_json::{Value, json};
use std::sync::Barrier;
use support::{Answer, Estate, TestApp, process};

fn path(estate: &Estate, module: i64) -> String {
    format!("/module/{}/{}/{module}", estate.business, estate.set)
}

fn update(app: &TestApp, estate: &Estate, module: i64, record: Value) -> Answer {
    app.native("PUT", &path(estate, module), record)
}

fn delete(app: &TestApp, estate: &Estate, module: i64) -> Answer {
    app.native("DELETE", &path(estate, module), "")
}

fn new_module(app: &TestApp, estate: &Estate, name: &str) -> i64 {
    let body = json!({"bk_module_name": name, "bk_parent_id": estate.set});
    let module = app.post(&format!("/module/{}/{}", estate.business, estate.set), body).data();
    module["bk_module_id"].as_i64().unwrap()
}

fn stored(app: &TestApp, module: i64) -> Option<Value> {
    let modules = app.documents("SELECT document FROM module").into_iter();
    modules.into_iter().find(|document| document["bk_module_id"] == module)
}

/// What a refused call must leave as it is.
fn traces(app: &TestApp) -> (Vec<Value>, i64, i64) {
    let modules = app.documents("SELECT document FROM module ORDER BY id");
    (modules, app.number("SELECT count(*) FROM audit"), app.number("SELECT count(*) FROM event"))
}

/// Action, id, name and business of the entries about modules, and their details.
fn audited(app: &TestApp) -> Vec<Value> {
    app.documents(
        "SELECT '{\"action\":\"' || action || '\",\"id\":' || resource_id || ',\"name\":\"' || resource_name || '\",\"biz\":'
            || business_id || ',\"detail\":' || detail || '}' FROM audit WHERE resource_type = 'module' ORDER BY id",
    )
}

#[test]
fn a_module_is_changed_through_every_door() {
    // Recording module.update.plain
    let app = TestApp::new();
    let estate = app.estate();
    let before = stored(&app, estate.module).unwrap();
    let entries = audited(&app).len();
    let record = json!({"bk_module_name": " web ", "operator": "ann", "bk_supplier_account": "0", "nothing": 1, "bk_set_id": 99,
        "bk_parent_id": 99, "default": 1, "host_apply_enabled": true});
    assert_eq!(update(&app, &estate, estate.module, record).data(), Value::Null);
    let after = stored(&app, estate.module).unwrap();
    for (key, value) in before.as_object().unwrap() {
        match key.as_str() {
            "bk_module_name" => assert_eq!(after[key], "web"),
            "operator" => assert_eq!(after[key], "ann"),
            "bk_updated_by" => assert_eq!(after[key], "ops"),
            "last_time" | "bk_updated_at" => assert!(after[key].is_string()),
            _ => assert_eq!(&after[key], value, "{key}"),
        }
    }
    let told = audited(&app);
    assert_eq!(told.len(), entries + 1);
    let told = told.last().unwrap();
    assert_eq!(
        (&told["action"], &told["id"], &told["name"], &told["biz"]),
        (&json!("update"), &json!(estate.module), &json!("module"), &json!(estate.business))
    );
    let fields = json!({"bk_module_name": "web", "operator": "ann"});
    let details = json!({"pre_data": before, "cur_data": null, "update_fields": fields});
    assert_eq!(told["detail"], json!({"details": details, "bk_obj_id": "module"}));
    let event = app.documents("SELECT after_state FROM event WHERE kind = 6 AND operation = 2");
    assert_eq!(event, [after]);

    let ids = json!({"bk_biz_id": estate.business, "bk_set_id": estate.set.to_string(), "bk_module_id": estate.module});
    let with = |more: Value| {
        let mut body = ids.clone();
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    let named = with(json!({"data": {"bk_module_name": "esb", "operator": "tom", "bk_supplier_account": "0"}}));
    assert_eq!(app.esb("update_module", named).data(), Value::Null);
    let now = stored(&app, estate.module).unwrap();
    assert_eq!((&now["bk_module_name"], &now["operator"]), (&json!("esb"), &json!("tom")));
    app.gateway("PUT", &path(&estate, estate.module), json!({"bk_bak_operator": "eve"})).data();
    assert_eq!(stored(&app, estate.module).unwrap()["bk_bak_operator"], "eve");
    app.esb("update_module", json!({"data": {}, "bk_biz_id": 3, "bk_set_id": 4})).fails_with(1_306_000);
    app.esb("update_module", with(json!({"data": 1}))).fails_with(1_306_000);

    // What is as it should be is left alone.
    let traces_before = traces(&app);
    update(&app, &estate, estate.module, json!({"bk_module_name": "esb", "bk_bak_operator": "eve"})).data();
    update(&app, &estate, estate.module, json!({})).data();
    assert_eq!(traces(&app), traces_before);
    app.check();
}

#[test]
fn what_a_module_cannot_become() {
    let app = TestApp::new();
    let estate = app.estate();
    let other = app.estate_named("other", "10.9.9");
    new_module(&app, &estate, "taken");
    let category = |business: i64, parent: i64, name: &str| {
        let body = json!({"bk_biz_id": business, "name": name, "bk_parent_id": parent});
        app.post("/create/proc/service_category", body).data()["id"].as_i64().unwrap()
    };
    let root = category(estate.business, 0, "games");
    let leaf = category(estate.business, root, "lobby");
    let foreign = category(other.business, 0, "foreign");
    let before = traces(&app);
    let check = |record: Value, code: i64, name: &str| {
        update(&app, &estate, estate.module, record).fails_with(code).naming(name);
    };
    check(json!({"bk_module_name": "taken"}), 1_199_014, "bk_module_name");
    check(json!({"bk_module_name": ""}), 1_199_010, "bk_module_name");
    check(json!({"bk_module_name": null}), 1_199_010, "bk_module_name");
    check(json!({"bk_module_name": "a/b"}), 1_199_006, "bk_module_name");
    check(json!({"bk_module_name": 7}), 1_199_011, "bk_module_name");
    check(json!({"bk_module_type": "9", "operator": []}), 1_199_011, "operator");
    check(json!({"service_template_id": 5}), 1_199_083, "service_template_id");
    check(json!({"set_template_id": 5}), 1_199_083, "set_template_id");
    check(json!({"service_category_id": 99_999}), 1_199_019, "service_category_id");
    check(json!({"service_category_id": foreign}), 1_199_006, "service_category_id");
    check(json!({"service_category_id": 0}), 1_199_006, "service_category_id");
    check(json!({"service_category_id": "4"}), 1_199_006, "service_category_id");
    check(json!({"service_category_id": root}), 1_113_032, "service_category_id");
    update(&app, &estate, 99_999, json!({})).fails_with(1_199_019).naming("bk_module_id");
    update(&app, &estate, other.module, json!({})).fails_with(1_199_019).naming("bk_module_id");
    let beside = Estate { set: other.set, ..estate.clone() };
    update(&app, &beside, estate.module, json!({})).fails_with(1_199_019).naming("bk_module_id");
    app.native("PUT", "/module/x/1/1", json!({})).fails_with(1_199_009);
    app.native("PUT", &path(&estate, estate.module), "[]").fails_with(1_199_000);
    assert_eq!(traces(&app), before);
    // A free module takes another category; one that it has already may have got others below it.
    update(&app, &estate, estate.module, json!({"service_category_id": leaf, "service_template_id": 0})).data();
    assert_eq!(stored(&app, estate.module).unwrap()["service_category_id"], leaf);
    category(estate.business, leaf, "below");
    update(&app, &estate, estate.module, json!({"service_category_id": leaf, "operator": "ann"})).data();
    app.check();
}

/// topology E13
#[test]
fn built_in_modules_stay() {
    let app = TestApp::new();
    let mut estate = app.estate();
    let internal = app.native("GET", &format!("/topo/internal/0/{}", estate.business), "").data();
    estate.set = internal["bk_set_id"].as_i64().unwrap();
    let before = traces(&app);
    for module in internal["module"].as_array().unwrap() {
        let id = module["bk_module_id"].as_i64().unwrap();
        update(&app, &estate, id, json!({"bk_module_name": "x"})).fails_with(1_101_098);
        delete(&app, &estate, id).fails_with(1_101_098);
    }
    assert_eq!(traces(&app), before);
}

/// topology E17; templates E85, E87 and 8, "Update module"
#[test]
fn what_a_template_says_of_its_modules_stays() {
    let app = TestApp::new();
    let estate = app.estate();
    let template = app.service_template(&estate, "st");
    app.fix_attributes(
        estate.business,
        template,
        &json!([
        {"bk_attribute_id": 32, "bk_property_value": "ann"}, {"bk_attribute_id": 31, "bk_property_value": "2"}]),
    );
    let module = app.bound_module(&estate, template).data()["bk_module_id"].as_i64().unwrap();
    let before = traces(&app);
    let check = |record: Value, code: i64, name: &str| {
        update(&app, &estate, module, record).fails_with(code).naming(name);
    };
    check(json!({"bk_module_name": "renamed"}), 1_101_091, "bk_module_name");
    check(json!({"service_category_id": 4}), 1_101_090, "service_category_id");
    check(json!({"service_template_id": 0}), 1_199_083, "service_template_id");
    check(json!({"operator": "tom", "bk_bak_operator": "b"}), 1_199_083, "operator");
    check(json!({"operator": "tom", "bk_module_type": "1"}), 1_199_083, "bk_module_type");
    check(json!({"operator": null}), 1_199_083, "operator");
    assert_eq!(traces(&app), before);
    let own = json!({"bk_module_name": "st", "service_category_id": 2, "service_template_id": template,
        "set_template_id": 0, "operator": " ann ", "bk_module_type": "2"});
    update(&app, &estate, module, own).data();
    update(&app, &estate, module, json!({"bk_module_name": ""})).data();
    assert_eq!(traces(&app), before);
    update(&app, &estate, module, json!({"bk_module_name": "", "bk_bak_operator": "b"})).data();
    let now = stored(&app, module).unwrap();
    assert_eq!((&now["bk_module_name"], &now["bk_bak_operator"]), (&json!("st"), &json!("b")));
    // A value that differs from the template's since it was changed there may stay, or become the template's.
    let other = json!({"bk_biz_id": estate.business, "id": template,
        "attributes": [{"bk_attribute_id": 32, "bk_property_value": "tom"}]});
    app.native("PUT", "/update/proc/service_template/attribute", other).data();
    update(&app, &estate, module, json!({"operator": "ann"})).data();
    update(&app, &estate, module, json!({"operator": "eve"})).fails_with(1_199_083);
    update(&app, &estate, module, json!({"operator": "tom"})).data();
    assert_eq!(stored(&app, module).unwrap()["operator"], "tom");

    // E87: let go, it is free and never follows a template again.
    let unbind = json!({"bk_biz_id": estate.business, "bk_module_id": module});
    app.native("DELETE", "/delete/proc/template_binding_on_module", unbind).data();
    update(&app, &estate, module, json!({"service_template_id": template})).fails_with(1_199_083);
    update(&app, &estate, module, json!({"bk_module_name": "free", "service_category_id": 4, "operator": "eve"}))
        .data();
    app.check();
}

/// topology E12 for modules, 7.3
#[test]
fn a_module_goes_when_no_host_is_in_it() {
    let app = TestApp::new();
    let estate = app.estate();
    let template = app.service_template(&estate, "st");
    let bound = app.bound_module(&estate, template).data()["bk_module_id"].as_i64().unwrap();
    app.instance(&estate, process("p"));
    let before = traces(&app);
    delete(&app, &estate, estate.module).fails_with(1_101_030).naming("module");
    delete(&app, &estate, 99_999).fails_with(1_199_019).naming("bk_module_id");
    let beside = Estate { set: estate.set + 1, ..estate.clone() };
    delete(&app, &beside, estate.module).fails_with(1_199_019);
    assert_eq!(traces(&app), before);

    let hosts = json!({"bk_biz_id": estate.business, "bk_host_id": estate.hosts});
    app.post("/hosts/modules/idle", hosts).data();
    let last = stored(&app, estate.module).unwrap();
    assert_eq!(delete(&app, &estate, estate.module).data(), Value::Null);
    assert_eq!(stored(&app, estate.module), None);
    let told = audited(&app).pop().unwrap();
    assert_eq!((&told["action"], &told["id"]), (&json!("delete"), &json!(estate.module)));
    let details = json!({"pre_data": last, "cur_data": null, "update_fields": null});
    assert_eq!(told["detail"], json!({"details": details, "bk_obj_id": "module"}));
    assert_eq!(app.documents("SELECT before_state FROM event WHERE kind = 6 AND operation = 3"), [last]);
    delete(&app, &estate, estate.module).fails_with(1_199_019);
    // Its name is free again, and a template that nothing follows can go.
    new_module(&app, &estate, "module");
    let ids = json!({"bk_biz_id": estate.business, "bk_set_id": estate.set, "bk_module_id": bound, "data": {"x": 1}});
    assert_eq!(app.esb("delete_module", ids.clone()).data(), Value::Null);
    app.esb("delete_module", ids).fails_with(1_199_019);
    let body = json!({"bk_biz_id": estate.business, "service_template_id": template});
    app.native("DELETE", "/delete/proc/service_template", body).data();
    let gone = new_module(&app, &estate, "gone");
    app.gateway("DELETE", &path(&estate, gone), "").data();
    app.check();
}

/// topology 7.3, templates 8
#[test]
fn modules_of_a_set_from_a_template_are_not_removed() {
    let app = TestApp::new();
    let estate = app.estate();
    let module = new_module(&app, &estate, "owned");
    let set = estate.set;
    let documents = app.documents("SELECT document FROM topology_set").into_iter();
    let mut document = documents.into_iter().find(|document| document["bk_set_id"] == set).unwrap();
    document["set_template_id"] = json!(7);
    let owned = app.store.write_blocking(move |tx| {
        let sql = "UPDATE topology_set SET set_template_id = 7, document = $2 WHERE id = $1";
        tx.execute(sql, &[set.into(), (&document.to_string()).into()])
    });
    assert_eq!(owned.unwrap(), 1);
    let before = traces(&app);
    delete(&app, &estate, module).fails_with(1_101_097);
    assert_eq!(traces(&app), before);
    update(&app, &estate, module, json!({"operator": "ann"})).data();
}

#[test]
fn modules_are_changed_and_removed_with_the_right_only() {
    let app = TestApp::with().administrator("boss").start();
    let record = json!({"bk_biz_name": "a", "bk_biz_maintainer": "x"});
    let business = app.native_as("boss", "POST", "/biz/0", record).data()["bk_biz_id"].as_i64().unwrap();
    let set = json!({"bk_set_name": "s", "bk_parent_id": business});
    let set = app.native_as("boss", "POST", &format!("/set/{business}"), set).data()["bk_set_id"].as_i64().unwrap();
    let module = json!({"bk_module_name": "m", "bk_parent_id": set});
    let module = app.native_as("boss", "POST", &format!("/module/{business}/{set}"), module).data();
    let own = format!("/module/{business}/{set}/{}", module["bk_module_id"]);
    let absent = format!("/module/{business}/{set}/99999");
    app.grant("ann", Action::CreateTopology, Some(business));
    for (method, action, name) in
        [("PUT", Action::EditTopology, "edit_biz_topology"), ("DELETE", Action::DeleteTopology, "delete_biz_topology")]
    {
        for path in [&own, &absent] {
            let refused = app.native_as("ann", method, path, "{}");
            refused.fails_with(9_900_403);
            assert_eq!(refused.json()["permission"]["actions"][0]["id"], name);
        }
        app.grant("ann", action, Some(2));
        app.native_as("ann", method, &own, "{}").fails_with(9_900_403);
        // Named in another business it looks absent.
        let elsewhere = own.replace(&format!("/module/{business}/"), "/module/2/");
        app.native_as("ann", method, &elsewhere, "{}").fails_with(1_199_019);
        app.grant("ann", action, Some(business));
        app.native_as("ann", method, &own, "{}").data();
    }
    app.check();
}

/// A host that is put into a module and the removal of this module meet again and again: one of them is refused.
#[test]
fn a_host_and_the_removal_of_its_module_do_not_pass_each_other() {
    const ROUNDS: usize = 40;
    let app = TestApp::new();
    let estate = app.estate();
    let (mut moved, mut removed) = (0, 0);
    for round in 0..ROUNDS {
        let module = new_module(&app, &estate, &format!("m{round}"));
        let (host, barrier) = (estate.hosts[round % 3], Barrier::new(2));
        let body =
            json!({"bk_biz_id": estate.business, "bk_host_id": [host], "bk_module_id": [module], "is_increment": true});
        let (transfer, removal) = std::thread::scope(|scope| {
            let transfer = scope.spawn(|| {
                barrier.wait();
                app.post("/hosts/modules", body)
            });
            barrier.wait();
            let removal = delete(&app, &estate, module);
            (transfer.join().unwrap(), removal)
        });
        match (transfer.code(), removal.code()) {
            (0, 1_101_030) => moved += 1,
            (1_101_080, 0) => removed += 1,
            _ => panic!("{} {}", transfer.text, removal.text),
        }
    }
    assert_eq!(moved + removed, ROUNDS);
    app.check();
}

/// The name of a service template may have 256 characters, and so may the names of modules and sets (`templates` 5).
#[test]
fn a_module_can_be_called_as_its_template_whatever_that_is() {
    let app = TestApp::new();
    let estate = app.estate();
    let name = "名".repeat(256);
    let template = app.service_template(&estate, &name);
    let module = app.bound_module(&estate, template).data();
    assert_eq!(module["bk_module_name"], name);
    let set_template = app.set_template(&estate, "sets", &[template]);
    let set = app.set_of(&estate, &name, set_template);
    assert_eq!(app.number("SELECT count(*) FROM module WHERE service_template_id > 0"), 2);
    let renamed =
        json!({"bk_biz_id": estate.business, "id": template, "name": "字".repeat(256), "service_category_id": 2});
    app.native("PUT", "/update/proc/service_template", renamed).data();
    assert_eq!(stored(&app, module["bk_module_id"].as_i64().unwrap()).unwrap()["bk_module_name"], "字".repeat(256));
    assert!(set > 0);
    let body = json!({"bk_module_name": "名".repeat(257), "bk_parent_id": estate.set});
    let refused = app.post(&format!("/module/{}/{}", estate.business, estate.set), body);
    refused.fails_with(1_199_006).naming("bk_module_name");
    app.check();
}
