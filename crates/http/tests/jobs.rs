//! Jobs and who does them: `templates` 11.1, the edge cases 66 to 73 by their numbers, invariants 16 and 17. The runners are the tests'
//! own, so that they do what a test wants when it wants it.

#![expect(clippy::unwrap_used, reason = "a test ends with its first error")]

mod support;

use rollcall_app::runner::{Runner, Step};
use serde_json::{Value, json};
use std::time::Duration;
use support::runners::{LEASE, Runners};
use support::templated::{Case, job};
use support::{Answer, TestApp, named};

/// A server that does no jobs.
fn idle_server() -> Case {
    let app = TestApp::with().settings(|settings| (settings.dev, settings.jobs.run) = (true, false));
    Case::on(app.administrator(support::USER).start())
}

impl Case {
    fn synchronize(&self) -> Answer {
        let body = self.asked(json!({"bk_module_ids": [self.module]}));
        self.app.native("PUT", "/update/proc/service_instance/sync", body)
    }

    /// The jobs of the business, the newest first.
    fn listed(&self, more: Value) -> Vec<Value> {
        let path = format!("/findmany/sync_job/bk_biz_id/{}", self.estate.business);
        self.app.post(&path, more).data()["info"].as_array().unwrap().clone()
    }

    fn newest(&self) -> Value {
        self.listed(json!({}))[0].clone()
    }

    /// Calls the newest job off, or sets it going again.
    fn steer(&self, how: &str, reason: &str) -> Answer {
        let body = json!({"bk_biz_id": self.estate.business, "job_ids": [self.newest()["job_id"]], "reason": reason});
        self.app.native("PUT", &format!("/update/sync_job/{how}"), body)
    }

    fn newest_id(&self) -> i64 {
        self.newest()["job_id"].as_i64().unwrap()
    }

    /// The users of the processes of `job`, instance by instance.
    fn users(&self) -> Vec<Value> {
        let path = "/findmany/proc/process_instance";
        let users = self.ids().into_iter().map(|instance| {
            let body = json!({"bk_biz_id": self.estate.business, "service_instance_id": instance});
            self.app.post(path, body).data()[0]["property"]["user"].clone()
        });
        users.collect()
    }
}

/// templates E70 and invariant 17: one job of a module at a time, and none for the others of such a call.
#[test]
fn a_module_has_one_unfinished_job() {
    let case = idle_server();
    case.synchronize().data();
    let set = json!({"bk_set_name": "second", "bk_parent_id": case.estate.business});
    let set = case.app.post(&format!("/set/{}", case.estate.business), set).data()["bk_set_id"].as_i64().unwrap();
    let second = json!({"bk_parent_id": set, "service_template_id": case.template});
    let second = case.app.post(&format!("/module/{}/{set}", case.estate.business), second).data();
    let body = case.asked(json!({"bk_module_ids": [second["bk_module_id"], case.module]}));
    let answer = case.app.native("PUT", "/update/proc/service_instance/sync", body);
    answer.fails_with(1_117_008).naming(&format!("[{}]", case.module)).naming("bk_module_ids[1]");
    assert_eq!(case.listed(json!({})).len(), 1);
    let body = json!({"bk_module_ids": [second["bk_module_id"]]});
    case.app.native("PUT", "/update/proc/service_instance/sync", case.asked(body)).data();
    assert_eq!(case.listed(json!({})).len(), 2);
}

/// Invariant 17: of many who ask at once one gets the job.
#[test]
fn of_many_who_ask_at_once_one_gets_the_job() {
    let case = idle_server();
    let codes: Vec<_> = std::thread::scope(|scope| {
        let calls: Vec<_> = (0..8).map(|_| scope.spawn(|| case.synchronize().code())).collect();
        calls.into_iter().map(|call| call.join().unwrap()).collect()
    });
    let won = codes.iter().filter(|code| **code == 0).count();
    assert!(won == 1 && codes.iter().all(|code| [0, 1_117_008].contains(code)), "{codes:?}");
    assert_eq!(case.listed(json!({})).len(), 1);
}

