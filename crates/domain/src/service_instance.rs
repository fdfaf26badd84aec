//! Service instances: limits, names, the wire document (`instances` 1.1, §7).

use crate::bind_info::HostAddresses;
use crate::fault::{Cause, Fault, Reason};
use crate::id::{BusinessId, HostId, ModuleId, SUPPLIER_ACCOUNT, ServiceInstanceId};
use crate::json::{FieldPath, JsonWriter, Schema};
use crate::process::ProcessDraft;

/// The most instances one call of create_service_instance carries.
pub const MAX_PER_CALL: usize = 100;
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
    pub name: &'a str,
    pub user: &'a str,
    /// RFC 3339 text.
    pub time: &'a str,
}

impl NewServiceInstance<'_> {
    /// The wire document: an object without its closing brace, so that lists can add members.
    pub fn document(&self) -> String {
        let mut out = JsonWriter::with_capacity(384);
        out.raw("{").key("bk_biz_id").int(self.business_id.get()).key("id").int(self.id.get());
        out.key("name").text(self.name).key("labels").raw("null").key("service_template_id").int(0);
        out.key("bk_host_id").int(self.host_id.get()).key("bk_module_id").int(self.module_id.get());
        out.key("creator").text(self.user).key("modifier").text(self.user);
        out.key("create_time").text(self.time).key("last_time").text(self.time);
        out.key("bk_supplier_account").text(SUPPLIER_ACCOUNT);
        out.finish()
    }
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
    use crate::json::{Limits, parse};
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
    fn a_name_is_limited_in_bytes() {
        // instances E25
        let ok = |name: &str| check_name(name, FieldPath::root()).is_ok();
        assert!(ok(&"x".repeat(256)) && ok(" "));
        assert!(!ok(&"x".repeat(257)) && !ok(&"名".repeat(86)));
    }
}
