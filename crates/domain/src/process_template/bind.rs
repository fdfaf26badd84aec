//! The ports of a process template: rows whose cells are locked one by one (`templates` 7.2).

use super::{BoolSetting, Setting, TextSetting, write_lock};
use crate::bind_info::{BindIp, BindRow, HostAddress, MAX_ROWS, PROTOCOLS, PortRange, Protocol};
use crate::fault::{Cause, Fault, Reason, quoted};
use crate::json::{FieldPath, Json, JsonWriter};
use crate::wire_input;
use std::collections::HashSet;

pub(super) const FIELD: &str = "bind_info";

/// The highest id a caller may give a row.
const MAX_ROW_ID: i64 = i32::MAX as i64;
/// The longest text of ports in a row, and of all rows of a template together: every process of the template has a copy.
const MAX_PORT_BYTES: usize = 2000;
const MAX_PORTS_BYTES: usize = 20_000;

const ADDRESSES: &str =
    "1 (127.0.0.1), 2 (0.0.0.0), 3 (inner IPv4), 4 (outer IPv4), 5 (::1), 6 (::), 7 (inner IPv6), 8 (outer IPv6)";

/// The rows of a template.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct BindSetting {
    pub(super) rows: Vec<TemplateRow>,
    /// Without rows: there is an empty list on the wire, not null.
    is_list: bool,
    /// The lock around all rows. It says nothing of itself: what processes keep follows from the locks of the cells.
    lock: Option<bool>,
    /// The highest row id that was ever given.
    pub(super) last_row_id: i64,
}

/// One row.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct TemplateRow {
    pub(super) row_id: i64,
    pub(super) enable: Setting,
    pub(super) ip: Setting,
    pub(super) port: Setting,
    pub(super) protocol: Setting,
}

wire_input! {
    /// The ports and the lock around them.
    pub struct BindSettingIn {
        /// The rows.
        pub value: Option<Vec<TemplateRowIn>> = "value",
        /// Kept as sent; what processes keep follows from the locks of the cells.
        pub lock: Option<bool> = "as_default_value",
    }
}

wire_input! {
    /// A row of ports.
    pub struct TemplateRowIn {
        /// Which row it is; 0 or missing: a new one.
        pub row_id: i64 = "row_id",
        /// 1 127.0.0.1, 2 0.0.0.0, 3 inner IPv4, 4 outer IPv4, 5 ::1, 6 ::, 7 inner IPv6, 8 outer IPv6; empty: none.
        pub ip: TextSetting = "ip",
        /// Ports and ranges such as 80,8000-8010.
        pub port: TextSetting = "port",
        /// 1 TCP, 2 UDP, 3 TCP6, 4 UDP6.
        pub protocol: TextSetting = "protocol",
        /// Whether the ports are in use.
        pub enable: BoolSetting = "enable",
    }
}

impl BindSettingIn {
    /// No rows.
    pub(super) const NONE: BindSettingIn = BindSettingIn { value: None, lock: None };
}

impl TemplateRowIn {
    fn into_row(self) -> TemplateRow {
        TemplateRow {
            row_id: self.row_id,
            enable: self.enable.into(),
            ip: self.ip.into(),
            port: self.port.into(),
            protocol: self.protocol.into(),
        }
    }
}

impl BindSetting {
    /// What is stored.
    pub(super) fn stored(stored: BindSettingIn, last_row_id: i64) -> Self {
        let is_list = stored.value.is_some();
        let rows = stored.value.unwrap_or_default().into_iter().map(TemplateRowIn::into_row).collect();
        Self { rows, is_list, lock: stored.lock, last_row_id }
    }

