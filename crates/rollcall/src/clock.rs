//! The one clock of the program. Everything else is told the time.

use rollcall_domain::moment::Moment;
use rollcall_http::Clock;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// The time now.
#[expect(clippy::disallowed_methods, reason = "this is the one clock")]
pub fn now() -> Moment {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Moment(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// The clock for those who ask again and again.
pub fn clock() -> Clock {
    Arc::new(now)
}
