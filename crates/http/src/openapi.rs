//! The OpenAPI 3.1 document, made from the table of operations: every way to every operation at every door. What the document
//! says is what the doors read from the same declarations; nothing is written down a second time.

mod envelope;
mod shape;

use crate::envelope::Door;
use crate::number::{CALLER_NOT_ACCEPTED, CAUSES, describe};
use crate::routes::NATIVE_PREFIX;
use crate::settings::GATEWAY_PREFIX;
use envelope::shape_ref;
use rollcall_app::access::Action;
use rollcall_app::{EsbForm, Input, Method, Operation, Weight, preview};
use rollcall_domain::json::{Field, Schema};
use serde_json::{Map, Value, json};
use shape::Way;
use std::collections::BTreeMap;

/// The document of a server whose gateway door begins where it does by default.
pub fn document() -> String {
    document_for(GATEWAY_PREFIX)
}

/// The document of a server whose gateway door begins at this prefix.
pub fn document_for(gateway_prefix: &str) -> String {
    let prefix = format!("/{}", gateway_prefix.trim_matches('/'));
    format!("{:#}", build(&rollcall_app::table::operations(), &prefix))
}

fn build(operations: &[Operation], gateway_prefix: &str) -> Value {
    let mut document = Document { gateway_prefix, paths: Map::new(), schemas: envelope::schemas() };
    for operation in operations {
        document.add(operation);
    }
    // In the order of the table.
    let mut tags: Vec<&Tag> = Vec::new();
    for tag in operations.iter().filter_map(|operation| tag_of(operation.name)) {
        if !tags.contains(&tag) {
            tags.push(tag);
        }
    }
    let tags: Vec<_> = tags.iter().map(|tag| json!({"name": tag.english, "x-rollcall-zh": tag.chinese})).collect();
    let names = |(zh, en): (&str, &str)| json!({"en": en, "zh": zh});
    let actions = Action::ALL.iter().map(|action| (action.wire().to_owned(), names(action.names())));
    let actions: Map<_, _> = actions.collect();
    let codes: Vec<_> = codes().iter().map(|(code, (en, zh))| json!({"code": code, "en": en, "zh": zh})).collect();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Rollcall",
            "summary": "The record of which processes should run where.",
            "description": about(gateway_prefix),
            "license": {"name": "MIT", "identifier": "MIT"},
            "version": env!("CARGO_PKG_VERSION"),
        },
        "servers": [{"url": "/"}],
        "tags": tags,
        "paths": document.paths,
        "components": {
            "schemas": document.schemas,
            "responses": envelope::responses(),
            "parameters": parameters(),
            "securitySchemes": security_schemes(),
        },
        "x-rollcall-actions": actions,
        "x-rollcall-codes": codes,
    })
}

/// A document in the making.
struct Document<'a> {
    gateway_prefix: &'a str,
    paths: Map<String, Value>,
    schemas: Map<String, Value>,
}

/// One way to an operation: what stands at a method of a path.
struct Entry {
    door: Door,
    /// Unique in the document.
    id: String,
    method: Method,
    path: String,
    parameters: Vec<Value>,
    /// The schema of the body.
    body: Option<Value>,
}