/// templates E71 and E72: the module first, then its hosts in portions.
#[test]
fn parts_cover_the_module_and_then_its_hosts() {
    let case = idle_server();
    let empty = case.app.service_template(&case.estate, "empty");
    let module = case.app.bound_module(&case.estate, empty).data()["bk_module_id"].clone();
    let synchronize = || {
        let body = json!({"bk_biz_id": case.estate.business, "bk_module_ids": [module], "service_template_id": empty});
        case.app.native("PUT", "/update/proc/service_instance/sync", body).data();
        case.newest()["parts"].as_i64().unwrap()
    };
    assert_eq!(synchronize(), 1);
    case.steer("cancel", "").data();
    let list: Vec<_> = (0..2500).map(|i| json!({"bk_host_innerip": format!("10.7.{}.{}", i / 250, i % 250)})).collect();
    let hosts = list.chunks(200).flat_map(|list| {
        let body = json!({"bk_biz_id": case.estate.business, "bk_host_list": list});
        let made = case.app.post("/hosts/add/business_idle", body).data()["bk_host_ids"].clone();
        made.as_array().unwrap().clone()
    });
    let hosts: Vec<_> = hosts.collect();
    let body = json!({"bk_biz_id": case.estate.business, "bk_host_id": hosts, "bk_module_id": [module],
        "is_increment": false});
    case.app.post("/hosts/modules", body).data();
    assert_eq!(synchronize(), 4);
    case.steer("cancel", "").data();
    let names: Vec<_> = (0..400).map(|i| named(&format!("p{i}"))).collect();
    for names in names.chunks(100) {
        case.app.process_templates(&case.estate, empty, names.to_vec());
    }
    assert_eq!(synchronize(), 1 + 1250);
    let runners = Runners::of(&case.app);
    let mut runner = runners.runner("a");
    assert_eq!(runners.step(&mut runner), Step::Worked);
    assert_eq!(
        (case.newest()["finished_parts"].clone(), case.newest()["status"].clone()),
        (json!(1), json!("executing"))
    );
}

/// templates E73: hosts that left are passed over, hosts that came are not looked at.
#[test]
fn hosts_that_move_meanwhile() {
    let case = idle_server();
    let without = json!({"bk_biz_id": case.estate.business, "service_instance_ids": case.ids()});
    case.app.native("DELETE", "/deletemany/proc/service_instance", without).data();
    case.synchronize().data();
    let hosts = &case.estate.hosts;
    let body = json!({"bk_biz_id": case.estate.business, "bk_host_id": [hosts[0]],
        "bk_module_id": [case.estate.module], "is_increment": false});
    case.app.post("/hosts/modules", body).data();
    let list = json!({"bk_biz_id": case.estate.business, "bk_host_list": [{"bk_host_innerip": "10.0.0.9"}]});
    let new = case.app.post("/hosts/add/business_idle", list).data()["bk_host_ids"][0].as_i64().unwrap();
    case.join(&[new], true);
    let runners = Runners::of(&case.app);
    runners.finish(&mut runners.runner("a"));
    assert_eq!(case.newest()["status"], "finished");
    assert_eq!(case.ids().len(), 2);
    assert!(case.needs_sync());
}

