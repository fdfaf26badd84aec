//! Changes to processes: update_process_instance replaces them, the update by ids changes single fields of many alike
//! (`instances` 10.14, 10.15). Both come down to [`Change`]s, decided and applied together.

use super::{AuditedProcess, ProcessAction, audit_detail, document, unique_lost};
use crate::access::{Granted, right};
use crate::journal::{InstanceEntry, Journal};
use crate::operation::Serve;
use crate::request::{business_of, check_most};
use crate::{Context, OpError, Reply};
use rollcall_domain::bind_info::NO_ADDRESSES;
use rollcall_domain::fault::{Cause, Failure, Fault, Reason};
use rollcall_domain::id::{BusinessId, HostId, ProcessId, ProcessTemplateId, ServiceInstanceId};
use rollcall_domain::json::{FieldPath, Json, Schema};
use rollcall_domain::process::{
    self, NewProcess, ProcessInfo, ProcessKeys, ProcessUpdate, StoredProcess, Unnamed, UpdateEntry, UpdateStamp,
};
use rollcall_domain::process_template::ProcessTemplate;
use rollcall_domain::wire_input;
use rollcall_store::event::EventKind;
use rollcall_store::service_instance::LockedInstance;
use rollcall_store::{StoreError, Tx};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

wire_input! {
    /// What update_process_instance takes.
    pub struct UpdateProcessesWire {
        /// The business.
        pub business_id: i64 = "bk_biz_id",
        /// Up to 100 processes, each with its id and all its fields: those left out become null.
        pub processes: Vec<UpdateEntry> = "processes",
    }
}

/// update_process_instance: its input, and the entries read once before the queue.
#[derive(Debug)]
pub struct UpdateProcesses {
    wire: UpdateProcessesWire,
    updates: Vec<ProcessUpdate>,
}

crate::operation::decode_through!(UpdateProcesses, UpdateProcessesWire, |wire| Self { wire, updates: Vec::new() });

impl Serve for UpdateProcesses {
    fn output() -> Schema {
        Schema::Integer.list()
    }

    fn check(&mut self) {
        if self.wire.processes.len() <= process::MAX_PER_CALL {
            let entries = self.wire.processes.iter().enumerate();
            self.updates =
                entries.map(|(i, entry)| ProcessUpdate::read(&entry.0, Unnamed::Cleared, &entry_at(i))).collect();
        }
    }

    /// The stages are those of `instances` 10.14; each reports all its bad items.
    fn serve(&self, context: &Context, tx: &mut dyn Tx) -> Result<Reply, OpError> {
        let business = business_of(self.wire.business_id)?;
        let granted = context.access.require::<right::EditServiceInstance>(business)?;
        check_most("processes", "update process instances", self.wire.processes.len(), process::MAX_PER_CALL)?;
        let ids = self.ids()?;
        if ids.is_empty() {
            return Reply::of(&ids.iter().map(|id| id.get()).collect::<Vec<_>>());
        }
        let distinct = distinct(&ids);
        let loaded = Loaded::lock(&granted, tx, &distinct, "processes")?;
        let id_at = |i: usize| entry_at(i).field(process::ID);
        let mut faults: Vec<_> = self.updates.iter().flat_map(ProcessUpdate::mistyped).cloned().collect();
        let zeros = ids.iter().enumerate().filter(|(_, id)| id.get() == 0);
        faults.extend(zeros.map(|(i, _)| Fault::new(Cause::ParamInvalid, id_at(i))));
        Failure::check(faults)?;
        let unknown = ids.iter().enumerate().filter(|(_, id)| !loaded.processes.contains_key(id));
        let unknown = unknown.map(|(i, id)| Fault::absent(Cause::ParamUnusable, id_at(i), id));
        Failure::check(unknown.collect())?;
        // Of entries with one id the last counts (`instances E70`).
        let last: HashMap<_, _> = ids.iter().enumerate().map(|(i, id)| (*id, i)).collect();
        let changes: Vec<_> = distinct
            .iter()
            .map(|id| Change { id: *id, update: &self.updates[last[id]], at: At::Entry(last[id]) })
            .collect();
        loaded.carry_out(&granted, context, tx, &changes)?;
        Reply::of(&distinct.iter().map(|id| id.get()).collect::<Vec<_>>())
    }
}

