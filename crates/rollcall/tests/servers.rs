//! Several of the built programs on one database act as one: what one acknowledges the others show, ids and names are told apart
//! over all of them, and the journal tells of exactly what was done. These tests need PostgreSQL and do nothing without it.
//!
//! A failure prints its seed; `ROLLCALL_CRASH_SEED=<seed>` makes the same requests again. `ROLLCALL_CALLS` is how many each client
//! makes.

mod crash_support;

use crash_support::{Answer, Cell, Chance, Client, Home, Look, Server, check, program, run};
use rollcall_testbed::{Cluster, Engine, Settings};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Barrier;
use std::time::{Duration, Instant};

const CLIENTS: usize = 64;
const CALLS: u64 = 30;
const RACERS: usize = 8;
const RACES: usize = 12;
/// Hosts that all clients move and make instances on.
const SHARED_HOSTS: u64 = 4;

fn on_postgres() -> bool {
    rollcall_testbed::engine() == Engine::Postgres
}

fn number_of(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{variable} must be a number")))
}

/// Two servers on a database of their own.
struct Pair {
    home: Home,
    servers: [Server; 2],
}

impl Pair {
    fn start() -> Self {
        let home = Home::new();
        let store = home.store();
        let servers = [Server::start(&store), Server::start(&store)];
        Self { home, servers }
    }

    /// A connection to each.
    fn clients(&self) -> [Client; 2] {
        [0, 1].map(|server: usize| self.servers[server].client())
    }
}

fn post(client: &mut Client, path: &str, body: &Value) -> Answer {
    client.post(path, body).expect("nobody stops the servers")
}

fn id_of(record: &Value, field: &str) -> i64 {
    record[field].as_i64().unwrap_or_else(|| panic!("no {field} in {record}"))
}

fn ids(list: &Value) -> Vec<i64> {
    serde_json::from_value(list.clone()).unwrap_or_else(|_| panic!("no ids: {list}"))
}

/// A business with a set and an ordinary module.
#[derive(Debug, Clone, Copy)]
struct Place {
    business: i64,
    set: i64,
    module: i64,
}

fn make_place(client: &mut Client, name: &str) -> Place {
    let body = json!({"bk_biz_name": name, "bk_biz_maintainer": "ops"});
    let business = id_of(&post(client, "/biz/0", &body).data(), "bk_biz_id");
    let set = post(client, &format!("/set/{business}"), &json!({"bk_set_name": "s", "bk_parent_id": business}));
    let set = id_of(&set.data(), "bk_set_id");
    let body = json!({"bk_module_name": "m", "bk_parent_id": set});
    let module = id_of(&post(client, &format!("/module/{business}/{set}"), &body).data(), "bk_module_id");
    Place { business, set, module }
}

fn add_hosts(client: &mut Client, business: i64, addresses: &[String]) -> Answer {
    let hosts: Vec<_> = addresses.iter().map(|address| json!({"bk_host_innerip": address})).collect();
    post(client, "/hosts/add/business_idle", &json!({"bk_biz_id": business, "bk_host_list": hosts}))
}

fn to_module(client: &mut Client, place: Place, host: i64) -> Answer {
    let body = json!({"bk_biz_id": place.business, "bk_host_id": [host], "bk_module_id": [place.module]});
    post(client, "/hosts/modules", &body)
}

fn to_idle(client: &mut Client, place: Place, host: i64) -> Answer {
    post(client, "/hosts/modules/idle", &json!({"bk_biz_id": place.business, "bk_host_id": [host]}))
}

fn processes(names: &[String]) -> Vec<Value> {
    let process = |name: &String| json!({"process_info": {"bk_process_name": name, "bk_func_name": name}});
    names.iter().map(process).collect()
}

