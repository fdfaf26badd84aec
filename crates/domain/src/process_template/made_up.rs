//! Made-up templates and processes, for the tests of all that compares the two.

use super::*;
use crate::bind_info::{HostAddresses, stored_cells};
use crate::id::{HostId, ProcessId, ServiceInstanceId};
use crate::process::{NewProcess, Placement, ProcessUpdate, StoredProcess, Unnamed, UpdateStamp};
use proptest::prelude::*;
use proptest::sample::select;
use std::collections::BTreeSet;

pub(crate) fn tree(json: &str) -> Json {
    parse(json.as_bytes(), Limits::default()).unwrap()
}

pub(crate) fn sent(json: &str) -> PropertyIn {
    Decoder::decode(tree(json), false).unwrap_or_else(|faults| panic!("{json}: {faults:?}"))
}

pub(crate) fn faults_of(result: Result<Property, Vec<Fault>>) -> Result<Property, Vec<String>> {
    result.map_err(|faults| {
        assert!(faults.iter().all(|fault| fault.cause == Cause::ParamInvalid));
        faults.iter().map(|fault| fault.path.to_string()).collect()
    })
}

pub(crate) fn create(json: &str) -> Result<Property, Vec<String>> {
    faults_of(Property::create(&sent(json), &FieldPath::root()))
}

pub(crate) fn host() -> HostAddresses {
    HostAddresses {
        inner_v4: "10.0.0.1,10.0.0.2".into(),
        outer_v4: "".into(),
        inner_v6: ",fe80::1".into(),
        outer_v6: "2001::8".into(),
    }
}

pub(crate) const STAMP: UpdateStamp<'_> = UpdateStamp { time: "later", user: "ops" };

/// The process that is made from a template.
pub(crate) fn place(
    property: &Property,
    id: ProcessId,
    (service_instance_id, host_id): (ServiceInstanceId, HostId),
    host: &HostAddresses,
) -> NewProcess {
    let at = Placement { business_id: BusinessId(3), service_instance_id, host_id, host, time: "once", user: "ops" };
    property.fresh().place(id, &at)
}

/// The same where it does not matter which it is.
pub(crate) fn placed(property: &Property, host: &HostAddresses) -> StoredProcess {
    stored(&place(property, ProcessId(46), (ServiceInstanceId(54), HostId(7)), host))
}

pub(crate) fn stored(process: &NewProcess) -> StoredProcess {
    StoredProcess::read(process.id, &process.fixed_fields, &process.extra_fields).unwrap()
}

pub(crate) fn field(process: &StoredProcess, name: &str) -> Json {
    process.value(FIELDS.iter().position(|(field, _)| *field == name).unwrap())
}

/// What a caller's update makes of a process on [`host`]; `Err` with the paths at fault.
pub(crate) fn edit(property: &Property, process: &StoredProcess, json: &str) -> Result<StoredProcess, Vec<String>> {
    edit_on(property, process, json, &host()).map(|edited| stored(&edited))
}

/// The same on any host.
pub(crate) fn edit_on(
    property: &Property,
    process: &StoredProcess,
    json: &str,
    host: &HostAddresses,
) -> Result<NewProcess, Vec<String>> {
    let update = ProcessUpdate::read(tree(json).as_object().unwrap(), Unnamed::Cleared, &FieldPath::root());
    assert!(update.mistyped().is_empty(), "{json}");
    let mut faults = Vec::new();
    let edited = property.edit(process, &update, STAMP, host, &mut faults);
    edited.ok_or_else(|| faults.iter().map(|fault| fault.path.to_string()).collect())
}

/// What is stored of a process of which nothing changes.
pub(crate) fn text_of(process: &StoredProcess) -> String {
    with_rows(process, |_| ()).fixed_fields
}

