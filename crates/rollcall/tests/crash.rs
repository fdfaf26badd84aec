//! The built program, killed with SIGKILL under concurrent load again and again, on one store: every acknowledged write is
//! there, an unacknowledged one is there as a whole or not at all, audit and events tell of exactly what is there, no id comes
//! twice, and `rollcall check` finds nothing. On the engine that the environment names.
//!
//! A failure prints its seed; `ROLLCALL_CRASH_SEED=<seed>` makes the same requests and kills after the same numbers of answers
//! again. `ROLLCALL_CRASH_ROUNDS=1000` kills more often.

mod crash_support;

use crash_support::{Cell, Chance, Client, Home, Look, Server, check};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::sync::mpsc::{Sender, channel};

/// On PostgreSQL a round takes longer: program and check log in several times.
const ROUNDS: fn() -> u64 = || if rollcall_testbed::engine() == rollcall_testbed::Engine::Sqlite { 50 } else { 15 };
/// Clients of one server, and of several.
const WORKERS: usize = 6;
const MANY_WORKERS: usize = 20;
const HOSTS_EACH: usize = 3;

#[test]
fn no_kill_loses_an_acknowledged_write_or_halves_a_batch() {
    kill_again_and_again(1, WORKERS, number_of("ROLLCALL_CRASH_ROUNDS").unwrap_or_else(ROUNDS));
}

#[test]
fn killing_some_of_several_servers_loses_nothing_either() {
    if rollcall_testbed::engine() == rollcall_testbed::Engine::Postgres {
        kill_again_and_again(3, MANY_WORKERS, number_of("ROLLCALL_CRASH_ROUNDS").unwrap_or(8));
    }
}

/// In each round at least one of the servers goes, while clients call all of them.
fn kill_again_and_again(count: usize, workers: usize, rounds: u64) {
    let seed = number_of("ROLLCALL_CRASH_SEED").unwrap_or_else(Chance::seed);
    let _told = SeedToldOnPanic(seed);
    let mut chance = Chance(seed);
    let home = Home::new();

    let mut servers: Vec<Server> = (0..count).map(|_| Server::start(&home.store())).collect();
    let (estate, mut workers) = make_estate(&mut servers[0].client(), workers, &mut chance);
    let mut record = Record { ids_rise: count == 1, ..Record::default() };
    let (mut unanswered, mut found_whole) = (0, 0);
    for round in 0..rounds {
        let (acknowledged, told) = channel();
        let enough = 1 + chance.below(60);
        let first = chance.index(count);
        let goes: Vec<bool> = (0..count).map(|server| server == first || chance.below(3) == 0).collect();
        std::thread::scope(|scope| {
            for worker in &mut workers {
                let acknowledged = acknowledged.clone();
                let clients = servers.iter().map(Server::client).collect();
                scope.spawn(move || worker.work(clients, &acknowledged));
            }
            drop(acknowledged);
            let heard = told.iter().take(usize::try_from(enough).unwrap()).count();
            assert_eq!(heard as u64, enough, "round {round}: a server ended before it was killed");
            servers.iter_mut().zip(&goes).filter(|(_, goes)| **goes).for_each(|(server, _)| server.kill());
            // The others are called until nobody calls them any more.
            told.iter().for_each(drop);
        });
        let store = home.look();
        store.wait_for_the_dead();
        for (server, _) in servers.iter_mut().zip(&goes).filter(|(_, goes)| **goes) {
            *server = Server::start(&home.store());
        }
        unanswered += workers.iter().filter(|worker| worker.pending.is_some()).count();
        found_whole += settle(&store, &estate, &mut workers);
        record.compare(&store, &estate, &mut workers, round);
        for worker in &workers {
            worker.compare_answers(&mut servers[chance.index(count)].client(), &estate, &mut chance);
        }
        let (ended, said) = check(&home.store());
        assert!(ended, "round {round}: `rollcall check` says: {said}");
    }
    #[expect(clippy::print_stdout, reason = "shown together with a failure")]
    {
        println!(
            "{rounds} rounds of kills: {} instances and {} processes made, {unanswered} requests without an answer, {found_whole} of them kept",
            record.instances.len(),
            record.processes.len()
        );
    }
    // At its end a server that is asked to stop leaves nothing to recover.
    servers.iter_mut().for_each(Server::stop);
    assert!(!home.is_work_left(), "a stopped server leaves its write-ahead log behind");
}

