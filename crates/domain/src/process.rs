//! Process instances: which fields there are, what they accept, when two processes clash (`instances` §4, §6).

mod update;

pub(crate) use update::SentBind;
pub use update::{ProcessUpdate, StoredProcess, Unnamed, UpdateStamp, must_make_way};

use crate::bind_info::{self, BindRow, HostAddresses};
use crate::fault::{Cause, Fault, Reason, quoted};
use crate::id::{BusinessId, HostId, ProcessId, SUPPLIER_ACCOUNT, ServiceInstanceId};
use crate::json::{Decode, Decoder, Field, FieldPath, Json, JsonWriter, Object, Schema};
use crate::query_filter::Shape;
use std::collections::HashMap;
use std::ops::Range;

/// The most processes one call of create_process_instance carries.
pub const MAX_PER_CALL: usize = 100;

/// What a field of a process accepts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Kind {
    /// A text of so many bytes at most; absent means "".
    Text(usize),
    /// As [`Kind::Text`], but it must be there and not blank.
    Needed(usize),
    /// A whole number, both ends included; absent means null.
    Int(i64, i64),
    /// True or false; absent means false.
    Bool,
    /// Not the caller's to say.
    Server,
    /// The port rows.
    Bind,
}

/// The field that names a process.
pub const ID: &str = "bk_process_id";

const SHORT: usize = 256;
const LONG: usize = 2000;

/// The fixed fields in the order in which they are stored and answered (`instances` 10.5), with what they accept (4.1).
pub(crate) const FIELDS: [(&str, Kind); 24] = [
    ("proc_num", Kind::Int(1, 10_000)),
    ("stop_cmd", Kind::Text(LONG)),
    ("restart_cmd", Kind::Text(LONG)),
    ("face_stop_cmd", Kind::Text(LONG)),
    ("bk_process_id", Kind::Server),
    ("bk_func_name", Kind::Needed(SHORT)),
    ("work_path", Kind::Text(LONG)),
    ("priority", Kind::Int(-100, 10_000)),
    ("reload_cmd", Kind::Text(LONG)),
    ("bk_process_name", Kind::Needed(SHORT)),
    ("pid_file", Kind::Text(LONG)),
    ("auto_start", Kind::Bool),
    ("bk_start_check_secs", Kind::Int(0, 600)),
    ("last_time", Kind::Server),
    ("create_time", Kind::Server),
    ("bk_biz_id", Kind::Server),
    ("start_cmd", Kind::Text(LONG)),
    ("user", Kind::Text(SHORT)),
    ("timeout", Kind::Int(0, 10_000)),
    ("description", Kind::Text(SHORT)),
    ("bk_supplier_account", Kind::Server),
    ("bk_start_param_regex", Kind::Text(LONG)),
    ("service_instance_id", Kind::Server),
    ("bind_info", Kind::Bind),
];

/// The place of a fixed field in [`FIELDS`].
pub(crate) fn place_of(field: &str) -> usize {
    FIELDS.iter().position(|(name, _)| *name == field).unwrap_or_default()
}

/// Fields of older releases that the documents still list: kept when sent, answered when kept (`design` §4).
const KEPT: [(&str, Kind); 2] = [("bk_func_id", Kind::Text(SHORT)), ("auto_time_gap", Kind::Int(i64::MIN, i64::MAX))];

/// A process as the caller wants it: checked, but not yet placed on an instance.
#[derive(Debug, Clone, PartialEq)]
pub struct ProcessDraft {
    keys: ProcessKeys,
    /// The other texts, numbers and flags, by their place in [`FIELDS`].
    values: Vec<(usize, Json)>,
    bind_rows: Option<Vec<BindRow>>,
    kept: Vec<(&'static str, Json)>,
}

/// A process as it is stored: key columns and the two texts that answers splice.
#[derive(Debug, Clone, PartialEq)]
pub struct NewProcess {
    pub id: ProcessId,
    pub keys: ProcessKeys,
    /// The members of the fixed fields, without braces.
    pub fixed_fields: String,
    /// The members of the stamps and kept fields, without braces.
    pub extra_fields: String,
}

/// Where and when a process comes to be.
#[derive(Debug, Clone, Copy)]
pub struct Placement<'a> {
    pub business_id: BusinessId,
    pub service_instance_id: ServiceInstanceId,
    pub host_id: HostId,
    pub host: &'a HostAddresses,
    /// RFC 3339 text.
    pub time: &'a str,
    pub user: &'a str,
}

