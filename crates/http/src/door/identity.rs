//! Who calls: app and user from credentials, request ids.

use super::Asked;
use rollcall_app::directory::{App, Directory};
use rollcall_domain::json::{Json, Limits, Object, parse};
use rollcall_domain::moment::Moment;
use std::hash::{BuildHasher, RandomState};

/// Keys that name the caller in a body or a query. They never reach an operation. `operator` is none of them: hosts and modules
/// have an attribute of that name.
pub(super) const CREDENTIAL_KEYS: &[&str] = &[
    "bk_app_code",
    "app_code",
    "bk_app_secret",
    "app_secret",
    "bk_token",
    "bk_ticket",
    "bk_username",
    "username",
    "access_token",
    "bk_access_token",
    "bk_signature",
    "signature",
    "bk_nonce",
    "bk_timestamp",
    "__esb_skip_signature__",
    "__esb_skip_comp_perm__",
];

/// The longest app code and secret that are looked at.
const MAX_CODE: usize = 32;
const MAX_SECRET: usize = 128;
/// The longest user name.
const MAX_USER: usize = 64;

/// What a request says about its app and its user, as far as it says anything.
#[derive(Default)]
pub(super) struct Credentials {
    pub(super) app_code: Option<String>,
    pub(super) app_secret: Option<String>,
    pub(super) bk_token: Option<String>,
    pub(super) access_token: Option<String>,
    pub(super) username: Option<String>,
}

impl Credentials {
    /// From the members of an object; `bk_…` beats its alias, empty counts as absent.
    pub(super) fn of(object: &Object) -> Self {
        let text = |keys: &[&str]| {
            keys.iter().find_map(|key| object.get(key)?.as_text().filter(|text| !text.is_empty()).map(str::to_owned))
        };
        Self {
            app_code: text(&["bk_app_code", "app_code"]),
            app_secret: text(&["bk_app_secret", "app_secret"]),
            bk_token: text(&["bk_token"]),
            access_token: text(&["access_token", "bk_access_token"]),
            username: text(&["bk_username", "username"]),
        }
    }

    fn names_an_app(&self) -> bool {
        self.app_code.is_some() || self.app_secret.is_some()
    }

    fn names_a_user(&self) -> bool {
        self.bk_token.is_some() || self.access_token.is_some() || self.username.is_some()
    }

    /// These, and where they name no app or no user, the other's (`gateway` 2.2).
    pub(super) fn or(self, other: Self) -> Self {
        let (app, user) = (self.names_an_app(), self.names_a_user());
        let pick = |own: bool, mine: Option<String>, theirs: Option<String>| if own { mine } else { theirs };
        Self {
            app_code: pick(app, self.app_code, other.app_code),
            app_secret: pick(app, self.app_secret, other.app_secret),
            bk_token: pick(user, self.bk_token, other.bk_token),
            access_token: pick(user, self.access_token, other.access_token),
            username: pick(user, self.username, other.username),
        }
    }
}

/// The header `X-Bkapi-Authorization`: a JSON object; `Err` when it is something else.
pub(super) fn authorization_header(asked: &Asked<'_>) -> Result<Option<Credentials>, ()> {
    let Some(header) = asked.headers.get("x-bkapi-authorization") else { return Ok(None) };
    match parse(header.as_bytes(), Limits { depth: 8 }) {
        Ok(Json::Object(object)) if !header.is_empty() => Ok(Some(Credentials::of(&object))),
        _ => Err(()),
    }
}

/// Why no app is established.
pub(super) enum AppRefusal {
    /// Neither secret nor anything else that proves an app.
    NoSecret,
    NoCode,
    /// Unknown, or the secret is not one of its own: the caller is not told which.
    NotThisApp,
}

/// The app of the credentials.
pub(super) fn check_app<'d>(directory: &'d Directory, credentials: &Credentials) -> Result<&'d App, AppRefusal> {
    let secret = credentials.app_secret.as_deref().ok_or(AppRefusal::NoSecret)?;
    let code = credentials.app_code.as_deref().ok_or(AppRefusal::NoCode)?;
    if code.len() > MAX_CODE || secret.len() > MAX_SECRET {
        return Err(AppRefusal::NotThisApp);
    }
    directory.verify_app(code, secret).ok_or(AppRefusal::NotThisApp)
}

/// A user, and whether they proved it.
pub(super) struct User {
    pub(super) name: String,
    pub(super) verified: bool,
}

