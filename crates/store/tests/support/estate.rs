//! A small sound store with something of everything, in statements that every engine takes.

use rollcall_domain::id::BusinessId;
use rollcall_domain::json::Json;
use rollcall_domain::moment::Moment;
use rollcall_store::audit::{Actor, AuditRow};
use rollcall_store::directory::{AppRow, DigestText};
use rollcall_store::event::{EventKind, EventOperation, EventRow};
use rollcall_store::sequence::{self, Sequence};
use rollcall_store::{Param, Store, StoreError, Tx, audit, directory, event, migrate};
use std::sync::atomic::{AtomicI64, Ordering};

pub const BUSINESSES: i64 = 3;
/// In each business, with one service instance each.
pub const HOSTS: i64 = 20;
/// On each host.
pub const PROCESSES: i64 = 3;
/// Processes that are gone again; their ids follow those of the others.
pub const GONE: i64 = 10;

/// The highest id of a process.
pub const LAST_PROCESS: i64 = BUSINESSES * HOSTS * PROCESSES + GONE;

/// Runs a change that is no test's subject.
pub fn write<T: Send + 'static>(
    store: &Store,
    work: impl FnMut(&mut dyn Tx) -> Result<T, StoreError> + Send + 'static,
) -> T {
    store.write_blocking(work).expect("the write is committed")
}

/// Fills a store that has nothing but its schema. Each store is born at another time.
pub fn fill(store: &Store) {
    static BORN: AtomicI64 = AtomicI64::new(1);
    let born = BORN.fetch_add(1, Ordering::Relaxed);
    write(store, move |tx| {
        migrate::put_setting(tx, "built_in_data", &born.to_string())?;
        migrate::put_setting(tx, "time_zone", "Asia/Shanghai")?;
        put(tx, "INSERT INTO cloud_area (id, name) VALUES (0, 'Default Area'), (1, 'Elsewhere')", &[])?;
        put(
            tx,
            "INSERT INTO service_category (id, business_id, parent_id, root_id, name, is_built_in)
                VALUES (1, 0, 0, 1, 'Default', 1), (2, 0, 1, 1, 'Default', 1)",
            &[],
        )?;
        for (counter, last) in [
            (Sequence::Business, BUSINESSES),
            (Sequence::Set, BUSINESSES * 2),
            (Sequence::Module, BUSINESSES * 4),
            (Sequence::Host, BUSINESSES * HOSTS),
            (Sequence::ServiceCategory, 2),
            (Sequence::ServiceTemplate, BUSINESSES),
            (Sequence::ServiceTemplateAttribute, BUSINESSES),
            (Sequence::SetTemplate, BUSINESSES),
            (Sequence::SetTemplateAttribute, BUSINESSES),
            (Sequence::ServiceInstance, BUSINESSES * HOSTS),
            (Sequence::Process, LAST_PROCESS),
            (Sequence::Job, BUSINESSES),
        ] {
            sequence::reserve_up_to(tx, counter, last)?;
        }
        let app = AppRow { code: "demo".into(), login_free: true, created: Moment(1) };
        directory::insert_app(tx, &app)?;
        directory::insert_app(tx, &AppRow { code: "billing \"ü\"".into(), ..app })?;
        directory::insert_secret(tx, "demo", DigestText("d".into()), Moment(2))?;
        directory::insert_token(tx, "ann", DigestText("t".into()), Moment(3), None)?;
        directory::insert_grant(tx, "eve", "administrator", None, Moment(5)).map(|_| ())
    });
    for business in 1..=BUSINESSES {
        write(store, move |tx| fill_business(tx, business));
    }
    for process in LAST_PROCESS - GONE + 1..=LAST_PROCESS {
        let (before, operation) = (Some("{}".into()), EventOperation::Delete);
        let deleted = EventRow { operation, before, after: None, ..process_created(process) };
        write(store, move |tx| journal(tx, 1, &[1], &[process_created(process)]));
        write(store, move |tx| journal(tx, 1, &[1], std::slice::from_ref(&deleted)));
    }
}

fn put(tx: &mut dyn Tx, sql: &'static str, params: &[Param<'_>]) -> Result<(), StoreError> {
    tx.execute(sql, params).map(|_| ())
}

