//! The ESB door: `/api/c/compapi/v2/cc/<operation>/`, everything in one flat body, 200 for whatever an operation says
//! (`gateway` §2).

use super::identity::{
    AppRefusal, CREDENTIAL_KEYS, Credentials, UserRefusal, authorization_header, check_app, check_user, cookie,
    cookie_token, new_esb_request_id,
};
use super::{Asked, BodyRead, Heard, form_fields, query_fields};
use crate::answer::Answer;
use crate::envelope::{Door, Outcome};
use crate::language::Language;
use crate::run::{Accepted, run};
use rollcall_app::access::Access;
use rollcall_app::{Caller, EsbForm, Input, Operation, Weight};
use rollcall_domain::json::{Json, Limits, Malformed, Object, parse};

/// Authentication, forms, bad JSON.
const COMMON_ERROR: i64 = 1_306_000;
/// No operation of that name.
const COMPONENT_NOT_FOUND: i64 = 1_306_404;
/// A path variable is missing or no plain value; the authorization header is no JSON object.
const ARGUMENT_ERROR: i64 = 1_306_406;

/// English unless the request asks for Chinese: clients look for English words.
pub(super) fn language(asked: &Asked<'_>) -> Language {
    let asked_for = asked.header("blueking-language").or_else(|| cookie(asked, "blueking_language"));
    asked_for.map_or(Language::English, Language::of)
}

/// Answers a request at this door.
pub(super) async fn answer(asked: &Asked<'_>, path: &str, body: BodyRead) -> Heard {
    let language = language(asked);
    let request_id = new_esb_request_id();
    let wrap = |status: u16, outcome: Outcome| {
        let answer = Answer::json(status, outcome.body(Door::Esb, &request_id));
        Heard::new(Door::Esb, request_id.clone(), answer, outcome)
    };
    let refuse = |code: i64, message: &str| wrap(200, Outcome::refused(code, message));

    let is_get = *asked.method == hyper::Method::GET;
    let name = path.strip_prefix("v2/cc/").or_else(|| path.strip_prefix("cc/")).unwrap_or_default();
    let known = if is_get || *asked.method == hyper::Method::POST { asked.state.routes.esb(name) } else { None };
    let Some((operation, number)) = known else {
        return wrap(404, Outcome::refused(COMPONENT_NOT_FOUND, "no such operation, or not with this method"));
    };
    let name_it = |mut heard: Heard| {
        heard.operation = Some((number, operation.name));
        heard
    };
    let body = match body {
        BodyRead::Whole(body) => body,
        BodyRead::TooLarge => return name_it(wrap(413, Outcome::refused(COMMON_ERROR, "the body is too large"))),
        BodyRead::Broken => return name_it(refuse(COMMON_ERROR, "the body cannot be read")),
    };
    let parameters = match parameters(asked, is_get, &body) {
        Ok(parameters) => parameters,
        Err(malformed) => return name_it(refuse(COMMON_ERROR, &format!("the body is not acceptable: {malformed}"))),
    };
    let header = match authorization_header(asked) {
        Ok(header) => header.unwrap_or_default(),
        Err(()) => return name_it(refuse(ARGUMENT_ERROR, "X-Bkapi-Authorization must hold a JSON object")),
    };
    let mut credentials = header.or(Credentials::of(&parameters.fields));
    if credentials.username.is_none() && credentials.bk_token.is_none() {
        credentials.username = asked.header("x-bkapi-user-name").map(str::to_owned);
    }
    let directory = asked.state.directory();
    let app = match check_app(&directory, &credentials) {
        Ok(app) => app,
        Err(refusal) => return name_it(refuse(COMMON_ERROR, no_app(&refusal))),
    };
    let user = match check_user(&directory, &credentials, cookie_token(asked), app, (asked.state.clock)()) {
        Ok(user) => user,
        Err(refusal) => {
            let mut heard = name_it(refuse(COMMON_ERROR, no_user(&refusal)));
            app.code.clone_into(&mut heard.app_code);
            return heard;
        }
    };
    let name_it = |mut heard: Heard| {
        app.code.clone_into(&mut heard.app_code);
        user.name.clone_into(&mut heard.user);
        name_it(heard)
    };
    let input = match to_input(operation, parameters) {
        Ok(input) => input,
        Err((code, message)) => return name_it(refuse(code, &message)),
    };
    let access = Access::of(&user.name, directory.grants(), asked.state.settings.protect_reads);
    let caller = Caller {
        user: user.name.clone(),
        verified: user.verified,
        app_code: app.code.clone(),
        request_id: request_id.clone(),
    };
    name_it(wrap(
        200,
        run(
            asked.state,
            Accepted { operation, input, caller, access, language, full_errors: asked.wants_full_errors() },
        )
        .await,
    ))
}