/// The process with other rows, whatever its template says.
pub(crate) fn with_rows(process: &StoredProcess, change: impl FnOnce(&mut Vec<Json>)) -> NewProcess {
    process.rewritten(
        STAMP,
        &Default::default(),
        |_| None,
        |place, out| {
            let Json::List(mut rows) = process.value(place) else {
                out.raw(process.raw(place));
                return;
            };
            change(&mut rows);
            out.value(&Json::List(rows));
        },
    )
}

/// The rows of a process with their ids.
pub(crate) fn row_ids(process: &StoredProcess) -> Vec<i64> {
    stored_cells(Some(&field(process, "bind_info"))).iter().map(|row| row[4].as_int().unwrap()).collect()
}

pub(crate) fn row_ids_of(property: &Property) -> Vec<i64> {
    property.bind.rows.iter().map(|row| row.row_id).collect()
}

/// Every value that a caller may change in a process: plain ones by field, cells by row and cell, of the rows that it also had before.
pub(crate) fn unlocked(property: &Property, process: &StoredProcess, before: &StoredProcess) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (place, field, _) in plain_fields().filter(|(place, _, _)| !property.settings[*place].is_locked()) {
        found.insert(format!("{field}={}", process.value(place)));
    }
    let had = row_ids(before);
    for row in stored_cells(Some(&field(process, "bind_info"))) {
        let template = property.bind.rows.iter().find(|template| Json::Int(template.row_id) == row[4]);
        let Some(template) = template.filter(|template| had.contains(&template.row_id)) else { continue };
        for (cell, value) in row.iter().enumerate().filter(|(cell, _)| !template.is_locked(*cell)) {
            found.insert(format!("{} {cell}={value}", template.row_id));
        }
    }
    found
}

/// Whether a process has the rows of its template and, there and elsewhere, every value that is locked.
pub(crate) fn has_what_is_locked(property: &Property, process: &StoredProcess, host: &HostAddresses) -> bool {
    let mut locked = plain_fields().filter(|(place, _, _)| property.settings[*place].is_locked());
    let rows = stored_cells(Some(&field(process, "bind_info")));
    let has_row = |template: &bind::TemplateRow| {
        let row = rows.iter().find(|row| Json::Int(template.row_id) == row[4]);
        let fresh = template.fresh().cells(host);
        row.is_some_and(|row| (0..row.len()).all(|cell| !template.is_locked(cell) || row[cell] == fresh[cell]))
    };
    locked.all(|(place, _, _)| process.value(place) == property.settings[place].value)
        && rows.len() == property.bind.rows.len()
        && property.bind.rows.iter().all(has_row)
}

/// The template after an update that names everything: as the other, but for the name of its program.
pub(crate) fn changed_to(property: &Property, other: &Property) -> Property {
    property.updated(&sent(&other.json()), &FieldPath::root()).unwrap()
}

