//! The built program, killed with SIGKILL while it lets a module follow its template, or a set: the next server goes on, the job ends,
//! nothing is left to do, and nothing was done twice. On the engine that the environment names; on PostgreSQL another server stands
//! beside it.

mod crash_support;

use crash_support::{Cell, Chance, Client, Home, Server, check};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};
use tempfile::NamedTempFile;

/// Hosts of the module, and process templates: at least ten parts.
const HOSTS: usize = 500;
const TEMPLATES: usize = 20;

/// Kinds of events, and operations.
const SET: i64 = 5;
const MODULE: i64 = 6;
const PROCESS: i64 = 9;
const INSTANCE: i64 = 100;
const CREATE: i64 = 1;
const UPDATE: i64 = 2;
const DELETE: i64 = 3;

fn number(value: &Value) -> i64 {
    value.as_i64().unwrap_or_else(|| panic!("no number: {value}"))
}

fn send(client: &mut Client, method: &str, path: &str, body: &Value) -> Value {
    client.call(method, &format!("/api/v3{path}"), body).expect("nobody kills the server now").data()
}

fn newest_job(client: &mut Client, business: i64) -> Value {
    let path = format!("/findmany/sync_job/bk_biz_id/{business}");
    send(client, "POST", &path, &json!({"page": {"limit": 1}}))["info"][0].clone()
}

/// Waits until the newest job of a business has done so many parts, or is over.
fn wait(client: &mut Client, business: i64, parts: i64) -> Value {
    let begun = Instant::now();
    loop {
        let job = newest_job(client, business);
        let is_over = !["new", "waiting", "executing"].contains(&job["status"].as_str().unwrap());
        if is_over || number(&job["finished_parts"]) >= parts {
            return job;
        }
        assert!(begun.elapsed() < Duration::from_secs(120), "{job}");
    }
}

/// The server that is killed, and on PostgreSQL the one beside it.
struct Servers {
    home: Home,
    /// Settings of servers that do jobs, and of those that leave them alone.
    busy: NamedTempFile,
    idle: NamedTempFile,
    server: Server,
    beside: Option<Server>,
}

impl Servers {
    fn start() -> Self {
        let home = Home::new();
        let settings = |text: &str| {
            let file = NamedTempFile::new().unwrap();
            std::fs::write(file.path(), text).unwrap();
            file
        };
        // Short, so that the next server need not wait long for a dead one.
        let busy = settings("[jobs]\nlease_ms = 500\n");
        let idle = settings("[jobs]\nrun = false\n");
        let server = start(&home, &busy);
        let is_shared = rollcall_testbed::engine() == rollcall_testbed::Engine::Postgres;
        let beside = is_shared.then(|| start(&home, &busy));
        Self { home, busy, idle, server, beside }
    }

    fn client(&self) -> Client {
        self.server.client()
    }

    /// Kills all of them, and starts others that do jobs or leave them alone.
    fn replace(&mut self, do_jobs: bool) {
        let settings = if do_jobs { &self.busy } else { &self.idle };
        for server in std::iter::once(&mut self.server).chain(&mut self.beside) {
            server.kill();
            *server = start(&self.home, settings);
        }
    }

    /// Kills the server when the newest job has done so many parts, then starts another one.
    fn kill_at(&mut self, business: i64, parts: u64) {
        let parts = i64::try_from(parts).unwrap();
        wait(&mut self.client(), business, parts);
        self.server.kill();
        if let Some(beside) = &mut self.beside {
            wait(&mut beside.client(), business, parts + 1);
        }
        self.server = start(&self.home, &self.busy);
    }

    /// Waits for the end of the newest job, which has to be a good one.
    fn finish(&self, business: i64, seed: u64) -> Told {
        let job = wait(&mut self.client(), business, i64::MAX);
        assert_eq!(job["status"], "finished", "{job}, seed {seed}");
        assert_eq!(job["finished_parts"], job["parts"]);
        let (is_sound, said) = check(&self.home.store());
        assert!(is_sound, "`rollcall check` says: {said}, seed {seed}");
        Told::of(&self.home, &job, seed)
    }
}

