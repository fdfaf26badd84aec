//! Sets follow their templates when they are told to: `templates` 13 (T13 to T16), the edge cases 88 to 90 and 94, and invariant 24.

#![expect(clippy::unwrap_used, reason = "a test ends with its first error")]

mod support;

use rollcall_app::access::Action;
use serde_json::{Value, json};
use support::{Answer, Estate, TestApp, named, next_millisecond};

/// A business with four service templates and a set template that lists the first two, which two sets follow.
struct Case {
    app: TestApp,
    estate: Estate,
    services: Vec<i64>,
    template: i64,
    sets: [i64; 2],
}

impl Case {
    fn new() -> Self {
        Self::on(TestApp::new())
    }

    /// On a server where jobs stay as they were asked for.
    fn without_jobs() -> Self {
        let app = TestApp::with().settings(|settings| {
            settings.dev = true;
            settings.jobs.run = false;
        });
        Self::on(app.administrator(support::USER).start())
    }

    fn on(app: TestApp) -> Self {
        let estate = app.estate();
        let services = ["a", "b", "c", "d"].map(|name| app.service_template(&estate, name)).to_vec();
        let template = app.set_template(&estate, "kit", &services[..2]);
        let sets = ["s", "t"].map(|name| app.set_of(&estate, name, template));
        Self { app, estate, services, template, sets }
    }

    fn path(&self, verb: &str, tail: &str) -> String {
        format!("/{verb}/topo/set_template/{}/bk_biz_id/{}/{tail}", self.template, self.estate.business)
    }

    fn synchronize(&self, sets: &[i64]) -> Answer {
        self.app.post(&self.path("updatemany", "sync_to_instances"), json!({ "bk_set_ids": sets }))
    }

    /// Synchronizes sets, waits for the end, and answers the newest job.
    fn follow(&self, sets: &[i64]) -> Value {
        assert_eq!(self.synchronize(sets).data(), Value::Null);
        self.app.wait_for_jobs(self.estate.business).swap_remove(0)
    }

    fn change(&self, services: &[i64], attributes: &Value) {
        let body = json!({"bk_biz_id": self.estate.business, "id": self.template, "service_template_ids": services,
            "attributes": attributes});
        self.app.native("PUT", "/update/topo/set_template/all_info", body).data();
    }

    fn fixed(&self, attribute: &str, value: Value) -> Value {
        json!({"bk_attribute_id": self.app.set_attribute(attribute), "bk_property_value": value})
    }

    fn modules(&self, set: i64) -> Vec<Value> {
        let body = json!({"page": {"sort": "bk_module_name"}});
        let found = self.app.post(&format!("/module/search/0/{}/{set}", self.estate.business), body).data();
        found["info"].as_array().unwrap().clone()
    }

    fn names(&self, set: i64) -> Vec<String> {
        self.modules(set).iter().map(|module| module["bk_module_name"].as_str().unwrap().to_owned()).collect()
    }

    fn set_row(&self, set: i64) -> Value {
        let sets = self.app.documents("SELECT document FROM topology_set");
        sets.into_iter().find(|row| row["bk_set_id"] == set).unwrap()
    }

    fn difference(&self, set: i64) -> Value {
        let path = self.path("findmany", "diff_with_instances");
        self.app.post(&path, json!({ "bk_set_id": set })).data()["difference"].clone()
    }

    /// templates invariant 24: a synchronized set has nothing but unchanged modules and equal attributes.
    fn assert_clean(&self, set: i64) {
        let difference = self.difference(set);
        assert_eq!(difference["need_sync"], false, "{difference}");
        for module in difference["module_diffs"].as_array().unwrap() {
            assert_eq!(module["diff_type"], "unchanged", "{difference}");
        }
        for attribute in difference["attributes"].as_array().unwrap() {
            assert_eq!(attribute["template_value"], attribute["inst_value"], "{difference}");
        }
    }

