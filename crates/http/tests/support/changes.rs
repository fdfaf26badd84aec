//! Changes as events tell them, and as previews do, made comparable: to the letter, but for who made them and when, and for the ids of
//! records that come to be, which are provisional in a preview.

use super::TestApp;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

const STAMPS: [&str; 8] = [
    "last_time",
    "create_time",
    "creator",
    "modifier",
    "bk_created_at",
    "bk_created_by",
    "bk_updated_at",
    "bk_updated_by",
];

/// What kinds of records are called, by the numbers of their events.
const KINDS: [(i64, &str); 15] = [
    (2, "host"),
    (3, "host_relation"),
    (4, "business"),
    (5, "set"),
    (6, "module"),
    (9, "process"),
    (10, "process_instance_relation"),
    (100, "service_instance"),
    (110, "service_category"),
    (111, "service_template"),
    (112, "service_template_attribute"),
    (113, "process_template"),
    (114, "set_template"),
    (115, "set_template_attribute"),
    (120, "sync_job"),
];

/// Every event: number, request, kind, operation, object and both states.
pub fn events(app: &TestApp) -> Vec<Value> {
    app.documents(
        "SELECT '{\"number\":' || id || ',\"request\":\"' || request_id || '\",\"kind\":' || kind || ',\"operation\":' || operation
            || ',\"id\":' || object_id || ',\"before\":' || coalesce(before_state, '{}') || ',\"after\":'
            || coalesce(after_state, '{}') || '}' FROM event ORDER BY id",
    )
}

/// What events tell, sorted.
pub fn of_events<'a>(events: impl Iterator<Item = &'a Value>) -> Vec<String> {
    let change = |event: &Value| {
        let kind = KINDS.iter().find(|(number, _)| event["kind"] == *number).unwrap().1;
        let operation = usize::try_from(event["operation"].as_u64().unwrap()).unwrap();
        let action = ["", "create", "update", "delete"][operation];
        let (before, after) = (event["before"].as_object().unwrap(), event["after"].as_object().unwrap());
        let value = |state: &Map<String, Value>, name| state.get(name).cloned().unwrap_or(Value::Null);
        let names = before.keys().chain(after.keys().filter(|name| !before.contains_key(*name)));
        let fields = names.map(|name| (name.clone(), value(before, name), value(after, name)));
        line(kind, action, &event["id"], fields)
    };
    sorted(events.map(change).collect())
}

/// What a preview tells, sorted.
pub fn of_preview(changes: &[Value]) -> Vec<String> {
    let change = |change: &Value| {
        let text = |field: &str| change[field].as_str().unwrap().to_owned();
        let fields = change["fields"].as_array().unwrap().iter();
        let fields = fields.map(|field| {
            (field["field"].as_str().unwrap().to_owned(), field["before"].clone(), field["after"].clone())
        });
        line(&text("resource"), &text("action"), &change["id"], fields)
    };
    sorted(changes.iter().map(change).collect())
}

fn line(resource: &str, action: &str, id: &Value, fields: impl Iterator<Item = (String, Value, Value)>) -> String {
    let is_made = action == "create";
    let id = if is_made { &Value::Null } else { id };
    let fields: BTreeMap<_, _> = fields
        .filter(|(name, before, after)| {
            before != after && !STAMPS.contains(&name.as_str()) && !(is_made && (name == "id" || name.ends_with("_id")))
        })
        .map(|(name, before, after)| (name, [before.to_string(), after.to_string()]))
        .collect();
    format!("{resource} {action} {id} {fields:?}")
}

fn sorted(mut lines: Vec<String>) -> Vec<String> {
    lines.sort_unstable();
    lines
}