fn start(home: &Home, settings: &NamedTempFile) -> Server {
    Server::start_with(&home.store(), &["--dev", "--config", settings.path().to_str().unwrap()])
}

/// What events and audit say that a job did: ids, as often as they are named.
struct Told {
    events: BTreeMap<(i64, i64), Vec<i64>>,
    /// By resource and action.
    entries: BTreeMap<String, Vec<i64>>,
    /// The hosts of the instances that were made.
    hosts: Vec<i64>,
    seed: u64,
}

impl Told {
    fn of(home: &Home, job: &Value, seed: u64) -> Self {
        let store = home.look();
        let request = format!("job:{}", job["job_id"]);
        let mut told = Self { events: BTreeMap::new(), entries: BTreeMap::new(), hosts: Vec::new(), seed };
        let events = format!("SELECT kind, operation, object_id FROM event WHERE request_id = '{request}'");
        for row in store.rows(&events) {
            told.events.entry((row[0].int(), row[1].int())).or_default().push(row[2].int());
        }
        let entries =
            format!("SELECT resource_type || ' ' || action, resource_id FROM audit WHERE request_id = '{request}'");
        for row in store.rows(&entries) {
            told.entries.entry(row[0].text()).or_default().push(row[1].int());
        }
        let made = format!(
            "SELECT after_state FROM event WHERE request_id = '{request}' AND kind = {INSTANCE} AND operation = {CREATE}"
        );
        let host = |row: Vec<Cell>| {
            let instance: Value = serde_json::from_str(&row[0].text()).unwrap();
            number(&instance["bk_host_id"])
        };
        told.hosts = store.rows(&made).into_iter().map(host).collect();
        told
    }

    /// How many there are, each of them once.
    fn distinct(&self, ids: Option<&Vec<i64>>) -> usize {
        let ids = ids.map_or(&[][..], Vec::as_slice);
        let distinct: BTreeSet<_> = ids.iter().collect();
        assert_eq!(distinct.len(), ids.len(), "told twice, seed {}", self.seed);
        ids.len()
    }

    /// How many records of a kind came, changed and went, each once.
    fn events(&self, kind: i64) -> [usize; 3] {
        [CREATE, UPDATE, DELETE].map(|operation| self.distinct(self.events.get(&(kind, operation))))
    }

    /// The same as the audit has it.
    fn entries(&self, resource: &str) -> [usize; 3] {
        ["create", "update", "delete"].map(|action| self.distinct(self.entries.get(&format!("{resource} {action}"))))
    }
}

