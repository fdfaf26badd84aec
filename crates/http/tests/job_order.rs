//! Which job a target stands by, which one is done next and by whom, and how much of it at a time: `templates` 11.1, Y2 and T14 to T16,
//! where ids have no order in time, clocks differ, and parts are too large. The runners are the tests' own.

#![expect(clippy::unwrap_used, reason = "a test ends with its first error")]

mod support;

use rollcall_app::runner::Step;
use rollcall_store::{Engine, ReadRun, Stop, StoreError, Work};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;
use support::runners::{LEASE, Runners};
use support::templated::{Case, job};
use support::{Answer, Builder, TestApp, named};

/// A server that does no jobs.
fn idle() -> Builder {
    let app = TestApp::with().settings(|settings| (settings.dev, settings.jobs.run) = (true, false));
    app.administrator(support::USER)
}

fn number(value: &Value) -> i64 {
    value.as_i64().unwrap()
}

/// The jobs of a business as the list has them.
fn jobs(app: &TestApp, business: i64, more: Value) -> Vec<Value> {
    app.post(&format!("/findmany/sync_job/bk_biz_id/{business}"), more).data()["info"].as_array().unwrap().clone()
}

fn ids(jobs: &[Value]) -> Vec<i64> {
    jobs.iter().map(|job| number(&job["job_id"])).collect()
}

/// Calls a job off, or sets it going again.
fn steer(app: &TestApp, business: i64, how: &str, job: i64) {
    let body = json!({"bk_biz_id": business, "job_ids": [job]});
    app.native("PUT", &format!("/update/sync_job/{how}"), body).data();
}

/// Lets a job look as if it had been asked for at another time, in seconds from now.
fn asked_for(app: &TestApp, job: i64, seconds: i64) {
    let time = support::now().unix_ms() / 1000 * 1000 + seconds * 1000;
    let moved = app.store.write_blocking(move |tx| {
        let moved = "UPDATE job SET created_ms = $2 WHERE id = $1";
        tx.execute(moved, &[job.into(), time.into()])
    });
    assert_eq!(moved.unwrap(), 1);
}

/// Lets a job look as if it were of a kind that only newer programs know.
fn set_kind(app: &TestApp, job: i64, kind: i64) {
    let set = app.store.write_blocking(move |tx| {
        let set = "UPDATE job SET kind = $2 WHERE id = $1";
        tx.execute(set, &[job.into(), kind.into()])
    });
    assert_eq!(set.unwrap(), 1);
}

impl Case {
    fn idle() -> Self {
        Self::on(idle().start())
    }

    fn synchronize(&self) -> Answer {
        let body = self.asked(json!({"bk_module_ids": [self.module]}));
        self.app.native("PUT", "/update/proc/service_instance/sync", body)
    }

    /// Asks for a job and answers its id.
    fn ask(&self) -> i64 {
        self.synchronize().data();
        let open = json!({"status": ["new", "waiting", "executing"]});
        ids(&jobs(&self.app, self.estate.business, open))[0]
    }

    /// One more module, which has no hosts and follows the same template.
    fn another_module(&self) -> i64 {
        let business = self.estate.business;
        let set = json!({"bk_set_name": "another", "bk_parent_id": business});
        let set = number(&self.app.post(&format!("/set/{business}"), set).data()["bk_set_id"]);
        let module = json!({"bk_parent_id": set, "service_template_id": self.template});
        number(&self.app.post(&format!("/module/{business}/{set}"), module).data()["bk_module_id"])
    }

    /// Asks for a job for that module and answers its id.
    fn ask_for_another(&self) -> i64 {
        let module = self.another_module();
        let body = self.asked(json!({"bk_module_ids": [module]}));
        self.app.native("PUT", "/update/proc/service_instance/sync", body).data();
        let of_module = json!({"task_type": "service_template_sync", "bk_inst_ids": [module]});
        ids(&jobs(&self.app, self.estate.business, of_module))[0]
    }

    fn steer(&self, how: &str, job: i64) {
        steer(&self.app, self.estate.business, how, job);
    }

    fn job(&self, id: i64) -> Value {
        jobs(&self.app, self.estate.business, json!({"job_ids": [id]}))[0].clone()
    }

    /// How many processes each instance has.
    fn processes(&self) -> Vec<i64> {
        let counts = "SELECT count(*) FROM process GROUP BY service_instance_id ORDER BY service_instance_id";
        self.app.store.read::<_, StoreError>(false, |tx| tx.list(counts, &[], |row| row.int(0))).unwrap()
    }

