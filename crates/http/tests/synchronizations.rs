//! Modules and instances follow their templates when they are told to: `templates` 11, the edge cases 47 and 56 to 77 by their
//! numbers.

#![expect(clippy::unwrap_used, reason = "a test ends with its first error")]

mod support;

use rollcall_app::access::Action;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use support::templated::{Case, job};
use support::{Answer, TestApp, named};

impl Case {
    fn synchronize(&self, more: Value) -> Answer {
        let body = self.asked(json!({"bk_module_ids": [self.module]}));
        let mut body = body.as_object().unwrap().clone();
        body.extend(more.as_object().unwrap().clone());
        self.app.native("PUT", "/update/proc/service_instance/sync", Value::Object(body))
    }

    fn jobs_of(&self, more: Value) -> Vec<Value> {
        let path = format!("/findmany/sync_job/bk_biz_id/{}", self.estate.business);
        self.app.post(&path, more).data()["info"].as_array().unwrap().clone()
    }

    /// Synchronizes the module as somebody whose request has an id, and waits for the end.
    fn follow_as(&self, user: &str, request: &str) -> Value {
        let body = self.asked(json!({"bk_module_ids": [self.module]}));
        let headers = [("BK_User", user), ("HTTP_BLUEKING_SUPPLIER_ID", "0"), ("X-Request-Id", request)];
        self.app.send("PUT", "/api/v3/update/proc/service_instance/sync", &headers, body).data();
        self.wait()
    }

    /// Lets the template fix who operates its modules; answers the number of the attribute.
    fn fix_operator(&self, user: &str) -> i64 {
        let mut operator = rollcall_domain::model::catalogue();
        let number = operator.find(|(_, model, it)| model.wire() == "module" && it.id == "operator").unwrap().0;
        let processes = self.app.post(
            "/findmany/proc/proc_template",
            json!({"bk_biz_id": self.estate.business, "service_template_id": self.template}),
        );
        let all = json!({"bk_biz_id": self.estate.business, "id": self.template,
            "processes": processes.data()["info"],
            "attributes": [{"bk_attribute_id": number, "bk_property_value": user}]});
        self.app.native("PUT", "/update/proc/service_template/all_info", all).data();
        number
    }

    /// The audit of what was done in the name of a user, in its order.
    fn entries_of(&self, user: &str) -> Vec<Value> {
        let entries = self.app.documents(
            "SELECT '{\"request\":\"' || request_id || '\",\"user\":\"' || user_name || '\",\"what\":\"' || resource_type
                || ' ' || action || '\",\"id\":' || resource_id || ',\"business\":' || business_id || '}'
                FROM audit ORDER BY id",
        );
        entries.into_iter().filter(|entry| entry["user"] == user).collect()
    }

    /// Kind and operation of the events of a request.
    fn events_of(&self, request: &str) -> Vec<(i64, i64)> {
        let events = self.app.documents(
            "SELECT '{\"request\":\"' || request_id || '\",\"kind\":' || kind || ',\"operation\":' || operation || '}'
                FROM event ORDER BY kind, operation",
        );
        let number = |event: &Value, field: &str| event[field].as_i64().unwrap();
        let of_request = events.iter().filter(|event| event["request"] == request);
        of_request.map(|event| (number(event, "kind"), number(event, "operation"))).collect()
    }

    /// Waits until no job is open, and answers the newest.
    fn wait(&self) -> Value {
        let begun = Instant::now();
        loop {
            let jobs = self.jobs_of(json!({}));
            let is_open = |job: &&Value| ["new", "waiting", "executing"].contains(&job["status"].as_str().unwrap());
            if !jobs.iter().any(|job| is_open(&job)) {
                return jobs.into_iter().next().unwrap();
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "{jobs:?}");
        }
    }

    /// Synchronizes the module and waits for the end.
    fn follow(&self) -> Value {
        assert_eq!(self.synchronize(json!({})).data(), Value::Null);
        self.wait()
    }

    /// The same, which has to succeed and to leave no difference (templates invariant 1).
    fn settle(&self) {
        let job = self.follow();
        assert_eq!((&job["status"], &job["failures"]), (&json!("finished"), &json!([])), "{job}");
        let told = self.compare();
        assert_eq!((&told["changed"], &told["added"], &told["removed"]), (&Value::Null, &Value::Null, &Value::Null));
        assert!(!self.needs_sync());
        self.app.check();
    }