fn add_instances(client: &mut Client, place: Place, host: i64, instances: &[(String, Vec<String>)]) -> Answer {
    let instances: Vec<_> = instances
        .iter()
        .map(|(name, names)| json!({"bk_host_id": host, "service_instance_name": name, "processes": processes(names)}))
        .collect();
    let body = json!({"bk_biz_id": place.business, "bk_module_id": place.module, "instances": instances});
    post(client, "/create/proc/service_instance", &body)
}

fn add_processes(client: &mut Client, business: i64, instance: i64, names: &[String]) -> Answer {
    let body = json!({"bk_biz_id": business, "service_instance_id": instance, "processes": processes(names)});
    post(client, "/create/proc/process_instance", &body)
}

/// What the journal has to tell, as numbers.
#[derive(Debug, Default, PartialEq)]
struct Tally {
    /// By kind and operation.
    events: BTreeMap<(i64, i64), usize>,
    /// By resource and action.
    audits: BTreeMap<(String, String), usize>,
}

const CREATE: i64 = 1;
const DELETE: i64 = 3;
const HOST: i64 = 2;
const HOST_MODULE: i64 = 3;
const BUSINESS: i64 = 4;
const SET: i64 = 5;
const MODULE: i64 = 6;
const PROCESS: i64 = 9;
const INSTANCE: i64 = 100;

impl Tally {
    fn events(&mut self, kind: i64, operation: i64, count: usize) {
        if count > 0 {
            *self.events.entry((kind, operation)).or_default() += count;
        }
    }

    fn audits(&mut self, resource: &str, action: &str, count: usize) {
        if count > 0 {
            *self.audits.entry((resource.into(), action.into())).or_default() += count;
        }
    }

    fn place(&mut self) {
        for (kind, resource, count) in [(BUSINESS, "business", 1), (SET, "set", 2), (MODULE, "module", 4)] {
            self.events(kind, CREATE, count);
            self.audits(resource, "create", count);
        }
    }

    fn add(&mut self, other: Self) {
        other.events.into_iter().for_each(|((kind, operation), count)| self.events(kind, operation, count));
        other.audits.into_iter().for_each(|((resource, action), count)| self.audits(&resource, &action, count));
    }

    /// What a store tells of all businesses but one.
    fn stored(store: &Look, but: i64) -> Self {
        let mut tally = Self::default();
        let events =
            format!("SELECT kind, operation, count(*) FROM event WHERE business_id <> {but} GROUP BY kind, operation");
        for row in store.rows(&events) {
            tally.events(row[0].int(), row[1].int(), size(&row[2]));
        }
        let audits = format!(
            "SELECT resource_type, action, count(*) FROM audit WHERE business_id <> {but} GROUP BY resource_type, action"
        );
        for row in store.rows(&audits) {
            tally.audits(&row[0].text(), &row[1].text(), size(&row[2]));
        }
        tally
    }
}

fn size(cell: &Cell) -> usize {
    cell.int().try_into().unwrap()
}

#[derive(Debug)]
struct Instance {
    name: String,
    host: i64,
    processes: BTreeSet<String>,
}

/// A client with a business of its own, so that it knows what must be there, and with others in a shared one.
struct Worker {
    number: usize,
    chance: Chance,
    clients: [Client; 2],
    own: Place,
    /// By their names.
    modules: BTreeMap<String, i64>,
    /// Whether each is in the module, or idle.
    hosts: BTreeMap<i64, bool>,
    instances: BTreeMap<i64, Instance>,
    tally: Tally,
    calls: u64,
    shared: Shared,
}

/// What it has done in the shared business.
struct Shared {
    place: Place,
    hosts: Vec<i64>,
    /// One that stays, on a host that stays.
    instance: i64,
    processes: BTreeMap<i64, String>,
    instances: BTreeSet<i64>,
}

impl Worker {
    /// One call at one of the servers, and then a look at what the other one says.
    fn step(&mut self) {
        self.calls += 1;
        let call = format!("w{}c{}", self.number, self.calls);
        let server = self.chance.index(2);
        self.call(server, &call);
        self.compare(1 - server);
    }

