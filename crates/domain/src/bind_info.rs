//! The ports a process binds: rows of address, port, protocol and whether the row is in use (`instances` 4.2, §5).

use crate::fault::{Cause, Fault, Reason, quoted};
use crate::json::{FieldPath, Json, JsonWriter, Object};
use crate::query_filter::Shape;
use std::collections::HashSet;

/// One row, all five cells. `None` is a stored null: the cell was not sent.
#[derive(Debug, Clone, PartialEq)]
pub struct BindRow {
    pub enable: Option<bool>,
    pub ip: BindIp,
    pub port: Option<PortRange>,
    pub protocol: Option<Protocol>,
    /// The row of the template it was made from; without meaning on a process that has none.
    pub template_row_id: i64,
}

/// Where the address of a row comes from.
#[derive(Debug, Clone, PartialEq)]
pub enum BindIp {
    /// The caller's text, or null.
    Given(Option<String>),
    /// An address of the host, taken when the process is made.
    OfHost(HostAddress),
}

impl BindIp {
    /// What a code of templates and of older releases stands for.
    pub fn of_code(code: &str) -> Option<Self> {
        Some(match code {
            "1" => Self::Given(Some("127.0.0.1".into())),
            "2" => Self::Given(Some("0.0.0.0".into())),
            "3" => Self::OfHost(HostAddress::InnerV4),
            "4" => Self::OfHost(HostAddress::OuterV4),
            "5" => Self::Given(Some("::1".into())),
            "6" => Self::Given(Some("::".into())),
            "7" => Self::OfHost(HostAddress::InnerV6),
            "8" => Self::OfHost(HostAddress::OuterV6),
            _ => return None,
        })
    }

    /// The address on a host; `None` is null.
    pub fn on<'a>(&'a self, host: &'a HostAddresses) -> Option<&'a str> {
        match self {
            Self::Given(ip) => ip.as_deref(),
            Self::OfHost(which) => Some(host.first(*which)),
        }
    }
}

/// The addresses of a host that a row can name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostAddress {
    InnerV4,
    OuterV4,
    InnerV6,
    OuterV6,
}

/// The stored address texts of a host, comma-joined where there are several, empty where there is none.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct HostAddresses {
    pub inner_v4: String,
    pub outer_v4: String,
    pub inner_v6: String,
    pub outer_v6: String,
}

/// Of a host without any address.
pub static NO_ADDRESSES: HostAddresses = HostAddresses {
    inner_v4: String::new(),
    outer_v4: String::new(),
    inner_v6: String::new(),
    outer_v6: String::new(),
};

impl HostAddresses {
    /// The first address of a kind, or "".
    fn first(&self, which: HostAddress) -> &str {
        let all = match which {
            HostAddress::InnerV4 => &self.inner_v4,
            HostAddress::OuterV4 => &self.outer_v4,
            HostAddress::InnerV6 => &self.inner_v6,
            HostAddress::OuterV6 => &self.outer_v6,
        };
        all.split(',').map(str::trim).find(|address| !address.is_empty()).unwrap_or_default()
    }

    /// The text that begins the name of a service instance: all inner IPv4 addresses, else all inner IPv6 ones.
    pub fn name_prefix(&self) -> &str {
        if self.inner_v4.is_empty() { &self.inner_v6 } else { &self.inner_v4 }
    }
}

/// One port, or one range of ports `A-B` with A ≤ B, without leading zeros. Rows made from a template may hold several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortRange {
    text: String,
}

impl PortRange {
    /// Reads a port cell.
    pub fn parse(text: &str) -> Result<Self, Reason> {
        let wrong = || Reason::PortSyntax { value: quoted(text) };
        let (first, last) = match text.split_once('-') {
            None => (text, None),
            Some((first, last)) => (first, Some(last)),
        };
        let first = port(first).ok_or_else(wrong)?;
        if let Some(last) = last
            && port(last).ok_or_else(wrong)? < first
        {
            return Err(Reason::PortOrder { value: quoted(text) });
        }
        Ok(Self { text: text.to_owned() })
    }

    /// Reads the ports of a template's row, of which there may be several: ports and ranges, separated by commas, none twice.
    pub fn parse_list(text: &str) -> Result<Self, Reason> {
        let mut ranges = Vec::new();
        for piece in text.split(',') {
            Self::parse(piece)?;
            let (first, last) = piece.split_once('-').unwrap_or((piece, piece));
            ranges.push((port(first), port(last)));
        }
        ranges.sort_unstable();
        if ranges.windows(2).any(|pair| pair[1].0 <= pair[0].1) {
            return Err(Reason::PortOverlap { value: quoted(text) });
        }
        Ok(Self { text: text.to_owned() })
    }