    fn status(&self, modules: &[i64]) -> Vec<Value> {
        let path = format!("/findmany/proc/service_template_sync_status/bk_biz_id/{}", self.estate.business);
        let body = json!({"bk_module_ids": modules, "service_template_id": self.template});
        self.app.post(&path, body).data().as_array().unwrap().clone()
    }

    /// Every process of an instance with its relation.
    fn processes(&self, instance: i64) -> Vec<Value> {
        let body = json!({"bk_biz_id": self.estate.business, "service_instance_id": instance});
        self.app.post("/findmany/proc/process_instance", body).data().as_array().unwrap().clone()
    }

    /// The process of a template in an instance.
    fn process(&self, instance: i64, template: i64) -> Value {
        let processes = self.processes(instance);
        let mut of_template = processes.into_iter().filter(|it| it["relation"]["process_template_id"] == template);
        of_template.next().unwrap()["property"].clone()
    }
}

/// templates E56, E59, E61, E65: what is locked is overwritten, what is not stays; ids, labels and names of instances stay too.
#[test]
fn locked_fields_follow_and_others_stay() {
    let case = Case::new();
    let ids = case.ids();
    let labels = json!({"bk_biz_id": case.estate.business, "instance_ids": [ids[0]], "labels": {"a": "b"}});
    case.app.post("/createmany/proc/service_instance/labels", labels).data();
    let before = case.process(ids[0], case.jobs[0]);
    let own = json!({"bk_biz_id": case.estate.business, "processes": [{"bk_process_id": before["bk_process_id"],
        "description": "own", "bind_info": [{"template_row_id": 1, "protocol": "2", "enable": false}]}]});
    case.app.native("PUT", "/update/proc/process_instance", own).data();
    let mut changed = job("root", "81");
    changed["bk_process_name"] = json!({"value": "renamed"});
    changed["pid_file"] = json!({"value": null, "as_default_value": true});
    changed["work_path"] = json!({"value": "", "as_default_value": true});
    changed["timeout"] = json!({"value": 30, "as_default_value": false});
    changed["bind_info"]["as_default_value"] = json!(false);
    case.update(case.jobs[0], changed);
    case.settle();
    let after = case.process(ids[0], case.jobs[0]);
    let row = json!([{"template_row_id": 1, "ip": "10.0.0.1", "port": "81", "protocol": "2", "enable": false}]);
    for (field, want) in [
        ("user", json!("root")),
        ("bk_process_name", json!("renamed")),
        ("bk_func_name", json!("job")),
        ("work_path", json!("")),
        ("pid_file", Value::Null),
        ("description", json!("own")),
        ("timeout", Value::Null),
        ("bind_info", row),
        ("bk_process_id", before["bk_process_id"].clone()),
    ] {
        assert_eq!(after[field], want, "{field}");
    }
    let list = json!({"bk_biz_id": case.estate.business, "bk_module_id": case.module});
    let instance = case.app.post("/findmany/proc/service_instance", list).data()["info"][0].clone();
    assert_eq!((&instance["id"], &instance["name"]), (&json!(ids[0]), &json!("10.0.0.1_job_80")));
    assert_eq!(instance["labels"], json!({"a": "b"}));
}

/// templates E47: a template without rows makes processes without any. Where a synchronization writes rows, it leaves an empty list; what
/// lacks them already is not written, since a difference tells all that changes.
#[test]
fn a_template_without_rows_leaves_none() {
    let case = Case::new();
    let rows = |template: i64| {
        let all = case.ids().into_iter().map(|instance| case.process(instance, template)["bind_info"].clone());
        all.collect::<Vec<_>>()
    };
    assert_eq!(rows(case.jobs[1]), vec![Value::Null; 3]);
    case.update(case.jobs[1], json!({"user": {"value": "root", "as_default_value": true}}));
    case.update(case.jobs[0], json!({"bind_info": {"value": [], "as_default_value": true}}));
    assert_eq!(case.compare()["changed"].as_array().unwrap().len(), 2);
    case.settle();
    assert_eq!(case.process(case.ids()[0], case.jobs[1])["user"], "root");
    assert_eq!((rows(case.jobs[0]), rows(case.jobs[1])), (vec![json!([]); 3], vec![Value::Null; 3]));
    // In a template neither is anything else than the other.
    case.update(case.jobs[0], json!({"bind_info": {"value": null, "as_default_value": true}}));
    case.update(case.jobs[1], json!({"bind_info": {"value": [], "as_default_value": true}}));
    assert_eq!((case.compare()["changed"].clone(), case.needs_sync()), (Value::Null, false));
}

