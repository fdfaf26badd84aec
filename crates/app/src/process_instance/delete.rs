//! delete_process_instance (`instances` 10.16): a service instance without any process goes too.

use super::{AuditedProcess, ProcessAction, audit_detail};
use crate::access::{Granted, right};
use crate::journal::{InstanceEntry, Journal};
use crate::operation::Serve;
use crate::request::{business_of, check_most};
use crate::{Context, OpError, Reply, removal};
use rollcall_domain::fault::{Cause, Failure, Fault, Reason};
use rollcall_domain::id::{ProcessId, ServiceInstanceId};
use rollcall_domain::json::{FieldPath, Schema};
use rollcall_domain::wire_input;
use rollcall_store::Tx;
use rollcall_store::event::EventKind;
use rollcall_store::process::HeldKeys;
use rollcall_store::service_instance::LockedInstance;
use std::collections::{BTreeMap, HashMap, HashSet};

wire_input! {
    /// What delete_process_instance takes.
    pub struct DeleteProcesses {
        /// The business.
        pub business_id: i64 = "bk_biz_id",
        /// 1 to 500 processes; those that are not there are passed over.
        pub process_ids: Vec<i64> = "process_instance_ids",
    }
}

/// The most processes one call removes.
const MAX_PER_CALL: usize = 500;

impl Serve for DeleteProcesses {
    fn output() -> Schema {
        Schema::Null
    }

    fn serve(&self, context: &Context, tx: &mut dyn Tx) -> Result<Reply, OpError> {
        let business = business_of(self.business_id)?;
        let granted = context.access.require::<right::EditServiceInstance>(business)?;
        if self.process_ids.is_empty() {
            let fault = Fault::new(Cause::NotSet, "process_instance_ids").named("bk_process_id");
            return Err(fault.because(Reason::Blank).into());
        }
        check_most("process_instance_ids", "delete process instances", self.process_ids.len(), MAX_PER_CALL)?;
        let loaded = Loaded::lock(&granted, tx, &self.process_ids)?;
        if loaded.processes.is_empty() {
            return Ok(Reply::null());
        }
        self.check_owners(&loaded)?;
        let mut journal = Journal::default();
        loaded.remove(&granted, tx, &mut journal)?;
        journal.write(context, tx)?;
        Ok(Reply::null())
    }
}

impl DeleteProcesses {
    /// A process of a template goes only when its template says so (`instances E81`); each is named.
    fn check_owners(&self, loaded: &Loaded) -> Result<(), Failure> {
        let owned = self.process_ids.iter().enumerate().filter(|(_, id)| {
            let process = loaded.processes.get(&ProcessId(**id));
            process.is_some_and(|process| process.process_template_id != 0)
        });
        let at = |i: usize| FieldPath::of("process_instance_ids").index(i);
        Failure::check(
            owned.map(|(i, id)| Fault::new(Cause::ProcessOwnedByTemplate, at(i)).named(id.to_string())).collect(),
        )
    }
}

/// A process that is to go.
struct Going {
    process_template_id: i64,
    document: String,
}

/// The processes that a request names, and their instances, locked, with all that is in these.
struct Loaded {
    instances: Vec<LockedInstance>,
    processes: HashMap<ProcessId, Going>,
    /// Everything in the instances.
    held: BTreeMap<ServiceInstanceId, Vec<HeldKeys>>,
}

impl Loaded {
    fn lock(granted: &Granted<right::EditServiceInstance>, tx: &mut dyn Tx, ids: &[i64]) -> Result<Self, OpError> {
        let business = granted.business();
        let ids: Vec<_> = ids.iter().copied().map(ProcessId).collect();
        let instances = rollcall_store::service_instance::lock_of_processes(tx, business, &ids)?;
        let mut processes = HashMap::with_capacity(ids.len());
        rollcall_store::process::each_by_id(tx, business, &ids, &mut |row| {
            let document = format!("{{{},{}}}", row.fixed_fields, row.extra_fields);
            processes.insert(row.id, Going { process_template_id: row.process_template_id, document });
            Ok(())
        })?;
        let of_instances: Vec<_> = instances.iter().map(|instance| instance.id).collect();
        let mut held: BTreeMap<ServiceInstanceId, Vec<HeldKeys>> = BTreeMap::new();
        for process in rollcall_store::process::keys_of_instances(tx, business, &of_instances)? {
            held.entry(process.service_instance_id).or_default().push(process);
        }
        Ok(Self { instances, processes, held })
    }

    /// Removes the instances that lose their last process, and from the others what was named.
    fn remove(
        mut self,
        granted: &Granted<right::EditServiceInstance>,
        tx: &mut dyn Tx,
        journal: &mut Journal,
    ) -> Result<(), OpError> {
        let business = granted.business();
        let held = std::mem::take(&mut self.held);
        let emptied: HashSet<_> = held
            .iter()
            .filter(|(_, held)| held.iter().all(|process| self.processes.contains_key(&process.id)))
            .map(|(id, _)| *id)
            .collect();
        let (gone, kept): (Vec<_>, Vec<_>) =
            self.instances.into_iter().partition(|instance| emptied.contains(&instance.id));
        removal::remove(tx, business, &gone, journal)?;
        let mut ids = Vec::new();
        for instance in &kept {
            let named = held.get(&instance.id).into_iter().flatten();
            let named: Vec<_> =
                named.filter_map(|process| Some((process, self.processes.remove(&process.id)?))).collect();
            if named.is_empty() {
                continue;
            }
            let told: Vec<_> = named
                .iter()
                .map(|(process, _)| AuditedProcess {
                    action: ProcessAction::Delete,
                    id: process.id,
                    name: &process.keys.name,
                })
                .collect();
            journal.instance(InstanceEntry {
                business_id: business,
                action: "update",
                id: instance.id,
                name: &instance.name,
                detail: audit_detail(None, instance.host_id, &told),
            });
            for (process, going) in named {
                ids.push(process.id);
                journal.deleted(EventKind::Process, business, process.id.get(), going.document);
            }
        }
        if !ids.is_empty() {
            rollcall_store::process::delete(tx, business, &ids)?;
        }
        Ok(())
    }
}