fn fill_business(tx: &mut dyn Tx, business: i64) -> Result<(), StoreError> {
    let name = format!("business {business} ✓");
    let document = format!(r#"{{"bk_biz_id":{business},"bk_biz_name":"{name}","default":0}}"#);
    let params = [business.into(), (&name).into(), (&document).into()];
    put(tx, "INSERT INTO business (id, name, kind, status, document) VALUES ($1, $2, 0, '1', $3)", &params)?;
    let mut told = vec![created(business, EventKind::Business, business, "{}".into())];
    let (idle, set) = (business * 2 - 1, business * 2);
    for (id, kind) in [(idle, 1), (set, 0)] {
        let document = format!(
            r#"{{"bk_set_id":{id},"bk_biz_id":{business},"bk_parent_id":{business},"bk_set_name":"{id}","default":{kind},
                "set_template_id":0}}"#
        );
        let name = id.to_string();
        let params = [id.into(), business.into(), kind.into(), (&name).into(), (&document).into()];
        put(
            tx,
            "INSERT INTO topology_set (id, business_id, parent_id, kind, name, set_template_id, document)
                VALUES ($1, $2, $2, $3, $4, 0, $5)",
            &params,
        )?;
        told.push(created(business, EventKind::Set, id, "{}".into()));
    }
    let module = business * 4;
    for (id, of, kind) in [(module - 3, idle, 1), (module - 2, idle, 2), (module - 1, idle, 3), (module, set, 0)] {
        let document = format!(
            r#"{{"bk_module_id":{id},"bk_biz_id":{business},"bk_set_id":{of},"bk_module_name":"{id}","default":{kind},
                "service_template_id":0,"service_category_id":2,"set_template_id":0}}"#
        );
        let name = id.to_string();
        let params = [id.into(), business.into(), of.into(), kind.into(), (&name).into(), (&document).into()];
        put(
            tx,
            "INSERT INTO module (id, business_id, set_id, kind, name, service_template_id, service_category_id, document)
                VALUES ($1, $2, $3, $4, $5, 0, 2, $6)",
            &params,
        )?;
        told.push(created(business, EventKind::Module, id, "{}".into()));
    }
    fill_template(tx, business, &mut told)?;
    fill_set_template(tx, business, &mut told)?;
    fill_job(tx, business, module, &mut told)?;
    // The ids of a business are not in a row.
    let hosts: Vec<_> = (0..HOSTS).map(|n| n * BUSINESSES + business).collect();
    for host in &hosts {
        fill_host(tx, [business, set, module], *host, &mut told)?;
    }
    journal(tx, business, &hosts, &told)
}

