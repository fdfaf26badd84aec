//! What becomes of the `process_info` of an unbound process (`instances` 4.1 to 4.4, §5; `design` §4 on legacy ports).

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

/// What is stored, but for what the server adds; or the codes that name what is wrong, the first one first.
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
