//! How far modules are from their templates: `templates` 10, the edge cases 56 to 65 and 78 to 82 by their numbers.

#![expect(clippy::unwrap_used, reason = "a test ends with its first error")]

mod support;

use serde_json::{Value, json};
use support::named;
use support::templated::{Case, job};

fn clean() -> Value {
    json!({"changed": null, "added": null, "removed": null, "attributes": []})
}

#[test]
fn a_new_module_has_no_difference() {
    let case = Case::new();
    assert_eq!((case.compare(), case.needs_sync()), (clean(), false));
    let none = json!({"total_count": "0", "service_instances": null, "type": ""});
    assert_eq!(case.instances(json!({"process_template_id": case.jobs[0]})).data(), none);
    let instance = case.ids()[0];
    let told = case.detail(json!({"process_template_id": case.jobs[0], "service_instance_id": instance})).data();
    let none = json!({"id": instance, "name": "10.0.0.1_job_80", "type": "", "process": null,
        "changed_attributes": null});
    assert_eq!(told, none); // E81
}

/// templates E56, E58, E59: what is locked differs, and nothing else does.
#[test]
fn changed_processes_are_told_field_by_field() {
    let case = Case::new();
    case.update(case.jobs[0], json!({"timeout": {"value": 5}, "start_cmd": {"value": "x", "as_default_value": false}}));
    assert_eq!((case.compare(), case.needs_sync()), (clean(), false));
    // The lock around the rows says nothing: a synchronization changes them all the same (E59, defect 3).
    let mut changed = job("root", "81");
    changed["bind_info"]["as_default_value"] = json!(false);
    case.update(case.jobs[0], changed);
    let want = json!({"changed": [{"name": "job", "id": case.jobs[0]}], "added": null, "removed": null,
        "attributes": []});
    assert_eq!((case.compare(), case.needs_sync()), (want, true));
    let ids = case.ids();
    let named = |i: usize| json!({"id": ids[i], "name": format!("10.0.0.{}_job_80", i + 1)});
    let told = case.instances(json!({"process_template_id": case.jobs[0]})).data();
    let want = json!({"total_count": "3", "service_instances": [named(0), named(1), named(2)], "type": "changed"});
    assert_eq!(told, want);
    let told = case.detail(json!({"process_template_id": case.jobs[0], "service_instance_id": ids[1]})).data();
    let row =
        |port: &str| json!([{"enable": true, "ip": "10.0.0.2", "port": port, "protocol": "1", "template_row_id": 1}]);
    assert_eq!((&told["type"], &told["process"]), (&json!("changed"), &Value::Null));
    let attributes = told["changed_attributes"].as_array().unwrap();
    let told: Vec<_> = attributes
        .iter()
        .map(|it| (it["property_id"].as_str().unwrap(), &it["property_value"], &it["template_property_value"]))
        .collect();
    let locked_root = json!({"value": "root", "as_default_value": true});
    assert_eq!(told, [("user", &json!("www"), &locked_root), ("bind_info", &row("80"), &row("81"))]);
    assert!(attributes.iter().all(|it| it["id"].as_i64().unwrap() > 0 && it["property_name"].is_string()));
}

/// templates E62, E63, E64, and defects 5 to 7
#[test]
fn processes_and_instances_that_come_or_go_are_told() {
    let case = Case::new();
    let third = case.app.process_templates(&case.estate, case.template, vec![named("third")])[0];
    let want = json!({"changed": null, "added": [{"name": "third", "id": third}], "removed": null, "attributes": []});
    assert_eq!(case.compare(), want);
    assert_eq!(case.instances(json!({"process_template_id": third})).data()["type"], "added");
    let instance = case.ids()[0];
    let asked = json!({"process_template_id": third, "service_instance_id": instance});
    assert_eq!(case.detail(asked).data()["type"], "added");
    case.delete(third);
    case.delete(case.jobs[1]);
    let again = case.app.process_templates(&case.estate, case.template, vec![named("other")])[0];
    let want = json!({"changed": null, "added": [{"name": "other", "id": again}],
        "removed": [{"name": "other", "id": 0}], "attributes": []});
    assert_eq!((case.compare(), case.needs_sync()), (want, true));
    // Changed ones are not told among those that go.
    case.update(case.jobs[0], json!({"user": {"value": "root", "as_default_value": true}}));
    let gone = json!({"process_template_id": 0, "process_template_name": "other"});
    let told = case.instances(gone.clone()).data();
    assert_eq!((&told["total_count"], &told["type"]), (&json!("3"), &json!("removed")));
    assert_eq!(case.instances(json!({"process_template_name": "job"})).data()["total_count"], "0");
    let mut asked = gone;
    asked["service_instance_id"] = instance.into();
    let told = case.detail(asked).data();
    assert_eq!((&told["type"], &told["process"]["bk_process_name"]), (&json!("removed"), &json!("other")));
}

