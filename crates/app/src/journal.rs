//! What one request leaves behind beside its rows: audit entries and events, written in the same transaction at its end.

use crate::Context;
use crate::listing::read_document;
use rollcall_domain::audit::cut_name;
use rollcall_domain::id::{BusinessId, ServiceInstanceId};
use rollcall_domain::json::{Json, JsonWriter, Object};
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

/// A change of one record that has an entry of its own. States are JSON text: a record that came to be has none before, one that went
/// has none after.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Change<'a> {
    pub(crate) kind: EventKind,
    pub(crate) business_id: BusinessId,
    pub(crate) id: i64,
    pub(crate) name: &'a str,
    pub(crate) before: Option<&'a str>,
    pub(crate) after: Option<&'a str>,
    /// Of an update: the fields with their new values, as JSON text. Missing: those in which the states differ.
    pub(crate) update_fields: Option<&'a str>,
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
fn audit_names(kind: EventKind) -> (&'static str, &'static str, Option<Model>) {
    const OF_BUSINESS: &str = "business_resource";
    match kind {
        EventKind::Business => ("business", "business", Some(Model::Business)),
        EventKind::Set => (OF_BUSINESS, "set", Some(Model::Set)),
        EventKind::Module => (OF_BUSINESS, "module", Some(Model::Module)),
        EventKind::Host | EventKind::HostModule => ("host", "host", Some(Model::Host)),
        EventKind::Process | EventKind::ProcessRelation | EventKind::ServiceInstance => {
            (OF_BUSINESS, "service_instance", Some(Model::Process))
        }
        EventKind::ServiceCategory => (OF_BUSINESS, "service_category", None),
        EventKind::ServiceTemplate | EventKind::ServiceTemplateAttribute => (OF_BUSINESS, "service_template", None),
        EventKind::SetTemplate | EventKind::SetTemplateAttribute => (OF_BUSINESS, "set_template", None),
        EventKind::ProcessTemplate => (OF_BUSINESS, "process_template", None),
        EventKind::Job => (OF_BUSINESS, "sync_job", None),
    }
}

/// Whether a member of a record only says who made or changed it, and when: every change has such, whatever it is about.
pub(crate) fn is_stamp(name: &str) -> bool {
    let made = ["create_time", "creator", "bk_created_at", "bk_created_by"];
    let changed = ["last_time", "modifier", "bk_updated_at", "bk_updated_by"];
    made.contains(&name) || changed.contains(&name)
}

/// The members in which two states differ, but for their stamps, as JSON text.
fn changed_fields(before: &str, after: &str) -> Option<String> {
    let (before, after) = (read_document(before).ok()?, read_document(after).ok()?);
    let differing = after.iter().filter(|(name, value)| !is_stamp(name) && before.get(name) != Some(*value));
    let differing: Object = differing.map(|(name, value)| (name.to_owned(), value.clone())).collect();
    Some(Json::Object(differing).to_string())
}

impl Journal {
    /// A record with attributes came to be: an event and an entry.
    pub(crate) fn record_created(&mut self, made: Made<'_>) {
        self.changed(Change {
            kind: made.kind,
            business_id: made.business_id,
            id: made.id,
            name: made.name,
            before: None,
            after: Some(made.document),
            update_fields: None,
        });
    }

    /// A record changed: an event and an entry.
    pub(crate) fn changed(&mut self, change: Change<'_>) {
        self.changed_entry(change);
        let Change { kind, business_id, id, .. } = change;
        let state = |text: Option<&str>| text.unwrap_or("null").to_owned();
        match (change.before, change.after) {
            (None, after) => self.created(kind, business_id, id, state(after)),
            (before, None) => self.deleted(kind, business_id, id, state(before)),
            (before, after) => self.updated(kind, business_id, id, state(before), state(after)),
        }
    }

    /// The entry alone, of what other events tell. Of an update it has the fields instead of the state after it.
    pub(crate) fn changed_entry(&mut self, change: Change<'_>) {
        let (audit_type, resource_type, model) = audit_names(change.kind);
        let action = match (change.before, change.after) {
            (None, _) => "create",
            (_, None) => "delete",
            _ => "update",
        };
        let cur_data = if action == "update" { None } else { change.after };
        let found = match (change.update_fields, change.before, change.after) {
            (None, Some(before), Some(after)) => changed_fields(before, after),
            _ => None,
        };
        let update_fields = change.update_fields.or(found.as_deref());
        let texts = [change.before, cur_data, update_fields].map(|text| text.unwrap_or("null"));
        let [before, after, update_fields] = texts;
        let mut detail = JsonWriter::with_capacity(128 + before.len() + after.len() + update_fields.len());
        detail.raw("{\"details\":{\"pre_data\":").raw(before).raw(",\"cur_data\":").raw(after);
        detail.raw(",\"update_fields\":").raw(update_fields).raw("}");
        if let Some(model) = model {
            detail.key("bk_obj_id").text(model.wire());
        }
        detail.raw("}");
        self.audits.push(AuditRow {
            business_id: change.business_id,
            audit_type,
            resource_type,
            action,
            resource_id: change.id,
            resource_name: change.name.to_owned(),
            detail: detail.finish(),
        });
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

    /// Writes what has gathered once that is much, so that it need not be kept in memory until the end.
    pub(crate) fn ease(&mut self, context: &Context, tx: &mut dyn Tx) -> Result<(), StoreError> {
        const MUCH: usize = 1000;
        if self.events.len() < MUCH && self.audits.len() < MUCH {
            return Ok(());
        }
        std::mem::take(self).write(context, tx)
    }

    /// Writes everything.
    pub(crate) fn write(mut self, context: &Context, tx: &mut dyn Tx) -> Result<(), StoreError> {
        if let Some(preview) = &context.preview {
            preview.add(context, self.events);
            return Ok(());
        }
        for entry in &mut self.audits {
            entry.resource_name.truncate(cut_name(&entry.resource_name).len());
        }
        event::insert(tx, context.now, &context.caller.request_id, &self.events)?;
        audit::insert(tx, context.actor(), &self.audits)
    }
}
