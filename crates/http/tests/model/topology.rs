//! Businesses, sets, modules, hosts and where these are (`topology` §5 to §10).

use crate::ops::{Biz, HostIn, PageIn, Parent, Pick};
use crate::support::TestApp;
use crate::world::*;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::rc::Rc;

const NAME_CODES: [i64; 2] = [1_199_006, 1_199_011];

/// Names of sets and modules hold no blanks and none of these.
fn is_node_name(name: &str) -> bool {
    !name.contains(['\\', '|', '/', ':', '*', ',', '<', '>', '"', '?', '#', ' '])
}

pub fn create_business(world: &World, app: &Rc<TestApp>, name: &'static str) -> (Request, Expect) {
    let body = json!({"bk_biz_name": name, "bk_biz_maintainer": "ops"});
    let request = Request::new("create_business", "/biz/0", body.clone()).esb(json!({"data": body}));
    let name = name.trim();
    if name.is_empty() {
        return (request, Expect::Refused(vec![1_199_010, 1_199_006]));
    }
    if world.businesses.iter().any(|business| business.name == name) {
        return (request, Expect::refused(1_199_014));
    }
    let app = app.clone();
    let done = Expect::done(move |world, data| {
        same("the name", &data["bk_biz_name"], &json!(name))?;
        same("default", &data["default"], &json!(0))?;
        world.add_business(&app, data["bk_biz_id"].as_i64().ok_or("no id")?, name)
    });
    (request, done)
}

pub fn create_set(world: &World, business: Biz, name: &'static str, parent: Parent) -> (Request, Expect) {
    let id = world.state_in_path(business, Some(2));
    let mut body = json!({"bk_set_name": name});
    match parent {
        Parent::Right => body["bk_parent_id"] = id.into(),
        Parent::Wrong => body["bk_parent_id"] = (id + 1).into(),
        Parent::Missing => {}
    }
    let esb = json!({"bk_biz_id": id, "data": body});
    let request = Request::new("create_set", format!("/set/{id}"), body).esb(esb);
    let name = name.trim();
    let mut wrong: Vec<Vec<i64>> = Vec::new();
    if world.business(id).is_none() || !matches!(parent, Parent::Right) {
        wrong.push(vec![]);
    }
    if name.is_empty() {
        wrong.push(vec![1_199_010, 1_199_006]);
    } else if !is_node_name(name) {
        wrong.push(NAME_CODES.to_vec());
    } else if world.sets.iter().any(|set| set.business == id && set.name == name) {
        wrong.push(vec![1_101_108]);
    }
    let done = Expect::refused_for(&wrong).unwrap_or_else(|| {
        Expect::done(move |world, data| {
            let set = data["bk_set_id"].as_i64().ok_or("no id")?;
            world.fresh("set", set)?;
            let told = (&data["bk_biz_id"], &data["bk_parent_id"], &data["bk_set_name"], &data["default"]);
            same("the set", told, (&json!(id), &json!(id), &json!(name), &json!(0)))?;
            world.sets.push(Set { id: set, business: id, name: name.into(), kind: 0 });
            world.audit("set", "create", 1);
            world.event(SET, CREATE, 1);
            Ok(())
        })
    });
    (request, done)
}