#[test]
fn a_host_without_its_instance_lacks_every_process() {
    let case = Case::new();
    let body = json!({"bk_biz_id": case.estate.business, "service_instance_ids": [case.ids()[2]]});
    case.app.native("DELETE", "/deletemany/proc/service_instance", body).data();
    let told = case.compare();
    assert_eq!((&told["added"].as_array().unwrap().len(), &told["changed"]), (&2, &Value::Null));
    assert!(case.needs_sync());
    let told = case.instances(json!({"process_template_id": case.jobs[1]})).data();
    let want =
        json!({"total_count": "1", "service_instances": [{"id": 0, "name": "10.0.0.3_job_80"}], "type": "added"});
    assert_eq!(told, want);
}

/// templates E22
#[test]
fn a_name_may_be_of_one_that_changes_and_of_one_that_goes() {
    let case = Case::new();
    case.delete(case.jobs[1]);
    case.update(case.jobs[0], json!({"bk_process_name": {"value": "other"}}));
    let want = json!({"changed": [{"name": "other", "id": case.jobs[0]}], "added": null,
        "removed": [{"name": "other", "id": 0}], "attributes": []});
    assert_eq!((case.compare(), case.needs_sync()), (want, true));
    let ids = case.ids();
    let named = |i: usize| json!({"id": ids[i], "name": format!("10.0.0.{}_job_80", i + 1)});
    for (asked, kind) in [
        (json!({"process_template_id": case.jobs[0]}), "changed"),
        (json!({"process_template_id": 0, "process_template_name": "other"}), "removed"),
    ] {
        let all = [named(0), named(1), named(2)];
        let want = json!({"total_count": "3", "service_instances": all, "type": kind});
        assert_eq!(case.instances(asked).data(), want);
    }
    let gone = json!({"process_template_id": 0, "process_template_name": "job"});
    assert_eq!(case.instances(gone).data()["total_count"], "0", "no process of the old name goes");
}

/// templates E80, defect 6: one instance would change, one lacks the process, and one host lacks its instance.
#[test]
fn what_would_change_is_told_beside_what_is_lacking() {
    let case = Case::new();
    let ids = case.ids();
    let third = case.app.process_templates(&case.estate, case.template, vec![named("third")])[0];
    let body = json!({"bk_biz_id": case.estate.business, "service_instance_ids": ids[1..]});
    case.app.native("DELETE", "/deletemany/proc/service_instance", body).data();
    let made = json!({"bk_biz_id": case.estate.business, "bk_module_id": case.module,
        "instances": [{"bk_host_id": case.estate.hosts[1]}]});
    let whole = case.app.post("/create/proc/service_instance", made).data()[0].clone();
    let asked = json!({"process_template_id": third});
    let told = |instances: Value, count: &str, kind: &str| {
        let want = json!({"total_count": count, "service_instances": instances, "type": kind});
        assert_eq!(case.instances(asked.clone()).data(), want);
    };
    let lacks = json!({"id": ids[0], "name": "10.0.0.1_job_80"});
    let host = json!({"id": 0, "name": "10.0.0.3_job_80"});
    told(json!([lacks, host]), "2", "added");
    case.update(third, json!({"user": {"value": "root", "as_default_value": true}}));
    let differs = json!({"id": whole, "name": "10.0.0.2_job_80"});
    told(json!([lacks, differs, host]), "3", "changed");
    let kinds = [&json!(ids[0]), &whole].map(|instance| {
        let mut asked = asked.clone();
        asked["service_instance_id"] = instance.clone();
        case.detail(asked).data()["type"].clone()
    });
    assert_eq!(kinds, ["added", "changed"]);
    let all = case.compare();
    let named = |it: &Value| it.as_array().unwrap().iter().map(|it| it["id"].as_i64().unwrap()).collect::<Vec<_>>();
    assert_eq!(named(&all["changed"]), [third]);
    assert_eq!(named(&all["added"]), [case.jobs[0], case.jobs[1], third]);
}

