//! delete_process_instance: `instances` 10.16 and the edge cases of §17 by their numbers.

mod support;

use rollcall_app::access::Action;
use serde_json::{Value, json};
use support::{Answer, Estate, TestApp, process};

struct Case {
    app: TestApp,
    estate: Estate,
    instance: i64,
}

impl Case {
    /// An instance with the processes a and b.
    fn new() -> Self {
        let app = TestApp::new();
        let estate = app.estate();
        let instance = app.instance(&estate, process("a"));
        let body = json!({"bk_biz_id": estate.business, "service_instance_id": instance,
            "processes": [{"process_info": process("b")}]});
        app.post("/create/proc/process_instance", body).data();
        Self { app, estate, instance }
    }

    fn delete(&self, ids: &[i64]) -> Answer {
        let body = json!({"bk_biz_id": self.estate.business, "process_instance_ids": ids});
        self.app.native("DELETE", "/delete/proc/process_instance", body)
    }

    fn list(&self) -> Vec<Value> {
        let body = json!({"bk_biz_id": self.estate.business, "service_instance_id": self.instance});
        let list = self.app.post("/findmany/proc/process_instance", body).data();
        list.as_array().unwrap().iter().map(|row| row["property"].clone()).collect()
    }

    fn ids(&self) -> Vec<i64> {
        self.list().iter().map(|property| property["bk_process_id"].as_i64().unwrap()).collect()
    }

    fn counts(&self) -> [i64; 5] {
        [
            "SELECT count(*) FROM service_instance",
            "SELECT count(*) FROM process",
            "SELECT count(*) FROM event",
            "SELECT count(*) FROM audit",
            "SELECT count(*) FROM host_module",
        ]
        .map(|sql| self.app.number(sql))
    }
}

#[test]
fn e80_the_instance_stays_while_it_has_a_process() {
    let case = Case::new();
    let (ids, before, [instances, processes, events, audits, places]) = (case.ids(), case.list(), case.counts());
    assert_eq!(case.delete(&[ids[0], ids[0]]).data(), Value::Null);
    assert_eq!(case.list(), before[1..]); // E80
    assert_eq!(case.counts(), [instances, processes - 1, events + 1, audits + 1, places]); // I-18, I-28
    let audit =
        case.app.documents("SELECT detail FROM audit WHERE action = 'update' ORDER BY id DESC LIMIT 1").remove(0);
    let told = json!([{"action": "delete", "bk_process_ids": ids[0], "bk_process_names": "a", "details": null}]);
    assert_eq!((&audit["details"], &audit["processes"]), (&Value::Null, &told));
    let gone = case.app.documents("SELECT before_state FROM event WHERE kind = 9 AND operation = 3");
    assert_eq!(gone, before[..1]);
}

#[test]
fn e79_the_last_process_takes_its_instance_with_it() {
    let case = Case::new();
    let mut ids = case.ids();
    let other = case.app.instance(&case.estate, process("c"));
    ids.push(case.app.number("SELECT max(id) FROM process"));
    let [instances, processes, events, audits, places] = case.counts();
    case.delete(&[ids[1], ids[2]]).data(); // E79, I-19
    assert_eq!(case.counts(), [instances - 1, processes - 2, events + 3, audits + 2, places]);
    let entry = "SELECT resource_id FROM audit WHERE action = 'delete' AND resource_type = 'service_instance'";
    assert_eq!(case.app.number(entry), other);
    case.delete(&ids).data();
    assert_eq!(case.counts(), [instances - 2, processes - 3, events + 5, audits + 3, places]);
    assert_eq!(case.app.number("SELECT count(*) FROM audit WHERE action = 'delete'"), 2);
    let listed = case.app.post("/findmany/proc/service_instance", json!({"bk_biz_id": case.estate.business})).data();
    assert_eq!(listed["count"], 0);
    let create = json!({"service_instance_id": case.instance, "processes": [{"process_info": process("d")}]});
    case.app.post("/create/proc/process_instance", create).fails_with(1_199_019);
}

#[test]
fn e82_unknown_and_foreign_processes_are_passed_over() {
    let case = Case::new();
    let other = case.app.estate_named("other", "10.9.0");
    case.app.instance(&other, process("theirs"));
    let theirs = case.app.number("SELECT max(id) FROM process");
    let before = case.counts();
    assert_eq!(case.delete(&[99_999, 0, -1, theirs]).data(), Value::Null); // E82, D1, I-27
    assert_eq!(case.counts(), before);
    case.delete(&[99_999, theirs, case.ids()[0]]).data();
    assert_eq!(case.app.number("SELECT count(*) FROM process WHERE name = 'theirs'"), 1);
    assert_eq!(case.ids().len(), 1);
}

#[test]
fn e81_e86_processes_of_templates() {
    let case = Case::new();
    let (ids, before) = (case.ids(), case.counts());
    let owned = "UPDATE process SET process_template_id = 5 WHERE name = 'b'";
    case.app.store.write_blocking(move |tx| tx.execute(owned, &[])).unwrap();
    case.delete(&ids).fails_with(1_113_022).naming(&ids[1].to_string()).naming("process_instance_ids[1]"); // E81
    assert_eq!(case.counts(), before);
    let bound = "UPDATE service_instance SET service_template_id = 9";
    case.app.store.write_blocking(move |tx| tx.execute(bound, &[])).unwrap();
    case.delete(&ids[..1]).data(); // E86
    assert_eq!(case.ids(), ids[1..]);
}

#[test]
fn checks_of_the_request() {
    let case = Case::new();
    case.delete(&[]).fails_with(1_199_010).naming("bk_process_id");
    case.delete(&vec![1; 501]).fails_with(1_199_035).naming("500");
    for business in [Value::Null, json!(0), json!(-1)] {
        let body = json!({"bk_biz_id": business, "process_instance_ids": case.ids()});
        case.app.native("DELETE", "/delete/proc/process_instance", body).fails_with(1_199_006).naming("bk_biz_id");
    }
    assert_eq!(case.ids().len(), 2);
    let body = json!({"bk_biz_id": case.estate.business, "process_instance_ids": case.ids()});
    assert_eq!(case.app.esb("delete_process_instance", body).data(), Value::Null);
    let app = TestApp::with().start();
    app.grant("ops", Action::EditServiceInstance, Some(2));
    let delete = |business: i64| {
        let body = json!({"bk_biz_id": business, "process_instance_ids": [1]});
        app.native("DELETE", "/delete/proc/process_instance", body).code()
    };
    assert_eq!((delete(2), delete(1), delete(99_999)), (0, 9_900_403, 9_900_403));
}