fn number_of(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{variable} must be a number")))
}

struct SeedToldOnPanic(u64);

impl Drop for SeedToldOnPanic {
    #[expect(clippy::print_stderr, reason = "the test harness shows it with the failure")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the same again: ROLLCALL_CRASH_SEED={}", self.0);
        }
    }
}

struct Estate {
    business: i64,
    set: i64,
    idle: i64,
}

/// A business with a module and hosts for every worker.
fn make_estate(client: &mut Client, workers: usize, chance: &mut Chance) -> (Estate, Vec<Worker>) {
    let mut post = |path: &str, body: Value| client.post(path, &body).expect("nobody kills the server yet").data();
    let business = post("/biz/0", json!({"bk_biz_name": "crash", "bk_biz_maintainer": "ops"}));
    let business = business["bk_biz_id"].as_i64().unwrap();
    let set = post(&format!("/set/{business}"), json!({"bk_set_name": "s", "bk_parent_id": business}));
    let set = set["bk_set_id"].as_i64().unwrap();
    let idle = post(&format!("/module/search/0/{business}/0"), json!({"condition": {"default": 1}}));
    let idle = idle["info"][0]["bk_module_id"].as_i64().unwrap();
    let count = workers;
    let mut workers = Vec::new();
    for number in 0..count {
        let module = json!({"bk_module_name": format!("worker{number}"), "bk_parent_id": set});
        let module = post(&format!("/module/{business}/{set}"), module)["bk_module_id"].as_i64().unwrap();
        let list: Vec<_> = (0..HOSTS_EACH).map(|i| json!({"bk_host_innerip": format!("10.0.{number}.{i}")})).collect();
        let hosts = post("/hosts/add/business_idle", json!({"bk_biz_id": business, "bk_host_list": list}));
        let hosts: Vec<i64> = serde_json::from_value(hosts["bk_host_ids"].clone()).unwrap();
        post("/hosts/modules", json!({"bk_biz_id": business, "bk_host_id": hosts, "bk_module_id": [module]}));
        workers.push(Worker::new(number, Chance(chance.next()), business, set, module, hosts));
    }
    (Estate { business, set, idle }, workers)
}

/// A request, so that what it should have left can be looked for.
#[derive(Debug, Clone)]
enum Call {
    /// Names of the instances, with the host of each and the names of its processes.
    Instances(Vec<(String, i64, Vec<String>)>),
    Processes {
        instance: i64,
        names: Vec<String>,
    },
    ToIdle {
        host: i64,
    },
    ToModule {
        host: i64,
    },
    Module {
        name: String,
    },
    /// A module whose name others want too: one of them gets it.
    Raced {
        name: String,
    },
    /// Its last process has the name of its first: it is refused, and leaves nothing.
    Refused {
        instance: i64,
        names: Vec<String>,
    },
}

#[derive(Debug)]
struct Instance {
    name: String,
    host: i64,
    /// By their names; the ids where an answer or the store has told them.
    processes: BTreeMap<String, Option<i64>>,
}

/// A client with hosts and a module of its own, so that it knows what must be there.
struct Worker {
    number: usize,
    chance: Chance,
    business: i64,
    set: i64,
    module: i64,
    hosts: Vec<i64>,
    placed: BTreeSet<i64>,
    instances: BTreeMap<i64, Instance>,
    modules: BTreeMap<String, Option<i64>>,
    calls: u64,
    pending: Option<Call>,
    /// What audit must tell of beside instances made and gone.
    updates: usize,
    moves: usize,
    gone: Vec<(i64, Instance)>,
}

impl Worker {
    fn new(number: usize, chance: Chance, business: i64, set: i64, module: i64, hosts: Vec<i64>) -> Self {
        Self {
            number,
            chance,
            business,
            set,
            module,
            placed: hosts.iter().copied().collect(),
            moves: hosts.len(),
            hosts,
            instances: BTreeMap::new(),
            modules: BTreeMap::new(),
            calls: 0,
            pending: None,
            updates: 0,
            gone: Vec::new(),
        }
    }