    /// What Y2 says of the module.
    fn status(&self) -> Value {
        let path = format!("/findmany/proc/service_template_sync_status/bk_biz_id/{}", self.estate.business);
        let body = json!({"bk_module_ids": [self.module], "service_template_id": self.template});
        self.app.post(&path, body).data()[0].clone()
    }
}

/// A set that follows a set template and is not as it wants it.
struct Set {
    app: TestApp,
    business: i64,
    template: i64,
    set: i64,
}

impl Set {
    fn idle() -> Self {
        Self::on(idle().start())
    }

    fn on(app: TestApp) -> Self {
        let estate = app.estate();
        let services = ["a", "b"].map(|name| app.service_template(&estate, name));
        let template = app.set_template(&estate, "kit", &services[..1]);
        let set = app.set_of(&estate, "s", template);
        let body = json!({"bk_biz_id": estate.business, "id": template, "service_template_ids": services,
            "attributes": []});
        app.native("PUT", "/update/topo/set_template/all_info", body).data();
        Self { app, business: estate.business, template, set }
    }

    fn path(&self, verb: &str, tail: &str) -> String {
        format!("/{verb}/topo/set_template/{}/bk_biz_id/{}/{tail}", self.template, self.business)
    }

    fn ask(&self) -> i64 {
        self.app.post(&self.path("updatemany", "sync_to_instances"), json!({ "bk_set_ids": [self.set] })).data();
        ids(&jobs(&self.app, self.business, json!({"status": ["new"]})))[0]
    }

    /// The job that T14 has of the set.
    fn newest(&self) -> Value {
        let told = self.app.post(&self.path("findmany", "instances_sync_status"), json!({ "bk_set_ids": [self.set] }));
        told.data()[self.set.to_string()].clone()
    }

    /// T15 or T16.
    fn search(&self, what: &str, more: Value) -> Answer {
        let mut body = json!({"set_template_id": self.template});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.app.post(&format!("/findmany/topo/set_template_sync_{what}/bk_biz_id/{}", self.business), body)
    }

    fn statuses(&self, what: &str) -> Vec<Value> {
        let told = self.search(what, json!({})).data();
        told["info"].as_array().unwrap().iter().map(|row| row["status"].clone()).collect()
    }
}

/// Servers draw ids in blocks, so the id says nothing of the time: the newest is the one that was asked for last (`templates` Y2, 11.1).
#[test]
fn the_newest_job_is_the_one_that_was_asked_for_last() {
    let case = Case::idle();
    case.update(case.jobs[0], job("root", "80"));
    let late = case.ask();
    case.steer("cancel", late);
    let early = case.ask();
    asked_for(&case.app, early, -60);
    asked_for(&case.app, late, -30);
    let runners = Runners::of(&case.app);
    runners.finish(&mut runners.runner("a"));
    case.update(case.jobs[0], job("www", "80"));
    // Of the one with the greater id it would be that of a minute ago.
    let listed = jobs(&case.app, case.estate.business, json!({}));
    assert!(late < early);
    assert_eq!(ids(&listed), [late, early]);
    assert_eq!(
        (&case.status()["status"], &case.status()["create_time"]),
        (&json!("need_sync"), &listed[0]["create_time"])
    );
    for more in
        [json!({"job_ids": [early, late]}), json!({"task_type": "service_template_sync", "bk_inst_ids": [case.module]})]
    {
        assert_eq!(ids(&jobs(&case.app, case.estate.business, more)), [late, early]);
    }
}

/// A module stands by the job that is not ended, whatever was asked for after it (`templates` Y2).
#[test]
fn a_job_that_goes_on_again_counts_before_newer_ones_that_ended() {
    let case = Case::idle();
    case.update(case.jobs[0], job("root", "80"));
    let first = case.ask();
    case.steer("cancel", first);
    case.ask();
    let runners = Runners::of(&case.app);
    runners.finish(&mut runners.runner("a"));
    assert_eq!(case.status()["status"], "finished");
    case.update(case.jobs[0], job("www", "80"));
    assert_eq!(case.status()["status"], "need_sync");
    case.steer("retry", first);
    assert_eq!(case.status()["status"], "waiting");
    let mut runner = runners.runner("a");
    runners.step(&mut runner);
    assert_eq!(case.status()["status"], "executing");
    runners.finish(&mut runner);
    assert_eq!(case.status()["status"], "finished");
}

