//! Who may come in: apps, user tokens, grants. The doors hold a [`Directory`], a snapshot, and load it again when its version has
//! moved on; the functions below change what it is loaded from and are used by the command line.

use crate::access::ResourceType;
use crate::access::{Action, Grants, Scope};
use crate::secret::{Digest, Secret};
use rollcall_domain::id::BusinessId;
use rollcall_domain::moment::Moment;
use rollcall_store::directory::{self as rows, AppRow, GrantRow, SecretRow, TokenRow};
use rollcall_store::{MayRetry, StoreError, Tx};
use std::collections::HashMap;
use std::sync::Arc;
use subtle::{Choice, ConstantTimeEq as _};

/// The longest app code that is looked up (`gateway` 2.3).
const MAX_CODE_BYTES: usize = 32;
/// The longest user name (`gateway` 10.2).
const MAX_USER_CHARS: usize = 64;
/// What stands in the action column of somebody who has every right.
const ADMINISTRATOR: &str = "administrator";

/// Compared when there is nothing to compare with. Nobody knows a text of this digest.
const NOBODY: Digest = Digest([0; 32]);

/// An app that may call.
#[derive(Debug)]
pub struct App {
    pub code: String,
    /// Whether it may name its user without a proof.
    pub login_free: bool,
    digests: Vec<Digest>,
}

#[derive(Debug)]
struct Token {
    user: String,
    expires: Option<Moment>,
}

/// All apps, tokens and grants of a store at one moment.
#[derive(Debug, Default)]
pub struct Directory {
    apps: HashMap<String, App>,
    tokens: HashMap<Digest, Token>,
    grants: Arc<Grants>,
}

impl Directory {
    /// Reads everything.
    pub fn load(tx: &mut dyn Tx) -> Result<Self, StoreError> {
        let mut directory = Self::default();
        for AppRow { code, login_free, .. } in rows::list_apps(tx)? {
            let app = App { code: code.clone(), login_free, digests: Vec::new() };
            directory.apps.insert(code, app);
        }
        for secret in rows::list_secrets(tx)? {
            if let Some(app) = directory.apps.get_mut(&secret.app_code) {
                app.digests.push(digest_of(&secret.digest, "app secret")?);
            }
        }
        for row in rows::list_tokens(tx)? {
            let digest = digest_of(&row.digest, "user token")?;
            let token = Token { user: row.user, expires: row.expires };
            directory.tokens.insert(digest, token);
        }
        let mut grants = Grants::default();
        for row in rows::list_grants(tx)? {
            let scope = row.business_id.map_or(Scope::Everything, Scope::One);
            if row.action == ADMINISTRATOR {
                grants.add_administrator(&row.user);
            } else if let Some(action) = Action::of_wire(&row.action) {
                grants.add(&row.user, action, scope);
            }
            // A right that only a newer program knows gives nothing here.
        }
        directory.grants = Arc::new(grants);
        Ok(directory)
    }

    /// Counts the changes of what a directory is loaded from: a cheap way to see that a snapshot is old.
    pub fn version(tx: &mut dyn Tx) -> Result<i64, StoreError> {
        rows::version(tx)
    }

    /// The app that knows one of its secrets. An unknown app and a wrong secret take the same time.
    pub fn verify_app(&self, code: &str, secret: &str) -> Option<&App> {
        if code.len() > MAX_CODE_BYTES || secret.len() > Secret::MAX_BYTES {
            return None;
        }
        let given = Digest::of(secret);
        let app = self.apps.get(code);
        let digests = match app {
            Some(app) if !app.digests.is_empty() => &app.digests[..],
            _ => &[NOBODY],
        };
        let mut is_right = Choice::from(0);
        for digest in digests {
            is_right |= digest.0.ct_eq(&given.0);
        }
        app.filter(|_| bool::from(is_right))
    }

    /// The user whom a token proves. Found by its digest, which tells an observer of the time nothing about the token.
    pub fn find_user_of_token(&self, token: &str, now: Moment) -> Option<&str> {
        if token.len() > Secret::MAX_BYTES {
            return None;
        }
        let token = self.tokens.get(&Digest::of(token))?;
        let is_valid = token.expires.is_none_or(|expires| now < expires);
        is_valid.then_some(token.user.as_str())
    }

    /// The rights of all users.
    pub fn grants(&self) -> Arc<Grants> {
        self.grants.clone()
    }
}

fn digest_of(text: &rows::DigestText, what: &str) -> Result<Digest, StoreError> {
    Digest::of_text(text).ok_or_else(|| StoreError::Unreadable(format!("the digest of an {what} is damaged")))
}

