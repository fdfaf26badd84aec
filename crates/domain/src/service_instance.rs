//! Service instances: limits, names, the wire document (`instances` 1.1, §7).

use crate::bind_info::HostAddresses;
use crate::fault::{Cause, Fault, Reason, quoted};
use crate::id::{BusinessId, HostId, ModuleId, SUPPLIER_ACCOUNT, ServiceInstanceId};
use crate::json::{FieldPath, Json, JsonWriter, Limits, Object, Schema, parse};
use crate::process::ProcessDraft;

/// The most instances one call of create_service_instance carries.
pub const MAX_PER_CALL: usize = 100;
/// The most instances one call renames.
pub const MAX_RENAMED_PER_CALL: usize = 100;
/// The most instances one call removes.
pub const MAX_DELETED_PER_CALL: usize = 500;
/// The most processes inside the instances of one call.
pub const MAX_PROCESSES_PER_CALL: usize = 10_000;
/// The longest name a caller may give, in bytes.
pub const MAX_NAME_BYTES: usize = 256;

/// Checks a name that a caller gave. It is kept as it is: not trimmed, any characters (`instances E25`, `E26`).
pub fn check_name(name: &str, at: FieldPath) -> Result<(), Fault> {
    if name.len() <= MAX_NAME_BYTES {
        return Ok(());
    }
    Err(Fault::new(Cause::ParamInvalid, at).because(Reason::TooLong { max_bytes: MAX_NAME_BYTES }))
}

/// The name of an instance that was given none: `<addresses>[_<alias>][_<port>]` of its first process. It never changes later.
pub fn generated_name(host: &HostAddresses, first: Option<&ProcessDraft>) -> String {
    let mut name = host.name_prefix().to_owned();
    if let Some(process) = first {
        name.push('_');
        name.push_str(process.name());
        if let Some(port) = process.first_port() {
            name.push('_');
            name.push_str(port);
        }
    }
    name
}

/// A service instance as it is made.
#[derive(Debug, Clone, Copy)]
pub struct NewServiceInstance<'a> {
    pub id: ServiceInstanceId,
    pub business_id: BusinessId,
    pub module_id: ModuleId,
    pub host_id: HostId,
    /// 0: the instance follows no template.
    pub service_template_id: i64,
    pub name: &'a str,
    pub user: &'a str,
    /// RFC 3339 text.
    pub time: &'a str,
}

impl NewServiceInstance<'_> {
    /// The stored document: the wire object without its labels and its closing brace, see [`whole_document`].
    pub fn document(&self) -> String {
        let mut out = JsonWriter::with_capacity(384);
        out.raw("{").key("bk_biz_id").int(self.business_id.get()).key("id").int(self.id.get());
        out.key("name").text(self.name).key("service_template_id");
        out.int(self.service_template_id);
        out.key("bk_host_id").int(self.host_id.get()).key("bk_module_id").int(self.module_id.get());
        out.key("creator").text(self.user).key("modifier").text(self.user);
        out.key("create_time").text(self.time).key("last_time").text(self.time);
        out.key("bk_supplier_account").text(SUPPLIER_ACCOUNT);
        out.finish()
    }
}

/// The wire object of a stored document and the JSON text of its labels.
pub fn whole_document(document: &str, labels: Option<&str>) -> String {
    let mut out = JsonWriter::with_capacity(document.len() + 16 + labels.map_or(4, str::len));
    write_document(&mut out, document, labels);
    out.raw("}");
    out.finish()
}

/// The same into an answer, still without its closing brace, so that lists can add members.
pub fn write_document(out: &mut JsonWriter, document: &str, labels: Option<&str>) {
    out.raw(document).raw(",\"labels\":").raw(labels.unwrap_or("null"));
}

/// The name in one `update` of a renaming: the only member it may have.
pub fn read_new_name<'a>(update: &'a Object, at: &FieldPath) -> Result<&'a str, Fault> {
    if let Some((key, _)) = update.iter().find(|(key, _)| *key != "name") {
        return Err(Fault::new(Cause::ParamInvalid, at.field(&quoted(key))).because(Reason::UnknownKey));
    }
    let at = at.field("name");
    let bad = |reason| Err(Fault::new(Cause::ParamInvalid, at.clone()).because(reason));
    match update.get("name") {
        None | Some(Json::Null) => bad(Reason::Blank),
        Some(Json::Text(name)) if name.is_empty() => bad(Reason::Blank),
        Some(Json::Text(name)) => check_name(name, at).map(|()| name.as_str()),
        Some(_) => bad(Reason::NeedsText),
    }
}

/// A stored document with another name; `None` when the text is none.
pub fn renamed_document(document: &str, name: &str, user: &str, time: &str) -> Option<String> {
    changed_document(document, ("name", name.into()), user, time)
}

