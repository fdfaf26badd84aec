//! Processes with their relations: both stand in one row, so that one cannot be without the other (`instances I-1`, `I-2`).

use crate::{Param, Row, StoreError, Tx};
use rollcall_domain::difference::ComparedProcess;
use rollcall_domain::id::{
    BusinessId, HostId, ModuleId, ProcessId, ProcessTemplateId, ServiceInstanceId, ServiceTemplateId, SetId,
};
use rollcall_domain::process::{NewProcess, ProcessKeys};
use std::collections::HashMap;

crate::statements! {
    /// Served by `process_name`, whose entries of one instance lie together.
    LIST_OF_INSTANCE = "SELECT id, business_id, service_instance_id, process_template_id, host_id, fixed_fields, extra_fields
        FROM process WHERE business_id = $1 AND service_instance_id = $2 ORDER BY id";
    /// Served by `process_name`.
    LIST_OF_INSTANCES = "SELECT id, business_id, service_instance_id, process_template_id, host_id, fixed_fields, extra_fields
        FROM process WHERE business_id = $1 AND service_instance_id {in $2} ORDER BY service_instance_id, id";
    /// Served by `process_name`.
    KEYS_OF_INSTANCE = "SELECT name, func_name, start_param FROM process
        WHERE business_id = $1 AND service_instance_id = $2";
    /// Served by the primary key.
    LIST_BY_ID = "SELECT id, business_id, service_instance_id, process_template_id, host_id, fixed_fields, extra_fields
        FROM process {by id} WHERE business_id = $1 AND id {in $2} ORDER BY id";
    /// Served by `process_name`.
    KEYS_OF_INSTANCES = "SELECT id, service_instance_id, name, func_name, start_param FROM process
        WHERE business_id = $1 AND service_instance_id {in $2} ORDER BY id";
    /// Served by the primary key. No stored name begins with a blank.
    MAKE_WAY = "UPDATE process {by id} SET name = ' ' || CAST(id AS TEXT), start_param = NULL
        WHERE business_id = $1 AND id {in $2}";
    /// Served by the primary key.
    UPDATE for many = "UPDATE process SET name = $3, func_name = $4, start_param = $5, fixed_fields = $6, extra_fields = $7
        WHERE business_id = $1 AND id = $2";
    /// Served by `service_instance_module` and `process_name`; SQLite keeps the order of a cross join.
    NAMES_OF_MODULE = "SELECT p.name, p.id FROM service_instance s
        CROSS JOIN process p WHERE s.business_id = $1 AND s.module_id = $2
        AND p.business_id = $1 AND p.service_instance_id = s.id ORDER BY p.name, p.id";
    /// Served by `service_instance_module` and `process_name`.
    NAMES_OF_MODULE_BACKWARDS = "SELECT p.name, p.id FROM service_instance s
        CROSS JOIN process p WHERE s.business_id = $1 AND s.module_id = $2
        AND p.business_id = $1 AND p.service_instance_id = s.id ORDER BY p.name DESC, p.id";
    /// Served by the primary keys of both tables.
    LIST_WITH_INSTANCE = "SELECT p.id, p.business_id, p.service_instance_id, p.process_template_id, p.host_id, p.fixed_fields,
        p.extra_fields, s.name FROM process p {by id}
        JOIN service_instance s ON s.business_id = $1 AND s.id = p.service_instance_id
        WHERE p.business_id = $1 AND p.id {in $2} ORDER BY p.id";
    /// Served by the primary keys of all tables.
    LIST_RELATED = "SELECT p.id, p.business_id, p.service_instance_id, p.process_template_id, p.host_id, p.fixed_fields,
        p.extra_fields, s.name, m.id, m.name, t.id, t.name, t.document, h.document FROM process p {by id}
        JOIN service_instance s ON s.business_id = $1 AND s.id = p.service_instance_id
        JOIN module m ON m.id = s.module_id
        JOIN topology_set t ON t.id = m.set_id
        JOIN host h ON h.id = p.host_id
        WHERE p.business_id = $1 AND p.id {in $2} ORDER BY p.id";
    /// Served by the primary key.
    DELETE = "DELETE FROM process {by id} WHERE business_id = $1 AND id {in $2}";
    INSERT for many = "INSERT INTO process (id, business_id, service_instance_id, host_id, process_template_id, name, func_name,
        start_param, fixed_fields, extra_fields) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
    /// Served by `service_instance_template` and `process_name`.
    COUNT_OF_TEMPLATE = "SELECT count(*) FROM service_instance s
        JOIN process p ON p.business_id = $1 AND p.service_instance_id = s.id
        WHERE s.business_id = $1 AND s.service_template_id > 0 AND s.service_template_id = $2";
    /// Served by `service_instance_bound` and `process_name`.
    LIST_OF_BOUND = "SELECT s.module_id, p.process_template_id, p.host_id, p.name, p.fixed_fields FROM service_instance s
        {index service_instance_bound} JOIN process p ON p.business_id = $1 AND p.service_instance_id = s.id
        WHERE s.business_id = $1 AND s.module_id {in $2} AND s.service_template_id > 0";
    /// Served by `service_instance_bound` and `process_name`.
    LIST_OF_BOUND_WITH_INSTANCE = "SELECT s.id, p.process_template_id, p.host_id, p.name, p.fixed_fields
        FROM service_instance s {index service_instance_bound}
        JOIN process p ON p.business_id = $1 AND p.service_instance_id = s.id
        WHERE s.business_id = $1 AND s.module_id = $2 AND s.service_template_id > 0";
    /// Served by `process_process_template`.
    LOCK_OF_TEMPLATES = "SELECT id, business_id, service_instance_id, process_template_id, host_id FROM process
        WHERE business_id = $1 AND process_template_id > 0 AND process_template_id {in $2} ORDER BY id {for update}";
    /// Served by `process_process_template`.
    RELEASE_OF_TEMPLATES = "UPDATE process SET process_template_id = 0 WHERE business_id = $1 AND process_template_id > 0
        AND process_template_id {in $2}";
    /// Served by `service_instance_bound`, in its order, `process_name` and the primary key of the templates.
    LIST_GOING = "SELECT s.host_id FROM service_instance s {index service_instance_bound}
        CROSS JOIN process p
        WHERE s.business_id = $1 AND s.module_id = $2 AND s.service_template_id > 0 AND s.host_id >= $3 AND s.host_id <= $4
        AND p.business_id = $1 AND p.service_instance_id = s.id AND NOT EXISTS (SELECT 1 FROM process_template t
            WHERE t.id = p.process_template_id AND t.service_template_id = $5)
        ORDER BY s.host_id LIMIT $6";
    /// Served by `process_name`.
    LOCK_TEMPLATED_OF_INSTANCES = "SELECT id, business_id, service_instance_id, process_template_id, host_id FROM process
        WHERE business_id = $1 AND service_instance_id {in $2} AND process_template_id <> 0 ORDER BY id {for update}";
    /// Served by `process_name`.
    RELEASE_OF_INSTANCES = "UPDATE process SET process_template_id = 0
        WHERE business_id = $1 AND service_instance_id {in $2} AND process_template_id <> 0";
    /// Served by `process_name`.
    DELETE_OF_INSTANCES = "DELETE FROM process WHERE business_id = $1 AND service_instance_id {in $2}";
}