    fn names(&mut self, call: &str, most: u64) -> Vec<String> {
        let count = 1 + self.chance.below(most);
        (0..count).map(|i| format!("{call}p{i}")).collect()
    }

    fn call(&mut self, server: usize, call: &str) {
        let own = self.own;
        let placed: Vec<i64> = self.hosts.iter().filter(|(_, placed)| **placed).map(|(host, _)| *host).collect();
        let instance = self.chance.one_of(&self.instances.keys().copied().collect::<Vec<_>>());
        let (kind, host) = (self.chance.below(20), self.chance.one_of(&placed));
        let names = self.names(call, 8);
        let client = &mut self.clients[server];
        match (kind, host, instance) {
            (0 | 1, ..) => {
                let body = json!({"bk_module_name": call, "bk_parent_id": own.set});
                let path = format!("/module/{}/{}", own.business, own.set);
                let id = id_of(&post(client, &path, &body).data(), "bk_module_id");
                assert_eq!(post(client, &path, &body).code(), 1_199_014);
                self.modules.insert(call.into(), id);
                self.tally.events(MODULE, CREATE, 1);
                self.tally.audits("module", "create", 1);
            }
            (2 | 3, ..) => {
                let count = 1 + usize::try_from(self.chance.below(3)).unwrap();
                let (number, calls) = (self.number, self.calls);
                let addresses: Vec<_> = (0..count).map(|i| format!("10.{number}.{calls}.{i}")).collect();
                let made = ids(&add_hosts(client, own.business, &addresses).data()["bk_host_ids"]);
                assert_eq!(add_hosts(client, own.business, &addresses).code(), 1_199_014);
                self.hosts.extend(made.into_iter().map(|host| (host, false)));
                self.tally.events(HOST, CREATE, count);
                self.tally.events(HOST_MODULE, CREATE, count);
                self.tally.audits("host", "create", count);
            }
            (4, ..) => self.move_own(server),
            (5..9, Some(host), _) => {
                let instances: Vec<_> =
                    (0..1 + self.chance.below(4)).map(|i| (format!("{call}i{i}"), names.clone())).collect();
                let made = ids(&add_instances(client, own, host, &instances).data());
                assert_eq!(made.len(), instances.len());
                self.tally.events(INSTANCE, CREATE, made.len());
                self.tally.audits("service_instance", "create", made.len());
                self.tally.events(PROCESS, CREATE, made.len() * names.len());
                for (id, (name, names)) in made.into_iter().zip(instances) {
                    let processes = names.into_iter().collect();
                    assert!(self.instances.insert(id, Instance { name, host, processes }).is_none());
                }
            }
            (9..13, _, Some(instance)) => {
                let made = ids(&add_processes(client, own.business, instance, &names).data());
                assert_eq!(made.len(), names.len());
                let refused = add_processes(client, own.business, instance, &names);
                assert_eq!(refused.code(), 1_199_014, "{}", refused.0);
                self.tally.events(PROCESS, CREATE, made.len());
                self.tally.audits("service_instance", "update", 1);
                self.instances.get_mut(&instance).unwrap().processes.extend(names);
            }
            (13.., ..) => self.call_shared(server, call, &names),
            _ => self.move_own(server),
        }
    }

    /// A host of its own goes to the module, or back to the idle ones with what runs on it.
    fn move_own(&mut self, server: usize) {
        let hosts: Vec<i64> = self.hosts.keys().copied().collect();
        let host = self.chance.one_of(&hosts).expect("a worker begins with a host");
        let client = &mut self.clients[server];
        self.tally.events(HOST_MODULE, CREATE, 1);
        self.tally.events(HOST_MODULE, DELETE, 1);
        self.tally.audits("host", "transfer_host_module", 1);
        if !self.hosts[&host] {
            to_module(client, self.own, host).data();
            self.hosts.insert(host, true);
            return;
        }
        to_idle(client, self.own, host).data();
        self.hosts.insert(host, false);
        let gone: Vec<i64> =
            self.instances.iter().filter(|(_, instance)| instance.host == host).map(|(id, _)| *id).collect();
        for id in gone {
            let instance = self.instances.remove(&id).unwrap();
            self.tally.events(INSTANCE, DELETE, 1);
            self.tally.events(PROCESS, DELETE, instance.processes.len());
            self.tally.audits("service_instance", "delete", 1);
        }
    }