/// A server that dies leaves its job to the next one when the lease runs out; what it had done is not done again, and if it was only
/// slow, it finds that the job is another's.
#[test]
fn another_server_goes_on_when_the_lease_runs_out() {
    let case = idle_server();
    case.update(case.jobs[0], job("root", "80"));
    case.synchronize().data();
    case.one_host_a_part(case.newest_id());
    let runners = Runners::of(&case.app);
    let (mut first, mut second) = (runners.runner("a"), runners.runner("b"));
    runners.step(&mut first);
    runners.step(&mut first);
    assert_eq!(
        (runners.step(&mut second), case.users()),
        (Step::Idle, vec![json!("root"), json!("www"), json!("www")])
    );
    runners.pass(LEASE);
    assert_eq!(runners.step(&mut second), Step::Idle);
    runners.pass(Duration::from_millis(1));
    assert_eq!(runners.step(&mut second), Step::Worked);
    assert_eq!(case.users(), [json!("root"), json!("root"), json!("www")]);
    // It was only slow, and does nothing of what is no longer its own.
    assert_eq!(runners.step(&mut first), Step::Worked);
    assert_eq!(case.users(), [json!("root"), json!("root"), json!("www")]);
    runners.finish(&mut second);
    assert_eq!((case.users(), &case.newest()["status"]), (vec![json!("root"); 3], &json!("finished")));
    let told = case.app.number("SELECT count(*) FROM event WHERE kind = 9 AND operation = 2");
    assert_eq!(told, 3);
    case.app.check();
}

/// A server that stops gives its job back at once.
#[test]
fn a_server_that_stops_gives_its_job_back() {
    let case = idle_server();
    case.synchronize().data();
    let runners = Runners::of(&case.app);
    let mut first = runners.runner("a");
    runners.step(&mut first);
    runners.run(first.close()).unwrap();
    assert_eq!(case.newest()["status"], "waiting");
    runners.finish(&mut runners.runner("b"));
    assert_eq!(case.newest()["status"], "finished");
}

/// templates invariant 16: a part that fails changes nothing, those before it stand, those behind it are left; the reason is told, and
/// once it is gone the rest can be done.
#[test]
fn a_part_that_fails_ends_the_job_until_it_is_set_going_again() {
    let case = idle_server();
    // The start parameter is not locked: on the second host it becomes the one that a new template of the program has.
    let second = case.ids()[1];
    let body = json!({"bk_biz_id": case.estate.business, "service_instance_id": second});
    let process = case.app.post("/findmany/proc/process_instance", body).data()[0]["property"]["bk_process_id"].clone();
    let parameter = |text: &str| {
        let body = json!({"bk_biz_id": case.estate.business, "processes": [{"bk_process_id": process,
            "bk_start_param_regex": text}]});
        case.app.native("PUT", "/update/proc/process_instance", body).data();
    };
    parameter("-x");
    let mut clashing = named("clashing");
    clashing["bk_func_name"] = json!({"value": "job"});
    clashing["bk_start_param_regex"] = json!({"value": "-x"});
    case.app.process_templates(&case.estate, case.template, vec![clashing]);
    case.update(case.jobs[0], json!({"user": {"value": "root", "as_default_value": true}}));
    case.synchronize().data();
    case.one_host_a_part(case.newest_id());
    let runners = Runners::of(&case.app);
    let mut runner = runners.runner("a");
    runners.finish(&mut runner);
    let failed = case.newest();
    assert_eq!(
        (&failed["status"], &failed["parts"], &failed["finished_parts"]),
        (&json!("failure"), &json!(4), &json!(2))
    );
    assert_eq!(failed["failures"][0]["part"], 3);
    let message = failed["failures"][0]["message"].as_str().unwrap();
    assert!(message.contains("NotSynchronized") && message.contains("-x"), "{message}");
    assert_eq!(case.users(), [json!("root"), json!("www"), json!("www")]);
    // While the reason stands, it fails again.
    case.steer("retry", "try again").data();
    assert_eq!((&case.newest()["status"], &case.newest()["reason"]), (&json!("waiting"), &json!("try again")));
    runners.finish(&mut runner);
    assert_eq!(case.newest()["status"], "failure");
    parameter("-y");
    case.steer("retry", "parameter changed").data();
    runners.finish(&mut runner);
    let done = case.newest();
    assert_eq!(
        (&done["status"], &done["finished_parts"], &done["failures"]),
        (&json!("finished"), &json!(4), &json!([]))
    );
    assert_eq!(case.users(), vec![json!("root"); 3]);
    assert!(!case.needs_sync());
    case.app.check();
}

