//! Adding hosts: which rows of a request make new hosts, which change hosts that are there, and what is wrong with the others
//! (`topology` 9.1 to 9.3); what a change of hosts says (9.12). While its address is static, no two hosts of a cloud area share an address; an agent has one host.

use crate::address::{Family, HostAddresses};
use crate::fault::{Cause, Fault, Reason, quoted};
use crate::id::HostId;
use crate::json::{FieldPath, Json, Object, Schema};
use crate::model::Model;
use crate::record;
use crate::topology::row_schema;
use std::collections::{HashMap, HashSet};

/// The most hosts one call of add_host_to_business_idle carries.
pub const MAX_PER_CALL: usize = 200;
/// The most rows one call of add_host_to_resource carries; the original sets no limit, a store with one writer needs one.
pub const MAX_ROWS: usize = 10_000;

/// Where an address is unique: a cloud area and the address in its stored spelling.
pub type AddressKey = (i64, String);

/// One host of a request, checked without knowing what is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct HostDraft {
    at: FieldPath,
    given: Object,
    /// `bk_host_id`: the caller means this host.
    named: Result<Option<HostId>, Fault>,
    /// The attributes if it is a new host.
    record: Result<Object, Vec<Fault>>,
    /// The addresses it claims; none while its addressing is dynamic.
    keys: Vec<AddressKey>,
}

impl HostDraft {
    /// Reads a host of a request.
    pub fn read(given: &Object, at: FieldPath) -> Self {
        let named = match given.get("bk_host_id") {
            None | Some(Json::Null) => Ok(None),
            Some(Json::Int(id)) if *id > 0 => Ok(Some(HostId(*id))),
            Some(_) => Err(Fault::new(Cause::ParamUnusable, at.field("bk_host_id")).because(Reason::NeedsInteger)),
        };
        let is_static = given.get("bk_addressing").and_then(Json::as_text).map(str::trim) != Some("dynamic");
        // Read apart from the record: an existing host is found by its address even if attributes that an update ignores are wrong.
        let cloud_id = match given.get("bk_cloud_id") {
            None | Some(Json::Null) => Some(0),
            Some(id) => id.as_int(),
        };
        let read = |field, family| {
            let value = given.get(field).unwrap_or(&Json::Null);
            HostAddresses::parse(value, family, &at.field(field)).unwrap_or_default()
        };
        let keys = match cloud_id {
            Some(cloud_id) if is_static => {
                [read("bk_host_innerip", Family::V4), read("bk_host_innerip_v6", Family::V6)]
                    .iter()
                    .flat_map(HostAddresses::as_slice)
                    .map(|address| (cloud_id, address.clone()))
                    .collect()
            }
            _ => Vec::new(),
        };
        Self { named, record: record::create(Model::Host, given, &at), keys, given: given.clone(), at }
    }

    /// The addresses it claims.
    pub fn keys(&self) -> &[AddressKey] {
        &self.keys
    }

    /// The host that the caller means by its id.
    pub fn named(&self) -> Option<HostId> {
        self.named.as_ref().ok().copied().flatten()
    }

    /// The agent of a new host, if it has one.
    pub fn agent_id(&self) -> Option<&str> {
        agent_id(self.record.as_ref().ok()?)
    }

    /// The cloud area of a new host.
    pub fn cloud_id(&self) -> Option<i64> {
        cloud_id(self.record.as_ref().ok()?)
    }

    /// What people call it: its inner address as sent.
    pub fn label(&self) -> String {
        match self.given.get("bk_host_innerip") {
            Some(Json::Text(text)) => quoted(text),
            Some(other) => quoted(&other.to_string()),
            None => String::new(),
        }
    }
}

/// The agent of a host, if it has one.
pub fn agent_id(host: &Object) -> Option<&str> {
    host.get("bk_agent_id").and_then(Json::as_text).filter(|agent| !agent.is_empty())
}

/// The cloud area of a host.
pub fn cloud_id(host: &Object) -> Option<i64> {
    host.get("bk_cloud_id").and_then(Json::as_int)
}

/// The shape of a stored host.
pub fn schema() -> Schema {
    row_schema(Model::Host, [("bk_host_id", Schema::Integer)])
}

