//! Modules and instances follow their templates when they are told to: `templates` 11, the edge cases 56 to 77 by their numbers.

#![expect(clippy::unwrap_used, reason = "a test ends with its first error")]

mod support;

use serde_json::{Value, json};
use std::time::{Duration, Instant};
use support::templated::{Case, job};
use support::{Answer, named};

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
