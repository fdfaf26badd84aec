//! Processes of service instances: create_process_instance, list_process_instance (`instances` 10.13, 10.17); the other operations
//! stand in the files below.

mod delete;
mod search;
mod update;

pub use delete::DeleteProcesses;
pub use search::{ListDetailsById, ListDetailsOfBusiness, ListNamesWithIds, ListRelated};
pub use update::{UpdateProcesses, UpdateProcessesById};

use crate::access::{Granted, right};
use crate::journal::{InstanceEntry, Journal};
use crate::operation::Serve;
use crate::request::check_count;
use crate::{Context, OpError, Reply};
use rollcall_domain::bind_info::HostAddresses;
use rollcall_domain::fault::{Cause, Failure, Fault, Reason};
use rollcall_domain::id::{BusinessId, HostId, ProcessId, SUPPLIER_ACCOUNT, ServiceInstanceId};
use rollcall_domain::json::{FieldPath, JsonWriter, Schema};
use rollcall_domain::process::{
    self, NewProcess, Placement, ProcessDraft, ProcessInfo, ProcessUpdate, StoredProcess, UpdateStamp,
};
use rollcall_domain::process_template::ProcessTemplate;
use rollcall_domain::wire_input;
use rollcall_store::event::EventKind;
use rollcall_store::process::{PlacedProcess, Relation};
use rollcall_store::sequence::{self, Sequence};
use rollcall_store::{StoreError, Tx};

wire_input! {
    /// What create_process_instance takes.
    pub struct CreateProcessesWire {
        /// The business; derived from the service instance when missing.
        pub business_id: Option<i64> = "bk_biz_id",
        /// The service instance that gets the processes; it must not follow a template.
        pub service_instance_id: i64 = "service_instance_id",
        /// 1 to 100 processes.
        pub processes: Vec<ProcessEntryWire> = "processes",
    }
}

wire_input! {
    /// One process of a request.
    pub struct ProcessEntryWire {
        /// The process template; without meaning where there is none.
        pub process_template_id: i64 = "process_template_id",
        /// The fields of the process.
        pub process_info: ProcessInfo = "process_info",
    }
}

/// create_process_instance: its input, and the processes checked once before the queue.
#[derive(Debug)]
pub struct CreateProcesses {
    wire: CreateProcessesWire,
    drafts: Drafts,
}

crate::operation::decode_through!(CreateProcesses, CreateProcessesWire, |wire| Self {
    wire,
    drafts: Drafts::default()
});

/// The processes of one instance as a caller wants them.
#[derive(Debug, Default)]
pub(crate) struct Drafts {
    good: Vec<ProcessDraft>,
    /// The places of the good ones in the request.
    places: Vec<usize>,
    /// What is wrong with the others.
    faults: Vec<Fault>,
    /// The list they stand in.
    at: FieldPath,
}

impl Drafts {
    /// Checks every process of a list and takes its record out: the writer need not free what only the check reads.
    pub(crate) fn read(entries: &mut [ProcessEntryWire], at: FieldPath) -> Self {
        let count = entries.len();
        let mut drafts =
            Self { good: Vec::with_capacity(count), places: Vec::with_capacity(count), faults: Vec::new(), at };
        for (i, entry) in entries.iter_mut().enumerate() {
            let at = drafts.at.index(i).field("process_info");
            let record = std::mem::take(&mut entry.process_info.0);
            if let Some(draft) = process::read_draft(&record, &at, &mut drafts.faults) {
                drafts.good.push(draft);
                drafts.places.push(i);
            }
        }
        drafts
    }

    /// Adds what is wrong with any of them, and which of the others clash with each other or with stored ones.
    pub(crate) fn find_faults(&self, existing: &[process::ProcessKeys], faults: &mut Vec<Fault>) {
        faults.extend(self.faults.iter().cloned());
        let at = |i: usize, field: &str| self.at.index(self.places[i]).field("process_info").field(field);
        let wanted: Vec<_> = self.good.iter().map(ProcessDraft::keys).collect();
        process::find_clashes(existing, &wanted, at, faults);
    }

    /// All of them, once no fault was found.
    pub(crate) fn all(&self) -> &[ProcessDraft] {
        &self.good
    }
}

impl Serve for CreateProcesses {
    fn output() -> Schema {
        Schema::Integer.list()
    }

    fn check(&mut self) {
        if self.wire.processes.len() <= process::MAX_PER_CALL {
            self.drafts = Drafts::read(&mut self.wire.processes, FieldPath::of("processes"));
        }
    }