    /// Something that others may do or undo at the same moment.
    fn call_shared(&mut self, server: usize, call: &str, names: &[String]) {
        let Shared { place, ref hosts, instance, .. } = self.shared;
        let host = hosts[self.chance.index(hosts.len())];
        let client = &mut self.clients[server];
        match self.chance.below(4) {
            0 => {
                to_module(client, place, host).data();
            }
            1 => {
                to_idle(client, place, host).data();
            }
            2 => {
                let answer = add_instances(client, place, host, &[(call.into(), names.to_vec())]);
                // The host may just have been taken out of the module.
                if answer.code() != 0 {
                    assert_eq!(answer.code(), 1_110_056, "{}", answer.0);
                    return;
                }
                self.shared.instances.extend(ids(&answer.data()));
            }
            _ => {
                let made = ids(&add_processes(client, place.business, instance, names).data());
                self.shared.processes.extend(made.into_iter().zip(names.iter().cloned()));
            }
        }
    }

    /// What a server says of its own business, which nobody else changes.
    fn compare(&mut self, server: usize) {
        let own = self.own.business;
        let client = &mut self.clients[server];
        let instances: Vec<i64> = self.instances.keys().copied().collect();
        match self.chance.below(4) {
            0 => {
                let body = json!({"bk_biz_id": own, "page": {"start": 0, "limit": 500}});
                let page = post(client, "/findmany/proc/service_instance", &body).data();
                let names = page["info"].as_array().unwrap().iter().map(|it| (id_of(it, "id"), it["name"].clone()));
                let known = self.instances.iter().map(|(id, it)| (*id, json!(it.name)));
                assert_eq!(names.collect::<BTreeMap<_, _>>(), known.collect());
            }
            1 => {
                let path = format!("/module/search/0/{own}/{}", self.own.set);
                let page = post(client, &path, &json!({"condition": {}})).data();
                let modules = page["info"].as_array().unwrap().iter();
                let name = |it: &Value| it["bk_module_name"].as_str().unwrap().to_owned();
                let modules: BTreeMap<_, _> = modules.map(|it| (name(it), id_of(it, "bk_module_id"))).collect();
                assert_eq!(modules, self.modules);
            }
            2 => {
                let body = json!({"bk_module_ids": [self.own.module], "page": {"start": 0, "limit": 500}});
                let page = post(client, &format!("/hosts/app/{own}/list_hosts"), &body).data();
                let hosts = page["info"].as_array().unwrap().iter().map(|it| id_of(it, "bk_host_id"));
                let known = self.hosts.iter().filter(|(_, placed)| **placed).map(|(host, _)| *host);
                assert_eq!(hosts.collect::<BTreeSet<_>>(), known.collect());
            }
            _ => {
                let Some(instance) = self.chance.one_of(&instances) else { return };
                let body = json!({"bk_biz_id": own, "service_instance_id": instance});
                let list = post(client, "/findmany/proc/process_instance", &body).data();
                let names = list.as_array().unwrap().iter();
                let names = names.map(|it| it["property"]["bk_process_name"].as_str().unwrap().to_owned());
                assert_eq!(names.collect::<BTreeSet<_>>(), self.instances[&instance].processes);
            }
        }
    }
}

