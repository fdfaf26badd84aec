//! A caller's free-form values of a business, set, module or host, made into the attributes of a stored document (`topology` 3.7).
//! Ids, references and stamps are the operation's: it adds them to what comes out here. Processes have rules of their own.

use crate::address::HostAddresses;
use crate::fault::{Cause, Fault, Reason, quoted};
use crate::id::SUPPLIER_ACCOUNT;
use crate::json::{FieldPath, Json, Object};
use crate::model::{Attribute, Kind, Model, TextRule, UsersForm, attributes};
use crate::moment::Zone;

const SHORT_TEXT_BYTES: usize = 256;
const LONG_TEXT_BYTES: usize = 2000;
const NAME_CHARACTERS: usize = 256;

/// The attributes of a new record in the order of the table: what the caller gave, checked and trimmed, and defaults for the rest.
/// Keys that are no attribute and attributes that the operation sets are left out. Reports everything that is wrong.
pub fn create(model: Model, given: &Object, at: &FieldPath) -> Result<Object, Vec<Fault>> {
    let mut record = Object::new();
    let mut faults = Vec::new();
    for attribute in attributes(model) {
        if attribute.by_server {
            // Switches start off; references and stamps come from the operation.
            if attribute.kind == Kind::Bool {
                record.insert(attribute.id, Json::Bool(false));
            }
            continue;
        }
        let value = match given.get(attribute.id) {
            Some(Json::Null) if attribute.null_is_default => Ok(default_of(attribute)),
            None if !attribute.required || attribute.null_is_default => Ok(default_of(attribute)),
            value => checked(attribute, value.unwrap_or(&Json::Null), &at.field(attribute.id)),
        };
        match value {
            Ok(value) => record.insert(attribute.id, value),
            Err(wrong) => faults.extend(wrong),
        }
    }
    if faults.is_empty() && model == Model::Host {
        faults.extend(host_without_identity(&record, at));
    }
    if faults.is_empty() { Ok(record) } else { Err(faults) }
}

/// A stored record with the attributes given. Only these are checked; those that are fixed once the record exists, and keys that
/// are no attribute, are ignored without a word.
pub fn update(model: Model, stored: &Object, given: &Object, at: &FieldPath) -> Result<Object, Vec<Fault>> {
    let mut record = stored.clone();
    let mut faults = Vec::new();
    for attribute in attributes(model).iter().filter(|attribute| attribute.editable && !attribute.by_server) {
        let Some(value) = given.get(attribute.id) else { continue };
        match checked(attribute, value, &at.field(attribute.id)) {
            Ok(value) => record.insert(attribute.id, value),
            Err(wrong) => faults.extend(wrong),
        }
    }
    if faults.is_empty() { Ok(record) } else { Err(faults) }
}

/// The members that a record has and the one before it has not, or with another value: what the audit tells of a change.
pub fn changed_fields(before: &Object, after: &Object) -> Object {
    let changed = after.iter().filter(|(key, value)| before.get(key) != Some(value));
    changed.map(|(key, value)| (key.to_owned(), value.clone())).collect()
}