/// A setting with one of these values.
pub(crate) fn setting(values: &'static [&'static str]) -> impl Strategy<Value = String> {
    let locks =
        select(&["", r#","as_default_value":null"#, r#","as_default_value":false"#, r#","as_default_value":true"#][..]);
    (select(values), locks).prop_map(|(value, lock)| format!(r#"{{"value":{value}{lock}}}"#))
}

pub(crate) fn template_row() -> impl Strategy<Value = String> {
    let address = select(
        &[("null", "1"), ("\"\"", "3"), ("\"1\"", "2"), ("\"3\"", "1"), ("\"4\"", "1"), ("\"7\"", "4"), ("\"8\"", "3")]
            [..],
    );
    let lock = || select(&["", r#","as_default_value":true"#][..]);
    let locks = (lock(), lock(), lock());
    (address, setting(&["\"80\"", "\"80-90\"", "\"80,443\""]), setting(&["true", "false", "null"]), locks).prop_map(
        |((ip, protocol), port, enable, (ip_lock, protocol_lock, _))| {
            format!(
                r#""ip":{{"value":{ip}{ip_lock}}},"port":{port},"protocol":{{"value":"{protocol}"{protocol_lock}}},"enable":{enable}"#
            )
        },
    )
}

/// A setting of every plain field that a template may leave out.
pub(crate) fn plain_settings() -> impl Strategy<Value = Vec<String>> {
    let fields = plain_fields().filter(|(_, _, kind)| !matches!(kind, Kind::Needed(_)));
    let settings = fields.map(|(_, field, kind)| {
        let values = match kind {
            Kind::Int(..) => &["null", "1", "2"][..],
            Kind::Bool => &["null", "true", "false"],
            _ => &["null", "\"\"", "\"root\"", "\"two words\"", "\"\\\"q\\\" \\n\""],
        };
        setting(values).prop_map(move |setting| format!("\"{field}\":{setting}"))
    });
    settings.collect::<Vec<_>>()
}

prop_compose! {
    /// A property that has one of these names.
    pub(crate) fn property_of(names: &'static [&'static str], funcs: &'static [&'static str])(
        name in select(names),
        func in select(funcs),
        plain in plain_settings(),
        ids in prop::sample::subsequence(vec![1, 2, 3, 4], 0..=4).prop_shuffle(),
        rows in prop::collection::vec(template_row(), 4),
        lock in select(&["true", "false", "null"][..]),
        has_ports in any::<bool>(),
    ) -> Property {
        let plain = plain.join(",");
        let rows: Vec<_> = ids.iter().zip(rows).map(|(id, row)| format!(r#"{{"row_id":{id},{row}}}"#)).collect();
        let rows = if has_ports { format!("[{}]", rows.join(",")) } else { "null".into() };
        create(&format!(
            r#"{{"bk_func_name":{{"value":"{func}"}},"bk_process_name":{{"value":"{name}"}},{plain},
               "bind_info":{{"value":{rows},"as_default_value":{lock}}}}}"#
        )).unwrap()
    }
}

/// Any property of one program.
pub(crate) fn property() -> impl Strategy<Value = Property> {
    property_of(&["a", "b"], &["f"])
}

prop_compose! {
    /// The fields of an update that nothing is wrong with.
    pub(crate) fn request()(
        plain in plain_fields().map(|(_, field, kind)| {
            let values = match kind {
                Kind::Int(..) => &["null", "7"][..],
                Kind::Bool => &["null", "true"],
                Kind::Needed(_) => &["\"z\""],
                _ => &["null", "\"\"", "\"root\"", "\"other\""],
            };
            prop::option::weighted(0.4, select(values)).prop_map(move |value| (field, value))
        }).collect::<Vec<_>>(),
        rows in prop::option::of(prop::collection::vec((0..6_i64, select(&["1", "8000-8010"][..]), any::<bool>()), 0..4)),
    ) -> String {
        let mut out = JsonWriter::default();
        out.raw("{");
        for (field, value) in plain {
            if let Some(value) = value {
                out.key(field).raw(value);
            }
        }
        if let Some(rows) = rows {
            out.key("bind_info").raw("[");
            for (id, port, enable) in rows {
                out.separate().raw(&format!(
                    r#"{{"template_row_id":{id},"ip":"1.2.3.4","port":"{port}","protocol":"2","enable":{enable}}}"#
                ));
            }
            out.raw("]");
        }
        out.raw("}");
        out.finish()
    }
}

pub(crate) fn hosts() -> impl Strategy<Value = HostAddresses> {
    let other = HostAddresses { inner_v4: "10.9.9.9".into(), ..HostAddresses::default() };
    select(vec![host(), other, HostAddresses::default()])
}

pub(crate) fn any_host() -> impl Strategy<Value = HostAddresses> {
    let addresses = || select(&["", "10.0.0.1", ",10.0.0.1,9.9.9.9", "2001::8", "fe80::1"][..]);
    (addresses(), addresses(), addresses(), addresses()).prop_map(|(inner_v4, outer_v4, inner_v6, outer_v6)| {
        let [inner_v4, outer_v4, inner_v6, outer_v6] = [inner_v4, outer_v4, inner_v6, outer_v6].map(str::to_owned);
        HostAddresses { inner_v4, outer_v4, inner_v6, outer_v6 }
    })
}
