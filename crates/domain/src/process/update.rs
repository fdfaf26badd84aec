//! What an update makes of a stored process that no template owns (`instances` 10.14, 10.15). Types are checked before it is known
//! what is stored, and told apart from bad values: the contract answers them with another number.

use super::{FIELDS, KEPT, Kind, NewProcess, ProcessKeys, STAMPS, find_values, place_of, read_value};
use crate::bind_info::{self, BindRow, HostAddresses, SentRows};
use crate::fault::{Cause, Fault, Reason};
use crate::id::ProcessId;
use crate::json::{FieldPath, Json, JsonWriter, Limits, Object, is_json, parse};
use crate::moment::is_rfc3339;
use std::collections::HashMap;
use std::ops::Range;

/// What becomes of the fields that an update does not name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unnamed {
    /// They become null: the update replaces the whole process.
    Cleared,
    /// They stay as they are.
    Kept,
}

/// What a caller wants a stored process to be.
#[derive(Debug, Clone, PartialEq)]
pub struct ProcessUpdate {
    unnamed: Unnamed,
    /// The values sent for plain fields, by their places in [`FIELDS`].
    pub(crate) values: Vec<Option<Json>>,
    pub(crate) bind: SentBind,
    /// The same for [`KEPT`]; null takes the field away.
    pub(crate) kept: [Option<Json>; KEPT.len()],
    /// JSON text.
    sent: String,
    mistyped: Vec<Fault>,
    unusable: Vec<Unusable>,
}

/// A value that no process may have.
#[derive(Debug, Clone, PartialEq)]
struct Unusable {
    /// The place of its field in [`FIELDS`], if it is one of these.
    place: Option<usize>,
    /// Nothing was sent, and the update would take away what has to be there.
    is_missing: bool,
    fault: Fault,
}

/// What an update says of the ports.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum SentBind {
    Nothing,
    /// `None` is a null.
    Rows(Option<SentRows>),
    /// In the fields of older releases.
    Legacy(Vec<BindRow>),
}

/// When and by whom a process is changed.
#[derive(Debug, Clone, Copy)]
pub struct UpdateStamp<'a> {
    /// RFC 3339 text.
    pub time: &'a str,
    pub user: &'a str,
}

/// A stored process as the rules look at it. Its document is cut into values; those that no rule looks at go into the next document as
/// they are, unread.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredProcess {
    pub id: ProcessId,
    pub keys: ProcessKeys,
    document: String,
    /// Where the values of [`FIELDS`] and behind them those of [`STAMPS`] stand among the members of the document.
    values: [Range<usize>; FIELDS.len() + STAMPS.len()],
    kept: Object,
}

impl StoredProcess {
    /// Reads the two stored texts; `None` when they are not what this program stores, as far as rules look at every process.
    pub fn read(id: ProcessId, fixed_fields: &str, extra_fields: &str) -> Option<Self> {
        let document = ["{", fixed_fields, ",", extra_fields, "}"].concat();
        let members = inside(&document);
        let names = FIELDS.iter().map(|(field, _)| *field).chain(STAMPS.iter().map(|(stamp, _)| *stamp));
        let values: [_; FIELDS.len() + STAMPS.len()] = find_values(members, names)?;
        let raw = |field: &str| &members[values[place_of(field)].clone()];
        if !is_json(raw("bind_info")) {
            return None;
        }
        let kept = match &members[values.last()?.end..] {
            "" => Object::new(),
            kept => read_raw(&["{", kept.strip_prefix(',')?, "}"].concat())?.as_object()?.clone(),
        };
        let text = |field: &str| Some(read_raw(raw(field))?.as_text().map(str::to_owned));
        let keys = ProcessKeys {
            name: text("bk_process_name")??,
            func_name: text("bk_func_name")??,
            start_param: text("bk_start_param_regex")?,
        };
        Some(Self { id, keys, document, values, kept })
    }

    /// As the wire shows it: JSON text.
    pub fn document(&self) -> &str {
        &self.document
    }

    /// The value of a fixed field as it is stored, by its place in [`FIELDS`]: JSON text.
    pub(crate) fn raw(&self, place: usize) -> &str {
        &inside(&self.document)[self.values[place].clone()]
    }

    /// The same, read.
    pub(crate) fn value(&self, place: usize) -> Json {
        read_raw(self.raw(place)).unwrap_or(Json::Null)
    }