/// What is done when a job is called off stays, and the rest can be done later.
#[test]
fn a_job_that_is_called_off_does_no_more() {
    let case = idle_server();
    case.update(case.jobs[0], job("root", "80"));
    case.synchronize().data();
    case.one_host_a_part(case.newest_id());
    let runners = Runners::of(&case.app);
    let mut runner = runners.runner("a");
    runners.step(&mut runner);
    runners.step(&mut runner);
    case.steer("cancel", "not today").data();
    assert_eq!((&case.newest()["status"], &case.newest()["reason"]), (&json!("cancelled"), &json!("not today")));
    runners.finish(&mut runner);
    assert_eq!(case.users(), [json!("root"), json!("www"), json!("www")]);
    case.steer("cancel", "").fails_with(1_199_011).naming("job_ids[0]");
    // Another one may be asked for; as long as it is not over, the first cannot go on.
    case.synchronize().data();
    let first = json!({"bk_biz_id": case.estate.business, "job_ids": [case.listed(json!({}))[1]["job_id"]]});
    case.app.native("PUT", "/update/sync_job/retry", first.clone()).fails_with(1_117_008).naming("job_ids[0]");
    case.steer("cancel", "").data();
    case.app.native("PUT", "/update/sync_job/retry", first).data();
    runners.finish(&mut runner);
    assert_eq!(case.users(), vec![json!("root"); 3]);
    case.app.check();
}

/// A module that was let go of its template meanwhile is not touched.
#[test]
fn a_module_that_follows_no_more_fails_the_job() {
    let case = idle_server();
    case.update(case.jobs[0], job("root", "80"));
    case.synchronize().data();
    let body = json!({"bk_biz_id": case.estate.business, "bk_module_id": case.module});
    case.app.native("DELETE", "/delete/proc/template_binding_on_module", body).data();
    let runners = Runners::of(&case.app);
    runners.finish(&mut runners.runner("a"));
    let failed = case.newest();
    assert_eq!(failed["status"], "failure");
    assert!(failed["failures"][0]["message"].as_str().unwrap().contains("TemplatesDiffer"), "{failed}");
    assert_eq!(case.users(), vec![json!("www"); 3]);
}

impl Case {
    fn write(&self, method: &str, path: &str, more: Value) -> Answer {
        let mut body = json!({"bk_biz_id": self.estate.business});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.app.native(method, path, body)
    }

    /// Replaces what a process says of itself. The names are those that it has.
    fn edit(&self, process: &Value, description: &str) -> Answer {
        let entry = json!({"bk_process_id": process["bk_process_id"], "bk_process_name": process["bk_process_name"],
            "bk_func_name": process["bk_func_name"], "description": description});
        self.write("PUT", "/update/proc/process_instance", json!({"processes": [entry]}))
    }

    /// Gives processes single values.
    fn edit_by_ids(&self, processes: &[Value], update_data: Value) -> Answer {
        let ids: Vec<_> = processes.iter().map(|process| process["bk_process_id"].clone()).collect();
        let body = json!({"process_ids": ids, "update_data": update_data});
        self.write("PUT", "/update/proc/process_instance/by_ids", body)
    }

    /// Takes a host out of the module, and its instance with it.
    fn leave(&self, host: i64) -> Answer {
        let body = json!({"bk_host_id": [host], "bk_module_id": [self.estate.module], "is_increment": false});
        self.write("POST", "/hosts/modules", body)
    }

    fn unbind(&self) -> Answer {
        let body = json!({"bk_module_id": self.module});
        self.write("DELETE", "/delete/proc/template_binding_on_module", body)
    }

    /// The processes of the module's instances, one after the other.
    fn processes(&self) -> Vec<Value> {
        let of_instance = |instance: i64| {
            let body = json!({"bk_biz_id": self.estate.business, "service_instance_id": instance});
            let rows = self.app.post("/findmany/proc/process_instance", body).data();
            rows.as_array().unwrap().iter().map(|row| row["property"].clone()).collect::<Vec<_>>()
        };
        self.ids().into_iter().flat_map(of_instance).collect()
    }