impl UpdateProcesses {
    /// The ids of the entries; each entry without one is named.
    fn ids(&self) -> Result<Vec<ProcessId>, Failure> {
        let entries = self.wire.processes.iter();
        let ids: Vec<_> = entries
            .map(|entry| match entry.0.get_ignoring_case(process::ID) {
                Some((_, Json::Int(id))) => Some(ProcessId(*id)),
                _ => None,
            })
            .collect();
        let missing = ids.iter().enumerate().filter(|(_, id)| id.is_none());
        let faults = missing.map(|(i, _)| {
            Fault::new(Cause::ParamInvalid, entry_at(i).field(process::ID)).because(Reason::NeedsInteger)
        });
        Failure::check(faults.collect())?;
        Ok(ids.into_iter().flatten().collect())
    }
}

fn entry_at(i: usize) -> FieldPath {
    FieldPath::of("processes").index(i)
}

/// Each id once, in the order of their first places.
fn distinct(ids: &[ProcessId]) -> Vec<ProcessId> {
    let mut seen = HashSet::new();
    ids.iter().copied().filter(|id| seen.insert(*id)).collect()
}

wire_input! {
    /// What the update of processes by ids takes.
    pub struct UpdateProcessesByIdWire {
        /// The business.
        pub business_id: i64 = "bk_biz_id",
        /// Up to 1000 processes; those that are not there are passed over if one of them is.
        pub process_ids: Vec<i64> = "process_ids",
        /// The fields to change, the same in each process; null takes a value away, what is not named stays.
        pub update_data: ProcessInfo = "update_data",
    }
}

/// The update of processes by ids: its input, and the fields read once before the queue.
#[derive(Debug)]
pub struct UpdateProcessesById {
    wire: UpdateProcessesByIdWire,
    update: ProcessUpdate,
}

crate::operation::decode_through!(UpdateProcessesById, UpdateProcessesByIdWire, |wire| {
    let update = ProcessUpdate::read(&wire.update_data.0, Unnamed::Kept, &FieldPath::of(UPDATE_DATA));
    Self { wire, update }
});

const UPDATE_DATA: &str = "update_data";

/// The most processes one update by ids changes.
const MAX_BY_ID: usize = 1000;

impl Serve for UpdateProcessesById {
    fn output() -> Schema {
        Schema::Integer.list()
    }

    fn serve(&self, context: &Context, tx: &mut dyn Tx) -> Result<Reply, OpError> {
        let wire = &self.wire;
        let business = business_of(wire.business_id)?;
        let granted = context.access.require::<right::EditServiceInstance>(business)?;
        if wire.process_ids.is_empty() {
            return Err(Fault::new(Cause::ParamInvalid, "process_ids").because(Reason::Blank).into());
        }
        if wire.process_ids.len() > MAX_BY_ID {
            let fault = Fault::new(Cause::TooManyRecords, "process_ids").with(MAX_BY_ID);
            return Err(fault.because(Reason::TooMany { max: MAX_BY_ID }).into());
        }
        if wire.update_data.0.is_empty() {
            return Err(Fault::new(Cause::ParamInvalid, UPDATE_DATA).because(Reason::Blank).into());
        }
        if wire.update_data.0.get_ignoring_case(process::ID).is_some() {
            let at = FieldPath::of(UPDATE_DATA).field(process::ID);
            return Err(Fault::new(Cause::ParamInvalid, at).because(Reason::UnknownKey).into());
        }
        let ids: Vec<_> = wire.process_ids.iter().copied().map(ProcessId).collect();
        let mut ids = distinct(&ids);
        let loaded = Loaded::lock(&granted, tx, &ids, "process_ids")?;
        Failure::check(self.update.mistyped().to_vec())?;
        ids.retain(|id| loaded.processes.contains_key(id));
        let changes: Vec<_> =
            ids.iter().map(|id| Change { id: *id, update: &self.update, at: At::Id(self.place(*id)) }).collect();
        loaded.carry_out(&granted, context, tx, &changes)?;
        Reply::of(&ids.iter().map(|id| id.get()).collect::<Vec<_>>())
    }
}

impl UpdateProcessesById {
    fn place(&self, id: ProcessId) -> usize {
        self.wire.process_ids.iter().position(|other| *other == id.get()).unwrap_or_default()
    }
}

/// Where in the request a process is named.
#[derive(Debug, Clone, Copy)]
enum At {
    /// In an entry with its fields.
    Entry(usize),
    /// In the list of ids that get the same fields.
    Id(usize),
}