    /// The text form.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

fn port(digits: &str) -> Option<u16> {
    let plain = !digits.is_empty() && !digits.starts_with('0') && digits.bytes().all(|b| b.is_ascii_digit());
    if plain { digits.parse().ok() } else { None }
}

/// What a port speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    Tcp,
    Udp,
    Tcp6,
    Udp6,
}

impl Protocol {
    /// Reads the id on the wire.
    pub fn parse(id: &str) -> Option<Self> {
        Some(match id {
            "1" => Self::Tcp,
            "2" => Self::Udp,
            "3" => Self::Tcp6,
            "4" => Self::Udp6,
            _ => return None,
        })
    }

    /// The id on the wire.
    pub fn wire(self) -> &'static str {
        match self {
            Self::Tcp => "1",
            Self::Udp => "2",
            Self::Tcp6 => "3",
            Self::Udp6 => "4",
        }
    }
}

/// The most rows of a process: three bytes of a request become a row of ninety bytes in three stored places.
pub const MAX_ROWS: usize = 1000;

pub(crate) const PROTOCOLS: &str = "1 (TCP), 2 (UDP), 3 (TCP6), 4 (UDP6)";

/// Reads `bind_info` as sent: a list of rows, one row as an object (the tables of the documents say so), or null.
pub fn read_rows(value: &Json, at: &FieldPath, faults: &mut Vec<Fault>) -> Option<Vec<BindRow>> {
    match value {
        Json::Null => None,
        Json::Object(row) => Some(read_row(row.iter(), at, faults).into_iter().collect()),
        Json::List(rows) if rows.len() > MAX_ROWS => {
            faults.push(unusable(at.clone(), Reason::TooMany { max: MAX_ROWS }));
            None
        }
        Json::List(rows) => {
            let mut read = Vec::with_capacity(rows.len());
            for (i, row) in rows.iter().enumerate() {
                let at = at.index(i);
                match row {
                    Json::Object(row) => read.extend(read_row(row.iter(), &at, faults)),
                    _ => faults.push(unusable(at, Reason::NeedsObject)),
                }
            }
            Some(read)
        }
        _ => {
            faults.push(unusable(at.clone(), Reason::NeedsRows));
            None
        }
    }
}

pub(crate) fn unusable(at: FieldPath, reason: Reason) -> Fault {
    Fault::new(Cause::ParamUnusable, at).because(reason)
}

/// A row: a missing key is stored as null, a key sent as null is refused where the cell needs a value (`instances` E44 to E49).
fn read_row<'a>(
    row: impl Iterator<Item = (&'a str, &'a Json)>,
    at: &FieldPath,
    faults: &mut Vec<Fault>,
) -> Option<BindRow> {
    let before = faults.len();
    let mut read = BindRow { enable: None, ip: BindIp::Given(None), port: None, protocol: None, template_row_id: 0 };
    let (mut template_row_id, mut row_id) = (None, None);
    for (key, cell) in row {
        let mut wrong = |reason| faults.push(unusable(at.field(key), reason));
        match (key, cell) {
            ("enable", Json::Bool(flag)) => read.enable = Some(*flag),
            ("enable", Json::Null) => wrong(Reason::Blank),
            ("enable", _) => wrong(Reason::NeedsBool),
            ("ip", Json::Null) => {}
            ("ip", Json::Text(text)) => match text.trim() {
                ip if ip.is_empty() || is_ip(ip) => read.ip = BindIp::Given(Some(ip.to_owned())),
                ip => wrong(Reason::IpSyntax { value: quoted(ip) }),
            },
            ("ip", _) => wrong(Reason::NeedsText),
            ("port", Json::Text(text)) => match PortRange::parse(text.trim()) {
                Ok(port) => read.port = Some(port),
                Err(_) if text.trim().is_empty() => wrong(Reason::Blank),
                Err(reason) => wrong(reason),
            },
            ("port" | "protocol", Json::Null) => wrong(Reason::Blank),
            ("port", _) => wrong(Reason::NeedsText),
            ("protocol", Json::Text(text)) => match Protocol::parse(text.trim()) {
                Some(protocol) => read.protocol = Some(protocol),
                None => wrong(Reason::NoChoice { value: quoted(text), choices: PROTOCOLS }),
            },
            ("protocol", _) => wrong(Reason::NeedsText),
            ("template_row_id", Json::Int(id)) => template_row_id = Some(*id),
            ("row_id", Json::Int(id)) => row_id = Some(*id),
            ("template_row_id" | "row_id", Json::Null) => {}
            ("template_row_id" | "row_id", _) => wrong(Reason::NeedsInteger),
            _ => wrong(Reason::UnknownKey),
        }
    }
    if let (Some(one), Some(other)) = (template_row_id, row_id)
        && one != other
    {
        faults.push(unusable(at.field("row_id"), Reason::RowIdsDiffer));
    }
    read.template_row_id = template_row_id.or(row_id).unwrap_or(0);
    (faults.len() == before).then_some(read)
}