/// templates D2
#[test]
fn of_very_many_instances_the_first_500_are_told() {
    let case = Case::new();
    let list: Vec<_> = (0..498).map(|i| json!({"bk_host_innerip": format!("10.8.{}.{}", i / 250, i % 250)})).collect();
    // A call takes 200 hosts.
    let hosts = list.chunks(200).flat_map(|list| {
        let body = json!({"bk_biz_id": case.estate.business, "bk_host_list": list});
        let made = case.app.post("/hosts/add/business_idle", body).data()["bk_host_ids"].clone();
        serde_json::from_value::<Vec<i64>>(made).unwrap()
    });
    let hosts: Vec<_> = hosts.collect();
    let join = |hosts: &[i64]| {
        let body = json!({"bk_biz_id": case.estate.business, "bk_host_id": hosts, "bk_module_id": [case.module],
            "is_increment": false});
        case.app.post("/hosts/modules", body).data();
    };
    join(&hosts[..497]);
    case.update(case.jobs[1], json!({"user": {"value": "root", "as_default_value": true}}));
    let told = || {
        let told = case.instances(json!({"process_template_id": case.jobs[1]})).data();
        let rows = told["service_instances"].as_array().unwrap().iter();
        let ids: Vec<_> = rows.map(|row| row["id"].as_i64().unwrap()).collect();
        (told["total_count"].clone(), ids, told["type"].clone())
    };
    let ids = case.ids();
    assert_eq!(ids.len(), 500);
    assert_eq!(told(), (json!("500"), ids.clone(), json!("changed")));
    // One more, and one that lacks the process: as many are told as before.
    join(&hosts[497..]);
    let more = case.ids();
    let body = json!({"bk_biz_id": case.estate.business, "service_instance_ids": [more[500]]});
    case.app.native("DELETE", "/deletemany/proc/service_instance", body).data();
    assert_eq!(told(), (json!("500+"), ids, json!("changed")));
}

/// templates E82 and invariant 14
#[test]
fn a_template_needs_what_one_of_its_modules_needs() {
    let case = Case::new();
    let (business, app) = (case.estate.business, &case.app);
    let set = json!({"bk_set_name": "second", "bk_parent_id": business});
    let set = app.post(&format!("/set/{business}"), set).data()["bk_set_id"].as_i64().unwrap();
    let second = app.bound_module(&support::Estate { set, ..case.estate.clone() }, case.template).data();
    let second = second["bk_module_id"].as_i64().unwrap();
    let unused = app.service_template(&case.estate, "unused");
    let needs = || {
        let modules = case.needs(json!({"bk_module_ids": [second, case.module]})).data();
        let ids = [case.template, unused, 99_999];
        let template = case.needs(json!({"is_partial": true, "service_template_ids": ids})).data();
        // What no module follows is not told of.
        let need = &template["service_templates"][0]["need_sync"];
        let rows = json!([{"service_template_id": case.template, "need_sync": need}]);
        assert_eq!(template, json!({"service_templates": rows, "modules": null}));
        let module = |i: usize, id: i64| {
            let told = &modules["modules"][i];
            assert_eq!(told["bk_module_id"], id);
            told["need_sync"].as_bool().unwrap()
        };
        (module(0, case.module), module(1, second), need.as_bool().unwrap())
    };
    assert_eq!(needs(), (false, false, false));
    // The second module has a host, and no instance on it.
    let moved = json!({"bk_biz_id": business, "bk_host_id": [case.estate.hosts[0]], "bk_module_id": [second],
        "is_increment": true, "disable_auto_create": true});
    app.post("/hosts/modules", moved).data();
    assert_eq!(needs(), (false, true, true));
    let instances = json!([{"bk_host_id": case.estate.hosts[0]}]);
    let body = json!({"bk_biz_id": business, "bk_module_id": second, "instances": instances});
    app.post("/create/proc/service_instance", body).data();
    assert_eq!(needs(), (false, false, false));
    let body = json!({"bk_biz_id": business, "service_instance_ids": [case.ids()[0]]});
    app.native("DELETE", "/deletemany/proc/service_instance", body).data();
    assert_eq!(needs(), (true, false, true));
    let many = json!({"is_partial": true, "service_template_ids": (1..=101).collect::<Vec<_>>()});
    case.needs(many).fails_with(1_199_035).naming("service_template_ids");
}