    /// Sends one request after the other, each to any of the servers, until it meets one that is gone.
    fn work(&mut self, mut clients: Vec<Client>, acknowledged: &Sender<()>) {
        loop {
            let call = self.choose();
            let (path, body) = self.request(&call);
            self.pending = Some(call.clone());
            let server = self.chance.index(clients.len());
            let Ok(answer) = clients[server].post(&path, &body) else { return };
            if matches!(call, Call::Refused { .. }) || matches!(call, Call::Raced { .. } if answer.code() != 0) {
                assert_eq!(answer.code(), 1_199_014, "{}", answer.0);
            } else {
                self.apply(call, Some(&answer.data()));
            }
            self.pending = None;
            if acknowledged.send(()).is_err() {
                return;
            }
        }
    }

    fn choose(&mut self) -> Call {
        self.calls += 1;
        let call = format!("w{}c{}", self.number, self.calls);
        let names = |count: u64| (0..count).map(|i| format!("{call}p{i}")).collect::<Vec<_>>();
        let idle: Vec<i64> = self.hosts.iter().copied().filter(|host| !self.placed.contains(host)).collect();
        let instance = self.chance.one_of(&self.instances.keys().copied().collect::<Vec<_>>());
        match (self.chance.below(20), self.chance.one_of(&idle), instance) {
            (0, ..) if self.calls.is_multiple_of(2) => Call::Module { name: call },
            // Workers make about as many calls.
            (0, ..) => Call::Raced { name: format!("raced{}", self.calls / 8) },
            (1 | 2, Some(host), _) => Call::ToModule { host },
            (3, _, Some(instance)) => {
                let mut names = names(3);
                names[2] = names[0].clone();
                Call::Refused { instance, names }
            }
            (4 | 5, ..) => {
                let host = self.hosts[self.chance.index(self.hosts.len())];
                if self.placed.contains(&host) { Call::ToIdle { host } } else { Call::ToModule { host } }
            }
            (6..13, _, Some(instance)) => {
                // Most calls are small; some carry as much as one may.
                let count = if self.chance.below(6) == 0 { 100 } else { 1 + self.chance.below(10) };
                Call::Processes { instance, names: names(count) }
            }
            _ => match self.chance.one_of(&self.placed.iter().copied().collect::<Vec<_>>()) {
                None => Call::ToModule { host: self.hosts[0] },
                Some(host) => {
                    let count = 1 + self.chance.below(5);
                    let instances = (0..count).map(|i| (format!("{call}i{i}"), host, names(1 + self.chance.below(4))));
                    Call::Instances(instances.collect())
                }
            },
        }
    }

    fn request(&self, call: &Call) -> (String, Value) {
        let business = self.business;
        let process = |name: &String| {
            json!({"process_info": {"bk_process_name": name, "bk_func_name": name,
            "bind_info": [{"ip": "127.0.0.1", "port": "8008", "protocol": "1", "enable": true}]}})
        };
        match call {
            Call::Instances(instances) => {
                let instances: Vec<Value> = instances
                    .iter()
                    .map(|(name, host, processes)| {
                        let processes: Vec<Value> = processes.iter().map(process).collect();
                        json!({"bk_host_id": host, "service_instance_name": name, "processes": processes})
                    })
                    .collect();
                let body = json!({"bk_biz_id": business, "bk_module_id": self.module, "instances": instances});
                ("/create/proc/service_instance".into(), body)
            }
            Call::Processes { instance, names } | Call::Refused { instance, names } => {
                let processes: Vec<Value> = names.iter().map(process).collect();
                let body = json!({"bk_biz_id": business, "service_instance_id": instance, "processes": processes});
                ("/create/proc/process_instance".into(), body)
            }
            Call::ToIdle { host } => {
                ("/hosts/modules/idle".into(), json!({"bk_biz_id": business, "bk_host_id": [host]}))
            }
            Call::ToModule { host } => {
                let body = json!({"bk_biz_id": business, "bk_host_id": [host], "bk_module_id": [self.module]});
                ("/hosts/modules".into(), body)
            }
            Call::Module { name } | Call::Raced { name } => {
                let set = self.set;
                (format!("/module/{business}/{set}"), json!({"bk_module_name": name, "bk_parent_id": set}))
            }
        }
    }