/// What filters find in the cells of a stored row.
pub fn cell_shape(cell: &str) -> Option<Shape> {
    match cell {
        "ip" | "port" | "protocol" => Some(Shape::Text),
        "enable" => Some(Shape::Bool),
        "template_row_id" => Some(Shape::Int),
        _ => None,
    }
}

/// The cells of a row in the order in which they are stored.
pub(crate) const CELLS: [&str; 5] = ["enable", "ip", "port", "protocol", "template_row_id"];

/// The cells that need a value on a new row.
pub(crate) const NEEDED_CELLS: [usize; 3] = [0, 2, 3];

/// Where a row names its row of the template.
pub(crate) const ROW_ID: usize = 4;

/// The values of a row, by the places of [`CELLS`].
pub(crate) type Cells = [Json; 5];

/// The cells of a row as they are stored: texts trimmed, null where there is none, 0 for no id. Other keys are left out.
pub(crate) fn cells(row: &Object) -> Cells {
    CELLS.map(|cell| {
        let sent = match (cell, row.get_ignoring_case(cell)) {
            ("template_row_id", None | Some((_, Json::Null))) => row.get_ignoring_case("row_id"),
            (_, sent) => sent,
        };
        match (cell, sent) {
            (_, Some((_, Json::Text(text)))) => text.trim().into(),
            ("template_row_id", None | Some((_, Json::Null))) => Json::Int(0),
            (_, None) => Json::Null,
            (_, Some((_, value))) => value.clone(),
        }
    })
}

/// A row of an update before it is known what is stored: a row that stays as it is is fine whatever today's rules say, so that data
/// from elsewhere stays writable (`design` §4).
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SentRow {
    pub(crate) at: FieldPath,
    pub(crate) cells: Cells,
    /// What is wrong with it, if it is not stored like this already.
    pub(crate) faults: Vec<Fault>,
}

impl SentRow {
    /// The cells that need a value on a new row and have none.
    fn blank_cells(&self) -> impl Iterator<Item = usize> {
        NEEDED_CELLS.into_iter().filter(|cell| self.cells[*cell] == Json::Null)
    }
}

/// The rows of an update, their types checked.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SentRows {
    pub(crate) rows: Vec<SentRow>,
    /// There were more than [`MAX_ROWS`], and none was read.
    pub(crate) too_many: Option<Fault>,
}

impl SentRows {
    /// Reads `bind_info` of an update; `None` for null. Unlike [`read_rows`] it ignores keys that mean nothing (`instances` §5).
    pub fn read(value: &Json, at: &FieldPath, mistyped: &mut Vec<Fault>) -> Option<Self> {
        let rows = match value {
            Json::Null => return None,
            Json::Object(row) => vec![(at.clone(), Some(row))],
            Json::List(rows) if rows.len() > MAX_ROWS => {
                let too_many = unusable(at.clone(), Reason::TooMany { max: MAX_ROWS });
                return Some(Self { rows: Vec::new(), too_many: Some(too_many) });
            }
            Json::List(rows) => rows.iter().enumerate().map(|(i, row)| (at.index(i), row.as_object())).collect(),
            _ => {
                mistyped.push(Fault::new(Cause::BodyUndecodable, at.clone()).because(Reason::NeedsRows));
                return Some(Self::default());
            }
        };
        let mut read = Vec::with_capacity(rows.len());
        for (at, row) in rows {
            let Some(row) = row else {
                mistyped.push(Fault::new(Cause::BodyUndecodable, at).because(Reason::NeedsObject));
                continue;
            };
            let known = CELLS.iter().chain(&["row_id"]);
            let sent = known.filter_map(|cell| Some((*cell, row.get_ignoring_case(cell)?.1)));
            let mut faults = Vec::new();
            read_row(sent.filter(|(_, value)| **value != Json::Null), &at, &mut faults);
            let (of_types, faults): (Vec<_>, _) = faults.into_iter().partition(Fault::is_about_type);
            mistyped.extend(of_types.into_iter().map(|fault| Fault { cause: Cause::BodyUndecodable, ..fault }));
            read.push(SentRow { at, cells: cells(row), faults });
        }
        Some(Self { rows: read, too_many: None })
    }