/// Why no user is established.
pub(super) enum UserRefusal {
    /// A token was sent and is not valid. It does not fall through to a weaker rule.
    BadToken {
        beside_username: bool,
    },
    BadAccessToken,
    /// An app that may not speak for its users named one.
    AppMayNotName,
    BadName,
    Nothing,
}

/// The user of the credentials: the first rule of `gateway` 2.4 that applies decides. `cookie` is a token from a browser.
pub(super) fn check_user(
    directory: &Directory,
    credentials: &Credentials,
    cookie: Option<&str>,
    app: &App,
    now: Moment,
) -> Result<User, UserRefusal> {
    if credentials.access_token.is_some() {
        return Err(UserRefusal::BadAccessToken);
    }
    let beside_username = credentials.username.is_some();
    if let Some(token) = credentials.bk_token.as_deref() {
        let name = directory.find_user_of_token(token, now).ok_or(UserRefusal::BadToken { beside_username })?;
        return Ok(User { name: name.to_owned(), verified: true });
    }
    if let Some(name) = cookie.and_then(|token| directory.find_user_of_token(token, now)) {
        return Ok(User { name: name.to_owned(), verified: true });
    }
    match credentials.username.as_deref() {
        None => Err(UserRefusal::Nothing),
        Some(_) if !app.login_free => Err(UserRefusal::AppMayNotName),
        Some(name) if !is_user_name(name) => Err(UserRefusal::BadName),
        Some(name) => Ok(User { name: name.to_owned(), verified: false }),
    }
}

/// 1 to 64 characters, none of them a control character.
pub(super) fn is_user_name(name: &str) -> bool {
    (1..=MAX_USER).contains(&name.chars().count()) && !name.chars().any(char::is_control)
}

/// The cookie `bk_token`, where a page of another site cannot have sent it (`gateway` 10.4).
pub(super) fn cookie_token<'a>(asked: &'a Asked<'_>) -> Option<&'a str> {
    let json = asked.header("content-type")?.split(';').next()?.trim().eq_ignore_ascii_case("application/json");
    let origin = asked.header("origin").or_else(|| asked.header("referer"));
    let allowed = origin.is_none_or(|origin| {
        asked.state.settings.allowed_origins.iter().any(|allowed| {
            origin.strip_prefix(allowed.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
    });
    if *asked.method != hyper::Method::POST || !json || !allowed {
        return None;
    }
    cookie(asked, "bk_token")
}

/// A cookie of the request.
pub(super) fn cookie<'a>(asked: &'a Asked<'_>, name: &str) -> Option<&'a str> {
    asked.headers.get_all("cookie").iter().filter_map(|header| header.to_str().ok()).find_map(|header| {
        header.split(';').find_map(|pair| pair.trim().split_once('=').filter(|(key, _)| *key == name).map(|(_, v)| v))
    })
}

/// A request id that a client sent, if it is one we repeat in logs and headers.
pub(super) fn sent_request_id<'a>(asked: &'a Asked<'_>, headers: &[&str]) -> Option<&'a str> {
    let fine = |id: &&str| {
        (1..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
    };
    headers.iter().find_map(|name| asked.header(name)).filter(fine)
}

/// Bits that do not repeat, for ids that are no secret: the keys of the standard library's hashers, which cost no call of the system.
fn random() -> u128 {
    let half = || u128::from(RandomState::new().hash_one(0_u8));
    half() << 64 | half()
}

/// 32 lower-case hexadecimal digits.
pub(super) fn new_esb_request_id() -> String {
    format!("{:032x}", random())
}

/// A random UUID, 36 characters.
pub(super) fn new_gateway_request_id() -> String {
    let bits = random() & !(0xf000_u128 << 64) & !(0xc000_u128 << 48) | (0x4000_u128 << 64) | (0x8000_u128 << 48);
    let hex = format!("{bits:032x}");
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

/// `cc0000` and 20 characters that sort by time.
pub(super) fn new_native_request_id(now: Moment) -> String {
    const DIGITS: &[u8; 32] = b"0123456789abcdefghijklmnopqrstuv";
    let time = u128::from(now.unix_ms().unsigned_abs() & 0xffff_ffff_ffff);
    let bits = (time << 52) | (random() & 0xf_ffff_ffff_ffff);
    let digits = (0..20).rev().map(|place| char::from(DIGITS[usize::try_from(bits >> (place * 5) & 31).unwrap_or(0)]));
    format!("cc0000{}", digits.collect::<String>())
}
