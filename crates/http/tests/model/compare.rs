//! The whole state, read back through the lists and from the tables, against the model.

use crate::instances::{detail, listed, same_detail, same_list};
use crate::support::{Answer, TestApp};
use crate::topology::{host_row, only};
use crate::world::*;
use rollcall_store::{StoreError, Tx};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The tables whose sizes a refused write leaves alone.
const COUNTS: [(&str, &str); 10] = [
    ("business", "SELECT count(*) FROM business"),
    ("set", "SELECT count(*) FROM topology_set"),
    ("module", "SELECT count(*) FROM module"),
    ("host", "SELECT count(*) FROM host"),
    ("host address", "SELECT count(*) FROM host_address"),
    ("relation of host and module", "SELECT count(*) FROM host_module"),
    ("service instance", "SELECT count(*) FROM service_instance"),
    ("process", "SELECT count(*) FROM process"),
    ("audit", "SELECT count(*) FROM audit"),
    ("event", "SELECT count(*) FROM event"),
];

/// How many rows there are of everything.
pub fn counts(app: &TestApp) -> Vec<(&'static str, i64)> {
    COUNTS.iter().map(|(what, sql)| (*what, app.number(sql))).collect()
}

/// The numbers of rows that the model has, beside those of a new store.
pub fn expected_counts(world: &World, of_new_store: &[(&'static str, i64)]) -> Vec<(&'static str, i64)> {
    let size = |size: usize| i64::try_from(size).unwrap();
    let base = |what| of_new_store.iter().find(|(name, _)| *name == what).unwrap().1;
    let addresses = world.hosts.iter().map(|host| host.addresses.len()).sum();
    let (audits, events): (i64, i64) = (world.audits.values().sum(), world.events.values().sum());
    vec![
        ("business", size(world.businesses.len())),
        ("set", size(world.sets.len())),
        ("module", size(world.modules.len())),
        ("host", size(world.hosts.len())),
        ("host address", size(addresses)),
        ("relation of host and module", size(world.places.len())),
        ("service instance", size(world.instances.len())),
        ("process", size(world.processes.len())),
        ("audit", base("audit") + audits),
        ("event", base("event") + events),
    ]
}

/// The payload of an answer that has one.
pub fn payload(answer: &Answer) -> Result<Value, String> {
    if answer.status == 200 && answer.code() == 0 { Ok(answer.data()) } else { Err(answer.text.clone()) }
}

/// Everything that the lists answer.
pub fn whole_state(app: &TestApp, world: &World) -> Result<(), String> {
    for business in &world.businesses {
        let at = |what: &str, result: Result<(), String>| {
            result.map_err(|e| format!("{what} of business {}: {e}", business.id))
        };
        at("the tree", tree(app, world, business))?;
        at("the internal modules", internal_modules(app, world, business.id))?;
        at("the hosts", hosts(app, world, business.id))?;
        at("the service instances", instances(app, world, business.id))?;
        at("the details", details(app, world, business.id))?;
    }
    for instance in &world.instances {
        let body = json!({"bk_biz_id": instance.business, "service_instance_id": instance.id});
        let list = payload(&app.post("/findmany/proc/process_instance", body))?;
        same_list(&list, &listed(world, instance.id))
            .map_err(|e| format!("processes of instance {}: {e}", instance.id))?;
    }
    businesses(app, world)
}

fn businesses(app: &TestApp, world: &World) -> Result<(), String> {
    let data = payload(&app.post("/biz/search/0", json!({"fields": ["bk_biz_id", "bk_biz_name"]})))?;
    let rows = data["info"].as_array().ok_or("no info")?.iter();
    let got: Vec<Value> = rows.map(|row| only(row, &["bk_biz_id", "bk_biz_name"])).collect();
    let others = world.businesses.iter().filter(|business| business.id != POOL);
    let want: Vec<Value> = others.map(|it| json!({"bk_biz_id": it.id, "bk_biz_name": it.name})).collect();
    same("the businesses", got, want)
}

fn tree(app: &TestApp, world: &World, business: &Business) -> Result<(), String> {
    let node = |model: &str, id: i64, name: &str, kind: i64, child: Vec<Value>| {
        json!({"bk_obj_id": model,
        "bk_inst_id": id, "bk_inst_name": name, "default": kind, "child": child})
    };
    let sets = world.sets.iter().filter(|set| set.business == business.id);
    let sets: Vec<Value> = sets
        .map(|set| {
            let modules = world.modules.iter().filter(|module| module.set == set.id);
            let modules = modules.map(|module| node("module", module.id, &module.name, module.kind, vec![])).collect();
            node("set", set.id, &set.name, set.kind, modules)
        })
        .collect();
    let want = json!([node("biz", business.id, &business.name, i64::from(business.id == POOL), sets)]);
    let path = format!("/find/topoinst/biz/{}?with_default=1", business.id);
    let mut got = payload(&app.post(&path, json!({})))?;
    drop_model_names(&mut got);
    same("the tree", got, want)
}

fn drop_model_names(nodes: &mut Value) {
    for node in nodes.as_array_mut().into_iter().flatten() {
        node.as_object_mut().unwrap().remove("bk_obj_name");
        drop_model_names(&mut node["child"]);
    }
}

fn internal_modules(app: &TestApp, world: &World, business: i64) -> Result<(), String> {
    let data = payload(&app.native("GET", &format!("/topo/internal/0/{business}"), ""))?;
    let set = world.sets.iter().find(|set| set.business == business && set.kind == 1).unwrap();
    same("the idle set", &data["bk_set_id"], &json!(set.id))?;
    let rows = data["module"].as_array().ok_or("no modules")?.iter();
    let got: Vec<Value> = rows.map(|row| only(row, &["bk_module_id", "bk_module_name", "default"])).collect();
    let modules = world.modules.iter().filter(|module| module.business == business && module.kind > 0);
    let want: Vec<Value> =
        modules.map(|it| json!({"bk_module_id": it.id, "bk_module_name": it.name, "default": it.kind})).collect();
    same("its modules", got, want)
}

/// Every page of a list, joined: no row is missing or comes twice (instances I-20).
fn all_pages(rows_of: impl Fn(usize) -> Answer, limit: usize) -> Result<Vec<Value>, String> {
    let mut rows = Vec::new();
    loop {
        let page = payload(&rows_of(rows.len()))?;
        let info = page["info"].as_array().ok_or("no info")?;
        rows.extend(info.iter().cloned());
        let count = page["count"].as_u64().ok_or("no count")?;
        if info.len() < limit {
            same("count", count, rows.len() as u64)?;
            return Ok(rows);
        }
    }
}

fn hosts(app: &TestApp, world: &World, business: i64) -> Result<(), String> {
    let path = format!("/hosts/app/{business}/list_hosts");
    let list = |start: usize| app.post(&path, json!({"page": {"start": start, "limit": 3, "sort": "bk_host_id"}}));
    let rows = all_pages(list, 3)?;
    let got: Vec<Value> =
        rows.iter().map(|row| only(row, &["bk_host_id", "bk_host_innerip", "bk_comment", "bk_cloud_id"])).collect();
    let want: Vec<Value> = world.hosts_of(business).iter().map(|id| host_row(world.host(*id).unwrap())).collect();
    same("the hosts", got, want)?;
    for module in world.modules.iter().filter(|module| module.business == business) {
        let body = json!({"bk_module_ids": [module.id], "fields": ["bk_host_id"], "page": {"start": 0, "limit": 1000}});
        let data = payload(&app.gateway("POST", &path, body))?;
        let rows = data["info"].as_array().ok_or("no info")?.iter();
        let got: Vec<i64> = rows.filter_map(|row| row["bk_host_id"].as_i64()).collect();
        let want: Vec<i64> = world.places.iter().filter(|(at, _)| *at == module.id).map(|(_, host)| *host).collect();
        same(&format!("the hosts of module {}", module.id), got, want)?;
    }
    Ok(())
}

fn instances(app: &TestApp, world: &World, business: i64) -> Result<(), String> {
    let last_states = app.documents(LAST_STATES);
    let list = |start: usize| {
        let page = json!({"start": start, "limit": 7, "sort": "id"});
        app.esb("list_service_instance", json!({"bk_biz_id": business, "page": page}))
    };
    let rows = all_pages(list, 7)?;
    let got: Vec<Value> = rows.iter().map(|row| only(row, &crate::instances::INSTANCE_KEYS)).collect();
    let of_business = world.instances.iter().filter(|instance| instance.business == business);
    same("the instances", got, of_business.map(|instance| world.instance_document(instance).into()).collect())?;
    for row in rows {
        // With its labels and times.
        let id = row["id"].as_i64();
        let last = last_states.iter().find(|state| state["id"].as_i64() == id);
        same("the instance that the last event tells of", last, Some(&row))?;
    }
    let gathered = json!({"bk_biz_id": business});
    let gathered = payload(&app.post("/findmany/proc/service_instance/labels/aggregation", gathered))?;
    same("the gathered labels (I-23)", gathered, crate::labels::gathered(world, business, None))
}

/// The states that the last events of instances tell of.
const LAST_STATES: &str = "SELECT after_state FROM event e WHERE e.kind = 100 AND e.after_state IS NOT NULL
    AND NOT EXISTS (SELECT 1 FROM event o WHERE o.kind = 100 AND o.object_id = e.object_id AND o.id > e.id)";

/// instances I-25: the details and the lists tell of the same processes and relations, those of the model.
fn details(app: &TestApp, world: &World, business: i64) -> Result<(), String> {
    let list = |start: usize| {
        let page = json!({"start": start, "limit": 5, "sort": "id"});
        app.gateway("POST", "/findmany/proc/service_instance/details", json!({"bk_biz_id": business, "page": page}))
    };
    let rows = all_pages(list, 5)?;
    let of_business: Vec<_> = world.instances.iter().filter(|instance| instance.business == business).collect();
    same("the number of instances", rows.len(), of_business.len())?;
    for (row, instance) in rows.iter().zip(of_business) {
        same_detail(row, &detail(world, instance.id))?;
    }
    Ok(())
}

/// Audit and events tell of every change, and of nothing else (instances I-28, topology 16, 10).
pub fn journal(app: &TestApp, world: &World, of_new_store: &Told) -> Result<(), String> {
    let told = told(app);
    let (mut audits, mut events) = of_new_store.clone();
    for ((resource, action), count) in &world.audits {
        *audits.entry(((*resource).to_owned(), (*action).to_owned())).or_insert(0) += count;
    }
    for (key, count) in &world.events {
        *events.entry(*key).or_insert(0) += count;
    }
    same("the audit entries", told.0, audits)?;
    same("the events", told.1, events)?;
    for (what, sql) in BROKEN {
        same(what, app.number(sql), 0)?;
    }
    let findings = app.store.read(true, |tx| rollcall_store::check::run(tx, &mut |_| {})).map_err(|e| e.to_string())?;
    same("what `rollcall check` finds", findings, Vec::new())
}

/// Numbers of audit entries by resource and action, of events by kind and operation.
pub type Told = (BTreeMap<(String, String), i64>, BTreeMap<(i64, i64), i64>);

/// What audit and events hold.
pub fn told(app: &TestApp) -> Told {
    let audits = "SELECT resource_type, action, count(*) FROM audit GROUP BY 1, 2";
    let events = "SELECT kind, operation, count(*) FROM event GROUP BY 1, 2";
    let read = |tx: &mut dyn Tx| {
        let audits =
            tx.list(audits, &[], |row| Ok(((row.text(0)?.to_owned(), row.text(1)?.to_owned()), row.int(2)?)))?;
        let events = tx.list(events, &[], |row| Ok(((row.int(0)?, row.int(1)?), row.int(2)?)))?;
        Ok::<_, StoreError>((audits.into_iter().collect(), events.into_iter().collect()))
    };
    app.store.read(true, read).unwrap()
}

/// Rows that break a rule; each query answers how many.
const BROKEN: &[(&str, &str)] = &[
    ("processes and instances without their one event of creation (I-28)",
     "SELECT (SELECT count(*) FROM process p WHERE 1 <> (SELECT count(*) FROM event e
            WHERE e.kind = 9 AND e.operation = 1 AND e.object_id = p.id AND e.business_id = p.business_id))
        + (SELECT count(*) FROM service_instance s WHERE 1 <> (SELECT count(*) FROM event e
            WHERE e.kind = 100 AND e.operation = 1 AND e.object_id = s.id AND e.business_id = s.business_id))"),
    ("processes whose last event does not carry their state (I-28)",
     "SELECT count(*) FROM process p WHERE '{' || p.fixed_fields || ',' || p.extra_fields || '}' <> (SELECT e.after_state
        FROM event e WHERE e.kind = 9 AND e.object_id = p.id ORDER BY e.id DESC LIMIT 1)"),
    ("events whose state before is not the one after the event before them",
     "SELECT count(*) FROM event e WHERE e.kind IN (9, 100) AND coalesce(e.before_state, '') <> coalesce((SELECT o.after_state
        FROM event o WHERE o.kind = e.kind AND o.object_id = e.object_id AND o.id < e.id ORDER BY o.id DESC LIMIT 1), '')"),
    ("deleted processes and instances without their one event of deletion",
     "SELECT count(*) FROM event e WHERE e.kind IN (9, 100) AND e.operation = 1
        AND NOT EXISTS (SELECT 1 FROM process p WHERE p.id = e.object_id AND e.kind = 9)
        AND NOT EXISTS (SELECT 1 FROM service_instance s WHERE s.id = e.object_id AND e.kind = 100)
        AND 1 <> (SELECT count(*) FROM event d
            WHERE d.kind = e.kind AND d.operation = 3 AND d.object_id = e.object_id AND d.id > e.id)"),
    ("instances without their one audit entry of creation",
     "SELECT count(*) FROM service_instance s WHERE 1 <> (SELECT count(*) FROM audit a
        WHERE a.resource_type = 'service_instance' AND a.action = 'create' AND a.resource_id = s.id
        AND a.business_id = s.business_id AND (a.resource_name = s.name OR EXISTS (SELECT 1 FROM event e
            WHERE e.kind = 100 AND e.operation = 2 AND e.object_id = s.id)))"),
    ("relations of hosts without an event of creation after their last one of deletion",
     "SELECT count(*) FROM host_module r WHERE 1 <> (SELECT coalesce(sum(CASE operation WHEN 1 THEN 1 ELSE -1 END), 0)
        FROM event e WHERE e.kind = 3 AND e.object_id = r.host_id
        AND coalesce(e.after_state, e.before_state) = '{\"bk_biz_id\":' || r.business_id || ',\"bk_host_id\":' || r.host_id
            || ',\"bk_module_id\":' || r.module_id || ',\"bk_set_id\":' || r.set_id || ',\"bk_supplier_account\":\"0\"}')"),
    ("processes of no instance, or of another host or business (I-1, I-2)",
     "SELECT count(*) FROM process p LEFT JOIN service_instance s ON s.id = p.service_instance_id
        WHERE s.id IS NULL OR s.host_id <> p.host_id OR s.business_id <> p.business_id"),
    ("instances without a process (I-3)",
     "SELECT count(*) FROM service_instance WHERE id NOT IN (SELECT service_instance_id FROM process)"),
    ("equal names in one instance (I-4)",
     "SELECT count(*) FROM (SELECT 1 FROM process GROUP BY service_instance_id, name HAVING count(*) > 1) t"),
    ("equal function names and parameters in one instance (I-4)",
     "SELECT count(*) FROM (SELECT 1 FROM process WHERE start_param IS NOT NULL
        GROUP BY service_instance_id, func_name, start_param HAVING count(*) > 1) t"),
    ("processes of a template without one (I-5)", "SELECT count(*) FROM process WHERE process_template_id <> 0"),
    ("businesses without one idle set (topology 16, 1)",
     "SELECT count(*) FROM business b WHERE 1 <> (SELECT count(*) FROM topology_set s WHERE s.business_id = b.id AND s.kind = 1)"),
    ("modules of another business than their set's (topology 16, 2)",
     "SELECT count(*) FROM module m LEFT JOIN topology_set s ON s.id = m.set_id
        WHERE s.id IS NULL OR s.business_id <> m.business_id"),
    ("equal names of sets, modules, businesses (topology 16, 3)",
     "SELECT (SELECT count(*) FROM (SELECT 1 FROM business GROUP BY name HAVING count(*) > 1) t)
        + (SELECT count(*) FROM (SELECT 1 FROM topology_set GROUP BY business_id, parent_id, name HAVING count(*) > 1) t)
        + (SELECT count(*) FROM (SELECT 1 FROM module GROUP BY set_id, name HAVING count(*) > 1) t)"),
    ("hosts in no module, in two businesses, or in a built-in module and another (topology 16, 4)",
     "SELECT count(*) FROM host h LEFT JOIN (SELECT r.host_id, count(*) AS places, count(DISTINCT r.business_id) AS businesses,
        max(m.kind) AS kind FROM host_module r JOIN module m ON m.id = r.module_id AND m.set_id = r.set_id
        AND m.business_id = r.business_id GROUP BY r.host_id) r ON r.host_id = h.id
        WHERE r.host_id IS NULL OR r.businesses <> 1 OR (r.kind <> 0 AND r.places <> 1)"),
    ("instances whose host is not in their module (topology 16, 5)",
     "SELECT count(*) FROM service_instance s WHERE NOT EXISTS (SELECT 1 FROM host_module r
        WHERE r.module_id = s.module_id AND r.host_id = s.host_id AND r.business_id = s.business_id)"),
];