/// templates E60, E62, E63: processes and instances come and go; what comes may have the name of what goes.
#[test]
fn processes_and_instances_come_and_go() {
    let case = Case::new();
    let ids = case.ids();
    let gone = case.process(ids[0], case.jobs[1]);
    case.delete(case.jobs[1]);
    let again = case.app.process_templates(&case.estate, case.template, vec![named("other"), named("third")]);
    let without = json!({"bk_biz_id": case.estate.business, "service_instance_ids": [ids[2]]});
    case.app.native("DELETE", "/deletemany/proc/service_instance", without).data();
    // The row that is removed and the one that is added are two, though the caller names no id (E60).
    let mut changed = job("www", "80");
    changed["bind_info"]["value"][0]["row_id"] = json!(0);
    case.update(case.jobs[0], changed);
    case.settle();
    assert_eq!(case.ids().len(), 3);
    for instance in case.ids() {
        let processes = case.processes(instance);
        let templates: Vec<_> = processes.iter().map(|it| it["relation"]["process_template_id"].clone()).collect();
        assert_eq!(templates, [case.jobs[0], again[0], again[1]]);
        assert_eq!(processes[0]["property"]["bind_info"][0]["template_row_id"], 2);
    }
    assert_ne!(case.process(ids[0], again[0])["bk_process_id"], gone["bk_process_id"]);
    // The instance that is made again has the name of a new one, the others keep theirs.
    assert_eq!(case.app.number("SELECT count(*) FROM service_instance WHERE name LIKE '10.0.0.%_job_80'"), 3);
}

/// templates E64: without a process template there are no instances.
#[test]
fn instances_go_with_the_last_process_template() {
    let case = Case::new();
    for template in &case.jobs {
        case.delete(*template);
    }
    let told = case.synchronize(json!({"dry_run": true})).data();
    let count = |resource: &str| {
        let changes = told["changes"].as_array().unwrap().iter();
        changes.filter(|change| change["resource"] == resource && change["action"] == "delete").count()
    };
    assert_eq!((&told["count"], count("process"), count("service_instance")), (&json!(9), 6, 3));
    assert_eq!(case.ids().len(), 3);
    case.settle();
    assert_eq!(case.ids(), Vec::<i64>::new());
    assert_eq!(case.app.number("SELECT count(*) FROM process"), 0);
}

/// templates E66, defect 29: names may be swapped.
#[test]
fn names_that_are_swapped_follow() {
    let case = Case::new();
    let name = |name: &str| json!({"bk_process_name": {"value": name}});
    case.update(case.jobs[0], name("aside"));
    case.update(case.jobs[1], name("job"));
    case.update(case.jobs[0], name("other"));
    case.settle();
    let names = |template| case.process(case.ids()[0], template)["bk_process_name"].clone();
    assert_eq!((names(case.jobs[0]), names(case.jobs[1])), (json!("other"), json!("job")));
}

/// templates invariant 2: a second synchronization changes nothing.
#[test]
fn a_second_synchronization_changes_nothing() {
    let case = Case::new();
    case.update(case.jobs[0], job("root", "81"));
    case.settle();
    let states = || {
        let of_processes = "SELECT '{' || fixed_fields || ',' || extra_fields || '}' FROM process ORDER BY id";
        let of_instances = "SELECT document || '}' FROM service_instance ORDER BY id";
        (case.app.documents(of_processes), case.app.documents(of_instances))
    };
    let events = || case.app.number("SELECT count(*) FROM event WHERE kind <> 120");
    let before = (states(), events());
    case.settle();
    assert_eq!((states(), events()), before);
}