impl Document<'_> {
    fn add(&mut self, operation: &Operation) {
        let fields = fields(operation);
        let mut output = (operation.output)();
        if fields.iter().any(|field| field.name == "fields") {
            choose_fields(&mut output);
        }
        let mut answer = shape::schema(&output, Way::Out);
        if operation.weight == Weight::Write {
            self.schemas.entry(PREVIEW).or_insert_with(|| shape::schema(&preview::schema(), Way::Out));
            answer = json!({"anyOf": [answer, shape_ref(PREVIEW)]});
        }
        self.schemas.insert(output_name(operation), answer);
        for (i, route) in operation.routes.iter().enumerate() {
            let (in_path, beside): (Vec<_>, Vec<_>) =
                fields.iter().cloned().partition(|field| path_variables(route.path).any(|name| name == field.name));
            let is_get = route.method == Method::Get;
            let body = if is_get { None } else { self.input(operation, &beside) };
            let mut parameters: Vec<_> =
                path_variables(route.path).map(|name| path_parameter(operation, &in_path, name)).collect();
            if is_get {
                parameters.extend(beside.iter().filter_map(|field| query_parameter(field, false)));
            }
            if operation.weight == Weight::Write {
                parameters.extend(query_parameter(&dry_run(), false));
            }
            let suffix = if i == 0 { String::new() } else { format!("_{}", i + 1) };
            let native = Entry {
                door: Door::Native,
                id: format!("native_{}{suffix}", operation.name),
                method: route.method,
                path: format!("{NATIVE_PREFIX}{}", route.path),
                parameters,
                body,
            };
            if operation.gateway.is_some() {
                let of_prefix = path_variables(self.gateway_prefix).map(|_| stage_parameter());
                let gateway = Entry {
                    door: Door::Gateway,
                    id: format!("gateway_{}{suffix}", operation.name),
                    method: native.method,
                    path: format!("{}{}", self.gateway_prefix, native.path),
                    parameters: of_prefix.chain(native.parameters.iter().cloned()).collect(),
                    body: native.body.clone(),
                };
                self.enter(operation, native);
                self.enter(operation, gateway);
            } else {
                self.enter(operation, native);
            }
        }
        if let Some(form) = operation.esb {
            self.add_esb(operation, form, &fields);
        }
    }

    fn add_esb(&mut self, operation: &Operation, form: EsbForm, fields: &[Field]) {
        let first = operation.routes.first();
        let names: Vec<_> = first.map_or(Vec::new(), |route| path_variables(route.path).collect());
        let (in_path, beside): (Vec<_>, Vec<_>) = fields.iter().cloned().partition(|field| names.contains(&field.name));
        let find = |name: &&'static str| field(operation, fields, name);
        let (needed, free, inner) = match form {
            EsbForm::Body => {
                let names = names.iter().filter(|name| **name != ACCOUNT);
                (names.map(|name| field(operation, &in_path, name)).collect(), Vec::new(), None)
            }
            EsbForm::Keys { keys, needed } => {
                let (first, rest) = keys.split_at(needed.min(keys.len()));
                (first.iter().map(find).collect(), rest.iter().map(find).collect(), None)
            }
            EsbForm::Data { ids } => {
                let inner = self.input(operation, &beside).unwrap_or_else(|| json!({"type": "object"}));
                (ids.iter().map(find).collect::<Vec<_>>(), Vec::new(), Some(inner))
            }
        };
        let mut parts = vec![shape_ref("esb_credentials")];
        if form == EsbForm::Body {
            parts.extend(self.input(operation, &beside));
        }
        let mut members: Map<_, _> = needed.iter().map(|field| (field.name.to_owned(), shape::needed(field))).collect();
        let dry_run = (operation.weight == Weight::Write).then(dry_run);
        members.extend(free.iter().chain(&dry_run).map(|field| (field.name.to_owned(), shape::member(field, Way::In))));
        let mut required: Vec<_> = needed.iter().map(|field| field.name).collect();
        if let Some(inner) = inner {
            members.insert("data".into(), inner);
            required.push("data");
        }
        if !members.is_empty() {
            let mut own = json!({"type": "object", "properties": members});
            if !required.is_empty() {
                own["required"] = json!(required);
            }
            parts.push(own);
        }
        let path = format!("/api/c/compapi/v2/cc/{}/", operation.name);
        let entry = |id: String, method, parameters, body| Entry {
            door: Door::Esb,
            id,
            method,
            path: path.clone(),
            parameters,
            body,
        };
        if first.is_some_and(|route| route.method == Method::Get) {
            let credentials = envelope::credentials()
                .map(|(name, description)| parameter(name, "query", false, description, json!({"type": "string"})));
            let beside = if form == EsbForm::Body { beside.as_slice() } else { &[] };
            let needed = needed.iter().filter_map(|field| query_parameter(field, true));
            let free = free.iter().chain(beside).filter_map(|field| query_parameter(field, false));
            let parameters = needed.chain(free).chain(credentials).collect();
            self.enter(operation, entry(format!("esb_{}_get", operation.name), Method::Get, parameters, None));
        }
        let id = format!("esb_{}", operation.name);
        self.enter(operation, entry(id, Method::Post, Vec::new(), Some(json!({"allOf": parts}))));
    }

    /// The schema of a body with these fields, named once; `None` without fields.
    fn input(&mut self, operation: &Operation, fields: &[Field]) -> Option<Value> {
        if fields.is_empty() {
            return None;
        }
        let schema = shape::object(fields, Way::In);
        let names = std::iter::once(format!("{}_in", operation.name))
            .chain((2..).map(|i| format!("{}_in_{i}", operation.name)));
        for name in names {
            match self.schemas.get(&name) {
                Some(there) if *there == schema => return Some(shape_ref(&name)),
                Some(_) => {}
                None => {
                    self.schemas.insert(name.clone(), schema);
                    return Some(shape_ref(&name));
                }
            }
        }
        None
    }

    fn enter(&mut self, operation: &Operation, entry: Entry) {
        let (security, language) = match entry.door {
            Door::Native => (json!([{"bk_user": []}]), "language"),
            Door::Gateway => (json!([{"bkapi_authorization": []}]), "language"),
            // The credentials may stand in the body or the query.
            Door::Esb => (json!([{"bkapi_authorization": []}, {}]), "esb_language"),
        };
        let mut parameters = entry.parameters;
        parameters.push(json!({"$ref": format!("#/components/parameters/{language}")}));
        let needs: Vec<_> = operation.needs.iter().map(|action| action.wire()).collect();
        let mut described = json!({
            "operationId": entry.id,
            "summary": operation.summary,
            "description": description(operation),
            "tags": [tag_of(operation.name).map_or(OTHER, |tag| tag.english)],
            "x-rollcall-operation": operation.name,
            "x-rollcall-door": entry.door.name(),
            "x-rollcall-needs": needs,
            "security": security,
            "parameters": parameters,
        });
        if let Some(body) = entry.body {
            // No body is the same as an empty object.
            described["requestBody"] = json!({"content": {"application/json": {"schema": body}}});
        }
        described["responses"] = envelope::answers(entry.door, &output_name(operation));
        let item = self.paths.entry(entry.path).or_insert_with(|| json!({}));
        item[entry.method.as_str().to_ascii_lowercase()] = described;
    }
}