    fn serve(&self, context: &Context, tx: &mut dyn Tx) -> Result<Reply, OpError> {
        let wire = &self.wire;
        // A caller without the right learns nothing, not even what is wrong with the request.
        if let Some(stated) = wire.business_id.filter(|id| *id > 0) {
            context.access.require::<right::EditServiceInstance>(BusinessId(stated))?;
        }
        let (count, max) = (wire.processes.len(), process::MAX_PER_CALL);
        check_count("processes", "create process instances", count, max, Cause::ParamUnusable)?;
        let instance_id = ServiceInstanceId(wire.service_instance_id);
        let (granted, instance) = locate(context, tx, wire.business_id, instance_id)?;
        if instance.service_template_id != 0 {
            return Err(Fault::new(Cause::InstanceOwnedByTemplate, "service_instance_id").into());
        }
        let existing = rollcall_store::process::keys_of_instance(tx, granted.business(), instance_id)?;
        let mut faults = Vec::new();
        self.drafts.find_faults(&existing, &mut faults);
        Failure::check(faults)?;

        let host = rollcall_store::host::find_addresses(tx, instance.host_id)?.unwrap_or_default();
        let recipes = Recipe::by_hand(self.drafts.all());
        let owner = Owner { id: instance_id, host_id: instance.host_id, host: &host, recipes: &recipes };
        let mut journal = Journal::default();
        let made = apply_create(&granted, context, tx, &[owner], &mut journal)?;
        let ids: Vec<i64> = made.iter().flatten().map(|process| process.id.get()).collect();
        journal.instance(InstanceEntry {
            business_id: granted.business(),
            action: "update",
            id: instance_id,
            name: &instance.name,
            detail: audit_detail(None, instance.host_id, &AuditedProcess::made(&made[0])),
        });
        journal.write(context, tx)?;
        Reply::of(&ids)
    }
}

/// A failure from faults of which there is at least one.
pub(crate) fn failure(faults: Vec<Fault>) -> OpError {
    match Failure::check(faults) {
        Err(failure) => failure.into(),
        Ok(()) => StoreError::Defect("a refusal without a fault".into()).into(),
    }
}

/// The instance with the proof of the right to edit in its business. What the caller may not know of looks absent (`design` §4).
fn locate(
    context: &Context,
    tx: &mut dyn Tx,
    stated: Option<i64>,
    id: ServiceInstanceId,
) -> Result<(Granted<right::EditServiceInstance>, rollcall_store::service_instance::ServiceInstanceRow), OpError> {
    if stated.is_some_and(|business| business <= 0) {
        return Err(Fault::new(Cause::ParamInvalid, "bk_biz_id").into());
    }
    let absent = || OpError::from(Fault::new(Cause::NotFound, "service_instance_id"));
    let stated = stated.map(BusinessId);
    let instance = match stated {
        Some(stated) => rollcall_store::service_instance::lock(tx, stated, id)?,
        None => None,
    };
    if let Some(instance) = instance {
        return Ok((context.access.find(instance.business_id).ok_or_else(absent)?, instance));
    }
    let business = rollcall_store::service_instance::locate(tx, id)?.ok_or_else(absent)?;
    let granted: Granted<right::EditServiceInstance> = context.access.find(business).ok_or_else(absent)?;
    if stated.is_some_and(|stated| stated != business) {
        return Err(Fault::new(Cause::ParamInvalid, "bk_biz_id").because(Reason::OtherBusiness).into());
    }
    let instance = rollcall_store::service_instance::lock(tx, business, id)?.ok_or_else(absent)?;
    Ok((granted, instance))
}

/// A right that lets its holder make processes.
pub(crate) trait MakesProcesses: crate::access::Right {}
impl MakesProcesses for right::EditServiceInstance {}
impl MakesProcesses for right::CreateServiceInstance {}
impl MakesProcesses for right::AssignHostToBusiness {}

/// An instance and the processes it gets.
pub(crate) struct Owner<'a> {
    pub(crate) id: ServiceInstanceId,
    pub(crate) host_id: HostId,
    pub(crate) host: &'a HostAddresses,
    pub(crate) recipes: &'a [Recipe<'a>],
}

/// How a process is made.
#[derive(Clone, Copy)]
pub(crate) struct Recipe<'a> {
    pub(crate) draft: &'a ProcessDraft,
    /// The template that the draft comes from.
    pub(crate) follows: Option<&'a ProcessTemplate>,
    /// What the caller wants otherwise in a process of a template, as far as its locks let, and where in the request that stands.
    pub(crate) change: Option<(&'a ProcessUpdate, &'a FieldPath)>,
}

impl<'a> Recipe<'a> {
    /// Of processes that follow no template.
    pub(crate) fn by_hand(drafts: &'a [ProcessDraft]) -> Vec<Self> {
        drafts.iter().map(|draft| Self { draft, follows: None, change: None }).collect()
    }