    /// The process with other plain values, ports and kept fields, all by their places. Values that there are none for stay.
    pub(crate) fn rewritten<'a>(
        &self,
        stamp: UpdateStamp<'_>,
        kept: &[Option<Json>; KEPT.len()],
        value: impl Fn(usize) -> Option<&'a Json>,
        write_rows: impl FnOnce(usize, &mut JsonWriter),
    ) -> NewProcess {
        let mut keys = self.keys.clone();
        let mut fixed = JsonWriter::with_capacity(768);
        let mut write_rows = Some(write_rows);
        for (place, (field, kind)) in FIELDS.iter().enumerate() {
            fixed.field(field);
            let value = match kind {
                Kind::Server if *field == "last_time" => {
                    fixed.text(stamp.time);
                    continue;
                }
                Kind::Bind => {
                    if let Some(write_rows) = write_rows.take() {
                        write_rows(place, &mut fixed);
                    }
                    continue;
                }
                Kind::Server => None,
                _ => value(place),
            };
            let Some(value) = value else {
                fixed.raw(self.raw(place));
                continue;
            };
            fixed.value(value);
            let text = || value.as_text().map(str::to_owned);
            match *field {
                "bk_process_name" => keys.name = text().unwrap_or_default(),
                "bk_func_name" => keys.func_name = text().unwrap_or_default(),
                "bk_start_param_regex" => keys.start_param = text(),
                _ => {}
            }
        }
        let mut extra = JsonWriter::with_capacity(192);
        for (i, (name, _)) in STAMPS.iter().enumerate() {
            extra.field(name);
            match *name {
                "bk_updated_at" => extra.text(stamp.time),
                "bk_updated_by" => extra.text(stamp.user),
                _ => extra.raw(self.raw(FIELDS.len() + i)),
            };
        }
        let mut all_kept = self.kept.clone();
        for ((field, _), sent) in KEPT.into_iter().zip(kept) {
            match sent {
                None => {}
                Some(Json::Null) => _ = all_kept.remove(field),
                Some(value) => all_kept.insert(field, value.clone()),
            }
        }
        for (field, value) in all_kept.iter() {
            extra.key(field).value(value);
        }
        NewProcess { id: self.id, keys, fixed_fields: fixed.finish(), extra_fields: extra.finish() }
    }
}

/// The members of a document without their braces.
fn inside(document: &str) -> &str {
    &document[1..document.len() - 1]
}

/// A value of a stored text.
fn read_raw(raw: &str) -> Option<Json> {
    parse(raw.as_bytes(), Limits::default()).ok()
}

impl ProcessUpdate {
    /// Reads the fields of an update. Keys in another case count, unknown ones and those the server sets are ignored.
    pub fn read(record: &Object, unnamed: Unnamed, at: &FieldPath) -> Self {
        let mut update = Self {
            unnamed,
            values: vec![None; FIELDS.len()],
            bind: SentBind::Nothing,
            kept: Default::default(),
            sent: String::new(),
            mistyped: Vec::new(),
            unusable: Vec::new(),
        };
        let mut all_sent = JsonWriter::with_capacity(512);
        all_sent.raw("{");
        for (place, (field, kind)) in FIELDS.iter().enumerate() {
            let sent = record.get_ignoring_case(field).map(|(_, value)| value);
            if let Some(value) = sent {
                all_sent.field(field).value(value);
            }
            match (kind, sent) {
                (Kind::Server, Some(value)) => {
                    if let Err(reason) = check_server_field(field, value) {
                        update.refuse(place, at.field(field), reason);
                    }
                }
                (Kind::Server, None) => {}
                (Kind::Bind, Some(rows)) => {
                    update.bind = SentBind::Rows(SentRows::read(rows, &at.field(field), &mut update.mistyped));
                }
                // As when a process is made: the fields of older releases count when the newer one is absent (`design` §4).
                (Kind::Bind, None) if unnamed == Unnamed::Cleared => {
                    let mut faults = Vec::new();
                    let rows = bind_info::read_legacy(record, at, &mut faults);
                    update.bind = rows.map_or(SentBind::Nothing, SentBind::Legacy);
                    let unusable = faults.into_iter().map(|fault| Unusable { place: None, is_missing: false, fault });
                    update.unusable.extend(unusable);
                }
                (Kind::Bind, None) => {}
                (Kind::Needed(_), None) if unnamed == Unnamed::Cleared => {
                    let fault = Fault::new(Cause::ParamUnusable, at.field(field)).because(Reason::Blank);
                    update.unusable.push(Unusable { place: Some(place), is_missing: true, fault });
                }
                (_, None) => {}
                (kind, sent) => match read_value(*kind, sent) {
                    Ok(value) => update.values[place] = Some(value),
                    Err(reason) => update.refuse(place, at.field(field), reason),
                },
            }
        }
        for (place, (field, kind)) in KEPT.into_iter().enumerate() {
            let Some((_, value)) = record.get_ignoring_case(field) else { continue };
            all_sent.field(field).value(value);
            match read_value(kind, Some(value)) {
                Ok(value) => update.kept[place] = Some(value),
                // The original does not know the field and so has no type for it.
                Err(reason) => {
                    let fault = Fault::new(Cause::ParamUnusable, at.field(field)).because(reason);
                    update.unusable.push(Unusable { place: None, is_missing: false, fault });
                }
            }
        }
        all_sent.raw("}");
        update.sent = all_sent.finish();
        update
    }

