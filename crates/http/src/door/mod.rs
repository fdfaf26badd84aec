//! The three doors: each finds out who calls, turns the request into an operation and its input, and wraps the outcome. Nothing
//! reaches an operation another way.

mod esb;
mod gateway;
mod identity;
mod native;

use crate::answer::Answer;
use crate::envelope::{Door, Outcome};
use crate::language::Language;
use crate::routes::NATIVE_PREFIX;
use crate::state::State;
use hyper::HeaderMap;
use hyper::body::Bytes;
use hyper::http::request::Parts;
use rollcall_app::{Input, Method, Operation, Weight};
use rollcall_domain::fault::{Cause, Failure, Fault};
use rollcall_domain::json::{Json, Limits, Object, parse};
use std::borrow::Cow;
use std::net::IpAddr;
use std::time::Instant;

/// A name that nobody else has: 32 hexadecimal digits.
pub(crate) fn new_name() -> String {
    identity::new_esb_request_id()
}

/// A request as the doors see it.
pub(crate) struct Asked<'a> {
    state: &'a State,
    peer: IpAddr,
    method: &'a hyper::Method,
    /// Without the query.
    path: Cow<'a, str>,
    query: Option<&'a str>,
    headers: &'a HeaderMap,
}

impl Asked<'_> {
    /// A header's text, if it is there and not empty.
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok().map(str::trim).filter(|text| !text.is_empty())
    }

    /// Whether every fault of a refused request is to stand in `data.errors`, see [`Outcome::with_errors`].
    fn wants_full_errors(&self) -> bool {
        self.header("x-rollcall-errors").is_some_and(|wanted| wanted.eq_ignore_ascii_case("full"))
    }

    fn known_method(&self) -> Option<Method> {
        match *self.method {
            hyper::Method::GET => Some(Method::Get),
            hyper::Method::POST => Some(Method::Post),
            hyper::Method::PUT => Some(Method::Put),
            hyper::Method::DELETE => Some(Method::Delete),
            _ => None,
        }
    }
}

/// How reading a body ended.
pub(crate) enum BodyRead {
    Whole(Bytes),
    TooLarge,
    Broken,
}