/// templates 10.3: name and attributes
#[test]
fn attributes_are_told_with_both_values() {
    let case = Case::new();
    let operator = rollcall_domain::model::catalogue();
    let mut operator = operator.filter(|(_, model, it)| model.wire() == "module" && it.id == "operator");
    let number = operator.next().unwrap().0;
    let processes = case.app.post(
        "/findmany/proc/proc_template",
        json!({"bk_biz_id": case.estate.business, "service_template_id": case.template}),
    );
    let all = json!({"bk_biz_id": case.estate.business, "id": case.template, "processes": processes.data()["info"],
        "attributes": [{"bk_attribute_id": number, "bk_property_value": "ann"}]});
    case.app.native("PUT", "/update/proc/service_template/all_info", all).data();
    let attributes = json!([{"id": number, "template_value": "ann", "inst_value": null}]);
    assert_eq!((&case.compare()["attributes"], case.needs_sync()), (&attributes, true));
    // A module that is made now has the value.
    let set = json!({"bk_set_name": "second", "bk_parent_id": case.estate.business});
    let set = case.app.post(&format!("/set/{}", case.estate.business), set).data()["bk_set_id"].as_i64().unwrap();
    let module = json!({"bk_parent_id": set, "service_template_id": case.template});
    let module = case.app.post(&format!("/module/{}/{set}", case.estate.business), module).data();
    assert_eq!(module["operator"], "ann");
    let told = case.needs(json!({"bk_module_ids": [case.module, module["bk_module_id"]]})).data();
    let needs: Vec<_> = told["modules"].as_array().unwrap().iter().map(|it| it["need_sync"].clone()).collect();
    assert_eq!(needs, [true, false]);
}

/// templates E74, E78, E81, E82
#[test]
fn what_cannot_be_compared() {
    let case = Case::new();
    let compare = |more: Value| case.app.post("/find/proc/service_template/general_difference", case.asked(more));
    for field in ["bk_biz_id", "bk_module_id", "service_template_id"] {
        compare(json!({field: 0})).fails_with(1_199_010).naming(field);
    }
    compare(json!({"service_template_id": 99_999})).fails_with(1_106_006);
    compare(json!({"bk_module_id": case.estate.module})).fails_with(1_106_006);
    for field in ["bk_biz_id", "bk_module_id", "service_template_id"] {
        case.instances(json!({field: 0})).fails_with(1_199_006).naming(field);
    }
    case.instances(json!({"bk_module_id": case.estate.module})).fails_with(1_199_006).naming("bk_module_id");
    case.instances(json!({"process_template_id": 99_999})).fails_with(1_199_006).naming("process_template_id");
    let unknown = json!({"process_template_id": case.jobs[0], "service_instance_id": 99_999});
    case.detail(unknown).fails_with(1_199_019).naming("service_instance_id");
    case.needs(json!({})).fails_with(1_199_010);
    case.needs(json!({"is_partial": true})).fails_with(1_199_010);
    case.needs(json!({"bk_module_ids": (1..=101).collect::<Vec<_>>()})).fails_with(1_199_035);
    let nobody = json!({"bk_module_ids": [case.estate.module, 99_999]});
    assert_eq!(case.needs(nobody).data(), json!({"service_templates": null, "modules": []}));
    let other = case.app.estate_named("other", "10.9.9");
    let path = format!("/findmany/proc/service_template/sync_status/biz/{}", other.business);
    let foreign = json!({"bk_module_ids": [case.module]});
    assert_eq!(case.app.post(&path, foreign).data(), json!({"service_templates": null, "modules": []}));
    let path = "/findmany/proc/service_template/sync_status/biz/0";
    case.app.post(path, json!({"bk_module_ids": [1]})).fails_with(1_199_011);
}
