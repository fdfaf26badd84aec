//! Service instances and the processes they are made with (`instances` 10.1 to 10.8, 10.13, 10.17; `design` §4).

use crate::ops::{Biz, DetailsIn, InstanceIn, PageIn, Pick, ProcessIn, SelectorIn, SortedPage};
use crate::topology::paged;
use crate::world::*;
use crate::{labels, process, searches};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

const DUPLICATE: i64 = 1_199_014;

/// Why these processes cannot be put beside those that are there; the code is that of the first bad one, unless two clash.
fn wrong_processes(existing: &[Map<String, Value>], wanted: &[Result<Map<String, Value>, Vec<i64>>]) -> Option<Expect> {
    let good: Vec<_> = wanted.iter().filter_map(|process| process.as_ref().ok()).collect();
    let clash = good
        .iter()
        .enumerate()
        .any(|(i, one)| existing.iter().chain(good[..i].iter().copied()).any(|other| process::clashes(one, other)));
    let first_bad = wanted.iter().find_map(|process| process.as_ref().err());
    let mut codes: Vec<i64> = first_bad.map(|bad| bad[0]).into_iter().collect();
    codes.extend(clash.then_some(DUPLICATE));
    (!codes.is_empty()).then(|| Expect::Refused(first_bad_or_clash(&codes)))
}

/// The processes come to be, with ids as answered: one for each, in their order (I-8).
fn put_processes(
    world: &mut World,
    instance: i64,
    ids: &[i64],
    processes: Vec<Map<String, Value>>,
) -> Result<(), String> {
    same("the number of processes", ids.len(), processes.len())?;
    let business = world.instance(instance).unwrap().business;
    world.event(PROCESS, CREATE, ids.len());
    for (id, mut fields) in ids.iter().copied().zip(processes) {
        world.fresh("process", id)?;
        for (key, value) in [
            ("bk_process_id", json!(id)),
            ("bk_biz_id", json!(business)),
            ("service_instance_id", json!(instance)),
            ("bk_supplier_account", json!("0")),
            ("bk_created_by", json!(world.user)),
            ("bk_updated_by", Value::Null),
        ] {
            fields.insert(key.into(), value);
        }
        world.processes.push(Process { id, instance, fields });
    }
    Ok(())
}

/// The one ordinary module that all hosts are in (`design` §4).
fn shared_module(world: &World, business: Option<i64>, hosts: &[i64]) -> Option<i64> {
    let mut shared: Option<BTreeSet<i64>> = None;
    for host in hosts {
        let of_host = world.modules_of(*host);
        shared = Some(match shared {
            None => of_host,
            Some(shared) => shared.intersection(&of_host).copied().collect(),
        });
    }
    let fits = |id: &i64| {
        let module = world.module(*id).unwrap();
        module.kind == 0 && business.is_none_or(|business| module.business == business)
    };
    let fitting: Vec<i64> = shared?.into_iter().filter(fits).collect();
    if let [only] = fitting[..] { Some(only) } else { None }
}

