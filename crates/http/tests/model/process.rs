//! What becomes of the `process_info` of an unbound process, and of an update of it (`instances` 4.1 to 4.4, §5, 10.14, 10.15;
//! `design` §4 on legacy ports).

use crate::ops::ProcessIn;
use serde_json::{Map, Value, json};

const SHORT: &[&str] = &["description", "user"];
const LONG: &[&str] = &[
    "bk_start_param_regex",
    "work_path",
    "pid_file",
    "start_cmd",
    "stop_cmd",
    "restart_cmd",
    "face_stop_cmd",
    "reload_cmd",
];
const NUMBERS: &[(&str, i64, i64)] =
    &[("proc_num", 1, 10_000), ("priority", -100, 10_000), ("bk_start_check_secs", 0, 600), ("timeout", 0, 10_000)];

const NOT_SET: i64 = 1_199_010;
const UNUSABLE: i64 = 1_199_011;

/// The object that is sent.
pub fn sent(process: &ProcessIn) -> Value {
    let mut info = Map::new();
    for (key, value) in &process.more {
        info.insert((*key).to_owned(), serde_json::from_str(value).unwrap());
    }
    for (key, value) in
        [("bk_process_name", process.name), ("bk_func_name", process.func), ("bk_start_param_regex", process.param)]
    {
        if !value.is_empty() {
            info.insert(key.to_owned(), serde_json::from_str(value).unwrap());
        }
    }
    Value::Object(info)
}

/// What is stored, but for what the server adds (I-12, I-13); or the codes that name what is wrong, the first one first.
pub fn stored(info: &Value, host_address: &str) -> Result<Map<String, Value>, Vec<i64>> {
    let mut fields = Map::new();
    let mut wrong = Vec::new();
    for key in ["bk_func_name", "bk_process_name"] {
        match info.get(key) {
            None => wrong.push(NOT_SET),
            Some(Value::String(text)) if !text.trim().is_empty() && text.trim().len() <= 256 => {
                fields.insert(key.into(), text.trim().into());
            }
            Some(_) => wrong.push(UNUSABLE),
        }
    }
    // A missing name counts before any value.
    wrong.sort_unstable();
    let texts = SHORT.iter().map(|key| (*key, 256)).chain(LONG.iter().map(|key| (*key, 2000)));
    for (key, max) in texts {
        match info.get(key) {
            None => _ = fields.insert(key.into(), "".into()),
            Some(Value::Null) => _ = fields.insert(key.into(), Value::Null),
            Some(Value::String(text)) if text.trim().len() <= max => _ = fields.insert(key.into(), text.trim().into()),
            Some(_) => wrong.push(UNUSABLE),
        }
    }
    for (key, min, max) in NUMBERS {
        match info.get(key) {
            None | Some(Value::Null) => _ = fields.insert((*key).into(), Value::Null),
            Some(value) if value.as_i64().is_some_and(|n| n >= *min && n <= *max) => {
                fields.insert((*key).into(), value.clone());
            }
            Some(_) => wrong.push(UNUSABLE),
        }
    }
    match info.get("auto_start") {
        None => _ = fields.insert("auto_start".into(), false.into()),
        Some(value @ (Value::Null | Value::Bool(_))) => _ = fields.insert("auto_start".into(), value.clone()),
        Some(_) => wrong.push(UNUSABLE),
    }
    match bind_info(info, host_address) {
        Some(rows) => _ = fields.insert("bind_info".into(), rows),
        None => wrong.push(UNUSABLE),
    }
    for key in ["bk_func_id", "auto_time_gap"] {
        if let Some(value) = info.get(key) {
            fields.insert(key.into(), value.clone());
        }
    }
    if wrong.is_empty() { Ok(fields) } else { Err(wrong) }
}

fn bind_info(info: &Value, host_address: &str) -> Option<Value> {
    match info.get("bind_info") {
        None => legacy_ports(info, host_address),
        Some(Value::Null) => Some(Value::Null),
        Some(row @ Value::Object(_)) => Some(json!([bind_row(row)?])),
        Some(Value::Array(rows)) => rows.iter().map(bind_row).collect::<Option<Vec<_>>>().map(Value::Array),
        Some(_) => None,
    }
}

