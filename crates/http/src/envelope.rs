//! The wrapping of an answer at each door (`gateway` 6.1).

use crate::language::Language;
use crate::number;
use rollcall_app::{OpError, Refusal, Reply, ResourceType};
use rollcall_domain::fault::{Cause, Failure, Fault, Reason};
use rollcall_domain::json::{JsonWriter, Malformed};
use rollcall_store::StoreError;

/// A way into the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Door {
    Esb,
    Gateway,
    Native,
}

impl Door {
    /// All doors.
    pub const ALL: [Door; 3] = [Door::Esb, Door::Gateway, Door::Native];

    /// The name in logs and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Esb => "esb",
            Self::Gateway => "gateway",
            Self::Native => "native",
        }
    }
}

/// What an answer says, before a door wraps it.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// 0: success.
    pub code: i64,
    pub message: String,
    /// JSON text: an object when a right is lacking, else `None`.
    pub permission: Option<String>,
    /// JSON text.
    pub data: String,
    /// Both spellings of code and message at the gateway door, as for every answer that no operation made (`gateway` 3.5).
    pub both_spellings: bool,
    /// What the log says and the caller must not read.
    pub hidden: Option<String>,
}

impl Outcome {
    /// A success.
    pub fn success(reply: Reply) -> Self {
        Self {
            code: 0,
            message: "success".into(),
            permission: None,
            data: reply.0,
            both_spellings: false,
            hidden: None,
        }
    }

    /// A failure with a number that no operation knows.
    pub fn refused(code: i64, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            permission: None,
            data: "null".into(),
            both_spellings: true,
            hidden: None,
        }
    }

    /// A failure of an operation.
    pub fn failed(failure: &Failure, language: Language) -> Self {
        Self {
            code: number::number(failure.primary().cause),
            message: number::message(failure, language),
            permission: None,
            data: failure.data().unwrap_or("null").to_owned(),
            both_spellings: false,
            hidden: None,
        }
    }

    /// However an operation ended without success; `reading`: it changes nothing.
    pub fn of_error(error: &OpError, reading: bool, language: Language) -> Self {
        match error {
            OpError::Failed(failure) => Self::failed(failure, language),
            OpError::Refused(refusal) => {
                let (code, english, chinese) = number::describe(Cause::NoPermission);
                Self { permission: Some(permission(refusal)), ..Self::refused(code, language.pick(english, chinese)) }
            }
            OpError::Store(error) => {
                let fault = match error {
                    StoreError::Busy | StoreError::Closed | StoreError::Conflict(_) => Fault::new(Cause::TooBusy, ""),
                    StoreError::OutcomeUnknown(_) => Fault::new(Cause::OutcomeUnknown, ""),
                    StoreError::Deadline(ms) => Fault::new(Cause::ReadTimeout, "").with(ms),
                    StoreError::TooLong(ms) => Fault::new(Cause::WriteTimeout, "").with(ms),
                    StoreError::Unavailable(_) if reading => Fault::new(Cause::StorageRead, ""),
                    StoreError::Unavailable(_) => Fault::new(Cause::StorageWrite, ""),
                    StoreError::Unreadable(_) => Fault::new(Cause::StoredUnreadable, ""),
                    StoreError::Unique(_) => Fault::new(Cause::Duplicate, ""),
                    StoreError::Defect(_) => Fault::new(Cause::Internal, ""),
                };
                Self { hidden: Some(error.to_string()), ..Self::failed(&fault.into(), language) }
            }
        }
    }

    /// With every fault in `data.errors` where the caller wants it so and the operation answers no data of its own: many clients of the
    /// original expect null there.
    pub fn with_errors(mut self, wanted: bool, error: &OpError, language: Language) -> Self {
        if let OpError::Failed(failure) = error
            && wanted
            && failure.data().is_none()
        {
            let mut out = JsonWriter::with_capacity(64 + failure.faults().len() * 128);
            out.raw("{\"errors\":[");
            for fault in failure.faults() {
                out.separate().raw("{\"path\":").text(fault.path.as_str());
                out.raw(",\"code\":").int(number::number(fault.cause));
                out.raw(",\"message\":").text(&number::sentence(fault, language)).raw("}");
            }
            out.raw("]}");
            self.data = out.finish();
        }
        self
    }

    /// A body that is not JSON.
    pub fn malformed(malformed: &Malformed, language: Language) -> Self {
        Self::failed(&malformed_fault(malformed).into(), language)
    }

    /// The body of the answer at a door.
    pub fn body(&self, door: Door, request_id: &str) -> String {
        let mut out = JsonWriter::with_capacity(self.data.len() + self.message.len() + 192);
        out.raw("{\"result\":").raw(if self.code == 0 { "true" } else { "false" });
        let native = door == Door::Native;
        if native {
            self.spell(&mut out, "bk_error_code", "bk_error_msg");
        }
        self.spell(&mut out, "code", "message");
        if door == Door::Gateway && self.both_spellings {
            self.spell(&mut out, "bk_error_code", "bk_error_msg");
        }
        out.key("permission").raw(self.permission.as_deref().unwrap_or("null"));
        if door == Door::Esb {
            out.key("request_id").text(request_id);
        }
        out.key("data").raw(&self.data).raw("}");
        out.finish()
    }

    fn spell(&self, out: &mut JsonWriter, code: &str, message: &str) {
        out.key(code).int(self.code).key(message).text(&self.message);
    }
}

