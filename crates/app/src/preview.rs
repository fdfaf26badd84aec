//! What a write would do, without doing it (`dry_run`). The write runs as it always does, its events are kept here instead of in the
//! store, and everything else is undone; or, where that would take the writer too long, the operation decides and shows what it decided.

use crate::Reply;
use crate::listing::read_document;
use rollcall_domain::id::BusinessId;
use rollcall_domain::json::{Json, JsonWriter, Object, Schema};
use rollcall_store::StoreError;
use rollcall_store::event::{EventKind, EventRow};
use std::sync::{Arc, Mutex, PoisonError};

/// The events of a write that is only tried.
#[derive(Debug, Clone, Default)]
pub struct Preview {
    /// Guards the events between the work and the answer.
    events: Arc<Mutex<Vec<EventRow>>>,
}

impl Preview {
    /// The work begins, perhaps not for the first time.
    pub fn begin(&self) {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// What the work would leave behind.
    pub(crate) fn add(&self, events: Vec<EventRow>) {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).extend(events);
    }

    /// The changes as the wire tells them, the first `max` of them.
    pub fn reply(&self, max: usize) -> Result<Reply, StoreError> {
        let mut changes = Changes::new(max);
        for event in self.events.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            let states = (event.before.as_deref(), event.after.as_deref());
            changes.push(event.kind, event.business_id, event.object_id, states)?;
        }
        Ok(changes.finish())
    }
}

/// The answer to a write that is only tried, while it is being written.
pub(crate) struct Changes {
    max: usize,
    count: usize,
    out: JsonWriter,
}

/// Members that every change gets, and that say nothing about what the caller would do.
const STAMPS: [&str; 5] = ["last_time", "modifier", "bk_updated_at", "bk_updated_by", "create_time"];

impl Changes {
    /// One that spells out so many changes and counts the rest.
    pub(crate) fn new(max: usize) -> Self {
        let mut out = JsonWriter::with_capacity(1024);
        out.raw("{\"dry_run\":true,\"changes\":[");
        Self { max, count: 0, out }
    }

    /// One more change of a record: its states before and after as JSON texts. The id of a record that would be made is provisional.
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
        let read = |state: Option<&str>| state.map_or(Ok(Object::new()), read_document);
        let (before, after) = (read(before)?, read(after)?);
        let out = &mut self.out;
        out.separate().raw("{").key("resource").text(resource(kind)).key("action").text(action);
        out.key("bk_biz_id").int(business.get()).key("id").int(id);
        let of = |key: &str| before.get(key).or_else(|| after.get(key)).unwrap_or(&Json::Null);
        if kind == EventKind::Process {
            out.key("service_instance_id").value(of("service_instance_id"));
        }
        out.key("fields").raw("[");
        let new = after.iter().filter(|(key, _)| before.get(key).is_none()).map(|(key, _)| key);
        for key in before.iter().map(|(key, _)| key).chain(new) {
            let value = |state: &'_ Object| state.get(key).cloned().unwrap_or(Json::Null);
            let (was, becomes) = (value(&before), value(&after));
            if was != becomes && !STAMPS.contains(&key) {
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
        ("fields", field.list()),
    ]);
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