    /// One more synchronization leaves nothing to do.
    fn settle(&self, runners: &Runners, runner: &mut Runner) {
        self.synchronize().data();
        runners.catch_up();
        runners.finish(runner);
        let job = self.newest();
        assert_eq!((&job["status"], &job["failures"]), (&json!("finished"), &json!([])), "{job}");
        let told = self.compare();
        assert_eq!(told, json!({"changed": null, "added": null, "removed": null, "attributes": []}));
        assert!(!self.needs_sync());
        self.app.check();
    }
}

/// Between the parts of a job others write what it is about: each of them gets through at once, a part takes what is the case when its
/// turn comes, and what changed behind it waits for the next synchronization.
#[test]
fn others_write_between_the_parts_of_a_job() {
    let case = idle_server();
    let hosts = case.estate.hosts.clone();
    case.update(case.jobs[0], job("root", "80"));
    case.synchronize().data();
    case.one_host_a_part(case.newest_id());
    let runners = Runners::of(&case.app);
    let mut runner = runners.runner("a");
    runners.step(&mut runner);
    // `job` and `other` on each of the hosts.
    let processes = case.processes();
    assert_eq!(case.edit_by_ids(&processes[2..3], json!({"timeout": 5, "user": "own"})).code(), 0);
    assert_eq!(runners.step(&mut runner), Step::Worked);
    assert_eq!(case.users(), ["root", "www", "www"]);
    case.update(case.jobs[0], job("late", "80"));
    assert_eq!(case.edit(&processes[0], "edited").code(), 0);
    assert_eq!(runners.step(&mut runner), Step::Worked);
    let second = case.processes()[2].clone();
    assert_eq!((&second["user"], &second["timeout"]), (&json!("late"), &json!(5)));
    // The last host leaves and comes back: its instance is a new one, as the template says by now, but for what is removed behind it.
    assert_eq!(case.leave(hosts[2]).code(), 0);
    case.join(&hosts[2..], false);
    case.delete(case.jobs[1]);
    runners.finish(&mut runner);
    let job = case.newest();
    assert_eq!((&job["status"], &job["finished_parts"]), (&json!("finished"), &json!(4)), "{job}");
    // Whoever's turn had come before something changed does not have it yet.
    assert_eq!(case.users(), ["root", "late", "late"]);
    let names: Vec<_> = case.processes().iter().map(|process| process["bk_process_name"].clone()).collect();
    assert_eq!(names, ["job", "other", "job", "other", "job"]);
    assert!(case.needs_sync());
    case.app.check();
    case.settle(&runners, &mut runner);
    assert_eq!(case.users(), ["late"; 3]);
    let told = case.processes();
    assert_eq!((told.len(), &told[0]["description"], &told[1]["timeout"]), (3, &json!("edited"), &json!(5)));
}

/// The same at any moment: processes are edited, hosts come and go, process templates change, come and go while a job runs.
#[test]
fn writers_beside_a_job_keep_every_rule() {
    let mut case = idle_server();
    let list: Vec<_> = (1..=6).map(|i| json!({"bk_host_innerip": format!("10.0.1.{i}")})).collect();
    let more = case.write("POST", "/hosts/add/business_idle", json!({"bk_host_list": list})).data();
    let more: Vec<i64> = serde_json::from_value(more["bk_host_ids"].clone()).unwrap();
    case.join(&more, false);
    case.estate.hosts.extend(more);
    let case = case;
    let hosts = &case.estate.hosts;
    // A host that left took its processes along.
    let gone_or_done = |answer: &Answer| assert!([0, 1_199_010].contains(&answer.code()), "{}", answer.text);
    let runners = Runners::of(&case.app);
    let mut runner = runners.runner("a");
    for round in 0..3 {
        case.update(case.jobs[0], job(&format!("begun{round}"), "80"));
        case.synchronize().data();
        case.one_host_a_part(case.newest_id());
        runners.catch_up();
        let processes = case.processes();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for process in processes.iter().step_by(2) {
                    gone_or_done(&case.edit(process, &format!("edited{round}")));
                }
            });
            scope.spawn(|| {
                for some in processes.chunks(3) {
                    gone_or_done(&case.edit_by_ids(some, json!({"timeout": 5 + round, "user": "own"})));
                }
            });
            scope.spawn(|| {
                for (host, bare) in hosts[2..].iter().zip([false, true, false, true, false]) {
                    assert_eq!(case.leave(*host).code(), 0);
                    case.join(&[*host], bare);
                }
            });
            scope.spawn(|| {
                for i in 0..4 {
                    case.update(case.jobs[0], job(&format!("late{round}-{i}"), "81"));
                    let extra = named(&format!("extra{i}"));
                    let extra = case.app.process_templates(&case.estate, case.template, vec![extra]);
                    case.delete(extra[0]);
                }
            });
            runners.finish(&mut runner);
        });
        let ended = case.newest();
        assert_eq!((&ended["status"], &ended["finished_parts"]), (&json!("finished"), &json!(10)), "{ended}");
        case.app.check();
        case.settle(&runners, &mut runner);
        assert_eq!(case.users(), vec![json!(format!("late{round}-3")); hosts.len()]);
    }
}

