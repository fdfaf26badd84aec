//! `dry_run`: what a write would do, record by record and field by field, at every door, without doing it.

#![expect(clippy::unwrap_used, reason = "a test ends with its first error")]

mod support;

use rollcall_app::access::Action;
use serde_json::{Value, json};
use support::templated::{Case, job};
use support::{Answer, TestApp, named};

/// Events, audit entries and what the rows hold.
fn state(app: &TestApp) -> (i64, i64, Vec<Value>) {
    let documents = app.documents(
        "SELECT document FROM module UNION ALL SELECT document FROM service_template UNION ALL SELECT property FROM process_template
            UNION ALL SELECT '{' || fixed_fields || ',' || extra_fields || '}' FROM process ORDER BY 1",
    );
    (app.number("SELECT count(*) FROM event"), app.number("SELECT count(*) FROM audit"), documents)
}

impl Case {
    /// Tries a write, which must leave nothing behind; answers its changes as `[resource, action, fields]`.
    fn try_out(&self, method: &str, path: &str, mut body: Value) -> Vec<(String, String, Value)> {
        let before = state(&self.app);
        body["dry_run"] = json!(true);
        let told = self.app.native(method, path, body).data();
        assert_eq!(state(&self.app), before, "{path}");
        let changes = told["changes"].as_array().unwrap();
        assert_eq!((&told["dry_run"], told["count"].as_u64().unwrap()), (&json!(true), changes.len() as u64));
        let text = |change: &Value, field: &str| change[field].as_str().unwrap().to_owned();
        changes.iter().map(|it| (text(it, "resource"), text(it, "action"), it["fields"].clone())).collect()
    }

    fn with_business(&self, body: Value) -> Value {
        let mut body = body;
        body["bk_biz_id"] = self.estate.business.into();
        body
    }
}

fn field(name: &str, before: Value, after: Value) -> Value {
    json!({"field": name, "before": before, "after": after})
}

#[test]
fn writes_about_templates_are_shown_and_not_done() {
    let case = Case::new();
    let spec = json!({"service_template_id": case.template, "processes": [{"spec": named("new")}]});
    let told = case.try_out("POST", "/createmany/proc/proc_template", case.with_business(spec));
    assert_eq!((told.len(), told[0].0.as_str(), told[0].1.as_str()), (1, "process_template", "create"));
    let changed = json!({"process_template_id": case.jobs[0], "process_property": job("root", "80")});
    let told = case.try_out("PUT", "/update/proc/proc_template", case.with_business(changed));
    let fields = told[0].2.as_array().unwrap();
    assert_eq!((told.len(), fields.len(), &fields[0]["field"]), (1, 1, &json!("property")));
    assert_eq!(fields[0]["before"]["user"], json!({"value": "www", "as_default_value": true}));
    assert_eq!(fields[0]["after"]["user"], json!({"value": "root", "as_default_value": true}));
    let removed = case.with_business(json!({"process_templates": case.jobs}));
    let told = case.try_out("DELETE", "/deletemany/proc/proc_template", removed);
    let of = |resource: &str| told.iter().filter(|it| it.0 == resource).collect::<Vec<_>>();
    assert!(of("process_template").iter().all(|it| it.1 == "delete") && of("process_template").len() == 2);
    // Their processes stay, without them.
    let lets_go = |template: i64| json!([field("process_template_id", json!(template), json!(0))]);
    let released: Vec<_> = of("process_instance_relation").iter().map(|it| (it.1.clone(), it.2.clone())).collect();
    let each = [lets_go(case.jobs[0]), lets_go(case.jobs[1])].map(|fields| ("update".to_owned(), fields));
    assert_eq!(released, [&each[..]; 3].concat());
    assert_eq!(told.len(), 2 + 6);
    // The modules that follow are shown with their template.
    let renamed = case.with_business(json!({"id": case.template, "name": "other", "service_category_id": 4}));
    let told = case.try_out("PUT", "/update/proc/service_template", renamed);
    let of = |resource: &str| told.iter().find(|it| it.0 == resource).unwrap().2.clone();
    let category = field("service_category_id", json!(2), json!(4));
    assert_eq!(of("module"), json!([field("bk_module_name", json!("st"), json!("other")), category]));
    assert_eq!(of("service_template"), json!([field("name", json!("st"), json!("other")), category]));
    let unbound = case.with_business(json!({"bk_module_id": case.module}));
    let told = case.try_out("DELETE", "/delete/proc/template_binding_on_module", unbound);
    let template = json!([field("service_template_id", json!(case.template), json!(0))]);
    let (processes, others): (Vec<_>, Vec<_>) = told.iter().partition(|it| it.0 == "process_instance_relation");
    assert!(others.iter().all(|it| it.1 == "update" && it.2 == template), "{told:?}");
    assert_eq!(others.iter().filter(|it| it.0 == "service_instance").count(), 3);
    assert_eq!(processes.len(), 6, "{told:?}");
    assert!(processes.iter().all(|it| case.jobs.iter().any(|job| it.2 == lets_go(*job))), "{told:?}");
    let category = case.with_business(json!({"name": "tried"}));
    let told = case.try_out("POST", "/create/proc/service_category", category);
    assert_eq!((told.len(), told[0].0.as_str()), (1, "service_category"));
    case.app.check();
}