    fn search(&self, what: &str, more: Value) -> Answer {
        let mut body = json!({"set_template_id": self.template});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.app.post(&format!("/findmany/topo/set_template_sync_{what}/bk_biz_id/{}", self.estate.business), body)
    }

    /// Set and status of each row of T15.
    fn status(&self, more: Value) -> Vec<(i64, String)> {
        let told = self.search("status", more).data();
        let rows = told["info"].as_array().unwrap().iter();
        let rows: Vec<_> =
            rows.map(|row| (row["bk_inst_id"].as_i64().unwrap(), row["status"].as_str().unwrap().to_owned())).collect();
        assert_eq!(told["count"], rows.len());
        rows
    }

    fn transfer(&self, host: i64, module: &Value) {
        let body = json!({"bk_biz_id": self.estate.business, "bk_host_id": [host], "bk_module_id": [module],
            "is_increment": true});
        self.app.post("/hosts/modules", body).data();
    }
}

/// templates invariant 24, and what audit and events tell
#[test]
fn sets_become_what_their_template_says() {
    let case = Case::new();
    let [_, b, c, _] = case.services[..] else { panic!("four service templates") };
    let kept = case.modules(case.sets[0])[1].clone();
    let other = case.modules(case.sets[1]);
    let free = case.modules(case.estate.set);
    case.change(&[b, c], &json!([case.fixed("bk_capacity", json!(7)), case.fixed("bk_set_desc", json!("d"))]));
    next_millisecond();
    let job = case.follow(&case.sets[..1]);
    assert_eq!((&job["status"], &job["failures"], &job["parts"]), (&json!("finished"), &json!([]), &json!(4)), "{job}");
    case.assert_clean(case.sets[0]);
    assert_eq!(case.names(case.sets[0]), ["b", "c"]);
    let set = case.set_row(case.sets[0]);
    assert_eq!((&set["bk_capacity"], &set["bk_set_desc"]), (&json!(7), &json!("d")));
    assert_ne!(set["last_time"], set["create_time"]);
    let modules = case.modules(case.sets[0]);
    assert_eq!(modules[0], kept);
    let facts = ["service_template_id", "set_template_id", "service_category_id"].map(|field| &modules[1][field]);
    assert_eq!(facts, [&json!(c), &json!(case.template), &json!(2)]);
    // Nothing else was touched.
    assert_eq!(case.modules(case.sets[1]), other);
    assert_eq!(case.modules(case.estate.set), free);
    let done = format!("job:{}", job["job_id"]);
    let told = case.app.documents(
        "SELECT '{\"request\":\"' || request_id || '\",\"what\":\"' || resource_type || ' ' || action || '\"}' FROM audit
            WHERE user_name = 'ops' AND resource_type IN ('set', 'module') ORDER BY id",
    );
    let told: Vec<_> = told.iter().filter(|it| it["request"] == done).map(|it| &it["what"]).collect();
    assert_eq!(told, ["set update", "module delete", "module create"]);
    // A second time there is nothing to do.
    let traces = || case.app.number("SELECT count(*) FROM event WHERE kind IN (5, 6)");
    let before = traces();
    assert_eq!(case.follow(&case.sets[..1])["status"], "finished");
    assert_eq!(traces(), before);
    case.app.check();
}