/// The same of sets: T14 and T15 have the job that is not ended, else the newest; T16 has the newest first.
#[test]
fn sets_stand_by_the_job_that_is_not_ended() {
    let set = Set::idle();
    let late = set.ask();
    steer(&set.app, set.business, "cancel", late);
    let early = set.ask();
    asked_for(&set.app, early, -60);
    asked_for(&set.app, late, -30);
    assert_eq!((&set.newest()["task_id"], &set.newest()["status"]), (&json!(format!("id:{early}")), &json!("new")));
    assert_eq!(set.statuses("status"), ["new"]);
    assert_eq!(set.statuses("history"), ["cancelled", "new"]);
    steer(&set.app, set.business, "cancel", early);
    assert_eq!(set.newest()["task_id"], json!(format!("id:{late}")));
    assert_eq!(set.statuses("status"), ["need_sync"]);
    steer(&set.app, set.business, "retry", late);
    assert_eq!(set.statuses("status"), ["waiting"]);
    assert_eq!(set.statuses("history"), ["waiting", "cancelled"]);
}

/// A part is cut when the job is asked for; how much of it is done at once is found out when its turn comes (`templates` E71).
#[test]
fn a_part_is_done_in_pieces_when_there_is_more_to_do_by_then() {
    let case = Case::idle();
    let runners = Runners::of(&case.app);
    let mut runner = runners.runner("a");
    let first = case.ask();
    let names: Vec<_> = (0..400).map(|i| named(&format!("p{i}"))).collect();
    let templates =
        names.chunks(100).flat_map(|names| case.app.process_templates(&case.estate, case.template, names.to_vec()));
    let templates: Vec<_> = templates.collect();
    let far = |id: i64| ["parts", "finished_parts", "status"].map(|field| case.job(id)[field].clone());
    // The module, then two hosts: three would be 1206 processes.
    assert_eq!([(); 2].map(|()| runners.step(&mut runner)), [Step::Worked; 2]);
    assert_eq!((case.processes(), far(first)), (vec![402, 402, 2], [json!(2), json!(1), json!("executing")]));
    assert_eq!(runners.finish(&mut runner), 1);
    assert_eq!((case.processes(), far(first)), (vec![402; 3], [json!(2), json!(2), json!("finished")]));
    // What goes counts as what comes.
    for templates in templates.chunks(100) {
        let body = json!({"bk_biz_id": case.estate.business, "process_templates": templates});
        case.app.native("DELETE", "/deletemany/proc/proc_template", body).data();
    }
    let second = case.ask();
    assert_eq!([(); 2].map(|()| runners.step(&mut runner)), [Step::Worked; 2]);
    assert_eq!((case.processes(), far(second)), (vec![2, 2, 402], [json!(2), json!(1), json!("executing")]));
    assert_eq!(runners.finish(&mut runner), 1);
    assert_eq!((case.processes(), far(second)), (vec![2; 3], [json!(2), json!(2), json!("finished")]));
    assert!(!case.needs_sync());
    case.app.check();
}

/// An engine on which every other write takes too long: behind each of them the runner writes that down.
struct Slow {
    inner: Arc<dyn Engine>,
    /// So many more, the last of which takes too long.
    writes: Arc<AtomicUsize>,
}

impl Engine for Slow {
    fn read(&self, snapshot: bool, deadline: Duration, work: &mut ReadRun<'_>) -> Result<(), Stop> {
        self.inner.read(snapshot, deadline, work)
    }

    fn reads_here(&self) -> bool {
        self.inner.reads_here()
    }

    fn read_apart(&self, snapshot: bool, deadline: Duration, work: Work) {
        self.inner.read_apart(snapshot, deadline, work);
    }

    fn write(&self, work: Work) {
        let count_down = |left: usize| left.checked_sub(1);
        let left = self.writes.fetch_update(Ordering::SeqCst, Ordering::SeqCst, count_down).unwrap_or(0);
        match left % 2 {
            0 => self.inner.write(work),
            _ => (work.done)(Err(Stop::Failed(StoreError::TooLong(20_000)))),
        }
    }

    fn size_bytes(&self) -> u64 {
        self.inner.size_bytes()
    }

    fn close(&self) {
        self.inner.close();
    }
}

/// An idle server, and what makes it slow for so many writes.
fn slow_app() -> (TestApp, impl Fn(usize)) {
    let writes = Arc::new(AtomicUsize::new(0));
    let told = writes.clone();
    let app = idle().engine(move |inner| Arc::new(Slow { inner, writes })).start();
    (app, move |writes| told.store(writes, Ordering::SeqCst))
}

