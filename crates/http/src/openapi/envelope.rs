//! The envelopes of the three doors, and their answers by status (`gateway` 6.1, 6.3).

use crate::envelope::Door;
use serde_json::{Map, Value, json};

/// A reference to a shape of the document.
pub(super) fn shape_ref(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

/// The schemas that operations share.
pub(super) fn schemas() -> Map<String, Value> {
    let mut schemas = Map::new();
    for door in Door::ALL {
        schemas.insert(failure_name(door), failure(door));
    }
    schemas.insert(
        "gateway_error".into(),
        json!({
            "type": "object",
            "description": "What the gateway itself answers: no operation was reached.",
            "required": ["code", "code_name", "message", "result", "data"],
            "properties": {
                "code": {"type": "integer", "description": "1640001, 1640401 or 1641301."},
                "code_name": {"type": "string"},
                "message": {"type": "string"},
                "result": {"type": "boolean", "const": false},
                "data": {"type": "null"},
            },
        }),
    );
    schemas.insert("permission".into(), permission());
    schemas.insert(
        "esb_credentials".into(),
        json!({
            "type": "object",
            "description": "Who calls, beside the fields of the operation. May stand in the header X-Bkapi-Authorization instead.",
            "properties": credentials().into_iter().map(|(name, description)| {
                (name.to_owned(), json!({"type": ["string", "null"], "description": description}))
            }).collect::<Map<_, _>>(),
        }),
    );
    schemas
}

/// The keys of a body or a query at the ESB door that say who calls.
pub(super) fn credentials() -> [(&'static str, &'static str); 5] {
    [
        ("bk_app_code", "The app."),
        ("bk_app_secret", "A secret of the app."),
        ("bk_token", "A token of the user. Either this or bk_username."),
        ("bk_username", "The user, from an app that may name its users."),
        ("bk_supplier_account", "Accepted and ignored: there is one account."),
    ]
}

fn failure_name(door: Door) -> String {
    format!("{}_failure", door.name())
}

/// The members of a door's envelope in the order they are sent, with code and message spelled as there.
fn envelope(door: Door, success: bool, data: Value) -> Value {
    let code = |spelling: &'static str| {
        let code = if success {
            json!({"type": "integer", "const": 0})
        } else {
            json!({"type": "integer", "description": "See the table of codes."})
        };
        (spelling, code)
    };
    let message = |spelling: &'static str| (spelling, json!({"type": "string"}));
    let mut members = vec![("result", json!({"type": "boolean", "const": success}))];
    if door == Door::Native {
        members.extend([code("bk_error_code"), message("bk_error_msg")]);
    }
    members.extend([code("code"), message("message")]);
    let permission = if success {
        json!({"type": "null"})
    } else {
        json!({
            "description": "With code 9900403 the rights to apply for, else null.",
            "anyOf": [shape_ref("permission"), {"type": "null"}],
        })
    };
    members.push(("permission", permission));
    if door == Door::Esb {
        members.push(("request_id", json!({"type": "string", "pattern": "^[0-9a-f]{32}$"})));
    }
    members.push(("data", data));
    let required: Vec<_> = members.iter().map(|(name, _)| *name).collect();
    let mut schema = json!({"type": "object", "required": required});
    if door == Door::Gateway && !success {
        // Only answers that no operation made carry the second spelling.
        members.extend([code("bk_error_code"), message("bk_error_msg")]);
    }
    let members: Map<_, _> = members.into_iter().map(|(name, member)| (name.to_owned(), member)).collect();
    schema["properties"] = members.into();
    schema
}

fn failure(door: Door) -> Value {
    envelope(door, false, json!({"description": "null, but for operations that tell which items failed."}))
}

fn permission() -> Value {
    let system =
        || [("system_id", json!({"type": "string", "const": "bk_cmdb"})), ("system_name", json!({"type": "string"}))];
    let text = |name: &'static str| (name, json!({"type": "string"}));
    let object = |members: Vec<(&'static str, Value)>, optional: &[&str]| {
        let required: Vec<_> = members.iter().map(|(name, _)| *name).filter(|name| !optional.contains(name)).collect();
        let members: Map<_, _> = members.into_iter().map(|(name, member)| (name.to_owned(), member)).collect();
        json!({"type": "object", "required": required, "properties": members})
    };
    let list = |items: Value| json!({"type": "array", "items": items});
    let instance = object(vec![text("type"), text("type_name"), text("id"), text("name")], &[]);
    let mut resource = Vec::from(system());
    resource.extend([text("type"), text("type_name"), ("instances", list(list(instance)))]);
    let resource = object(resource, &["instances"]);
    let action = object(vec![text("id"), text("name"), ("related_resource_types", list(resource))], &[]);
    let mut permission = Vec::from(system());
    permission.push(("actions", list(action)));
    let mut permission = object(permission, &[]);
    permission["description"] = "The rights a refused caller may apply for.".into();
    permission
}

/// The answers that operations share, by name.
pub(super) fn responses() -> Map<String, Value> {
    let mut responses = Map::new();
    for door in Door::ALL {
        for (status, description, schema) in failures(door) {
            responses.insert(format!("{}_{status}", door.name()), answer(door, description, shape_ref(&schema)));
        }
    }
    responses
}

/// The statuses of a door beside 200, what they mean, and the shape of their bodies.
fn failures(door: Door) -> Vec<(u16, &'static str, String)> {
    let all: &[(u16, &str)] = match door {
        Door::Native => &[
            (401, "The caller is not known (1199027): no identity header, or from a peer that is not trusted."),
            (404, "No operation at this path (1199045)."),
            (405, "The path is there, but not for this method (1199045)."),
            (413, "The body is larger than the server takes (1199004)."),
        ],
        Door::Gateway => &[
            (400, "The app is not established, or X-Bkapi-Authorization holds no JSON object (1640001)."),
            (404, "Nothing is published at this path for this method (1640401)."),
            (413, "The body is larger than the server takes (1641301)."),
        ],
        Door::Esb => &[
            (404, "No operation of this name, or not for this method (1306404)."),
            (413, "The body is larger than the server takes (1306000)."),
        ],
    };
    let schema = match door {
        Door::Gateway => "gateway_error".to_owned(),
        door => failure_name(door),
    };
    all.iter().map(|(status, description)| (*status, *description, schema.clone())).collect()
}

/// All answers of an operation at a door.
pub(super) fn answers(door: Door, output: &str) -> Value {
    let success = envelope(door, true, shape_ref(output));
    let either = json!({"oneOf": [success, shape_ref(&failure_name(door))]});
    let description = "`code` is 0 and `data` the payload; or `code` says what is wrong and nothing was changed.";
    let mut answers = Map::new();
    answers.insert("200".into(), answer(door, description, either));
    for (status, ..) in failures(door) {
        let reference = format!("#/components/responses/{}_{status}", door.name());
        answers.insert(status.to_string(), json!({"$ref": reference}));
    }
    answers.into()
}

fn answer(door: Door, description: &str, schema: Value) -> Value {
    let mut answer = json!({"description": description});
    let header = |description: &str| json!({"description": description, "schema": {"type": "string"}});
    match door {
        Door::Native => {
            answer["headers"] = json!({"X-Request-ID": header("The id of this request in the log.")});
        }
        Door::Gateway => {
            answer["headers"] = json!({
                "X-Request-ID": header("The id of this request in the log."),
                "X-Bkapi-Request-ID": header("The id the gateway gave this request."),
            });
        }
        // This door says it in the body.
        Door::Esb => {}
    }
    answer["content"] = json!({"application/json": {"schema": schema}});
    answer
}