/// Why a change of the directory was not made.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    #[error("an app code has 1 to {MAX_CODE_BYTES} letters, digits, '-', '_' or '.', not {0:?}")]
    BadCode(String),
    #[error(
        "a user name has 1 to {MAX_USER_CHARS} characters, none of them a control character or a space at an end, not {0:?}"
    )]
    BadUser(String),
    #[error("there is an app {0} already")]
    AppExists(String),
    #[error("there is no app {0}")]
    NoApp(String),
    #[error("app {0} has no secret {1}")]
    NoSecret(String, i64),
    #[error("there is no token {0}")]
    NoToken(i64),
    #[error("there is no grant {0}")]
    NoGrant(i64),
    #[error("there is no business {0}")]
    NoBusiness(BusinessId),
    #[error("{} is not a right on one business; grant it on everything", .0.wire())]
    NotOfBusiness(Action),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl MayRetry for DirectoryError {
    fn conflict(&self) -> Option<String> {
        match self {
            Self::Store(error) => error.conflict(),
            _ => None,
        }
    }
}

fn check_code(code: &str) -> Result<(), DirectoryError> {
    let is_fine = (1..=MAX_CODE_BYTES).contains(&code.len())
        && code.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    is_fine.then_some(()).ok_or_else(|| DirectoryError::BadCode(code.to_owned()))
}

fn check_user(user: &str) -> Result<(), DirectoryError> {
    let is_fine = (1..=MAX_USER_CHARS).contains(&user.chars().count())
        && !user.chars().any(char::is_control)
        && user.trim() == user;
    is_fine.then_some(()).ok_or_else(|| DirectoryError::BadUser(user.to_owned()))
}

/// An app with what may be shown of its secrets.
#[derive(Debug, Clone, PartialEq)]
pub struct AppEntry {
    pub app: AppRow,
    /// Oldest first.
    pub secrets: Vec<SecretRow>,
}

/// Makes an app with its first secret.
pub fn create_app(
    tx: &mut dyn Tx,
    code: &str,
    login_free: bool,
    secret: &Secret,
    now: Moment,
) -> Result<AppEntry, DirectoryError> {
    check_code(code)?;
    let app = AppRow { code: code.to_owned(), login_free, created: now };
    if !rows::insert_app(tx, &app)? {
        return Err(DirectoryError::AppExists(app.code));
    }
    let secret = rows::insert_secret(tx, code, secret.digest().to_text(), now)?;
    Ok(AppEntry { app, secrets: vec![secret] })
}

/// Every app, by code.
pub fn list_apps(tx: &mut dyn Tx) -> Result<Vec<AppEntry>, DirectoryError> {
    let mut secrets: HashMap<String, Vec<SecretRow>> = HashMap::new();
    for secret in rows::list_secrets(tx)? {
        secrets.entry(secret.app_code.clone()).or_default().push(secret);
    }
    let apps = rows::list_apps(tx)?.into_iter().map(|app| {
        let secrets = secrets.remove(&app.code).unwrap_or_default();
        AppEntry { app, secrets }
    });
    Ok(apps.collect())
}

/// Removes an app with all its secrets.
pub fn revoke_app(tx: &mut dyn Tx, code: &str) -> Result<(), DirectoryError> {
    if rows::delete_app(tx, code)? { Ok(()) } else { Err(DirectoryError::NoApp(code.to_owned())) }
}

/// Gives an app one more secret, beside those it has.
pub fn add_secret(tx: &mut dyn Tx, code: &str, secret: &Secret, now: Moment) -> Result<SecretRow, DirectoryError> {
    if !rows::has_app(tx, code)? {
        return Err(DirectoryError::NoApp(code.to_owned()));
    }
    Ok(rows::insert_secret(tx, code, secret.digest().to_text(), now)?)
}

/// Takes a secret from an app.
pub fn revoke_secret(tx: &mut dyn Tx, code: &str, id: i64) -> Result<(), DirectoryError> {
    if rows::delete_secret(tx, code, id)? { Ok(()) } else { Err(DirectoryError::NoSecret(code.to_owned(), id)) }
}

/// Makes a token for a user. Users are known by name only.
pub fn create_token(
    tx: &mut dyn Tx,
    user: &str,
    token: &Secret,
    now: Moment,
    expires: Option<Moment>,
) -> Result<TokenRow, DirectoryError> {
    check_user(user)?;
    let digest = token.digest().to_text();
    Ok(rows::insert_token(tx, user, digest, now, expires)?)
}

/// Every token, also those that have expired.
pub fn list_tokens(tx: &mut dyn Tx) -> Result<Vec<TokenRow>, DirectoryError> {
    Ok(rows::list_tokens(tx)?)
}

/// Removes a token.
pub fn revoke_token(tx: &mut dyn Tx, id: i64) -> Result<(), DirectoryError> {
    if rows::delete_token(tx, id)? { Ok(()) } else { Err(DirectoryError::NoToken(id)) }
}