/// Query on GET; a body that begins with a brace is JSON whatever its type says; anything else is a form.
fn parameters(asked: &Asked<'_>, is_get: bool, body: &[u8]) -> Result<Input, Malformed> {
    if is_get {
        return Ok(Input { fields: query_fields(asked.query), from_query: true, dry_run: None });
    }
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Ok(Input { fields: form_fields(body), from_query: true, dry_run: None });
    }
    let limits = Limits { depth: asked.state.settings.limits.depth };
    let fields = match parse(body, limits)? {
        Json::Object(fields) => fields,
        _ => Object::new(),
    };
    Ok(Input { fields, from_query: false, dry_run: None })
}

/// The operation's input: without credentials, path variables checked, hand-made forms unfolded (`gateway` 2.6, 2.7).
fn to_input(operation: &Operation, parameters: Input) -> Result<Input, (i64, String)> {
    let Input { mut fields, mut from_query, .. } = parameters;
    let dry_run = match operation.weight {
        Weight::Write => fields.remove(Input::DRY_RUN),
        _ => None,
    };
    for key in CREDENTIAL_KEYS {
        fields.remove(key);
    }
    fields.remove("bk_supplier_account");
    match operation.esb.unwrap_or(EsbForm::Body) {
        EsbForm::Body => {
            for name in path_variables(operation) {
                let value = fields.remove_ignoring_case(name);
                let value = value.ok_or_else(|| (ARGUMENT_ERROR, format!("{name} is required")))?;
                fields.insert(name, path_value(operation, name, value)?);
            }
        }
        EsbForm::Keys { keys, needed } => {
            for name in &keys[..needed] {
                check_needed(operation, &mut fields, name)?;
            }
            fields = keys.iter().filter_map(|key| Some(((*key).to_owned(), fields.remove(key)?))).collect();
            // These forms take digits for integers.
            from_query = true;
        }
        EsbForm::Data { ids } => {
            for name in ids {
                check_needed(operation, &mut fields, name)?;
            }
            let mut record = match fields.remove("data") {
                Some(Json::Object(record)) => record,
                None | Some(Json::Null) => return Err((COMMON_ERROR, "data is required".into())),
                Some(_) => return Err((COMMON_ERROR, "data must be an object".into())),
            };
            record.remove("bk_supplier_account");
            for name in ids {
                record.insert(*name, fields.remove(name).unwrap_or(Json::Null));
            }
            fields = record;
        }
    }
    Ok(Input { fields, from_query, dry_run })
}

/// The variables of the documented way, but for the account.
fn path_variables(operation: &Operation) -> impl Iterator<Item = &'static str> {
    let path = operation.routes.first().map_or("", |route| route.path);
    let names = path.split('/').filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'));
    names.filter(|name| *name != "bk_supplier_account")
}

/// A path variable: an integer, or a text without anything that means something in a path.
fn path_value(operation: &Operation, name: &str, value: Json) -> Result<Json, (i64, String)> {
    let wrong = || (ARGUMENT_ERROR, format!("{name} is not usable in a path"));
    let is_number = operation.path_vars.iter().any(|var| var.name == name);
    match value {
        Json::Int(number) => Ok(Json::Int(number)),
        Json::Text(text) => {
            let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b':' | b'-');
            if text.is_empty() || text.len() > 128 || !text.bytes().all(plain) {
                return Err(wrong());
            }
            match text.parse() {
                Ok(number) if is_number => Ok(Json::Int(number)),
                Err(_) if is_number => Err(wrong()),
                _ => Ok(Json::Text(text)),
            }
        }
        _ => Err(wrong()),
    }
}

/// A key of a hand-made form that must be there; ids may be digits.
fn check_needed(operation: &Operation, fields: &mut Object, name: &str) -> Result<(), (i64, String)> {
    let is_number = operation.path_vars.iter().any(|var| var.name == name);
    match fields.get(name) {
        None | Some(Json::Null) => Err((COMMON_ERROR, format!("{name} is required"))),
        Some(Json::Text(text)) if is_number => match text.parse::<i64>() {
            Ok(number) => {
                fields.insert(name, Json::Int(number));
                Ok(())
            }
            Err(_) => Err((COMMON_ERROR, format!("{name} must be an integer"))),
        },
        Some(value) if is_number && value.as_int().is_none() => {
            Err((COMMON_ERROR, format!("{name} must be an integer")))
        }
        Some(_) => Ok(()),
    }
}

fn no_app(refusal: &AppRefusal) -> &'static str {
    match refusal {
        AppRefusal::NoSecret => "app credentials missing: send bk_app_code and bk_app_secret",
        AppRefusal::NoCode => "bk_app_code is required",
        AppRefusal::NotThisApp => "app authentication failed",
    }
}

fn no_user(refusal: &UserRefusal) -> &'static str {
    match refusal {
        UserRefusal::BadToken { beside_username: true } => {
            "bk_token was sent and is not valid; leave it out to use bk_username"
        }
        UserRefusal::BadToken { beside_username: false } => "bk_token was sent and is not valid",
        UserRefusal::BadAccessToken => "access_token was sent and is not valid",
        UserRefusal::BadName => "bk_username is not a user name",
        UserRefusal::AppMayNotName => {
            "user authentication failed: this app may not name its user by bk_username, send bk_token"
        }
        UserRefusal::Nothing => "user authentication failed: send bk_token, or bk_username from an allowed app",
    }
}
