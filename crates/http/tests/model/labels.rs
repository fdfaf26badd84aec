//! Labels of service instances and conditions on them (`instances` 10.9 to 10.12, 12.1).

use crate::instances::named_instances;
use crate::ops::{Biz, LabelsIn, Pick, SelectorIn};
use crate::world::*;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

type Labels = BTreeMap<String, String>;

/// Letters, digits and, inside, `-`, `_` and `.`.
fn is_text(text: &str, begins: fn(&char) -> bool) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    text.chars().next().as_ref().is_some_and(begins)
        && text.chars().last().is_some_and(|last| last.is_ascii_alphanumeric())
        && text.chars().all(inner)
}

fn is_key(key: &str) -> bool {
    is_text(key, char::is_ascii_alphabetic)
}

fn are_labels(labels: &Labels) -> bool {
    let is_value = |value: &str| is_text(value, char::is_ascii_alphanumeric);
    labels.iter().all(|(key, value)| is_key(key) && is_value(value) && key.len() <= 63 && value.len() <= 63)
}

fn read(labels: &LabelsIn) -> Labels {
    labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

/// The selectors as they are sent.
pub fn selectors_sent(selectors: &[SelectorIn]) -> Value {
    let sent = selectors.iter().map(|it| json!({"key": it.key, "operator": it.operator, "values": it.values}));
    sent.collect::<Vec<_>>().into()
}

pub fn are_selectors(selectors: &[SelectorIn]) -> bool {
    selectors.iter().all(|it| {
        let is_count = match it.operator {
            "=" | "!=" => it.values.len() == 1,
            "in" | "notin" => !it.values.is_empty(),
            "exists" | "!" => it.values.is_empty(),
            _ => false,
        };
        is_count && is_key(it.key)
    })
}

/// Whether an instance meets all selectors; those with `!` and `notin` are the complements of the others (I-22).
pub fn select(selectors: &[SelectorIn], instance: &Instance) -> bool {
    selectors.iter().all(|it| {
        let value = instance.labels.as_ref().and_then(|labels| labels.get(it.key));
        match it.operator {
            "=" | "in" => value.is_some_and(|value| it.values.contains(&value.as_str())),
            "!=" | "notin" => value.is_none_or(|value| !it.values.contains(&value.as_str())),
            "exists" => value.is_some(),
            _ => value.is_none(),
        }
    })
}

/// What a call does to labels.
#[derive(Debug, Clone)]
pub enum Change {
    /// Twice is once, and in any order for other keys (I-21).
    Add(Labels),
    Remove(Vec<&'static str>),
    Replace(Option<Labels>),
}

impl Change {
    fn apply(&self, labels: Option<Labels>) -> Option<Labels> {
        match self {
            Self::Add(added) if added.is_empty() => labels,
            Self::Add(added) => Some(labels.unwrap_or_default().into_iter().chain(added.clone()).collect()),
            Self::Remove(keys) => {
                let mut labels = labels.unwrap_or_default();
                labels.retain(|key, _| !keys.contains(&key.as_str()));
                Some(labels)
            }
            Self::Replace(labels) => labels.clone(),
        }
    }

    fn is_good(&self) -> bool {
        match self {
            Self::Add(labels) | Self::Replace(Some(labels)) => are_labels(labels),
            Self::Remove(_) | Self::Replace(None) => true,
        }
    }
}

pub fn add(world: &World, business: Biz, instances: &[Pick], labels: Option<&LabelsIn>) -> (Request, Expect) {
    let (stated, ids) = named_instances(world, business, instances);
    change(world, stated, ids, Change::Add(labels.map(read).unwrap_or_default()))
}

pub fn remove(world: &World, business: Biz, instances: &[Pick], keys: &[&'static str]) -> (Request, Expect) {
    let (stated, ids) = named_instances(world, business, instances);
    change(world, stated, ids, Change::Remove(keys.to_vec()))
}

pub fn replace(world: &World, business: Biz, instances: &[Pick], labels: Option<&LabelsIn>) -> (Request, Expect) {
    let (stated, ids) = named_instances(world, business, instances);
    change(world, stated, ids, Change::Replace(labels.map(read)))
}

/// A change of the labels of all these instances, or of none.
pub fn change(world: &World, stated: Stated, ids: Vec<i64>, change: Change) -> (Request, Expect) {
    let mut body = json!({"instance_ids": ids});
    stated.put(&mut body, "bk_biz_id");
    let (request, max) = match &change {
        Change::Add(labels) => {
            body["labels"] = json!(labels);
            let path = "/createmany/proc/service_instance/labels";
            (Request::new("add_label_for_service_instance", path, body), 100)
        }
        Change::Remove(keys) => {
            body["keys"] = json!(keys);
            let path = "/deletemany/proc/service_instance/labels";
            (Request::new("remove_label_from_service_instance", path, body).by("DELETE"), 500)
        }
        Change::Replace(labels) => {
            body["labels"] = json!(labels);
            let path = "/updatemany/proc/service_instance/labels";
            (Request::new("post_updatemany_proc_service_instance_labels", path, body).backend_only(), usize::MAX)
        }
    };
    if stated.is_text() {
        return (request, Expect::refused(1_199_000));
    }
    if ids.is_empty() || ids.len() > max {
        return (request, Expect::refused(if ids.is_empty() { 1_199_010 } else { 1_199_035 }));
    }
    let business = stated.or_zero();
    if !change.is_good() || ids.iter().any(|id| world.instance_in(business, *id).is_none()) {
        return (request, Expect::refused(1_199_006));
    }
    let done = Expect::done(move |world, data| {
        same("data", data, &Value::Null)?;
        let distinct: BTreeSet<i64> = ids.into_iter().collect();
        let mut changed = 0;
        for instance in world.instances.iter_mut().filter(|instance| distinct.contains(&instance.id)) {
            let labels = change.apply(instance.labels.clone());
            changed += usize::from(labels != instance.labels);
            instance.labels = labels;
        }
        // Where nothing is different nothing is told (`design` §1, promise 3).
        world.audit("service_instance", "update", changed);
        world.event(INSTANCE, UPDATE, changed);
        Ok(())
    });
    (request, done)
}

/// The values of all labels by their keys, in the order of the instances (I-23).
pub fn gathered(world: &World, business: i64, module: Option<i64>) -> Value {
    let mut all: Map<String, Value> = Map::new();
    let instances =
        world.instances.iter().filter(|it| it.business == business && module.is_none_or(|id| it.module == id));
    for (key, value) in instances.filter_map(|instance| instance.labels.as_ref()).flatten() {
        let values = all.entry(key.clone()).or_insert_with(|| json!([])).as_array_mut().unwrap();
        if !values.contains(&json!(value)) {
            values.push(json!(value));
        }
    }
    all.into()
}

pub fn aggregate(world: &World, business: Biz, module: Option<Pick>) -> (Request, Expect) {
    let used: Vec<i64> = world.instances.iter().map(|instance| instance.module).collect();
    let module = module.map(|pick| World::resolve(pick, &used, &world.module_ids()));
    let stated = world.state(business, module.and_then(|id| world.module(id)).map(|module| module.business));
    let mut body = json!({});
    stated.put(&mut body, "bk_biz_id");
    if let Some(module) = module {
        body["bk_module_id"] = module.into();
    }
    let name = "post_findmany_proc_service_instance_labels_aggregation";
    let request = Request::new(name, "/findmany/proc/service_instance/labels/aggregation", body).backend_only();
    if stated.is_text() {
        return (request, Expect::refused(1_199_000));
    }
    if stated.or_zero() <= 0 {
        return (request, Expect::refused(1_199_011));
    }
    let want = gathered(world, stated.or_zero(), module);
    (request, Expect::done(move |_, data| same("the labels", data, &want)))
}
