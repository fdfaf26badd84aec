//! What templates accept (`templates` 7), and the laws of following one (`templates` 10.2) over made-up templates and processes.

use super::made_up::*;
use super::*;
use crate::bind_info::{HostAddresses, stored_cells};
use crate::process::StoredProcess;
use proptest::prelude::*;

const NAMES: &str = r#""bk_func_name":{"value":"java"},"bk_process_name":{"value":"job"}"#;

fn with(more: &str) -> Result<Property, Vec<String>> {
    create(&format!("{{{NAMES},{more}}}"))
}

fn rows(json: &str) -> Result<Property, Vec<String>> {
    with(&format!(r#""bind_info":{{"value":[{json}],"as_default_value":true}}"#))
}

fn row(ip: &str, port: &str, protocol: &str) -> String {
    format!(r#"{{"ip":{{"value":{ip}}},"port":{{"value":{port}}},"protocol":{{"value":{protocol}}}}}"#)
}

fn value(property: &Property, field: &str) -> Json {
    tree(&property.json()).as_object().unwrap().get(field).unwrap().clone()
}

#[test]
fn names_are_needed_and_always_locked() {
    // templates E33, E34, invariant 21
    assert_eq!(create("{}"), Err(vec!["bk_func_name".into(), "bk_process_name".into()]));
    let property = create(
        r#"{"bk_func_name":{"value":" java ","as_default_value":false},"bk_process_name":{"value":"job"},"nope":1}"#,
    );
    let property = property.unwrap();
    assert_eq!(value(&property, "bk_func_name").to_string(), r#"{"value":"java","as_default_value":true}"#);
    assert_eq!(value(&property, "bk_process_name").to_string(), r#"{"value":"job","as_default_value":true}"#);
    assert_eq!(value(&property, "user").to_string(), r#"{"value":null,"as_default_value":null}"#);
    assert_eq!(value(&property, "bind_info").to_string(), r#"{"value":null,"as_default_value":null}"#);
}

#[test]
fn what_a_value_may_be() {
    // templates 7.1, E38 and defect 27: no template holds what no process could
    let long = |n: usize| format!("\"{}\"", "x".repeat(n));
    for (field, good, bad) in [
        ("proc_num", vec!["1".into(), "10000".into(), "null".into()], vec!["0".into(), "10001".to_string()]),
        ("priority", vec!["-100".into(), "10000".into()], vec!["-101".into(), "10001".into()]),
        ("timeout", vec!["1".into(), "10000".into()], vec!["0".into(), "10001".into()]),
        ("bk_start_check_secs", vec!["1".into(), "600".into()], vec!["0".into(), "601".into()]),
        ("user", vec![long(256), "\"\"".into(), "null".into()], vec![long(257)]),
        ("start_cmd", vec![long(2000)], vec![long(2001)]),
        ("auto_start", vec!["true".into(), "null".into()], vec![]),
        ("bk_process_name", vec![long(256)], vec![long(257), "\" \"".into(), "null".into()]),
    ] {
        for value in good {
            assert!(with(&format!(r#""{field}":{{"value":{value}}}"#)).is_ok(), "{field} {value}");
        }
        for value in bad {
            assert_eq!(with(&format!(r#""{field}":{{"value":{value}}}"#)), Err(vec![field.into()]), "{field} {value}");
        }
    }
    for wrong in [r#"{"proc_num":{"value":"3"}}"#, r#"{"user":{"value":1}}"#, r#"{"user":"x"}"#, r#"{"bind_info":[]}"#]
    {
        assert!(Decoder::decode::<PropertyIn>(tree(wrong), false).is_err(), "{wrong}");
    }
}

#[test]
fn which_rows_are_accepted() {
    // templates E35, E36
    for (ip, port, protocol, want) in [
        (r#""5""#, r#""80""#, r#""1""#, "ip"),
        (r#""3""#, r#""80""#, r#""4""#, "ip"),
        (r#""9""#, r#""80""#, r#""1""#, "ip"),
        (r#""127.0.0.1""#, r#""80""#, r#""1""#, "ip"),
        (r#""1""#, r#""80""#, r#""5""#, "protocol"),
        (r#""1""#, r#""80""#, "null", "protocol"),
    ] {
        let at = format!("bind_info.value[0].{want}");
        assert_eq!(rows(&row(ip, port, protocol)), Err(vec![at]), "{ip} {port} {protocol}");
    }
    for port in ["0", "080", "65536", "90-80", "80,80", "80-90,85", "80,", "80 ,81", "", "-1", "a"] {
        let wrong = rows(&row("null", &format!("\"{port}\""), r#""1""#));
        assert_eq!(wrong, Err(vec!["bind_info.value[0].port".into()]), "{port}");
    }
    for port in ["80", "80-90", "80,443", "1-65535", "90,80-89", " 80 "] {
        assert!(rows(&row("null", &format!("\"{port}\""), r#""1""#)).is_ok(), "{port}");
    }
    assert_eq!(rows(&row("null", "null", r#""1""#)), Err(vec!["bind_info.value[0].port".into()]));
    assert!(rows(&row(r#""""#, r#""80""#, r#""3""#)).is_ok());
    assert!(rows(&row(r#""7""#, r#""80""#, r#""3""#)).is_ok());
}

#[test]
fn rows_without_an_id_get_one_that_no_row_has_had() {
    // templates E37, E60, defects 12 and 13
    let with_id =
        |id: i64| format!(r#"{{"row_id":{id},"ip":{{}},"port":{{"value":"80"}},"protocol":{{"value":"1"}}}}"#);
    let ids = |property: &Property| property.bind.rows.iter().map(|row| row.row_id).collect::<Vec<_>>();
    let list = |rows: &[i64]| rows.iter().map(|id| with_id(*id)).collect::<Vec<_>>().join(",");
    let property = rows(&list(&[0, 5, 0])).unwrap();
    assert_eq!((ids(&property), property.last_row_id()), (vec![6, 5, 7], 7));
    let update = |property: &Property, rows: &[i64]| {
        let json = format!(r#"{{"bind_info":{{"value":[{}]}}}}"#, list(rows));
        property.updated(&sent(&json), &FieldPath::root()).unwrap()
    };
    let fewer = update(&property, &[5]);
    assert_eq!((ids(&fewer), fewer.last_row_id()), (vec![5], 7));
    let again = Property::read(&fewer.json(), fewer.last_row_id()).unwrap();
    assert_eq!(ids(&update(&again, &[5, 0])), [5, 8]);
    for bad in [&[1, 1][..], &[-1], &[i64::MAX]] {
        assert_eq!(rows(&list(bad)).unwrap_err().len(), 1, "{bad:?}");
    }
}

#[test]
fn an_update_replaces_what_it_names() {
    // templates E40, E41
    let property =
        with(r#""user":{"value":"a","as_default_value":true},"proc_num":{"value":5,"as_default_value":true}"#);
    let property = property.unwrap();
    let update = |json: &str| property.updated(&sent(json), &FieldPath::root()).unwrap();
    let changed = update(r#"{"user":{"value":"x"},"proc_num":null,"bk_func_name":{"value":"other"}}"#);
    assert_eq!(value(&changed, "user").to_string(), r#"{"value":"x","as_default_value":null}"#);
    assert_eq!(value(&changed, "proc_num").to_string(), r#"{"value":null,"as_default_value":null}"#);
    assert_eq!(changed.keys().func_name, "java");
    assert_eq!(update("{}"), property);
    let renamed = update(r#"{"bk_process_name":{"value":"new","as_default_value":false}}"#);
    assert_eq!(value(&renamed, "bk_process_name").to_string(), r#"{"value":"new","as_default_value":true}"#);
    assert_eq!(update(r#"{"bk_process_name":{"value":"job"}}"#), property);
    let replaced = property.replaced(&sent(&format!("{{{NAMES}}}")), &FieldPath::root()).unwrap();
    assert_eq!(value(&replaced, "user").to_string(), r#"{"value":null,"as_default_value":null}"#);
    let nameless = faults_of(property.replaced(&sent("{}"), &FieldPath::root()));
    assert_eq!(nameless, Err(vec!["bk_process_name".into()]));
}

#[test]
fn blanks_around_a_text_are_told_or_taken_off() {
    // templates E31, defect 15
    let padded = sent(&format!(r#"{{{NAMES},"user":{{"value":" root"}}}}"#));
    let blanks = padded.outer_blanks(&FieldPath::of("spec"));
    assert_eq!(blanks.iter().map(|fault| fault.path.as_str()).collect::<Vec<_>>(), ["spec.user"]);
    let property = Property::create(&padded, &FieldPath::root()).unwrap();
    assert_eq!(value(&property, "user").as_object().unwrap().get("value"), Some(&"root".into()));
}

#[test]
fn a_fresh_process_takes_the_addresses_of_its_host() {
    // templates E44 to E47, defect 31
    let codes = |code: u8| if code > 4 { (code, "3") } else { (code, "1") };
    let all: Vec<_> = (1..=8)
        .map(codes)
        .map(|(code, protocol)| row(&format!("\"{code}\""), r#""80,90""#, &format!("\"{protocol}\"")))
        .collect();
    let process = placed(&rows(&all.join(",")).unwrap(), &host());
    let ips: Vec<_> = stored_cells(Some(&field(&process, "bind_info"))).into_iter().map(|row| row[1].clone()).collect();
    let want = ["127.0.0.1", "0.0.0.0", "10.0.0.1", "", "::1", "::", "fe80::1", "2001::8"];
    assert_eq!(ips, want.map(Json::from));
    let bare = placed(&rows(&row("null", r#""80,90""#, r#""1""#)).unwrap(), &HostAddresses::default());
    let text = r#"[{"enable":false,"ip":"","port":"80,90","protocol":"1","template_row_id":1}]"#;
    assert_eq!(field(&bare, "bind_info").to_string(), text);
    assert_eq!(field(&placed(&with(r#""user":{}"#).unwrap(), &host()), "bind_info"), Json::Null);
    assert_eq!(field(&bare, "user"), Json::Null);
}

#[test]
fn what_a_caller_may_change() {
    // templates E49 to E53, invariant 6
    let locked = r#"{"row_id":1,"ip":{"value":"1"},"port":{"value":"80"},"protocol":{"value":"1","as_default_value":true},
        "enable":{"value":true}}"#;
    let property = with(&format!(
        r#""user":{{"value":"u"}},"proc_num":{{"value":2,"as_default_value":true}},"timeout":{{"value":9}},
           "bind_info":{{"value":[{locked}]}}"#
    ));
    let property = property.unwrap();
    let process = placed(&property, &host());
    let edited = edit(&property, &process, r#"{"user":"root","proc_num":99999,"timeout":null}"#).unwrap();
    assert_eq!(
        ["user", "proc_num", "timeout", "bk_process_name"].map(|name| field(&edited, name)),
        ["root".into(), Json::Int(2), Json::Null, "job".into()]
    );
    let ports = |process: &StoredProcess| field(process, "bind_info").to_string();
    let own = r#"{"bind_info":[{"template_row_id":1,"ip":"0.0.0.0","port":"99","protocol":"7","enable":true},
        {"template_row_id":2,"port":"nonsense"}]}"#;
    let with_port = edit(&property, &process, own).unwrap();
    let want = r#"[{"enable":true,"ip":"0.0.0.0","port":"99","protocol":"1","template_row_id":1}]"#;
    assert_eq!(ports(&with_port), want);
    // Left out: unchanged (defect 1). Null and the empty list: as the template has it.
    assert_eq!(ports(&edit(&property, &with_port, r#"{"user":"x"}"#).unwrap()), want);
    for reset in [r#"{"bind_info":[]}"#, r#"{"bind_info":null}"#] {
        assert_eq!(ports(&edit(&property, &with_port, reset).unwrap()), ports(&process));
    }
    // The name of the row in older documents.
    let named = edit(&property, &process, r#"{"bind_info":[{"row_id":1,"port":"99","enable":true,"ip":"0.0.0.0"}]}"#);
    assert_eq!(ports(&named.unwrap()), want);
    let short = edit(&property, &process, r#"{"bind_info":[{"template_row_id":1,"port":"99"}]}"#);
    assert_eq!(short, Err(vec!["bind_info[0].enable".into()]));
    let bad =
        edit(&property, &process, r#"{"user":"x","bind_info":[{"template_row_id":1,"port":"9-8","enable":true}]}"#);
    assert_eq!(bad, Err(vec!["bind_info[0].port".into()]));
    // The ports of older releases are rows 1, 2, … (`design` §4).
    let legacy = edit(&property, &process, r#"{"bind_ip":"3","port":"8008,8443"}"#).unwrap();
    assert!(ports(&legacy).contains(r#""ip":"10.0.0.1","port":"8008""#), "{}", ports(&legacy));
}

#[test]
fn differences_are_told_by_field() {
    // templates E56 to E59, E61
    let of = |more: &str| with(more).unwrap();
    let before = of(r#""user":{"value":null,"as_default_value":true},"timeout":{"value":5},"start_cmd":{"value":"a"}"#);
    let process = placed(&before, &host());
    assert_eq!(before.differences(&process, &host()), []);
    let after = of(
        r#""user":{"value":"","as_default_value":true},"timeout":{"value":6},"start_cmd":{"value":"b","as_default_value":true},
           "bind_info":{"as_default_value":false,"value":[{"ip":{"as_default_value":true},"port":{"value":"80"},
           "protocol":{"value":"1"},"enable":{"as_default_value":true}}]}"#,
    );
    let found = after.differences(&process, &host());
    let told: Vec<_> =
        found.iter().map(|found| (found.field, found.is.to_string(), found.becomes.to_string())).collect();
    let row = r#"[{"enable":false,"ip":"","port":"80","protocol":"1","template_row_id":1}]"#;
    assert_eq!(
        told,
        [
            ("start_cmd", "\"a\"".into(), "\"b\"".into()),
            ("user", "null".into(), "\"\"".into()),
            ("bind_info", "null".to_string(), row.to_string()),
        ]
    );
    let followed = stored(&after.follow(&process, STAMP, &host()).unwrap());
    assert_eq!(field(&followed, "timeout"), Json::Int(5));
    assert_eq!(field(&followed, "last_time"), "later".into());
    // Null address and null flag, locked, come to rest (defect 2).
    assert_eq!(after.follow(&followed, STAMP, &host()), None);
}

#[test]
fn the_order_of_the_rows_does_not_count() {
    // templates E58
    let row = |id: i64, port: &str| {
        format!(
            r#"{{"row_id":{id},"ip":{{"value":"3","as_default_value":true}},"port":{{"value":"{port}"}},
               "protocol":{{"value":"1","as_default_value":true}},"enable":{{"value":true}}}}"#
        )
    };
    let property = rows(&[row(2, "80"), row(1, "443")].join(",")).unwrap();
    let fresh = placed(&property, &host());
    let in_order = r#"[{"enable":true,"ip":"10.0.0.1","port":"80","protocol":"1","template_row_id":2},{"enable":true,"ip":"10.0.0.1","port":"443","protocol":"1","template_row_id":1}]"#;
    assert_eq!(field(&fresh, "bind_info").to_string(), in_order);
    let unlocked = in_order.replace("443", "8443");
    let locked = unlocked.replacen(r#""protocol":"1""#, r#""protocol":"2""#, 1);
    for (is, becomes) in [(in_order, None), (&unlocked, None), (&locked, Some(&unlocked))] {
        for is_turned in [false, true] {
            let mut is = tree(is).as_list().unwrap().to_vec();
            if is_turned {
                is.reverse();
            }
            let process = stored(&with_rows(&fresh, |rows| rows.clone_from(&is)));
            let told: Vec<_> = property
                .differences(&process, &host())
                .into_iter()
                .map(|found| (found.field, found.is, found.becomes))
                .collect();
            let want: Vec<_> =
                becomes.iter().map(|becomes| ("bind_info", Json::List(is.clone()), tree(becomes))).collect();
            assert_eq!(told, want);
            assert_eq!(property.pattern().is_followed(&text_of(&process), &host()), Some(becomes.is_none()));
            // What is written has the order of the template again.
            let followed = property.follow(&process, STAMP, &host()).map(|new| field(&stored(&new), "bind_info"));
            assert_eq!(followed, becomes.map(|becomes| tree(becomes)));
        }
    }
}

#[test]
fn other_addresses_of_a_host_reach_the_rows_that_are_locked_to_them() {
    // templates 7.4, invariant 26, defects 30 and 31
    let cell = |ip: &str, lock: bool| format!(r#"{{"value":"{ip}","as_default_value":{lock}}}"#);
    let row = |id: i64, ip: String, protocol: &str| {
        format!(
            r#"{{"row_id":{id},"ip":{ip},"port":{{"value":"80"}},"protocol":{{"value":"{protocol}","as_default_value":true}}}}"#
        )
    };
    let all = [
        row(7, cell("4", true), "1"),
        row(3, cell("3", true), "1"),
        row(5, cell("4", false), "2"),
        row(2, cell("8", true), "3"),
        row(9, cell("2", true), "1"),
    ];
    let property = rows(&all.join(",")).unwrap();
    let ips = |process: &StoredProcess| {
        let rows = stored_cells(Some(&field(process, "bind_info")));
        rows.into_iter().map(|row| (row[4].as_int().unwrap(), row[1].as_text().unwrap().to_owned())).collect::<Vec<_>>()
    };
    let before = host();
    // The rows of the process stand in another order than those of the template, and one locked cell is not as it should be.
    let own = r#"{"bind_info":[{"template_row_id":5,"ip":"1.2.3.4","port":"81","enable":true}],"user":"x"}"#;
    let process = edit(&property, &placed(&property, &before), own).unwrap();
    let process = stored(&with_rows(&process, |rows| {
        rows.reverse();
        for row in rows {
            let Json::Object(row) = row else { unreachable!("a row") };
            row.insert("protocol", "2".into());
        }
    }));
    let after = HostAddresses { outer_v4: ",7.7.7.7,8.8.8.8".into(), outer_v6: "".into(), ..before.clone() };
    let (difference, new) = property.readdress(&process, STAMP, &before, &after).unwrap();
    let moved = stored(&new);
    let want = [(9, "0.0.0.0"), (2, ""), (5, "1.2.3.4"), (3, "10.0.0.1"), (7, "7.7.7.7")];
    assert_eq!(ips(&moved), want.map(|(id, ip)| (id, ip.to_owned())));
    assert_eq!((difference.field, &difference.becomes), ("bind_info", &field(&moved, "bind_info")));
    let protocols = stored_cells(Some(&difference.becomes)).into_iter().map(|row| row[3].clone());
    assert!(protocols.eq(vec![Json::from("2"); 5]), "only addresses are made to follow");
    // Whatever stands behind the first address, and other kinds, are nothing to these rows.
    let same_first = HostAddresses { outer_v4: "7.7.7.7".into(), inner_v6: "::2".into(), ..after.clone() };
    assert_eq!(property.readdress(&moved, STAMP, &after, &same_first), None);
    assert!(after.begin_otherwise(&same_first) && !after.begin_otherwise(&after));
    assert_eq!(rows("").unwrap().readdress(&moved, STAMP, &before, &after), None);
    // A process without rows gets none.
    let bare = placed(&with(r#""user":{}"#).unwrap(), &before);
    assert_eq!(property.readdress(&bare, STAMP, &before, &after), None);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    /// A stored property reads back as it was, and written back through an update it changes nothing (invariant 19).
    #[test]
    fn a_property_survives_the_store_and_the_wire(property in property()) {
        let read = Property::read(&property.json(), property.last_row_id()).unwrap();
        prop_assert_eq!(&read, &property);
        let echoed = property.updated(&sent(&property.json()), &FieldPath::root()).unwrap();
        prop_assert_eq!(&echoed, &property);
        prop_assert_eq!(property.replaced(&sent(&property.json()), &FieldPath::root()).unwrap(), property);
    }

    /// What comes from a template has no difference to it (invariant 9), and its rows are the template's (invariant 5).
    #[test]
    fn fresh_is_clean(property in property(), host in hosts()) {
        let process = placed(&property, &host);
        prop_assert_eq!(property.differences(&process, &host), vec![]);
        prop_assert_eq!(row_ids(&process), row_ids_of(&property));
    }

    /// A process follows any later template at once, once, and keeps what is its caller's (invariants 1 to 5, 20).
    #[test]
    fn following_ends_the_difference_and_keeps_what_is_not_locked(
        before in property(), after in property(), requests in prop::collection::vec(request(), 0..3),
        host in hosts(), moved in hosts(),
    ) {
        let mut process = placed(&before, &host);
        for request in &requests {
            process = edit(&before, &process, request).unwrap();
        }
        let differences = after.differences(&process, &moved);
        let is_followed = after.pattern().is_followed(&text_of(&process), &moved);
        prop_assert_eq!(is_followed, Some(differences.is_empty()));
        match after.follow(&process, STAMP, &moved) {
            None => prop_assert_eq!(differences, vec![]),
            Some(new) => {
                let followed = stored(&new);
                prop_assert!(!differences.is_empty());
                for (place, (name, kind)) in FIELDS.iter().enumerate().filter(|(_, (name, _))| *name != "last_time") {
                    let told = differences.iter().find(|found| found.place == place);
                    let is = told.map_or_else(|| process.value(place), |found| found.becomes.clone());
                    prop_assert_eq!(followed.value(place), is, "{}", name);
                    prop_assert!(told.is_none_or(|found| found.is != found.becomes || *kind == Kind::Bind));
                }
                prop_assert_eq!(after.differences(&followed, &moved), vec![]);
                prop_assert_eq!(after.follow(&followed, STAMP, &moved), None);
                let mut ids = (row_ids(&followed), row_ids_of(&after));
                ids.0.sort_unstable();
                ids.1.sort_unstable();
                prop_assert_eq!(ids.0, ids.1);
                prop_assert!(has_what_is_locked(&after, &followed, &moved));
                // What no lock holds is as it was; rows that came or went do not count.
                prop_assert_eq!(unlocked(&after, &followed, &process), unlocked(&after, &process, &process));
            }
        }
    }

    /// Other addresses of a host change the addresses of the rows that are locked to them, at once, once, and nothing else; a process
    /// that followed its template still does.
    #[test]
    fn readdressed_processes_say_the_new_addresses_and_nothing_else_changes(
        before in property(), after in property(), requests in prop::collection::vec(request(), 0..3),
        host in any_host(), moved in any_host(), is_same in any::<bool>(),
    ) {
        let template = if is_same { &before } else { &after };
        let mut process = placed(&before, &host);
        for request in &requests {
            process = edit(&before, &process, request).unwrap();
        }
        let followed = template.differences(&process, &host).is_empty();
        let new = template.readdress(&process, STAMP, &host, &moved);
        let changed = new.as_ref().map_or_else(|| process.clone(), |(_, new)| stored(new));
        let rows = |process: &StoredProcess| stored_cells(Some(&field(process, "bind_info")));
        let (was, is) = (rows(&process), rows(&changed));
        prop_assert_eq!(was.len(), is.len());
        let mut count = 0;
        for (was, is) in was.iter().zip(&is) {
            let row = template.bind.rows.iter().find(|row| Json::Int(row.row_id) == was[4]);
            let which = row.and_then(|row| row.locked_address()).filter(|which| host.first(*which) != moved.first(*which));
            let mut want = was.clone();
            if let Some(which) = which {
                want[1] = moved.first(which).into();
            }
            prop_assert_eq!(is, &want);
            count += usize::from(is != was);
        }
        prop_assert_eq!(new.is_some(), count > 0);
        prop_assert!(count == 0 || template.is_bound_to_other(&host, &moved));
        for (place, (name, _)) in FIELDS.iter().enumerate() {
            let may_change = matches!(*name, "bind_info" | "last_time");
            prop_assert!(may_change || process.value(place) == changed.value(place), "{}", name);
        }
        prop_assert_eq!(template.readdress(&changed, STAMP, &host, &moved), None);
        if followed {
            prop_assert_eq!(template.differences(&changed, &moved), vec![]);
        }
    }

    /// No update of a caller gets at what is locked: a process that follows its template still does afterwards (invariant 6).
    #[test]
    fn an_edited_process_still_follows(property in property(), requests in prop::collection::vec(request(), 1..4)) {
        let mut process = placed(&property, &host());
        for request in &requests {
            process = edit(&property, &process, request).unwrap();
            prop_assert_eq!(property.differences(&process, &host()), vec![]);
            prop_assert_eq!(row_ids(&process), row_ids_of(&property));
        }
    }
}