/// A part that never ends would keep its server, and its locks, for ever.
#[test]
fn a_part_that_takes_too_long_three_times_fails() {
    let (app, slow_down) = slow_app();
    let case = Case::on(app);
    case.update(case.jobs[0], job("root", "80"));
    let id = case.ask();
    let runners = Runners::of(&case.app);
    let mut runner = runners.runner("a");
    runners.step(&mut runner);
    // A part, a note, a part.
    slow_down(3);
    assert_eq!([(); 2].map(|()| runners.step(&mut runner)), [Step::Worked; 2]);
    assert_eq!((&case.job(id)["status"], &case.job(id)["failures"]), (&json!("executing"), &json!([])));
    // Whoever goes on with it goes on counting.
    runners.run(runner.close()).unwrap();
    let mut runner = runners.runner("b");
    // The claim, a part.
    slow_down(2);
    assert_eq!(runners.finish(&mut runner), 1);
    let failed = case.job(id);
    assert_eq!((&failed["status"], &failed["finished_parts"]), (&json!("failure"), &json!(1)));
    assert_eq!(failed["failures"][0]["part"], 2);
    assert!(failed["failures"][0]["message"].as_str().unwrap().contains("TooLong"), "{failed}");
    // Set going again, it has as many tries as before.
    case.steer("retry", id);
    runners.step(&mut runner);
    assert_eq!(case.job(id)["status"], "finished");
    case.update(case.jobs[0], job("www", "80"));
    let id = case.ask();
    runners.step(&mut runner);
    slow_down(3);
    runners.finish(&mut runner);
    assert_eq!(case.job(id)["status"], "finished");
    case.app.check();
}

/// The parts of a set's job do not depend on each other.
#[test]
fn the_other_parts_of_a_set_are_done_when_one_takes_too_long() {
    let (app, slow_down) = slow_app();
    let set = Set::on(app);
    set.ask();
    let runners = Runners::of(&set.app);
    let mut runner = runners.runner("a");
    runners.step(&mut runner);
    slow_down(5);
    runners.finish(&mut runner);
    let job = set.newest();
    let statuses: Vec<_> = job["detail"].as_array().unwrap().iter().map(|part| part["status"].clone()).collect();
    assert_eq!(
        (&job["status"], statuses),
        (&json!("failure"), vec![json!("finished"), json!("failure"), json!("finished")])
    );
}

/// A server that was slow may still be at a part when its lease has run out, and keeps the row. Another one does what comes next.
#[test]
fn a_server_does_not_wait_for_a_job_that_somebody_is_at() {
    if support::on_engine(true, false) {
        // Here only one writes at a time.
        return;
    }
    let case = Case::idle();
    let first = case.ask();
    let runners = Runners::of(&case.app);
    let mut slow = runners.runner("slow");
    runners.step(&mut slow);
    let second = case.ask_for_another();
    runners.pass(LEASE + Duration::from_millis(1));
    std::thread::scope(|scope| {
        let ((told, is_at_it), (leave, left)) = (mpsc::channel(), mpsc::channel::<()>());
        let store = case.app.store.clone();
        scope.spawn(move || {
            let at_a_part = store.write_blocking(move |tx| {
                tx.query("SELECT id FROM job WHERE id = $1 FOR UPDATE", &[first.into()], &mut |_| Ok(()))?;
                told.send(()).unwrap();
                // Until the other end is dropped.
                let _ = left.recv();
                Ok::<_, StoreError>(())
            });
            at_a_part.unwrap();
        });
        is_at_it.recv().unwrap();
        let mut other = runners.runner("other");
        runners.finish(&mut other);
        assert_eq!(
            (&case.job(second)["status"], &case.job(first)["status"]),
            (&json!("finished"), &json!("executing"))
        );
        drop(leave);
    });
    runners.finish(&mut runners.runner("other"));
    assert_eq!(case.job(first)["status"], "finished");
}

const AN_HOUR: i64 = 3_600_000;

/// What a server has promised whose clock is wrong binds nobody for an hour.
#[test]
fn a_job_of_a_server_that_died_is_taken_over_whatever_its_clock_said() {
    for ahead in [AN_HOUR, -AN_HOUR] {
        let case = Case::idle();
        case.update(case.jobs[0], job("root", "80"));
        let id = case.ask();
        let runners = Runners::of(&case.app);
        let mut died = runners.with_clock("died", ahead);
        assert_eq!(runners.step(&mut died), Step::Worked);
        runners.finish(&mut runners.runner("next"));
        assert_eq!(case.job(id)["status"], "finished", "{ahead}");
    }
}

