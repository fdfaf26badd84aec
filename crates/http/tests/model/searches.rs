//! Searches for processes beyond one instance (`instances` 10.18 to 10.21, 12.2).

use crate::instances::{check_time, instances_of};
use crate::ops::{Biz, Pick, RelatedIn, SortedPage};
use crate::processes::{named, process_ids};
use crate::world::*;
use serde_json::{Map, Value, json};
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

/// A filter: its JSON and what it matches, or how it is refused.
type Filter = (&'static str, Result<fn(&Fields) -> bool, i64>);
type Fields = Map<String, Value>;

fn is_name(fields: &Fields, names: &[&str]) -> bool {
    names.iter().any(|name| fields["bk_process_name"] == *name)
}

/// How many of them there are.
pub const FILTERS: usize = FILTER.len();

const FILTER: &[Filter] = &[
    (
        r#"{"condition":"AND","rules":[{"field":"bk_process_name","operator":"equal","value":"nginx"}]}"#,
        Ok(|fields| is_name(fields, &["nginx"])),
    ),
    (
        r#"{"condition":"OR","rules":[{"field":"bk_process_name","operator":"in","value":["nginx","kafka"]},
            {"field":"priority","operator":"greater_or_equal","value":10000}]}"#,
        Ok(|fields| is_name(fields, &["nginx", "kafka"]) || fields["priority"].as_i64().is_some_and(|n| n >= 10_000)),
    ),
    (
        r#"{"condition":"AND","rules":[{"field":"bk_process_name","operator":"not_in","value":["first"]},
            {"condition":"OR","rules":[{"field":"user","operator":"not_equal","value":"root"},
            {"field":"auto_start","operator":"equal","value":true}]}]}"#,
        Ok(|fields| !is_name(fields, &["first"]) && (fields["user"] != "root" || fields["auto_start"] == true)),
    ),
    (
        r#"{"condition":"AND","rules":[{"field":"description","operator":"is_null"}]}"#,
        Ok(|fields| fields["description"].is_null()),
    ),
    (
        r#"{"condition":"AND","rules":[{"field":"priority","operator":"is_not_null"},
            {"field":"priority","operator":"less","value":0}]}"#,
        Ok(|fields| fields["priority"].as_i64().is_some_and(|n| n < 0)),
    ),
    (
        r#"{"condition":"AND","rules":[{"field":"bk_func_name","operator":"contains","value":"GIN"}]}"#,
        Ok(|fields| fields["bk_func_name"].as_str().unwrap().to_lowercase().contains("gin")),
    ),
    (
        r#"{"condition":"OR","rules":[{"field":"bk_func_name","operator":"begins_with","value":"ng"},
            {"field":"bk_func_name","operator":"ends_with","value":"t"}]}"#,
        Ok(|fields| {
            let name = fields["bk_func_name"].as_str().unwrap();
            name.starts_with("ng") || name.ends_with('t')
        }),
    ),
    (
        r#"{"condition":"AND","rules":[{"field":"bind_info.port","operator":"equal","value":"8008"}]}"#,
        Ok(|fields| fields["bind_info"].as_array().is_some_and(|rows| rows.iter().any(|row| row["port"] == "8008"))),
    ),
    (r#"{"field":"bk_process_name","operator":"equal","value":"nginx"}"#, Err(1_199_006)),
    (r#"{"condition":"AND","rules":[]}"#, Err(1_199_006)),
    (r#"{"condition":"AND","rules":[{"field":"user","operator":"like","value":"r"}]}"#, Err(1_199_006)),
    (
        r#"{"condition":"AND","rules":[{"condition":"AND","rules":[{"condition":"AND","rules":[
            {"field":"user","operator":"equal","value":"root"}]}]}]}"#,
        Err(1_199_006),
    ),
    ("{}", Err(1_199_000)),
];

pub fn page_body(page: SortedPage) -> Value {
    json!({"start": page.start, "limit": page.limit, "sort": page.sort})
}

