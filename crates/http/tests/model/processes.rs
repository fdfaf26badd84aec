//! Changes and removals of processes (`instances` 10.14 to 10.16; `design` §4).

use crate::instances::first_bad_or_clash;
use crate::ops::{Biz, IdIn, Pick, UpdateIn};
use crate::process::{self, Scope};
use crate::world::*;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

const MISTYPED: i64 = 1_199_000;
const DUPLICATE: i64 = 1_199_014;

/// The ids of the processes of an instance, then those of the others of its business; and that business.
pub fn near(world: &World, n: usize) -> (Option<i64>, Vec<i64>) {
    let Some(first) = world.processes.get(n % world.processes.len().max(1)) else { return (None, Vec::new()) };
    let business = world.instance(first.instance).unwrap().business;
    let own = world.processes_of(first.instance).map(|process| process.id);
    let others = world.processes.iter().filter(|process| process.instance != first.instance);
    let others = others.filter(|process| world.instance(process.instance).unwrap().business == business);
    (Some(business), own.chain(others.map(|process| process.id)).collect())
}

pub fn process_ids(world: &World) -> Vec<i64> {
    world.processes.iter().map(|process| process.id).collect()
}

/// What picks stand for, and the business as stated.
pub fn named(world: &World, business: Biz, at: usize, picks: &[Pick]) -> (Stated, Vec<i64>) {
    let (fits, near) = near(world, at);
    let ids = picks.iter().map(|pick| World::resolve(*pick, &near, &process_ids(world)));
    (world.state(business, fits), ids.collect())
}

pub fn update_processes(world: &World, business: Biz, at: usize, entries: &[UpdateIn]) -> (Request, Expect) {
    let (fits, near) = near(world, at);
    let entries = entries.iter().map(|entry| {
        let mut sent = process::sent(&entry.process);
        let fields = sent.as_object_mut().unwrap();
        let resolve = |pick| World::resolve(pick, &near, &process_ids(world));
        match entry.id {
            IdIn::Is(pick) => _ = fields.insert("bk_process_id".into(), resolve(pick).into()),
            IdIn::Text(pick) => _ = fields.insert("bk_process_id".into(), resolve(pick).to_string().into()),
            IdIn::Missing => _ = fields.remove("bk_process_id"),
        }
        sent
    });
    update(world, world.state(business, fits), entries.collect())
}

/// Each process of an instance takes the names and the parameter of the next one: all of them are taken when it begins.
pub fn turn_names(world: &World, business: Biz, at: usize) -> Option<(Request, Expect)> {
    let first = world.processes.get(at % world.processes.len().max(1))?;
    let of_instance: Vec<_> = world.processes_of(first.instance).collect();
    let next = of_instance.iter().cycle().skip(1);
    let entries = of_instance.iter().zip(next).map(|(process, next)| {
        let mut sent = json!({"bk_process_id": process.id});
        for key in ["bk_process_name", "bk_func_name", "bk_start_param_regex"] {
            sent[key] = next.fields[key].clone();
        }
        sent
    });
    let entries: Vec<_> = entries.take(100).collect();
    let business = world.state(business, world.instance(first.instance).map(|instance| instance.business));
    Some(update(world, business, entries))
}

/// What is read can be sent back, and changes nothing but stamps (I-15, I-30).
pub fn send_back(world: &World, business: Biz, at: usize) -> Option<(Request, Expect)> {
    let first = world.processes.get(at % world.processes.len().max(1))?;
    let of_instance = world.processes_of(first.instance).take(100);
    let entries = of_instance.map(|process| process.fields.clone().into()).collect();
    let business = world.state(business, world.instance(first.instance).map(|instance| instance.business));
    Some(update(world, business, entries))
}

/// `instances` 10.14.
pub fn update(world: &World, stated: Stated, entries: Vec<Value>) -> (Request, Expect) {
    let mut body = json!({"processes": entries});
    stated.put(&mut body, "bk_biz_id");
    let request = Request::new("update_process_instance", "/update/proc/process_instance", body).by("PUT");
    if stated.is_text() {
        return (request, Expect::refused(MISTYPED));
    }
    let business = stated.or_zero();
    let ids: Vec<Option<i64>> = entries.iter().map(|entry| entry["bk_process_id"].as_i64()).collect();
    let mut wrong = Vec::new();
    if entries.len() > 100 {
        wrong.push(vec![1_199_035]);
    } else if ids.contains(&None) {
        wrong.push(vec![1_199_006]);
    }
    if business <= 0 {
        wrong.push(vec![1_199_006]);
    }
    if let Some(refused) = Expect::refused_for(&wrong) {
        return (request, refused);
    }
    let ids: Vec<i64> = ids.into_iter().flatten().collect();
    if ids.is_empty() {
        return (request, Expect::done(|_, data| same("data", data, &json!([]))));
    }
    if ids.iter().all(|id| world.process_in(business, *id).is_none()) {
        return (request, Expect::refused(1_199_010));
    }
    let mut mistyped = Vec::new();
    mistyped.extend(entries.iter().any(process::is_mistyped).then_some(MISTYPED));
    mistyped.extend(ids.contains(&0).then_some(1_199_006));
    if !mistyped.is_empty() {
        return (request, Expect::Refused(mistyped));
    }
    if ids.iter().any(|id| world.process_in(business, *id).is_none()) {
        return (request, Expect::refused(1_199_011));
    }
    // Of entries with one id the last one counts, at the place of the first (E70).
    let mut distinct: Vec<(i64, &Value)> = Vec::new();
    for (id, entry) in ids.iter().zip(&entries) {
        match distinct.iter_mut().find(|(other, _)| other == id) {
            Some(at) => at.1 = entry,
            None => distinct.push((*id, entry)),
        }
    }
    (request, carry_out(world, &distinct, Scope::Whole))
}