    fn make(&self, id: ProcessId, at: &Placement<'_>, faults: &mut Vec<Fault>) -> Result<NewProcess, StoreError> {
        let fresh = self.draft.place(id, at);
        let (Some(template), Some((change, _))) = (self.follows, self.change) else { return Ok(fresh) };
        let stored = StoredProcess::read(id, &fresh.fixed_fields, &fresh.extra_fields);
        let stored = stored.ok_or_else(|| StoreError::Unreadable(format!("process {id}")))?;
        let stamp = UpdateStamp { time: at.time, user: at.user };
        Ok(template.property.edit(&stored, change, stamp, at.host, faults).unwrap_or(fresh))
    }
}

impl Owner<'_> {
    /// What callers changed may clash with what other templates say.
    fn find_clashes(&self, made: &[NewProcess], faults: &mut Vec<Fault>) {
        if self.recipes.iter().all(|recipe| recipe.change.is_none()) {
            return;
        }
        let keys: Vec<_> = made.iter().map(|process| &process.keys).collect();
        let at = |i: usize, field: &str| match self.recipes[i].change {
            Some((_, at)) => at.field(field),
            None => FieldPath::of(field),
        };
        process::find_clashes(&[], &keys, at, faults);
    }
}

/// Stores the processes of instances, ids in request order, with their events. Answers them instance by instance. Nothing is stored
/// when a change of a caller's is at fault.
pub(crate) fn apply_create<R: MakesProcesses>(
    granted: &Granted<R>,
    context: &Context,
    tx: &mut dyn Tx,
    owners: &[Owner<'_>],
    journal: &mut Journal,
) -> Result<Vec<Vec<NewProcess>>, OpError> {
    let business_id = granted.business();
    let time = context.time_text();
    let count = owners.iter().map(|owner| owner.recipes.len()).sum();
    let mut ids = sequence::take(tx, Sequence::Process, count)?..;
    let mut faults = Vec::new();
    let mut made: Vec<Vec<NewProcess>> = Vec::with_capacity(owners.len());
    for owner in owners {
        let at = Placement {
            business_id,
            service_instance_id: owner.id,
            host_id: owner.host_id,
            host: owner.host,
            time: &time,
            user: &context.caller.user,
        };
        // `zip` would take one id too many from the range behind the last recipe.
        let processes = owner.recipes.iter().map(|recipe| {
            let id = ProcessId(ids.next().unwrap_or_default());
            recipe.make(id, &at, &mut faults)
        });
        let processes = processes.collect::<Result<Vec<_>, _>>()?;
        owner.find_clashes(&processes, &mut faults);
        made.push(processes);
    }
    Failure::check(faults)?;
    let placed: Vec<_> = owners
        .iter()
        .zip(&made)
        .flat_map(|(owner, made)| {
            owner.recipes.iter().zip(made).map(|(recipe, process)| PlacedProcess {
                business_id,
                service_instance_id: owner.id,
                host_id: owner.host_id,
                process_template_id: recipe.follows.map_or(0, |template| template.id.get()),
                process,
            })
        })
        .collect();
    rollcall_store::process::insert(tx, &placed).map_err(unique_lost)?;
    for process in made.iter().flatten() {
        journal.created(EventKind::Process, business_id, process.id.get(), document(process));
    }
    Ok(made)
}

/// The rules give the friendly error first; the index closes the race between two servers.
fn unique_lost(error: StoreError) -> OpError {
    match error {
        StoreError::Unique(_) => Fault::new(Cause::Duplicate, "processes").named("bk_process_name").into(),
        error => error.into(),
    }
}

/// The whole document of a process.
pub(crate) fn document(process: &NewProcess) -> String {
    ["{", &process.fixed_fields, ",", &process.extra_fields, "}"].concat()
}

/// What happened to a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ProcessAction<'a> {
    Create,
    /// With its state before and what the caller sent, both JSON text.
    Update {
        before: &'a str,
        update_fields: &'a str,
    },
    Delete,
}

impl ProcessAction<'_> {
    fn wire(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update { .. } => "update",
            Self::Delete => "delete",
        }
    }

    /// Of its texts, in bytes.
    fn length(self) -> usize {
        match self {
            Self::Update { before, update_fields } => before.len() + update_fields.len(),
            Self::Create | Self::Delete => 0,
        }
    }
}

/// A process as the audit entry of its instance tells of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AuditedProcess<'a> {
    pub(crate) action: ProcessAction<'a>,
    pub(crate) id: ProcessId,
    pub(crate) name: &'a str,
}

impl<'a> AuditedProcess<'a> {
    /// Of processes that were made.
    pub(crate) fn made(processes: &'a [NewProcess]) -> Vec<Self> {
        let told =
            |process: &'a NewProcess| Self { action: ProcessAction::Create, id: process.id, name: &process.keys.name };
        processes.iter().map(told).collect()
    }
}