/// The body at the ESB door, where what stands in a path is a field.
pub fn with_business(body: &Value, business: i64) -> Value {
    let mut body = body.clone();
    body["bk_biz_id"] = business.into();
    body
}

/// A page that a search may have: 1 to 1000 rows, or all.
pub fn usable(page: Option<SortedPage>) -> Option<SortedPage> {
    page.filter(|page| page.start >= 0 && ((1..=1000).contains(&page.limit) || page.limit == 999_999_999))
}

/// The rows of a page.
fn cut<T>(rows: Vec<T>, page: SortedPage) -> Vec<T> {
    let (start, limit) = (usize::try_from(page.start).unwrap(), usize::try_from(page.limit).unwrap());
    rows.into_iter().skip(start).take(limit).collect()
}

/// Processes in the order that a page asks for; null is less than any value, and what is equal is in order of the ids.
fn sort(processes: &mut [&Process], page: SortedPage) {
    let keys: Vec<(&str, bool)> = page
        .sort
        .split(',')
        .filter(|key| !key.is_empty())
        .map(|key| match (key.strip_prefix('-'), key.strip_suffix(":-1")) {
            (Some(field), _) | (None, Some(field)) => (field, true),
            _ => (key.trim_start_matches('+'), false),
        })
        .collect();
    let number = |value: &Value| value.as_i64();
    let text = |value: &Value| value.as_str().map(str::to_owned);
    processes.sort_by(|one, other| {
        let by_keys = keys.iter().map(|(field, is_descending)| {
            let (one, other) = (&one.fields[*field], &other.fields[*field]);
            let order = number(one).cmp(&number(other)).then(text(one).cmp(&text(other)));
            if *is_descending { order.reverse() } else { order }
        });
        by_keys.fold(Ordering::Equal, Ordering::then).then(one.id.cmp(&other.id))
    });
}

/// A process as an answer shows it, without its times; only these fields of it if there are any.
fn shown(process: &Process, fields: &[&str]) -> Value {
    let shown = process.fields.iter().filter(|(key, _)| fields.is_empty() || fields.contains(&key.as_str()));
    shown.map(|(key, value)| (key.clone(), value.clone())).collect::<Fields>().into()
}

/// Takes the times out of an answered process, which are not the model's to know.
fn without_times(process: &Value, fields: &[&str]) -> Result<Value, String> {
    let mut process = process.as_object().ok_or("no process")?.clone();
    for time in ["create_time", "last_time", "bk_created_at", "bk_updated_at"] {
        if fields.is_empty() || fields.contains(&time) {
            check_time(&process.remove(time).unwrap_or_default())?;
        }
    }
    Ok(process.into())
}

/// The names of a module's processes with the ids of these: each process under one name (I-26).
pub fn list_names(
    world: &World,
    business: Biz,
    module: Pick,
    name: Option<&'static str>,
    page: Option<SortedPage>,
) -> (Request, Expect) {
    let used: Vec<i64> = world.instances.iter().map(|instance| instance.module).collect();
    let module = World::resolve(module, &used, &world.module_ids());
    let stated = world.state(business, world.module(module).map(|module| module.business));
    let mut body = json!({"bk_module_id": module, "process_name": name});
    stated.put(&mut body, "bk_biz_id");
    if let Some(page) = page {
        body["page"] = page_body(page);
    }
    let path = "/findmany/proc/process_instance/name_ids";
    let request = Request::new("post_findmany_proc_process_instance_name_ids", path, body).backend_only();
    if stated.is_text() {
        return (request, Expect::refused(1_199_000));
    }
    let business = stated.or_zero();
    let Some(page) = usable(page).filter(|_| business > 0 && module > 0) else {
        return (request, Expect::refused(1_199_006));
    };
    let wanted = name.unwrap_or_default().to_lowercase();
    let mut names: BTreeMap<&str, Vec<i64>> = BTreeMap::new();
    for process in &world.processes {
        let instance = world.instance(process.instance).unwrap();
        let name = process.fields["bk_process_name"].as_str().unwrap();
        if instance.business == business && instance.module == module && name.to_lowercase().contains(&wanted) {
            names.entry(name).or_default().push(process.id);
        }
    }
    let count = names.len();
    let mut rows: Vec<Value> =
        names.into_iter().map(|(name, ids)| json!({"bk_process_name": name, "process_ids": ids})).collect();
    if page.sort == "-bk_process_name" {
        rows.reverse();
    }
    let want = json!({"count": count, "info": cut(rows, page)});
    (request, Expect::done(move |_, data| same("the names", data, &want)))
}