/// Checks the `process_info` of a process that no template owns. Unknown keys and those the server sets are dropped.
pub fn read_draft(record: &Object, at: &FieldPath, faults: &mut Vec<Fault>) -> Option<ProcessDraft> {
    let before = faults.len();
    let mut draft = ProcessDraft {
        keys: ProcessKeys { name: String::new(), func_name: String::new(), start_param: Some(String::new()) },
        values: Vec::with_capacity(FIELDS.len()),
        bind_rows: None,
        kept: Vec::new(),
    };
    // What is missing is told before what is wrong (`instances` 4.4).
    for (field, kind) in &FIELDS {
        if matches!(kind, Kind::Needed(_)) && record.get(field).is_none() {
            faults.push(Fault::new(Cause::NotSet, at.field(field)));
        }
    }
    for (place, (field, kind)) in FIELDS.iter().enumerate() {
        let sent = record.get(field);
        let value = match kind {
            Kind::Server => continue,
            Kind::Bind => {
                draft.bind_rows = match sent {
                    None => bind_info::read_legacy(record, at, faults),
                    Some(rows) => bind_info::read_rows(rows, &at.field(field), faults),
                };
                continue;
            }
            Kind::Needed(_) if sent.is_none() => continue,
            _ => match read_value(*kind, sent) {
                Ok(value) => value,
                Err(reason) => {
                    faults.push(Fault::new(Cause::ParamUnusable, at.field(field)).because(reason));
                    continue;
                }
            },
        };
        match (*field, value) {
            ("bk_process_name", Json::Text(text)) => draft.keys.name = text,
            ("bk_func_name", Json::Text(text)) => draft.keys.func_name = text,
            ("bk_start_param_regex", Json::Text(text)) => draft.keys.start_param = Some(text),
            ("bk_start_param_regex", _) => draft.keys.start_param = None,
            (_, value) => draft.values.push((place, value)),
        }
    }
    for (field, kind) in KEPT {
        match record.get(field) {
            None | Some(Json::Null) => {}
            sent => match read_value(kind, sent) {
                Ok(value) => draft.kept.push((field, value)),
                Err(reason) => faults.push(Fault::new(Cause::ParamUnusable, at.field(field)).because(reason)),
            },
        }
    }
    (faults.len() == before).then_some(draft)
}

/// A value as it is stored. Limits count bytes after trimming.
pub(crate) fn read_value(kind: Kind, sent: Option<&Json>) -> Result<Json, Reason> {
    match (kind, sent) {
        (Kind::Text(_), None) => Ok(Json::Text(String::new())),
        (Kind::Bool, None) => Ok(Json::Bool(false)),
        (_, None) => Ok(Json::Null),
        (Kind::Needed(_), Some(Json::Null)) => Err(Reason::Blank),
        (_, Some(Json::Null)) => Ok(Json::Null),
        (Kind::Text(max_bytes) | Kind::Needed(max_bytes), Some(Json::Text(text))) => match text.trim() {
            text if text.len() > max_bytes => Err(Reason::TooLong { max_bytes }),
            "" if matches!(kind, Kind::Needed(_)) => Err(Reason::Blank),
            text => Ok(text.into()),
        },
        (Kind::Text(_) | Kind::Needed(_), Some(_)) => Err(Reason::NeedsText),
        (Kind::Int(min, max), Some(Json::Int(number))) => {
            if (min..=max).contains(number) {
                Ok(Json::Int(*number))
            } else {
                Err(Reason::Range { min, max })
            }
        }
        (Kind::Int(..), Some(_)) => Err(Reason::NeedsInteger),
        (Kind::Bool, Some(Json::Bool(flag))) => Ok(Json::Bool(*flag)),
        (Kind::Bool, Some(_)) => Err(Reason::NeedsBool),
        (Kind::Server | Kind::Bind, Some(_)) => unreachable!("read apart from the plain values"),
    }
}

/// Where in a stored text the values of its first members stand, which have these names in this order: what no rule looks at need not
/// be read. `None` when the text is not one that this program stores.
fn find_values<const N: usize>(members: &str, names: impl Iterator<Item = &'static str>) -> Option<[Range<usize>; N]> {
    let mut found = std::array::from_fn(|_| 0..0);
    let mut end = 0;
    for (value, name) in found.iter_mut().zip(names) {
        let rest = &members[end..];
        let rest = if end > 0 { rest.strip_prefix(',')? } else { rest };
        let rest = rest.strip_prefix('"')?.strip_prefix(name)?.strip_prefix("\":")?;
        let start = members.len() - rest.len();
        end = start + value_end(rest.as_bytes());
        *value = start..end;
    }
    Some(found)
}

