//! How processes follow their template (`templates` 9, 10.2). Three functions say it all: what a new process begins with, what a caller may
//! make of it, and what becomes of it when the template has changed. The difference between a process and its template is what the
//! last one would change, nothing else. A fourth takes one part of the last ahead: what becomes of it when its host got other addresses.

use super::{Property, plain_fields};
use crate::bind_info::{
    self, BindRow, Cells, HostAddress, HostAddresses, NEEDED_CELLS, ROW_ID, SentRow, row_text, stored_cells, unusable,
};
use crate::fault::{Fault, Reason};
use crate::json::{Json, JsonWriter, Limits, parse};
use crate::process::{
    FIELDS, Kind, NewProcess, ProcessDraft, ProcessUpdate, SentBind, StoredProcess, UpdateStamp, find_fixed_values,
    place_of,
};
use std::collections::{BTreeSet, HashMap, HashSet};

/// A field in which a process is not as its template wants it.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    pub(super) place: usize,
    pub field: &'static str,
    /// The value of the process.
    pub is: Json,
    /// The value it will have when it follows.
    pub becomes: Json,
}

/// A property prepared for looking at very many processes.
#[derive(Debug)]
pub struct Pattern<'a> {
    property: &'a Property,
    /// What is locked, by the places of the fields, as JSON text.
    locked: Vec<(usize, String)>,
    bind: usize,
    /// The text of the rows of a new process: pieces, and behind each the address of the host that stands there.
    rows: Vec<(String, Option<HostAddress>)>,
}

impl Pattern<'_> {
    /// Whether a process follows its template: the same as that it has no [`Difference`], told from its stored text.
    pub fn is_followed(&self, fixed_fields: &str, host: &HostAddresses) -> Option<bool> {
        let values = find_fixed_values(fixed_fields)?;
        let value = |place: usize| &fixed_fields[values[place].clone()];
        if self.locked.iter().any(|(place, text)| value(*place) != text) {
            return Some(false);
        }
        let rows = value(self.bind);
        if self.property.bind.rows.is_empty() {
            return Some(matches!(rows, "null" | "[]"));
        }
        if self.are_fresh(rows, host) {
            return Some(true);
        }
        let rows = parse(rows.as_bytes(), Limits::default()).ok()?;
        Some(self.property.other_rows(&rows, host).is_none())
    }

    /// Whether the rows are those of a new process, to the letter. Addresses need no escape.
    fn are_fresh(&self, rows: &str, host: &HostAddresses) -> bool {
        let rest = self.rows.iter().try_fold(rows, |rest, (piece, address)| {
            let rest = rest.strip_prefix(piece.as_str())?;
            address.map_or(Some(rest), |address| rest.strip_prefix(host.first(address)))
        });
        rest == Some("")
    }
}