pub fn list_details_by_id(
    world: &World,
    business: Biz,
    at: usize,
    picks: &[Pick],
    page: Option<SortedPage>,
) -> (Request, Expect) {
    let (stated, ids) = named(world, business, at, picks);
    let mut body = json!({"process_ids": ids});
    stated.put(&mut body, "bk_biz_id");
    if let Some(page) = page {
        body["page"] = page_body(page);
    }
    let path = "/findmany/proc/process_instance/detail/by_ids";
    let request = Request::new("post_findmany_proc_process_instance_detail_by_ids", path, body).backend_only();
    if stated.is_text() {
        return (request, Expect::refused(1_199_000));
    }
    let business = stated.or_zero();
    let Some(page) = usable(page).filter(|_| business > 0 && !ids.is_empty()) else {
        return (request, Expect::refused(1_199_006));
    };
    let mut found: Vec<&Process> =
        ids.iter().collect::<BTreeSet<_>>().into_iter().filter_map(|id| world.process_in(business, *id)).collect();
    sort(&mut found, page);
    let count = found.len();
    let rows = cut(found, page).into_iter().map(|process| {
        json!({"process_id": process.id, "service_instance_name": world.instance(process.instance).unwrap().name,
            "property": process.fields, "relation": world.relation(process)})
    });
    (request, page_of(count, rows.collect(), "property", Vec::new()))
}

/// A page whose rows hold a process under this key.
fn page_of(count: usize, want: Vec<Value>, process: &'static str, fields: Vec<&'static str>) -> Expect {
    Expect::done(move |_, data| {
        same("count", &data["count"], &json!(count))?;
        let mut rows = data["info"].as_array().ok_or("no info")?.clone();
        for row in &mut rows {
            row[process] = without_times(&row[process], &fields)?;
        }
        same("the rows", rows, want)
    })
}