/// The most hosts one call changes.
pub const MAX_CHANGED: usize = 1000;

/// The attributes that a caller wants otherwise, checked. What is fixed once a host is there, such as its inner addresses, its area
/// and its agent, and keys that are no attribute are left out without a word.
pub fn read_change(given: &Object, at: &FieldPath) -> Result<Object, Vec<Fault>> {
    record::update(Model::Host, &Object::new(), given, at)
}

/// A host with other attributes; `None` if it has them already.
pub fn changed(stored: &Object, wanted: &Object) -> Option<Object> {
    let mut after = stored.clone();
    for (attribute, value) in wanted.iter() {
        after.insert(attribute, value.clone());
    }
    (after != *stored).then_some(after)
}

/// A stored host that a request touches.
#[derive(Debug, Clone, PartialEq)]
pub struct ExistingHost {
    pub document: Object,
    /// The caller may change it. To others it is not there, except that its addresses are taken.
    pub is_writable: bool,
}

/// What is stored of everything the drafts speak of.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct HostsState {
    pub hosts: HashMap<HostId, ExistingHost>,
    pub by_address: HashMap<AddressKey, HostId>,
    pub by_agent: HashMap<String, HostId>,
    pub cloud_ids: HashSet<i64>,
}

/// What becomes of a draft.
#[derive(Debug, Clone, PartialEq)]
pub enum HostChange {
    /// A new host with these attributes and addresses.
    Create { record: Object, keys: Vec<AddressKey> },
    /// New attributes of a host that stays where it is.
    Update { id: HostId, after: Object },
}

/// What is wrong with a draft.
#[derive(Debug, Clone, PartialEq)]
pub struct BadDraft {
    /// Its place among the drafts.
    pub draft: usize,
    /// It was to change a host that is there.
    pub is_update: bool,
    pub faults: Vec<Fault>,
}

/// Whether drafts of hosts that are there already change these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnExisting {
    Update,
    Refuse,
}

/// Decides what becomes of every draft, in order; or names every bad one.
pub fn plan_add(
    drafts: &[HostDraft],
    state: &HostsState,
    on_existing: OnExisting,
) -> Result<Vec<HostChange>, Vec<BadDraft>> {
    let mut claims = Claims::default();
    let mut changes = Vec::with_capacity(drafts.len());
    let mut bad = Vec::new();
    for (i, draft) in drafts.iter().enumerate() {
        let existing = find_existing(draft, state, on_existing);
        let is_update = matches!(existing, Ok(Some(_)));
        let change = existing.and_then(|existing| match existing {
            Some(id) => plan_update(draft, id, state, &mut claims),
            None => plan_create(draft, state, &mut claims),
        });
        match change {
            Ok(change) => changes.push(change),
            Err(faults) => bad.push(BadDraft { draft: i, is_update, faults }),
        }
    }
    if bad.is_empty() { Ok(changes) } else { Err(bad) }
}

/// What earlier drafts of the same request hold.
#[derive(Default)]
struct Claims<'a> {
    addresses: HashMap<&'a AddressKey, &'a FieldPath>,
    agents: HashMap<&'a str, &'a FieldPath>,
    hosts: HashMap<HostId, &'a FieldPath>,
}

/// The stored host a draft speaks of: the one it names, else the one that holds one of its addresses (`topology E23`, `E25`).
fn find_existing(draft: &HostDraft, state: &HostsState, on_existing: OnExisting) -> Result<Option<HostId>, Vec<Fault>> {
    let named = draft.named.as_ref().map_err(|fault| vec![fault.clone()])?;
    let writable = |id: &HostId| state.hosts.get(id).is_some_and(|host| host.is_writable);
    if let Some(id) = named
        && on_existing == OnExisting::Update
    {
        if writable(id) {
            return Ok(Some(*id));
        }
        return Err(vec![Fault::absent(Cause::ParamUnusable, draft.at.field("bk_host_id"), id)]);
    }
    let holders: HashSet<HostId> = draft.keys.iter().filter_map(|key| state.by_address.get(key).copied()).collect();
    let mut holders_left = holders.iter();
    match (holders_left.next(), holders_left.next(), on_existing) {
        (None, ..) => Ok(None),
        (Some(id), None, OnExisting::Update) if writable(id) => Ok(Some(*id)),
        // One host cannot be two, and nobody changes hosts of others by knowing their addresses.
        _ => {
            let taken = draft.keys.iter().filter(|key| state.by_address.contains_key(key));
            Err(taken
                .map(|(_, address)| {
                    let value = address.clone();
                    duplicate(draft, address_field(address)).because(Reason::Taken { value })
                })
                .collect())
        }
    }
}