/// templates T13: a module gets the name of its service template back. The doors let nobody take it away, so the store is written.
#[test]
fn a_module_with_another_name_is_renamed() {
    let case = Case::new();
    let set = case.sets[0];
    let module = case.modules(set)[0].clone();
    let id = module["bk_module_id"].as_i64().unwrap();
    let mut odd = module.clone();
    odd["bk_module_name"] = json!("odd");
    let document = odd.to_string();
    let renamed = case.app.store.write_blocking(move |tx| {
        let params = [id.into(), document.as_str().into()];
        tx.execute("UPDATE module SET name = 'odd', document = $2 WHERE id = $1", &params)
    });
    assert_eq!(renamed.unwrap(), 1);
    assert_eq!(case.difference(set)["module_diffs"][0]["diff_type"], "changed");
    assert_eq!(case.status(json!({"bk_set_ids": [set]})), [(set, "need_sync".into())]);
    next_millisecond();
    let job = case.follow(&[set]);
    assert_eq!((&job["status"], &job["parts"], &job["failures"]), (&json!("finished"), &json!(3), &json!([])), "{job}");
    case.assert_clean(set);
    let after = case.modules(set)[0].clone();
    for (field, value) in after.as_object().unwrap() {
        match field.as_str() {
            "last_time" | "bk_updated_at" | "bk_updated_by" => {}
            _ => assert_eq!(*value, module[field], "{field}"),
        }
    }
    assert_ne!(after["last_time"], module["last_time"]);
    let entries = case.app.documents(
        "SELECT '{\"request\":\"' || request_id || '\",\"user\":\"' || user_name || '\",\"name\":\"' || resource_name
            || '\",\"what\":\"' || resource_type || ' ' || action || '\",\"detail\":' || detail || '}' FROM audit
            WHERE substr(request_id, 1, 4) = 'job:' AND resource_type <> 'sync_job' ORDER BY id",
    );
    let told = json!({"request": format!("job:{}", job["job_id"]), "user": "ops", "name": "odd", "what": "module update",
        "detail": {"bk_obj_id": "module",
            "details": {"pre_data": odd, "cur_data": null, "update_fields": {"bk_module_name": "a"}}}});
    assert_eq!(entries, [told]);
    case.app.check();
}

/// templates E88, defect 33: a template without service templates empties its sets, and fixes their attributes all the same.
#[test]
fn a_template_without_services_is_followed_too() {
    let case = Case::new();
    case.change(&[], &json!([case.fixed("bk_capacity", json!(7))]));
    assert_eq!(case.follow(&case.sets)["status"], "finished");
    for set in case.sets {
        case.assert_clean(set);
        assert_eq!(case.names(set), [] as [&str; 0]); // E88
        assert_eq!(case.set_row(set)["bk_capacity"], 7);
    }
    case.change(&[], &json!([case.fixed("bk_capacity", json!(8))]));
    assert_eq!(case.follow(&case.sets)["status"], "finished");
    assert_eq!(case.set_row(case.sets[1])["bk_capacity"], 8);
    case.app.check();
}

/// templates E89, defect 33: a module with hosts stays, all else is done, and readers are told.
#[test]
fn a_module_with_hosts_is_in_the_way_of_nothing_else() {
    let case = Case::new();
    let [a, b, c, d] = case.services[..] else { panic!("four service templates") };
    let module = case.modules(case.sets[0])[0]["bk_module_id"].clone();
    case.transfer(case.estate.hosts[0], &module);
    case.change(&[c, d], &json!([case.fixed("bk_capacity", json!(7))]));
    let job = case.follow(&case.sets[..1]);
    assert_eq!((&job["status"], &job["finished_parts"]), (&json!("failure"), &json!(4)), "{job}");
    assert_eq!((&job["failures"][0]["part"], &job["failures"][0]["code"]), (&json!(2), &json!(1_101_030)));
    assert!(job["failures"][0]["message"].as_str().unwrap().contains('a'));
    assert_eq!(case.names(case.sets[0]), ["a", "c", "d"]);
    assert_eq!(case.set_row(case.sets[0])["bk_capacity"], 7);
    assert_eq!(case.status(json!({"bk_set_ids": [case.sets[0]]})), [(case.sets[0], "failure".into())]);

    let told = case.app.post(&case.path("findmany", "instances_sync_status"), json!({})).data();
    assert_eq!(told.as_object().unwrap().len(), 1, "{told}");
    let task = &told[case.sets[0].to_string()];
    assert_eq!((&task["bk_inst_id"], &task["status"]), (&json!(case.sets[0]), &json!("failure")));
    assert_eq!(task["task_id"], format!("id:{}", job["job_id"]));
    let details: Vec<_> = task["detail"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| {
            let module = &it["data"]["module_diff"];
            let words = [&it["status"], &module["bk_module_name"], &module["diff_type"]];
            (words.map(|word| word.as_str().unwrap().to_owned()).join(" "), it["response"]["bk_error_code"].clone())
        })
        .collect();
    let want = [
        ("finished  unchanged", 0),
        ("failure a remove", 1_101_030),
        ("finished b remove", 0),
        ("finished c add", 0),
        ("finished d add", 0),
    ];
    assert_eq!(details, want.map(|(words, code)| (words.to_owned(), json!(code))));
    assert_eq!(task["detail"][1]["data"]["set"]["bk_set_id"], case.sets[0]);

    // Without the host it goes on where it was.
    let back = json!({"bk_biz_id": case.estate.business, "bk_host_id": [case.estate.hosts[0]]});
    case.app.post("/hosts/modules/idle", back).data();
    let again = json!({"bk_biz_id": case.estate.business, "job_ids": [job["job_id"]]});
    case.app.native("PUT", "/update/sync_job/retry", again).data();
    assert_eq!(case.app.wait_for_jobs(case.estate.business)[0]["status"], "finished");
    case.assert_clean(case.sets[0]);
    assert!(a > 0 && b > 0);
    case.app.check();
}

