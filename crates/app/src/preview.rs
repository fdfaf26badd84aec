//! What a write would do, without doing it (`dry_run`). The write runs as it always does, its events are kept here instead of in the
//! store, and everything else is undone; or, where that would take the writer too long, the operation decides and shows what it decided.

use crate::access::Access;
use crate::journal::is_stamp;
use crate::listing::read_document;
use crate::{Context, Reply};
use rollcall_domain::id::BusinessId;
use rollcall_domain::json::{Json, JsonWriter, Object, Schema};
use rollcall_store::StoreError;
use rollcall_store::event::{EventKind, EventRow};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The events of a write that is only tried.
#[derive(Debug, Clone, Default)]
pub struct Preview {
    /// Guards the events between the work and the answer.
    gathered: Arc<Mutex<Gathered>>,
}

#[derive(Debug, Default)]
struct Gathered {
    /// As many as are spelled out.
    events: Vec<EventRow>,
    count: usize,
}

impl Preview {
    fn gathered(&self) -> MutexGuard<'_, Gathered> {
        self.gathered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The work begins, perhaps not for the first time.
    pub fn begin(&self) {
        *self.gathered() = Gathered::default();
    }

    /// What the work would leave behind.
    pub(crate) fn add(&self, context: &Context, events: Vec<EventRow>) {
        let mut gathered = self.gathered();
        gathered.count += events.len();
        let room = context.limits.unpaged_rows.saturating_sub(gathered.events.len());
        gathered.events.extend(events.into_iter().take(room));
    }

    /// The changes as the wire tells them.
    pub fn reply(&self, context: &Context) -> Result<Reply, StoreError> {
        let gathered = self.gathered();
        let mut changes = Changes::new(context);
        for event in &gathered.events {
            let states = (event.before.as_deref(), event.after.as_deref());
            changes.push(event.kind, event.business_id, event.object_id, states)?;
        }
        changes.count = gathered.count;
        Ok(changes.finish())
    }
}

/// The answer to a write that is only tried, while it is being written.
pub(crate) struct Changes<'a> {
    max: usize,
    access: &'a Access,
    count: usize,
    out: JsonWriter,
}

impl<'a> Changes<'a> {
    /// One that spells out as many changes as an answer may hold, and counts the rest.
    pub(crate) fn new(context: &'a Context) -> Self {
        let mut out = JsonWriter::with_capacity(1024);
        out.raw("{\"dry_run\":true,\"changes\":[");
        Self { max: context.limits.unpaged_rows, access: &context.access, count: 0, out }
    }

    /// One more change of a record: its states before and after as JSON texts. The id of a record that would be made is provisional.
    /// Who may not read what is stored does not learn it here: of such a record the fields are left out.
    pub(crate) fn push(
        &mut self,
        kind: EventKind,
        business: BusinessId,
        id: i64,
        (before, after): (Option<&str>, Option<&str>),
    ) -> Result<(), StoreError> {
        self.count += 1;
        if self.count > self.max {
            return Ok(());
        }
        let action = match (before, after) {
            (None, _) => "create",
            (_, None) => "delete",
            _ => "update",
        };
        let is_readable = before.is_none() || self.access.may_read(business).is_ok();
        let read = |state: Option<&str>| state.map_or(Ok(Object::new()), read_document);
        let (before, after) = (read(before)?, read(after)?);
        let out = &mut self.out;
        out.separate().raw("{").key("resource").text(resource(kind)).key("action").text(action);
        out.key("bk_biz_id").int(business.get()).key("id").int(id);
        let of = |key: &str| before.get(key).or_else(|| after.get(key)).unwrap_or(&Json::Null);
        if matches!(kind, EventKind::Process | EventKind::ProcessRelation) {
            out.key("service_instance_id").value(of("service_instance_id"));
        }
        out.key("fields").raw("[");
        let new = after.iter().filter(|(key, _)| before.get(key).is_none()).map(|(key, _)| key);
        for key in before.iter().map(|(key, _)| key).chain(new) {
            let value = |state: &'_ Object| state.get(key).cloned().unwrap_or(Json::Null);
            let (was, becomes) = (value(&before), value(&after));
            if is_readable && was != becomes && !is_stamp(key) {
                out.separate().raw("{").key("field").text(key);
                out.key("before").value(&was).key("after").value(&becomes).raw("}");
            }
        }
        out.raw("]}");
        Ok(())
    }

    /// The finished answer.
    pub(crate) fn finish(mut self) -> Reply {
        let count = i64::try_from(self.count).unwrap_or(i64::MAX);
        self.out.raw("]").key("count").int(count).raw("}");
        Reply(self.out.finish())
    }
}

/// The shape of the answer.
pub fn schema() -> Schema {
    let field = Schema::object([("field", Schema::Text), ("before", Schema::Any), ("after", Schema::Any)]);
    let change = Schema::object([
        ("resource", Schema::Text),
        ("action", Schema::Text),
        ("bk_biz_id", Schema::Integer),
        ("id", Schema::Integer),
        ("service_instance_id", Schema::Integer),
        ("fields", field.list()),
    ])
    // Only processes and their relations have one.
    .sometimes("service_instance_id");
    Schema::object([("dry_run", Schema::Boolean), ("changes", change.list()), ("count", Schema::Integer)])
}

/// What a kind of record is called.
fn resource(kind: EventKind) -> &'static str {
    match kind {
        EventKind::Host => "host",
        EventKind::HostModule => "host_relation",
        EventKind::Business => "business",
        EventKind::Set => "set",
        EventKind::Module => "module",
        EventKind::Process => "process",
        EventKind::ProcessRelation => "process_instance_relation",
        EventKind::ServiceInstance => "service_instance",
        EventKind::ServiceCategory => "service_category",
        EventKind::ServiceTemplate => "service_template",
        EventKind::ServiceTemplateAttribute => "service_template_attribute",
        EventKind::ProcessTemplate => "process_template",
        EventKind::SetTemplate => "set_template",
        EventKind::SetTemplateAttribute => "set_template_attribute",
        EventKind::Job => "sync_job",
    }
}