#[test]
fn two_servers_act_as_one() {
    if !on_postgres() {
        return;
    }
    let seed = number_of("ROLLCALL_CRASH_SEED").unwrap_or_else(Chance::seed);
    println!("the same again: ROLLCALL_CRASH_SEED={seed}");
    let mut chance = Chance(seed);
    let pair = Pair::start();
    let [mut client, _] = pair.clients();
    let shared = make_place(&mut client, "shared");
    let addresses: Vec<_> = (0..=SHARED_HOSTS).map(|i| format!("10.200.0.{i}")).collect();
    let mut hosts = ids(&add_hosts(&mut client, shared.business, &addresses).data()["bk_host_ids"]);
    let stays = hosts.pop().unwrap();
    to_module(&mut client, shared, stays).data();
    let instance = add_instances(&mut client, shared, stays, &[("stays".into(), vec!["p".into()])]);
    let instance = ids(&instance.data())[0];
    let workers: Vec<Worker> = std::thread::scope(|scope| {
        let workers = (0..CLIENTS).map(|number| {
            let (chance, clients, hosts) = (Chance(chance.next()), pair.clients(), hosts.clone());
            scope.spawn(move || {
                let calls = number_of("ROLLCALL_CALLS").unwrap_or(CALLS);
                let mut worker = begin(number, chance, clients, shared, hosts, instance);
                (0..calls).for_each(|_| worker.step());
                worker
            })
        });
        let workers: Vec<_> = workers.collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).collect()
    });
    let store = pair.home.look();
    compare_own(&store, shared.business, &workers);
    compare_shared(&store, &workers);
    let (ended, said) = check(&pair.home.store());
    assert!(ended, "`rollcall check` says: {said}");
}

fn begin(
    number: usize,
    chance: Chance,
    mut clients: [Client; 2],
    place: Place,
    hosts: Vec<i64>,
    instance: i64,
) -> Worker {
    let own = make_place(&mut clients[number % 2], &format!("own {number}"));
    let host = add_hosts(&mut clients[number % 2], own.business, &[format!("10.{number}.0.0")]).data();
    let mut tally = Tally::default();
    tally.place();
    tally.events(HOST, CREATE, 1);
    tally.events(HOST_MODULE, CREATE, 1);
    tally.audits("host", "create", 1);
    let shared = Shared { place, hosts, instance, processes: BTreeMap::new(), instances: BTreeSet::new() };
    Worker {
        number,
        chance,
        clients,
        own,
        modules: BTreeMap::from([("m".into(), own.module)]),
        hosts: ids(&host["bk_host_ids"]).into_iter().map(|host| (host, false)).collect(),
        instances: BTreeMap::new(),
        tally,
        calls: 0,
        shared,
    }
}

/// The union of what the clients know of their own businesses is what is stored, and what the journal tells.
fn compare_own(store: &Look, shared: i64, workers: &[Worker]) {
    let mut tally = Tally::default();
    let mut want = BTreeMap::new();
    for worker in workers {
        for (id, instance) in &worker.instances {
            want.insert(*id, (worker.own.business, instance.name.clone(), instance.processes.len()));
        }
    }
    let rows = store.rows(&format!(
        "SELECT s.id, s.business_id, s.name, count(p.id) FROM service_instance s
         JOIN process p ON p.service_instance_id = s.id WHERE s.business_id <> {shared} GROUP BY s.id, s.business_id, s.name"
    ));
    let rows = rows.iter().map(|row| (row[0].int(), (row[1].int(), row[2].text(), size(&row[3]))));
    assert_eq!(rows.collect::<BTreeMap<_, _>>(), want);
    let stored = Tally::stored(store, shared);
    for worker in workers {
        tally.add(Tally { events: worker.tally.events.clone(), audits: worker.tally.audits.clone() });
    }
    assert_eq!(stored, tally);
    let twice = "SELECT object_id, kind FROM event WHERE operation = 1 AND kind <> 3 GROUP BY object_id, kind HAVING count(*) > 1";
    assert_eq!(store.rows(twice), Vec::<Vec<Cell>>::new(), "ids that were given out twice");
}

