//! The gateway door: native paths behind a prefix, credentials in the header `X-Bkapi-Authorization` (`gateway` §3, direct mode).

use super::identity::{
    AppRefusal, UserRefusal, authorization_header, check_app, check_user, cookie_token, new_gateway_request_id,
    sent_request_id,
};
use super::native::route_name;
use super::{Asked, BodyRead, Heard};
use crate::answer::Answer;
use crate::envelope::{Door, Outcome};
use crate::language::Language;
use crate::number::CALLER_NOT_ACCEPTED;
use crate::routes::Found;
use crate::run::{Accepted, run};
use rollcall_app::Caller;
use rollcall_app::access::Access;
use rollcall_domain::json::JsonWriter;

/// An error of the gateway itself: status, number and name (`gateway` 3.3).
#[derive(Clone, Copy)]
struct OwnError(u16, i64, &'static str);

const INVALID_ARGS: OwnError = OwnError(400, 1_640_001, "INVALID_ARGS");
const API_NOT_FOUND: OwnError = OwnError(404, 1_640_401, "API_NOT_FOUND");
const BODY_SIZE_LIMIT_EXCEED: OwnError = OwnError(413, 1_641_301, "BODY_SIZE_LIMIT_EXCEED");

const URI_SIZE_LIMIT_EXCEED: OwnError = OwnError(414, 1_641_401, "URI_SIZE_LIMIT_EXCEED");

/// The answer to an error of the gateway itself: an envelope of its own, and headers that its clients look for.
fn own_answer(OwnError(status, code, name): OwnError, detail: &str) -> (Outcome, Answer) {
    let outcome = Outcome::refused(code, format!("{name} [reason=\"{detail}\"]"));
    let mut out = JsonWriter::with_capacity(192);
    out.raw("{").key("code").int(code).key("code_name").text(name).key("message").text(&outcome.message);
    out.key("result").raw("false").key("data").raw("null}");
    let answer = Answer::json(status, out.finish())
        .with("x-bkapi-error-code", &code.to_string())
        .with("x-bkapi-error-message", &outcome.message);
    (outcome, answer)
}

/// A request whose URI is longer than any operation needs.
pub(super) fn uri_too_long(asked: &Asked<'_>) -> Answer {
    asked.state.metrics.failed(URI_SIZE_LIMIT_EXCEED.1);
    own_answer(URI_SIZE_LIMIT_EXCEED, "the URI is too long").1.with("connection", "close")
}

/// Chinese unless the request asks for English.
pub(super) fn language(asked: &Asked<'_>) -> Language {
    asked.header("x-bkcmdb-language").map_or(Language::Chinese, Language::of)
}

/// Answers a request at this door.
pub(super) async fn answer(asked: &Asked<'_>, path: &str, body: BodyRead) -> Heard {
    let language = language(asked);
    let gateway_id = new_gateway_request_id();
    let request_id =
        sent_request_id(asked, &["x-request-id"]).map_or_else(|| gateway_id.replace('-', ""), str::to_owned);
    let ids = |answer: Answer| answer.with("x-bkapi-request-id", &gateway_id).with("x-request-id", &request_id);
    let own = |error: OwnError, detail: &str| {
        let (outcome, answer) = own_answer(error, detail);
        Heard::new(Door::Gateway, request_id.clone(), ids(answer), outcome)
    };
    let wrap = |outcome: Outcome| {
        let answer = ids(Answer::json(200, outcome.body(Door::Gateway, &request_id)));
        Heard::new(Door::Gateway, request_id.clone(), answer, outcome)
    };

    let found = asked.state.routes.native(asked.known_method(), path);
    let Found::Operation(operation, number, vars) = found else { return own(API_NOT_FOUND, &route_name(asked)) };
    if operation.gateway.is_none() {
        return own(API_NOT_FOUND, &route_name(asked));
    }
    let body = match body {
        BodyRead::Whole(body) => body,
        BodyRead::TooLarge => return own(BODY_SIZE_LIMIT_EXCEED, "the body is too large"),
        BodyRead::Broken => return own(INVALID_ARGS, "the body cannot be read"),
    };
    let credentials = match authorization_header(asked) {
        Ok(credentials) => credentials.unwrap_or_default(),
        Err(()) => return own(INVALID_ARGS, "X-Bkapi-Authorization must hold a JSON object"),
    };
    let directory = asked.state.directory();
    let app = match check_app(&directory, &credentials) {
        Ok(app) => app,
        Err(AppRefusal::NoSecret | AppRefusal::NoCode) => {
            return own(INVALID_ARGS, "X-Bkapi-Authorization must hold bk_app_code and bk_app_secret");
        }
        Err(AppRefusal::NotThisApp) => return own(INVALID_ARGS, "the app code or the app secret is wrong"),
    };
    let name_it = |mut heard: Heard, user: &str| {
        heard.operation = Some((number, operation.name));
        app.code.clone_into(&mut heard.app_code);
        user.clone_into(&mut heard.user);
        heard
    };
    let user = match check_user(&directory, &credentials, cookie_token(asked), app, (asked.state.clock)()) {
        Ok(user) => user,
        Err(refusal) => return name_it(wrap(Outcome::refused(CALLER_NOT_ACCEPTED, no_user(&refusal, language))), ""),
    };
    let input = match super::input(asked, operation, vars, &body, language) {
        Ok(input) => input,
        Err(outcome) => return name_it(wrap(outcome), &user.name),
    };
    let access = Access::of(&user.name, directory.grants(), asked.state.settings.protect_reads);
    let caller = Caller {
        user: user.name.clone(),
        verified: user.verified,
        app_code: app.code.clone(),
        request_id: request_id.clone(),
    };
    let outcome = run(
        asked.state,
        Accepted { operation, input, caller, access, language, full_errors: asked.wants_full_errors() },
    )
    .await;
    name_it(wrap(outcome), &user.name)
}

fn no_user(refusal: &UserRefusal, language: Language) -> &'static str {
    match refusal {
        UserRefusal::BadToken { .. } => language.pick("bk_token was sent and is not valid", "bk_token 无效"),
        UserRefusal::BadAccessToken => language.pick("access_token was sent and is not valid", "access_token 无效"),
        UserRefusal::AppMayNotName => {
            language.pick("this app may not name a user by bk_username", "该应用不能通过 bk_username 指定用户")
        }
        UserRefusal::BadName => language.pick("bk_username is not a user name", "bk_username 不是合法的用户名"),
        UserRefusal::Nothing => {
            language.pick("no user: send bk_token or bk_username", "缺少用户：请提供 bk_token 或 bk_username")
        }
    }
}