    /// The effects of a request that was answered, or found in the store: then without an answer, and instances by their names.
    fn apply(&mut self, call: Call, answer: Option<&Value>) {
        let ids = || answer.map(|ids| serde_json::from_value::<Vec<i64>>(ids.clone()).unwrap());
        match call {
            Call::Instances(instances) => {
                let ids = ids().expect("found instances come with their ids");
                assert_eq!(ids.len(), instances.len());
                for (id, (name, host, processes)) in ids.into_iter().zip(instances) {
                    let processes = processes.into_iter().map(|name| (name, None)).collect();
                    self.instances.insert(id, Instance { name, host, processes });
                }
            }
            Call::Processes { instance, names } => {
                let ids = ids();
                let told = |i: usize| ids.as_ref().map(|ids| ids[i]);
                let instance = self.instances.get_mut(&instance).expect("only this worker removes it");
                instance.processes.extend(names.into_iter().enumerate().map(|(i, name)| (name, told(i))));
                self.updates += 1;
            }
            Call::ToIdle { host } => {
                self.placed.remove(&host);
                self.moves += 1;
                let ids = self.instances.iter().filter(|(_, instance)| instance.host == host).map(|(id, _)| *id);
                for id in ids.collect::<Vec<_>>() {
                    self.gone.extend(self.instances.remove(&id).map(|instance| (id, instance)));
                }
            }
            Call::ToModule { host } => self.moves += usize::from(self.placed.insert(host)),
            Call::Module { name } | Call::Raced { name } => {
                let id = answer.map(|module| module["bk_module_id"].as_i64().unwrap());
                self.modules.insert(name, id);
            }
            Call::Refused { .. } => {}
        }
    }

    /// What the lists answer of some of its instances.
    fn compare_answers(&self, client: &mut Client, estate: &Estate, chance: &mut Chance) {
        let ids: Vec<i64> = self.instances.keys().copied().collect();
        for id in (0..3).filter_map(|_| chance.one_of(&ids)) {
            let body = json!({"bk_biz_id": estate.business, "service_instance_id": id});
            let answer = client.post("/findmany/proc/process_instance", &body).expect("nobody kills the server now");
            let listed = answer.data();
            let name = |process: &Value| process["property"]["bk_process_name"].as_str().unwrap().to_owned();
            let names: BTreeSet<String> = listed.as_array().unwrap().iter().map(name).collect();
            let want: BTreeSet<String> = self.instances[&id].processes.keys().cloned().collect();
            assert_eq!(names, want, "the processes of instance {id}");
        }
    }
}

/// Finds out what became of the requests that got no answer. Answers how many were carried out.
fn settle(store: &Look, estate: &Estate, workers: &mut [Worker]) -> usize {
    // Names and ids are the test's own.
    let number = |sql: &str, name: &dyn std::fmt::Display| store.number(&sql.replace("$1", &name.to_string()));
    let mut found = 0;
    for worker in workers {
        let Some(call) = worker.pending.take() else { continue };
        // One trace is enough to take a request for carried out: the comparison that follows misses what then is not there.
        let done = match &call {
            Call::Instances(instances) => instances
                .iter()
                .any(|(name, ..)| number("SELECT count(*) FROM service_instance WHERE name = '$1'", name) > 0),
            Call::Processes { names, .. } => {
                names.iter().any(|name| number("SELECT count(*) FROM process WHERE name = '$1'", name) > 0)
            }
            Call::ToIdle { host } => {
                let is_there = number("SELECT max(module_id) FROM host_module WHERE host_id = $1", host) == estate.idle;
                is_there && worker.placed.contains(host)
            }
            Call::ToModule { host } => {
                let is_there =
                    number("SELECT max(module_id) FROM host_module WHERE host_id = $1", host) == worker.module;
                is_there && !worker.placed.contains(host)
            }
            Call::Module { name } | Call::Raced { name } => {
                number("SELECT count(*) FROM module WHERE name = '$1'", name) > 0
            }
            Call::Refused { .. } => false,
        };
        if done {
            found += 1;
            let ids = match &call {
                Call::Instances(instances) => {
                    let id = |name: &String| {
                        number("SELECT coalesce(max(id), 0) FROM service_instance WHERE name = '$1'", name)
                    };
                    Some(json!(instances.iter().map(|(name, ..)| id(name)).collect::<Vec<_>>()))
                }
                _ => None,
            };
            worker.apply(call, ids.as_ref());
        }
    }
    found
}