/// Gives a user a right; the grant there is, if the user has it.
pub fn create_grant(
    tx: &mut dyn Tx,
    user: &str,
    action: Action,
    scope: Scope,
    now: Moment,
) -> Result<GrantRow, DirectoryError> {
    check_user(user)?;
    let business = match scope {
        Scope::Everything => None,
        Scope::One(business) => {
            if !is_of_business(action) {
                return Err(DirectoryError::NotOfBusiness(action));
            }
            if !rows::has_business(tx, business)? {
                return Err(DirectoryError::NoBusiness(business));
            }
            Some(business)
        }
    };
    Ok(rows::insert_grant(tx, user, action.wire(), business, now)?)
}

/// Whether an action can be granted on one business.
pub fn is_of_business(action: Action) -> bool {
    let of_business = |kind: &ResourceType| match kind {
        ResourceType::Business | ResourceType::ServiceTemplate | ResourceType::SetTemplate | ResourceType::Host => true,
        ResourceType::PoolDirectory | ResourceType::PoolHostDirectory => false,
    };
    action.resources().iter().any(of_business)
}

/// Gives a user every right on everything; the grant there is, if the user has it.
pub fn create_administrator(tx: &mut dyn Tx, user: &str, now: Moment) -> Result<GrantRow, DirectoryError> {
    check_user(user)?;
    Ok(rows::insert_grant(tx, user, ADMINISTRATOR, None, now)?)
}

/// The users who have every right on everything.
pub fn list_administrators(tx: &mut dyn Tx) -> Result<Vec<String>, DirectoryError> {
    let grants = rows::list_grants(tx)?.into_iter();
    let administrators = grants.filter(|row| row.action == ADMINISTRATOR);
    Ok(administrators.map(|row| row.user).collect())
}

/// Every grant, also those of administrators.
pub fn list_grants(tx: &mut dyn Tx) -> Result<Vec<GrantRow>, DirectoryError> {
    Ok(rows::list_grants(tx)?)
}