pub fn create_module(
    world: &World,
    business: Biz,
    set: Pick,
    name: &'static str,
    parent: Parent,
    category: Option<i64>,
) -> (Request, Expect) {
    let ordinary: Vec<i64> = world.sets.iter().filter(|set| set.kind == 0).map(|set| set.id).collect();
    let set = World::resolve(set, &ordinary, &world.set_ids());
    let id = world.state_in_path(business, world.set(set).map(|set| set.business));
    let mut body = json!({"bk_module_name": name});
    match parent {
        Parent::Right => body["bk_parent_id"] = set.into(),
        Parent::Wrong => body["bk_parent_id"] = (set + 1).into(),
        Parent::Missing => {}
    }
    if let Some(category) = category {
        body["service_category_id"] = category.into();
    }
    let esb = json!({"bk_biz_id": id, "bk_set_id": set, "data": body});
    let request = Request::new("create_module", format!("/module/{id}/{set}"), body).esb(esb);
    let name = name.trim();
    let mut wrong: Vec<Vec<i64>> = Vec::new();
    match world.set(set).filter(|set| set.business == id) {
        None if id > 0 => wrong.push(vec![1_199_011]),
        None => wrong.push(vec![]),
        Some(set) if set.kind != 0 => wrong.push(vec![]),
        Some(_) => {}
    }
    match parent {
        Parent::Right => {}
        Parent::Wrong => wrong.push(vec![1_199_006]),
        Parent::Missing => wrong.push(vec![1_199_010]),
    }
    // Whether a top category will do, `topology` 7.1 and `templates` 8 say differently: none is asked for.
    match category {
        Some(99) => wrong.push(vec![1_199_019]),
        Some(..0) => wrong.push(vec![]),
        _ => {}
    }
    if name.is_empty() {
        wrong.push(vec![1_199_010, 1_199_006]);
    } else if !is_node_name(name) {
        wrong.push(NAME_CODES.to_vec());
    } else if world.modules.iter().any(|module| module.set == set && module.name == name) {
        wrong.push(vec![1_199_014]);
    }
    let category = category.filter(|id| *id != 0).unwrap_or(2);
    let done = Expect::refused_for(&wrong).unwrap_or_else(|| {
        Expect::done(move |world, data| {
            let module = data["bk_module_id"].as_i64().ok_or("no id")?;
            world.fresh("module", module)?;
            let told = (&data["bk_biz_id"], &data["bk_set_id"], &data["bk_parent_id"], &data["bk_module_name"]);
            same("the module", told, (&json!(id), &json!(set), &json!(set), &json!(name)))?;
            same("its category", &data["service_category_id"], &json!(category))?;
            world.modules.push(Module { id: module, business: id, set, name: name.into(), kind: 0, category });
            world.audit("module", "create", 1);
            world.event(MODULE, CREATE, 1);
            Ok(())
        })
    });
    (request, done)
}

/// As [`World::state`], never as a text: some of these operations take digits at the ESB door.
fn state(world: &World, business: Biz, fits: Option<i64>) -> Stated {
    match world.state(business, fits) {
        Stated::Text(id) => Stated::Is(id),
        stated => stated,
    }
}

/// The addresses of a host as stored; `None` when they are unusable or missing.
fn addresses(host: &HostIn) -> Option<Vec<String>> {
    let addresses: Vec<String> = host.address?.split(',').map(str::to_owned).collect();
    addresses.iter().all(|address| address.split('.').count() == 4).then_some(addresses)
}

fn host_body(world: &World, host: &HostIn) -> Value {
    let mut body = json!({});
    if let Some(address) = host.address {
        body["bk_host_innerip"] = address.into();
    }
    if let Some(comment) = host.comment {
        body["bk_comment"] = comment.into();
    }
    if let Some(id) = host_named(world, host) {
        body["bk_host_id"] = id.into();
    }
    body
}

fn host_named(world: &World, host: &HostIn) -> Option<i64> {
    host.id.map(|pick| World::resolve(pick, &world.host_ids(), &world.host_ids()))
}

/// The hosts that hold one of these addresses.
fn holders(world: &World, addresses: &[String]) -> BTreeSet<i64> {
    let holds = |host: &&Host| host.addresses.iter().any(|address| addresses.contains(address));
    world.hosts.iter().filter(holds).map(|host| host.id).collect()
}

/// Whether two of these hosts share an address.
fn overlap(hosts: &[Vec<String>]) -> bool {
    let mut seen = BTreeSet::new();
    hosts.iter().flatten().any(|address| !seen.insert(address))
}