/// A stored process, borrowed from the row it is read from.
#[derive(Debug, Clone, Copy)]
pub struct ProcessRow<'a> {
    pub id: ProcessId,
    pub business_id: BusinessId,
    pub service_instance_id: ServiceInstanceId,
    /// 0: made by hand.
    pub process_template_id: i64,
    pub host_id: HostId,
    /// Members of the fixed fields, without braces.
    pub fixed_fields: &'a str,
    /// Members of stamps and kept fields, without braces.
    pub extra_fields: &'a str,
}

/// What a process belongs to. It is told of as a record of its own (`topology` 12.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Relation {
    pub process_id: ProcessId,
    pub business_id: BusinessId,
    pub service_instance_id: ServiceInstanceId,
    /// 0: made by hand.
    pub process_template_id: i64,
    pub host_id: HostId,
}

impl ProcessRow<'_> {
    /// What the process belongs to.
    pub fn relation(&self) -> Relation {
        Relation {
            process_id: self.id,
            business_id: self.business_id,
            service_instance_id: self.service_instance_id,
            process_template_id: self.process_template_id,
            host_id: self.host_id,
        }
    }
}

fn read_relation(row: &dyn Row) -> Result<Relation, StoreError> {
    Ok(Relation {
        process_id: ProcessId(row.int(0)?),
        business_id: BusinessId(row.int(1)?),
        service_instance_id: ServiceInstanceId(row.int(2)?),
        process_template_id: row.int(3)?,
        host_id: HostId(row.int(4)?),
    })
}