impl Property {
    /// Prepared for looking at very many processes.
    pub fn pattern(&self) -> Pattern<'_> {
        let locked = plain_fields().filter(|(place, _, _)| self.settings[*place].is_locked());
        let locked = locked.map(|(place, _, _)| (place, self.settings[place].value.to_string())).collect();
        Pattern { property: self, locked, bind: place_of(super::bind::FIELD), rows: self.pieces() }
    }

    /// See [`Pattern::rows`].
    fn pieces(&self) -> Vec<(String, Option<HostAddress>)> {
        // Stands where an address will, and is no address.
        const MARKS: [(&str, HostAddress); 4] = [
            ("<inner 4>", HostAddress::InnerV4),
            ("<outer 4>", HostAddress::OuterV4),
            ("<inner 6>", HostAddress::InnerV6),
            ("<outer 6>", HostAddress::OuterV6),
        ];
        let [inner_v4, outer_v4, inner_v6, outer_v6] = MARKS.map(|(mark, _)| mark.to_owned());
        let marked = HostAddresses { inner_v4, outer_v4, inner_v6, outer_v6 };
        let mut text = JsonWriter::with_capacity(256);
        bind_info::write_rows(&mut text, Some(&self.fresh_rows()), &marked);
        let text = text.finish();
        let (mut rest, mut pieces) = (text.as_str(), Vec::new());
        loop {
            let marks = MARKS.iter().filter_map(|(mark, address)| Some((rest.find(mark)?, mark, *address)));
            let Some((at, mark, address)) = marks.min_by_key(|(at, ..)| *at) else {
                pieces.push((rest.to_owned(), None));
                return pieces;
            };
            pieces.push((rest[..at].to_owned(), Some(address)));
            rest = &rest[at + mark.len()..];
        }
    }

    /// The rows of a new process, whose addresses are still the host's to say.
    fn fresh_rows(&self) -> Vec<BindRow> {
        self.bind.rows.iter().map(super::bind::TemplateRow::fresh).collect()
    }

    /// The process that is made from the template.
    pub fn fresh(&self) -> ProcessDraft {
        let is_key = |field: &str| matches!(field, super::NAME | super::FUNC_NAME | super::START_PARAM);
        let plain = plain_fields().filter(|(_, field, _)| !is_key(field));
        let values = plain.map(|(place, _, _)| (place, self.settings[place].value.clone())).collect();
        let rows = self.fresh_rows();
        ProcessDraft::of_values(self.keys(), values, Some(rows).filter(|rows| !rows.is_empty()))
    }

    /// The process after a caller's update: what is locked stays as it is, whatever was sent for it, and what was left out stays too.
    /// `None` after a fault.
    pub fn edit(
        &self,
        stored: &StoredProcess,
        update: &ProcessUpdate,
        stamp: UpdateStamp<'_>,
        host: &HostAddresses,
        faults: &mut Vec<Fault>,
    ) -> Option<NewProcess> {
        let wrong = update.unusable_but(|place| self.settings[place].is_locked());
        if !wrong.is_empty() {
            faults.extend(wrong);
            return None;
        }
        let before = faults.len();
        let value = |place: usize| update.values[place].as_ref().filter(|_| !self.settings[place].is_locked());
        let process = stored.rewritten(stamp, &update.kept, value, |place, out| {
            let stored = &stored.value(place);
            let rows = match &update.bind {
                SentBind::Nothing => self.merge(&stored_cells(Some(stored)), host),
                SentBind::Rows(None) => self.merge(&[], host),
                SentBind::Rows(Some(sent)) => {
                    faults.extend(sent.too_many.clone());
                    self.merge_sent(&sent.rows, stored, host, faults)
                }
                SentBind::Legacy(rows) => {
                    let rows: Vec<_> = rows.iter().map(|row| row.cells(host)).collect();
                    self.merge(&rows, host)
                }
            };
            write_rows(out, &rows, stored);
        });
        (faults.len() == before).then_some(process)
    }

    /// The process when it follows the template as that is now; `None`: it does already.
    pub fn follow(&self, stored: &StoredProcess, stamp: UpdateStamp<'_>, host: &HostAddresses) -> Option<NewProcess> {
        let differences = self.differences(stored, host);
        if differences.is_empty() { None } else { Some(adopt(stored, &differences, stamp)) }
    }

    /// The ids of the rows that are locked to an address which is another than before, with that address.
    fn moved_rows<'a>(
        &'a self,
        before: &'a HostAddresses,
        after: &'a HostAddresses,
    ) -> impl Iterator<Item = (i64, &'a str)> {
        self.bind.rows.iter().filter_map(|row| {
            let which = row.locked_address()?;
            (before.first(which) != after.first(which)).then(|| (row.row_id, after.first(which)))
        })
    }

    /// Whether [`Self::readdress`] may change a process.
    pub fn is_bound_to_other(&self, before: &HostAddresses, after: &HostAddresses) -> bool {
        self.moved_rows(before, after).next().is_some()
    }

    /// The process after its host got other addresses, and how its rows differ from before (`templates` 7.4): each row whose address is
    /// locked to the first one of a kind says that one, if it is another than before. Rows are known by their ids, not by their places.
    /// Whatever else the template wants is left to a synchronization. `None`: the rows stay as they are.
    pub fn readdress(
        &self,
        stored: &StoredProcess,
        stamp: UpdateStamp<'_>,
        before: &HostAddresses,
        after: &HostAddresses,
    ) -> Option<(Difference, NewProcess)> {
        let moved: HashMap<_, _> = self.moved_rows(before, after).collect();
        if moved.is_empty() {
            return None;
        }
        let place = super::place_of(super::bind::FIELD);
        let is = stored.value(place);
        let mut rows = is.as_list()?.to_vec();
        for row in &mut rows {
            let Json::Object(row) = row else { continue };
            let id = bind_info::cells(row)[ROW_ID].as_int();
            if let Some(address) = id.and_then(|id| moved.get(&id)) {
                row.insert(bind_info::IP, (*address).into());
            }
        }
        let becomes = Json::List(rows);
        if becomes == is {
            return None;
        }
        let difference = Difference { place, field: super::bind::FIELD, is, becomes };
        let process = adopt(stored, std::slice::from_ref(&difference), stamp);
        Some((difference, process))
    }

    /// Where a process is not as its template wants it, in the order of the fields.
    pub fn differences(&self, stored: &StoredProcess, host: &HostAddresses) -> Vec<Difference> {
        let mut found = Vec::new();
        for (place, (field, kind)) in FIELDS.iter().enumerate() {
            let is = || stored.value(place);
            let becomes = match kind {
                Kind::Server => continue,
                Kind::Bind => match self.other_rows(&is(), host) {
                    None => continue,
                    Some(rows) => rows,
                },
                _ if !self.settings[place].is_locked() || self.settings[place].value == is() => continue,
                _ => self.settings[place].value.clone(),
            };
            found.push(Difference { place, field, is: is(), becomes });
        }
        found
    }

    /// The rows a process should have, unless it has them. Their order does not count.
    fn other_rows(&self, stored: &Json, host: &HostAddresses) -> Option<Json> {
        let rows = stored_cells(Some(stored));
        let merged = self.merge(&rows, host);
        let texts = |rows: &[Cells]| rows.iter().map(row_text).collect::<BTreeSet<_>>();
        if rows.len() == merged.len() && texts(&rows) == texts(&merged) {
            return None;
        }
        Some(Json::List(merged.into_iter().map(row_object).collect()))
    }

    /// The rows of the template, each with what the row of the same id has in the cells that are not locked. Of several rows with one
    /// id the last counts; rows that the template does not have are left out.
    fn merge(&self, rows: &[Cells], host: &HostAddresses) -> Vec<Cells> {
        let by_id: HashMap<_, _> = rows.iter().filter_map(|row| Some((row[ROW_ID].as_int()?, row))).collect();
        let merged = self.bind.rows.iter().map(|template| {
            let fresh = template.fresh().cells(host);
            match by_id.get(&template.row_id) {
                None => fresh,
                Some(row) => {
                    let mut cells = (*row).clone();
                    for (cell, value) in fresh.into_iter().enumerate().filter(|(cell, _)| template.is_locked(*cell)) {
                        cells[cell] = value;
                    }
                    cells
                }
            }
        });
        merged.collect()
    }

    /// As [`Self::merge`], with rows of a request: a row that comes to be has to follow the rules in the cells that are the caller's,
    /// but that a cell may stay null where it is (`design` §4).
    fn merge_sent(&self, sent: &[SentRow], stored: &Json, host: &HostAddresses, faults: &mut Vec<Fault>) -> Vec<Cells> {
        let rows: Vec<_> = sent.iter().map(|row| row.cells.clone()).collect();
        let merged = self.merge(&rows, host);
        let stored = stored_cells(Some(stored));
        let known: HashSet<_> = stored.iter().map(row_text).collect();
        let stored: HashMap<_, _> = stored.iter().filter_map(|row| Some((row[ROW_ID].as_int()?, row))).collect();
        let sent: HashMap<_, _> = sent.iter().filter_map(|row| Some((row.cells[ROW_ID].as_int()?, row))).collect();
        for (template, cells) in self.bind.rows.iter().zip(&merged) {
            let Some(row) = sent.get(&template.row_id).filter(|_| !known.contains(&row_text(cells))) else { continue };
            let cell_of = |fault: &Fault| {
                bind_info::CELLS.iter().position(|cell| row.at.field(cell) == fault.path).filter(|cell| *cell != ROW_ID)
            };
            // What stands there already may stay: a template's row may list ports, and they need not be locked.
            let changes = |cell: usize| stored.get(&template.row_id).is_none_or(|stored| stored[cell] != cells[cell]);
            let counts = |fault: &&Fault| cell_of(fault).is_none_or(|cell| !template.is_locked(cell) && changes(cell));
            faults.extend(row.faults.iter().filter(counts).cloned());
            let was_null = |cell: usize| stored.get(&template.row_id).is_some_and(|stored| stored[cell] == Json::Null);
            let blank = NEEDED_CELLS.into_iter().filter(|cell| cells[*cell] == Json::Null && !was_null(*cell));
            faults.extend(blank.map(|cell| unusable(row.at.field(bind_info::CELLS[cell]), Reason::Blank)));
        }
        merged
    }
}

/// The process when these differences have gone.
pub fn adopt(stored: &StoredProcess, differences: &[Difference], stamp: UpdateStamp<'_>) -> NewProcess {
    let becomes: HashMap<_, _> = differences.iter().map(|found| (found.place, &found.becomes)).collect();
    let value = |place: usize| becomes.get(&place).copied();
    stored.rewritten(stamp, &Default::default(), value, |place, out| match value(place) {
        Some(rows) => _ = out.value(rows),
        None => _ = out.raw(stored.raw(place)),
    })
}

/// A process without rows keeps its null or its empty list.
fn write_rows(out: &mut JsonWriter, rows: &[Cells], stored: &Json) {
    if rows.is_empty() && stored_cells(Some(stored)).is_empty() {
        out.value(stored);
        return;
    }
    out.raw("[");
    for row in rows {
        out.separate().raw(&row_text(row));
    }
    out.raw("]");
}

fn row_object(cells: Cells) -> Json {
    Json::Object(bind_info::CELLS.iter().map(|cell| (*cell).to_owned()).zip(cells).collect())
}
