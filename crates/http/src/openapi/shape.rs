//! Shapes of inputs and answers as JSON Schema 2020-12, the dialect of OpenAPI 3.1.

use rollcall_domain::json::{Field, Schema};
use serde_json::{Map, Value, json};

/// Which way a value goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// To us: no field has to be there, and null is the same as absent.
    In,
    /// From us: what is always there is required.
    Out,
}

/// A shape as JSON Schema.
pub(super) fn schema(shape: &Schema, way: Way) -> Value {
    match shape {
        Schema::Any => json!({}),
        Schema::Integer => json!({"type": "integer", "format": "int64"}),
        Schema::Number => json!({"type": "number"}),
        Schema::Boolean => json!({"type": "boolean"}),
        Schema::Text => json!({"type": "string"}),
        Schema::Time => json!({"type": "string", "format": "date-time"}),
        Schema::List(items) => json!({"type": "array", "items": schema(items, way)}),
        Schema::OrNull(inner) => or_null(schema(inner, way)),
        Schema::Object(fields) => object(fields, way),
        Schema::Null => json!({"type": "null"}),
    }
}

/// An object with these members; others are allowed.
pub(super) fn object(fields: &[Field], way: Way) -> Value {
    let mut object = Map::new();
    object.insert("type".into(), "object".into());
    let required: Vec<_> = fields.iter().filter(|field| way == Way::Out && field.always).map(|f| f.name).collect();
    if !required.is_empty() {
        object.insert("required".into(), json!(required));
    }
    if !fields.is_empty() {
        let members: Map<_, _> = fields.iter().map(|field| (field.name.to_owned(), member(field, way))).collect();
        object.insert("properties".into(), members.into());
    }
    object.into()
}

/// A member with its description.
pub(super) fn member(field: &Field, way: Way) -> Value {
    let shape = schema(&field.schema, way);
    described(if way == Way::In { or_null(shape) } else { shape }, field.description)
}

/// A member that has to be there and may not be null.
pub(super) fn needed(field: &Field) -> Value {
    let shape = match &field.schema {
        Schema::OrNull(inner) => inner,
        other => other,
    };
    described(schema(shape, Way::In), field.description)
}

fn described(mut schema: Value, description: &str) -> Value {
    if !description.is_empty() {
        schema["description"] = description.into();
    }
    schema
}

/// The same, or null.
fn or_null(mut schema: Value) -> Value {
    // Without a type anything goes already.
    if let Some(Value::String(kind)) = schema.get("type")
        && kind != "null"
    {
        schema["type"] = json!([kind, "null"]);
    }
    schema
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_become_json_schema() {
        let shape = Schema::object([
            ("id", Schema::Integer),
            ("names", Schema::Text.list().or_null()),
            ("any", Schema::Any.or_null()),
            ("none", Schema::Null),
        ]);
        assert_eq!(
            schema(&shape, Way::Out),
            json!({
                "type": "object",
                "required": ["id", "names", "any", "none"],
                "properties": {
                    "id": {"type": "integer", "format": "int64"},
                    "names": {"type": ["array", "null"], "items": {"type": "string"}},
                    "any": {},
                    "none": {"type": "null"},
                },
            })
        );
        let member = |name: &str| schema(&shape, Way::In)["properties"][name]["type"].clone();
        assert_eq!(member("id"), json!(["integer", "null"]));
        assert_eq!(member("names"), json!(["array", "null"]));
        assert_eq!(schema(&shape, Way::In).get("required"), None);
    }
}