/// What a job did is told as the job's own, in the name of who asked for it: one entry for each instance, an event for each process
/// (templates defect 14).
#[test]
fn audit_and_events_tell_what_the_job_did() {
    let case = Case::new();
    case.update(case.jobs[0], job("root", "80"));
    case.delete(case.jobs[1]);
    let third = case.app.process_templates(&case.estate, case.template, vec![named("third")])[0];
    let job = case.follow();
    let request = format!("job:{}", job["job_id"]);
    assert_eq!(job["task_id"], format!("id:{}", job["job_id"]));
    let of_job = |row: &&Value| row["request_id"] == request.as_str();
    let entries = case.app.documents(
        "SELECT '{\"request_id\":\"' || request_id || '\",\"user\":\"' || user_name || '\",\"type\":\"' || resource_type
            || '\",\"action\":\"' || action || '\",\"detail\":' || detail || '}' FROM audit ORDER BY id",
    );
    let entries: Vec<_> = entries.iter().filter(of_job).filter(|it| it["type"] == "service_instance").collect();
    assert_eq!(entries.len(), 3);
    for entry in entries {
        assert_eq!((&entry["user"], &entry["action"]), (&json!(support::USER), &json!("update")));
        let told = entry["detail"]["processes"].as_array().unwrap();
        let told: Vec<_> = told.iter().map(|it| (it["action"].clone(), it["bk_process_names"].clone())).collect();
        let want = [("delete", "other"), ("update", "job"), ("create", "third")];
        assert_eq!(told, want.map(|(action, name)| (json!(action), json!(name))));
    }
    let events = case.app.documents(
        "SELECT '{\"request_id\":\"' || request_id || '\",\"operation\":' || operation || '}' FROM event WHERE kind = 9",
    );
    let events: Vec<_> = events.iter().filter(of_job).map(|it| it["operation"].as_i64().unwrap()).collect();
    let count = |operation: i64| events.iter().filter(|it| **it == operation).count();
    assert_eq!((count(1), count(2), count(3)), (3, 3, 3));
    assert_eq!(case.process(case.ids()[0], third)["bk_process_name"], "third");
}

/// What a job makes and removes, and what it gives the module, is its own too; the job itself belongs to the request that asked for it.
#[test]
fn audit_tells_who_asked_and_which_job_did_it() {
    let case = Case::new();
    case.fix_operator("ann");
    let ids = case.ids();
    let without = json!({"bk_biz_id": case.estate.business, "service_instance_ids": [ids[2]]});
    case.app.native("DELETE", "/deletemany/proc/service_instance", without).data();
    let business = case.estate.business;
    let entry = |request: &str, what: &str, id: &Value| {
        json!({"request": request, "user": "eve", "what": what, "id": id,
            "business": business})
    };
    let begun = case.follow_as("eve", "first-request");
    let job = format!("job:{}", begun["job_id"]);
    assert_eq!((&begun["creator"], &begun["request_id"]), (&json!("eve"), &json!("first-request")));
    let made = case.ids()[2];
    let told = [
        entry("first-request", "sync_job create", &begun["job_id"]),
        entry(&job, "module update", &json!(case.module)),
        entry(&job, "service_instance create", &json!(made)),
        entry(&job, "sync_job update", &begun["job_id"]),
    ];
    assert_eq!(case.entries_of("eve"), told);
    // Kinds 6, 9, 100 and 120: the module, the two processes of the instance, the instance, and the job itself.
    assert_eq!(case.events_of(&job), [(6, 2), (9, 1), (9, 1), (100, 1), (120, 2)]);
    assert_eq!(case.events_of("first-request"), [(120, 1)]);

    for template in &case.jobs {
        case.delete(*template);
    }
    let ended = case.follow_as("eve", "second-request");
    let job = format!("job:{}", ended["job_id"]);
    let gone = [ids[0], ids[1], made].map(|id| entry(&job, "service_instance delete", &json!(id)));
    let own = |request: &str, what: &str| entry(request, what, &ended["job_id"]);
    let told = [told.as_slice(), &[own("second-request", "sync_job create")], &gone, &[own(&job, "sync_job update")]];
    assert_eq!(case.entries_of("eve"), told.concat());
    assert_eq!(case.events_of(&job), [vec![(9, 3); 6], vec![(100, 3); 3], vec![(120, 2)]].concat());
    case.app.check();
}