/// The name of the shape of an answer to a write that was only tried.
const PREVIEW: &str = "dry_run_out";

/// What every write takes beside its own fields: in the query, or in the body.
fn dry_run() -> Field {
    Field {
        name: Input::DRY_RUN,
        description: "Only tell what the call would change, record by record and field by field, and change nothing.",
        schema: Schema::Boolean,
        always: false,
    }
}

/// In paths, in queries and in records: the one tenant.
const ACCOUNT: &str = "bk_supplier_account";

fn output_name(operation: &Operation) -> String {
    format!("{}_out", operation.name)
}

fn fields(operation: &Operation) -> Vec<Field> {
    match (operation.input)() {
        Schema::Object(fields) => fields,
        _ => Vec::new(),
    }
}

/// Of an operation whose caller chooses the fields: no field of a row is always there.
fn choose_fields(output: &mut Schema) {
    let Schema::Object(page) = output else { return };
    let rows = page.iter_mut().find(|field| field.name == "info").map(|field| &mut field.schema);
    if let Some(Schema::List(row)) = rows
        && let Schema::Object(row) = &mut **row
    {
        for field in row {
            field.always = false;
        }
    }
}

/// The variables of a path, in its order.
fn path_variables(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'))
}

/// A field of the input; a path variable that the input does not declare is known by its declaration in the path.
fn field(operation: &Operation, fields: &[Field], name: &'static str) -> Field {
    let declared = fields.iter().find(|field| field.name == name).cloned();
    declared.unwrap_or_else(|| {
        let is_number = operation.path_vars.iter().any(|var| var.name == name);
        let schema = if is_number { Schema::Integer } else { Schema::Text };
        Field { name, description: "", schema, always: false }
    })
}