/// Servers whose clocks differ may take a job from each other; each part is done once all the same.
#[test]
fn servers_whose_clocks_differ_do_each_part_once() {
    for ahead in [AN_HOUR, -AN_HOUR] {
        let case = Case::idle();
        case.update(case.jobs[0], job("root", "80"));
        let id = case.ask();
        case.one_host_a_part(id);
        let runners = Runners::of(&case.app);
        let (mut near, mut far) = (runners.runner("near"), runners.with_clock("far", ahead));
        for _ in 0..8 {
            runners.step(&mut far);
            runners.step(&mut near);
        }
        let done = case.job(id);
        assert_eq!((&done["status"], &done["finished_parts"]), (&json!("finished"), &json!(4)), "{ahead}");
        assert_eq!(case.app.number("SELECT count(*) FROM event WHERE kind = 9 AND operation = 2"), 3, "{ahead}");
        case.app.check();
    }
}

/// A server that does no jobs and answers two rows at most where no page was asked for.
fn with_two_rows() -> TestApp {
    idle().settings(|settings| settings.limits.unpaged_rows = 2).start()
}

/// What is asked of jobs is asked of all of them, and their number is that of all.
#[test]
fn jobs_are_looked_for_among_all_there_are() {
    let case = Case::on(with_two_rows());
    let oldest = case.ask();
    let runners = Runners::of(&case.app);
    runners.finish(&mut runners.runner("a"));
    let newer = [(); 2].map(|()| {
        let id = case.ask();
        case.steer("cancel", id);
        id
    });
    asked_for(&case.app, oldest, -30);
    asked_for(&case.app, newer[0], -20);
    let path = format!("/findmany/sync_job/bk_biz_id/{}", case.estate.business);
    let of_module = json!({"task_type": "service_template_sync", "bk_inst_ids": [case.module]});
    for mut body in [json!({}), of_module] {
        case.app.post(&path, body.clone()).fails_with(1_199_059).naming("page");
        body["page"] = json!({"start": 1, "limit": 1});
        let page = case.app.post(&path, body.clone()).data();
        assert_eq!((&page["count"], ids(page["info"].as_array().unwrap())), (&json!(3), vec![newer[0]]));
        // The oldest is not among the newest two.
        body["page"] = json!({});
        body["status"] = json!(["finished"]);
        let found = case.app.post(&path, body.clone()).data();
        assert_eq!((&found["count"], ids(found["info"].as_array().unwrap())), (&json!(1), vec![oldest]));
        body["task_type"] = json!("set_template_sync");
        assert_eq!(case.app.post(&path, body).data()["count"], 0);
    }
    let both = json!({"task_type": "service_template_sync", "bk_inst_ids": [case.estate.module], "job_ids": [oldest]});
    assert_eq!(case.app.post(&path, both).data()["count"], 0);
    let many = json!({"status": vec!["new"; 101]});
    case.app.post(&path, many).fails_with(1_199_035).naming("status");
}