/// Everything that was ever made, over all rounds.
#[derive(Default)]
struct Record {
    /// Several servers take their ids from blocks of their own.
    ids_rise: bool,
    instances: BTreeSet<i64>,
    processes: BTreeSet<i64>,
    modules: BTreeSet<i64>,
}

/// Takes new ids into all that were ever told: where ids rise, none of them may be as low as one of an earlier round (instances
/// I-7).
fn take_new(what: &str, round: u64, ids_rise: bool, ever: &mut BTreeSet<i64>, now: BTreeSet<i64>) {
    let highest = ever.last().copied().unwrap_or(0);
    let new: Vec<i64> = now.into_iter().filter(|id| !ever.contains(id)).collect();
    assert!(
        !ids_rise || new.iter().all(|id| *id > highest),
        "round {round}: a {what} id was used again, {highest} was told before: {new:?}"
    );
    ever.extend(new);
}

impl Record {
    /// The rows of the store, its audit and its events against what the workers know.
    fn compare(&mut self, store: &Look, estate: &Estate, workers: &mut [Worker], round: u64) {
        let rows = instances_of(store);
        let processes = processes_of(store);
        let mut want_instances = BTreeMap::new();
        let mut want_processes = BTreeMap::new();
        let mut want_places = BTreeSet::new();
        for worker in workers.iter_mut() {
            for (id, instance) in &mut worker.instances {
                want_instances.insert(*id, (instance.name.clone(), instance.host, worker.module));
                for (name, told) in &mut instance.processes {
                    let stored = processes.get(&(*id, name.clone())).copied();
                    // An id that nobody told so far is known from now on.
                    *told = told.or(stored);
                    want_processes.insert((*id, name.clone()), told.unwrap_or(-1));
                }
            }
            for host in &worker.hosts {
                want_places.insert((*host, if worker.placed.contains(host) { worker.module } else { estate.idle }));
            }
        }
        same(&format!("round {round}: the service instances"), &rows, &want_instances);
        same(&format!("round {round}: the processes"), &processes, &want_processes);
        let places: BTreeSet<(i64, i64)> =
            pairs(store, "SELECT host_id, module_id FROM host_module").into_iter().collect();
        assert_eq!(places, want_places, "round {round}: where the hosts are");
        take_new("service instance", round, self.ids_rise, &mut self.instances, rows.keys().copied().collect());
        take_new("process", round, self.ids_rise, &mut self.processes, processes.values().copied().collect());
        self.compare_modules(store, estate, workers, round);
        self.compare_journal(store, workers, round);
    }

    fn compare_modules(&mut self, store: &Look, estate: &Estate, workers: &mut [Worker], round: u64) {
        let mut modules = BTreeMap::new();
        let rows = store.rows(&format!("SELECT name, id FROM module WHERE set_id = {}", estate.set));
        modules.extend(rows.iter().map(|row| (row[0].text(), row[1].int())));
        let mut want = BTreeMap::new();
        for worker in workers {
            want.insert(format!("worker{}", worker.number), worker.module);
            for (name, told) in &mut worker.modules {
                *told = told.or_else(|| modules.get(name).copied());
                let id = told.unwrap_or(-1);
                let other = want.insert(name.clone(), id);
                assert!(other.is_none_or(|other| other == id), "round {round}: two have won the name {name}");
            }
        }
        same(&format!("round {round}: the modules"), &modules, &want);
        take_new("module", round, self.ids_rise, &mut self.modules, modules.into_values().collect());
    }

