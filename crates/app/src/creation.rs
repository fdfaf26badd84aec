//! Service instances that come to be, whatever the reason: with their processes, made by hand or from templates, and with an entry and
//! events that tell of them.

use crate::access::Granted;
use crate::journal::{InstanceEntry, Journal};
use crate::process_instance::{self as process, AuditedProcess, AuditedStates, MakesProcesses, Owner, Recipe};
use crate::{Context, OpError};
use rollcall_domain::bind_info::HostAddresses;
use rollcall_domain::fault::{Cause, Fault};
use rollcall_domain::id::{HostId, ModuleId, ServiceInstanceId, ServiceTemplateId};
use rollcall_domain::process::ProcessDraft;
use rollcall_domain::process_template::ProcessTemplate;
use rollcall_domain::service_instance::{self as rules, NewServiceInstance};
use rollcall_store::event::EventKind;
use rollcall_store::sequence::{self, Sequence};
use rollcall_store::{StoreError, Tx, service_instance as store};
use std::collections::HashMap;

/// An instance that is to be.
pub(crate) struct Wanted<'a> {
    pub(crate) module_id: ModuleId,
    /// 0: it follows no template.
    pub(crate) service_template_id: i64,
    pub(crate) host_id: HostId,
    pub(crate) host: &'a HostAddresses,
    pub(crate) name: String,
    pub(crate) recipes: Vec<Recipe<'a>>,
}

/// Stores instances with their processes, ids in the order they are wanted.
pub(crate) fn create<R: MakesProcesses>(
    granted: &Granted<R>,
    context: &Context,
    tx: &mut dyn Tx,
    wanted: &[Wanted<'_>],
    journal: &mut Journal,
) -> Result<Vec<ServiceInstanceId>, OpError> {
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let business_id = granted.business();
    let first = sequence::take(tx, Sequence::ServiceInstance, wanted.len())?;
    let time = context.time_text();
    let instances: Vec<_> = wanted
        .iter()
        .zip(first..)
        .map(|(wanted, id)| {
            let instance = NewServiceInstance {
                id: ServiceInstanceId(id),
                business_id,
                module_id: wanted.module_id,
                host_id: wanted.host_id,
                service_template_id: wanted.service_template_id,
                name: &wanted.name,
                user: &context.caller.user,
                time: &time,
            };
            let document = instance.document();
            (instance, document)
        })
        .collect();
    store::insert(tx, &instances).map_err(|error| match error {
        StoreError::Unique(_) => OpError::from(Fault::new(Cause::InstanceExists, "instances")),
        error => error.into(),
    })?;
    let owners: Vec<_> = instances
        .iter()
        .zip(wanted)
        .map(|((instance, _), wanted)| Owner {
            id: instance.id,
            host_id: instance.host_id,
            host: wanted.host,
            recipes: &wanted.recipes,
        })
        .collect();
    let wholes: Vec<_> = instances.iter().map(|(_, document)| rules::whole_document(document, None)).collect();
    for ((instance, _), whole) in instances.iter().zip(&wholes) {
        journal.created(EventKind::ServiceInstance, business_id, instance.id.get(), whole.clone());
    }
    let made = process::apply_create(granted, context, tx, &owners, journal)?;
    for (((instance, _), whole), made) in instances.iter().zip(&wholes).zip(&made) {
        let states = AuditedStates { after: Some(whole), ..AuditedStates::default() };
        journal.instance(InstanceEntry {
            business_id,
            action: "create",
            id: instance.id,
            name: instance.name,
            detail: process::audit_detail(Some(states), instance.host_id, &AuditedProcess::made(made)),
        });
    }
    Ok(instances.iter().map(|(instance, _)| instance.id).collect())
}

/// A service template with its process templates, in the order of their ids, and what the processes made from them begin with.
pub(crate) struct Blueprint {
    pub(crate) id: ServiceTemplateId,
    pub(crate) templates: Vec<ProcessTemplate>,
    drafts: Vec<ProcessDraft>,
}

impl Blueprint {
    /// Those of these service templates that there are. They stay as they are until the end of the transaction.
    pub(crate) fn lock(
        tx: &mut dyn Tx,
        ids: &[ServiceTemplateId],
    ) -> Result<HashMap<ServiceTemplateId, Blueprint>, StoreError> {
        if ids.is_empty() {
            return Ok(HashMap::new());
        }
        let found = rollcall_store::service_template::lock_shared_many(tx, ids)?;
        let mut templates: HashMap<_, Vec<_>> = HashMap::new();
        for template in rollcall_store::process_template::list(tx, ids)? {
            templates.entry(template.service_template_id).or_default().push(template);
        }
        let blueprint = |id| (id, Blueprint::of(id, templates.remove(&id).unwrap_or_default()));
        Ok(found.into_iter().map(|template| template.id).map(blueprint).collect())
    }

    /// The same of process templates that are at hand, in the order of their ids.
    pub(crate) fn of(id: ServiceTemplateId, templates: Vec<ProcessTemplate>) -> Self {
        let drafts = templates.iter().map(|template| template.property.fresh()).collect();
        Self { id, templates, drafts }
    }

    /// The processes of a new instance.
    pub(crate) fn recipes(&self) -> Vec<Recipe<'_>> {
        (0..self.templates.len()).map(|place| self.recipe(place)).collect()
    }

    /// The process of one of the templates.
    pub(crate) fn recipe(&self, place: usize) -> Recipe<'_> {
        Recipe { draft: &self.drafts[place], follows: Some(&self.templates[place]), change: None }
    }

    /// The name of a new instance that was given none.
    pub(crate) fn name_on(&self, host: &HostAddresses) -> String {
        rules::generated_name(host, self.drafts.first())
    }
}