/// A module that is let go of its template between two parts keeps what the first of them did, and follows no more, whoever asks.
#[test]
fn a_module_that_is_let_go_between_parts_follows_no_more() {
    let case = idle_server();
    case.update(case.jobs[0], job("root", "80"));
    case.synchronize().data();
    case.one_host_a_part(case.newest_id());
    let runners = Runners::of(&case.app);
    let mut runner = runners.runner("a");
    runners.step(&mut runner);
    runners.step(&mut runner);
    case.unbind().data();
    let is_over = |case: &Case| {
        let failed = case.newest();
        assert_eq!((&failed["status"], &failed["finished_parts"]), (&json!("failure"), &json!(2)), "{failed}");
        assert_eq!(failed["failures"][0]["part"], 3);
        assert!(failed["failures"][0]["message"].as_str().unwrap().contains("TemplatesDiffer"), "{failed}");
        assert_eq!(case.users(), [json!("root"), json!("www"), json!("www")]);
        case.app.check();
    };
    runners.finish(&mut runner);
    is_over(&case);
    case.steer("retry", "").data();
    runners.finish(&mut runner);
    is_over(&case);
    case.synchronize().fails_with(1_199_006).naming("bk_module_ids[0]");
    let needs = json!({"service_templates": null, "modules": []});
    assert_eq!(case.needs(json!({"bk_module_ids": [case.module]})).data(), needs);
}

/// The same at any moment, with writers beside it: the job ends one way or the other, and what it made is released with the rest.
#[test]
fn a_module_may_be_let_go_while_its_job_runs() {
    for parts in 0..4 {
        let case = idle_server();
        case.update(case.jobs[0], job("root", "80"));
        let third = case.app.process_templates(&case.estate, case.template, vec![named("third")])[0];
        case.synchronize().data();
        case.one_host_a_part(case.newest_id());
        let processes = case.processes();
        let runners = Runners::of(&case.app);
        let mut runner = runners.runner("a");
        std::thread::scope(|scope| {
            scope.spawn(|| {
                runners.step(&mut runner);
                runners.finish(&mut runner);
            });
            scope.spawn(|| {
                // While the job is at another part each time.
                let is_before =
                    |job: Value| job["finished_parts"].as_i64().unwrap() < parts && job["status"] != "failure";
                while is_before(case.newest()) {}
                case.unbind().data();
            });
            scope.spawn(|| {
                for process in &processes {
                    assert_eq!(case.edit(process, "edited").code(), 0);
                }
            });
            scope.spawn(|| case.delete(third));
        });
        let ended = case.newest();
        if ended["status"] != "finished" {
            let message = ended["failures"][0]["message"].as_str().unwrap();
            assert!(ended["status"] == "failure" && message.contains("TemplatesDiffer"), "{ended}");
        }
        for count in [
            "SELECT count(*) FROM process WHERE process_template_id <> 0",
            "SELECT count(*) FROM service_instance WHERE service_template_id <> 0",
        ] {
            assert_eq!(case.app.number(count), 0, "{ended}");
        }
        case.synchronize().fails_with(1_199_006).naming("bk_module_ids[0]");
        case.app.check();
    }
}