pub fn create_instances(
    world: &World,
    business: Biz,
    module: Option<Pick>,
    name: Option<&'static str>,
    instances: &[InstanceIn],
) -> (Request, Expect) {
    let with_hosts: Vec<i64> =
        world.ordinary_modules(None).into_iter().filter(|id| world.places.iter().any(|(at, _)| at == id)).collect();
    let module = module.map(|pick| World::resolve(pick, &with_hosts, &world.module_ids()));
    // Without a module, the hosts of the first one with hosts are near.
    let near = module.or(with_hosts.first().copied());
    let near: Vec<i64> = world.places.iter().filter(|(at, _)| Some(*at) == near).map(|(_, host)| *host).collect();
    let hosts: Vec<i64> =
        instances.iter().map(|instance| World::resolve(instance.host, &near, &world.host_ids())).collect();
    let fits = module.and_then(|id| world.module(id)).map(|module| module.business);
    let fits = fits.or_else(|| hosts.first().and_then(|host| world.business_of_host(*host)));
    let stated = world.state(business, fits);

    let entries: Vec<Value> = instances
        .iter()
        .zip(&hosts)
        .map(|(instance, host)| {
            let processes: Vec<Value> =
                instance.processes.iter().map(|info| json!({"process_info": process::sent(info)})).collect();
            let mut entry = json!({"bk_host_id": host, "processes": processes});
            if let Some(name) = instance.name {
                entry["service_instance_name"] = name.into();
            }
            entry
        })
        .collect();
    let mut body = json!({"instances": entries});
    stated.put(&mut body, "bk_biz_id");
    if let Some(module) = module {
        body["bk_module_id"] = module.into();
    }
    if let Some(name) = name {
        body["name"] = name.into();
    }
    let request = Request::new("create_service_instance", "/create/proc/service_instance", body);
    let names: Vec<Option<&str>> = instances
        .iter()
        .map(|instance| {
            let own = instance.name.filter(|name| !name.is_empty());
            own.or(if instances.len() == 1 { name.filter(|name| !name.is_empty()) } else { None })
        })
        .collect();
    if let Some(refused) = wrong_instances(world, stated, module, &hosts, instances, &names) {
        return (request, refused);
    }
    let module = module.or_else(|| shared_module(world, stated.id(), &hosts)).unwrap();
    let (wanted, flaws) = wanted_processes(world, &hosts, instances);
    if let Some(refused) = flaws {
        return (request, refused);
    }
    let names: Vec<String> = names
        .iter()
        .zip(&hosts)
        .zip(&wanted)
        .map(|((name, host), processes)| {
            name.map_or_else(|| generated_name(world, *host, &processes[0]), str::to_owned)
        })
        .collect();
    let done = Expect::done(move |world, data| {
        let told = ids(data)?;
        same("the number of instances", told.len(), names.len())?;
        let business = world.module(module).unwrap().business;
        world.audit("service_instance", "create", told.len());
        world.event(INSTANCE, CREATE, told.len());
        for (id, (name, host)) in told.iter().zip(names.into_iter().zip(hosts)) {
            world.fresh("service_instance", *id)?;
            let (creator, modifier) = (world.user, world.user);
            world.instances.push(Instance { id: *id, business, module, host, name, labels: None, creator, modifier });
        }
        // The answer does not tell the ids of the processes: they rise in order of the request.
        world.expect_processes(told.into_iter().zip(wanted));
        Ok(())
    });
    (request, done)
}

type Wanted = Vec<Vec<Map<String, Value>>>;

/// The processes of every instance, or what is wrong with any of them.
fn wanted_processes(world: &World, hosts: &[i64], instances: &[InstanceIn]) -> (Wanted, Option<Expect>) {
    let (mut wanted, mut codes) = (Vec::new(), Vec::new());
    for (instance, host) in instances.iter().zip(hosts) {
        let address = world.host(*host).map(|host| host.addresses.join(",")).unwrap_or_default();
        let read: Vec<_> =
            instance.processes.iter().map(|info| process::stored(&process::sent(info), &address)).collect();
        if let Some(Expect::Refused(more)) = wrong_processes(&[], &read) {
            codes.extend(more);
        }
        wanted.push(read.into_iter().filter_map(Result::ok).collect());
    }
    (wanted, (!codes.is_empty()).then(|| Expect::Refused(first_bad_or_clash(&codes))))
}

/// The code of a stage that finds all of these, in order: that of a clash if there is any (`design` §4).
pub fn first_bad_or_clash(codes: &[i64]) -> Vec<i64> {
    let first = codes.first().copied();
    vec![if codes.contains(&DUPLICATE) { DUPLICATE } else { first.unwrap_or_default() }]
}

/// The checks before those of the processes, in the order of `instances` 10.1.
fn wrong_instances(
    world: &World,
    stated: Stated,
    module: Option<i64>,
    hosts: &[i64],
    instances: &[InstanceIn],
    names: &[Option<&str>],
) -> Option<Expect> {
    if stated.is_text() {
        return Some(Expect::refused(1_199_000));
    }
    let unusable_business = stated.id().is_some_and(|id| id <= 0);
    if instances.is_empty() {
        return Some(Expect::Refused(if unusable_business { vec![1_199_010, 1_199_006] } else { vec![1_199_010] }));
    }
    if unusable_business {
        return Some(Expect::refused(1_199_006));
    }
    let Some(module) = module.or_else(|| shared_module(world, stated.id(), hosts)) else {
        return Some(Expect::refused(1_199_010));
    };
    let Some(module) = world.module(module) else {
        return Some(Expect::refused(1_101_034));
    };
    if stated.id().is_some_and(|id| id != module.business) {
        return Some(Expect::refused(1_113_004));
    }
    if module.kind != 0 {
        return Some(Expect::refused(1_199_006));
    }
    if instances.iter().any(|instance| instance.processes.is_empty()) {
        return Some(Expect::refused(1_199_010));
    }
    if hosts.iter().any(|host| !world.places.contains(&(module.id, *host))) {
        return Some(Expect::refused(1_110_056));
    }
    let long = names.iter().flatten().any(|name| name.len() > 256);
    long.then(|| Expect::refused(1_199_006))
}