fn bind_row(row: &Value) -> Option<Value> {
    let row = row.as_object()?;
    let (mut enable, mut ip, mut port, mut protocol) = (Value::Null, Value::Null, Value::Null, Value::Null);
    let mut row_ids = Vec::new();
    for (key, cell) in row {
        match key.as_str() {
            "enable" => enable = cell.as_bool()?.into(),
            "ip" if cell.is_null() => {}
            // The addresses that the generator sends and that are none.
            "ip" => ip = cell.as_str().map(str::trim).filter(|ip| *ip != "localhost")?.into(),
            "port" => port = cell.as_str().map(str::trim).filter(|port| is_port(port))?.into(),
            "protocol" => protocol = cell.as_str().filter(|id| ["1", "2", "3", "4"].contains(id))?.into(),
            "template_row_id" | "row_id" => row_ids.push(cell.as_i64()?),
            _ => return None,
        }
    }
    row_ids.dedup();
    if row_ids.len() > 1 {
        return None;
    }
    let row_id = row_ids.first().copied().unwrap_or(0);
    Some(json!({"enable": enable, "ip": ip, "port": port, "protocol": protocol, "template_row_id": row_id}))
}

/// Whether an update replaces the process or changes what it names (I-14).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    Whole,
    Named,
}

/// Whether a value that is sent for a process has another type than its field (`instances` 10.14, step 5).
pub fn is_mistyped(info: &Value) -> bool {
    let is_not =
        |key: &str, fits: fn(&Value) -> bool| info.get(key).is_some_and(|value| !value.is_null() && !fits(value));
    let texts = SHORT.iter().chain(LONG).chain(&["bk_process_name", "bk_func_name", "bk_supplier_account"]);
    let ids = ["bk_process_id", "bk_biz_id", "service_instance_id"];
    let rows = match info.get("bind_info") {
        Some(Value::Array(rows)) => rows.iter().any(is_row_mistyped),
        Some(row @ Value::Object(_)) => is_row_mistyped(row),
        Some(value) => !value.is_null(),
        None => false,
    };
    rows || texts.into_iter().any(|key| is_not(key, Value::is_string))
        || NUMBERS.iter().map(|(key, ..)| key).chain(&ids).any(|key| is_not(key, Value::is_i64))
        || is_not("auto_start", Value::is_boolean)
        // The times that the generator sends have a `T` if they are good.
        || is_not("create_time", |time| time.as_str().is_some_and(|time| time.contains('T')))
}

fn is_row_mistyped(row: &Value) -> bool {
    let Some(row) = row.as_object() else { return true };
    row.iter().any(|(key, cell)| {
        let fits = match key.as_str() {
            "ip" | "port" | "protocol" => cell.is_string(),
            "enable" => cell.is_boolean(),
            "template_row_id" | "row_id" => cell.is_i64(),
            _ => true,
        };
        !fits && !cell.is_null()
    })
}

/// The process after an update of the right types, but for its stamps; or the code that names what is wrong.
pub fn updated(
    before: &Map<String, Value>,
    sent: &Value,
    scope: Scope,
    host_address: &str,
) -> Result<Map<String, Value>, Vec<i64>> {
    let mut fields = before.clone();
    let mut is_good = true;
    let texts = SHORT.iter().map(|key| (*key, 256, false)).chain(LONG.iter().map(|key| (*key, 2000, false)));
    let names = ["bk_process_name", "bk_func_name"].map(|key| (key, 256, true));
    for (key, max, is_needed) in texts.chain(names) {
        let value = match sent.get(key) {
            None if scope == Scope::Named => continue,
            None | Some(Value::Null) => Value::Null,
            Some(text) => text.as_str().unwrap().trim().into(),
        };
        let text = value.as_str().unwrap_or_default();
        is_good &= text.len() <= max && !(is_needed && text.is_empty());
        fields.insert(key.into(), value);
    }
    for (key, min, max) in NUMBERS {
        match sent.get(key) {
            None if scope == Scope::Named => {}
            None | Some(Value::Null) => _ = fields.insert((*key).into(), Value::Null),
            Some(value) => {
                is_good &= value.as_i64().is_some_and(|n| n >= *min && n <= *max);
                fields.insert((*key).into(), value.clone());
            }
        }
    }
    match sent.get("auto_start") {
        None if scope == Scope::Named => {}
        value => _ = fields.insert("auto_start".into(), value.cloned().unwrap_or_default()),
    }
    let rows = match sent.get("bind_info") {
        None if scope == Scope::Named => Some(before["bind_info"].clone()),
        None => legacy_ports(sent, host_address),
        Some(Value::Null) => Some(Value::Null),
        Some(Value::Array(rows)) => new_rows(&before["bind_info"], rows),
        Some(row) => new_rows(&before["bind_info"], std::slice::from_ref(row)),
    };
    is_good &= rows.is_some();
    fields.insert("bind_info".into(), rows.unwrap_or_default());
    // These stay unless they are sent.
    for key in ["bk_func_id", "auto_time_gap"] {
        if let Some(value) = sent.get(key) {
            fields.insert(key.into(), value.clone());
        }
    }
    if is_good { Ok(fields) } else { Err(vec![UNUSABLE]) }
}