fn plan_update<'a>(
    draft: &'a HostDraft,
    id: HostId,
    state: &HostsState,
    claims: &mut Claims<'a>,
) -> Result<HostChange, Vec<Fault>> {
    if let Some(other) = claims.hosts.insert(id, &draft.at) {
        return Err(vec![
            duplicate(draft, "bk_host_id")
                .because(Reason::TakenInRequest { value: id.to_string(), other: other.clone() }),
        ]);
    }
    let stored = &state.hosts[&id].document;
    let after = record::update(Model::Host, stored, &draft.given, &draft.at)?;
    Ok(HostChange::Update { id, after })
}

fn plan_create<'a>(
    draft: &'a HostDraft,
    state: &HostsState,
    claims: &mut Claims<'a>,
) -> Result<HostChange, Vec<Fault>> {
    let record = draft.record.as_ref().map_err(Clone::clone)?;
    let mut faults = Vec::new();
    if let Some(cloud_id) = cloud_id(record)
        && !state.cloud_ids.contains(&cloud_id)
    {
        faults.push(Fault::absent(Cause::ParamUnusable, draft.at.field("bk_cloud_id"), cloud_id));
    }
    for key in &draft.keys {
        if let Some(other) = claims.addresses.insert(key, &draft.at) {
            let (value, other) = (key.1.clone(), other.clone());
            let fault = duplicate(draft, address_field(&key.1));
            faults.push(fault.because(Reason::TakenInRequest { value, other }));
        }
    }
    if let Some(agent) = agent_id(record) {
        let fault = duplicate(draft, "bk_agent_id");
        let value = quoted(agent);
        if state.by_agent.contains_key(agent) {
            faults.push(fault.because(Reason::Taken { value }));
        } else if let Some(other) = claims.agents.insert(agent, &draft.at) {
            let other = other.clone();
            faults.push(fault.because(Reason::TakenInRequest { value, other }));
        }
    }
    if faults.is_empty() {
        Ok(HostChange::Create { record: record.clone(), keys: draft.keys.clone() })
    } else {
        Err(faults)
    }
}

fn address_field(address: &str) -> &'static str {
    if address.contains(':') { "bk_host_innerip_v6" } else { "bk_host_innerip" }
}

