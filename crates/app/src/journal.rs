//! What one request leaves behind beside its rows: audit entries and events, written in the same transaction at its end.

use crate::Context;
use rollcall_domain::audit::cut_name;
use rollcall_domain::id::{BusinessId, ServiceInstanceId};
use rollcall_domain::json::JsonWriter;
use rollcall_domain::model::Model;
use rollcall_store::audit::{self, AuditRow};
use rollcall_store::event::{self, EventKind, EventOperation, EventRow};
use rollcall_store::{StoreError, Tx};

/// The audit entries and events of one request.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    audits: Vec<AuditRow>,
    events: Vec<EventRow>,
}

/// A record with attributes that came to be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Made<'a> {
    pub(crate) kind: EventKind,
    pub(crate) business_id: BusinessId,
    pub(crate) id: i64,
    pub(crate) name: &'a str,
    /// JSON text.
    pub(crate) document: &'a str,
}

/// An entry about a service instance or its processes.
#[derive(Debug, Clone)]
pub(crate) struct InstanceEntry<'a> {
    pub(crate) business_id: BusinessId,
    pub(crate) action: &'static str,
    pub(crate) id: ServiceInstanceId,
    pub(crate) name: &'a str,
    /// See [`crate::process_instance::audit_detail`].
    pub(crate) detail: String,
}

/// Type, resource and model of the entries about a kind of record (`topology` 13.1).
fn audit_names(kind: EventKind) -> (&'static str, &'static str, Model) {
    match kind {
        EventKind::Business => ("business", "business", Model::Business),
        EventKind::Set => ("business_resource", "set", Model::Set),
        EventKind::Module => ("business_resource", "module", Model::Module),
        EventKind::Host | EventKind::HostModule => ("host", "host", Model::Host),
        EventKind::Process | EventKind::ServiceInstance => ("business_resource", "service_instance", Model::Process),
    }
}

impl Journal {
    /// A record with attributes came to be: an event and an entry.
    pub(crate) fn record_created(&mut self, made: Made<'_>) {
        let (audit_type, resource_type, model) = audit_names(made.kind);
        let mut detail = JsonWriter::with_capacity(128 + made.document.len());
        detail.raw("{\"details\":{\"pre_data\":null,\"cur_data\":");
        detail.raw(made.document).raw(",\"update_fields\":null}");
        detail.key("bk_obj_id").text(model.wire()).raw("}");
        self.audits.push(AuditRow {
            business_id: made.business_id,
            audit_type,
            resource_type,
            action: "create",
            resource_id: made.id,
            resource_name: made.name.to_owned(),
            detail: detail.finish(),
        });
        let document = made.document.to_owned();
        self.created(made.kind, made.business_id, made.id, document);
    }

    /// A record came to be; `document` is JSON text.
    pub(crate) fn created(&mut self, kind: EventKind, business_id: BusinessId, object_id: i64, document: String) {
        let operation = EventOperation::Create;
        self.events.push(EventRow { business_id, kind, operation, object_id, before: None, after: Some(document) });
    }

    /// A record changed; both states are JSON text.
    pub(crate) fn updated(
        &mut self,
        kind: EventKind,
        business_id: BusinessId,
        object_id: i64,
        before: String,
        after: String,
    ) {
        let operation = EventOperation::Update;
        self.events.push(EventRow {
            business_id,
            kind,
            operation,
            object_id,
            before: Some(before),
            after: Some(after),
        });
    }

    /// A record went; `document` is its last state as JSON text.
    pub(crate) fn deleted(&mut self, kind: EventKind, business_id: BusinessId, object_id: i64, document: String) {
        let operation = EventOperation::Delete;
        self.events.push(EventRow { business_id, kind, operation, object_id, before: Some(document), after: None });
    }

    /// An entry for people.
    pub(crate) fn audit(&mut self, entry: AuditRow) {
        self.audits.push(entry);
    }

    /// An entry for people about a service instance or its processes.
    pub(crate) fn instance(&mut self, entry: InstanceEntry<'_>) {
        let (audit_type, resource_type, _) = audit_names(EventKind::ServiceInstance);
        self.audits.push(AuditRow {
            business_id: entry.business_id,
            audit_type,
            resource_type,
            action: entry.action,
            resource_id: entry.id.get(),
            resource_name: entry.name.to_owned(),
            detail: entry.detail,
        });
    }

    /// Writes everything.
    pub(crate) fn write(mut self, context: &Context, tx: &mut dyn Tx) -> Result<(), StoreError> {
        for entry in &mut self.audits {
            entry.resource_name.truncate(cut_name(&entry.resource_name).len());
        }
        event::insert(tx, context.now, &context.caller.request_id, &self.events)?;
        audit::insert(tx, context.actor(), &self.audits)
    }
}