/// A template whose processes are to change, and its module.
struct Estate {
    business: i64,
    template: i64,
    module: i64,
    /// Hosts that have no instance.
    bare: BTreeSet<i64>,
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
        let mut bare = BTreeSet::new();
        for list in list.chunks(200) {
            let hosts = post("/hosts/add/business_idle", json!({"bk_biz_id": business, "bk_host_list": list}));
            // Those of the last portion get no instance yet.
            let is_last = list.len() < 200;
            let body = json!({"bk_biz_id": business, "bk_host_id": hosts["bk_host_ids"], "bk_module_id": [module],
                "is_increment": false, "disable_auto_create": is_last});
            post("/hosts/modules", body);
            if is_last {
                bare.extend(hosts["bk_host_ids"].as_array().unwrap().iter().map(number));
            }
        }
        Self { business, template, module, bare }
    }

    /// The ids of the process templates.
    fn templates(&self, client: &mut Client) -> Vec<Value> {
        let body = json!({"bk_biz_id": self.business, "service_template_id": self.template, "page": {"sort": "id"}});
        let listed = send(client, "POST", "/findmany/proc/proc_template", &body)["info"].clone();
        listed.as_array().unwrap().iter().map(|template| template["id"].clone()).collect()
    }

    fn delete_templates(&self, client: &mut Client, ids: &[Value]) {
        let gone = json!({"bk_biz_id": self.business, "process_templates": ids});
        send(client, "DELETE", "/deletemany/proc/proc_template", &gone);
    }

    /// Every process has another user, and one template goes while another comes.
    fn change(&self, client: &mut Client, user: &str, round: usize) {
        let listed = self.templates(client);
        self.delete_templates(client, &listed[..1]);
        for template in &listed[1..] {
            let body = json!({"bk_biz_id": self.business, "process_template_id": template,
                "process_property": {"user": {"value": user, "as_default_value": true}}});
            send(client, "PUT", "/update/proc/proc_template", &body);
        }
        let new = json!([{"spec": property(TEMPLATES + round, user)}]);
        let body = json!({"bk_biz_id": self.business, "service_template_id": self.template, "processes": new});
        send(client, "POST", "/createmany/proc/proc_template", &body);
    }

    /// Takes the instances of some hosts away.
    fn strip(&mut self, client: &mut Client, start: u64) {
        let body = json!({"bk_biz_id": self.business, "bk_module_id": self.module,
            "page": {"start": start, "limit": 40, "sort": "id"}});
        let listed = send(client, "POST", "/findmany/proc/service_instance", &body)["info"].clone();
        let listed = listed.as_array().unwrap();
        let ids: Vec<_> = listed.iter().map(|instance| &instance["id"]).collect();
        let body = json!({"bk_biz_id": self.business, "service_instance_ids": ids});
        send(client, "DELETE", "/deletemany/proc/service_instance", &body);
        self.bare = listed.iter().map(|instance| number(&instance["bk_host_id"])).collect();
    }

    fn asked(&self) -> Value {
        json!({"bk_biz_id": self.business, "bk_module_id": self.module, "bk_module_ids": [self.module],
            "service_template_id": self.template})
    }

    fn synchronize(&self, client: &mut Client) {
        send(client, "PUT", "/update/proc/service_instance/sync", &self.asked());
    }

    fn assert_clean(&self, client: &mut Client, seed: u64) {
        let difference = send(client, "POST", "/find/proc/service_template/general_difference", &self.asked());
        let clean = json!({"changed": null, "added": null, "removed": null, "attributes": []});
        assert_eq!(difference, clean, "seed {seed}");
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
    let mut servers = Servers::start();
    let mut estate = Estate::make(&mut servers.client());
    for round in 0..3 {
        let mut client = servers.client();
        if round > 0 {
            estate.strip(&mut client, chance.below(400));
        }
        estate.change(&mut client, &format!("user{round}"), round);
        estate.synchronize(&mut client);
        for begin in [0, 4, 8] {
            servers.kill_at(estate.business, begin + chance.below(3));
        }
        let told = servers.finish(estate.business, seed);
        estate.assert_clean(&mut servers.client(), seed);
        // What a job changes it changes once, and tells of once: on the hosts that had no instance one is made with all its processes,
        // on the others one process goes, one comes and the rest change.
        let (bare, others) = (estate.bare.len(), HOSTS - estate.bare.len());
        assert_eq!(told.events(INSTANCE), [bare, 0, 0], "seed {seed}");
        assert_eq!(told.distinct(Some(&told.hosts)), bare);
        assert_eq!(told.hosts.iter().copied().collect::<BTreeSet<_>>(), estate.bare, "seed {seed}");
        let processes = [bare * TEMPLATES + others, others * (TEMPLATES - 1), others];
        assert_eq!(told.events(PROCESS), processes, "seed {seed}");
        assert_eq!(told.entries("service_instance"), [bare, others, 0], "seed {seed}");
        let kept = "SELECT count(DISTINCT host_id) FROM service_instance";
        assert_eq!(servers.home.look().number(kept), i64::try_from(HOSTS).unwrap());
    }
    // Without any template the instances go. The job is asked for while there are some, so that it has as many parts as before.
    servers.replace(false);
    let mut client = servers.client();
    estate.synchronize(&mut client);
    let all = estate.templates(&mut client);
    estate.delete_templates(&mut client, &all);
    servers.replace(true);
    for begin in [0, 5] {
        servers.kill_at(estate.business, begin + chance.below(5));
    }
    let told = servers.finish(estate.business, seed);
    estate.assert_clean(&mut servers.client(), seed);
    assert_eq!(told.events(INSTANCE), [0, 0, HOSTS], "seed {seed}");
    assert_eq!(told.events(PROCESS), [0, 0, HOSTS * TEMPLATES], "seed {seed}");
    assert_eq!(told.entries("service_instance"), [0, 0, HOSTS], "seed {seed}");
    let left = "SELECT (SELECT count(*) FROM service_instance) + (SELECT count(*) FROM process)";
    assert_eq!(servers.home.look().number(left), 0);
    servers.server.stop();
}