/// A stored document that follows no template any more; `None` when the text is none.
pub fn unbound_document(document: &str, user: &str, time: &str) -> Option<String> {
    changed_document(document, ("service_template_id", Json::Int(0)), user, time)
}

fn changed_document(document: &str, changed: (&str, Json), user: &str, time: &str) -> Option<String> {
    let whole = format!("{document}}}");
    let Ok(Json::Object(mut members)) = parse(whole.as_bytes(), Limits::default()) else { return None };
    for (key, value) in [changed, ("modifier", user.into()), ("last_time", time.into())] {
        members.insert(key, value);
    }
    let mut out = JsonWriter::with_capacity(document.len() + 64);
    out.raw("{");
    for (key, value) in members.iter() {
        out.key(key).value(value);
    }
    Some(out.finish())
}

/// The shape of a service instance in answers, with further members behind it.
pub fn schema<const N: usize>(more: [(&'static str, Schema); N]) -> Schema {
    let Schema::Object(mut fields) = Schema::object([
        ("bk_biz_id", Schema::Integer),
        ("id", Schema::Integer),
        ("name", Schema::Text),
        ("labels", Schema::Object(Vec::new()).or_null()),
        ("service_template_id", Schema::Integer),
        ("bk_host_id", Schema::Integer),
        ("bk_module_id", Schema::Integer),
        ("creator", Schema::Text),
        ("modifier", Schema::Text),
        ("create_time", Schema::Time),
        ("last_time", Schema::Time),
        ("bk_supplier_account", Schema::Text),
    ]) else {
        unreachable!("an object schema is an object")
    };
    if let Schema::Object(more) = Schema::object(more) {
        fields.extend(more);
    }
    Schema::Object(fields)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::read_draft;

    /// `instances E27` to `E32`, the ruling on legacy ports of `design` §4.
    #[test]
    fn names_are_made_of_addresses_alias_and_first_port() {
        let check = |v4: &str, v6: &str, process: &str, want: &str| {
            let host = HostAddresses { inner_v4: v4.into(), inner_v6: v6.into(), ..HostAddresses::default() };
            let record = parse(process.as_bytes(), Limits::default()).unwrap();
            let draft = read_draft(record.as_object().unwrap(), &FieldPath::root(), &mut Vec::new()).unwrap();
            assert_eq!(generated_name(&host, Some(&draft)), want);
        };
        let with = |more: &str| format!(r#"{{"bk_process_name":" nginx ","bk_func_name":"f"{more}}}"#);
        let row = r#","bind_info":[{"port":"80"}]"#;
        check("10.0.0.1", "", &with(row), "10.0.0.1_nginx_80");
        check("10.0.0.1", "", &with(""), "10.0.0.1_nginx");
        check("10.0.0.1", "", &with(r#","bind_info":[{},{"port":"8080-8090"}]"#), "10.0.0.1_nginx_8080-8090");
        check("10.0.0.1", "", &with(r#","bind_info":[{"enable":false,"port":"81"}]"#), "10.0.0.1_nginx_81");
        check("10.0.0.1,10.0.0.2", "", &with(row), "10.0.0.1,10.0.0.2_nginx_80");
        check("", "fe80::1", &with(row), "fe80::1_nginx_80");
        check("10.0.0.1", "", &with(r#","port":"8008,8443""#), "10.0.0.1_nginx_8008");
    }

    #[test]
    fn a_document_takes_labels_and_another_name() {
        let id = |id| (ServiceInstanceId(id), BusinessId(id), ModuleId(id), HostId(id));
        let (id, business_id, module_id, host_id) = id(7);
        let made = NewServiceInstance {
            id,
            business_id,
            module_id,
            host_id,
            service_template_id: 0,
            name: "a",
            user: "u",
            time: "t",
        }
        .document();
        let renamed = renamed_document(&made, "b\"", "other", "later").unwrap();
        let read = |text: String| parse(text.as_bytes(), Limits::default()).unwrap().as_object().unwrap().clone();
        let whole = read(whole_document(&renamed, Some(r#"{"k":"v"}"#)));
        let text = |key: &str| whole.get(key).and_then(Json::as_text);
        assert_eq!(
            ["name", "creator", "modifier", "create_time", "last_time"].map(text),
            [Some("b\""), Some("u"), Some("other"), Some("t"), Some("later")]
        );
        assert_eq!(whole.get("labels").unwrap().to_string(), r#"{"k":"v"}"#);
        assert_eq!(read(whole_document(&made, None)).get("labels"), Some(&Json::Null));
        assert_eq!(whole.len(), 12);
    }

    #[test]
    fn a_name_is_limited_in_bytes() {
        // instances E25
        let ok = |name: &str| check_name(name, FieldPath::root()).is_ok();
        assert!(ok(&"x".repeat(256)) && ok(" "));
        assert!(!ok(&"x".repeat(257)) && !ok(&"名".repeat(86)));
    }
}
