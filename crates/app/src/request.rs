//! What requests have in common, whatever they are about: the business they name, how much a call may carry, how much is answered
//! without a page.

use crate::access::{Granted, Right};
use crate::{Context, OpError};
use rollcall_domain::fault::{Cause, Failure, Fault, Reason};
use rollcall_domain::id::BusinessId;

/// The business a request is about.
pub(crate) fn business_of(stated: i64) -> Result<BusinessId, Fault> {
    if stated > 0 { Ok(BusinessId(stated)) } else { Err(no_business()) }
}

/// Of a business that a request has to name and does not.
pub(crate) fn no_business() -> Fault {
    Fault::new(Cause::ParamInvalid, "bk_biz_id").because(Reason::Range { min: 1, max: i64::MAX })
}

/// The proof of the right on the business that a request names; `None` if it names none. Asked before all else: a caller without the
/// right learns nothing, not even what is wrong with the request.
pub(crate) fn stated<R: Right>(context: &Context, business: Option<i64>) -> Result<Option<Granted<R>>, OpError> {
    business.map(|business| Ok(context.access.require(business_of(business)?)?)).transpose()
}

/// The same of a request whose number of the business is 0 when it names none; a number below says no more.
pub(crate) fn stated_by_number<R: Right>(context: &Context, business: i64) -> Result<Option<Granted<R>>, OpError> {
    stated(context, Some(business).filter(|business| *business > 0))
}

/// The proof of the right on a record's business, if the record is of the business that the request names, or it names none and the
/// caller has the right. To everybody else the record has to look absent.
pub(crate) fn granted_on<R: Right>(
    context: &Context,
    stated: Option<Granted<R>>,
    owner: BusinessId,
) -> Option<Granted<R>> {
    match stated {
        Some(granted) => Some(granted).filter(|granted| granted.business() == owner),
        None => context.access.find(owner),
    }
}

/// What stands for the business of a request, when neither it nor another thing that is needed is missing.
pub(crate) fn all_set<T>(business: Option<T>, needed: &[(&'static str, bool)]) -> Result<T, Failure> {
    let not_set = |field: &'static str| Fault::new(Cause::NotSet, field).because(Reason::Blank);
    let fields = std::iter::once(("bk_biz_id", business.is_some())).chain(needed.iter().copied());
    Failure::check(fields.filter(|(_, is_set)| !is_set).map(|(field, _)| not_set(field)).collect())?;
    business.ok_or_else(|| not_set("bk_biz_id").into())
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