/// What a door has to say about a request, for the log and the measures.
pub(crate) struct Heard {
    pub(crate) answer: Answer,
    pub(crate) door: Door,
    /// The operation's number and name, once it is known.
    pub(crate) operation: Option<(usize, &'static str)>,
    pub(crate) code: i64,
    pub(crate) message: String,
    pub(crate) hidden: Option<String>,
    pub(crate) user: String,
    pub(crate) app_code: String,
    pub(crate) request_id: String,
}

impl Heard {
    fn new(door: Door, request_id: String, answer: Answer, outcome: Outcome) -> Self {
        Self {
            answer,
            door,
            operation: None,
            code: outcome.code,
            message: outcome.message,
            hidden: outcome.hidden,
            user: String::new(),
            app_code: String::new(),
            request_id,
        }
    }
}

/// Answers one request, whatever it is.
pub(crate) async fn answer(state: &State, peer: IpAddr, head: &Parts, body: BodyRead) -> Answer {
    let begun = Instant::now();
    let asked = asked(state, peer, head);
    if let Some(page) = crate::pages::answer(&asked_page(&asked), state).await {
        return page;
    }
    let heard = match way_in(&asked) {
        WayIn::Esb(path) => esb::answer(&asked, &path, body).await,
        WayIn::Gateway(path) => gateway::answer(&asked, &path, body).await,
        WayIn::Native(path) => native::answer(&asked, &path, body).await,
    };
    record(state, &heard, begun);
    heard.answer
}

/// Why a request is refused before any operation is looked for.
#[derive(Clone, Copy)]
pub(crate) enum Early {
    TooSlow,
    UriTooLong,
    HeadersTooLarge,
}

/// The answer to a request that no operation sees: nobody knows more about it than its door.
pub(crate) fn refuse_early(state: &State, peer: IpAddr, head: &Parts, why: Early) -> Answer {
    let asked = asked(state, peer, head);
    let (door, language) = match way_in(&asked) {
        WayIn::Esb(_) => (Door::Esb, esb::language(&asked)),
        WayIn::Gateway(_) => (Door::Gateway, gateway::language(&asked)),
        WayIn::Native(_) => (Door::Native, native::language(&asked)),
    };
    let (status, fault) = match why {
        Early::TooSlow => (200, Fault::new(Cause::TooBusy, "")),
        Early::UriTooLong if door == Door::Gateway => return gateway::uri_too_long(&asked),
        Early::UriTooLong => (414, Fault::new(Cause::InputInvalid, "").named("URI")),
        Early::HeadersTooLarge => (431, Fault::new(Cause::InputInvalid, "").named("headers")),
    };
    let outcome = Outcome::failed(&Failure::from(fault), language);
    state.metrics.failed(outcome.code);
    let path = rollcall_domain::fault::quoted(&asked.path);
    tracing::warn!(
        door = door.name(),
        path,
        status,
        "a request was refused before it was looked at: {}",
        outcome.message
    );
    Answer::json(status, outcome.body(door, &identity::new_esb_request_id())).with("connection", "close")
}

fn asked<'a>(state: &'a State, peer: IpAddr, head: &'a Parts) -> Asked<'a> {
    let path = collapse(head.uri.path());
    Asked { state, peer, method: &head.method, path, query: head.uri.query(), headers: &head.headers }
}

fn asked_page<'a>(asked: &'a Asked<'_>) -> crate::pages::Page<'a> {
    crate::pages::Page { method: asked.method, path: &asked.path }
}

/// Clients put hosts and paths together with a slash too many; repeated slashes count as one.
fn collapse(path: &str) -> Cow<'_, str> {
    if !path.contains("//") {
        return Cow::Borrowed(path);
    }
    let mut out = String::with_capacity(path.len());
    for c in path.chars() {
        if c != '/' || !out.ends_with('/') {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

enum WayIn {
    /// The operation's name.
    Esb(String),
    /// The path below the native prefix.
    Gateway(String),
    Native(String),
}

const ESB_PREFIX: &str = "/api/c/compapi/";

fn way_in(asked: &Asked<'_>) -> WayIn {
    let path = asked.path.as_ref();
    if let Some(rest) = path.strip_prefix(ESB_PREFIX) {
        return WayIn::Esb(rest.trim_matches('/').to_owned());
    }
    if let Some(rest) = below_gateway(asked) {
        return WayIn::Gateway(rest);
    }
    let rest = path.strip_prefix(NATIVE_PREFIX).filter(|rest| rest.starts_with('/')).unwrap_or("/").to_owned();
    // Clients that are set to the root URL send the gateway's header and nothing else.
    let from_gateway = asked.header("x-bkapi-authorization").is_some() && !native::names_a_user(asked);
    if from_gateway { WayIn::Gateway(rest) } else { WayIn::Native(rest) }
}

/// The path below the native prefix, if the request came to the gateway's prefix.
fn below_gateway(asked: &Asked<'_>) -> Option<String> {
    let mut rest = asked.path.strip_prefix('/')?;
    for expected in &asked.state.gateway_prefix {
        let (segment, tail) = rest.split_once('/').unwrap_or((rest, ""));
        if segment != expected && !(expected == "{stage}" && !segment.is_empty() && segment != "v3") {
            return None;
        }
        rest = tail;
    }
    let below = format!("/{rest}");
    Some(below.strip_prefix(NATIVE_PREFIX).filter(|path| path.starts_with('/')).unwrap_or("/").to_owned())
}

/// One line for every answer that was no success, and the measures.
fn record(state: &State, heard: &Heard, begun: Instant) {
    let time = begun.elapsed();
    let operation = heard.operation.map_or("-", |(_, name)| name);
    if let Some((number, _)) = heard.operation {
        state.way(number, heard.door).answered(time);
    }
    let door = heard.door.name();
    let (user, app, request_id, code) = (&heard.user, &heard.app_code, &heard.request_id, heard.code);
    let time_us = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    if code == 0 {
        tracing::debug!(request.id = %request_id, door, operation, user = %user, app = %app, time_us, "answered {operation}");
        return;
    }
    state.metrics.failed(code);
    let message = &heard.message;
    match &heard.hidden {
        Some(hidden) => {
            tracing::error!(request.id = %request_id, door, operation, user = %user, app = %app, code, time_us, cause = %hidden,
                "failed {operation}: {message}");
        }
        None => {
            tracing::info!(request.id = %request_id, door, operation, user = %user, app = %app, code, time_us,
                "refused {operation}: {message}");
        }
    }
}

/// The JSON object of a body; `null` and an empty body are `{}`.
fn read_object(state: &State, body: &Bytes, language: Language) -> Result<Object, Outcome> {
    let limits = Limits { depth: state.settings.limits.depth };
    match parse(body, limits) {
        Ok(Json::Object(object)) => Ok(object),
        Ok(Json::Null) => Ok(Object::new()),
        Ok(other) => {
            let reason = rollcall_domain::fault::Reason::WrongType { want: "object", got: other.kind() };
            Err(Outcome::failed(&Fault::new(Cause::BodyUndecodable, "").because(reason).into(), language))
        }
        Err(malformed) => Err(Outcome::malformed(&malformed, language)),
    }
}

/// The input of an operation at the native and the gateway door: body or query, with the path variables over it.
fn input(
    asked: &Asked<'_>,
    operation: &Operation,
    vars: Vec<(String, String)>,
    body: &Bytes,
    language: Language,
) -> Result<Input, Outcome> {
    let from_query = *asked.method == hyper::Method::GET;
    let mut dry_run = None;
    // Bodies on GET are accepted and ignored: a client in the field sends one.
    let mut fields = if from_query {
        query_fields(asked.query)
    } else {
        let mut fields = read_object(asked.state, body, language)?;
        // A record's account is the tenant, and there is one.
        fields.remove_ignoring_case("bk_supplier_account");
        let mut sent = query_fields(asked.query);
        if operation.weight == Weight::Write {
            let of_query = sent.remove(Input::DRY_RUN);
            dry_run = of_query.or(fields.remove(Input::DRY_RUN));
        }
        if !operation.query.is_empty() {
            for name in operation.query {
                if let Some(value) = sent.remove(name) {
                    fields.insert(*name, value);
                }
            }
        }
        fields
    };
    for (name, text) in vars {
        if name == "bk_supplier_account" {
            continue;
        }
        let text = percent_encoding::percent_decode_str(&text).decode_utf8_lossy().into_owned();
        let value = path_value(operation, &name, text).map_err(|fault| Outcome::failed(&fault.into(), language))?;
        fields.remove_ignoring_case(&name);
        fields.insert(name, value);
    }
    Ok(Input { fields, from_query, dry_run })
}

fn path_value(operation: &Operation, name: &str, text: String) -> Result<Json, Fault> {
    match operation.path_vars.iter().find(|var| var.name == name) {
        None => Ok(Json::Text(text)),
        Some(var) => match text.parse::<i64>() {
            Ok(number) => Ok(Json::Int(number)),
            Err(_) => Err(Fault::new(var.otherwise, name)),
        },
    }
}

/// The fields of a query string, all of them texts.
fn query_fields(query: Option<&str>) -> Object {
    form_fields(query.unwrap_or_default().as_bytes())
}

fn form_fields(form: &[u8]) -> Object {
    form_urlencoded::parse(form).map(|(key, value)| (key.into_owned(), Json::Text(value.into_owned()))).collect()
}
