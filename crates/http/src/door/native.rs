//! The native door: `/api/v3/…` with identity headers, believed from trusted peers only (`gateway` §4).

use super::identity::{is_user_name, new_native_request_id, sent_request_id};
use super::{Asked, BodyRead, Heard};
use crate::answer::Answer;
use crate::envelope::{Door, Outcome};
use crate::language::Language;
use crate::routes::Found;
use crate::run::{Accepted, run};
use rollcall_app::Caller;
use rollcall_app::access::Access;
use rollcall_domain::fault::{Cause, Fault};
use subtle::ConstantTimeEq;

const USER_HEADERS: [&str; 2] = ["x-bkcmdb-user", "bk_user"];
const APP_HEADERS: [&str; 2] = ["x-bkcmdb-app-code", "bk-app-code"];
const LANGUAGE_HEADERS: [&str; 2] = ["x-bkcmdb-language", "http_blueking_language"];
const REQUEST_ID_HEADERS: [&str; 3] = ["x-request-id", "x-bkapi-request-id", "cc_request_id"];

/// Whether the peer's identity headers are believed.
fn trusts_peer(asked: &Asked<'_>) -> bool {
    let settings = &asked.state.settings;
    if settings.dev && asked.peer.is_loopback() {
        return true;
    }
    let token_fits = settings.proxy_token.as_ref().is_none_or(|token| {
        let sent = asked.header("x-rollcall-proxy-token").unwrap_or_default();
        bool::from(token.reveal().as_bytes().ct_eq(sent.as_bytes()))
    });
    settings.trusted_proxies.contains(&asked.peer) && token_fits
}

fn first<'a>(asked: &'a Asked<'_>, headers: &[&str]) -> Option<&'a str> {
    headers.iter().find_map(|name| asked.header(name))
}

fn user<'a>(asked: &'a Asked<'_>) -> Option<&'a str> {
    if trusts_peer(asked) { first(asked, &USER_HEADERS).filter(|name| is_user_name(name)) } else { None }
}

/// Whether a believed header says who calls.
pub(super) fn names_a_user(asked: &Asked<'_>) -> bool {
    user(asked).is_some()
}

/// Chinese unless the request asks for English.
pub(super) fn language(asked: &Asked<'_>) -> Language {
    first(asked, &LANGUAGE_HEADERS).map_or(Language::Chinese, Language::of)
}

/// Answers a request at this door.
pub(super) async fn answer(asked: &Asked<'_>, path: &str, body: BodyRead) -> Heard {
    let language = language(asked);
    let sent = if trusts_peer(asked) { sent_request_id(asked, &REQUEST_ID_HEADERS) } else { None };
    let request_id = sent.map_or_else(|| new_native_request_id((asked.state.clock)()), str::to_owned);
    let wrap = |status: u16, outcome: Outcome| {
        let answer = Answer::json(status, outcome.body(Door::Native, &request_id));
        // Releases before 3.14 return the second name.
        let answer = answer.with("x-request-id", &request_id).with("cc_request_id", &request_id);
        Heard::new(Door::Native, request_id.clone(), answer, outcome)
    };
    let fail = |status: u16, fault: Fault| wrap(status, Outcome::failed(&fault.into(), language));

    let Some(user) = user(asked) else { return fail(401, Fault::new(Cause::CallerMissing, "").named("user")) };
    let (operation, number, vars) = match asked.state.routes.native(asked.known_method(), path) {
        Found::Operation(operation, number, vars) => (operation, number, vars),
        Found::WrongMethod => return fail(405, Fault::new(Cause::RouteUnknown, "").named(route_name(asked))),
        Found::Nothing => return fail(404, Fault::new(Cause::RouteUnknown, "").named(route_name(asked))),
    };
    let name_it = |mut heard: Heard| {
        heard.operation = Some((number, operation.name));
        user.clone_into(&mut heard.user);
        heard
    };
    let body = match body {
        BodyRead::Whole(body) => body,
        BodyRead::TooLarge => return name_it(fail(413, Fault::new(Cause::BodyUnreadable, ""))),
        BodyRead::Broken => return name_it(fail(200, Fault::new(Cause::BodyUnreadable, ""))),
    };
    let input = match super::input(asked, operation, vars, &body, language) {
        Ok(input) => input,
        Err(outcome) => return name_it(wrap(200, outcome)),
    };
    let settings = &asked.state.settings;
    let access = if settings.dev {
        Access::unlimited(user)
    } else {
        Access::of(user, asked.state.directory().grants(), settings.protect_reads)
    };
    let app_code = first(asked, &APP_HEADERS).unwrap_or_default().to_owned();
    let caller = Caller { user: user.to_owned(), verified: true, app_code, request_id: request_id.clone() };
    let outcome = run(
        asked.state,
        Accepted { operation, input, caller, access, language, full_errors: asked.wants_full_errors() },
    )
    .await;
    name_it(wrap(200, outcome))
}

/// Method and path for a message.
pub(super) fn route_name(asked: &Asked<'_>) -> String {
    format!("{} {}", asked.method, rollcall_domain::fault::quoted(&asked.path))
}