fn duplicate(draft: &HostDraft, field: &'static str) -> Fault {
    Fault::new(Cause::Duplicate, draft.at.field(field)).named(field)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::{Limits, parse};
    use proptest::prelude::*;

    fn drafts(rows: &[&str]) -> Vec<HostDraft> {
        let rows = rows.iter().enumerate();
        rows.map(|(i, row)| {
            let row = parse(row.as_bytes(), Limits::default()).unwrap();
            HostDraft::read(row.as_object().unwrap(), FieldPath::of("hosts").index(i))
        })
        .collect()
    }

    /// Host 1 with two addresses, host 2 with an agent, host 3 of somebody else.
    fn state() -> HostsState {
        let mut state = HostsState { cloud_ids: [0, 5].into(), ..HostsState::default() };
        let host = |is_writable, text: &str| ExistingHost {
            document: drafts(&[text])[0].record.clone().unwrap(),
            is_writable,
        };
        let rows = [
            (1, true, r#"{"bk_host_innerip":"1.1.1.1,1.1.1.2"}"#),
            (2, true, r#"{"bk_host_innerip":"1.1.1.3","bk_agent_id":"a2","bk_addressing":"dynamic"}"#),
            (3, false, r#"{"bk_host_innerip":"1.1.1.4"}"#),
        ];
        for (id, is_writable, text) in rows {
            state.hosts.insert(HostId(id), host(is_writable, text));
            for key in drafts(&[text])[0].keys() {
                state.by_address.insert(key.clone(), HostId(id));
            }
        }
        state.by_agent.insert("a2".into(), HostId(2));
        state
    }

    /// `+` for a new host, the id of a changed one; of bad drafts their fields, with `~` before those of an update.
    fn outcome(rows: &[&str], on_existing: OnExisting) -> Result<String, String> {
        let drafts = drafts(rows);
        let told = |changes: Vec<HostChange>| {
            let told = changes.iter().map(|change| match change {
                HostChange::Create { .. } => "+".to_owned(),
                HostChange::Update { id, .. } => id.to_string(),
            });
            told.collect::<Vec<_>>().join(" ")
        };
        plan_add(&drafts, &state(), on_existing).map(told).map_err(|bad| {
            let told = bad.iter().flat_map(|bad| {
                let mark = if bad.is_update { "~" } else { "" };
                bad.faults.iter().map(move |fault| format!("{mark}{}", fault.path))
            });
            told.collect::<Vec<_>>().join(" ")
        })
    }

    #[test]
    fn rows_become_new_hosts_or_change_old_ones() {
        let check = |rows: &[&str], want: Result<&str, &str>| {
            let got = outcome(rows, OnExisting::Update);
            assert_eq!(got, want.map(str::to_owned).map_err(str::to_owned), "{rows:?}");
        };
        // topology E22.
        check(&[r#"{"bk_host_innerip":"2.1.1.1"}"#], Ok("+"));
        // topology E23, E25: one shared address makes it the same host.
        check(&[r#"{"bk_host_innerip":"1.1.1.2","bk_sn":"s"}"#], Ok("1"));
        check(&[r#"{"bk_host_innerip":["9.9.9.9","1.1.1.1"],"bk_asset_id":7}"#], Ok("1"));
        check(&[r#"{"bk_host_id":2,"bk_sn":"s"}"#], Ok("2"));
        // The same address in another cloud area, or with dynamic addressing, is another host.
        check(&[r#"{"bk_host_innerip":"1.1.1.2","bk_cloud_id":5}"#], Ok("+"));
        check(&[r#"{"bk_host_innerip":"1.1.1.2","bk_addressing":"dynamic","bk_agent_id":"a9"}"#], Ok("+"));
        // topology E24: every bad row is named.
        check(
            &[
                r#"{"bk_host_innerip":"2.1.1.1"}"#,
                r#"{"bk_host_innerip":"999.0.0.1","bk_sla":"x"}"#,
                "{}",
                r#"{"bk_host_innerip":"2.1.1.2","bk_cloud_id":7}"#,
                r#"{"bk_host_innerip":"2.1.1.1"}"#,
                r#"{"bk_host_innerip":"1.1.1.1","bk_sla":"x"}"#,
            ],
            Err(concat!(
                "hosts[1].bk_host_innerip hosts[1].bk_sla hosts[2].bk_host_innerip hosts[3].bk_cloud_id ",
                "hosts[4].bk_host_innerip ~hosts[5].bk_sla"
            )),
        );
        // Hosts of others: not to be changed, by whatever name.
        check(
            &[
                r#"{"bk_host_innerip":"1.1.1.4","bk_sn":"s"}"#,
                r#"{"bk_host_id":3,"bk_sn":"s"}"#,
                r#"{"bk_host_id":99,"bk_sn":"s"}"#,
                r#"{"bk_host_id":"1","bk_sn":"s"}"#,
                r#"{"bk_host_innerip":"1.1.1.1,1.1.1.4"}"#,
            ],
            Err(concat!(
                "hosts[0].bk_host_innerip hosts[1].bk_host_id hosts[2].bk_host_id hosts[3].bk_host_id ",
                "hosts[4].bk_host_innerip hosts[4].bk_host_innerip"
            )),
        );
        check(&[r#"{"bk_host_innerip":"2.1.1.1","bk_agent_id":"a2"}"#], Err("hosts[0].bk_agent_id"));
        check(
            &[r#"{"bk_host_id":1,"bk_sn":"s"}"#, r#"{"bk_host_innerip":"1.1.1.1","bk_sn":"t"}"#],
            Err("~hosts[1].bk_host_id"),
        );
    }

    #[test]
    fn a_change_says_only_what_may_change() {
        let read = |text: &str| {
            let given = parse(text.as_bytes(), Limits::default()).unwrap();
            let read = read_change(given.as_object().unwrap(), &FieldPath::of("data"));
            read.map(|wanted| Json::Object(wanted).to_string())
                .map_err(|faults| faults.iter().map(|fault| fault.path.to_string()).collect::<Vec<_>>())
        };
        // topology 9.12; of the addresses only the outer ones may change.
        let given = r#"{"bk_host_innerip":"9.9.9.9","bk_host_innerip_v6":"::9","bk_host_outerip":" 8.8.8.8 ","bk_cloud_id":5,
            "bk_host_outerip_v6":"::8","bk_agent_id":"a9","bk_asset_id":"x","bk_comment":" c ","operator":["ann"],"x":1,
            "bk_host_id":7,"bk_cpu":null}"#;
        let want = concat!(
            r#"{"bk_host_outerip":"8.8.8.8","operator":"ann","bk_comment":"c","bk_cpu":null,"#,
            r#""bk_host_outerip_v6":"0000:0000:0000:0000:0000:0000:0000:0008"}"#
        );
        assert_eq!(read(given), Ok(want.to_owned()));
        let bad = r#"{"bk_host_outerip":"8.8.8","bk_cpu":"1","bk_sla":"9","bk_host_innerip":7}"#;
        assert_eq!(read(bad), Err(["bk_host_outerip", "bk_sla", "bk_cpu"].map(|field| format!("data.{field}")).into()));
        let stored = state().hosts[&HostId(1)].document.clone();
        let wanted = |text: &str| Object::from_iter([("bk_comment".to_owned(), Json::from(text))]);
        assert_eq!(changed(&stored, &wanted("")), None);
        assert_eq!(
            changed(&stored, &wanted("c")).map(|after| record::changed_fields(&stored, &after)),
            Some(wanted("c"))
        );
    }

    #[test]
    fn where_hosts_must_be_new_old_ones_clash() {
        let check = |row: &str, want: Result<&str, &str>| {
            let got = outcome(&[row], OnExisting::Refuse);
            assert_eq!(got, want.map(str::to_owned).map_err(str::to_owned), "{row}");
        };
        check(r#"{"bk_host_innerip":"2.1.1.1"}"#, Ok("+"));
        check(r#"{"bk_host_innerip":"1.1.1.2"}"#, Err("hosts[0].bk_host_innerip"));
        check(r#"{"bk_host_innerip":"1.1.1.4"}"#, Err("hosts[0].bk_host_innerip"));
        // An id names nothing where every host is new: it is given out by the store.
        check(r#"{"bk_host_id":1,"bk_host_innerip":"2.1.1.1"}"#, Ok("+"));
    }

    proptest! {
        /// Whatever rows come, a plan never lets two hosts of a cloud area share a static address.
        #[test]
        fn addresses_stay_unique(rows in prop::collection::vec((1..7_u8, 1..7_u8, any::<bool>()), 0..6)) {
            let rows: Vec<String> = rows.iter().map(|(a, b, five)| {
                let cloud = if *five { 5 } else { 0 };
                format!(r#"{{"bk_host_innerip":"1.1.1.{a},1.1.1.{b}","bk_cloud_id":{cloud}}}"#)
            }).collect();
            let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
            let state = state();
            let Ok(changes) = plan_add(&drafts(&rows), &state, OnExisting::Update) else { return Ok(()) };
            let mut held: HashSet<AddressKey> = state.by_address.keys().cloned().collect();
            for change in changes {
                match change {
                    HostChange::Create { keys, .. } => {
                        for key in keys {
                            prop_assert!(held.insert(key));
                        }
                    }
                    HostChange::Update { id, after } => {
                        prop_assert_eq!(after.get("bk_host_innerip"), state.hosts[&id].document.get("bk_host_innerip"));
                    }
                }
            }
        }
    }
}