pub fn update_by_id(
    world: &World,
    business: Biz,
    at: usize,
    picks: &[Pick],
    data: &[(&'static str, &'static str)],
) -> (Request, Expect) {
    let (stated, ids) = named(world, business, at, picks);
    let data: Map<String, Value> =
        data.iter().map(|(key, value)| ((*key).to_owned(), serde_json::from_str(value).unwrap())).collect();
    by_id(world, stated, &ids, &data.into())
}

/// `instances` 10.15.
pub fn by_id(world: &World, stated: Stated, ids: &[i64], data: &Value) -> (Request, Expect) {
    let mut body = json!({"process_ids": ids, "update_data": data});
    stated.put(&mut body, "bk_biz_id");
    let path = "/update/proc/process_instance/by_ids";
    let request = Request::new("put_update_proc_process_instance_by_ids", path, body).by("PUT").backend_only();
    if stated.is_text() {
        return (request, Expect::refused(MISTYPED));
    }
    let business = stated.or_zero();
    if business <= 0 || ids.is_empty() {
        return (request, Expect::refused(1_199_006));
    }
    if ids.len() > 1000 {
        return (request, Expect::refused(1_199_081));
    }
    if data.as_object().unwrap().is_empty() || data.get("bk_process_id").is_some() {
        return (request, Expect::refused(1_199_006));
    }
    let mut there: Vec<(i64, &Value)> = Vec::new();
    for id in ids {
        if world.process_in(business, *id).is_some() && there.iter().all(|(other, _)| other != id) {
            there.push((*id, data));
        }
    }
    if there.is_empty() {
        return (request, Expect::refused(1_199_010));
    }
    if process::is_mistyped(data) {
        return (request, Expect::refused(MISTYPED));
    }
    (request, carry_out(world, &there, Scope::Named))
}

/// The processes after the update, unless one of them is wrong or two of an instance clash (I-4).
fn carry_out(world: &World, changes: &[(i64, &Value)], scope: Scope) -> Expect {
    let mut codes = Vec::new();
    let mut after: BTreeMap<i64, Map<String, Value>> = BTreeMap::new();
    for (id, sent) in changes {
        let process = world.process(*id).unwrap();
        let host = world.instance(process.instance).unwrap().host;
        let address = world.host(host).unwrap().addresses.join(",");
        match process::updated(&process.fields, sent, scope, &address) {
            Ok(fields) => _ = after.insert(*id, fields),
            Err(wrong) => codes.extend(wrong),
        }
    }
    let changed: BTreeSet<i64> = changes.iter().map(|(id, _)| *id).collect();
    let instances: BTreeSet<i64> = changed.iter().map(|id| world.process(*id).unwrap().instance).collect();
    for instance in &instances {
        let fields: Vec<_> = world
            .processes_of(*instance)
            .filter_map(|it| if changed.contains(&it.id) { after.get(&it.id) } else { Some(&it.fields) })
            .collect();
        let clash = (1..fields.len()).any(|i| fields[..i].iter().any(|other| process::clashes(fields[i], other)));
        codes.extend(clash.then_some(DUPLICATE));
    }
    if !codes.is_empty() {
        return Expect::Refused(first_bad_or_clash(&codes));
    }
    let told: Vec<i64> = changes.iter().map(|(id, _)| *id).collect();
    Expect::done(move |world, data| {
        same("data", ids(data)?, told)?;
        world.event(PROCESS, UPDATE, after.len());
        world.audit("service_instance", "update", instances.len());
        let user = world.user;
        for (id, mut fields) in after {
            // The process stays where it is and keeps its id (I-13, I-16); all else is stamps.
            fields.insert("bk_updated_by".into(), user.into());
            world.processes.iter_mut().find(|process| process.id == id).unwrap().fields = fields;
        }
        Ok(())
    })
}

pub fn delete_processes(world: &World, business: Biz, at: usize, picks: &[Pick]) -> (Request, Expect) {
    let (stated, ids) = named(world, business, at, picks);
    delete(stated, ids)
}

/// `instances` 10.16.
pub fn delete(stated: Stated, ids: Vec<i64>) -> (Request, Expect) {
    let mut body = json!({"process_instance_ids": ids});
    stated.put(&mut body, "bk_biz_id");
    let request = Request::new("delete_process_instance", "/delete/proc/process_instance", body).by("DELETE");
    if stated.is_text() {
        return (request, Expect::refused(MISTYPED));
    }
    let business = stated.or_zero();
    let mut wrong = Vec::new();
    match ids.len() {
        0 => wrong.push(vec![1_199_010]),
        501.. => wrong.push(vec![1_199_035]),
        _ => {}
    }
    if business <= 0 {
        wrong.push(vec![1_199_006]);
    }
    if let Some(refused) = Expect::refused_for(&wrong) {
        return (request, refused);
    }
    let done = Expect::done(move |world, data| {
        same("data", data, &Value::Null)?;
        let gone: BTreeSet<i64> = ids.into_iter().filter(|id| world.process_in(business, *id).is_some()).collect();
        let instances: BTreeSet<i64> = gone.iter().map(|id| world.process(*id).unwrap().instance).collect();
        for instance in instances {
            // An instance goes with its last process, and only then (I-19).
            if world.processes_of(instance).all(|process| gone.contains(&process.id)) {
                world.remove_instance(instance);
                continue;
            }
            let before = world.processes.len();
            world.processes.retain(|process| process.instance != instance || !gone.contains(&process.id));
            world.event(PROCESS, DELETE, before - world.processes.len());
            world.audit("service_instance", "update", 1);
        }
        Ok(())
    });
    (request, done)
}