/// A service template with one attribute; both have the id of their business.
fn fill_template(tx: &mut dyn Tx, id: i64, told: &mut Vec<EventRow>) -> Result<(), StoreError> {
    let document = format!(r#"{{"bk_biz_id":{id},"id":{id},"name":"st","service_category_id":2}}"#);
    put(
        tx,
        "INSERT INTO service_template (id, business_id, name, service_category_id, document) VALUES ($1, $1, 'st', 2, $2)",
        &[id.into(), (&document).into()],
    )?;
    told.push(created(id, EventKind::ServiceTemplate, id, document));
    let property = r#"{"bk_func_name":{"value":"f","as_default_value":true},"bk_process_name":{"value":"p","as_default_value":true}}"#;
    put(
        tx,
        "INSERT INTO process_template (id, business_id, service_template_id, name, func_name, start_param, property, last_row_id,
            creator, modifier, create_time, last_time) VALUES ($1, $1, $1, 'p', 'f', NULL, $2, 0, 'u', 'u', 't', 't')",
        &[id.into(), property.into()],
    )?;
    told.push(created(id, EventKind::ProcessTemplate, id, format!(r#"{{"id":{id},"property":{property}}}"#)));
    let document = format!(r#"{{"id":{id},"bk_biz_id":{id},"service_template_id":{id},"bk_attribute_id":32}}"#);
    put(
        tx,
        "INSERT INTO service_template_attribute (id, business_id, service_template_id, attribute_id, document)
            VALUES ($1, $1, $1, 32, $2)",
        &[id.into(), (&document).into()],
    )?;
    told.push(created(id, EventKind::ServiceTemplateAttribute, id, document));
    Ok(())
}

/// A set template with the service template of its id, and one attribute; all have the id of their business.
fn fill_set_template(tx: &mut dyn Tx, id: i64, told: &mut Vec<EventRow>) -> Result<(), StoreError> {
    let document = format!(r#"{{"id":{id},"name":"kit","bk_biz_id":{id}}}"#);
    put(
        tx,
        "INSERT INTO set_template (id, business_id, name, document) VALUES ($1, $1, 'kit', $2)",
        &[id.into(), (&document).into()],
    )?;
    told.push(created(id, EventKind::SetTemplate, id, document));
    put(
        tx,
        "INSERT INTO set_template_relation (business_id, set_template_id, service_template_id) VALUES ($1, $1, $1)",
        &[id.into()],
    )?;
    let document = format!(r#"{{"id":{id},"bk_biz_id":{id},"set_template_id":{id},"bk_attribute_id":14}}"#);
    put(
        tx,
        "INSERT INTO set_template_attribute (id, business_id, set_template_id, attribute_id, document)
            VALUES ($1, $1, $1, 14, $2)",
        &[id.into(), (&document).into()],
    )?;
    told.push(created(id, EventKind::SetTemplateAttribute, id, document));
    Ok(())
}

/// A job that is over, and one part of it, which failed; both have the id of their business.
fn fill_job(tx: &mut dyn Tx, id: i64, module: i64, told: &mut Vec<EventRow>) -> Result<(), StoreError> {
    put(
        tx,
        "INSERT INTO job (id, business_id, kind, target_id, template_id, status, user_name, user_verified, app_code, request_id,
            created_ms, changed_ms, reason, holder, lease_ms)
            VALUES ($1, $1, 1, $2, $1, 4, 'ann', 1, 'demo', 'r', 5, 6, 'why \"not\"', '', 0)",
        &[id.into(), module.into()],
    )?;
    let part = "INSERT INTO job_part (job_id, number, status, content, response) VALUES ($1, 1, 4, '{}', $2)";
    put(tx, part, &[id.into(), r#"{"code":1}"#.into()])?;
    told.push(created(id, EventKind::Job, id, "{}".into()));
    Ok(())
}

/// A host with its service instance, which has its id, and processes.
fn fill_host(
    tx: &mut dyn Tx,
    [business, set, module]: [i64; 3],
    id: i64,
    told: &mut Vec<EventRow>,
) -> Result<(), StoreError> {
    // Each address is in both cloud areas.
    let (cloud, address) = (id % 2, format!("10.0.0.{}", id / 2));
    let document = format!(r#"{{"bk_host_id":{id},"bk_cloud_id":{cloud}}}"#);
    let agent = (id % 3 == 0).then(|| format!("agent {id}"));
    let params = [id.into(), cloud.into(), (&address).into(), agent.as_ref().into(), (&document).into()];
    put(
        tx,
        "INSERT INTO host (id, cloud_id, inner_ip, inner_ip_v6, outer_ip, outer_ip_v6, agent_id, document)
            VALUES ($1, $2, $3, '', '', '', $4, $5)",
        &params,
    )?;
    let params = [cloud.into(), (&address).into(), id.into()];
    put(tx, "INSERT INTO host_address (cloud_id, address, host_id) VALUES ($1, $2, $3)", &params)?;
    let params = [business.into(), set.into(), module.into(), id.into()];
    put(tx, "INSERT INTO host_module (business_id, set_id, module_id, host_id) VALUES ($1, $2, $3, $4)", &params)?;
    let document = format!(
        r#"{{"bk_biz_id":{business},"id":{id},"name":"i","service_template_id":0,"bk_host_id":{id},"bk_module_id":{module}"#
    );
    let labels = (id % 2 == 0).then_some(r#"{"env":"prod"}"#);
    let params = [id.into(), business.into(), module.into(), (&document).into(), labels.into()];
    put(
        tx,
        "INSERT INTO service_instance (id, business_id, module_id, host_id, service_template_id, name, document, labels)
            VALUES ($1, $2, $3, $1, 0, 'i', $4, $5)",
        &params,
    )?;
    let locator = "{only postgres} INSERT INTO service_instance_locator (id, business_id) VALUES ($1, $2)";
    put(tx, locator, &params[..2])?;
    for kind in [EventKind::Host, EventKind::HostModule, EventKind::ServiceInstance] {
        told.push(created(business, kind, id, "{}".into()));
    }
    for process in (0..PROCESSES).map(|n| id * PROCESSES - n) {
        let start = (process % 2 == 0).then_some("-c \"a'b\" \\ 🦀");
        let quoted = start.map_or(Json::Null, Json::from);
        let fixed = format!(
            r#""bk_process_id":{process},"bk_biz_id":{business},"service_instance_id":{id},"bk_process_name":"{process}""#
        );
        let extra = format!(r#""bk_func_name":"{process}","bk_start_param_regex":{quoted}"#);
        let name = process.to_string();
        let params = [
            process.into(),
            business.into(),
            id.into(),
            (&name).into(),
            start.into(),
            (&fixed).into(),
            (&extra).into(),
        ];
        put(
            tx,
            "INSERT INTO process (id, business_id, service_instance_id, host_id, process_template_id, name, func_name,
                start_param, fixed_fields, extra_fields) VALUES ($1, $2, $3, $3, 0, $4, $4, $5, $6, $7)",
            &params,
        )?;
        told.push(created(business, EventKind::Process, process, format!("{{{fixed},{extra}}}")));
    }
    Ok(())
}

fn created(business: i64, kind: EventKind, object_id: i64, after: String) -> EventRow {
    let business_id = BusinessId(business);
    EventRow { business_id, kind, operation: EventOperation::Create, object_id, before: None, after: Some(after) }
}

/// Tells of one more process.
pub fn process_created(id: i64) -> EventRow {
    created(1, EventKind::Process, id, "{}".into())
}

/// What a request leaves behind that changed these instances.
pub fn journal(tx: &mut dyn Tx, business: i64, instances: &[i64], told: &[EventRow]) -> Result<(), StoreError> {
    // Each request has an id of its own; if it runs twice, another one.
    static REQUEST: AtomicI64 = AtomicI64::new(1);
    let request = format!("r{}", REQUEST.fetch_add(1, Ordering::Relaxed));
    let entry = |id: &i64| AuditRow {
        business_id: BusinessId(business),
        audit_type: "business_resource",
        resource_type: "service_instance",
        action: "update",
        resource_id: *id,
        resource_name: "i".into(),
        detail: "{}".into(),
    };
    let actor = Actor { user: "ann", verified: true, app_code: "", request_id: &request, time: Moment(7) };
    audit::insert(tx, actor, &instances.iter().map(entry).collect::<Vec<_>>())?;
    event::insert(tx, Moment(7), &request, told)
}
