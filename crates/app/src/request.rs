//! What requests have in common, whatever they are about: the business they name, how much a call may carry, how much is answered
//! without a page.

use crate::Context;
use rollcall_domain::fault::{Cause, Fault, Reason};
use rollcall_domain::id::BusinessId;

/// The business a request is about.
pub(crate) fn business_of(stated: i64) -> Result<BusinessId, Fault> {
    if stated > 0 { Ok(BusinessId(stated)) } else { Err(no_business()) }
}

/// Of a business that a request has to name and does not.
pub(crate) fn no_business() -> Fault {
    Fault::new(Cause::ParamInvalid, "bk_biz_id").because(Reason::Range { min: 1, max: i64::MAX })
}

/// Refuses a list of items that is empty, or longer than one call may carry. `what` names the call in the message.
pub(crate) fn check_count(
    path: &'static str,
    what: &'static str,
    count: usize,
    max: usize,
    empty: Cause,
) -> Result<(), Fault> {
    if count == 0 {
        return Err(Fault::new(empty, path).because(Reason::Blank));
    }
    check_most(path, what, count, max)
}

/// As [`check_count`], of a list that may be empty.
pub(crate) fn check_most(path: &'static str, what: &'static str, count: usize, max: usize) -> Result<(), Fault> {
    if count <= max {
        return Ok(());
    }
    Err(Fault::new(Cause::TooMany, path).named(what).with(max).because(Reason::TooMany { max }))
}

/// How many rows an answer may hold, unless there are more of them and no page was asked for (`design` §4).
pub(crate) fn bounded(context: &Context, field: &str, count: usize) -> Result<usize, Fault> {
    let max = context.limits.unpaged_rows;
    if count <= max {
        return Ok(max);
    }
    Err(Fault::new(Cause::PageIllegal, field).because(Reason::NeedsPage { max }))
}