fn read(row: &dyn Row) -> Result<ProcessRow<'_>, StoreError> {
    Ok(ProcessRow {
        id: ProcessId(row.int(0)?),
        business_id: BusinessId(row.int(1)?),
        service_instance_id: ServiceInstanceId(row.int(2)?),
        process_template_id: row.int(3)?,
        host_id: HostId(row.int(4)?),
        fixed_fields: row.text(5)?,
        extra_fields: row.text(6)?,
    })
}

/// Hands over every process of an instance, in order of their ids.
pub fn each_of_instance(
    tx: &mut dyn Tx,
    business: BusinessId,
    instance: ServiceInstanceId,
    each: &mut dyn FnMut(ProcessRow<'_>),
) -> Result<(), StoreError> {
    tx.query(LIST_OF_INSTANCE, &[business.get().into(), instance.get().into()], &mut |row| {
        each(read(row)?);
        Ok(())
    })
}

/// Hands over every process of these instances, instance by instance.
pub fn each_of_instances(
    tx: &mut dyn Tx,
    business: BusinessId,
    instances: &[ServiceInstanceId],
    each: &mut dyn FnMut(ProcessRow<'_>),
) -> Result<(), StoreError> {
    let ids: Vec<_> = instances.iter().map(|id| id.get()).collect();
    tx.query(LIST_OF_INSTANCES, &[business.get().into(), Param::Ids(&ids)], &mut |row| {
        each(read(row)?);
        Ok(())
    })
}

/// The keys in three columns that begin with the name.
fn read_keys(row: &dyn Row, first: usize) -> Result<ProcessKeys, StoreError> {
    Ok(ProcessKeys {
        name: row.text(first)?.to_owned(),
        func_name: row.text(first + 1)?.to_owned(),
        start_param: row.text_or_null(first + 2)?.map(str::to_owned),
    })
}

fn read_compared(row: &dyn Row) -> Result<ComparedProcess<'_>, StoreError> {
    Ok(ComparedProcess {
        process_template_id: ProcessTemplateId(row.int(1)?),
        host_id: HostId(row.int(2)?),
        name: row.text(3)?,
        fixed_fields: row.text(4)?,
    })
}

/// Hands over every process of the instances in modules that follow templates, in any order.
pub fn each_of_bound(
    tx: &mut dyn Tx,
    business: BusinessId,
    modules: &[ModuleId],
    each: &mut dyn FnMut(ModuleId, ComparedProcess<'_>) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let ids: Vec<_> = modules.iter().map(|id| id.get()).collect();
    tx.query(LIST_OF_BOUND, &[business.get().into(), Param::Ids(&ids)], &mut |row| {
        each(ModuleId(row.int(0)?), read_compared(row)?)
    })
}

/// The same of one module, with the instances.
pub fn each_of_bound_with_instance(
    tx: &mut dyn Tx,
    business: BusinessId,
    module: ModuleId,
    each: &mut dyn FnMut(ServiceInstanceId, ComparedProcess<'_>) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    tx.query(LIST_OF_BOUND_WITH_INSTANCE, &[business.get().into(), module.get().into()], &mut |row| {
        each(ServiceInstanceId(row.int(0)?), read_compared(row)?)
    })
}

/// Hands over the name and the id of every process in a module, in order of names, of one name in order of ids.
pub fn each_name_of_module(
    tx: &mut dyn Tx,
    business: BusinessId,
    module: ModuleId,
    backwards: bool,
    each: &mut dyn FnMut(&str, ProcessId),
) -> Result<(), StoreError> {
    let sql = if backwards { NAMES_OF_MODULE_BACKWARDS } else { NAMES_OF_MODULE };
    tx.query(sql, &[business.get().into(), module.get().into()], &mut |row| {
        each(row.text(0)?, ProcessId(row.int(1)?));
        Ok(())
    })
}

/// Hands over these processes of a business with the names of their instances, in order of their ids.
pub fn each_with_instance(
    tx: &mut dyn Tx,
    business: BusinessId,
    ids: &[i64],
    each: &mut dyn FnMut(ProcessRow<'_>, &str) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let params = [business.get().into(), Param::Ids(ids)];
    tx.query(LIST_WITH_INSTANCE, &params, &mut |row| each(read(row)?, row.text(7)?))
}

/// Where a process is.
#[derive(Debug, Clone, Copy)]
pub struct Whereabouts<'a> {
    pub instance_name: &'a str,
    pub module_id: ModuleId,
    pub module_name: &'a str,
    pub set_id: SetId,
    pub set_name: &'a str,
    pub set_document: &'a str,
    pub host_document: &'a str,
}

/// Hands over these processes of a business with where they are, in order of their ids.
pub fn each_related(
    tx: &mut dyn Tx,
    business: BusinessId,
    ids: &[i64],
    each: &mut dyn FnMut(ProcessRow<'_>, Whereabouts<'_>) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    tx.query(LIST_RELATED, &[business.get().into(), Param::Ids(ids)], &mut |row| {
        let whereabouts = Whereabouts {
            instance_name: row.text(7)?,
            module_id: ModuleId(row.int(8)?),
            module_name: row.text(9)?,
            set_id: SetId(row.int(10)?),
            set_name: row.text(11)?,
            set_document: row.text(12)?,
            host_document: row.text(13)?,
        };
        each(read(row)?, whereabouts)
    })
}

/// What the processes of an instance hold of the unique rules.
pub fn keys_of_instance(
    tx: &mut dyn Tx,
    business: BusinessId,
    instance: ServiceInstanceId,
) -> Result<Vec<ProcessKeys>, StoreError> {
    tx.list(KEYS_OF_INSTANCE, &[business.get().into(), instance.get().into()], |row| read_keys(row, 0))
}

/// Hands over these processes of a business, in order of their ids.
pub fn each_by_id(
    tx: &mut dyn Tx,
    business: BusinessId,
    ids: &[ProcessId],
    each: &mut dyn FnMut(ProcessRow<'_>) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let ids: Vec<_> = ids.iter().map(|id| id.get()).collect();
    tx.query(LIST_BY_ID, &[business.get().into(), Param::Ids(&ids)], &mut |row| each(read(row)?))
}

/// A process of an instance with what it holds of the unique rules.
#[derive(Debug, Clone, PartialEq)]
pub struct HeldKeys {
    pub id: ProcessId,
    pub service_instance_id: ServiceInstanceId,
    pub keys: ProcessKeys,
}

/// What the processes of these instances hold of the unique rules.
pub fn keys_of_instances(
    tx: &mut dyn Tx,
    business: BusinessId,
    instances: &[ServiceInstanceId],
) -> Result<Vec<HeldKeys>, StoreError> {
    let ids: Vec<_> = instances.iter().map(|id| id.get()).collect();
    tx.list(KEYS_OF_INSTANCES, &[business.get().into(), Param::Ids(&ids)], |row| {
        let (id, instance) = (ProcessId(row.int(0)?), ServiceInstanceId(row.int(1)?));
        Ok(HeldKeys { id, service_instance_id: instance, keys: read_keys(row, 2)? })
    })
}

/// Lets processes go of all they hold of the unique rules, until [`update`] gives them something new.
pub fn make_way(tx: &mut dyn Tx, business: BusinessId, ids: &[ProcessId]) -> Result<usize, StoreError> {
    let ids: Vec<_> = ids.iter().map(|id| id.get()).collect();
    tx.execute(MAKE_WAY, &[business.get().into(), Param::Ids(&ids)])
}

/// How many processes of the instances in a module have no template in a service template any more, host by host. The hosts are in
/// order. No more than `most` processes are looked at: hosts of which not all may have been seen are left out.
pub fn count_going(
    tx: &mut dyn Tx,
    business: BusinessId,
    (module, template): (ModuleId, ServiceTemplateId),
    hosts: &[HostId],
    most: usize,
) -> Result<Vec<usize>, StoreError> {
    let (Some(first), Some(last)) = (hosts.first(), hosts.last()) else { return Ok(Vec::new()) };
    let limit = i64::try_from(most).unwrap_or(i64::MAX);
    let numbers = [business.get(), module.get(), first.get(), last.get(), template.get(), limit];
    let going = tx.list(LIST_GOING, &numbers.map(Param::Int), |row| row.int(0))?;
    let end = going.last().filter(|_| going.len() >= most).copied().unwrap_or(i64::MAX);
    let mut counts: HashMap<i64, usize> = HashMap::new();
    for host in going {
        *counts.entry(host).or_default() += 1;
    }
    let seen = hosts.iter().map(|host| host.get()).take_while(|host| *host < end);
    Ok(seen.map(|host| counts.remove(&host).unwrap_or_default()).collect())
}

/// How many processes the instances have that follow a template.
pub fn count_of_template(
    tx: &mut dyn Tx,
    business: BusinessId,
    template: ServiceTemplateId,
) -> Result<i64, StoreError> {
    tx.number(COUNT_OF_TEMPLATE, &[business.get().into(), template.get().into()])
}

/// Stores what processes have become.
pub fn update<'a>(
    tx: &mut dyn Tx,
    business: BusinessId,
    processes: impl Iterator<Item = &'a NewProcess>,
) -> Result<(), StoreError> {
    let mut params = Vec::new();
    for process in processes {
        params.extend([
            Param::Int(business.get()),
            process.id.get().into(),
            (&process.keys.name).into(),
            (&process.keys.func_name).into(),
            process.keys.start_param.as_deref().into(),
            (&process.fixed_fields).into(),
            (&process.extra_fields).into(),
        ]);
    }
    tx.execute_many(UPDATE, 7, &params)
}

/// A process on its instance.
#[derive(Debug, Clone, Copy)]
pub struct PlacedProcess<'a> {
    pub business_id: BusinessId,
    pub service_instance_id: ServiceInstanceId,
    pub host_id: HostId,
    /// 0: made by hand.
    pub process_template_id: i64,
    pub process: &'a NewProcess,
}