/// Where the values of the fixed fields of a stored process stand in its text, by their places in [`FIELDS`].
pub(crate) fn find_fixed_values(fixed_fields: &str) -> Option<[Range<usize>; FIELDS.len()]> {
    let found: [_; FIELDS.len()] = find_values(fixed_fields, FIELDS.iter().map(|(field, _)| *field))?;
    let is_all = found.last().is_some_and(|last| last.end == fixed_fields.len());
    is_all.then_some(found)
}

/// Where the JSON value ends that a text begins with.
fn value_end(text: &[u8]) -> usize {
    match text.first() {
        Some(b'"') => text_end(text),
        Some(b'[' | b'{') => nested_end(text),
        // A number, true, false or null.
        _ => text.iter().position(|byte| !byte.is_ascii_alphanumeric() && !b"+-.".contains(byte)).unwrap_or(text.len()),
    }
}

/// As [`value_end`], of a text in quotes.
fn text_end(text: &[u8]) -> usize {
    let mut at = 1;
    while let Some(found) = text.get(at..).and_then(|rest| rest.iter().position(|byte| matches!(byte, b'"' | b'\\'))) {
        at += found;
        if text[at] == b'"' {
            return at + 1;
        }
        // What is behind a backslash belongs to it.
        at += 2;
    }
    text.len()
}

/// As [`value_end`], of a list or an object.
fn nested_end(text: &[u8]) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while let Some(byte) = text.get(at) {
        match byte {
            b'"' => {
                at += text_end(&text[at..]);
                continue;
            }
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        at += 1;
        if depth == 0 {
            return at;
        }
    }
    text.len()
}

impl ProcessDraft {
    /// A process with these values of the plain fields, by their places in [`FIELDS`], in order.
    pub(crate) fn of_values(keys: ProcessKeys, values: Vec<(usize, Json)>, bind_rows: Option<Vec<BindRow>>) -> Self {
        Self { keys, values, bind_rows, kept: Vec::new() }
    }

    /// The alias that people see.
    pub fn name(&self) -> &str {
        &self.keys.name
    }

    /// What no other process of its instance may hold.
    pub fn keys(&self) -> &ProcessKeys {
        &self.keys
    }

    /// The first port of the first row that has one.
    pub fn first_port(&self) -> Option<&str> {
        self.bind_rows.as_deref()?.iter().find_map(|row| row.port.as_ref()).map(|port| port.as_str())
    }

    /// The process as it is stored.
    pub fn place(&self, id: ProcessId, at: &Placement<'_>) -> NewProcess {
        let mut fixed = JsonWriter::with_capacity(768);
        let mut values = self.values.iter();
        for (place, (field, kind)) in FIELDS.iter().enumerate() {
            fixed.field(field);
            match *field {
                "bk_process_id" => fixed.int(id.get()),
                "bk_biz_id" => fixed.int(at.business_id.get()),
                "service_instance_id" => fixed.int(at.service_instance_id.get()),
                "bk_supplier_account" => fixed.text(SUPPLIER_ACCOUNT),
                "create_time" | "last_time" => fixed.text(at.time),
                "bk_process_name" => fixed.text(&self.keys.name),
                "bk_func_name" => fixed.text(&self.keys.func_name),
                "bk_start_param_regex" => match &self.keys.start_param {
                    Some(text) => fixed.text(text),
                    None => fixed.raw("null"),
                },
                _ if *kind == Kind::Bind => {
                    bind_info::write_rows(&mut fixed, self.bind_rows.as_deref(), at.host);
                    &mut fixed
                }
                _ => match values.next() {
                    Some((of, value)) if *of == place => fixed.value(value),
                    _ => unreachable!("a checked draft holds every plain value in order"),
                },
            };
        }
        let mut extra = JsonWriter::with_capacity(192);
        extra.field("bk_created_at").text(at.time).field("bk_created_by").text(at.user);
        extra.field("bk_updated_at").text(at.time).field("bk_updated_by").raw("null");
        for (field, value) in &self.kept {
            extra.field(field).value(value);
        }
        NewProcess { id, keys: self.keys.clone(), fixed_fields: fixed.finish(), extra_fields: extra.finish() }
    }
}