/// The members that tell when and by whom a record was made; every new row gets all of them.
pub fn stamps(time: &str, user: &str) -> [(&'static str, Json); 7] {
    [
        ("create_time", time.into()),
        ("last_time", time.into()),
        ("bk_created_at", time.into()),
        ("bk_created_by", user.into()),
        ("bk_updated_at", time.into()),
        ("bk_updated_by", Json::Null),
        ("bk_supplier_account", SUPPLIER_ACCOUNT.into()),
    ]
}

/// The members that tell when and by whom a record was changed; every changed row gets all of them.
pub fn change_stamps(time: &str, user: &str) -> [(&'static str, Json); 3] {
    [("last_time", time.into()), ("bk_updated_at", time.into()), ("bk_updated_by", user.into())]
}

/// Puts members into a record, over older ones of the same key.
pub fn put(record: &mut Object, members: impl IntoIterator<Item = (&'static str, Json)>) {
    for (key, value) in members {
        record.insert(key, value);
    }
}

/// The document of a record in which these fields have become others.
pub fn changed_document(mut record: Object, fields: &Object, user: &str, time: &str) -> String {
    for (field, value) in fields.iter() {
        record.insert(field, value.clone());
    }
    put(&mut record, change_stamps(time, user));
    Json::Object(record).to_string()
}

/// The name of a set or a module, without the blanks around it.
pub fn node_name(name: &str, at: &FieldPath) -> Result<String, Vec<Fault>> {
    let name = name.trim();
    let refuse = |cause, reason| Err(vec![Fault::new(cause, at.clone()).because(reason)]);
    if name.is_empty() {
        return refuse(Cause::NotSet, Reason::Blank);
    }
    if name.chars().nth(NAME_CHARACTERS).is_some() {
        return refuse(Cause::ParamInvalid, Reason::TooManyCharacters { max: NAME_CHARACTERS });
    }
    if name.contains(NOT_IN_NODE_NAMES) {
        return refuse(Cause::ParamInvalid, Reason::Characters { value: quoted(name) });
    }
    Ok(name.to_owned())
}

/// The blanks are those of the original's regular expression: ASCII only.
const NOT_IN_NODE_NAMES: [char; 16] =
    ['\\', '|', '/', ':', '*', ',', '<', '>', '"', '?', '#', ' ', '\t', '\n', '\r', '\x0c'];

/// The name of a template, without the blanks around it (`templates` 5). Modules are called by it, so the rule is that of nodes.
pub fn template_name(name: &str, at: &FieldPath) -> Result<String, Fault> {
    let name = name.trim();
    let refuse = |reason| Err(Fault::new(Cause::ParamInvalid, at.clone()).because(reason));
    if name.is_empty() {
        refuse(Reason::Blank)
    } else if name.chars().nth(NAME_CHARACTERS).is_some() {
        refuse(Reason::TooManyCharacters { max: NAME_CHARACTERS })
    } else if name.contains(NOT_IN_NODE_NAMES) {
        refuse(Reason::Characters { value: quoted(name) })
    } else {
        Ok(name.to_owned())
    }
}

/// What a record without a value for the attribute gets.
fn default_of(attribute: &Attribute) -> Json {
    match attribute.kind {
        Kind::ShortText(_) | Kind::LongText | Kind::Addresses(_) | Kind::Users(UsersForm::Joined) => "".into(),
        Kind::Enum(choices) => choices.default.map_or(Json::Null, Json::from),
        Kind::Bool => Json::Bool(false),
        Kind::CloudArea => Json::Int(0),
        Kind::TimeZone => Zone::DEFAULT_NAME.into(),
        Kind::Int(_) | Kind::List(_) | Kind::Users(UsersForm::Text) | Kind::Time | Kind::BindRows => Json::Null,
    }
}

/// The value of an attribute as it is stored, or what is wrong with it.
pub fn checked(attribute: &Attribute, value: &Json, at: &FieldPath) -> Result<Json, Vec<Fault>> {
    let unusable = |reason| Err(vec![Fault::new(Cause::ParamUnusable, at.clone()).because(reason)]);
    let wrong_type = |want| unusable(Reason::WrongType { want, got: value.kind() });
    let blank = match value {
        Json::Null => true,
        Json::Text(text) => text.trim().is_empty(),
        _ => false,
    };
    if blank && attribute.required {
        return Err(vec![Fault::new(Cause::NotSet, at.clone()).because(Reason::Blank)]);
    }
    match attribute.kind {
        Kind::Addresses(family) => {
            return HostAddresses::parse(value, family, at).map(|addresses| addresses.to_string().into());
        }
        Kind::Users(UsersForm::Joined) => return joined_users(value, at),
        _ if *value == Json::Null => return Ok(Json::Null),
        _ => {}
    }
    match (attribute.kind, value) {
        (Kind::ShortText(TextRule::NodeName), Json::Text(text)) => node_name(text, at).map(Json::from),
        (Kind::ShortText(TextRule::AgentId), Json::Text(text)) => {
            let text = text.trim();
            if text.len() > 64 || !text.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
                return unusable(Reason::Characters { value: quoted(text) });
            }
            Ok(text.into())
        }
        (Kind::ShortText(TextRule::Any), Json::Text(text)) => short_enough(text, SHORT_TEXT_BYTES, at),
        (Kind::LongText | Kind::Users(_), Json::Text(text)) => short_enough(text, LONG_TEXT_BYTES, at),
        (Kind::Int(range), Json::Int(number)) => match range {
            Some((min, max)) if !(min..=max).contains(number) => unusable(Reason::Range { min, max }),
            _ => Ok(Json::Int(*number)),
        },
        (Kind::CloudArea, Json::Int(number)) => match number {
            0.. => Ok(Json::Int(*number)),
            _ => unusable(Reason::Range { min: 0, max: i64::MAX }),
        },
        (Kind::Enum(choices), Json::Text(text)) => {
            let id = text.trim();
            if choices.of.iter().any(|(choice, _)| *choice == id) {
                return Ok(id.into());
            }
            unusable(Reason::NoChoice { value: quoted(id), choices: choices.listed })
        }
        (Kind::List(texts), Json::Text(text)) => {
            let text = text.trim();
            if texts.contains(&text) {
                return Ok(text.into());
            }
            unusable(Reason::NoChoice { value: quoted(text), choices: "the texts of its option" })
        }
        (Kind::Bool, Json::Bool(flag)) => Ok(Json::Bool(*flag)),
        (Kind::TimeZone, Json::Text(text)) => {
            let name = text.trim();
            match Zone::named(name) {
                Some(_) => Ok(name.into()),
                None => unusable(Reason::NoChoice { value: quoted(name), choices: "names such as Asia/Shanghai" }),
            }
        }
        (Kind::Int(_) | Kind::CloudArea, _) => wrong_type("integer"),
        (Kind::Bool, _) => wrong_type("boolean"),
        (Kind::BindRows, _) => unusable(Reason::NeedsRows),
        _ => wrong_type("string"),
    }
}

fn short_enough(text: &str, max_bytes: usize, at: &FieldPath) -> Result<Json, Vec<Fault>> {
    let text = text.trim();
    if text.len() > max_bytes {
        return Err(vec![Fault::new(Cause::ParamUnusable, at.clone()).because(Reason::TooLong { max_bytes })]);
    }
    Ok(text.into())
}

/// Users of a host: a text or a list of texts, stored as one text.
fn joined_users(value: &Json, at: &FieldPath) -> Result<Json, Vec<Fault>> {
    let mut names = Vec::new();
    let mut faults = Vec::new();
    let mut wrong = |at: FieldPath, got: &Json| {
        let reason = Reason::WrongType { want: "string", got: got.kind() };
        faults.push(Fault::new(Cause::ParamUnusable, at).because(reason));
    };
    match value {
        Json::Null => {}
        Json::Text(text) => names.push(text.trim()),
        Json::List(elements) => {
            for (i, element) in elements.iter().enumerate() {
                match element {
                    Json::Text(text) => names.push(text.trim()),
                    other => wrong(at.index(i), other),
                }
            }
        }
        other => wrong(at.clone(), other),
    }
    if faults.is_empty() { short_enough(&names.join(","), LONG_TEXT_BYTES, at) } else { Err(faults) }
}

/// A host is known by an inner address; one whose address changes also by its agent (`topology` 9.1, 9.2).
fn host_without_identity(record: &Object, at: &FieldPath) -> Vec<Fault> {
    let blank = |field: &str| record.get(field).and_then(Json::as_text).is_none_or(str::is_empty);
    let not_set = |field: &str| Fault::new(Cause::NotSet, at.field(field)).because(Reason::Blank);
    let mut faults = Vec::new();
    if blank("bk_host_innerip") && blank("bk_host_innerip_v6") {
        faults.push(not_set("bk_host_innerip"));
    }
    if record.get("bk_addressing") == Some(&"dynamic".into()) && blank("bk_agent_id") {
        faults.push(not_set("bk_agent_id"));
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::{Limits, parse};
    use proptest::prelude::*;

    fn object(text: &str) -> Object {
        parse(text.as_bytes(), Limits::default()).unwrap().as_object().unwrap().clone()
    }

    fn made(model: Model, given: &str) -> String {
        Json::Object(create(model, &object(given), &FieldPath::root()).unwrap()).to_string()
    }

    fn wrong(faults: Vec<Fault>) -> Vec<(String, Cause)> {
        faults.into_iter().map(|fault| (fault.path.to_string(), fault.cause)).collect()
    }

    #[test]
    fn a_business_is_filled_as_in_the_recordings() {
        // Recording biz.create.
        assert_eq!(
            made(
                Model::Business,
                r#"{"bk_biz_name":"oracle_biz","bk_biz_maintainer":"admin","life_cycle":"2","language":"1","time_zone":"Asia/Shanghai"}"#
            ),
            concat!(
                r#"{"bk_biz_name":"oracle_biz","life_cycle":"2","bk_biz_maintainer":"admin","bk_biz_productor":null,"#,
                r#""bk_biz_tester":null,"bk_biz_developer":null,"operator":null,"time_zone":"Asia/Shanghai","language":"1"}"#
            )
        );
        // topology 5.2: the last two may be left out.
        let lenient = made(
            Model::Business,
            r#"{"bk_biz_name":" b ","bk_biz_maintainer":"admin","language":null,"default":1,"x":2}"#,
        );
        assert!(lenient.starts_with(r#"{"bk_biz_name":"b","life_cycle":"2""#), "{lenient}");
        assert!(lenient.ends_with(r#""time_zone":"Asia/Shanghai","language":"1"}"#), "{lenient}");
    }

    #[test]
    fn sets_and_modules_get_the_defaults_of_their_attributes() {
        // topology 6.1; ids and references are the operation's.
        assert_eq!(
            made(
                Model::Set,
                r#"{"bk_set_name":"set1","bk_parent_id":3,"bk_supplier_account":"0","bk_biz_id":3,"bk_capacity":null}"#
            ),
            concat!(
                r#"{"bk_set_name":"set1","bk_set_desc":"","bk_set_env":"3","bk_service_status":"1","description":"","#,
                r#""bk_capacity":null}"#
            )
        );
        // Recording module.create.default_category.
        assert_eq!(
            made(Model::Module, r#"{"bk_module_name":"m_default","bk_parent_id":5,"host_apply_enabled":true}"#),
            concat!(
                r#"{"bk_module_name":"m_default","bk_module_type":"1","operator":null,"bk_bak_operator":null,"#,
                r#""host_apply_enabled":false}"#
            )
        );
    }

    #[test]
    fn a_host_is_filled_as_in_the_recordings() {
        // Recording host.list_biz_hosts, whose fields are all there with these values.
        let host = create(
            Model::Host,
            &object(r#"{"bk_host_innerip":"10.0.0.1","bk_cloud_id":0,"bk_asset_id":"a1"}"#),
            &FieldPath::root(),
        );
        let host = host.unwrap();
        let recorded = object(
            r#"{"bk_asset_id":"a1","bk_bak_operator":"","bk_cloud_host_status":null,"bk_cloud_id":0,"bk_cloud_inst_id":"",
            "bk_cloud_vendor":null,"bk_comment":"","bk_cpu":null,"bk_cpu_architecture":"x86","bk_cpu_module":"","bk_disk":null,
            "bk_host_innerip":"10.0.0.1","bk_host_name":"","bk_host_outerip":"","bk_isp_name":null,"bk_mac":"","bk_mem":null,
            "bk_os_bit":"","bk_os_name":"","bk_os_type":null,"bk_os_version":"","bk_outer_mac":"","bk_province_name":null,
            "bk_service_term":null,"bk_sla":null,"bk_sn":"","bk_state":null,"bk_state_name":null,"import_from":null,"operator":""}"#,
        );
        for (field, value) in recorded.iter() {
            assert_eq!(host.get(field), Some(value), "{field}");
        }
        // What later releases added.
        for (field, value) in [
            ("bk_addressing", "static".into()),
            ("bk_agent_id", "".into()),
            ("bk_host_innerip_v6", "".into()),
            ("bk_cloud_host_identifier", Json::Bool(false)),
            ("bk_cloud_region", "".into()),
        ] {
            assert_eq!(host.get(field), Some(&value), "{field}");
        }
        assert!(host.get("create_time").is_none());
    }

    #[test]
    fn hosts_take_lists_and_nulls() {
        let given = r#"{"bk_host_innerip":["10.0.0.1","10.0.0.2"],"bk_host_innerip_v6":"::1","operator":["ann"," tom "],
            "bk_bak_operator":null,"bk_addressing":null,"bk_cloud_id":null,"bk_state_name":"CN","bk_province_name":"110000",
            "bk_state":"备用机","bk_service_term":10,"bk_agent_id":"0a","bk_cpu":null}"#;
        let host = create(Model::Host, &object(given), &FieldPath::root()).unwrap();
        for (field, value) in [
            ("bk_host_innerip", "10.0.0.1,10.0.0.2".into()),
            ("bk_host_innerip_v6", "0000:0000:0000:0000:0000:0000:0000:0001".into()),
            ("operator", "ann,tom".into()),
            ("bk_bak_operator", "".into()),
            ("bk_addressing", "static".into()),
            ("bk_cloud_id", Json::Int(0)),
            ("bk_cpu", Json::Null),
        ] {
            assert_eq!(host.get(field), Some(&value), "{field}");
        }
    }

    #[test]
    fn what_is_refused() {
        use Cause::{NotSet, ParamInvalid, ParamUnusable};
        let check = |model, given: &str, want: &[(&str, Cause)]| {
            let faults = create(model, &object(given), &"data".into()).unwrap_err();
            let want: Vec<_> = want.iter().map(|(field, cause)| (format!("data.{field}"), *cause)).collect();
            assert_eq!(wrong(faults), want, "{given}");
        };
        // Recordings biz.create.missing_name, set.create.empty_name.
        check(Model::Business, r#"{"bk_biz_maintainer":"admin"}"#, &[("bk_biz_name", NotSet)]);
        check(Model::Business, "{}", &[("bk_biz_name", NotSet), ("bk_biz_maintainer", NotSet)]);
        check(Model::Set, r#"{"bk_set_name":""}"#, &[("bk_set_name", NotSet)]);
        check(Model::Set, r#"{"bk_set_name":" \t"}"#, &[("bk_set_name", NotSet)]);
        check(Model::Set, r#"{"bk_set_name":null}"#, &[("bk_set_name", NotSet)]);
        // topology 17: 9.
        for name in ["a b", "a/b", "a\\\\b", "a|b", "a:b", "a*b", "a,b", "a<b", "a>b", "a\\\"b", "a?b", "a#b", "a\\tb"]
        {
            check(Model::Set, &format!("{{\"bk_set_name\":\"{name}\"}}"), &[("bk_set_name", ParamInvalid)]);
        }
        check(Model::Set, &format!("{{\"bk_set_name\":\"{}\"}}", "n".repeat(257)), &[("bk_set_name", ParamInvalid)]);
        check(Model::Set, r#"{"bk_set_name":7}"#, &[("bk_set_name", ParamUnusable)]);
        check(
            Model::Set,
            r#"{"bk_set_name":"s","bk_set_desc":1,"bk_set_env":"4","bk_service_status":1,"bk_capacity":0}"#,
            &[
                ("bk_set_desc", ParamUnusable),
                ("bk_set_env", ParamUnusable),
                ("bk_service_status", ParamUnusable),
                ("bk_capacity", ParamUnusable),
            ],
        );
        check(Model::Set, r#"{"bk_set_name":"s","bk_capacity":1.0}"#, &[("bk_capacity", ParamUnusable)]);
        check(Model::Set, r#"{"bk_set_name":"s","bk_capacity":"1"}"#, &[("bk_capacity", ParamUnusable)]);
        let long = |n: usize| format!(r#"{{"bk_set_name":"s","description":"{}"}}"#, "d".repeat(n));
        check(Model::Set, &long(2001), &[("description", ParamUnusable)]);
        assert!(create(Model::Set, &object(&long(2000)), &FieldPath::root()).is_ok());
        let business = |more: &str| format!(r#"{{"bk_biz_name":"b","bk_biz_maintainer":"a",{more}}}"#);
        check(Model::Business, &business(r#""time_zone":"Mars/Base""#), &[("time_zone", ParamUnusable)]);
        check(Model::Business, &business(r#""operator":["a"]"#), &[("operator", ParamUnusable)]);
        // topology 17: 24; recording host.add.bad_ip.
        check(Model::Host, r#"{"bk_host_innerip":"999.0.0.1"}"#, &[("bk_host_innerip", ParamUnusable)]);
        check(Model::Host, "{}", &[("bk_host_innerip", NotSet)]);
        let host = |more: &str| format!(r#"{{"bk_host_innerip":"10.0.0.1",{more}}}"#);
        check(Model::Host, &host(r#""bk_cloud_id":-1"#), &[("bk_cloud_id", ParamUnusable)]);
        check(Model::Host, &host(r#""bk_cloud_id":"0""#), &[("bk_cloud_id", ParamUnusable)]);
        check(Model::Host, &host(r#""bk_addressing":"dynamic""#), &[("bk_agent_id", NotSet)]);
        check(Model::Host, &host(r#""bk_agent_id":"a-b""#), &[("bk_agent_id", ParamUnusable)]);
        check(Model::Host, &host(r#""bk_state":"broken""#), &[("bk_state", ParamUnusable)]);
        check(Model::Host, &host(r#""operator":["a",1]"#), &[("operator[1]", ParamUnusable)]);
    }

    #[test]
    fn updates_touch_only_what_they_name_and_may_change() {
        let stored = object(
            r#"{"bk_host_id":1,"bk_host_innerip":"10.0.0.1","bk_asset_id":"a1","bk_sn":"s","import_from":null}"#,
        );
        // topology 17: 23; recording host.add.duplicate_ip: the asset id stays.
        let given = r#"{"bk_host_innerip":"10.9.9.9","bk_cloud_id":7,"bk_asset_id":"dup","bk_sn":" t ","import_from":"3","x":1,
            "create_time":"never","bk_host_id":9,"bk_cloud_host_identifier":true}"#;
        let updated = update(Model::Host, &stored, &object(given), &FieldPath::root()).unwrap();
        let want = object(
            r#"{"bk_host_id":1,"bk_host_innerip":"10.0.0.1","bk_asset_id":"a1","bk_sn":"t","import_from":null}"#,
        );
        assert_eq!(updated, want);
        let faults =
            update(Model::Host, &stored, &object(r#"{"bk_cpu":0,"bk_sla":"9","bk_sn":"ok"}"#), &"host_info.0".into());
        let want = [
            ("host_info.0.bk_sla".to_owned(), Cause::ParamUnusable),
            ("host_info.0.bk_cpu".to_owned(), Cause::ParamUnusable),
        ];
        assert_eq!(wrong(faults.unwrap_err()), want);
        let faults = update(Model::Module, &Object::new(), &object(r#"{"bk_module_name":""}"#), &FieldPath::root());
        assert_eq!(wrong(faults.unwrap_err()), [("bk_module_name".to_owned(), Cause::NotSet)]);
    }

    #[test]
    fn stamps_are_the_same_for_all_rows() {
        let mut record = Object::new();
        put(&mut record, stamps("T1", "ann"));
        put(&mut record, change_stamps("T2", "tom"));
        let want = concat!(
            r#"{"create_time":"T1","last_time":"T2","bk_created_at":"T1","bk_created_by":"ann","#,
            r#""bk_updated_at":"T2","bk_updated_by":"tom","bk_supplier_account":"0"}"#
        );
        assert_eq!(Json::Object(record).to_string(), want);
    }

    proptest! {
        /// What was stored can be sent back: a client that reads a record, changes one field and writes all of it must succeed.
        #[test]
        fn a_record_is_valid_input(name in "[a-z蓝_.-]{1,20}", note in "[ -~]{0,40}", capacity in prop::option::of(1..999_999_999_i64)) {
            let given = Object::from_iter([
                ("bk_set_name".to_owned(), Json::from(name)),
                ("description".to_owned(), Json::from(note)),
                ("bk_capacity".to_owned(), capacity.map_or(Json::Null, Json::Int)),
            ]);
            let once = create(Model::Set, &given, &FieldPath::root()).unwrap();
            prop_assert_eq!(&create(Model::Set, &once, &FieldPath::root()).unwrap(), &once);
            prop_assert_eq!(&update(Model::Set, &once, &once, &FieldPath::root()).unwrap(), &once);
        }
    }
}