/// Stores processes.
pub fn insert(tx: &mut dyn Tx, processes: &[PlacedProcess<'_>]) -> Result<(), StoreError> {
    let mut params = Vec::with_capacity(processes.len() * 10);
    for placed in processes {
        let process = placed.process;
        params.extend([
            Param::Int(process.id.get()),
            placed.business_id.get().into(),
            placed.service_instance_id.get().into(),
            placed.host_id.get().into(),
            placed.process_template_id.into(),
            (&process.keys.name).into(),
            (&process.keys.func_name).into(),
            process.keys.start_param.as_deref().into(),
            (&process.fixed_fields).into(),
            (&process.extra_fields).into(),
        ]);
    }
    tx.execute_many(INSERT, 10, &params)
}

/// Removes processes.
pub fn delete(tx: &mut dyn Tx, business: BusinessId, ids: &[ProcessId]) -> Result<usize, StoreError> {
    let ids: Vec<_> = ids.iter().map(|id| id.get()).collect();
    tx.execute(DELETE, &[business.get().into(), Param::Ids(&ids)])
}

/// Lets every process of these templates go of them; answers what they belonged to until now.
pub fn release_of_templates(
    tx: &mut dyn Tx,
    business: BusinessId,
    templates: &[ProcessTemplateId],
) -> Result<Vec<Relation>, StoreError> {
    let ids: Vec<_> = templates.iter().map(|id| id.get()).collect();
    release(tx, [LOCK_OF_TEMPLATES, RELEASE_OF_TEMPLATES], business, &ids)
}

/// Lets every process of these instances go of its template; answers what those that had one belonged to until now.
pub fn release_of_instances(
    tx: &mut dyn Tx,
    business: BusinessId,
    instances: &[ServiceInstanceId],
) -> Result<Vec<Relation>, StoreError> {
    let ids: Vec<_> = instances.iter().map(|id| id.get()).collect();
    release(tx, [LOCK_TEMPLATED_OF_INSTANCES, RELEASE_OF_INSTANCES], business, &ids)
}

fn release(
    tx: &mut dyn Tx,
    [lock, release]: [&'static str; 2],
    business: BusinessId,
    ids: &[i64],
) -> Result<Vec<Relation>, StoreError> {
    let params = [business.get().into(), Param::Ids(ids)];
    let held = tx.list(lock, &params, read_relation)?;
    if !held.is_empty() {
        tx.execute(release, &params)?;
    }
    Ok(held)
}

/// Removes every process of these instances.
pub fn delete_of_instances(
    tx: &mut dyn Tx,
    business: BusinessId,
    instances: &[ServiceInstanceId],
) -> Result<usize, StoreError> {
    let ids: Vec<_> = instances.iter().map(|id| id.get()).collect();
    tx.execute(DELETE_OF_INSTANCES, &[business.get().into(), Param::Ids(&ids)])
}