/// What two processes of one instance may not share.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ProcessKeys {
    pub name: String,
    pub func_name: String,
    /// `None` is a null the caller sent: such a process is outside of the second unique rule.
    pub start_param: Option<String>,
}

impl ProcessKeys {
    /// What the second unique rule compares, if it applies.
    fn pair(&self) -> Option<(&str, &str)> {
        Some((self.func_name.as_str(), self.start_param.as_deref()?))
    }
}

/// Every wanted process that clashes with another one of the instance or with an earlier wanted one (`instances` §6). `at` gives the
/// path of a field of a wanted process.
pub fn find_clashes(
    others: &[ProcessKeys],
    wanted: &[&ProcessKeys],
    at: impl Fn(usize, &str) -> FieldPath,
    faults: &mut Vec<Fault>,
) {
    /// `None` is a process beside the wanted ones, `Some` the number of a wanted one.
    type Holder = Option<usize>;
    let mut names: HashMap<&str, Holder> = others.iter().map(|keys| (keys.name.as_str(), None)).collect();
    let mut funcs: HashMap<(&str, &str), Holder> =
        others.iter().filter_map(|keys| Some((keys.pair()?, None))).collect();
    for (i, keys) in wanted.iter().enumerate() {
        let mut clash = |field: &str, fields: &str, value: String, holder: Holder| {
            let reason = match holder {
                None => Reason::Taken { value },
                Some(other) => Reason::TakenInRequest { value, other: at(other, field) },
            };
            faults.push(Fault::new(Cause::Duplicate, at(i, field)).named(fields).because(reason));
        };
        match names.get(keys.name.as_str()) {
            Some(holder) => clash("bk_process_name", "bk_process_name", quoted(&keys.name), *holder),
            None => _ = names.insert(&keys.name, Some(i)),
        }
        let Some(pair) = keys.pair() else {
            continue;
        };
        match funcs.get(&pair) {
            Some(holder) => {
                let value = format!("{} {}", quoted(pair.0), quoted(pair.1));
                clash("bk_func_name", "bk_func_name,bk_start_param_regex", value.trim_end().to_owned(), *holder);
            }
            None => _ = funcs.insert(pair, Some(i)),
        }
    }
}

/// Stamps, which the server sets: they stand behind the fixed fields in every stored process.
const STAMPS: [(&str, Shape); 4] = [
    ("bk_created_at", Shape::Time),
    ("bk_created_by", Shape::Text),
    ("bk_updated_at", Shape::Time),
    ("bk_updated_by", Shape::Text),
];

/// What filters find in the fields of a stored process (`instances` 10.17).
pub fn shape(field: &str) -> Option<Shape> {
    if let Some(cell) = field.strip_prefix("bind_info.") {
        return bind_info::cell_shape(cell);
    }
    if let Some((_, shape)) = STAMPS.iter().find(|(name, _)| *name == field) {
        return Some(*shape);
    }
    let (_, kind) = FIELDS.iter().chain(&KEPT).find(|(name, _)| *name == field)?;
    Some(match (kind, field) {
        (Kind::Text(_) | Kind::Needed(_), _) | (_, "bk_supplier_account") => Shape::Text,
        (_, "create_time" | "last_time") => Shape::Time,
        // Ids are all that is left of what the server sets.
        (Kind::Int(..) | Kind::Server, _) => Shape::Int,
        (Kind::Bool, _) => Shape::Bool,
        (Kind::Bind, _) => Shape::Rows,
    })
}

/// Where the record of a stored process has a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Among the fixed fields, which every process has.
    Fixed,
    /// Among the extra fields, in every process.
    Stamp,
    /// Among the extra fields of those processes that were given it.
    Kept,
}

/// Where a field is that has a [`shape`].
pub fn part_of(field: &str) -> Part {
    if FIELDS.iter().any(|(name, _)| *name == field) {
        Part::Fixed
    } else if STAMPS.iter().any(|(name, _)| *name == field) {
        Part::Stamp
    } else {
        Part::Kept
    }
}

/// One entry of update_process_instance: the fields of a process beside its id.
#[derive(Debug, Clone, PartialEq)]
pub struct UpdateEntry(pub Object);

impl Decode for UpdateEntry {
    fn decode(json: Json, at: &Decoder<'_>) -> Option<Self> {
        Object::decode(json, at).map(Self)
    }

    fn absent(at: &Decoder<'_>) -> Option<Self> {
        Object::absent(at).map(Self)
    }