impl At {
    fn field(self, field: &str) -> FieldPath {
        match self {
            At::Entry(i) => entry_at(i).field(field),
            At::Id(i) => FieldPath::of("process_ids").index(i),
        }
    }
}

/// A process and what is to become of it.
struct Change<'a> {
    id: ProcessId,
    update: &'a ProcessUpdate,
    at: At,
}

/// A process as it is stored.
struct Owned {
    service_instance_id: ServiceInstanceId,
    host_id: HostId,
    process_template_id: ProcessTemplateId,
    stored: StoredProcess,
}

/// The processes of a business that a request names, and their instances, locked.
struct Loaded {
    business: BusinessId,
    instances: Vec<LockedInstance>,
    processes: HashMap<ProcessId, Owned>,
}

impl Loaded {
    /// Locks the instances of the processes, then reads these; refused when none is there (`instances` D22).
    fn lock(
        granted: &Granted<right::EditServiceInstance>,
        tx: &mut dyn Tx,
        ids: &[ProcessId],
        field: &str,
    ) -> Result<Self, OpError> {
        let business = granted.business();
        let instances = rollcall_store::service_instance::lock_of_processes(tx, business, ids)?;
        let mut processes = HashMap::with_capacity(ids.len());
        rollcall_store::process::each_by_id(tx, business, ids, &mut |row| {
            let stored = StoredProcess::read(row.id, row.fixed_fields, row.extra_fields);
            let stored = stored.ok_or_else(|| StoreError::Unreadable(format!("process {}", row.id)))?;
            let owned = Owned {
                service_instance_id: row.service_instance_id,
                host_id: row.host_id,
                process_template_id: ProcessTemplateId(row.process_template_id),
                stored,
            };
            processes.insert(row.id, owned);
            Ok(())
        })?;
        if processes.is_empty() {
            let ids: Vec<_> = ids.iter().map(|id| id.get()).collect();
            let ids = rollcall_domain::fault::listed(&ids);
            return Err(Fault::absent(Cause::NotSet, field, ids).named("service_instance_ids").into());
        }
        Ok(Self { business, instances, processes })
    }