    /// Writes the rows as they are stored, unless one is at fault: a new or changed row has to follow the rules, but that a cell
    /// may stay null where it is. What is stored is only looked at when it decides something.
    pub fn write(&self, out: &mut JsonWriter, stored: impl FnOnce() -> Json, faults: &mut Vec<Fault>) {
        out.raw("[");
        for row in &self.rows {
            out.separate().raw(&row_text(&row.cells));
        }
        out.raw("]");
        faults.extend(self.too_many.clone());
        let is_good = |row: &SentRow| row.faults.is_empty() && row.blank_cells().next().is_none();
        if self.rows.iter().all(is_good) {
            return;
        }
        let stored = stored_cells(Some(&stored()));
        // By their texts: a caller may send very many rows.
        let known: HashSet<String> = stored.iter().map(row_text).collect();
        for (i, row) in self.rows.iter().enumerate().filter(|(_, row)| !known.contains(&row_text(&row.cells))) {
            faults.extend(row.faults.iter().cloned());
            let was_null = |cell: usize| stored.get(i).is_some_and(|stored| stored[cell] == Json::Null);
            let blank = row.blank_cells().filter(|cell| !was_null(*cell));
            faults.extend(blank.map(|cell| unusable(row.at.field(CELLS[cell]), Reason::Blank)));
        }
    }
}

/// The rows of a stored process.
pub(crate) fn stored_cells(bind_info: Option<&Json>) -> Vec<Cells> {
    let rows = bind_info.and_then(Json::as_list).unwrap_or_default();
    rows.iter().filter_map(Json::as_object).map(cells).collect()
}

/// A row as it is stored.
pub(crate) fn row_text(cells: &Cells) -> String {
    let mut out = JsonWriter::with_capacity(96);
    out.raw("{");
    for (cell, value) in CELLS.iter().zip(cells) {
        out.field(cell).value(value);
    }
    out.raw("}");
    out.finish()
}

/// As long as any text attribute may be (`instances` 4.1): two bytes of this text become a row of ninety in three stored places.
const MAX_LEGACY_PORTS: usize = 2000;

/// The fields that described ports before `bind_info` existed (`design` §4): one row per comma-separated piece of `port`.
pub fn read_legacy(record: &Object, at: &FieldPath, faults: &mut Vec<Fault>) -> Option<Vec<BindRow>> {
    let mut wrong = |field: &str, reason| {
        faults.push(unusable(at.field(field), reason));
        None
    };
    let ports = match record.get("port") {
        None | Some(Json::Null) => return None,
        Some(Json::Text(ports)) if ports.trim().is_empty() => return None,
        Some(Json::Text(ports)) if ports.len() > MAX_LEGACY_PORTS => {
            return wrong("port", Reason::TooLong { max_bytes: MAX_LEGACY_PORTS });
        }
        Some(Json::Text(ports)) => ports,
        Some(_) => return wrong("port", Reason::NeedsText),
    };
    let ip = match record.get("bind_ip") {
        None | Some(Json::Null) => BindIp::Given(None),
        Some(Json::Text(text)) => match text.trim() {
            code if BindIp::of_code(code).is_some() => BindIp::of_code(code).unwrap_or(BindIp::Given(None)),
            ip if ip.is_empty() || is_ip(ip) => BindIp::Given(Some(ip.to_owned())),
            ip => return wrong("bind_ip", Reason::IpSyntax { value: quoted(ip) }),
        },
        Some(_) => return wrong("bind_ip", Reason::NeedsText),
    };
    let protocol = match record.get("protocol") {
        None | Some(Json::Null) => Protocol::Tcp,
        Some(Json::Text(text)) => match Protocol::parse(text.trim()) {
            Some(protocol) => protocol,
            None if text.trim().is_empty() => Protocol::Tcp,
            None => {
                return wrong("protocol", Reason::NoChoice { value: quoted(text), choices: PROTOCOLS });
            }
        },
        Some(_) => return wrong("protocol", Reason::NeedsText),
    };
    let enable = match record.get("bk_enable_port") {
        None | Some(Json::Null) => true,
        Some(Json::Bool(flag)) => *flag,
        Some(_) => return wrong("bk_enable_port", Reason::NeedsBool),
    };
    let mut rows = Vec::new();
    for (piece, template_row_id) in ports.split(',').zip(1..) {
        match PortRange::parse(piece.trim()) {
            Ok(port) => rows.push(BindRow {
                enable: Some(enable),
                ip: ip.clone(),
                port: Some(port),
                protocol: Some(protocol),
                template_row_id,
            }),
            Err(reason) => return wrong("port", reason),
        }
    }
    Some(rows)
}