/// Takes a right from its user.
pub fn revoke_grant(tx: &mut dyn Tx, id: i64) -> Result<(), DirectoryError> {
    if rows::delete_grant(tx, id)? { Ok(()) } else { Err(DirectoryError::NoGrant(id)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::{Access, right};
    use rollcall_store::sqlite::{Options, Sqlite};
    use rollcall_store::{Store, TimeLimits};

    const NOW: Moment = Moment(1_000_000);

    struct TestStore {
        store: Store,
        _folder: tempfile::TempDir,
    }

    impl TestStore {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let engine = Sqlite::open(Options::new(folder.path().join("test.sqlite"))).unwrap();
            let store = Store::new(Arc::new(engine), TimeLimits::default());
            Self { store, _folder: folder }
        }

        fn write<T: Send + 'static>(
            &self,
            work: impl FnMut(&mut dyn Tx) -> Result<T, DirectoryError> + Send + 'static,
        ) -> Result<T, DirectoryError> {
            self.store.write_blocking(work)
        }

        fn directory(&self) -> Directory {
            self.store.read(true, |tx| Directory::load(tx)).unwrap()
        }

        fn version(&self) -> i64 {
            self.store.read(true, |tx| Directory::version(tx)).unwrap()
        }
    }

    fn secret(text: &str) -> Secret {
        Secret::given(text).unwrap()
    }

    #[test]
    fn an_app_passes_with_any_of_its_secrets_until_they_are_revoked() {
        let store = TestStore::new();
        assert_eq!(store.version(), 0);
        store.write(|tx| create_app(tx, "demo", true, &secret("first"), NOW)).unwrap();
        let second = store.write(|tx| add_secret(tx, "demo", &secret("second"), NOW)).unwrap();
        let directory = store.directory();
        for known in ["first", "second"] {
            let app = directory.verify_app("demo", known).unwrap();
            assert!(app.login_free && app.code == "demo");
        }
        let wrong = "x".repeat(129);
        for (code, secret) in [
            ("demo", "third"),
            ("demo", ""),
            ("demo", &wrong),
            ("Demo", "first"),
            ("other", "first"),
            (&wrong, "first"),
        ] {
            assert!(directory.verify_app(code, secret).is_none(), "{code} {secret}");
        }

        let before = store.version();
        store.write(move |tx| revoke_secret(tx, "demo", second.id)).unwrap();
        assert!(store.version() > before);
        let directory = store.directory();
        assert!(directory.verify_app("demo", "second").is_none());
        assert!(directory.verify_app("demo", "first").is_some());

        store.write(|tx| revoke_app(tx, "demo")).unwrap();
        assert!(store.directory().verify_app("demo", "first").is_none());
        // A later app of the same code does not inherit anything.
        store.write(|tx| create_app(tx, "demo", false, &secret("new"), NOW)).unwrap();
        let directory = store.directory();
        assert!(directory.verify_app("demo", "first").is_none());
        assert!(!directory.verify_app("demo", "new").unwrap().login_free);
    }

    #[test]
    fn an_app_without_secrets_lets_nobody_in() {
        let store = TestStore::new();
        let entry = store.write(|tx| create_app(tx, "demo", true, &secret("first"), NOW)).unwrap();
        let id = entry.secrets[0].id;
        store.write(move |tx| revoke_secret(tx, "demo", id)).unwrap();
        assert!(store.directory().verify_app("demo", "first").is_none());
        assert!(store.directory().verify_app("demo", "").is_none());
    }

    #[test]
    fn a_token_proves_its_user_until_it_expires_or_is_revoked() {
        let store = TestStore::new();
        let expires = Moment(NOW.0 + 1000);
        store.write(move |tx| create_token(tx, "ann", &secret("short"), NOW, Some(expires))).unwrap();
        let long = store.write(|tx| create_token(tx, "bob", &secret("long"), NOW, None)).unwrap();
        let directory = store.directory();
        assert_eq!(directory.find_user_of_token("short", NOW), Some("ann"));
        assert_eq!(directory.find_user_of_token("short", expires), None);
        assert_eq!(directory.find_user_of_token("long", Moment(i64::MAX)), Some("bob"));
        assert_eq!(directory.find_user_of_token("", NOW), None);
        store.write(move |tx| revoke_token(tx, long.id)).unwrap();
        assert_eq!(store.directory().find_user_of_token("long", NOW), None);
        let again = store.write(move |tx| revoke_token(tx, long.id));
        assert!(matches!(again, Err(DirectoryError::NoToken(_))));
    }

    #[test]
    fn grants_give_rights_on_one_business_or_all() {
        let store = TestStore::new();
        store
            .write(|tx| {
                tx.execute(
                    "INSERT INTO business (id, name, kind, status, document) VALUES (3, 'b', 0, '1', '{}')",
                    &[],
                )?;
                Ok(())
            })
            .unwrap();
        let one = Scope::One(BusinessId(3));
        let grant =
            |user: &'static str, action, scope| store.write(move |tx| create_grant(tx, user, action, scope, NOW));
        let first = grant("ann", Action::EditServiceInstance, one).unwrap();
        let version = store.version();
        let same = grant("ann", Action::EditServiceInstance, one).unwrap();
        assert_eq!((first.id, version), (same.id, store.version()));
        grant("bob", Action::EditServiceInstance, Scope::Everything).unwrap();
        store.write(|tx| create_administrator(tx, "eve", NOW)).unwrap();
        assert!(matches!(grant("ann", Action::CreateBusiness, one), Err(DirectoryError::NotOfBusiness(_))));
        assert!(matches!(
            grant("ann", Action::FindBusiness, Scope::One(BusinessId(4))),
            Err(DirectoryError::NoBusiness(_))
        ));

        let may = |user: &str, business| {
            Access::of(user, store.directory().grants(), false)
                .find::<right::EditServiceInstance>(BusinessId(business))
                .is_some()
        };
        assert!(may("ann", 3) && !may("ann", 4));
        assert!(may("bob", 3) && may("bob", 4));
        assert!(may("eve", 3) && !may("Eve", 3) && !may("", 3));
        store.write(move |tx| revoke_grant(tx, first.id)).unwrap();
        assert!(!may("ann", 3));
        assert_eq!(store.write(|tx| list_administrators(tx)).unwrap(), ["eve"]);
    }

    #[test]
    fn names_are_bounded() {
        let store = TestStore::new();
        let long = "x".repeat(33);
        for code in ["", "a b", "中", "a/b", &long] {
            let code = code.to_owned();
            let made = store.write(move |tx| create_app(tx, &code, false, &secret("s"), NOW));
            assert!(matches!(made, Err(DirectoryError::BadCode(_))));
        }
        for user in ["", " a", "a\n", &"x".repeat(65)] {
            let user = user.to_owned();
            let made = store.write(move |tx| create_administrator(tx, &user, NOW));
            assert!(matches!(made, Err(DirectoryError::BadUser(_))));
        }
        store.write(|tx| create_app(tx, "a", false, &secret("s"), NOW)).unwrap();
        let twice = store.write(|tx| create_app(tx, "a", false, &secret("t"), NOW));
        assert!(matches!(twice, Err(DirectoryError::AppExists(_))));
        // The refused change left no second secret.
        assert!(store.directory().verify_app("a", "t").is_none());
    }
}