/// The states of an instance as its audit entry tells of them, each as JSON text; `None` is null.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct AuditedStates<'a> {
    pub(crate) before: Option<&'a str>,
    pub(crate) after: Option<&'a str>,
    pub(crate) update_fields: Option<&'a str>,
}

/// `operation_detail` of a service instance's entry; without states when only its processes changed. The processes' documents stand
/// in the events of the same request.
pub(crate) fn audit_detail(
    states: Option<AuditedStates<'_>>,
    host: HostId,
    processes: &[AuditedProcess<'_>],
) -> String {
    let told: usize = processes.iter().map(|process| 128 + process.action.length()).sum();
    let mut out = JsonWriter::with_capacity(512 + told);
    out.raw("{").key("details");
    match states {
        None => out.raw("null"),
        Some(AuditedStates { before, after, update_fields }) => {
            out.raw("{\"pre_data\":").raw(before.unwrap_or("null"));
            out.raw(",\"cur_data\":").raw(after.unwrap_or("null"));
            out.raw(",\"update_fields\":").raw(update_fields.unwrap_or("null")).raw("}")
        }
    };
    out.key("bk_host_id").int(host.get()).key("processes").raw("[");
    for process in processes {
        out.separate().raw("{\"action\":").text(process.action.wire());
        out.raw(",\"bk_process_ids\":").int(process.id.get());
        out.raw(",\"bk_process_names\":").text(process.name);
        out.raw(",\"details\":");
        match process.action {
            ProcessAction::Update { before, update_fields } => {
                out.raw("{\"pre_data\":").raw(before).raw(",\"cur_data\":null,\"update_fields\":");
                out.raw(update_fields).raw("}}");
            }
            ProcessAction::Create | ProcessAction::Delete => {
                out.raw("null}");
            }
        }
    }
    out.raw("]}");
    out.finish()
}

wire_input! {
    /// What list_process_instance takes.
    pub struct ListProcesses {
        /// The business; derived from the service instance when missing.
        pub business_id: Option<i64> = "bk_biz_id",
        /// The service instance whose processes are listed.
        pub service_instance_id: i64 = "service_instance_id",
    }
}

impl Serve for ListProcesses {
    fn output() -> Schema {
        Schema::object([("property", process::document_schema()), ("relation", process::relation_schema())]).list()
    }

    fn serve(&self, context: &Context, tx: &mut dyn Tx) -> Result<Reply, OpError> {
        let instance_id = ServiceInstanceId(self.service_instance_id);
        if instance_id.get() == 0 {
            return Err(Fault::new(Cause::ParamInvalid, "service_instance_id").into());
        }
        let business = match self.business_id {
            Some(business) if business <= 0 => {
                return Err(Fault::new(Cause::ParamInvalid, "bk_biz_id").into());
            }
            Some(business) => BusinessId(business),
            None => match rollcall_store::service_instance::locate(tx, instance_id)? {
                Some(business) if context.access.may_read(business).is_ok() => business,
                _ => return Ok(Reply("[]".into())),
            },
        };
        context.access.may_read(business)?;
        let mut out = JsonWriter::with_capacity(4096);
        out.raw("[");
        rollcall_store::process::each_of_instance(tx, business, instance_id, &mut |process| {
            out.separate().raw("{\"property\":{").raw(process.fixed_fields).raw(",").raw(process.extra_fields);
            out.raw("},\"relation\":");
            write_relation(&mut out, process.relation());
            out.raw("}");
        })?;
        out.raw("]");
        Ok(Reply(out.finish()))
    }
}

/// A process's relation as the wire shows it.
pub(crate) fn write_relation(out: &mut JsonWriter, relation: Relation) {
    out.raw("{\"bk_biz_id\":").int(relation.business_id.get());
    out.raw(",\"bk_process_id\":").int(relation.process_id.get());
    out.raw(",\"service_instance_id\":").int(relation.service_instance_id.get());
    out.raw(",\"process_template_id\":").int(relation.process_template_id);
    out.raw(",\"bk_host_id\":").int(relation.host_id.get());
    out.raw(",\"bk_supplier_account\":").text(SUPPLIER_ACCOUNT).raw("}");
}

/// Leaves an event for each process that let go of its template. `held`: what they belonged to until then. There may be very many.
pub(crate) fn tell_released(
    context: &Context,
    tx: &mut dyn Tx,
    held: Vec<Relation>,
    journal: &mut Journal,
) -> Result<(), StoreError> {
    let document = |relation| {
        let mut out = JsonWriter::with_capacity(160);
        write_relation(&mut out, relation);
        out.finish()
    };
    for before in held {
        let after = Relation { process_template_id: 0, ..before };
        let id = before.process_id.get();
        let states = (document(before), document(after));
        journal.updated(EventKind::ProcessRelation, before.business_id, id, states.0, states.1);
        journal.ease(context, tx)?;
    }
    Ok(())
}