#[test]
fn every_door_takes_it() {
    let case = Case::new();
    let body = || case.with_business(json!({"name": "tried", "service_category_id": 2}));
    let with = |more: Value| {
        let mut body = body();
        body["dry_run"] = more;
        body
    };
    let path = "/create/proc/service_template";
    let is_shown = |answer: Answer| {
        let told = answer.json()["data"].clone();
        assert_eq!((&told["dry_run"], &told["changes"][0]["resource"]), (&json!(true), &json!("service_template")));
    };
    is_shown(case.app.post(path, with(json!(true))));
    is_shown(case.app.post(&format!("{path}?dry_run=true"), body()));
    is_shown(case.app.post(&format!("{path}?dry_run=1"), body()));
    is_shown(case.app.gateway("POST", path, with(json!(true))));
    is_shown(case.app.gateway("POST", &format!("{path}?dry_run=true"), body()));
    is_shown(case.app.esb("create_service_template", with(json!(true))));
    let set = json!({"bk_biz_id": case.estate.business, "dry_run": true,
        "data": {"bk_set_name": "tried", "bk_parent_id": case.estate.business}});
    let told = case.app.esb("create_set", set).data();
    assert_eq!((&told["changes"][0]["resource"], &told["count"]), (&json!("set"), &json!(1)));
    for wrong in [json!("perhaps"), json!(1), json!([])] {
        case.app.post(path, with(wrong.clone())).fails_with(1_199_000).naming("dry_run");
        case.app.esb("create_service_template", with(wrong)).fails_with(1_199_000);
    }
    // Nothing of all that was done; without it, or with false, it is.
    let count = || case.app.number("SELECT count(*) FROM service_template");
    assert_eq!(count(), 1);
    case.app.post(path, with(json!(false))).data();
    assert_eq!(count(), 2);
    // A read knows no such field and ignores it, as it does all others.
    let list = json!({"bk_biz_id": case.estate.business, "dry_run": 7, "page": {"start": 0, "limit": 10}});
    assert_eq!(case.app.post("/findmany/proc/service_template", list).data()["count"], 2);
}

/// What would be refused is refused, with the same error, and who lacks the right learns nothing.
#[test]
fn what_cannot_be_done_cannot_be_shown() {
    let case = Case::new();
    let taken = case.with_business(json!({"name": "st", "service_category_id": 2, "dry_run": true}));
    case.app.post("/create/proc/service_template", taken).fails_with(1_199_014);
    let app = TestApp::with().start();
    let body = json!({"bk_biz_id": 2, "name": "x", "service_category_id": 2, "dry_run": true});
    app.post("/create/proc/service_template", body.clone()).fails_with(9_900_403);
    let modules = json!({"bk_biz_id": 2, "bk_module_ids": [1], "service_template_id": 1, "dry_run": true});
    app.native("PUT", "/update/proc/service_instance/sync", modules).fails_with(9_900_403);
    app.grant(support::USER, Action::CreateServiceTemplate, Some(2));
    assert_eq!(app.post("/create/proc/service_template", body).data()["count"], 1);
}

