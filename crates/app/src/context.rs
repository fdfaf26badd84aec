//! Who calls, when, and with which rights: what every operation is handed.

use crate::access::Access;
use crate::preview::Preview;
use rollcall_domain::moment::{Moment, Zone};
use rollcall_store::audit::Actor;
use std::sync::Arc;

/// The caller of a request, as a door established them.
#[derive(Debug, Clone, PartialEq)]
pub struct Caller {
    pub user: String,
    /// Whether the user proved who they are, or an app said so for them.
    pub verified: bool,
    /// "" when no app is known.
    pub app_code: String,
    /// The id under which logs, audit and the answer speak of this request.
    pub request_id: String,
}

/// Everything around one request.
#[derive(Debug, Clone)]
pub struct Context {
    pub caller: Caller,
    pub now: Moment,
    /// The zone in which the store writes times.
    pub zone: Arc<Zone>,
    pub access: Access,
    pub limits: Limits,
    /// Names of models and built-in categories in English instead of Chinese.
    pub english: bool,
    /// The write is only tried: what it would leave behind is collected here.
    pub preview: Option<Preview>,
}

/// How much one answer may hold.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// Rows of a list that was asked without a page (1199059 beyond).
    pub unpaged_rows: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { unpaged_rows: 10_000 }
    }
}

impl Context {
    /// The time of the request as documents carry it.
    pub fn time_text(&self) -> String {
        self.zone.rfc3339(self.now)
    }

    /// Who the audit names.
    pub fn actor(&self) -> Actor<'_> {
        Actor {
            user: &self.caller.user,
            verified: self.caller.verified,
            app_code: &self.caller.app_code,
            request_id: &self.caller.request_id,
            time: self.now,
        }
    }
}