impl BindRow {
    /// The row on a host.
    pub(crate) fn cells(&self, host: &HostAddresses) -> Cells {
        let text = |text: Option<&str>| text.map_or(Json::Null, Json::from);
        [
            self.enable.map_or(Json::Null, Json::Bool),
            text(self.ip.on(host)),
            text(self.port.as_ref().map(PortRange::as_str)),
            text(self.protocol.map(Protocol::wire)),
            Json::Int(self.template_row_id),
        ]
    }
}

/// Whether a row takes its address from the host.
pub fn needs_host(rows: &[BindRow]) -> bool {
    rows.iter().any(|row| matches!(row.ip, BindIp::OfHost(_)))
}

/// The rows as the JSON text that is stored and answered.
pub fn write_rows(out: &mut JsonWriter, rows: Option<&[BindRow]>, host: &HostAddresses) {
    let Some(rows) = rows else {
        out.raw("null");
        return;
    };
    out.raw("[");
    for row in rows {
        out.separate().raw("{\"enable\":");
        out.raw(match row.enable {
            None => "null",
            Some(true) => "true",
            Some(false) => "false",
        });
        out.raw(",\"ip\":");
        match row.ip.on(host) {
            None => out.raw("null"),
            Some(ip) => out.text(ip),
        };
        out.raw(",\"port\":");
        match &row.port {
            None => out.raw("null"),
            Some(port) => out.text(port.as_str()),
        };
        out.raw(",\"protocol\":");
        match row.protocol {
            None => out.raw("null"),
            Some(protocol) => out.text(protocol.wire()),
        };
        out.raw(",\"template_row_id\":").int(row.template_row_id).raw("}");
    }
    out.raw("]");
}