/// templates 6 and 10.3: the values that the template fixes, and only what differs.
#[test]
fn attributes_of_the_module_follow() {
    let case = Case::new();
    let number = case.fix_operator("ann");
    let told = case.synchronize(json!({"dry_run": true})).data();
    let want = json!({"dry_run": true, "count": 1, "changes": [{"resource": "module", "action": "update",
        "bk_biz_id": case.estate.business, "id": case.module,
        "fields": [{"field": "operator", "before": null, "after": "ann"}]}]});
    assert_eq!(told, want);
    case.settle();
    let attributes = json!([{"id": number, "template_value": "ann", "inst_value": "ann"}]);
    assert_eq!(case.compare()["attributes"], attributes);
}

/// The exact change set, per instance and field; and nothing of it is done.
#[test]
fn a_preview_tells_what_a_synchronization_does() {
    let case = Case::new();
    let ids = case.ids();
    case.update(case.jobs[0], job("root", "81"));
    case.delete(case.jobs[1]);
    case.app.process_templates(&case.estate, case.template, vec![named("third")]);
    let without = json!({"bk_biz_id": case.estate.business, "service_instance_ids": ids[1..]});
    case.app.native("DELETE", "/deletemany/proc/service_instance", without).data();
    let told = case.synchronize(json!({"dry_run": true})).data();
    let changes = told["changes"].as_array().unwrap();
    let of = |resource: &str, action: &str| {
        let found = changes.iter().filter(|it| it["resource"] == resource && it["action"] == action);
        found.collect::<Vec<_>>()
    };
    assert_eq!((told["count"].as_i64().unwrap(), changes.len()), (9, 9));
    let updated = of("process", "update");
    assert_eq!((updated.len(), &updated[0]["service_instance_id"]), (1, &json!(ids[0])));
    let row =
        |port: &str| json!([{"enable": true, "ip": "10.0.0.1", "port": port, "protocol": "1", "template_row_id": 1}]);
    let want = json!([{"field": "user", "before": "www", "after": "root"},
        {"field": "bind_info", "before": row("80"), "after": row("81")}]);
    assert_eq!(updated[0]["fields"], want);
    assert_eq!((of("process", "delete").len(), of("process", "create").len()), (1, 5));
    // The processes that would be made name the instance that would be.
    let instances = of("service_instance", "create");
    assert_eq!(instances.len(), 2);
    for instance in instances {
        let of_instance = of("process", "create").into_iter().filter(|it| it["service_instance_id"] == instance["id"]);
        assert!(instance["id"].as_i64().unwrap() < 0 && of_instance.count() == 2);
    }
    assert_eq!((case.jobs_of(json!({})).len(), case.ids().len()), (0, 1));
    assert_eq!(case.process(ids[0], case.jobs[0])["user"], "www");
    case.settle();
    assert_eq!(case.synchronize(json!({"dry_run": true})).data()["changes"], json!([]));
}

/// templates E67, E68, E69, Y1: what cannot be synchronized is named, and nothing is asked for.
#[test]
fn what_cannot_be_synchronized() {
    let case = Case::new();
    for field in ["bk_biz_id", "service_template_id"] {
        case.synchronize(json!({field: 0})).fails_with(1_199_010).naming(field);
    }
    case.synchronize(json!({"bk_module_ids": []})).fails_with(1_199_010).naming("bk_module_ids");
    let many: Vec<_> = (1..=1001).collect();
    case.synchronize(json!({"bk_module_ids": many})).fails_with(1_199_035);
    case.synchronize(json!({"service_template_id": 99_999})).fails_with(1_199_006).naming("service_template_id");
    let other = case.app.estate_named("other", "10.9.9");
    let theirs = case.app.service_template(&other, "theirs");
    case.synchronize(json!({"service_template_id": theirs})).fails_with(1_199_006).naming("service_template_id");
    let elsewhere = case.app.service_template(&case.estate, "elsewhere");
    let elsewhere = case.app.bound_module(&case.estate, elsewhere).data()["bk_module_id"].as_i64().unwrap();
    let others = json!({"bk_module_ids": [case.module, case.estate.module, other.module, 99_999, elsewhere]});
    let answer = case.synchronize(others);
    for place in 1..5 {
        answer.fails_with(1_199_006).naming(&format!("bk_module_ids[{place}]"));
    }
    assert!(!answer.message().contains("bk_module_ids[0]"));
    case.synchronize(json!({"bk_module_ids": [elsewhere]})).fails_with(1_199_006).naming("bk_module_ids[0]");
    assert_eq!(case.jobs_of(json!({})), Vec::<Value>::new());
    // One module twice is one job.
    case.synchronize(json!({"bk_module_ids": [case.module, case.module]})).data();
    case.wait();
    assert_eq!(case.jobs_of(json!({})).len(), 1);
    case.synchronize(json!({"dry_run": "perhaps"})).fails_with(1_199_000).naming("dry_run");
}