    fn refuse(&mut self, place: usize, at: FieldPath, reason: Reason) {
        let fault = Fault::new(Cause::ParamUnusable, at).because(reason);
        if fault.is_about_type() {
            self.mistyped.push(Fault { cause: Cause::BodyUndecodable, ..fault });
        } else {
            self.unusable.push(Unusable { place: Some(place), is_missing: false, fault });
        }
    }

    /// Values of another type than their fields.
    pub fn mistyped(&self) -> &[Fault] {
        &self.mistyped
    }

    /// Values that no process may have. The rows of ports are not among them, see [`ProcessUpdate::apply`].
    pub fn unusable(&self) -> Vec<Fault> {
        self.unusable.iter().map(|unusable| unusable.fault.clone()).collect()
    }

    /// The same where some fields are not the caller's to change, whatever was sent for them, and those left out stay.
    pub(crate) fn unusable_but(&self, is_locked: impl Fn(usize) -> bool) -> Vec<Fault> {
        let counts = |unusable: &&Unusable| !unusable.is_missing && !unusable.place.is_some_and(&is_locked);
        self.unusable.iter().filter(counts).map(|unusable| unusable.fault.clone()).collect()
    }

    /// The known fields as the caller sent them: JSON text.
    pub fn sent(&self) -> &str {
        &self.sent
    }

    /// Whether a row takes its address from the host.
    pub fn needs_host(&self) -> bool {
        matches!(&self.bind, SentBind::Legacy(rows) if bind_info::needs_host(rows))
    }

    /// The process after the update, unless a row of its ports is refused. Only an update without [`Self::mistyped`] and
    /// [`Self::unusable`] values can be applied.
    pub fn apply(
        &self,
        stored: &StoredProcess,
        stamp: UpdateStamp<'_>,
        host: &HostAddresses,
        faults: &mut Vec<Fault>,
    ) -> Option<NewProcess> {
        let before = faults.len();
        let value = |place: usize| match (&self.values[place], self.unnamed) {
            (Some(value), _) => Some(value),
            (None, Unnamed::Cleared) => Some(&Json::Null),
            (None, Unnamed::Kept) => None,
        };
        let process = stored.rewritten(stamp, &self.kept, value, |place, out| match (&self.bind, self.unnamed) {
            (SentBind::Nothing, Unnamed::Kept) => _ = out.raw(stored.raw(place)),
            (SentBind::Nothing, Unnamed::Cleared) | (SentBind::Rows(None), _) => _ = out.raw("null"),
            (SentBind::Rows(Some(rows)), _) => rows.write(out, || stored.value(place), faults),
            (SentBind::Legacy(rows), _) => bind_info::write_rows(out, Some(rows), host),
        });
        (faults.len() == before).then_some(process)
    }
}

/// A field that is the server's to say still has its type.
fn check_server_field(field: &str, value: &Json) -> Result<(), Reason> {
    match (field, value) {
        (_, Json::Null) => Ok(()),
        ("create_time" | "last_time", Json::Text(time)) if is_rfc3339(time) => Ok(()),
        ("create_time" | "last_time", _) => Err(Reason::NeedsTime),
        ("bk_supplier_account", Json::Text(_)) => Ok(()),
        ("bk_supplier_account", _) => Err(Reason::NeedsText),
        (_, Json::Int(_)) => Ok(()),
        _ => Err(Reason::NeedsInteger),
    }
}

/// Which of the changed processes of one instance hold something that another of them takes over. Unique rules are checked row by
/// row, so these have to let go of it before any is written.
pub fn must_make_way(changes: &[(&ProcessKeys, &ProcessKeys)]) -> Vec<usize> {
    let moves = || changes.iter().enumerate().filter(|(_, (old, new))| old != new);
    let names: HashMap<_, _> = moves().map(|(i, (_, new))| (new.name.as_str(), i)).collect();
    let pairs: HashMap<_, _> = moves().filter_map(|(i, (_, new))| Some((new.pair()?, i))).collect();
    let is_taken = |i: usize, old: &ProcessKeys| {
        names.get(old.name.as_str()).is_some_and(|taker| *taker != i)
            || old.pair().and_then(|pair| pairs.get(&pair)).is_some_and(|taker| *taker != i)
    };
    moves().filter(|(i, (old, _))| is_taken(*i, old)).map(|(i, _)| i).collect()
}
