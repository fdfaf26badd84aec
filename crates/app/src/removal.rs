//! Service instances that go, whatever the reason: with their processes, and with an entry and events that hold their last states.

use crate::OpError;
use crate::journal::{InstanceEntry, Journal};
use crate::process_instance::{AuditedProcess, AuditedStates, ProcessAction, audit_detail};
use rollcall_domain::id::{BusinessId, ProcessId, ServiceInstanceId};
use rollcall_domain::json::{Json, Limits, parse};
use rollcall_domain::service_instance::whole_document;
use rollcall_store::event::EventKind;
use rollcall_store::service_instance::LockedInstance;
use rollcall_store::{StoreError, Tx};
use std::collections::HashMap;

/// A process that goes.
struct Gone {
    id: ProcessId,
    name: String,
    /// JSON text.
    document: String,
}

/// Removes service instances of a business with their processes, and tells of each. That they are locked keeps others from giving
/// them processes meanwhile.
pub(crate) fn remove(
    tx: &mut dyn Tx,
    business: BusinessId,
    instances: &[LockedInstance],
    journal: &mut Journal,
) -> Result<(), OpError> {
    if instances.is_empty() {
        return Ok(());
    }
    let ids: Vec<_> = instances.iter().map(|instance| instance.id).collect();
    let mut documents: HashMap<ServiceInstanceId, Vec<(ProcessId, String)>> = HashMap::new();
    rollcall_store::process::each_of_instances(tx, business, &ids, &mut |process| {
        let document = format!("{{{},{}}}", process.fixed_fields, process.extra_fields);
        documents.entry(process.service_instance_id).or_default().push((process.id, document));
    })?;
    rollcall_store::process::delete_of_instances(tx, business, &ids)?;
    rollcall_store::service_instance::delete(tx, business, &ids)?;
    for instance in instances {
        let documents = documents.remove(&instance.id).unwrap_or_default();
        let named = documents.into_iter().map(|(id, document)| {
            let name = process_name(&document)?;
            Ok(Gone { id, name, document })
        });
        let gone = named.collect::<Result<Vec<_>, StoreError>>()?;
        let told: Vec<_> = gone
            .iter()
            .map(|process| AuditedProcess { action: ProcessAction::Delete, id: process.id, name: &process.name })
            .collect();
        let document = whole_document(&instance.document, instance.labels.as_deref());
        let states = AuditedStates { before: Some(&document), ..AuditedStates::default() };
        journal.instance(InstanceEntry {
            business_id: business,
            action: "delete",
            id: instance.id,
            name: &instance.name,
            detail: audit_detail(Some(states), instance.host_id, &told),
        });
        for process in gone {
            journal.deleted(EventKind::Process, business, process.id.get(), process.document);
        }
        journal.deleted(EventKind::ServiceInstance, business, instance.id.get(), document);
    }
    Ok(())
}

fn process_name(document: &str) -> Result<String, StoreError> {
    let unreadable = || StoreError::Unreadable("a process's document".into());
    let document = parse(document.as_bytes(), Limits::default()).map_err(|_| unreadable())?;
    let name = document.as_object().and_then(|process| process.get("bk_process_name")).and_then(Json::as_text);
    name.map(str::to_owned).ok_or_else(unreadable)
}