/// In the shared business every acknowledged creation is told of, and what is there is what came and did not go.
fn compare_shared(store: &Look, workers: &[Worker]) {
    let Shared { place, instance, .. } = workers[0].shared;
    let told = |kind: i64, operation: i64| {
        let sql = format!(
            "SELECT object_id FROM event WHERE business_id = {} AND kind = {kind} AND operation = {operation}",
            place.business
        );
        let rows = store.rows(&sql);
        let told: BTreeSet<i64> = rows.iter().map(|row| row[0].int()).collect();
        assert_eq!(told.len(), rows.len(), "kind {kind}, operation {operation}: told twice");
        told
    };
    let mut made: BTreeSet<i64> = workers.iter().flat_map(|worker| &worker.shared.instances).copied().collect();
    made.insert(instance);
    assert_eq!(told(INSTANCE, CREATE), made);
    let left = store.rows(&format!("SELECT id FROM service_instance WHERE business_id = {}", place.business));
    let left: BTreeSet<i64> = left.iter().map(|row| row[0].int()).collect();
    assert_eq!(left, &made - &told(INSTANCE, DELETE));
    let left = store.rows(&format!("SELECT id FROM process WHERE business_id = {}", place.business));
    let left: BTreeSet<i64> = left.iter().map(|row| row[0].int()).collect();
    assert_eq!(left, &told(PROCESS, CREATE) - &told(PROCESS, DELETE));
    let stays =
        store.rows(&format!("SELECT id, name FROM process WHERE service_instance_id = {instance} AND name <> 'p'"));
    let stays: BTreeMap<i64, String> = stays.iter().map(|row| (row[0].int(), row[1].text())).collect();
    let made: BTreeMap<i64, String> = workers.iter().flat_map(|worker| worker.shared.processes.clone()).collect();
    assert_eq!(stays, made);
}

#[test]
fn a_name_raced_for_at_two_servers_has_one_winner() {
    if !on_postgres() {
        return;
    }
    let pair = Pair::start();
    let [mut client, _] = pair.clients();
    let place = make_place(&mut client, "estate");
    let host = ids(&add_hosts(&mut client, place.business, &["10.0.0.1".into()]).data()["bk_host_ids"])[0];
    to_module(&mut client, place, host).data();
    let instance = ids(&add_instances(&mut client, place, host, &[("i".into(), vec!["p".into()])]).data())[0];
    type Call<'a> = &'a (dyn Fn(&mut Client, usize, usize) -> Answer + Sync);
    let check = |what: &str, told: fn(&Answer) -> Value, call: Call<'_>| {
        for race in 0..RACES {
            let start = Barrier::new(RACERS);
            let answers: Vec<Answer> = std::thread::scope(|scope| {
                let racers = (0..RACERS).map(|racer| {
                    let ([one, other], start) = (pair.clients(), &start);
                    let mut client = if racer % 2 == 0 { one } else { other };
                    scope.spawn(move || {
                        start.wait();
                        call(&mut client, race, racer)
                    })
                });
                let racers: Vec<_> = racers.collect();
                racers.into_iter().map(|racer| racer.join().unwrap()).collect()
            });
            let mut late = pair.servers[0].client();
            let late = call(&mut late, race, RACERS);
            assert_ne!(late.code(), 0, "{what}");
            // As one who comes later: the same error with the same place in the request.
            let losers: Vec<_> = answers.iter().filter(|answer| answer.code() != 0).map(told).collect();
            assert_eq!(losers, vec![told(&late); RACERS - 1], "{what}, race {race}");
        }
    };
    let whole = |answer: &Answer| answer.0.clone();
    check("business", whole, &|client, race, _| {
        post(client, "/biz/0", &json!({"bk_biz_name": format!("race{race}"), "bk_biz_maintainer": "ops"}))
    });
    check("set", whole, &|client, race, _| {
        let body = json!({"bk_set_name": format!("race{race}"), "bk_parent_id": place.business});
        post(client, &format!("/set/{}", place.business), &body)
    });
    check("module", whole, &|client, race, _| {
        let body = json!({"bk_module_name": format!("race{race}"), "bk_parent_id": place.set});
        post(client, &format!("/module/{}/{}", place.business, place.set), &body)
    });
    check("the second of three hosts", whole, &|client, race, racer| {
        let own = |i: usize| format!("10.{}.{racer}.{race}", 10 + i);
        add_hosts(client, place.business, &[own(0), format!("10.1.1.{race}"), own(1)])
    });
    // Those who insert them may wait for each other in a circle.
    check("hosts in different orders", |answer| json!(answer.code()), &|client, race, racer| {
        let mut addresses = [0, 1, 2].map(|i| format!("10.2.{i}.{race}"));
        addresses.rotate_left(racer % 3);
        add_hosts(client, place.business, &addresses)
    });
    check("the second of three processes", whole, &|client, race, racer| {
        let names = [format!("a{racer}r{race}"), format!("race{race}"), format!("b{racer}r{race}")];
        add_processes(client, place.business, instance, &names)
    });
    let store = pair.home.look();
    let count = |sql: &str| usize::try_from(store.number(sql)).unwrap();
    assert_eq!(count("SELECT count(*) FROM business WHERE name LIKE 'race%'"), RACES);
    assert_eq!(count("SELECT count(*) FROM host"), 1 + 6 * RACES);
    assert_eq!(count("SELECT count(*) FROM process"), 1 + 3 * RACES);
    let (ended, said) = crash_support::check(&pair.home.store());
    assert!(ended, "`rollcall check` says: {said}");
}