    /// Decides on all changes and applies them.
    fn carry_out(
        &self,
        granted: &Granted<right::EditServiceInstance>,
        context: &Context,
        tx: &mut dyn Tx,
        changes: &[Change<'_>],
    ) -> Result<(), OpError> {
        let made = self.decide(context, tx, changes)?;
        self.apply(granted, context, tx, changes, &made)
    }

    /// The templates that processes follow.
    fn templates(&self, tx: &mut dyn Tx) -> Result<HashMap<ProcessTemplateId, ProcessTemplate>, StoreError> {
        let ids: BTreeSet<_> = self.processes.values().map(|owned| owned.process_template_id).collect();
        let ids: Vec<_> = ids.into_iter().filter(|id| id.get() != 0).collect();
        if ids.is_empty() {
            return Ok(HashMap::new());
        }
        let found = rollcall_store::process_template::list_by_id(tx, self.business, &ids)?;
        Ok(found.into_iter().map(|template| (template.id, template)).collect())
    }

    /// What becomes of the processes, in the order of the changes.
    fn decide(&self, context: &Context, tx: &mut dyn Tx, changes: &[Change<'_>]) -> Result<Vec<NewProcess>, OpError> {
        let hosts: Vec<_> = changes
            .iter()
            .map(|change| (change, &self.processes[&change.id]))
            .filter(|(change, owned)| change.update.needs_host() || owned.process_template_id.get() != 0)
            .map(|(_, owned)| owned.host_id)
            .collect();
        let addresses = if hosts.is_empty() { HashMap::new() } else { rollcall_store::host::addresses(tx, &hosts)? };
        let templates = self.templates(tx)?;
        let time = context.time_text();
        let stamp = UpdateStamp { time: &time, user: &context.caller.user };
        let (mut faults, mut told) = (Vec::new(), HashSet::new());
        let mut made = Vec::with_capacity(changes.len());
        for change in changes {
            let owned = &self.processes[&change.id];
            let host = addresses.get(&owned.host_id).unwrap_or(&NO_ADDRESSES);
            let mut wrong = Vec::new();
            // The one place that knows who owns the fields of a process.
            let after = match templates.get(&owned.process_template_id) {
                Some(template) => template.property.edit(&owned.stored, change.update, stamp, host, &mut wrong),
                None => {
                    wrong = change.update.unusable();
                    if wrong.is_empty() { change.update.apply(&owned.stored, stamp, host, &mut wrong) } else { None }
                }
            };
            // What is wrong with fields that many processes share is told once.
            wrong.retain(|fault| told.insert((fault.cause, fault.path.clone())));
            faults.extend(wrong);
            made.push(after);
        }
        self.find_clashes(tx, changes, &made, &mut faults)?;
        Failure::check(faults)?;
        Ok(made.into_iter().flatten().collect())
    }

    /// Reads what the other processes of the instances hold, if anything that is unique changes.
    fn find_clashes(
        &self,
        tx: &mut dyn Tx,
        changes: &[Change<'_>],
        made: &[Option<NewProcess>],
        faults: &mut Vec<Fault>,
    ) -> Result<(), OpError> {
        let keeps_keys = |(change, after): (&Change<'_>, &Option<NewProcess>)| {
            after.as_ref().is_none_or(|after| after.keys == self.processes[&change.id].stored.keys)
        };
        if changes.iter().zip(made).all(keeps_keys) {
            return Ok(());
        }
        let instances: Vec<_> = self.instances.iter().map(|instance| instance.id).collect();
        let changed: HashSet<_> = changes.iter().map(|change| change.id).collect();
        let mut others: HashMap<ServiceInstanceId, Vec<ProcessKeys>> = HashMap::new();
        for held in rollcall_store::process::keys_of_instances(tx, self.business, &instances)? {
            if !changed.contains(&held.id) {
                others.entry(held.service_instance_id).or_default().push(held.keys);
            }
        }
        let mut wanted: BTreeMap<ServiceInstanceId, Vec<(At, &ProcessKeys)>> = BTreeMap::new();
        for (change, after) in changes.iter().zip(made) {
            let of_instance = wanted.entry(self.processes[&change.id].service_instance_id).or_default();
            of_instance.extend(after.as_ref().map(|after| (change.at, &after.keys)));
        }
        for (instance, wanted) in wanted {
            let others = others.get(&instance).map_or(&[][..], Vec::as_slice);
            let keys: Vec<_> = wanted.iter().map(|(_, keys)| *keys).collect();
            process::find_clashes(others, &keys, |i, field| wanted[i].0.field(field), faults);
        }
        Ok(())
    }

    fn apply(
        &self,
        granted: &Granted<right::EditServiceInstance>,
        context: &Context,
        tx: &mut dyn Tx,
        changes: &[Change<'_>],
        made: &[NewProcess],
    ) -> Result<(), OpError> {
        let business = granted.business();
        let mut by_instance: BTreeMap<ServiceInstanceId, Vec<(&Change<'_>, &NewProcess)>> = BTreeMap::new();
        for (change, after) in changes.iter().zip(made) {
            by_instance.entry(self.processes[&change.id].service_instance_id).or_default().push((change, after));
        }
        let making_way: Vec<_> = by_instance
            .values()
            .flat_map(|of_instance| {
                let keys: Vec<_> = of_instance
                    .iter()
                    .map(|(change, after)| (&self.processes[&change.id].stored.keys, &after.keys))
                    .collect();
                process::must_make_way(&keys).into_iter().map(|i| of_instance[i].0.id)
            })
            .collect();
        if !making_way.is_empty() {
            rollcall_store::process::make_way(tx, business, &making_way)?;
        }
        rollcall_store::process::update(tx, business, made.iter()).map_err(unique_lost)?;
        let mut journal = Journal::default();
        for instance in &self.instances {
            // The last process of a locked instance may have gone before it was locked.
            let Some(of_instance) = by_instance.remove(&instance.id) else { continue };
            let mut told = Vec::with_capacity(of_instance.len());
            for (change, after) in &of_instance {
                let stored = &self.processes[&change.id].stored;
                let before = stored.document();
                let action = ProcessAction::Update { before, update_fields: change.update.sent() };
                told.push(AuditedProcess { action, id: change.id, name: &stored.keys.name });
                journal.updated(EventKind::Process, business, change.id.get(), before.to_owned(), document(after));
            }
            journal.instance(InstanceEntry {
                business_id: business,
                action: "update",
                id: instance.id,
                name: &instance.name,
                detail: audit_detail(None, instance.host_id, &told),
            });
        }
        Ok(journal.write(context, tx)?)
    }
}