#[test]
fn jobs_are_listed_and_steered_within_their_business() {
    let case = idle_server();
    case.synchronize().data();
    let job = case.newest();
    let own = json!({"job_id": job["job_id"], "task_type": "service_template_sync", "bk_inst_id": case.module,
        "template_id": case.template, "creator": "ops", "status": "new", "parts": 2, "finished_parts": 0});
    for (field, want) in own.as_object().unwrap() {
        assert_eq!(job[field], *want, "{field}");
    }
    let found = |more: Value| case.listed(more).len();
    assert_eq!(found(json!({"job_ids": [job["job_id"], 99_999]})), 1);
    assert_eq!(found(json!({"task_type": "service_template_sync", "bk_inst_ids": [case.module]})), 1);
    assert_eq!(found(json!({"task_type": "service_template_sync", "bk_inst_ids": [case.estate.module]})), 0);
    assert_eq!((found(json!({"status": ["new", "failure"]})), found(json!({"status": ["finished"]}))), (1, 0));
    let path = format!("/findmany/sync_job/bk_biz_id/{}", case.estate.business);
    let refused = |more: Value, code: i64, field: &str| _ = case.app.post(&path, more).fails_with(code).naming(field);
    refused(json!({"status": ["done"]}), 1_199_006, "status[0]");
    refused(json!({"task_type": "x"}), 1_199_006, "task_type");
    refused(json!({"bk_inst_ids": [1]}), 1_199_010, "task_type");
    refused(json!({"job_ids": (0..101).collect::<Vec<_>>()}), 1_199_035, "job_ids");
    case.app.post("/findmany/sync_job/bk_biz_id/0", json!({})).fails_with(1_199_011);
    let other = case.app.estate_named("other", "10.9.9");
    assert_eq!(
        case.app.post(&format!("/findmany/sync_job/bk_biz_id/{}", other.business), json!({})).data()["count"],
        0
    );
    for how in ["cancel", "retry"] {
        let path = format!("/update/sync_job/{how}");
        let refused = |body: Value, code: i64, field: &str| {
            case.app.native("PUT", &path, body).fails_with(code).naming(field);
        };
        let business = case.estate.business;
        refused(json!({"bk_biz_id": other.business, "job_ids": [job["job_id"]]}), 1_199_019, "job_ids[0]");
        refused(json!({"bk_biz_id": business, "job_ids": []}), 1_199_010, "job_ids");
        refused(json!({"bk_biz_id": business, "job_ids": (0..101).collect::<Vec<_>>()}), 1_199_035, "job_ids");
        refused(json!({"job_ids": [job["job_id"]]}), 1_199_006, "bk_biz_id");
        let reason = "長".repeat(257);
        refused(json!({"bk_biz_id": business, "job_ids": [job["job_id"]], "reason": reason}), 1_199_006, "reason");
    }
    case.steer("retry", "").fails_with(1_199_011).naming("job_ids[0]");
    assert_eq!(case.newest(), job);
}

/// What ended long ago is forgotten.
#[test]
fn old_jobs_are_forgotten() {
    let case = idle_server();
    case.synchronize().data();
    let runners = Runners::of(&case.app);
    let runner = runners.runner("a");
    let forget = || {
        runners.run(runner.forget()).unwrap();
        case.listed(json!({})).len()
    };
    let year = Duration::from_secs(366 * 24 * 3600);
    runners.pass(year);
    assert_eq!(forget(), 1);
    case.steer("cancel", "").data();
    runners.go_back(year);
    assert_eq!(forget(), 1);
    runners.pass(2 * year);
    assert_eq!((forget(), case.app.number("SELECT count(*) FROM job_part")), (0, 0));
}
