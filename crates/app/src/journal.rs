//! What one request leaves behind beside its rows: audit entries and events, written in the same transaction at its end.

use crate::Context;
use rollcall_domain::id::BusinessId;
use rollcall_store::audit::{self, AuditRow};
use rollcall_store::event::{self, EventKind, EventOperation, EventRow};
use rollcall_store::{StoreError, Tx};

/// The audit entries and events of one request.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    audits: Vec<AuditRow>,
    events: Vec<EventRow>,
}

impl Journal {
    /// A record came to be; `document` is JSON text.
    pub(crate) fn created(
        &mut self,
        kind: EventKind,
        business_id: BusinessId,
        object_id: i64,
        document: String,
    ) {
        let operation = EventOperation::Create;
        self.events.push(EventRow {
            business_id,
            kind,
            operation,
            object_id,
            before: None,
            after: Some(document),
        });
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
    pub(crate) fn deleted(
        &mut self,
        kind: EventKind,
        business_id: BusinessId,
        object_id: i64,
        document: String,
    ) {
        let operation = EventOperation::Delete;
        self.events.push(EventRow {
            business_id,
            kind,
            operation,
            object_id,
            before: Some(document),
            after: None,
        });
    }

    /// An entry for people.
    pub(crate) fn audit(&mut self, entry: AuditRow) {
        self.audits.push(entry);
    }

    /// Writes everything.
    pub(crate) fn write(self, context: &Context, tx: &mut dyn Tx) -> Result<(), StoreError> {
        event::insert(tx, context.now, &context.caller.request_id, &self.events)?;
        audit::insert(tx, context.actor(), &self.audits)
    }
}