/// `instances` §7.
fn generated_name(world: &World, host: i64, first: &Map<String, Value>) -> String {
    let mut name = world.host(host).unwrap().addresses.join(",");
    name.push('_');
    name.push_str(first["bk_process_name"].as_str().unwrap());
    if let Some(port) = process::first_port(first) {
        name.push('_');
        name.push_str(port);
    }
    name
}

/// More instances than a call may carry, or just as many, on a host that is in a module.
pub fn too_many_instances(world: &World, count: usize) -> Option<(Request, Expect)> {
    let (module, host) = *world.places.iter().find(|(at, _)| world.module(*at).unwrap().kind == 0)?;
    let process = ProcessIn { name: r#""p""#, func: r#""p""#, param: "", more: Vec::new() };
    let modules = world.ordinary_modules(None);
    let with_hosts: Vec<i64> = modules.into_iter().filter(|id| world.places.iter().any(|(at, _)| at == id)).collect();
    let module = with_hosts.iter().position(|id| *id == module)?;
    let host = world.host_ids().iter().position(|id| *id == host)?;
    let one = InstanceIn { host: Pick::Any(host), name: None, processes: vec![process] };
    let instances = vec![one; count];
    let (request, expect) = create_instances(world, Biz::Fits, Some(Pick::Near(module)), None, &instances);
    Some((request, if count > 100 { Expect::refused(1_199_035) } else { expect }))
}

pub fn create_processes(world: &World, business: Biz, instance: Pick, processes: &[ProcessIn]) -> (Request, Expect) {
    let id = World::resolve(instance, &world.instance_ids(), &world.instance_ids());
    let instance = world.instance(id).cloned();
    let stated = world.state(business, instance.as_ref().map(|instance| instance.business));
    let entries: Vec<Value> = processes.iter().map(|info| json!({"process_info": process::sent(info)})).collect();
    let mut body = json!({"service_instance_id": id, "processes": entries});
    stated.put(&mut body, "bk_biz_id");
    let request = Request::new("create_process_instance", "/create/proc/process_instance", body);
    if stated.is_text() {
        return (request, Expect::refused(1_199_000));
    }
    let mut wrong: Vec<Vec<i64>> = Vec::new();
    if processes.is_empty() {
        wrong.push(vec![1_199_011]);
    }
    if processes.len() > 100 {
        wrong.push(vec![1_199_035]);
    }
    if stated.id().is_some_and(|id| id <= 0) {
        wrong.push(vec![1_199_006]);
    }
    if let Some(refused) = Expect::refused_for(&wrong) {
        return (request, refused);
    }
    let Some(instance) = instance else {
        return (request, Expect::refused(1_199_019));
    };
    if stated.id().is_some_and(|id| id != instance.business) {
        return (request, Expect::refused(1_199_006));
    }
    let address = world.host(instance.host).unwrap().addresses.join(",");
    let read: Vec<_> = processes.iter().map(|info| process::stored(&process::sent(info), &address)).collect();
    let existing: Vec<_> = world.processes_of(id).map(|process| process.fields.clone()).collect();
    if let Some(refused) = wrong_processes(&existing, &read) {
        return (request, refused);
    }
    let wanted = read.into_iter().filter_map(Result::ok).collect();
    let done = Expect::done(move |world, data| {
        world.audit("service_instance", "update", 1);
        put_processes(world, id, &ids(data)?, wanted)
    });
    (request, done)
}

/// More processes than a call may carry, or just as many.
pub fn too_many_processes(world: &World, count: usize) -> (Request, Expect) {
    let names: Vec<String> = (0..count).map(|i| format!("\"{i}\"")).collect();
    let id = world.instances.first().map_or(UNKNOWN, |instance| instance.id);
    // Names that only this operation gives: a second one clashes with all of the first.
    let processes: Vec<Value> =
        names.iter().map(|name| json!({"bk_process_name": name, "bk_func_name": name})).collect();
    let entries: Vec<Value> = processes.iter().map(|info| json!({"process_info": info})).collect();
    let body = json!({"service_instance_id": id, "processes": entries});
    let request = Request::new("create_process_instance", "/create/proc/process_instance", body);
    if count > 100 {
        return (request, Expect::refused(1_199_035));
    }
    let Some(instance) = world.instance(id) else {
        return (request, Expect::refused(1_199_019));
    };
    let address = world.host(instance.host).unwrap().addresses.join(",");
    let read: Vec<_> = processes.iter().map(|info| process::stored(info, &address)).collect();
    let existing: Vec<_> = world.processes_of(id).map(|process| process.fields.clone()).collect();
    if let Some(refused) = wrong_processes(&existing, &read) {
        return (request, refused);
    }
    let wanted = read.into_iter().filter_map(Result::ok).collect();
    let done = Expect::done(move |world, data| {
        world.audit("service_instance", "update", 1);
        put_processes(world, id, &ids(data)?, wanted)
    });
    (request, done)
}

impl World {
    /// Processes of new instances, whose ids the next look at them tells.
    fn expect_processes(&mut self, made: impl Iterator<Item = (i64, Vec<Map<String, Value>>)>) {
        self.unnamed = made.collect();
    }

    /// Takes the ids of processes that an answer did not tell from what `list_process_instance` says of their instance.
    pub fn name_processes(&mut self, list: impl Fn(i64) -> Value) -> Result<(), String> {
        for (instance, wanted) in std::mem::take(&mut self.unnamed) {
            let listed = list(instance);
            let told = listed.as_array().ok_or("no list of processes")?.iter();
            let told: Vec<i64> = told.filter_map(|process| process["property"]["bk_process_id"].as_i64()).collect();
            put_processes(self, instance, &told, wanted)?;
        }
        Ok(())
    }
}

fn page_body(page: PageIn) -> Value {
    json!({"start": page.start, "limit": page.limit, "sort": if page.newest_first { "-id" } else { "id" }})
}

pub const INSTANCE_KEYS: [&str; 10] = [
    "bk_biz_id",
    "id",
    "name",
    "labels",
    "service_template_id",
    "bk_host_id",
    "bk_module_id",
    "creator",
    "modifier",
    "bk_supplier_account",
];

pub fn list_instances(
    world: &World,
    business: Biz,
    module: Option<Pick>,
    hosts: &[Pick],
    search: Option<&'static str>,
    selectors: &[SelectorIn],
    page: Option<PageIn>,
) -> (Request, Expect) {
    let used: Vec<i64> = world.instances.iter().map(|instance| instance.module).collect();
    let module = module.map(|pick| World::resolve(pick, &used, &world.module_ids()));
    let hosts: Vec<i64> =
        hosts.iter().map(|pick| World::resolve(*pick, &world.host_ids(), &world.host_ids())).collect();
    let stated = world.state(business, module.and_then(|id| world.module(id)).map(|module| module.business));
    let mut body = json!({"bk_host_ids": hosts, "selectors": labels::selectors_sent(selectors)});
    stated.put(&mut body, "bk_biz_id");
    if let Some(module) = module {
        body["bk_module_id"] = module.into();
    }
    if let Some(search) = search {
        body["search_key"] = search.into();
    }
    if let Some(page) = page {
        body["page"] = page_body(page);
    }
    let request = Request::new("list_service_instance", "/findmany/proc/service_instance", body);
    if stated.is_text() {
        return (request, Expect::refused(1_199_000));
    }
    if page.is_some_and(|page| page.start < 0 || !(0..=1000).contains(&page.limit)) {
        return (request, Expect::refused(1_199_059));
    }
    let business = stated.or_zero();
    if business <= 0 {
        return (request, Expect::refused(1_199_006));
    }
    if !labels::are_selectors(selectors) {
        return (request, Expect::refused(1_199_006));
    }
    let matches = |instance: &Instance| {
        instance.business == business
            && module.is_none_or(|id| id == 0 || instance.module == id)
            && (hosts.is_empty() || hosts.contains(&instance.host))
            && instance.name.contains(search.unwrap_or(""))
            && labels::select(selectors, instance)
    };
    (request, page_of_instances(world, page, matches))
}

/// The answer of a list: its count is that of all matches, whatever the page (I-20).
fn page_of_instances(world: &World, page: Option<PageIn>, matches: impl Fn(&Instance) -> bool) -> Expect {
    let found = world.instances.iter().filter(|instance| matches(instance));
    let found: Vec<i64> = found.map(|instance| instance.id).collect();
    let count = found.len();
    let page = page.unwrap_or(PageIn { start: 0, limit: 0, newest_first: false });
    let rows = paged(found.into_iter(), page);
    let want: Vec<Value> = rows.iter().map(|id| world.instance_document(world.instance(*id).unwrap()).into()).collect();
    Expect::done(move |_, data| {
        same("count", &data["count"], &json!(count))?;
        let rows = data["info"].as_array().ok_or("no info")?;
        same("the instances", rows.iter().map(|row| crate::topology::only(row, &INSTANCE_KEYS)).collect(), want)
    })
}

pub fn list_instances_of_host(
    world: &World,
    business: Biz,
    host: Pick,
    search: Option<&'static str>,
    selectors: &[SelectorIn],
    page: Option<PageIn>,
) -> (Request, Expect) {
    let used: Vec<i64> = world.instances.iter().map(|instance| instance.host).collect();
    let host = World::resolve(host, &used, &world.host_ids());
    let stated = world.state(business, world.business_of_host(host));
    let mut body = json!({"bk_host_id": host, "search_key": search, "selectors": labels::selectors_sent(selectors)});
    stated.put(&mut body, "bk_biz_id");
    if let Some(page) = page {
        body["page"] = page_body(page);
    }
    let path = "/findmany/proc/service_instance/with_host";
    let request = Request::new("list_service_instance_by_host", path, body);
    if stated.is_text() {
        return (request, Expect::refused(1_199_000));
    }
    let business = stated.or_zero();
    let mut wrong = Vec::new();
    if host == 0 {
        wrong.push(vec![1_199_003]);
    }
    if business <= 0 || !labels::are_selectors(selectors) {
        wrong.push(vec![1_199_006]);
    }
    if let Some(refused) = Expect::refused_for(&wrong) {
        return (request, refused);
    }
    let matches = |instance: &Instance| {
        instance.business == business
            && instance.host == host
            && instance.name.contains(search.unwrap_or(""))
            && labels::select(selectors, instance)
    };
    (request, page_of_instances(world, page, matches))
}

/// There are no set templates yet: none has modules (E104).
pub fn list_instances_of_set_template(
    world: &World,
    business: Biz,
    template: i64,
    page: Option<SortedPage>,
) -> (Request, Expect) {
    let id = world.state_in_path(business, None);
    let mut body = json!({"set_template_id": template});
    if let Some(page) = page {
        body["page"] = searches::page_body(page);
    }
    let esb = searches::with_business(&body, id);
    let path = format!("/findmany/proc/service/set_template/list_service_instance/biz/{id}");
    let request = Request::new("list_service_instance_by_set_template", path, body).esb(esb);
    let mut wrong = Vec::new();
    if searches::usable(page).is_none() {
        wrong.push(vec![1_199_059]);
    } else if template == 0 {
        wrong.push(vec![1_199_008]);
    }
    if id <= 0 {
        wrong.push(vec![1_199_006, 1_199_011]);
    }
    let nothing = || Expect::done(|_, data| same("the list", data, &json!({"count": 0, "info": []})));
    let expect = Expect::refused_for(&wrong).unwrap_or_else(nothing);
    (request, expect)
}

/// The hosts of a module without an instance in it, and those with one, are all its hosts (I-24).
pub fn list_hosts_without(world: &World, business: Biz, module: Pick, hosts: &[Pick]) -> (Request, Expect) {
    let used: Vec<i64> = world.places.iter().map(|(module, _)| *module).collect();
    let module = World::resolve(module, &used, &world.module_ids());
    let near = world.hosts_in(module);
    let hosts: Vec<i64> = hosts.iter().map(|pick| World::resolve(*pick, &near, &world.host_ids())).collect();
    let stated = world.state(business, world.module(module).map(|module| module.business));
    let mut body = json!({"bk_module_id": module, "bk_host_ids": hosts});
    stated.put(&mut body, "bk_biz_id");
    let name = "post_findmany_proc_host_with_no_service_instance";
    let request = Request::new(name, "/findmany/proc/host/with_no_service_instance", body).backend_only();
    if stated.is_text() {
        return (request, Expect::refused(1_199_000));
    }
    if stated.or_zero() <= 0 || module <= 0 {
        return (request, Expect::refused(1_199_010));
    }
    let business = stated.or_zero();
    let is_in = world.module(module).is_some_and(|module| module.business == business);
    let has_one = |host: &i64| world.instances.iter().any(|it| it.module == module && it.host == *host);
    let matches = |host: &i64| is_in && (hosts.is_empty() || hosts.contains(host)) && !has_one(host);
    let want: BTreeSet<i64> = near.into_iter().filter(matches).collect();
    let done = Expect::done(move |_, data| {
        let told = ids(&data["bk_host_ids"])?;
        same("the number of hosts", told.len(), want.len())?;
        same("the hosts", told.into_iter().collect(), want)
    });
    (request, done)
}

pub fn rename_instances(world: &World, business: Biz, names: &[(Pick, &'static str)]) -> (Request, Expect) {
    let all = world.instance_ids();
    let first = names.first().map(|(pick, _)| World::resolve(*pick, &all, &all));
    let fits = first.and_then(|id| world.instance(id)).map(|instance| instance.business);
    let business = world.state_in_path(business, fits);
    let near = instances_of(world, business);
    let names: Vec<(i64, Value)> = names
        .iter()
        .enumerate()
        .map(|(i, (pick, update))| {
            let id = first.filter(|_| i == 0).unwrap_or_else(|| World::resolve(*pick, &near, &all));
            (id, serde_json::from_str(update).unwrap())
        })
        .collect();
    rename(business, names)
}

/// The instances of a business.
pub fn instances_of(world: &World, business: i64) -> Vec<i64> {
    let instances = world.instances.iter().filter(|instance| instance.business == business);
    instances.map(|instance| instance.id).collect()
}

/// `instances` 10.6: of ids that stand there twice the last name counts, unknown ones are left out.
pub fn rename(business: i64, names: Vec<(i64, Value)>) -> (Request, Expect) {
    let entries = names.iter().map(|(id, update)| json!({"service_instance_id": id, "update": update}));
    let body = json!({"data": entries.collect::<Vec<_>>()});
    let path = format!("/updatemany/proc/service_instance/biz/{business}");
    let request = Request::new("put_updatemany_proc_service_instance_biz", path, body).by("PUT").backend_only();
    let mut wrong = Vec::new();
    if names.len() > 100 {
        wrong.push(vec![1_199_035]);
    }
    let is_good = |(id, update): &(i64, Value)| {
        let name = update["name"].as_str().unwrap_or_default();
        *id > 0 && update.as_object().is_some_and(|update| update.len() == 1) && (1..=256).contains(&name.len())
    };
    if business <= 0 || names.is_empty() || (names.len() <= 100 && !names.iter().all(is_good)) {
        wrong.push(vec![1_199_006]);
    }
    if let Some(refused) = Expect::refused_for(&wrong) {
        return (request, refused);
    }
    // The same name given again within one millisecond would be no change at all.
    crate::support::next_millisecond();
    let done = Expect::done(move |world, data| {
        same("data", data, &Value::Null)?;
        let mut changed = BTreeSet::new();
        let user = world.user;
        for (id, update) in names {
            let at = world.instances.iter_mut().find(|instance| instance.id == id && instance.business == business);
            let Some(instance) = at else { continue };
            instance.name = update["name"].as_str().unwrap().to_owned();
            instance.modifier = user;
            changed.insert(id);
        }
        world.audit("service_instance", "update", changed.len());
        world.event(INSTANCE, UPDATE, changed.len());
        Ok(())
    });
    (request, done)
}

pub fn delete_instances(world: &World, business: Biz, instances: &[Pick]) -> (Request, Expect) {
    let (stated, ids) = named_instances(world, business, instances);
    delete(world, stated, ids)
}

/// The instances that picks stand for, and the business that fits the first of them.
pub fn named_instances(world: &World, business: Biz, picks: &[Pick]) -> (Stated, Vec<i64>) {
    let all = world.instance_ids();
    let Some((first, rest)) = picks.split_first() else { return (world.state(business, None), Vec::new()) };
    let first = World::resolve(*first, &all, &all);
    let fits = world.instance(first).map(|instance| instance.business);
    let near = instances_of(world, fits.unwrap_or(2));
    let rest = rest.iter().map(|pick| World::resolve(*pick, &near, &all));
    (world.state(business, fits), std::iter::once(first).chain(rest).collect())
}

/// `instances` 10.7.
pub fn delete(world: &World, stated: Stated, ids: Vec<i64>) -> (Request, Expect) {
    let mut body = json!({"service_instance_ids": ids});
    stated.put(&mut body, "bk_biz_id");
    let request = Request::new("delete_service_instance", "/deletemany/proc/service_instance", body).by("DELETE");
    if stated.is_text() {
        return (request, Expect::refused(1_199_000));
    }
    let distinct: BTreeSet<i64> = ids.iter().copied().collect();
    let is_there = |id: &i64| world.instance_in(stated.or_zero(), *id).is_some();
    let refused = match ids.len() {
        0 => Some(1_199_010),
        501.. => Some(1_199_035),
        count if distinct.len() < count || !ids.iter().all(is_there) => Some(1_199_006),
        _ => None,
    };
    if let Some(code) = refused {
        return (request, Expect::refused(code));
    }
    let done = Expect::done(move |world, data| {
        ids.iter().for_each(|id| world.remove_instance(*id));
        same("data", data, &Value::Null)
    });
    (request, done)
}

pub fn list_details(world: &World, list: &DetailsIn) -> (Request, Expect) {
    let DetailsIn { business, module, host, hosts, ids: of, selectors, page } = list;
    let (business, page) = (*business, *page);
    let used: Vec<i64> = world.instances.iter().map(|instance| instance.module).collect();
    let module = module.map(|pick| World::resolve(pick, &used, &world.module_ids()));
    let one_host = host.map(|pick| World::resolve(pick, &world.host_ids(), &world.host_ids())).filter(|id| *id != 0);
    let hosts: Vec<i64> =
        hosts.iter().map(|pick| World::resolve(*pick, &world.host_ids(), &world.host_ids())).collect();
    let of: Option<Vec<i64>> = of
        .as_ref()
        .map(|of| of.iter().map(|pick| World::resolve(*pick, &world.instance_ids(), &world.instance_ids())).collect());
    let stated = world.state(business, module.and_then(|id| world.module(id)).map(|module| module.business));
    let selectors_sent = labels::selectors_sent(selectors);
    let mut body = json!({"bk_host_list": hosts, "service_instance_ids": of, "selectors": selectors_sent});
    stated.put(&mut body, "bk_biz_id");
    if let Some(module) = module {
        body["bk_module_id"] = module.into();
    }
    if let Some(host) = one_host {
        body["bk_host_id"] = host.into();
    }
    if let Some(page) = page {
        body["page"] = page_body(page);
    }
    let request = Request::new("list_service_instance_detail", "/findmany/proc/service_instance/details", body);
    if stated.is_text() {
        return (request, Expect::refused(1_199_000));
    }
    let business = stated.or_zero();
    let usable = page.filter(|page| page.start >= 0 && (1..=1000).contains(&page.limit));
    let (Some(page), true) = (usable, business > 0) else {
        let mut codes = Vec::new();
        codes.extend(usable.is_none().then_some(1_199_059));
        codes.extend((business <= 0 || (one_host.is_some() && !hosts.is_empty())).then_some(1_199_006));
        return (request, Expect::Refused(codes));
    };
    if (one_host.is_some() && !hosts.is_empty()) || !labels::are_selectors(selectors) {
        return (request, Expect::refused(1_199_006));
    }
    let matches = |instance: &&Instance| {
        instance.business == business
            && module.is_none_or(|id| id <= 0 || instance.module == id)
            && one_host.is_none_or(|host| instance.host == host)
            && (hosts.is_empty() || hosts.contains(&instance.host))
            && of.as_ref().is_none_or(|of| of.contains(&instance.id))
            && labels::select(selectors, instance)
    };
    let found: Vec<i64> = world.instances.iter().filter(matches).map(|instance| instance.id).collect();
    let count = found.len();
    let rows = paged(found.into_iter(), page);
    let want: Vec<Value> = rows.iter().map(|id| detail(world, *id)).collect();
    let done = Expect::done(move |_, data| {
        same("count", &data["count"], &json!(count))?;
        let rows = data["info"].as_array().ok_or("no info")?;
        for (row, want) in rows.iter().zip(&want) {
            same_detail(row, want)?;
        }
        same("the number of instances", rows.len(), want.len())
    });
    (request, done)
}

/// The fixed fields of a process in `list_service_instance_detail`, but for the times.
const FIXED: [&str; 22] = [
    "proc_num",
    "stop_cmd",
    "restart_cmd",
    "face_stop_cmd",
    "bk_process_id",
    "bk_func_name",
    "work_path",
    "priority",
    "reload_cmd",
    "bk_process_name",
    "pid_file",
    "auto_start",
    "bk_start_check_secs",
    "bk_biz_id",
    "start_cmd",
    "user",
    "timeout",
    "description",
    "bk_supplier_account",
    "bk_start_param_regex",
    "service_instance_id",
    "bind_info",
];

/// An instance with its processes.
pub fn detail(world: &World, id: i64) -> Value {
    let mut document = world.instance_document(world.instance(id).unwrap());
    let processes: Vec<Value> = world
        .processes_of(id)
        .map(|process| {
            let fields = crate::topology::only(&process.fields.clone().into(), &FIXED);
            json!({"process": fields, "relation": world.relation(process)})
        })
        .collect();
    document.insert("process_instances".into(), processes.into());
    document.into()
}

/// Compares an answered instance with its processes.
pub fn same_detail(row: &Value, want: &Value) -> Result<(), String> {
    for key in INSTANCE_KEYS {
        same(key, &row[key], &want[key])?;
    }
    let none = Vec::new();
    let got = row["process_instances"].as_array().unwrap_or(&none);
    let want = want["process_instances"].as_array().unwrap();
    same("the number of processes", got.len(), want.len())?;
    for (got, want) in got.iter().zip(want) {
        same("a relation", &got["relation"], &want["relation"])?;
        let mut fields = got["process"].as_object().ok_or("no process")?.clone();
        for time in ["create_time", "last_time"] {
            check_time(&fields.remove(time).unwrap_or_default())?;
        }
        same("a process", &Value::Object(fields), &want["process"])?;
    }
    Ok(())
}

pub fn check_time(value: &Value) -> Result<(), String> {
    let text = value.as_str().unwrap_or_default();
    if text.len() == 29 && text.ends_with("+08:00") {
        return Ok(());
    }
    Err(format!("{value} is no time of the server"))
}

pub fn list_processes(world: &World, business: Biz, instance: Pick) -> (Request, Expect) {
    let id = World::resolve(instance, &world.instance_ids(), &world.instance_ids());
    let stated = world.state(business, world.instance(id).map(|instance| instance.business));
    let mut body = json!({"service_instance_id": id});
    stated.put(&mut body, "bk_biz_id");
    let request = Request::new("list_process_instance", "/findmany/proc/process_instance", body);
    if stated.is_text() {
        return (request, Expect::refused(1_199_000));
    }
    if id == 0 || stated.id().is_some_and(|id| id <= 0) {
        return (request, Expect::refused(1_199_006));
    }
    let of_business = |instance: &&Instance| stated.id().is_none_or(|id| instance.business == id);
    let is_there = world.instance(id).filter(of_business).is_some();
    let want = if is_there { listed(world, id) } else { Vec::new() };
    (request, Expect::done(move |_, data| same_list(data, &want)))
}

/// The processes of an instance as `list_process_instance` answers them, but for the times.
pub fn listed(world: &World, instance: i64) -> Vec<Value> {
    let processes = world.processes_of(instance);
    processes.map(|process| json!({"property": process.fields, "relation": world.relation(process)})).collect()
}

/// Compares an answered list of processes.
pub fn same_list(data: &Value, want: &[Value]) -> Result<(), String> {
    let got = data.as_array().ok_or("no list")?;
    same("the number of processes", got.len(), want.len())?;
    for (got, want) in got.iter().zip(want) {
        same("a relation", &got["relation"], &want["relation"])?;
        let mut property = got["property"].as_object().ok_or("no property")?.clone();
        for time in ["create_time", "last_time", "bk_created_at", "bk_updated_at"] {
            check_time(&property.remove(time).unwrap_or_default())?;
        }
        same("a property", &Value::Object(property), &want["property"])?;
    }
    Ok(())
}