/// What is not the case any more is left: a job does nothing but what was asked for.
#[test]
fn what_changed_since_waits_for_another_synchronization() {
    let case = Case::without_jobs();
    let [a, b, c, d] = case.services[..] else { panic!("four service templates") };
    case.change(&[a, c], &json!([]));
    case.synchronize(&case.sets[..1]).data();
    case.change(&[b, d], &json!([]));
    assert_eq!(case.app.run_jobs(case.estate.business)[0]["status"], "finished");
    assert_eq!(case.names(case.sets[0]), ["a", "b"]);
    assert_eq!(case.status(json!({"bk_set_ids": [case.sets[0]]})), [(case.sets[0], "need_sync".into())]);
    case.synchronize(&case.sets).data();
    case.app.run_jobs(case.estate.business);
    for set in case.sets {
        case.assert_clean(set);
        assert_eq!(case.names(set), ["b", "d"]);
    }
    case.app.check();
}

/// templates E90
#[test]
fn what_cannot_be_synchronized() {
    let case = Case::without_jobs();
    case.synchronize(&[]).fails_with(1_199_010).naming("bk_set_ids");
    let other = case.app.set_template(&case.estate, "other", &case.services);
    let theirs = case.app.set_of(&case.estate, "u", other);
    let refused = case.synchronize(&[case.sets[0], theirs, case.estate.set, 99_999, 0]);
    refused.fails_with(1_101_011).naming("bk_set_ids[1]").naming("bk_set_ids[2]").naming("bk_set_ids[4]");
    assert!(!refused.message().contains("bk_set_ids[0]"));
    let abroad = case.app.estate_named("other", "10.1.0");
    let path =
        format!("/updatemany/topo/set_template/{}/bk_biz_id/{}/sync_to_instances", case.template, abroad.business);
    case.app.post(&path, json!({"bk_set_ids": case.sets})).fails_with(1_101_011);
    let path = format!("/updatemany/topo/set_template/x/bk_biz_id/{}/sync_to_instances", case.estate.business);
    case.app.post(&path, json!({})).fails_with(1_199_006).naming("set_template_id");
    assert_eq!(case.app.number("SELECT count(*) FROM job"), 0);
    // One after the other, and none for its neighbours either (invariant 17).
    case.synchronize(&[case.sets[0], case.sets[0]]).data();
    assert_eq!(case.app.number("SELECT count(*) FROM job"), 1);
    case.synchronize(&case.sets).fails_with(1_117_008).naming(&format!("[{}]", case.sets[0])); // E90
    assert_eq!(case.app.number("SELECT count(*) FROM job"), 1);
    case.synchronize(&case.sets[1..]).data();
    let told = case.app.post(&case.path("findmany", "instances_sync_status"), json!({})).data();
    let first = &told[case.sets[0].to_string()];
    assert_eq!((&first["status"], &first["detail"][0]["response"]), (&json!("new"), &Value::Null));
    let asked = json!({"bk_set_ids": [case.sets[1], theirs]});
    let told = case.app.post(&case.path("findmany", "instances_sync_status"), asked).data();
    assert_eq!(told.as_object().unwrap().keys().collect::<Vec<_>>(), [&case.sets[1].to_string()]);
    for none in [json!([]), json!([theirs, 99_999])] {
        let path = case.path("findmany", "instances_sync_status");
        case.app.post(&path, json!({"bk_set_ids": none})).fails_with(1_117_007).naming("bk_set_ids");
    }
}