fn add_hosts(world: &mut World, idle: i64, new: Vec<(i64, Vec<String>, Option<&'static str>)>) -> Result<(), String> {
    world.audit("host", "create", new.len());
    world.event(HOST, CREATE, new.len());
    world.event(HOST_MODULE, CREATE, new.len());
    for (id, addresses, comment) in new {
        world.fresh("host", id)?;
        world.places.insert((idle, id));
        world.hosts.push(Host { id, addresses, comment: comment.unwrap_or("").into() });
    }
    Ok(())
}

pub fn add_to_idle(world: &World, business: Biz, hosts: &[HostIn]) -> (Request, Expect) {
    let stated = state(world, business, Some(2));
    let list: Vec<Value> = hosts
        .iter()
        .map(|host| {
            let mut body = host_body(world, host);
            body.as_object_mut().unwrap().remove("bk_host_id");
            body
        })
        .collect();
    let mut body = json!({"bk_host_list": list});
    stated.put(&mut body, "bk_biz_id");
    let request = Request::new("add_host_to_business_idle", "/hosts/add/business_idle", body);
    let business = stated.or_zero();
    let mut wrong: Vec<Vec<i64>> = Vec::new();
    match business {
        0 => wrong.push(vec![1_199_010]),
        // The pool has an operation of its own.
        POOL => wrong.push(vec![]),
        id if world.business(id).is_none() => wrong.push(vec![]),
        _ => {}
    }
    if hosts.is_empty() {
        wrong.push(vec![1_199_010]);
    }
    let new: Vec<_> = hosts.iter().filter_map(addresses).collect();
    if new.len() < hosts.len() {
        wrong.push(vec![]);
    }
    if overlap(&new) || !holders(world, &new.concat()).is_empty() {
        wrong.push(vec![1_199_014]);
    }
    let comments: Vec<_> = hosts.iter().map(|host| host.comment).collect();
    let done = Expect::refused_for(&wrong).unwrap_or_else(|| {
        Expect::done(move |world, data| {
            let told = ids(&data["bk_host_ids"])?;
            same("the number of ids", told.len(), new.len())?;
            let idle = world.built_in(business, 1).unwrap().id;
            let new = told.into_iter().zip(new).zip(comments);
            add_hosts(world, idle, new.map(|((id, addresses), comment)| (id, addresses, comment)).collect())
        })
    });
    (request, done)
}

pub fn add_to_resource(world: &World, app: &Rc<TestApp>, business: Biz, rows: &[HostIn]) -> (Request, Expect) {
    let stated = state(world, business, Some(POOL));
    let info: Map<String, Value> =
        rows.iter().enumerate().map(|(i, host)| (i.to_string(), host_body(world, host))).collect();
    let mut body = json!({"host_info": info});
    stated.put(&mut body, "bk_biz_id");
    let request = Request::new("add_host_to_resource", "/hosts/add", body);
    let business = match stated.or_zero() {
        0 => POOL,
        id => id,
    };
    let mut wrong: Vec<Vec<i64>> = Vec::new();
    if world.business(business).is_none() {
        wrong.push(vec![1_101_033]);
    }
    let (mut new, mut changed) = (Vec::new(), Vec::new());
    for row in rows {
        let held = holders(world, &addresses(row).unwrap_or_default());
        match (host_named(world, row), held.len()) {
            (Some(id), _) if world.host(id).is_some() => changed.push((id, row.comment)),
            (Some(_), _) => wrong.push(vec![1_110_004]),
            (None, 1) => changed.push((*held.first().unwrap(), row.comment)),
            (None, 0) => match addresses(row) {
                Some(addresses) => new.push((addresses, row.comment)),
                None => wrong.push(vec![1_110_004]),
            },
            // One host cannot be two.
            _ => wrong.push(vec![1_110_004]),
        }
    }
    let new_addresses: Vec<_> = new.iter().map(|(addresses, _)| addresses.clone()).collect();
    let distinct: BTreeSet<i64> = changed.iter().map(|(id, _)| *id).collect();
    if overlap(&new_addresses) || distinct.len() < changed.len() {
        wrong.push(vec![1_110_004]);
    }
    let (count, app) = (rows.len(), app.clone());
    let done = Expect::refused_for(&wrong).unwrap_or_else(|| {
        Expect::done(move |world, data| {
            let rows: Vec<String> = (0..count).map(|row| row.to_string()).collect();
            same("the rows", &data["success"], &json!(rows))?;
            for (id, comment) in &changed {
                let host = world.hosts.iter_mut().find(|host| host.id == *id).unwrap();
                if let Some(comment) = comment {
                    host.comment = (*comment).to_owned();
                }
            }
            world.audit("host", "update", changed.len());
            world.event(HOST, UPDATE, changed.len());
            // The answer tells no ids; the list of the business does, and ids rise in order of the rows.
            let list = json!({"page": {"start": 0, "limit": 1000, "sort": "bk_host_id"}, "fields": ["bk_host_id"]});
            let list = app.post(&format!("/hosts/app/{business}/list_hosts"), list).data();
            let listed = list["info"].as_array().ok_or("no info")?.iter().filter_map(|row| row["bk_host_id"].as_i64());
            let next: Vec<i64> = listed.filter(|id| world.host(*id).is_none()).collect();
            same("the number of new hosts", next.len(), new.len())?;
            let idle = world.built_in(business, 1).unwrap().id;
            let new = next.into_iter().zip(new);
            add_hosts(world, idle, new.map(|(id, (addresses, comment))| (id, addresses, comment)).collect())
        })
    });
    (request, done)
}

/// Absent hosts are told of before those of other businesses (`topology` 10.1, checks 5 and 6).
fn wrong_hosts(world: &World, business: i64, hosts: &[i64]) -> Option<Expect> {
    if hosts.is_empty() {
        return Some(Expect::Refused(Vec::new()));
    }
    if hosts.iter().any(|host| world.host(*host).is_none()) {
        return Some(Expect::Refused(vec![1_199_011, 1_113_003]));
    }
    let foreign = hosts.iter().any(|host| world.business_of_host(*host) != Some(business));
    foreign.then(|| Expect::refused(1_113_002))
}

/// Puts hosts into exactly these modules, and into those they are in already when it is an increment.
fn move_hosts(world: &mut World, hosts: &[i64], targets: &BTreeSet<i64>, is_increment: bool, action: &'static str) {
    let hosts: BTreeSet<i64> = hosts.iter().copied().collect();
    for host in hosts {
        let before = world.modules_of(host);
        let mut after = targets.clone();
        if is_increment {
            let kept = before.iter().filter(|module| world.module(**module).is_some_and(|module| module.kind == 0));
            after.extend(kept);
        }
        if before == after {
            continue;
        }
        let of_host = world.instances.iter().filter(|instance| instance.host == host);
        let gone: Vec<i64> = of_host.filter(|gone| !after.contains(&gone.module)).map(|gone| gone.id).collect();
        for instance in gone {
            world.remove_instance(instance);
        }
        world.event(HOST_MODULE, DELETE, before.difference(&after).count());
        world.event(HOST_MODULE, CREATE, after.difference(&before).count());
        world.audit("host", action, 1);
        world.places.retain(|(_, at)| *at != host);
        world.places.extend(after.into_iter().map(|module| (module, host)));
    }
}

fn null(data: &Value) -> Result<(), String> {
    same("the payload", data, &Value::Null)
}

pub fn transfer(
    world: &World,
    business: Biz,
    hosts: &[Pick],
    modules: &[Pick],
    is_increment: bool,
) -> (Request, Expect) {
    // The hosts of the first host's business are near each other, so are its modules.
    let first = hosts.first().map(|pick| World::resolve(*pick, &world.host_ids(), &world.host_ids()));
    let fits = match business {
        Biz::Any(_) => state(world, business, None).id(),
        _ => first.and_then(|host| world.business_of_host(host)),
    };
    let near = fits.map(|id| world.hosts_of(id)).unwrap_or_default();
    let hosts: Vec<i64> = hosts.iter().map(|pick| World::resolve(*pick, &near, &world.host_ids())).collect();
    let near = world.ordinary_modules(fits);
    let modules: Vec<i64> = modules.iter().map(|pick| World::resolve(*pick, &near, &world.module_ids())).collect();
    let stated = state(world, business, fits);
    let mut body = json!({"bk_host_id": hosts, "bk_module_id": modules, "is_increment": is_increment});
    stated.put(&mut body, "bk_biz_id");
    let request = Request::new("transfer_host_module", "/hosts/modules", body);
    let business = stated.or_zero();
    let targets: Vec<_> =
        modules.iter().map(|id| world.module(*id).filter(|module| module.business == business)).collect();
    let refused = if business <= 0 || modules.is_empty() {
        Some(Expect::Refused(if world.business(business).is_some() || business <= 0 {
            vec![]
        } else {
            vec![1_113_006]
        }))
    } else if world.business(business).is_none() {
        Some(Expect::refused(1_113_006))
    } else if targets.iter().any(Option::is_none) {
        Some(Expect::refused(1_101_080))
    } else if targets.iter().flatten().any(|module| module.kind != 0) {
        Some(Expect::Refused(vec![1_113_013, 1_113_005]))
    } else {
        wrong_hosts(world, business, &hosts)
    };
    let targets: BTreeSet<i64> = modules.into_iter().collect();
    let done = refused.unwrap_or_else(|| {
        Expect::done(move |world, data| {
            move_hosts(world, &hosts, &targets, is_increment, "transfer_host_module");
            null(data)
        })
    });
    (request, done)
}

pub fn transfer_to_idle(world: &World, business: Biz, hosts: &[Pick]) -> (Request, Expect) {
    let first = hosts.first().map(|pick| World::resolve(*pick, &world.host_ids(), &world.host_ids()));
    let fits = first.and_then(|host| world.business_of_host(host));
    let near = fits.map(|id| world.hosts_of(id)).unwrap_or_default();
    let hosts: Vec<i64> = hosts.iter().map(|pick| World::resolve(*pick, &near, &world.host_ids())).collect();
    let stated = state(world, business, fits);
    let mut body = json!({"bk_host_id": hosts});
    stated.put(&mut body, "bk_biz_id");
    let request = Request::new("transfer_host_to_idlemodule", "/hosts/modules/idle", body);
    let business = stated.or_zero();
    let idle = world.built_in(business, 1).map(|module| module.id);
    let refused = match idle {
        None if business <= 0 => Some(Expect::Refused(Vec::new())),
        None => Some(Expect::refused(1_110_030)),
        Some(_) => wrong_hosts(world, business, &hosts),
    };
    let done = refused.unwrap_or_else(|| {
        Expect::done(move |world, data| {
            move_hosts(world, &hosts, &idle.into_iter().collect(), false, "transfer_host_module");
            null(data)
        })
    });
    (request, done)
}

pub fn transfer_from_pool(world: &World, business: Biz, hosts: &[Pick]) -> (Request, Expect) {
    // Those in the pool's idle module; it has no directories here.
    let near = world.built_in(POOL, 1).map(|idle| world.hosts_in(idle.id)).unwrap_or_default();
    let hosts: Vec<i64> = hosts.iter().map(|pick| World::resolve(*pick, &near, &world.host_ids())).collect();
    let stated = state(world, business, Some(2));
    let mut body = json!({"bk_host_id": hosts});
    stated.put(&mut body, "bk_biz_id");
    let request = Request::new("transfer_resourcehost_to_idlemodule", "/hosts/modules/resource/idle", body);
    let business = stated.or_zero();
    let in_pool = hosts.iter().all(|host| near.contains(host));
    let refused = match world.business(business) {
        _ if business <= 0 || business == POOL => Some(Expect::Refused(Vec::new())),
        None => Some(Expect::refused(1_199_019)),
        Some(_) if !in_pool => Some(Expect::refused(1_110_056)),
        Some(_) => None,
    };
    let idle = world.built_in(business, 1).map(|module| module.id);
    let done = refused.unwrap_or_else(|| {
        Expect::done(move |world, data| {
            move_hosts(world, &hosts, &idle.into_iter().collect(), false, "assign_host");
            null(data)
        })
    });
    (request, done)
}

/// A host as lists answer it, as far as requests here speak of it.
pub fn host_row(host: &Host) -> Value {
    json!({"bk_host_id": host.id, "bk_host_innerip": host.addresses.join(","), "bk_comment": host.comment, "bk_cloud_id": 0})
}

pub fn list_hosts(
    world: &World,
    business: Biz,
    sets: &[Pick],
    modules: &[Pick],
    page: Option<PageIn>,
) -> (Request, Expect) {
    let modules: Vec<i64> =
        modules.iter().map(|pick| World::resolve(*pick, &world.ordinary_modules(None), &world.module_ids())).collect();
    let sets: Vec<i64> = sets.iter().map(|pick| World::resolve(*pick, &world.set_ids(), &world.set_ids())).collect();
    let fits = modules.first().and_then(|id| world.module(*id)).map(|module| module.business);
    let id = match world.state_in_path(business, fits) {
        id if id <= 0 => UNKNOWN,
        id => id,
    };
    let mut body = json!({"bk_set_ids": sets, "bk_module_ids": modules});
    if let Some(page) = page {
        let sort = if page.newest_first { "-bk_host_id" } else { "bk_host_id" };
        body["page"] = json!({"start": page.start, "limit": page.limit, "sort": sort});
    }
    let mut esb = body.clone();
    esb["bk_biz_id"] = id.into();
    let request = Request::new("list_biz_hosts", format!("/hosts/app/{id}/list_hosts"), body).esb(esb);
    let Some(page) = page.filter(|page| page.start >= 0 && (1..=1000).contains(&page.limit)) else {
        return (request, Expect::refused(1_199_006));
    };
    let matches = |(at, _): &&(i64, i64)| {
        let module = world.module(*at).unwrap();
        module.business == id
            && (modules.is_empty() || modules.contains(at))
            && (sets.is_empty() || sets.contains(&module.set))
    };
    let found: BTreeSet<i64> = world.places.iter().filter(matches).map(|(_, host)| *host).collect();
    let rows = paged(found.iter().copied(), page);
    let want: Vec<Value> = rows.iter().map(|id| host_row(world.host(*id).unwrap())).collect();
    let count = found.len();
    let done = Expect::done(move |_, data| {
        same("count", &data["count"], &json!(count))?;
        let rows = data["info"].as_array().ok_or("no info")?;
        let got: Vec<Value> =
            rows.iter().map(|row| only(row, &["bk_host_id", "bk_host_innerip", "bk_comment", "bk_cloud_id"])).collect();
        same("the hosts", got, want)
    });
    (request, done)
}

/// A page of these ids, which come in rising order.
pub fn paged(ids: impl Iterator<Item = i64>, page: PageIn) -> Vec<i64> {
    let mut ids: Vec<i64> = ids.collect();
    if page.newest_first {
        ids.reverse();
    }
    let (start, limit) = (usize::try_from(page.start).unwrap(), usize::try_from(page.limit).unwrap());
    let limit = if limit == 0 { ids.len() } else { limit };
    ids.into_iter().skip(start).take(limit).collect()
}

/// These members of an object.
pub fn only(row: &Value, keys: &[&str]) -> Value {
    keys.iter().map(|key| ((*key).to_owned(), row[*key].clone())).collect::<Map<_, _>>().into()
}