    /// Every instance and process was created once in audit and events, every one that went was deleted once; nothing else is
    /// told of.
    fn compare_journal(&mut self, store: &Look, workers: &[Worker], round: u64) {
        let made = |kind: i64, operation: i64| {
            let sql = format!(
                "SELECT object_id, count(*) FROM event WHERE kind = {kind} AND operation = {operation} GROUP BY 1"
            );
            once(pairs(store, &sql), &format!("round {round}: events of kind {kind}, operation {operation}"))
        };
        let audited = |action: &str| {
            let sql = format!(
                "SELECT resource_id, count(*) FROM audit WHERE resource_type = 'service_instance'
                AND action = '{action}' GROUP BY 1"
            );
            once(pairs(store, &sql), &format!("round {round}: audit entries of {action}"))
        };
        let gone: Vec<&(i64, Instance)> = workers.iter().flat_map(|worker| &worker.gone).collect();
        let gone_instances: BTreeSet<i64> = gone.iter().map(|(id, _)| *id).collect();
        // What was made and removed within one round was in no comparison before.
        self.instances.extend(&gone_instances);
        assert_eq!(made(100, 1), self.instances, "round {round}: created instances in the events");
        assert_eq!(audited("create"), self.instances, "round {round}: created instances in the audit");
        assert_eq!(made(100, 3), gone_instances, "round {round}: deleted instances in the events");
        assert_eq!(audited("delete"), gone_instances, "round {round}: deleted instances in the audit");
        let (created, deleted) = (made(9, 1), made(9, 3));
        let count = |instance: &Instance| instance.processes.len();
        let live: usize = workers.iter().flat_map(|worker| worker.instances.values()).map(count).sum();
        let removed: usize = gone.iter().map(|(_, instance)| count(instance)).sum();
        assert_eq!(deleted.len(), removed, "round {round}: deleted processes in the events");
        assert_eq!(created.len(), live + removed, "round {round}: created processes in the events");
        assert!(deleted.is_subset(&created), "round {round}: processes went that never came");
        assert!(self.processes.is_subset(&created), "round {round}: processes without an event");
        let told = gone.iter().flat_map(|(_, instance)| instance.processes.values().flatten());
        assert!(told.into_iter().all(|id| deleted.contains(id)), "round {round}: a process went without an event");
        self.processes.extend(created);
        let number = |sql: &str| usize::try_from(store.number(sql)).unwrap();
        let updates =
            number("SELECT count(*) FROM audit WHERE resource_type = 'service_instance' AND action = 'update'");
        assert_eq!(
            updates,
            workers.iter().map(|worker| worker.updates).sum::<usize>(),
            "round {round}: audited updates"
        );
        let moves =
            number("SELECT count(*) FROM audit WHERE resource_type = 'host' AND action = 'transfer_host_module'");
        assert_eq!(moves, workers.iter().map(|worker| worker.moves).sum::<usize>(), "round {round}: audited transfers");
    }
}

/// Fails unless both are equal, and then shows only where they differ.
fn same<K: Ord + Debug, V: PartialEq + Debug>(what: &str, stored: &BTreeMap<K, V>, known: &BTreeMap<K, V>) {
    let only = |one: &BTreeMap<K, V>, other: &BTreeMap<K, V>| {
        let differing = one.iter().filter(|(key, value)| other.get(key) != Some(value));
        differing.take(10).map(|row| format!("\n  {row:?}")).collect::<String>()
    };
    let (more, fewer) = (only(stored, known), only(known, stored));
    assert!(
        more.is_empty() && fewer.is_empty(),
        "{what}: stored only:{more}\nacknowledged, or whole, but not stored:{fewer}"
    );
}

/// The ids of counted rows, each of which must have been counted once.
fn once(counted: Vec<(i64, i64)>, what: &str) -> BTreeSet<i64> {
    let several: Vec<_> = counted.iter().filter(|(_, count)| *count != 1).collect();
    assert!(several.is_empty(), "{what}: not once: {several:?}");
    counted.into_iter().map(|(id, _)| id).collect()
}

fn pairs(store: &Look, sql: &str) -> Vec<(i64, i64)> {
    store.rows(sql).iter().map(|row| (row[0].int(), row[1].int())).collect()
}