/// templates T15, E94, defect 32
#[test]
fn the_status_of_sets_is_that_of_their_newest_job() {
    let case = Case::new();
    let [a, _, c, _] = case.services[..] else { panic!("four service templates") };
    let [first, second] = case.sets;
    let of = |words: [&str; 2]| vec![(first, words[0].to_owned()), (second, words[1].to_owned())];
    assert_eq!(case.status(json!({})), of(["finished", "finished"]));
    let module = case.modules(first)[0]["bk_module_id"].clone();
    case.transfer(case.estate.hosts[0], &module);
    case.change(&[c], &json!([]));
    assert_eq!(case.status(json!({})), of(["need_sync", "need_sync"]));
    // A set that was never synchronized is shown with its own times.
    let told = case.search("status", json!({"bk_set_ids": [second]})).data()["info"][0].clone();
    let row = case.set_row(second);
    assert_eq!(
        told,
        json!({"bk_inst_id": second, "status": "need_sync", "creator": "ops",
        "create_time": row["create_time"], "last_time": row["last_time"]})
    );
    let job = case.follow(&[first]);
    assert_eq!(case.status(json!({})), of(["failure", "need_sync"]));
    case.change(&[a, c], &json!([]));
    next_millisecond();
    assert_eq!(case.follow(&[first])["status"], "finished");
    assert_eq!(case.status(json!({})), of(["finished", "need_sync"]));
    case.change(&[a], &json!([]));
    assert_eq!(case.status(json!({})), of(["need_sync", "need_sync"]));
    // E94: the older job that failed says nothing, and conditions leave sets out instead of making them look unsynchronized.
    assert_eq!(case.status(json!({"status": ["failure"]})), []);
    assert_eq!(case.status(json!({"creator": "nobody"})), []);
    assert_eq!(case.status(json!({"creator": "ops", "status": ["need_sync", "new"]})), of(["need_sync", "need_sync"]));
    assert_eq!(case.status(json!({"task_ids": [job["task_id"]]})), []);
    assert_eq!(case.status(json!({"search": "S"})), [(first, "need_sync".into())]);
    assert_eq!(case.status(json!({"bk_set_ids": [second, case.estate.set]})), [(second, "need_sync".into())]);
    assert_eq!(case.status(json!({"end_time": "2020-01-01 00:00:00"})), []);
    assert_eq!(case.status(json!({"start_time": "2020-01-01T00:00:00Z"})).len(), 2);
    let page = case.search("status", json!({"page": {"start": 1, "limit": 1, "sort": "-bk_set_name"}})).data();
    assert_eq!((&page["count"], &page["info"][0]["bk_inst_id"]), (&json!(2), &json!(first)));

    let history = |more: Value| -> Vec<String> {
        let told = case.search("history", more).data();
        let rows = told["info"].as_array().unwrap().iter();
        rows.map(|row| format!("{} {}", row["bk_inst_id"], row["status"].as_str().unwrap())).collect()
    };
    assert_eq!(history(json!({})), [format!("{first} finished"), format!("{first} failure")]);
    assert_eq!(history(json!({"page": {"sort": "create_time", "limit": 1}})), [format!("{first} failure")]);
    assert_eq!(history(json!({"status": ["failure"]})), [format!("{first} failure")]);
    assert_eq!(history(json!({"task_ids": [job["task_id"]]})), [format!("{first} failure")]);
    assert_eq!(history(json!({"search": "t"})), [] as [&str; 0]);
    let none = json!({"set_template_id": 99_999});
    assert_eq!(case.search("history", none.clone()).data(), json!({"count": 0, "info": []}));
    assert_eq!(case.search("status", none).data(), json!({"count": 0, "info": []}));
    for what in ["status", "history"] {
        case.search(what, json!({"set_template_id": 0})).fails_with(1_199_010).naming("set_template_id");
        case.search(what, json!({"status": ["done"]})).fails_with(1_199_006).naming("status[0]");
        case.search(what, json!({"start_time": "soon"})).fails_with(1_199_006).naming("start_time");
        case.search(what, json!({"page": {"limit": 1001}})).fails_with(1_199_059);
    }
}