/// templates E75, E76, E77 and Y2.
#[test]
fn the_status_is_put_right_by_what_is_the_case() {
    let app = support::TestApp::with().settings(|settings| (settings.dev, settings.jobs.run) = (true, false));
    let case = Case::on(app.administrator(support::USER).start());
    let status = || case.status(&[case.module])[0]["status"].clone();
    let path = format!("/findmany/proc/service_template_sync_status/bk_biz_id/{}", case.estate.business);
    let never = case.status(&[case.module, case.estate.module, 99_999]);
    let of = |module: i64| never.iter().find(|it| it["bk_inst_id"] == module).unwrap();
    assert_eq!((never.len(), &of(case.module)["status"]), (2, &json!("finished")));
    // A module of another template, or of none, needs none of this one.
    assert_eq!((&of(case.estate.module)["status"], &of(case.module)["creator"]), (&json!("finished"), &json!("ops")));
    case.synchronize(json!({})).data();
    assert_eq!(status(), "finished");
    case.update(case.jobs[0], job("root", "81"));
    assert_eq!(status(), "new");
    let cancel = json!({"bk_biz_id": case.estate.business, "job_ids": [case.jobs_of(json!({}))[0]["job_id"]]});
    case.app.native("PUT", "/update/sync_job/cancel", cancel).data();
    assert_eq!(status(), "need_sync");
    case.app.post(&path, json!({"service_template_id": 1})).fails_with(1_199_010).naming("bk_module_ids");
    case.app.post(&path, json!({"bk_module_ids": [1]})).fails_with(1_199_010).naming("service_template_id");
    let nobody = "/findmany/proc/service_template_sync_status/bk_biz_id/0";
    case.app.post(nobody, json!({"bk_module_ids": [1], "service_template_id": 1})).fails_with(1_199_011);
    let nowhere = "/findmany/proc/service_template_sync_status/bk_biz_id/x";
    case.app.post(nowhere, json!({})).fails_with(1_199_011);
}