    /// The rows of a request in the place of these. New rows get ids that no row of the template has had.
    pub(super) fn replaced(&self, sent: &BindSettingIn, at: &FieldPath, faults: &mut Vec<Fault>) -> Self {
        let at = at.field("value");
        let given = sent.value.as_deref().unwrap_or_default();
        let mut replaced = Self { rows: Vec::new(), is_list: sent.value.is_some(), lock: sent.lock, ..*self };
        if given.len() > MAX_ROWS {
            faults.push(Fault::new(Cause::ParamInvalid, at).because(Reason::TooMany { max: MAX_ROWS }));
            return replaced;
        }
        let mut seen = HashSet::new();
        let rows_at = at.clone();
        for (i, row) in given.iter().enumerate() {
            let at = at.index(i);
            let mut row = row.clone().into_row();
            row.check(&at, faults);
            if !(0..=MAX_ROW_ID).contains(&row.row_id) {
                let range = Reason::Range { min: 0, max: MAX_ROW_ID };
                faults.push(Fault::new(Cause::ParamInvalid, at.field("row_id")).because(range));
            } else if row.row_id > 0 && !seen.insert(row.row_id) {
                let reason = Reason::Taken { value: row.row_id.to_string() };
                faults.push(Fault::new(Cause::ParamInvalid, at.field("row_id")).because(reason));
            }
            replaced.rows.push(row);
        }
        let highest = replaced.rows.iter().map(|row| row.row_id).max().unwrap_or_default();
        replaced.last_row_id = self.last_row_id.max(highest);
        for (i, row) in replaced.rows.iter_mut().enumerate().filter(|(_, row)| row.row_id == 0) {
            if replaced.last_row_id >= MAX_ROW_ID {
                // A caller may choose one that is free.
                let range = Reason::Range { min: 1, max: MAX_ROW_ID };
                faults.push(Fault::new(Cause::ParamInvalid, rows_at.index(i).field("row_id")).because(range));
                continue;
            }
            replaced.last_row_id += 1;
            row.row_id = replaced.last_row_id;
        }
        let ports = replaced.rows.iter().filter_map(|row| row.port.value.as_text()).map(str::len);
        if ports.sum::<usize>() > MAX_PORTS_BYTES {
            let reason = Reason::TooLong { max_bytes: MAX_PORTS_BYTES };
            faults.push(Fault::new(Cause::ParamInvalid, rows_at).because(reason));
        }
        replaced
    }

    pub(super) fn write(&self, out: &mut JsonWriter) {
        out.raw("{").key("value");
        if self.is_list {
            out.raw("[");
            for row in &self.rows {
                out.separate();
                row.write(out);
            }
            out.raw("]");
        } else {
            out.raw("null");
        }
        write_lock(out, self.lock);
    }
}

impl TemplateRow {
    /// Takes the blanks off the texts and says what is wrong with them.
    fn check(&mut self, at: &FieldPath, faults: &mut Vec<Fault>) {
        for setting in [&mut self.ip, &mut self.port, &mut self.protocol] {
            if let Json::Text(text) = &setting.value {
                setting.value = text.trim().into();
            }
        }
        let before = faults.len();
        let mut wrong = |cell: &str, reason| {
            faults.push(Fault::new(Cause::ParamInvalid, at.field(cell)).because(reason));
        };
        let ip = self.ip.value.as_text().unwrap_or_default();
        if !ip.is_empty() && BindIp::of_code(ip).is_none() {
            wrong("ip", Reason::NoChoice { value: quoted(ip), choices: ADDRESSES });
        }
        match self.port.value.as_text() {
            None | Some("") => wrong("port", Reason::Blank),
            Some(ports) => {
                if ports.len() > MAX_PORT_BYTES {
                    wrong("port", Reason::TooLong { max_bytes: MAX_PORT_BYTES });
                } else if let Err(reason) = PortRange::parse_list(ports) {
                    wrong("port", reason);
                }
            }
        }
        match self.protocol.value.as_text() {
            None | Some("") => wrong("protocol", Reason::Blank),
            Some(id) if Protocol::parse(id).is_none() => {
                wrong("protocol", Reason::NoChoice { value: quoted(id), choices: PROTOCOLS });
            }
            Some(_) => {}
        }
        let is_ip_v6 = matches!(ip, "5" | "6" | "7" | "8");
        let is_protocol_v6 = matches!(self.protocol.value.as_text(), Some("3" | "4"));
        if faults.len() == before && !ip.is_empty() && is_ip_v6 != is_protocol_v6 {
            let fault = Fault::new(Cause::ParamInvalid, at.field("ip")).because(Reason::FamilyMismatch);
            faults.push(fault.named(format!("{at}.(ip and protocol)")));
        }
    }