#[test]
fn a_preview_tells_what_a_synchronization_does() {
    let case = Case::new();
    let [_, b, c, _] = case.services[..] else { panic!("four service templates") };
    case.change(&[b, c], &json!([case.fixed("bk_capacity", json!(7))]));
    let path = format!("{}?dry_run=true", case.path("updatemany", "sync_to_instances"));
    let tried = case.app.post(&path, json!({"bk_set_ids": case.sets})).data();
    let rows: Vec<_> = tried["changes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| format!("{} {}", row["action"].as_str().unwrap(), row["resource"].as_str().unwrap()))
        .collect();
    let of_set = ["update set", "delete module", "create module"];
    assert_eq!(rows, [of_set, of_set].concat());
    assert_eq!(case.app.number("SELECT count(*) FROM job"), 0);
    assert_eq!(case.names(case.sets[0]), ["a", "b"]);
    let module = case.modules(case.sets[1])[0]["bk_module_id"].clone();
    case.transfer(case.estate.hosts[0], &module);
    case.app.post(&path, json!({"bk_set_ids": case.sets})).fails_with(1_101_030).naming("bk_set_ids[1]");
    assert_eq!(case.follow(&case.sets[..1])["status"], "finished");
    case.assert_clean(case.sets[0]);
}

#[test]
fn rights_are_asked_for() {
    let app = TestApp::with().administrator("root").settings(|settings| settings.protect_reads = true).start();
    for name in ["b3", "b4"] {
        app.native_as("root", "POST", "/biz/0", json!({"bk_biz_name": name, "bk_biz_maintainer": "ops"})).data();
    }
    app.grant("tom", Action::FindBusinessResource, Some(4));
    app.grant("tom", Action::EditTopology, Some(4));
    app.grant("ann", Action::EditTopology, Some(3));
    let post = |user: &str, path: &str, body: Value| app.native_as(user, "POST", path, body);
    let service = json!({"bk_biz_id": 3, "name": "st", "service_category_id": 2});
    let service = post("root", "/create/proc/service_template", service).data()["id"].clone();
    let template = json!({"name": "t", "service_template_ids": [service]});
    let template = post("root", "/create/topo/set_template/bk_biz_id/3", template).data()["id"].clone();
    let set = json!({"bk_set_name": "s", "bk_parent_id": 3, "set_template_id": template});
    let set = post("root", "/set/3", set).data()["bk_set_id"].clone();
    let path =
        |business: i64| format!("/updatemany/topo/set_template/{template}/bk_biz_id/{business}/sync_to_instances");
    for business in [3, 99_999] {
        post("tom", &path(business), json!({"bk_set_ids": []})).fails_with(9_900_403);
        for what in ["status", "history"] {
            let search = format!("/findmany/topo/set_template_sync_{what}/bk_biz_id/{business}");
            post("tom", &search, json!({"set_template_id": template})).fails_with(9_900_403);
        }
        let jobs = format!("/findmany/topo/set_template/{template}/bk_biz_id/{business}/instances_sync_status");
        post("tom", &jobs, json!({})).fails_with(9_900_403);
    }
    post("tom", &path(4), json!({"bk_set_ids": [set]})).fails_with(1_101_011);
    post("ann", &path(3), json!({"bk_set_ids": [set]})).data();
    let search = "/findmany/topo/set_template_sync_status/bk_biz_id/4";
    assert_eq!(post("tom", search, json!({"set_template_id": template})).data()["count"], 0);
    let body = json!({"bk_biz_id": 3, "set_template_id": template, "bk_set_ids": [set]});
    app.esb_as("tom", "sync_set_template_to_set", body).fails_with(9_900_403);
}

/// Who may edit service instances steers the jobs of modules; those of sets ask for the right to edit the topology, and the other way
/// round.
#[test]
fn each_kind_of_job_asks_for_its_own_right_to_steer() {
    let app = TestApp::with().settings(|settings| settings.jobs.run = false).administrator("root").start();
    let send = |user: &str, method: &str, path: &str, body: Value| app.native_as(user, method, path, body);
    let root = |path: &str, body: Value| send("root", "POST", path, body).data();
    root("/biz/0", json!({"bk_biz_name": "b3", "bk_biz_maintainer": "ops"}));
    let service = json!({"bk_biz_id": 3, "name": "st", "service_category_id": 2});
    let service = root("/create/proc/service_template", service)["id"].clone();
    let template = json!({"name": "t", "service_template_ids": [service]});
    let template = root("/create/topo/set_template/bk_biz_id/3", template)["id"].clone();
    let set = root("/set/3", json!({"bk_set_name": "s", "bk_parent_id": 3, "set_template_id": template}));
    let modules = root(&format!("/module/search/0/3/{}", set["bk_set_id"]), json!({}));
    app.grant("ann", Action::EditServiceInstance, Some(3));
    app.grant("tom", Action::EditTopology, Some(3));
    let of_set = format!("/updatemany/topo/set_template/{template}/bk_biz_id/3/sync_to_instances");
    send("tom", "POST", &of_set, json!({"bk_set_ids": [set["bk_set_id"]]})).data();
    let of_module = json!({"bk_biz_id": 3, "service_template_id": service,
        "bk_module_ids": [modules["info"][0]["bk_module_id"]]});
    send("ann", "PUT", "/update/proc/service_instance/sync", of_module).data();
    let jobs = || root("/findmany/sync_job/bk_biz_id/3", json!({}))["info"].clone();
    let [module_job, set_job] = [0, 1].map(|i| jobs()[i]["job_id"].clone());
    let steer = |user: &str, how: &str, ids: &[&Value]| {
        let body = json!({"bk_biz_id": 3, "job_ids": ids});
        send(user, "PUT", &format!("/update/sync_job/{how}"), body)
    };
    let before = jobs();
    for how in ["cancel", "retry"] {
        for (user, action, ids) in [
            ("ann", "edit_biz_topology", vec![&set_job]),
            ("ann", "edit_biz_topology", vec![&module_job, &set_job]),
            ("tom", "edit_biz_service_instance", vec![&module_job]),
            ("tom", "edit_biz_service_instance", vec![&set_job, &module_job]),
        ] {
            let refused = steer(user, how, &ids);
            refused.fails_with(9_900_403);
            assert_eq!(refused.json()["permission"]["actions"][0]["id"], action, "{user} {how} {ids:?}");
        }
        steer("eve", how, &[&set_job]).fails_with(9_900_403);
        assert_eq!(jobs(), before);
    }
    for how in ["cancel", "retry"] {
        steer("ann", how, &[&module_job]).data();
        steer("tom", how, &[&set_job]).data();
    }
    let told: Vec<_> = [0, 1].map(|i| jobs()[i]["status"].clone()).into();
    assert_eq!(told, ["waiting", "waiting"]);
}

#[test]
fn every_door_leads_to_them() {
    let case = Case::new();
    case.app.process_templates(&case.estate, case.services[2], vec![named("p")]);
    case.change(&case.services, &json!([]));
    let body = json!({"bk_biz_id": case.estate.business, "set_template_id": case.template, "bk_set_ids": case.sets});
    assert_eq!(case.app.esb("sync_set_template_to_set", body).data(), Value::Null);
    case.app.wait_for_jobs(case.estate.business);
    case.assert_clean(case.sets[0]);
    let path = format!("/findmany/topo/set_template_sync_status/bk_biz_id/{}", case.estate.business);
    let told = case.app.gateway("POST", &path, json!({"set_template_id": case.template})).data();
    assert_eq!(told["info"][1]["status"], "finished");
}

/// Hosts that join modules while these are to go: each module is either gone, or stays with its host.
#[test]
fn hosts_that_come_meanwhile_keep_their_module() {
    let case = Case::new();
    let more = ["u", "v", "w"].map(|name| case.app.set_of(&case.estate, name, case.template));
    let sets: Vec<_> = case.sets.iter().chain(&more).copied().collect();
    let modules: Vec<_> = sets.iter().map(|set| case.modules(*set)[0]["bk_module_id"].clone()).collect();
    case.change(&case.services[1..2], &json!([]));
    let codes: Vec<i64> = std::thread::scope(|scope| {
        let join = |module: &Value| {
            let body = json!({"bk_biz_id": case.estate.business, "bk_host_id": [case.estate.hosts[0]],
                "bk_module_id": [module], "is_increment": true});
            case.app.post("/hosts/modules", body).code()
        };
        let joining = scope.spawn(move || modules.iter().map(join).collect());
        scope.spawn(|| case.synchronize(&sets).data());
        joining.join().unwrap()
    });
    case.app.wait_for_jobs(case.estate.business);
    for (set, code) in sets.iter().zip(codes) {
        let names = case.names(*set);
        match code {
            0 => assert_eq!(names, ["a", "b"]),
            _ => assert_eq!((code, names), (1_101_080, vec!["b".to_owned()])),
        }
    }
    case.app.check();
}

/// Sets are made while their template changes and its service templates go: what is there afterwards keeps every rule.
#[test]
fn templates_that_change_meanwhile_leave_nothing_behind() {
    let case = Case::new();
    let spare: Vec<_> = (0..6).map(|i| case.app.service_template(&case.estate, &format!("spare{i}"))).collect();
    case.change(&spare, &json!([]));
    let allowed = |answer: Answer, codes: &[i64]| assert!(codes.contains(&answer.code()), "{}", answer.text);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for i in 0..6 {
                let set = json!({"bk_set_name": format!("x{i}"), "bk_parent_id": case.estate.business,
                    "set_template_id": case.template});
                allowed(case.app.post(&format!("/set/{}", case.estate.business), set), &[0]);
            }
        });
        scope.spawn(|| {
            for service in &spare {
                let body = json!({"bk_biz_id": case.estate.business, "service_template_id": service});
                allowed(case.app.native("DELETE", "/delete/proc/service_template", body), &[0, 1_108_030]);
            }
        });
        scope.spawn(|| {
            for i in 0..6 {
                let path = format!("/update/topo/set_template/{}/bk_biz_id/{}", case.template, case.estate.business);
                let body = json!({"service_template_ids": spare[i % 3..]});
                allowed(case.app.native("PUT", &path, body), &[0, 1_199_006]);
            }
        });
    });
    let services = "SELECT count(*) FROM module m WHERE m.service_template_id > 0
        AND NOT EXISTS (SELECT 1 FROM service_template t WHERE t.id = m.service_template_id)";
    assert_eq!(case.app.number(services), 0);
    case.app.check();
}