pub fn list_details_of_business(
    world: &World,
    business: Biz,
    at: usize,
    picks: &[Pick],
    fields: &[&'static str],
) -> (Request, Expect) {
    let (fits, near) = crate::processes::near(world, at);
    let ids: Vec<i64> = picks.iter().map(|pick| World::resolve(*pick, &near, &process_ids(world))).collect();
    details_of_business(world, world.state_in_path(business, fits), &ids, fields)
}

/// `instances` 10.20, in order of the ids.
pub fn details_of_business(world: &World, business: i64, ids: &[i64], fields: &[&'static str]) -> (Request, Expect) {
    let body = json!({"bk_process_ids": ids, "fields": fields});
    let esb = with_business(&body, business);
    let path = format!("/findmany/proc/process_instance/detail/biz/{business}");
    let request = Request::new("list_process_detail_by_ids", path, body).esb(esb);
    let mut wrong = Vec::new();
    if ids.is_empty() || ids.len() > 500 {
        wrong.push(vec![1_199_089]);
    }
    if business <= 0 {
        wrong.push(vec![1_199_006]);
    }
    if let Some(refused) = Expect::refused_for(&wrong) {
        return (request, refused);
    }
    let distinct: BTreeSet<i64> = ids.iter().copied().collect();
    let found = distinct.into_iter().filter_map(|id| world.process_in(business, id));
    let want: Vec<Value> = found.map(|process| shown(process, fields)).collect();
    let fields = fields.to_vec();
    let done = Expect::done(move |_, data| {
        let rows = data.as_array().ok_or("no list")?.iter();
        same("the processes", rows.map(|row| without_times(row, &fields)).collect::<Result<Vec<_>, _>>()?, want)
    });
    (request, done)
}

/// `instances` 10.21: all conditions have to be met, an empty list is none.
pub fn list_related(world: &World, search: &RelatedIn) -> (Request, Expect) {
    let used: Vec<i64> = world.instances.iter().map(|instance| instance.module).collect();
    let near_sets: Vec<i64> = used.iter().map(|id| world.module(*id).unwrap().set).collect();
    let resolve = |picks: &[Pick], near: &[i64], all: Vec<i64>| -> Vec<i64> {
        picks.iter().map(|pick| World::resolve(*pick, near, &all)).collect()
    };
    let sets = resolve(&search.sets, &near_sets, world.set_ids());
    let modules = resolve(&search.modules, &used, world.module_ids());
    let first = modules.first().and_then(|id| world.module(*id)).map(|module| module.business);
    let first = first.or_else(|| sets.first().and_then(|id| world.set(*id)).map(|set| set.business));
    let first = first.or_else(|| world.instances.first().map(|instance| instance.business));
    let business = world.state_in_path(search.business, first);
    let instances = resolve(&search.instances, &instances_of(world, business), world.instance_ids());
    let mut body = json!({"set": {"bk_set_ids": sets}, "module": {"bk_module_ids": modules},
        "service_instance": {"ids": instances}, "fields": search.fields});
    let filter = search.filter.map(|n| FILTER[n]);
    if let Some((text, _)) = filter {
        body["process_property_filter"] = serde_json::from_str(text).unwrap();
    }
    if let Some(page) = search.page {
        body["page"] = page_body(page);
    }
    let esb = with_business(&body, business);
    let path = format!("/findmany/proc/process_related_info/biz/{business}");
    let request = Request::new("list_process_related_info", path, body).esb(esb);
    let matches = match filter {
        None => |_: &Fields| true,
        Some((_, Ok(matches))) => matches,
        Some((_, Err(code))) => {
            let codes = if business <= 0 { vec![1_199_011, 1_199_006, code] } else { vec![code] };
            return (request, Expect::Refused(codes));
        }
    };
    if business <= 0 {
        return (request, Expect::Refused(vec![1_199_011, 1_199_006]));
    }
    let Some(page) = usable(search.page) else {
        return (request, Expect::refused(1_199_006));
    };
    let is_found = |process: &&Process| {
        let instance = world.instance(process.instance).unwrap();
        let set = world.module(instance.module).unwrap().set;
        instance.business == business
            && (sets.is_empty() || sets.contains(&set))
            && (modules.is_empty() || modules.contains(&instance.module))
            && (instances.is_empty() || instances.contains(&instance.id))
            && matches(&process.fields)
    };
    let mut found: Vec<&Process> = world.processes.iter().filter(is_found).collect();
    sort(&mut found, page);
    let count = found.len();
    let mut fields = search.fields.clone();
    if !fields.is_empty() {
        fields.extend(["bk_process_id", "bk_process_name", "bk_func_id"]);
    }
    let rows = cut(found, page).into_iter().map(|process| {
        let instance = world.instance(process.instance).unwrap();
        let module = world.module(instance.module).unwrap();
        let set = world.set(module.set).unwrap();
        json!({"set": {"bk_set_id": set.id, "bk_set_name": set.name, "bk_set_env": "3"},
            "module": {"bk_module_id": module.id, "bk_module_name": module.name},
            "host": {"bk_host_id": instance.host, "bk_cloud_id": 0, "bk_host_innerip": world.host(instance.host)
                .unwrap().addresses.join(","), "bk_host_innerip_v6": "", "bk_addressing": "static", "bk_agent_id": ""},
            "service_instance": {"id": instance.id, "name": instance.name}, "process_template": {"id": 0},
            "process": shown(process, &fields)})
    });
    (request, page_of(count, rows.collect(), "process", fields))
}