#[test]
fn what_the_command_line_changes_counts_at_every_server() {
    if !on_postgres() {
        return;
    }
    let home = Home::new();
    let store = home.store();
    let command = |arguments: &[&str]| -> Value {
        let (code, said) = run(&[arguments, &["--store", &store, "--json"]].concat());
        assert_eq!(code, 0, "{said}");
        serde_json::from_str(&said).unwrap_or_default()
    };
    command(&["init"]);
    let servers = [Server::start_with(&store, &[]), Server::start_with(&store, &[])];
    let until = |what: &str, caller: &Value, is_so: fn(&Answer) -> bool| {
        let begun = Instant::now();
        for server in &servers {
            while !is_so(&server.client().send("/api/c/compapi/v2/cc/search_business/", caller).unwrap()) {
                assert!(begun.elapsed() < Duration::from_secs(5), "{what} does not count");
            }
        }
    };
    let shows = |answer: &Answer| answer.code() == 0 && answer.0["data"]["count"] == 1;
    for round in 0..3 {
        let (app, user) = (format!("app{round}"), format!("user{round}"));
        let made = command(&["app", "create", &app, "--login-free"]);
        let named = json!({"bk_app_code": app, "bk_app_secret": made["secret"], "bk_username": user});
        until("the app", &named, |answer| answer.code() == 0);
        let token = command(&["token", "create", &user]);
        let known = json!({"bk_app_code": app, "bk_app_secret": made["secret"], "bk_token": token["token"]});
        until("the token", &known, |answer| answer.code() == 0);
        let grant = command(&["grant", "create", &user, "find_business", "--business", "2"]);
        until("the grant", &named, shows);
        command(&["grant", "revoke", &grant["id"].to_string(), "--yes"]);
        until("the end of the grant", &named, |answer| answer.0["data"]["count"] == 0);
        command(&["token", "revoke", &token["id"].to_string(), "--yes"]);
        until("the end of the token", &known, |answer| answer.code() != 0);
        command(&["app", "revoke", &app, "--yes"]);
        until("the end of the app", &named, |answer| answer.code() != 0);
    }
}