fn path_parameter(operation: &Operation, fields: &[Field], name: &str) -> Value {
    let is_number = operation.path_vars.iter().any(|var| var.name == name);
    let mut description = fields.iter().find(|field| field.name == name).map_or("", |field| field.description);
    let schema = if is_number {
        json!({"type": "integer", "format": "int64"})
    } else if name == ACCOUNT {
        description = "Accepted and ignored: there is one account.";
        json!({"type": "string", "pattern": PATH_TEXT, "default": "0"})
    } else {
        json!({"type": "string", "pattern": PATH_TEXT})
    };
    parameter(name, "path", true, description, schema)
}

fn parameter(name: &str, place: &str, required: bool, description: &str, schema: Value) -> Value {
    let mut parameter = json!({"name": name, "in": place, "required": required});
    if !description.is_empty() {
        parameter["description"] = description.into();
    }
    parameter["schema"] = schema;
    parameter
}

/// A text in a path; one made of dots alone would be taken for a step in the path.
const PATH_TEXT: &str = "^[A-Za-z0-9_:-][A-Za-z0-9_.:-]{0,127}$";

fn stage_parameter() -> Value {
    let schema = json!({"type": "string", "pattern": "^[a-z][a-z0-9-]{2,31}$", "default": "prod"});
    parameter("stage", "path", true, "Any stage name: all lead to the same operations.", schema)
}

/// A field in a query; `None` of what no query can carry.
fn query_parameter(field: &Field, required: bool) -> Option<Value> {
    let schema = shape::needed(&Field { description: "", ..field.clone() });
    let kind = schema.get("type")?;
    if kind == "object" || kind == "array" {
        return None;
    }
    Some(parameter(field.name, "query", required, field.description, schema))
}

/// What people read of an operation beside its summary.
fn description(operation: &Operation) -> String {
    if operation.needs.is_empty() {
        return "Open to every known caller.".into();
    }
    let rights: Vec<_> =
        operation.needs.iter().map(|action| format!("`{}` ({})", action.wire(), action.names().1)).collect();
    format!("Needs the right {}.", rights.join(", or by what it touches "))
}

/// A group of operations.
#[derive(Debug, PartialEq)]
struct Tag {
    english: &'static str,
    chinese: &'static str,
    /// An operation belongs here if its name holds one of these and no earlier group has taken it.
    words: &'static [&'static str],
}

const fn tag(english: &'static str, chinese: &'static str, words: &'static [&'static str]) -> Tag {
    Tag { english, chinese, words }
}

/// Of an operation that no group takes.
const OTHER: &str = "Other";

const TAGS: &[Tag] = &[
    tag("Synchronizations", "模板同步", &["sync_job", "_sync_status", "sync_service_template", "sync_set_template"]),
    tag("Differences from templates", "模板差异", &["difference"]),
    tag("Process templates", "进程模板", &["proc_template"]),
    tag("Service categories", "服务分类", &["service_category"]),
    tag("Service instances", "服务实例", &["service_instance"]),
    tag("Service templates", "服务模板", &["service_template"]),
    tag("Process instances", "进程实例", &["process"]),
    tag("Models", "模型", &["object"]),
    tag("Hosts", "主机", &["host"]),
    tag("Topology", "业务拓扑", &["topo", "internal_module"]),
    tag("Modules", "模块", &["module"]),
    tag("Sets", "集群", &["set"]),
    tag("Businesses", "业务", &["business", "biz"]),
    tag("Audit", "操作审计", &["audit"]),
];

fn tag_of(name: &str) -> Option<&'static Tag> {
    TAGS.iter().find(|tag| tag.words.iter().any(|word| name.contains(word)))
}

/// Every number a caller may meet, with its meaning in English and Chinese.
fn codes() -> BTreeMap<i64, (String, String)> {
    let plain = |text: &str| text.replace("{0}", "…").replace("{1}", "…");
    let causes = CAUSES.iter().map(|cause| {
        let (code, english, chinese) = describe(*cause);
        (code, (plain(english), plain(chinese)))
    });
    let own = [
        (CALLER_NOT_ACCEPTED, "gateway: the user is not established", "网关：无法确认用户"),
        (1_306_000, "ESB: credentials, form or JSON not acceptable", "ESB：凭证、表单或 JSON 不可用"),
        (1_306_404, "ESB: no such operation", "ESB：没有这个接口"),
        (1_306_406, "ESB: a path variable is missing or not usable", "ESB：缺少路径参数或其值不可用"),
        (1_640_001, "gateway: the app is not established", "网关：无法确认应用"),
        (1_640_401, "gateway: nothing is published at this path", "网关：没有这个接口"),
        (1_641_301, "gateway: the body is too large", "网关：请求体过大"),
    ];
    causes.chain(own.map(|(code, english, chinese)| (code, (english.into(), chinese.into())))).collect()
}

