//! The built program, killed with SIGKILL while it lets a module follow its template: the next server goes on, the job ends, nothing is
//! left to do, and nothing was done twice. On the engine that the environment names; on PostgreSQL another server stands beside it.

mod crash_support;

use crash_support::{Chance, Client, Home, Server, check};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Hosts of the module, and process templates: at least ten parts.
const HOSTS: usize = 500;
const TEMPLATES: usize = 20;

/// A template whose processes are to change, and its module.
struct Estate {
    business: i64,
    template: i64,
    module: i64,
}

fn number(value: &Value) -> i64 {
    value.as_i64().unwrap_or_else(|| panic!("no number: {value}"))
}

fn send(client: &mut Client, method: &str, path: &str, body: &Value) -> Value {
    client.call(method, &format!("/api/v3{path}"), body).expect("nobody kills the server now").data()
}

impl Estate {
    fn make(client: &mut Client) -> Self {
        let mut post = |path: &str, body: Value| send(client, "POST", path, &body);
        let business = number(&post("/biz/0", json!({"bk_biz_name": "b", "bk_biz_maintainer": "ops"}))["bk_biz_id"]);
        let set = json!({"bk_set_name": "s", "bk_parent_id": business});
        let set = number(&post(&format!("/set/{business}"), set)["bk_set_id"]);
        let template = json!({"bk_biz_id": business, "name": "st", "service_category_id": 2});
        let template = number(&post("/create/proc/service_template", template)["id"]);
        let processes: Vec<_> = (0..TEMPLATES).map(|i| json!({"spec": property(i, "www")})).collect();
        let body = json!({"bk_biz_id": business, "service_template_id": template, "processes": processes});
        post("/createmany/proc/proc_template", body);
        let module = json!({"bk_parent_id": set, "service_template_id": template});
        let module = number(&post(&format!("/module/{business}/{set}"), module)["bk_module_id"]);
        let list: Vec<_> =
            (0..HOSTS).map(|i| json!({"bk_host_innerip": format!("10.1.{}.{}", i / 200, i % 200)})).collect();
        for list in list.chunks(200) {
            let hosts = post("/hosts/add/business_idle", json!({"bk_biz_id": business, "bk_host_list": list}));
            let body = json!({"bk_biz_id": business, "bk_host_id": hosts["bk_host_ids"], "bk_module_id": [module],
                "is_increment": false});
            post("/hosts/modules", body);
        }
        Self { business, template, module }
    }

    /// Every process has another user, and one template goes while another comes.
    fn change(&self, client: &mut Client, user: &str, round: usize) {
        let body = json!({"bk_biz_id": self.business, "service_template_id": self.template, "page": {"sort": "id"}});
        let listed = send(client, "POST", "/findmany/proc/proc_template", &body)["info"].clone();
        let listed = listed.as_array().unwrap();
        let gone = json!({"bk_biz_id": self.business, "process_templates": [listed[0]["id"]]});
        send(client, "DELETE", "/deletemany/proc/proc_template", &gone);
        for template in &listed[1..] {
            let body = json!({"bk_biz_id": self.business, "process_template_id": template["id"],
                "process_property": {"user": {"value": user, "as_default_value": true}}});
            send(client, "PUT", "/update/proc/proc_template", &body);
        }
        let new = json!([{"spec": property(TEMPLATES + round, user)}]);
        let body = json!({"bk_biz_id": self.business, "service_template_id": self.template, "processes": new});
        send(client, "POST", "/createmany/proc/proc_template", &body);
    }

    fn newest_job(&self, client: &mut Client) -> Value {
        let path = format!("/findmany/sync_job/bk_biz_id/{}", self.business);
        send(client, "POST", &path, &json!({"page": {"limit": 1}}))["info"][0].clone()
    }

    /// Waits until the newest job has done so many parts, or is over.
    fn wait(&self, client: &mut Client, parts: i64) -> Value {
        let begun = Instant::now();
        loop {
            let job = self.newest_job(client);
            let is_over = !["new", "waiting", "executing"].contains(&job["status"].as_str().unwrap());
            if is_over || number(&job["finished_parts"]) >= parts {
                return job;
            }
            assert!(begun.elapsed() < Duration::from_secs(120), "{job}");
        }
    }
}

fn property(i: usize, user: &str) -> Value {
    json!({"bk_process_name": {"value": format!("p{i}")}, "bk_func_name": {"value": format!("p{i}")},
        "user": {"value": user, "as_default_value": true}})
}

#[test]
fn a_synchronization_survives_kills_and_does_nothing_twice() {
    let seed = Chance::seed();
    let mut chance = Chance(seed);
    let home = Home::new();
    // Short, so that the next server need not wait long for a dead one.
    let config = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(config.path(), "[jobs]\nlease_ms = 500\n").unwrap();
    let arguments = ["--dev", "--config", config.path().to_str().unwrap()];
    let start = || Server::start_with(&home.store(), &arguments);
    let mut server = start();
    let mut beside = (rollcall_testbed::engine() == rollcall_testbed::Engine::Postgres).then(start);
    let estate = Estate::make(&mut server.client());
    for round in 0..3 {
        let mut client = server.client();
        estate.change(&mut client, &format!("user{round}"), round);
        let body = json!({"bk_biz_id": estate.business, "bk_module_ids": [estate.module],
            "service_template_id": estate.template});
        send(&mut client, "PUT", "/update/proc/service_instance/sync", &body);
        for _ in 0..3 {
            estate.wait(&mut server.client(), i64::try_from(chance.below(9)).unwrap());
            server.kill();
            if let Some(beside) = &mut beside {
                estate.wait(&mut beside.client(), i64::try_from(1 + chance.below(9)).unwrap());
            }
            server = start();
        }
        let job = estate.wait(&mut server.client(), i64::MAX);
        assert_eq!(job["status"], "finished", "{job}, seed {seed}");
        assert_eq!(job["finished_parts"], job["parts"]);
        let body = json!({"bk_biz_id": estate.business, "bk_module_id": estate.module,
            "service_template_id": estate.template});
        let difference = send(&mut server.client(), "POST", "/find/proc/service_template/general_difference", &body);
        let clean = json!({"changed": null, "added": null, "removed": null, "attributes": []});
        assert_eq!(difference, clean, "seed {seed}");
        let store = home.look();
        // What a job changes it changes once: each process was told of once for each reason.
        let twice = "SELECT count(*) FROM (SELECT request_id, object_id FROM event WHERE kind = 9
            AND substr(request_id, 1, 4) = 'job:' GROUP BY request_id, object_id, operation HAVING count(*) > 1) t";
        assert_eq!(store.number(twice), 0, "seed {seed}");
        let jobs = i64::try_from(round + 1).unwrap();
        let hosts = i64::try_from(HOSTS).unwrap();
        let told = |operation: i64| {
            let sql = format!(
                "SELECT count(*) FROM event WHERE kind = 9 AND operation = {operation} AND substr(request_id, 1, 4) = 'job:'"
            );
            store.number(&sql)
        };
        let changed = i64::try_from(TEMPLATES).unwrap() - 1;
        assert_eq!((told(1), told(2), told(3)), (jobs * hosts, jobs * hosts * changed, jobs * hosts), "seed {seed}");
        let (is_sound, said) = check(&home.store());
        assert!(is_sound, "`rollcall check` says: {said}, seed {seed}");
    }
    server.stop();
}