/// templates E76, E77 and Y2, of modules: a job that failed is told as long as there is something to do; a module that was never
/// synchronized is told with its own creator and times.
#[test]
fn the_status_tells_failures_and_modules_that_never_followed() {
    let case = Case::new();
    case.update(case.jobs[0], job("root", "80"));
    let stored = |id: i64| {
        let modules = case.app.documents("SELECT document FROM module");
        modules.into_iter().find(|module| module["bk_module_id"] == id).unwrap()
    };
    let module = stored(case.module);
    let never = json!({"bk_inst_id": case.module, "status": "need_sync", "creator": module["bk_created_by"],
        "create_time": module["create_time"], "last_time": module["last_time"]});
    assert_eq!(case.status(&[case.module]), [never]); // E77
    // One of another template needs nothing of this one, whatever it needs of its own.
    let elsewhere = case.app.service_template(&case.estate, "elsewhere");
    let elsewhere = case.app.bound_module(&case.estate, elsewhere).data()["bk_module_id"].as_i64().unwrap();
    let operator = case.fix_operator("ann");
    let fixed = json!({"bk_biz_id": case.estate.business, "id": stored(elsewhere)["service_template_id"],
        "processes": [], "attributes": [{"bk_attribute_id": operator, "bk_property_value": "ann"}]});
    case.app.native("PUT", "/update/proc/service_template/all_info", fixed).data();
    let needs = case.needs(json!({"bk_module_ids": [elsewhere]})).data();
    assert_eq!(needs["modules"], json!([{"bk_module_id": elsewhere, "need_sync": true}]));
    assert_eq!(case.status(&[elsewhere])[0]["status"], "finished");

    // The start parameter is not locked: by now it is the one that a new template of the same program has.
    let process = case.process(case.ids()[0], case.jobs[0])["bk_process_id"].clone();
    let own = json!({"bk_biz_id": case.estate.business,
        "processes": [{"bk_process_id": process, "bk_start_param_regex": "-x"}]});
    case.app.native("PUT", "/update/proc/process_instance", own).data();
    let mut clashing = named("clashing");
    clashing["bk_func_name"] = json!({"value": "job"});
    clashing["bk_start_param_regex"] = json!({"value": "-x"});
    let clashing = case.app.process_templates(&case.estate, case.template, vec![clashing])[0];
    let failed = case.follow();
    assert_eq!((&failed["status"], &failed["failures"][0]["code"]), (&json!("failure"), &json!(1_108_045)), "{failed}");
    let told = |status: &str| {
        json!({"bk_inst_id": case.module, "status": status, "creator": "ops", "create_time": failed["create_time"],
            "last_time": failed["last_time"]})
    };
    assert_eq!(case.status(&[case.module]), [told("failure")]); // E76: still dirty
    case.delete(clashing);
    case.update(case.jobs[0], job("www", "80"));
    assert!(!case.needs_sync());
    assert_eq!(case.status(&[case.module]), [told("finished")]); // E76: clean without it
}