/// What is told is what would be stored: the changes of a preview are those of the events that the write then leaves.
#[test]
fn processes_that_let_go_are_told_of() {
    let case = Case::new();
    let instance = case.ids()[0];
    let removed = case.with_business(json!({"process_templates": [case.jobs[0]]}));
    let mut tried = removed.clone();
    tried["dry_run"] = json!(true);
    let told = case.app.native("DELETE", "/deletemany/proc/proc_template", tried).data();
    let changes = told["changes"].as_array().unwrap();
    let first = changes.iter().find(|it| it["resource"] == "process_instance_relation").unwrap();
    assert_eq!(
        first,
        &json!({"resource": "process_instance_relation", "action": "update", "bk_biz_id": case.estate.business,
            "id": first["id"], "service_instance_id": instance,
            "fields": [field("process_template_id", json!(case.jobs[0]), json!(0))]})
    );
    case.app.native("DELETE", "/deletemany/proc/proc_template", removed).data();
    let events = |sql| case.app.documents(sql);
    let before = events("SELECT before_state FROM event WHERE kind = 10 ORDER BY object_id");
    let after = events("SELECT after_state FROM event WHERE kind = 10 ORDER BY object_id");
    let body = json!({"bk_biz_id": case.estate.business, "service_instance_id": instance});
    let listed = case.app.post("/findmany/proc/process_instance", body).data();
    assert_eq!((before.len(), &after[0]), (3, &listed[0]["relation"]));
    assert_eq!(
        (&before[0]["process_template_id"], &after[0]["process_template_id"]),
        (&json!(case.jobs[0]), &json!(0))
    );
    case.app.check();
}

/// More than an answer may hold is counted.
#[test]
fn a_preview_spells_out_so_many_changes_and_counts_the_rest() {
    let case = Case::on(TestApp::with().administrator(support::USER).settings(|it| it.limits.unpaged_rows = 3).start());
    let removed = case.with_business(json!({"process_templates": case.jobs, "dry_run": true}));
    let told = case.app.native("DELETE", "/deletemany/proc/proc_template", removed).data();
    assert_eq!((told["changes"].as_array().unwrap().len(), &told["count"]), (3, &json!(8)));
}

/// Who may change what they may not read learns that it would change, not what stands there.
#[test]
fn a_preview_shows_nothing_that_its_reader_may_not_read() {
    let app = TestApp::with().administrator(support::USER).settings(|it| it.protect_reads = true).start();
    let case = Case::on(app);
    let body = case.with_business(json!({"service_instance_ids": case.ids()[..1], "dry_run": true}));
    case.app.grant("eve", Action::DeleteServiceInstance, Some(case.estate.business));
    let told = case.app.native_as("eve", "DELETE", "/deletemany/proc/service_instance", body.clone()).data();
    let changes = told["changes"].as_array().unwrap();
    assert_eq!(changes.len(), 3);
    assert!(changes.iter().all(|it| it["action"] == "delete" && it["fields"] == json!([])), "{told}");
    case.app.grant("eve", Action::FindBusinessResource, Some(case.estate.business));
    let told = case.app.native_as("eve", "DELETE", "/deletemany/proc/service_instance", body).data();
    assert!(told["changes"].as_array().unwrap().iter().all(|it| it["fields"] != json!([])), "{told}");
}

/// A module or set that a job is at would be refused, so trying is refused, too (1117008).
#[test]
fn what_a_job_is_at_cannot_be_tried() {
    let case = Case::on(TestApp::with().administrator(support::USER).settings(|it| it.jobs.run = false).start());
    case.update(case.jobs[0], job("root", "80"));
    let mut body = case.with_business(json!({"bk_module_ids": [case.module], "service_template_id": case.template}));
    case.app.native("PUT", "/update/proc/service_instance/sync", body.clone()).data();
    body["dry_run"] = json!(true);
    let refused = case.app.native("PUT", "/update/proc/service_instance/sync", body);
    refused.fails_with(1_117_008).naming("bk_module_ids[0]");
}