fn malformed_fault(malformed: &Malformed) -> Fault {
    match malformed {
        Malformed::Syntax { line, column } => {
            Fault::new(Cause::BodyUndecodable, "").because(Reason::Syntax { line: *line, column: *column })
        }
        Malformed::TooDeep { limit } => {
            Fault::new(Cause::BodyUndecodable, "").because(Reason::TooDeep { limit: *limit })
        }
        Malformed::BadText { at } => {
            let cause = if is_filter(at.as_str()) { Cause::ParamInvalid } else { Cause::ParamUnusable };
            Fault::new(cause, at.clone()).because(Reason::BadText)
        }
    }
}

/// Whether a place is in what records are looked for by, not in a record.
fn is_filter(path: &str) -> bool {
    let field = path.split(['.', '[']).next().unwrap_or_default();
    matches!(field, "condition" | "search_key" | "selectors") || field.ends_with("filter") || field.ends_with("_cond")
}

const SYSTEM: &str = "\"system_id\":\"bk_cmdb\",\"system_name\":\"配置平台\"";

/// The rights to apply for, in the form of `gateway` 8.2.
fn permission(refusal: &Refusal) -> String {
    let mut out = JsonWriter::with_capacity(512);
    out.raw("{").raw(SYSTEM).raw(",\"actions\":[");
    for need in &refusal.needs {
        out.separate().raw("{\"id\":").text(need.action.wire());
        out.raw(",\"name\":").text(need.action.names().0).raw(",\"related_resource_types\":[");
        for (resource, node) in &need.resources {
            out.separate().raw("{").raw(SYSTEM);
            write_type(&mut out, *resource);
            if let Some((kind, id)) = node {
                out.raw(",\"instances\":[[{\"type\":").text(type_names(*kind).0);
                out.raw(",\"type_name\":").text(type_names(*kind).1);
                out.raw(",\"id\":\"").int(*id).raw("\",\"name\":\"\"}]]");
            }
            out.raw("}");
        }
        out.raw("]}");
    }
    out.raw("]}");
    out.finish()
}

fn write_type(out: &mut JsonWriter, kind: ResourceType) {
    let (id, name) = type_names(kind);
    out.raw(",\"type\":").text(id).raw(",\"type_name\":").text(name);
}

fn type_names(kind: ResourceType) -> (&'static str, &'static str) {
    match kind {
        ResourceType::Business => ("biz", "业务"),
        ResourceType::ServiceTemplate => ("biz_process_service_template", "服务模板"),
        ResourceType::SetTemplate => ("biz_set_template", "集群模板"),
        ResourceType::Host => ("host", "主机"),
        ResourceType::PoolDirectory => ("sys_resource_pool_directory", "主机池目录"),
        ResourceType::PoolHostDirectory => ("sys_host_rsc_pool_directory", "主机池主机"),
    }
}