#[test]
fn servers_that_start_together_make_one_store() {
    if !on_postgres() {
        return;
    }
    for _ in 0..2 {
        let home = Home::new();
        let store = home.store();
        let servers: Vec<Server> = std::thread::scope(|scope| {
            let servers: Vec<_> = (0..5).map(|_| scope.spawn(|| Server::start(&store))).collect();
            servers.into_iter().map(|server| server.join().unwrap()).collect()
        });
        let answers = servers.iter().map(|server| post(&mut server.client(), "/biz/search/0", &json!({})).data());
        let answers: BTreeSet<String> = answers.map(|data| data.to_string()).collect();
        assert_eq!(answers.len(), 1, "{answers:?}");
        let look = home.look();
        assert_eq!(look.number("SELECT count(*) FROM business"), 2);
        assert_eq!(look.number("SELECT count(*) FROM service_category"), 20);
        assert_eq!(look.number("SELECT count(*) FROM setting WHERE name = 'built_in_data'"), 1);
        let (ended, said) = check(&store);
        assert!(ended, "`rollcall check` says: {said}");
    }
}

#[test]
fn a_database_that_cannot_keep_a_store_is_told_and_ends_the_program() {
    if !on_postgres() {
        return;
    }
    let home = Home::new();
    let store = home.store();
    let refused = |store: &str, word: &str| {
        for command in ["serve", "init"] {
            let (code, said) = run(&[command, "--store", store]);
            assert_eq!(code, 1, "{said}");
            assert!(said.contains(word), "{word:?} is not in: {said}");
        }
    };
    refused(&format!("{store}_absent"), "has no database");
    let (code, said) = run(&["check", "--store", &store]);
    assert_eq!((code, said.contains("`rollcall init` makes one")), (1, true), "{said}");
    assert_eq!(home.look().number("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"), 0);
    Server::start(&store).stop();
    home.look().rows("UPDATE setting SET value = '9999' WHERE name = 'schema_version' RETURNING value");
    refused(&store, "use a newer program");
}

#[test]
fn the_password_comes_from_a_file_or_from_the_environment() {
    if !on_postgres() {
        return;
    }
    const PASSWORD: &str = "s3cr3t";
    let cluster = Cluster::try_start(Settings { password: Some(PASSWORD.into()), ..Settings::default() }).unwrap();
    let url = cluster.create_database("store", None);
    let store = url.replace(&format!(":{PASSWORD}@"), "@");
    assert_ne!(store, url);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    std::fs::write(&file, format!("{PASSWORD}\n")).unwrap();
    let readable_by = |mode| std::fs::set_permissions(&file, Permissions::from_mode(mode)).unwrap();
    let file = file.to_str().unwrap();
    let check = |command: &str, environment: &[(&str, &str)], code: i32, word: &str| {
        let ended = program().args([command, "--store", &store]).envs(environment.iter().copied()).output().unwrap();
        let said = String::from_utf8_lossy(&[ended.stdout, ended.stderr].concat()).into_owned();
        assert_eq!(ended.status.code(), Some(code), "{environment:?}: {said}");
        assert!(said.contains(word), "{environment:?}: {word:?} is not in: {said}");
        assert!(!said.contains(PASSWORD), "{environment:?}: {said}");
    };
    let (own, in_file) = ("ROLLCALL_POSTGRES_PASSWORD", "ROLLCALL_POSTGRES_PASSWORD_FILE");
    readable_by(0o600);
    check("init", &[], 1, "wants a password");
    check("init", &[(own, "another")], 1, "refuses the password");
    check("init", &[(own, PASSWORD)], 0, "");
    check("check", &[(in_file, file)], 0, "");
    check("check", &[(own, PASSWORD), (in_file, file)], 2, "are both set");
    check("check", &[(in_file, "/nowhere/at/all")], 2, "/nowhere/at/all");
    readable_by(0o644);
    check("check", &[(in_file, file)], 2, file);
}