/// Modules come and go with the list of a set template, in parts of one module each.
#[test]
fn a_set_follows_its_template_through_kills() {
    let seed = Chance::seed();
    let mut chance = Chance(seed);
    let mut servers = Servers::start();
    let mut client = servers.client();
    let mut post = |path: &str, body: Value| send(&mut client, "POST", path, &body);
    let business = number(&post("/biz/0", json!({"bk_biz_name": "b", "bk_biz_maintainer": "ops"}))["bk_biz_id"]);
    let services: Vec<_> = (0..40)
        .map(|i| {
            let body = json!({"bk_biz_id": business, "name": format!("st{i:02}"), "service_category_id": 2});
            post("/create/proc/service_template", body)["id"].clone()
        })
        .collect();
    let template = json!({"name": "kit", "service_template_ids": services[..20]});
    let template = number(&post(&format!("/create/topo/set_template/bk_biz_id/{business}"), template)["id"]);
    let set = json!({"bk_set_name": "s", "bk_parent_id": business, "set_template_id": template});
    let set = number(&post(&format!("/set/{business}"), set)["bk_set_id"]);
    let attributes = post("/find/objectattr", json!({"bk_obj_id": "set"}));
    let capacity = attributes.as_array().unwrap().iter().find(|row| row["bk_property_id"] == "bk_capacity").unwrap();
    let fixed = json!([{"bk_attribute_id": capacity["id"], "bk_property_value": 7}]);
    // Ten modules go, ten stay, and twenty come.
    let all = json!({"bk_biz_id": business, "id": template, "service_template_ids": services[10..],
        "attributes": fixed});
    send(&mut client, "PUT", "/update/topo/set_template/all_info", &all);
    let path = format!("/updatemany/topo/set_template/{template}/bk_biz_id/{business}/sync_to_instances");
    send(&mut client, "POST", &path, &json!({"bk_set_ids": [set]}));
    for begin in [0, 20] {
        servers.kill_at(business, begin + chance.below(20));
    }
    let told = servers.finish(business, seed);
    assert_eq!(told.events(MODULE), [20, 0, 10], "seed {seed}");
    assert_eq!(told.events(SET), [0, 1, 0], "seed {seed}");
    assert_eq!((told.entries("module"), told.entries("set")), ([20, 0, 10], [0, 1, 0]), "seed {seed}");
    let mut client = servers.client();
    let path = format!("/findmany/topo/set_template/{template}/bk_biz_id/{business}/diff_with_instances");
    let difference = send(&mut client, "POST", &path, &json!({"bk_set_id": set}))["difference"].clone();
    let values = json!([{"id": capacity["id"], "template_value": 7, "inst_value": 7}]);
    assert_eq!((&difference["need_sync"], &difference["attributes"]), (&json!(false), &values), "seed {seed}");
    let modules = difference["module_diffs"].as_array().unwrap();
    let followed: BTreeSet<_> = modules.iter().map(|module| number(&module["service_template_id"])).collect();
    assert_eq!(followed, services[10..].iter().map(number).collect(), "seed {seed}");
    assert!(modules.len() == 30 && modules.iter().all(|module| module["diff_type"] == "unchanged"), "{difference}");
    servers.server.stop();
}