    fn schema() -> Schema {
        let id = Field { name: ID, description: "The process.", schema: Schema::Integer, always: false };
        let Schema::Object(fields) = ProcessInfo::schema() else { unreachable!("an object schema") };
        Schema::Object(std::iter::once(id).chain(fields).collect())
    }
}

/// The `process_info` of a request: any record, so that [`read_draft`] can name everything that is wrong in it at once.
#[derive(Debug, Clone, PartialEq)]
pub struct ProcessInfo(pub Object);

impl Decode for ProcessInfo {
    fn decode(json: Json, at: &Decoder<'_>) -> Option<Self> {
        Object::decode(json, at).map(Self)
    }

    fn absent(at: &Decoder<'_>) -> Option<Self> {
        Object::absent(at).map(Self)
    }

    fn schema() -> Schema {
        Schema::Object(
            INFO_FIELDS
                .iter()
                .map(|(name, description)| {
                    let kind = FIELDS.iter().chain(&KEPT).find(|(field, _)| field == name);
                    let schema = match kind.map(|(_, kind)| kind) {
                        Some(Kind::Int(..)) => Schema::Integer,
                        Some(Kind::Bool) => Schema::Boolean,
                        Some(Kind::Bind) => bind_info_schema(),
                        _ if *name == "bk_enable_port" => Schema::Boolean,
                        _ => Schema::Text,
                    };
                    Field { name, description, schema, always: false }
                })
                .collect(),
        )
    }
}

/// What a caller may say of a process, the needed first, in words.
const INFO_FIELDS: [(&str, &str); 24] = [
    ("bk_func_name", "The name of the program; needed, up to 256 bytes."),
    ("bk_process_name", "The name of the process, unique in its service instance; needed, up to 256 bytes."),
    (
        "bk_start_param_regex",
        "What tells the process from others of the same program; the pair is unique in the service instance.",
    ),
    ("bind_info", "The ports it listens on; one object counts as a list of one."),
    ("user", "The user that runs it, up to 256 bytes."),
    ("work_path", "The directory it runs in."),
    ("pid_file", "The file that holds its process id."),
    ("start_cmd", "The command that starts it."),
    ("stop_cmd", "The command that stops it."),
    ("restart_cmd", "The command that starts it again."),
    ("reload_cmd", "The command that makes it read its configuration again."),
    ("face_stop_cmd", "The command that stops it by force."),
    ("proc_num", "How many of it run, 1 to 10000."),
    ("priority", "Its place in the order of starting, -100 to 10000."),
    ("timeout", "How long a command may take, in seconds, 0 to 10000."),
    ("bk_start_check_secs", "How long after a start it is looked at, in seconds, 0 to 600."),
    ("auto_start", "Whether it starts with the host."),
    ("description", "A remark, up to 256 bytes."),
    (
        "bind_ip",
        "Older form, used without `bind_info`: 1 loopback, 2 any, 3 the host's inner address, 4 its outer address.",
    ),
    ("port", "Older form, used without `bind_info`: ports and ranges, separated by commas."),
    ("protocol", "Older form, used without `bind_info`: 1 TCP, 2 UDP, 3 TCP6, 4 UDP6."),
    ("bk_enable_port", "Older form, used without `bind_info`: whether the ports are in use."),
    ("bk_func_id", "Kept as sent."),
    ("auto_time_gap", "Kept as sent."),
];

fn bind_info_schema() -> Schema {
    let field = |name, schema, description| Field { name, description, schema, always: false };
    Schema::Object(vec![
        field("enable", Schema::Boolean, "Whether it is in use."),
        field("ip", Schema::Text, "An address, or 1 loopback, 2 any, 3 the host's inner address, 4 its outer address."),
        field("port", Schema::Text, "One port or one range, such as 8000-8010."),
        field("protocol", Schema::Text, "1 TCP, 2 UDP, 3 TCP6, 4 UDP6."),
        field("template_row_id", Schema::Integer, "The row of the process template; 0 without one."),
        field("row_id", Schema::Integer, "The same as template_row_id."),
    ])
    .list()
}

/// Whether lists can be sorted by a field.
pub fn is_sortable(field: &str) -> bool {
    !field.contains('.') && shape(field).is_some_and(|shape| shape != Shape::Rows)
}

/// The shape of the whole document of a process in answers.
pub fn document_schema() -> Schema {
    let Schema::Object(mut fields) = fixed_schema() else { unreachable!("an object schema") };
    fields.extend(STAMPS.map(|(name, shape)| {
        let schema = match (shape, name) {
            (Shape::Time, _) => Schema::Time,
            (_, "bk_updated_by") => Schema::Text.or_null(),
            _ => Schema::Text,
        };
        Field { name, description: "", schema, always: true }
    }));
    Schema::Object(fields)
}