fn instances_of(store: &Look) -> BTreeMap<i64, (String, i64, i64)> {
    let read = |row: &Vec<Cell>| (row[0].int(), (row[1].text(), row[2].int(), row[3].int()));
    store.rows("SELECT id, name, host_id, module_id FROM service_instance").iter().map(read).collect()
}

fn processes_of(store: &Look) -> BTreeMap<(i64, String), i64> {
    let read = |row: &Vec<Cell>| ((row[0].int(), row[1].text()), row[2].int());
    store.rows("SELECT service_instance_id, name, id FROM process").iter().map(read).collect()
}

/// Ids go up over failures, kills and restarts, and none comes twice (instances I-7): one request a life of the server, every
/// third of them refused.
#[test]
fn ids_are_never_used_again_after_failures_and_restarts() {
    let seed = number_of("ROLLCALL_CRASH_SEED").unwrap_or_else(Chance::seed);
    let _told = SeedToldOnPanic(seed);
    let mut chance = Chance(seed);
    let home = Home::new();
    let mut server = Server::start(&home.store());
    let (estate, workers) = make_estate(&mut server.client(), 1, &mut chance);
    let (module, hosts) = (workers[0].module, workers[0].hosts.clone());
    let mut highest: BTreeMap<&str, i64> = BTreeMap::new();
    let mut rising = |kind: &'static str, ids: &[i64]| {
        for id in ids {
            let before = highest.insert(kind, *id).unwrap_or(0);
            assert!(*id > before, "{kind} id {id} after {before}");
        }
    };
    let host_of_next = |i: usize| hosts[i % hosts.len()];
    for life in 0..12_usize {
        let mut client = server.client();
        let mut post = |path: &str, body: Value| client.post(path, &body).expect("nobody kills the server now");
        let process = |name: &str| json!({"process_info": {"bk_process_name": name, "bk_func_name": name}});
        let refused = life % 3 == 1;
        let second = if refused { "a" } else { "b" };
        let instances = json!([
            {"bk_host_id": host_of_next(life), "processes": [process("p")]},
            {"bk_host_id": host_of_next(life), "processes": [process("a"), process(second)]},
        ]);
        let body = json!({"bk_biz_id": estate.business, "bk_module_id": module, "instances": instances});
        let answer = post("/create/proc/service_instance", body);
        if refused {
            assert_eq!(answer.code(), 1_199_014, "{}", answer.0);
        } else {
            let made: Vec<i64> = serde_json::from_value(answer.data()).unwrap();
            rising("service instance", &made);
            let more: Vec<Value> = (0..1 + chance.below(5)).map(|i| process(&format!("q{i}"))).collect();
            let body = json!({"service_instance_id": made[0], "processes": more});
            let ids: Vec<i64> = serde_json::from_value(post("/create/proc/process_instance", body).data()).unwrap();
            rising("process", &ids);
        }
        let name = format!("m{life}");
        let module = json!({"bk_module_name": name, "bk_parent_id": estate.set});
        let path = format!("/module/{}/{}", estate.business, estate.set);
        rising("module", &[post(&path, module.clone()).data()["bk_module_id"].as_i64().unwrap()]);
        assert_eq!(post(&path, module).code(), 1_199_014);
        let address = json!([{"bk_host_innerip": format!("10.9.9.{life}")}]);
        let hosts = json!({"bk_biz_id": estate.business, "bk_host_list": address});
        rising("host", &[post("/hosts/add/business_idle", hosts.clone()).data()["bk_host_ids"][0].as_i64().unwrap()]);
        assert_eq!(post("/hosts/add/business_idle", hosts).code(), 1_199_014);
        // What is removed last must not give its id to what comes next.
        let host = json!({"bk_biz_id": estate.business, "bk_host_id": [host_of_next(life)]});
        post("/hosts/modules/idle", host.clone()).data();
        let mut back = host;
        back["bk_module_id"] = json!([workers[0].module]);
        post("/hosts/modules", back).data();
        drop(client);
        if chance.below(2) == 0 {
            server.kill();
        } else {
            server.stop();
        }
        home.look().wait_for_the_dead();
        server = Server::start(&home.store());
    }
    let (ended, said) = check(&home.store());
    assert!(ended, "{said}");
}