/// T14 and T16 answer no more than other lists without a page.
#[test]
fn the_history_of_sets_is_bounded() {
    let set = Set::on(with_two_rows());
    let asked = [0, 1, 2].map(|i| {
        let id = set.ask();
        asked_for(&set.app, id, 10 * i - 60);
        steer(&set.app, set.business, "cancel", id);
        id
    });
    // Three parts.
    let told = set.app.post(&set.path("findmany", "instances_sync_status"), json!({ "bk_set_ids": [set.set] }));
    told.fails_with(1_199_059).naming("bk_set_ids");
    set.search("history", json!({})).fails_with(1_199_059).naming("page");
    let sorted = json!({"page": {"sort": "create_time", "limit": 1}});
    set.search("history", sorted.clone()).fails_with(1_199_059).naming("page.sort");
    let times = |more: Value| {
        let told = set.search("history", more).data();
        let times = told["info"].as_array().unwrap().iter().map(|row| row["create_time"].clone()).collect::<Vec<_>>();
        (told["count"].clone(), times)
    };
    let (count, all) = times(json!({"page": {"limit": 3}}));
    assert_eq!((count, all.len()), (json!(3), 3));
    assert_eq!(times(json!({"page": {"start": 1, "limit": 1}})), (json!(3), vec![all[1].clone()]));
    assert_eq!(times(json!({"page": {"start": 1}})), (json!(3), all[1..].to_vec()));
    // Named or not, the conditions are asked of all.
    let oldest = json!({"end_time": "2000-01-01 00:00:00"});
    assert_eq!(times(oldest), (json!(0), vec![]));
    assert_eq!(times(json!({"creator": "nobody"})), (json!(0), vec![]));
    assert_eq!(times(json!({"status": ["need_sync"]})), (json!(0), vec![]));
    let named = |ids: &[i64]| ids.iter().map(|id| format!("id:{id}")).collect::<Vec<_>>();
    assert_eq!(times(json!({"task_ids": named(&asked[..1])})), (json!(1), vec![all[2].clone()]));
    let two = json!({"task_ids": named(&asked[..2]), "page": {"sort": "create_time"}, "status": ["cancelled"]});
    assert_eq!(times(two), (json!(2), vec![all[2].clone(), all[1].clone()]));
    assert_eq!(times(json!({"task_ids": named(&asked[..1]), "status": ["new"]})), (json!(0), vec![]));
    for what in ["status", "history"] {
        set.search(what, json!({"task_ids": vec!["id:1"; 1001]})).fails_with(1_199_035).naming("task_ids");
        set.search(what, json!({"status": vec!["new"; 1001]})).fails_with(1_199_035).naming("status");
    }
}

/// Servers are renewed one after the other: an older one leaves to newer ones what only they know.
#[test]
fn a_job_of_a_kind_that_is_not_known_is_left_to_others() {
    let case = Case::idle();
    let unknown = case.ask();
    set_kind(&case.app, unknown, 99);
    let known = case.ask_for_another();
    let runners = Runners::of(&case.app);
    runners.finish(&mut runners.runner("old"));
    assert_eq!(case.job(known)["status"], "finished");
    let untouched = "SELECT count(*) FROM job WHERE kind = 99 AND status = 0 AND holder = ''";
    assert_eq!(case.app.number(untouched), 1);
}

/// A job that cannot be read cannot be failed either. Others do not wait for that.
#[test]
fn a_job_that_cannot_be_read_does_not_keep_its_server() {
    let case = Case::idle();
    let broken = case.ask();
    let runners = Runners::of(&case.app);
    let mut runner = runners.runner("a");
    runners.step(&mut runner);
    set_kind(&case.app, broken, 99);
    let other = case.ask_for_another();
    assert_eq!((runners.step(&mut runner), runner.job()), (Step::Worked, None));
    runners.finish(&mut runner);
    assert_eq!(case.job(other)["status"], "finished");
    assert_eq!(case.app.number("SELECT count(*) FROM job WHERE kind = 99 AND status = 2"), 1);
}

/// Two calls that name some of the same modules, each in another order, do not wait for each other.
#[test]
fn jobs_are_made_in_the_order_of_their_targets() {
    let case = Case::idle();
    let second = case.another_module();
    let body = case.asked(json!({"bk_module_ids": [second, case.module]}));
    case.app.native("PUT", "/update/proc/service_instance/sync", body).data();
    let mut made = jobs(&case.app, case.estate.business, json!({}));
    made.sort_by_key(|job| job["job_id"].as_i64());
    let targets: Vec<_> = made.iter().map(|job| number(&job["bk_inst_id"])).collect();
    assert!(case.module < second);
    assert_eq!(targets, [case.module, second]);
}

#[test]
fn however_many_jobs_are_old_all_are_forgotten() {
    let case = Case::idle();
    let kept = case.ask();
    case.steer("cancel", kept);
    let made = case.app.store.write_blocking(move |tx| {
        for id in 1_000_000..1_000_201_i64 {
            tx.execute(
                "INSERT INTO job (id, business_id, kind, target_id, template_id, status, user_name, user_verified, app_code,
                    request_id, created_ms, changed_ms, reason, holder, lease_ms)
                    VALUES ($1, 1, 1, 1, 1, 5, 'ops', 1, 'app', 'request', 0, 0, '', '', 0)",
                &[id.into()],
            )?;
        }
        Ok::<_, StoreError>(())
    });
    made.unwrap();
    let runners = Runners::of(&case.app);
    runners.run(runners.runner("a").forget()).unwrap();
    assert_eq!((case.app.number("SELECT count(*) FROM job"), &case.job(kept)["status"]), (1, &json!("cancelled")));
}