/// The shape of the fixed fields in answers.
pub fn fixed_schema() -> Schema {
    let field = |(name, kind): &(&'static str, Kind)| {
        let schema = match (*name, kind) {
            ("bk_process_id" | "bk_biz_id" | "service_instance_id", _) => Schema::Integer,
            ("create_time" | "last_time", _) => Schema::Time,
            (_, Kind::Server) => Schema::Text,
            (_, Kind::Text(_) | Kind::Needed(_)) => Schema::Text.or_null(),
            (_, Kind::Int(..)) => Schema::Integer.or_null(),
            (_, Kind::Bool) => Schema::Boolean.or_null(),
            (_, Kind::Bind) => bind_schema().list().or_null(),
        };
        Field { name, description: "", schema, always: true }
    };
    Schema::Object(FIELDS.iter().map(field).collect())
}

fn bind_schema() -> Schema {
    Schema::object([
        ("enable", Schema::Boolean.or_null()),
        ("ip", Schema::Text.or_null()),
        ("port", Schema::Text.or_null()),
        ("protocol", Schema::Text.or_null()),
        ("template_row_id", Schema::Integer),
    ])
}

/// The shape of a process's relation in answers.
pub fn relation_schema() -> Schema {
    Schema::object([
        ("bk_biz_id", Schema::Integer),
        ("bk_process_id", Schema::Integer),
        ("service_instance_id", Schema::Integer),
        ("process_template_id", Schema::Integer),
        ("bk_host_id", Schema::Integer),
        ("bk_supplier_account", Schema::Text),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::{Limits, parse};

    fn object(json: &str) -> Object {
        parse(json.as_bytes(), Limits::default()).unwrap().as_object().unwrap().clone()
    }

    fn read(json: &str) -> Result<ProcessDraft, Vec<(Cause, String)>> {
        let mut faults = Vec::new();
        let draft = read_draft(&object(json), &FieldPath::of("p"), &mut faults);
        draft.ok_or_else(|| faults.into_iter().map(|f| (f.cause, f.path.to_string())).collect())
    }

    fn placed(json: &str) -> NewProcess {
        let host = HostAddresses::default();
        let at = Placement {
            business_id: BusinessId(3),
            service_instance_id: ServiceInstanceId(54),
            host_id: HostId(7),
            host: &host,
            time: "2026-11-21T10:00:00.123+08:00",
            user: "ops",
        };
        read(json).unwrap().place(ProcessId(46), &at)
    }

    fn stored(json: &str) -> Object {
        let new = placed(json);
        object(&format!("{{{},{}}}", new.fixed_fields, new.extra_fields))
    }

    const NAMES: &str = r#""bk_func_name":"f","bk_process_name":"n""#;

    fn with(field: &str, value: &str) -> Result<ProcessDraft, Vec<(Cause, String)>> {
        read(&format!("{{{NAMES},\"{field}\":{value}}}"))
    }

    /// An update that changes nothing but one field hands on the others byte for byte.
    #[test]
    fn a_stored_text_is_cut_where_its_values_end() {
        let rows = r#"[{"port":"80","ip":"::","protocol":"1","enable":true},{"template_row_id":-7}]"#;
        let process = placed(&format!(
            r#"{{"bk_func_name":"\"f\\","bk_process_name":",\"user\":","start_cmd":"]}}[{{\"\\\\","stop_cmd":"\n\u0001名",
                "priority":-3,"auto_start":true,"timeout":null,"bind_info":{rows},"auto_time_gap":5,"bk_func_id":"}},"}}"#
        ));
        let stored = StoredProcess::read(process.id, &process.fixed_fields, &process.extra_fields).unwrap();
        assert_eq!((&stored.keys, stored.id), (&process.keys, process.id));
        let document = object(stored.document());
        let read = |place: usize| document.get(FIELDS[place].0).cloned();
        assert!((0..FIELDS.len()).all(|place| Some(stored.value(place)) == read(place)));
        let update = ProcessUpdate::read(&object(r#"{"user":"new"}"#), Unnamed::Kept, &FieldPath::root());
        let stamp = UpdateStamp { time: "later", user: "ops" };
        let after = update.apply(&stored, stamp, &HostAddresses::default(), &mut Vec::new()).unwrap();
        let time = "2026-11-21T10:00:00.123+08:00";
        let fixed = process.fixed_fields.replace(r#""user":"""#, r#""user":"new""#);
        assert_eq!(after.fixed_fields, fixed.replace(&format!(r#""last_time":"{time}""#), r#""last_time":"later""#));
        let updated = format!(r#""bk_updated_at":"{time}","bk_updated_by":null"#);
        let want = process.extra_fields.replace(&updated, r#""bk_updated_at":"later","bk_updated_by":"ops""#);
        assert_eq!(after.extra_fields, want);
    }

    #[test]
    fn a_damaged_text_is_not_read() {
        let process = placed(&format!(r#"{{{NAMES},"bind_info":[{{"port":"80"}}],"bk_func_id":"x"}}"#));
        let is_read = |fixed: &str, extra: &str| StoredProcess::read(process.id, fixed, extra).is_some();
        let (fixed, extra) = (process.fixed_fields.as_str(), process.extra_fields.as_str());
        assert!(is_read(fixed, extra));
        for (from, to) in [
            ("\"proc_num\":", "\"proc\":"),
            ("\"bk_process_name\":\"n\"", "\"bk_process_name\":null"),
            ("\"bk_process_name\":\"n\"", "\"bk_process_name\":n"),
            ("\"bk_start_param_regex\":\"\"", "\"bk_start_param_regex\":nul"),
            ("\"user\":\"\",", ""),
            ("\"user\":\"\"", "\"user\":\""),
            ("[{", "[["),
            ("}]", "}"),
        ] {
            assert!(fixed.contains(from), "{from}");
            assert!(!is_read(&fixed.replace(from, to), extra), "{from} {to}");
        }
        for extra in [
            &extra[..extra.len() - 1],
            &extra.replace("bk_created_by", "by"),
            &extra.replace(",\"bk_func", "\"bk_func"),
            "",
        ] {
            assert!(!is_read(fixed, extra), "{extra}");
        }
        assert!(!is_read("", extra) && !is_read(&fixed[1..], extra));
    }

    #[test]
    fn absent_fields_take_their_defaults() {
        // instances I-12, E50, E55; server-owned keys never take the caller's value: I-13, E40
        let stored = stored(&format!(
            r#"{{{NAMES},"bk_process_id":1,"bk_biz_id":2,"service_instance_id":9,"bk_supplier_account":"x","foo":1,
               "create_time":"x","bk_updated_by":"x","default":5}}"#
        ));
        assert_eq!(stored.len(), 28);
        for (field, want) in [
            ("auto_start", Json::Bool(false)),
            ("bind_info", Json::Null),
            ("bk_biz_id", Json::Int(3)),
            ("bk_created_by", "ops".into()),
            ("bk_process_id", Json::Int(46)),
            ("bk_start_param_regex", "".into()),
            ("bk_supplier_account", "0".into()),
            ("bk_updated_by", Json::Null),
            ("create_time", "2026-11-21T10:00:00.123+08:00".into()),
            ("description", "".into()),
            ("priority", Json::Null),
            ("proc_num", Json::Null),
            ("service_instance_id", Json::Int(54)),
            ("timeout", Json::Null),
            ("user", "".into()),
        ] {
            assert_eq!(stored.get(field), Some(&want), "{field}");
        }
    }

    #[test]
    fn an_explicit_null_stays_null_and_texts_are_trimmed() {
        let stored = stored(
            r#"{"bk_func_name":" f ","bk_process_name":"\tn\n","description":null,"auto_start":null,"user":"  root ",
                "bk_start_param_regex":null,"bk_func_id":"","auto_time_gap":60}"#,
        );
        for (field, want) in [
            ("bk_func_name", "f".into()),
            ("bk_process_name", "n".into()),
            ("description", Json::Null),
            ("auto_start", Json::Null),
            ("bk_start_param_regex", Json::Null),
            ("user", "root".into()),
            ("bk_func_id", "".into()),
            ("auto_time_gap", Json::Int(60)),
        ] {
            assert_eq!(stored.get(field), Some(&want), "{field}");
        }
    }

    /// `instances E19`, `E51` to `E53`.
    #[test]
    fn what_a_field_accepts() {
        let text = |n: usize| format!("\"{}\"", "x".repeat(n));
        for (field, good, bad) in [
            (
                "priority",
                vec!["-100".into(), "10000".into(), "null".into()],
                vec!["-101".into(), "10001".into(), "1.5".to_string()],
            ),
            (
                "proc_num",
                vec!["1".into(), "10000".into()],
                vec!["0".into(), "10001".into(), "\"2\"".into(), "true".into()],
            ),
            ("timeout", vec!["0".into(), "10000".into()], vec!["-1".into(), "10001".into()]),
            ("bk_start_check_secs", vec!["0".into(), "600".into()], vec!["601".into(), "-1".into()]),
            ("description", vec![text(256)], vec![text(257), "1".into(), "[]".into()]),
            ("user", vec![text(256), "\"\"".into()], vec![text(257)]),
            ("start_cmd", vec![text(2000)], vec![text(2001)]),
            ("bk_start_param_regex", vec![text(2000)], vec![text(2001)]),
            (
                "bk_process_name",
                vec![text(256)],
                vec![text(257), "\"\"".into(), "\"  \"".into(), "null".into(), "1".into()],
            ),
            ("bk_func_name", vec![text(256)], vec![text(257), "\"\"".into(), "null".into()]),
            ("auto_start", vec!["true".into(), "null".into()], vec!["1".into(), "\"true\"".into()]),
            ("bk_func_id", vec![text(256)], vec![text(257), "5".into()]),
            ("auto_time_gap", vec!["-5".into()], vec!["\"5\"".into()]),
        ] {
            for value in good {
                assert!(with(field, &value).is_ok(), "{field} {value} is fine");
            }
            for value in bad {
                assert_eq!(
                    with(field, &value),
                    Err(vec![(Cause::ParamUnusable, format!("p.{field}"))]),
                    "{field} {value}"
                );
            }
        }
    }

    #[test]
    fn a_missing_name_is_not_set() {
        // instances E20
        assert_eq!(
            read("{}"),
            Err(vec![(Cause::NotSet, "p.bk_func_name".into()), (Cause::NotSet, "p.bk_process_name".into())])
        );
    }

    #[test]
    fn legacy_ports_count_only_without_bind_info() {
        let ports = |json: &str| stored(json).get("bind_info").unwrap().to_string();
        assert!(ports(&format!(r#"{{{NAMES},"port":"8008,8443","bind_ip":"1"}}"#)).contains("8443"));
        assert_eq!(ports(&format!(r#"{{{NAMES},"port":"nonsense","bind_info":[]}}"#)), "[]");
        assert_eq!(ports(&format!(r#"{{{NAMES},"port":"80","bind_info":null}}"#)), "null");
    }

    /// `instances E22` to `E24`, `E39`, §6.
    #[test]
    fn clashes_within_a_request_and_with_what_is_stored() {
        let keys = |name: &str, func: &str, param: Option<&str>| ProcessKeys {
            name: name.into(),
            func_name: func.into(),
            start_param: param.map(Into::into),
        };
        let draft = |name: &str, func: &str, param: Option<&str>| {
            let param = param.map_or("null".to_string(), |p| format!("\"{p}\""));
            read(&format!(r#"{{"bk_process_name":"{name}","bk_func_name":"{func}","bk_start_param_regex":{param}}}"#))
                .unwrap()
        };
        let check = |existing: &[ProcessKeys], drafts: &[ProcessDraft], want: &[&str]| {
            let mut faults = Vec::new();
            let wanted: Vec<_> = drafts.iter().map(ProcessDraft::keys).collect();
            find_clashes(existing, &wanted, |i, field| FieldPath::of("processes").index(i).field(field), &mut faults);
            assert!(faults.iter().all(|f| f.cause == Cause::Duplicate));
            let paths: Vec<_> = faults.iter().map(|f| f.path.to_string()).collect();
            assert_eq!(paths, want);
        };
        let (a, b) = (draft("a", "f", Some("")), draft("b", "f", None));
        check(&[], &[a.clone(), b.clone()], &[]);
        check(&[], &[a.clone(), a.clone()], &["processes[1].bk_process_name", "processes[1].bk_func_name"]);
        check(&[], &[b.clone(), draft("c", "f", None)], &[]);
        check(&[], &[a.clone(), draft("c", "f", Some(""))], &["processes[1].bk_func_name"]);
        check(&[keys("a", "other", None)], &[b.clone(), a.clone()], &["processes[1].bk_process_name"]);
        check(&[keys("x", "f", Some(""))], &[a.clone(), b.clone()], &["processes[0].bk_func_name"]);
        check(&[keys("A", "F", Some(""))], std::slice::from_ref(&a), &[]);
    }
}