fn parameters() -> Value {
    let header = |name: &str, otherwise: &str| {
        json!({
            "name": name,
            "in": "header",
            "description": format!("The language of messages; {otherwise} when missing."),
            "schema": {"type": "string", "enum": ["en", "zh-cn"]},
        })
    };
    json!({
        "language": header("X-Bkcmdb-Language", "Chinese"),
        "esb_language": header("Blueking-Language", "English"),
    })
}

fn security_schemes() -> Value {
    let header = |name: &str, description: &str| json!({"type": "apiKey", "in": "header", "name": name, "description": description});
    json!({
        "bk_user": header(
            "BK_User",
            "The user. Believed from trusted peers only; X-Bkcmdb-User means the same.",
        ),
        "bkapi_authorization": header(
            "X-Bkapi-Authorization",
            "A JSON object with bk_app_code and bk_app_secret, and bk_token or bk_username.",
        ),
    })
}

/// The introduction, in Markdown.
fn about(gateway_prefix: &str) -> String {
    let mut text = format!(
        "Rollcall keeps the record of which processes should run where: a business has sets, a set has modules, a module \
         has hosts; a service instance is one module's service on one host, and a process instance is one process of it. \
         It speaks the API of BlueKing CMDB.\n\n\
         ## Doors\n\n\
         Every operation is the same at each of its doors; only address, credentials and envelope differ.\n\n\
         | Door | Address | Who calls |\n|---|---|---|\n\
         | Native | `{NATIVE_PREFIX}/…` | header `BK_User`, from trusted peers |\n\
         | Gateway | `{gateway_prefix}{NATIVE_PREFIX}/…` | header `X-Bkapi-Authorization` |\n\
         | ESB | `/api/c/compapi/v2/cc/OPERATION/` | `bk_app_code`, `bk_app_secret` and `bk_token` or `bk_username` in the body, \
         or the header `X-Bkapi-Authorization` |\n\n\
         ## Conventions\n\n\
         - An answer of an operation has HTTP status 200; its `code` tells success (0) from failure.\n\
         - A call that fails changes nothing, and its message names every bad field with its path.\n\
         - In requests null is the same as absent, unknown fields are ignored, and no body is the same as `{{}}`.\n\n\
         ## Codes\n\n\
         | Code | English | 中文 |\n|---|---|---|\n"
    );
    for (code, (english, chinese)) in codes() {
        text.push_str(&format!("| {code} | {english} | {chinese} |\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use rollcall_app::table::operations;
    use std::collections::BTreeSet;

    fn parsed() -> Value {
        serde_json::from_str(&document()).unwrap()
    }

    /// Path, method and what stands there.
    fn entries(document: &Value) -> Vec<(&str, &str, &Value)> {
        let paths = document["paths"].as_object().unwrap().iter();
        paths.flat_map(|(path, item)| item.as_object().unwrap().iter().map(|(m, e)| (&**path, &**m, e))).collect()
    }

    #[test]
    fn every_operation_stands_at_each_of_its_doors() {
        let document = parsed();
        let mut expected = BTreeSet::new();
        for operation in operations() {
            for route in &operation.routes {
                let method = route.method.as_str().to_ascii_lowercase();
                let native = format!("/api/v3{}", route.path);
                if operation.gateway.is_some() {
                    let path = format!("/api/bk-cmdb/{{stage}}{native}");
                    expected.insert((operation.name, "gateway", method.clone(), path));
                }
                expected.insert((operation.name, "native", method, native));
            }
            if operation.esb.is_some() {
                let path = format!("/api/c/compapi/v2/cc/{}/", operation.name);
                expected.insert((operation.name, "esb", "post".into(), path.clone()));
                if operation.routes[0].method == Method::Get {
                    expected.insert((operation.name, "esb", "get".into(), path));
                }
            }
        }
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let found: BTreeSet<_> = entries(&document)
            .into_iter()
            .map(|(path, method, entry)| {
                let (name, door) = (&entry["x-rollcall-operation"], &entry["x-rollcall-door"]);
                (text(name), text(door), method.to_owned(), path.to_owned())
            })
            .collect();
        let expected: BTreeSet<_> =
            expected.into_iter().map(|(name, door, method, path)| (name.into(), door.into(), method, path)).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn ids_are_unique_and_every_operation_has_a_group() {
        let document = parsed();
        let entries = entries(&document);
        let ids: BTreeSet<_> = entries.iter().map(|(_, _, entry)| entry["operationId"].as_str().unwrap()).collect();
        assert_eq!(ids.len(), entries.len());
        for operation in operations() {
            assert!(tag_of(operation.name).is_some(), "{} belongs to no group", operation.name);
        }
    }

    #[test]
    fn where_the_caller_chooses_the_fields_no_field_is_promised() {
        let schemas = &parsed()["components"]["schemas"];
        for (name, promises) in [("search_set_out", false), ("list_service_instance_out", true)] {
            let row = &schemas[name]["properties"]["info"]["items"];
            assert!(row["properties"]["bk_biz_id"].is_object(), "{name}");
            assert_eq!(row.get("required").is_some(), promises, "{name}");
        }
    }

    #[test]
    fn every_reference_leads_somewhere() {
        fn check(value: &Value, document: &Value) {
            match value {
                Value::Object(members) => {
                    if let Some(reference) = members.get("$ref") {
                        let pointer = reference.as_str().unwrap().strip_prefix('#').unwrap();
                        assert!(document.pointer(pointer).is_some(), "{pointer}");
                    }
                    members.values().for_each(|member| check(member, document));
                }
                Value::Array(items) => items.iter().for_each(|item| check(item, document)),
                _ => {}
            }
        }
        let document = parsed();
        check(&document, &document);
    }

    #[test]
    fn every_needed_right_is_named() {
        let document = parsed();
        for (path, _, entry) in entries(&document) {
            let operation = operations().into_iter().find(|o| entry["x-rollcall-operation"] == o.name).unwrap();
            let needs: Vec<_> = operation.needs.iter().map(|action| action.wire()).collect();
            assert_eq!(entry["x-rollcall-needs"], json!(needs), "{path}");
            for action in needs {
                assert!(entry["description"].as_str().unwrap().contains(action), "{path}");
                assert!(document["x-rollcall-actions"][action]["zh"].is_string(), "{action}");
            }
        }
    }

    #[test]
    fn every_variable_of_a_path_is_a_parameter() {
        let document = parsed();
        for (path, method, entry) in entries(&document) {
            let parameters = entry["parameters"].as_array().unwrap().iter();
            let declared: Vec<_> =
                parameters.filter(|p| p["in"] == "path").map(|p| p["name"].as_str().unwrap()).collect();
            assert_eq!(declared, path_variables(path).collect::<Vec<_>>(), "{method} {path}");
        }
    }

    /// Two paths that differ only in the names of their variables would be the same path.
    #[test]
    fn no_two_paths_are_the_same() {
        let document = parsed();
        let nameless = |path: &String| {
            let segments = path.split('/').map(|segment| if segment.starts_with('{') { "{}" } else { segment });
            segments.collect::<Vec<_>>().join("/")
        };
        let paths = document["paths"].as_object().unwrap();
        assert_eq!(paths.keys().map(nameless).collect::<BTreeSet<_>>().len(), paths.len());
    }

    #[test]
    fn every_code_is_in_the_table() {
        let document = parsed();
        let about = document["info"]["description"].as_str().unwrap();
        for cause in CAUSES {
            let code = describe(*cause).0;
            assert!(about.contains(&format!("| {code} | ")), "{code}");
        }
    }

    #[test]
    fn the_document_is_the_same_each_time() {
        assert_eq!(document(), document());
    }

    #[test]
    fn a_configured_prefix_of_the_gateway_is_followed() {
        let document: Value = serde_json::from_str(&document_for("cmdb/")).unwrap();
        assert!(document["paths"].get("/cmdb/api/v3/biz/{bk_supplier_account}").is_some());
    }
}