    /// The row of a process that has none yet.
    pub(super) fn fresh(&self) -> BindRow {
        let text = |setting: &Setting| setting.value.as_text().map(str::to_owned);
        let ip = self.ip.value.as_text().unwrap_or_default();
        BindRow {
            enable: Some(self.enable.value == Json::Bool(true)),
            ip: BindIp::of_code(ip).unwrap_or(BindIp::Given(Some(String::new()))),
            port: text(&self.port).and_then(|ports| PortRange::parse_list(&ports).ok()),
            protocol: text(&self.protocol).and_then(|id| Protocol::parse(&id)),
            template_row_id: self.row_id,
        }
    }

    /// The address of the host that processes have to keep in the row, if it is locked to one.
    pub(super) fn locked_address(&self) -> Option<HostAddress> {
        match BindIp::of_code(self.ip.value.as_text().unwrap_or_default()) {
            Some(BindIp::OfHost(which)) if self.ip.is_locked() => Some(which),
            _ => None,
        }
    }

    /// Whether a cell is locked, by the places of the cells of stored rows.
    pub(super) fn is_locked(&self, cell: usize) -> bool {
        [&self.enable, &self.ip, &self.port, &self.protocol].get(cell).is_none_or(|setting| setting.is_locked())
    }

    fn write(&self, out: &mut JsonWriter) {
        out.raw("{").key("row_id").int(self.row_id);
        for (cell, setting) in
            [("ip", &self.ip), ("port", &self.port), ("protocol", &self.protocol), ("enable", &self.enable)]
        {
            out.key(cell);
            setting.write(out);
        }
        out.raw("}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::{Decoder, Limits, parse};

    const NO_ROWS: BindSetting = BindSetting { rows: Vec::new(), is_list: true, lock: Some(true), last_row_id: 0 };

    /// Rows as a caller sends them, in the place of the template's.
    fn replace(stored: &BindSetting, rows: Vec<(i64, String)>) -> Result<BindSetting, Vec<String>> {
        let row = |(id, ports): (i64, String)| {
            format!(r#"{{"row_id":{id},"ip":{{}},"port":{{"value":"{ports}"}},"protocol":{{"value":"1"}}}}"#)
        };
        let rows: Vec<_> = rows.into_iter().map(row).collect();
        let json = parse(format!(r#"{{"value":[{}]}}"#, rows.join(",")).as_bytes(), Limits::default()).unwrap();
        let sent = Decoder::decode(json, false).unwrap();
        let mut faults = Vec::new();
        let replaced = stored.replaced(&sent, &"bind_info".into(), &mut faults);
        if faults.is_empty() { Ok(replaced) } else { Err(faults.iter().map(|it| it.path.to_string()).collect()) }
    }

    #[test]
    fn what_a_template_answers_can_be_sent_back() {
        let made = replace(&NO_ROWS, vec![(MAX_ROW_ID - 1, "1".into()), (0, "2".into())]).unwrap();
        let ids: Vec<_> = made.rows.iter().map(|row| row.row_id).collect();
        assert_eq!(ids, [MAX_ROW_ID - 1, MAX_ROW_ID]);
        let back = || made.rows.iter().map(|row| (row.row_id, "1".to_owned())).collect::<Vec<_>>();
        assert_eq!(replace(&made, back()).unwrap().rows.len(), 2);
        // There is no number left to give. One that is free can be chosen.
        let more = |id| back().into_iter().chain([(id, "3".to_owned())]).collect();
        assert_eq!(replace(&made, more(0)).unwrap_err(), ["bind_info.value[2].row_id"]);
        assert_eq!(replace(&made, more(5)).unwrap().rows.len(), 3);
    }

    #[test]
    fn ports_have_an_end() {
        let ports = |count: usize| (10_000..10_000 + count).map(|port| port.to_string()).collect::<Vec<_>>().join(",");
        let (fits, too_long) = (ports(333), ports(334));
        assert_eq!((fits.len(), too_long.len()), (1997, 2003));
        assert_eq!(replace(&NO_ROWS, vec![(0, fits.clone())]).unwrap().rows.len(), 1);
        assert_eq!(replace(&NO_ROWS, vec![(0, too_long)]).unwrap_err(), ["bind_info.value[0].port"]);
        // All rows together.
        assert_eq!(replace(&NO_ROWS, vec![(0, fits.clone()); 10]).unwrap().rows.len(), 10);
        assert_eq!(replace(&NO_ROWS, vec![(0, fits); 11]).unwrap_err(), ["bind_info.value"]);
    }
}