fn is_ip(text: &str) -> bool {
    crate::address::is_bind_ip(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::{Limits, parse};

    fn read(json: &str) -> Result<String, Vec<String>> {
        let value = parse(json.as_bytes(), Limits::default()).unwrap();
        let mut faults = Vec::new();
        let rows = read_rows(&value, &FieldPath::of("bind_info"), &mut faults);
        if !faults.is_empty() {
            assert!(faults.iter().all(|f| f.cause == Cause::ParamUnusable));
            return Err(faults.iter().map(|f| f.path.to_string()).collect());
        }
        let mut out = JsonWriter::default();
        write_rows(&mut out, rows.as_deref(), &HostAddresses::default());
        Ok(out.finish())
    }

    fn accepts_cell(key: &str, cell: &str) -> bool {
        let mut cells = vec![("enable", "true"), ("ip", "\"127.0.0.1\""), ("port", "\"80\""), ("protocol", "\"1\"")];
        cells.retain(|(k, _)| *k != key);
        let row: Vec<_> = cells.iter().map(|(k, v)| format!("\"{k}\":{v}")).collect();
        match read(&format!("[{{{},\"{key}\":{cell}}}]", row.join(","))) {
            Ok(_) => true,
            Err(paths) => {
                assert_eq!(paths, [format!("bind_info[0].{key}")], "{key} {cell}");
                false
            }
        }
    }

    /// `instances E43` to `E49`, and the recordings of the original.
    #[test]
    fn which_cells_are_accepted() {
        for (key, good, bad) in [
            (
                "port",
                r#""80"|"65535"|"8080-8090"|" 80"|"80-80""#,
                r#""8090-8080"|"8080,8081"|80|"0"|"080"|"65536"|""|null|"-1"|"abc"|"1-2-3"|"80-"|"+80"|"8 0""#,
            ),
            ("protocol", r#""1"|"2"|"3"|"4"|" 1""#, r#"1|"5"|""|null|"tcp"|"0""#),
            (
                "ip",
                r#"""|null|"::1"|"0.0.0.0"|"fe80::1%eth0"|"::ffff:1.2.3.4""#,
                r#""localhost"|"256.1.1.1"|"001.2.3.4"|"1.2.3.4,5.6.7.8"|1|true"#,
            ),
            ("enable", "true|false", r#"null|"true"|1"#),
            ("template_row_id", "0|1|-1|1234|null", r#""1"|1.5"#),
            ("row_id", "5|null", r#""1""#),
        ] {
            for cell in good.split('|') {
                assert!(accepts_cell(key, cell), "{key} {cell} is fine");
            }
            for cell in bad.split('|') {
                assert!(!accepts_cell(key, cell), "{key} {cell} is wrong");
            }
        }
        assert!(!accepts_cell("nope", "1"));
    }

    #[test]
    fn shapes_of_the_whole_value() {
        let full = r#"{"enable":true,"ip":"127.0.0.1","port":"80","protocol":"1","template_row_id":0}"#;
        let nulls = r#"{"enable":null,"ip":null,"port":null,"protocol":null,"template_row_id":0}"#;
        for (sent, want) in [
            ("null", Ok("null".to_string())),
            ("[]", Ok("[]".to_string())),
            ("{}", Ok(format!("[{nulls}]"))),
            ("[{}]", Ok(format!("[{nulls}]"))),
            (full, Ok(format!("[{full}]"))),
            ("\"x\"", Err(vec!["bind_info".to_string()])),
            ("7", Err(vec!["bind_info".to_string()])),
            ("[null]", Err(vec!["bind_info[0]".to_string()])),
            ("[{},\"x\",{\"port\":\"a\"}]", Err(vec!["bind_info[1]".to_string(), "bind_info[2].port".to_string()])),
        ] {
            assert_eq!(read(sent), want, "{sent}");
        }
    }

    #[test]
    fn row_id_is_another_name_of_template_row_id() {
        assert!(read(r#"[{"row_id":7}]"#).unwrap().contains(r#""template_row_id":7"#));
        assert!(read(r#"[{"row_id":7,"template_row_id":7}]"#).is_ok());
        assert_eq!(read(r#"[{"row_id":7,"template_row_id":8}]"#), Err(vec!["bind_info[0].row_id".to_string()]));
    }

    #[test]
    fn legacy_fields_become_rows() {
        let legacy = |json: &str| {
            let record = parse(json.as_bytes(), Limits::default()).unwrap();
            let (mut faults, mut out) = (Vec::new(), JsonWriter::default());
            let rows = read_legacy(record.as_object().unwrap(), &FieldPath::of("process_info"), &mut faults);
            let host = HostAddresses { inner_v4: "10.0.0.1,10.0.0.2".into(), ..HostAddresses::default() };
            write_rows(&mut out, rows.as_deref(), &host);
            match faults.first() {
                Some(fault) => Err(fault.path.to_string()),
                None => Ok(out.finish()),
            }
        };
        let row = |ip: &str, port: &str, enable: bool, id: i64| {
            format!(r#"{{"enable":{enable},"ip":"{ip}","port":"{port}","protocol":"1","template_row_id":{id}}}"#)
        };
        let two = format!("[{},{}]", row("127.0.0.1", "8008", true, 1), row("127.0.0.1", "8443", true, 2));
        assert_eq!(legacy(r#"{"bind_ip":"1","port":"8008,8443","protocol":"1"}"#), Ok(two));
        let off = format!("[{}]", row("10.0.0.1", "80-90", false, 1));
        assert_eq!(legacy(r#"{"bind_ip":"3","port":"80-90","bk_enable_port":false}"#), Ok(off));
        assert_eq!(legacy(r#"{"bind_ip":"1","port":""}"#), Ok("null".into()));
        assert_eq!(legacy(r#"{"bind_ip":"1"}"#), Ok("null".into()));
        assert_eq!(legacy(r#"{"port":"80,x"}"#), Err("process_info.port".into()));
        assert_eq!(legacy(r#"{"port":"80,,81"}"#), Err("process_info.port".into()));
        let many = |n: usize| legacy(&format!(r#"{{"port":"{}"}}"#, vec!["123"; n].join(",")));
        assert!(many(500).is_ok());
        assert_eq!(many(501), Err("process_info.port".into()));
        assert_eq!(legacy(r#"{"port":"80","bind_ip":"nowhere"}"#), Err("process_info.bind_ip".into()));
        assert_eq!(legacy(r#"{"port":"80","protocol":"9"}"#), Err("process_info.protocol".into()));
    }
}