/// What a read of another business's records answers in one's own: nothing, or a code that names a field.
type Elsewhere = Result<Value, (i64, &'static str)>;

/// The reads about differences and synchronizations: path (`$` is the business, `~` the service template), body, and what is answered in a
/// business that has nothing of it.
fn reads(case: &Case) -> Vec<(&'static str, Value, Elsewhere)> {
    let ids = |more: Value| case.asked(more);
    let (module, template, process) = (case.module, case.template, case.jobs[0]);
    let instance = case.ids()[0];
    vec![
        ("/find/proc/service_template/general_difference", ids(json!({})), Err((1_106_006, "bk_module_id"))),
        (
            "/find/proc/difference/service_instances",
            ids(json!({"process_template_id": process})),
            Err((1_199_006, "bk_module_id")),
        ),
        (
            "/find/proc/service_instance/difference_detail",
            ids(json!({"process_template_id": process, "service_instance_id": instance})),
            Err((1_199_006, "bk_module_id")),
        ),
        (
            "/findmany/proc/service_template/sync_status/biz/$",
            json!({"bk_module_ids": [module]}),
            Ok(json!({"service_templates": null, "modules": []})),
        ),
        (
            "/findmany/proc/service_template/sync_status/biz/$",
            json!({"is_partial": true, "service_template_ids": [template]}),
            Ok(json!({"service_templates": [], "modules": null})),
        ),
        (
            "/findmany/proc/service_template_sync_status/bk_biz_id/$",
            json!({"bk_module_ids": [module], "service_template_id": template}),
            Ok(json!([])),
        ),
        ("/findmany/sync_job/bk_biz_id/$", json!({}), Ok(json!({"count": 0, "info": []}))),
        ("/module/bk_biz_id/$/service_template_id/~", json!({}), Ok(json!({"count": 0, "info": []}))),
        (
            "/findmany/proc/proc_template",
            json!({"bk_biz_id": 0, "service_template_id": template}),
            Ok(json!({"count": 0, "info": []})),
        ),
    ]
}

/// D1 to D4, Y2, the list of jobs, M2, P4 and P5: who may not read a business learns nothing, not even whether it is there; who may read
/// another one finds nothing of it there.
#[test]
fn reads_ask_for_the_right() {
    let app = TestApp::with().administrator(support::USER).settings(|settings| settings.protect_reads = true);
    let case = Case::on(app.start());
    case.follow();
    let (business, other) = (case.estate.business, case.app.estate_named("other", "10.9.9").business);
    case.app.grant("ann", Action::FindBusinessResource, Some(business));
    case.app.grant("tom", Action::FindBusinessResource, Some(other));
    for (path, body, elsewhere) in reads(&case) {
        let ask = |user: &str, business: i64| {
            let path = path.replace('$', &business.to_string()).replace('~', &case.template.to_string());
            let mut body = body.clone();
            if body.get("bk_biz_id").is_some() {
                body["bk_biz_id"] = json!(business);
            }
            case.app.native_as(user, "POST", &path, body)
        };
        for unreadable in [business, 99_999] {
            let refused = ask("tom", unreadable);
            refused.fails_with(9_900_403);
            assert_eq!(refused.json()["permission"]["actions"][0]["id"], "find_business_resource", "{path}");
        }
        let mine = ask("ann", business).data();
        match elsewhere {
            Ok(none) => {
                assert_eq!(ask("tom", other).data(), none, "{path}");
                assert_ne!(mine, none, "{path}");
            }
            Err((code, field)) => _ = ask("tom", other).fails_with(code).naming(field),
        }
    }
    // One process template is asked for by its id alone: without the right it is as one that is not there.
    let get = |user: &str, way: &str, id: i64| {
        let body = json!({"bk_biz_id": business});
        case.app.native_as(user, "POST", &format!("/find/proc/{way}proc_template/id/{id}"), body)
    };
    for way in ["", "biz_set/7/"] {
        assert_eq!(get("ann", way, case.jobs[0]).data()["id"], case.jobs[0]);
        let words = |id: i64| get("tom", way, id).fails_with(1_199_019).message().replace(&id.to_string(), "");
        assert_eq!(words(case.jobs[0]), words(99_999));
    }
}

/// The ways that name a business set answer what the plain ones do, and ask for the right on the business.
#[test]
fn business_sets_lead_to_the_same() {
    let app = TestApp::with().administrator(support::USER).settings(|settings| settings.protect_reads = true);
    let case = Case::on(app.start());
    case.update(case.jobs[0], job("root", "81"));
    let (business, template) = (case.estate.business, case.template);
    let one = |way: &str| format!("/find/proc/{way}proc_template/id/{}", case.jobs[1]);
    let many = |way: &str| format!("/findmany/proc/{way}proc_template");
    let needs = |way: &str| format!("/findmany/proc/{way}service_template/sync_status");
    let (of_biz, of_set) = (format!("{}/biz/{business}", needs("")), needs(&format!("biz_set/7/biz/{business}/")));
    let odd = needs(&format!("biz_set/x/biz/{business}/"));
    let list = json!({"bk_biz_id": business, "service_template_id": template, "page": {"limit": 1}});
    for (plain, of_set, odd, body, refusal) in [
        (of_biz.clone(), of_set.clone(), odd.clone(), json!({"bk_module_ids": [case.module]}), 9_900_403),
        (of_biz, of_set, odd, json!({"is_partial": true, "service_template_ids": [template, 99_999]}), 9_900_403),
        (one(""), one("biz_set/7/"), one("biz_set/x/"), json!({"bk_biz_id": business}), 1_199_019),
        (many(""), many("biz_set/7/"), many("biz_set/x/"), list, 9_900_403),
    ] {
        let told = case.app.post(&plain, body.clone()).data();
        assert_eq!(case.app.post(&of_set, body.clone()).data(), told, "{of_set}");
        assert_eq!(case.app.gateway("POST", &of_set, body.clone()).data(), told, "{of_set}");
        for path in [&plain, &of_set] {
            case.app.native_as("tom", "POST", path, body.clone()).fails_with(refusal);
        }
        case.app.post(&odd, body).fails_with(1_199_009).naming("bk_biz_set_id");
    }
    // What is wrong with a call is wrong at both.
    for path in [needs("biz_set/7/biz/0/"), format!("{}/biz/0", needs(""))] {
        case.app.post(&path, json!({"bk_module_ids": [case.module]})).fails_with(1_199_011).naming("bk_biz_id");
    }
    for way in ["", "biz_set/7/"] {
        case.app.post(&many(way), json!({"bk_biz_id": 0})).fails_with(1_199_006).naming("bk_biz_id");
        case.app.post(&format!("/find/proc/{way}proc_template/id/x"), json!({})).fails_with(1_199_003);
    }
}