/// The rows of an update: unlike at the creation other keys are ignored, and null is allowed where it is stored.
fn new_rows(before: &Value, rows: &[Value]) -> Option<Value> {
    let none = Vec::new();
    let before = before.as_array().unwrap_or(&none);
    let rows = rows.iter().enumerate().map(|(i, row)| {
        let cells = row.as_object()?.iter().filter(|(key, cell)| {
            !cell.is_null() && ["ip", "port", "protocol", "enable", "template_row_id", "row_id"].contains(&key.as_str())
        });
        let cells: Map<_, _> = cells.map(|(key, cell)| (key.clone(), cell.clone())).collect();
        let row = bind_row(&cells.into())?;
        let may_be_null = |key: &str| before.get(i).is_some_and(|before| before[key].is_null());
        let is_whole = ["port", "protocol", "enable"].iter().all(|key| !row[*key].is_null() || may_be_null(key));
        (is_whole || before.contains(&row)).then_some(row)
    });
    rows.collect::<Option<Vec<_>>>().map(Value::Array)
}

/// One port, or two with the lower one first; no leading zeros.
fn is_port(text: &str) -> bool {
    let number = |text: &str| text.parse::<u16>().ok().filter(|n| *n > 0 && n.to_string() == text);
    match text.split_once('-') {
        None => number(text).is_some(),
        Some((from, to)) => matches!((number(from), number(to)), (Some(from), Some(to)) if from <= to),
    }
}

/// `port`, `bind_ip`, `protocol` and `bk_enable_port` become rows.
fn legacy_ports(info: &Value, host_address: &str) -> Option<Value> {
    let ports = match info.get("port") {
        None | Some(Value::Null) => return Some(Value::Null),
        Some(ports) => ports.as_str()?,
    };
    if ports.trim().is_empty() {
        return Some(Value::Null);
    }
    let ip = match info.get("bind_ip").and_then(Value::as_str) {
        None => Value::Null,
        Some("3") => host_address.split(',').next().unwrap_or_default().into(),
        Some(ip) => ip.into(),
    };
    let protocol = info.get("protocol").and_then(Value::as_str).unwrap_or("1");
    let enable = info.get("bk_enable_port").and_then(Value::as_bool).unwrap_or(true);
    let rows = ports.split(',').enumerate().map(|(i, port)| {
        let port = Some(port.trim()).filter(|port| is_port(port))?;
        Some(json!({"enable": enable, "ip": ip, "port": port, "protocol": protocol, "template_row_id": i + 1}))
    });
    rows.collect::<Option<Vec<_>>>().map(Value::Array)
}

/// What may not be twice in one instance (`instances` §6).
pub fn clashes(one: &Map<String, Value>, other: &Map<String, Value>) -> bool {
    let same = |key: &str| one[key] == other[key];
    same("bk_process_name")
        || (same("bk_func_name") && same("bk_start_param_regex") && one["bk_start_param_regex"] != Value::Null)
}

/// The port that a generated name ends with.
pub fn first_port(fields: &Map<String, Value>) -> Option<&str> {
    fields["bind_info"].as_array()?.iter().find_map(|row| row["port"].as_str())
}
