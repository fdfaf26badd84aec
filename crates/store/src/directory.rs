//! Who may come in and what they may do: apps with their secrets, user tokens, grants. Secrets and tokens are here as digests
//! only. Every change raises the directory version, so that a server beside sees that what it remembers is old.

use crate::sequence::{self, Sequence};
use crate::{Param, Row, StoreError, Tx};
use rollcall_domain::id::BusinessId;
use rollcall_domain::moment::Moment;

crate::statements! {
    /// Served by the primary key.
    VERSION = "SELECT value FROM setting WHERE name = 'directory_version'";
    RAISE_VERSION = "INSERT INTO setting (name, value) VALUES ('directory_version', '1')
        ON CONFLICT (name) DO UPDATE SET value = CAST(CAST(setting.value AS BIGINT) + 1 AS TEXT)";

    LIST_APPS = "SELECT code, login_free, created_ms FROM app ORDER BY code";
    INSERT_APP = "INSERT INTO app (code, login_free, created_ms) VALUES ($1, $2, $3) ON CONFLICT (code) DO NOTHING";
    /// Served by the primary key.
    DELETE_APP = "DELETE FROM app WHERE code = $1";
    /// Served by the primary key.
    HAS_APP = "SELECT count(*) FROM app WHERE code = $1";

    LIST_SECRETS = "SELECT id, app_code, created_ms, digest FROM app_secret ORDER BY id";
    INSERT_SECRET = "INSERT INTO app_secret (id, app_code, digest, created_ms) VALUES ($1, $2, $3, $4)";
    /// Served by the primary key.
    DELETE_SECRET = "DELETE FROM app_secret WHERE id = $1 AND app_code = $2";
    /// Served by `app_secret_app`.
    DELETE_SECRETS_OF_APP = "DELETE FROM app_secret WHERE app_code = $1";

    LIST_TOKENS = "SELECT id, user_name, created_ms, expires_ms, digest FROM user_token ORDER BY id";
    INSERT_TOKEN = "INSERT INTO user_token (id, user_name, digest, created_ms, expires_ms) VALUES ($1, $2, $3, $4, $5)";
    /// Served by the primary key.
    DELETE_TOKEN = "DELETE FROM user_token WHERE id = $1";

    LIST_GRANTS = "SELECT id, user_name, action, business_id, created_ms FROM access_grant ORDER BY id";
    /// Served by `access_grant_right`.
    FIND_GRANT = "SELECT id, user_name, action, business_id, created_ms FROM access_grant
        WHERE user_name = $1 AND action = $2 AND business_id = $3";
    INSERT_GRANT = "INSERT INTO access_grant (id, user_name, action, business_id, created_ms) VALUES ($1, $2, $3, $4, $5)";
    /// Served by the primary key.
    DELETE_GRANT = "DELETE FROM access_grant WHERE id = $1";
    /// Served by the primary key.
    HAS_BUSINESS = "SELECT count(*) FROM business WHERE id = $1";
}

/// The SHA-256 digest of a secret or a token in lower-case hex. Secrets that clients brought along may be guessable, so it is not
/// shown in debug output either.
#[derive(Clone, PartialEq, Eq)]
pub struct DigestText(pub String);

impl std::fmt::Debug for DigestText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DigestText(…)")
    }
}

/// An app that may call.
#[derive(Debug, Clone, PartialEq)]
pub struct AppRow {
    pub code: String,
    /// Whether it may name its user without a proof.
    pub login_free: bool,
    pub created: Moment,
}

/// A secret of an app. An app may have several at a time.
#[derive(Debug, Clone, PartialEq)]
pub struct SecretRow {
    pub id: i64,
    pub app_code: String,
    pub created: Moment,
    pub digest: DigestText,
}

/// A token that proves a user.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenRow {
    pub id: i64,
    pub user: String,
    pub created: Moment,
    /// `None`: valid until revoked.
    pub expires: Option<Moment>,
    pub digest: DigestText,
}

/// A right of a user as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct GrantRow {
    pub id: i64,
    pub user: String,
    /// An action's wire id, or what the application calls an administrator.
    pub action: String,
    /// `None`: on every business and on what belongs to none.
    pub business_id: Option<BusinessId>,
    pub created: Moment,
}

/// Counts the changes of apps, secrets, tokens and grants.
pub fn version(tx: &mut dyn Tx) -> Result<i64, StoreError> {
    let text = tx.find(VERSION, &[], |row| row.text(0).map(str::to_owned))?;
    text.map_or(Ok(0), |text| text.parse().map_err(|_| StoreError::Unreadable(format!("directory version {text:?}"))))
}

fn raise_version(tx: &mut dyn Tx) -> Result<(), StoreError> {
    tx.execute(RAISE_VERSION, &[]).map(|_| ())
}

/// Runs a removal and says whether there was anything to remove.
fn remove(tx: &mut dyn Tx, statement: &'static str, params: &[Param<'_>]) -> Result<bool, StoreError> {
    let removed = tx.execute(statement, params)? > 0;
    if removed {
        raise_version(tx)?;
    }
    Ok(removed)
}

/// Every app, by code.
pub fn list_apps(tx: &mut dyn Tx) -> Result<Vec<AppRow>, StoreError> {
    tx.list(LIST_APPS, &[], |row| {
        Ok(AppRow { code: row.text(0)?.to_owned(), login_free: row.int(1)? != 0, created: Moment(row.int(2)?) })
    })
}

/// Whether there is an app of this code.
pub fn has_app(tx: &mut dyn Tx, code: &str) -> Result<bool, StoreError> {
    Ok(tx.number(HAS_APP, &[code.into()])? > 0)
}

/// Stores an app without secrets; `false` when there is one of this code.
pub fn insert_app(tx: &mut dyn Tx, app: &AppRow) -> Result<bool, StoreError> {
    let params = [Param::Text(&app.code), i64::from(app.login_free).into(), app.created.unix_ms().into()];
    let is_new = tx.execute(INSERT_APP, &params)? > 0;
    if is_new {
        raise_version(tx)?;
    }
    Ok(is_new)
}

/// Removes an app with its secrets; `false` when there is none of this code.
pub fn delete_app(tx: &mut dyn Tx, code: &str) -> Result<bool, StoreError> {
    tx.execute(DELETE_SECRETS_OF_APP, &[code.into()])?;
    remove(tx, DELETE_APP, &[code.into()])
}

/// Every secret of every app, oldest first.
pub fn list_secrets(tx: &mut dyn Tx) -> Result<Vec<SecretRow>, StoreError> {
    tx.list(LIST_SECRETS, &[], |row| {
        Ok(SecretRow {
            id: row.int(0)?,
            app_code: row.text(1)?.to_owned(),
            created: Moment(row.int(2)?),
            digest: DigestText(row.text(3)?.to_owned()),
        })
    })
}

/// Stores one more secret of an app.
pub fn insert_secret(
    tx: &mut dyn Tx,
    app_code: &str,
    digest: DigestText,
    created: Moment,
) -> Result<SecretRow, StoreError> {
    let id = sequence::take(tx, Sequence::AppSecret, 1)?;
    let params = [Param::Int(id), app_code.into(), (&digest.0).into(), created.unix_ms().into()];
    tx.execute(INSERT_SECRET, &params)?;
    raise_version(tx)?;
    Ok(SecretRow { id, app_code: app_code.to_owned(), created, digest })
}

/// Removes a secret of an app; `false` when the app has none of this id.
pub fn delete_secret(tx: &mut dyn Tx, app_code: &str, id: i64) -> Result<bool, StoreError> {
    remove(tx, DELETE_SECRET, &[id.into(), app_code.into()])
}

/// Every token, oldest first, also those that have expired.
pub fn list_tokens(tx: &mut dyn Tx) -> Result<Vec<TokenRow>, StoreError> {
    tx.list(LIST_TOKENS, &[], |row| {
        let expires_ms = row.int(3)?;
        Ok(TokenRow {
            id: row.int(0)?,
            user: row.text(1)?.to_owned(),
            created: Moment(row.int(2)?),
            expires: (expires_ms != 0).then_some(Moment(expires_ms)),
            digest: DigestText(row.text(4)?.to_owned()),
        })
    })
}

/// Stores a token.
pub fn insert_token(
    tx: &mut dyn Tx,
    user: &str,
    digest: DigestText,
    created: Moment,
    expires: Option<Moment>,
) -> Result<TokenRow, StoreError> {
    let id = sequence::take(tx, Sequence::UserToken, 1)?;
    let params = [
        Param::Int(id),
        user.into(),
        (&digest.0).into(),
        created.unix_ms().into(),
        expires.map_or(0, Moment::unix_ms).into(),
    ];
    tx.execute(INSERT_TOKEN, &params)?;
    raise_version(tx)?;
    Ok(TokenRow { id, user: user.to_owned(), created, expires, digest })
}

/// Removes a token; `false` when there is none of this id.
pub fn delete_token(tx: &mut dyn Tx, id: i64) -> Result<bool, StoreError> {
    remove(tx, DELETE_TOKEN, &[id.into()])
}

fn read_grant(row: &dyn Row) -> Result<GrantRow, StoreError> {
    let business_id = row.int(3)?;
    Ok(GrantRow {
        id: row.int(0)?,
        user: row.text(1)?.to_owned(),
        action: row.text(2)?.to_owned(),
        business_id: (business_id != 0).then_some(BusinessId(business_id)),
        created: Moment(row.int(4)?),
    })
}

/// Every grant, oldest first.
pub fn list_grants(tx: &mut dyn Tx) -> Result<Vec<GrantRow>, StoreError> {
    tx.list(LIST_GRANTS, &[], read_grant)
}

/// Stores a grant, or answers the one that says the same.
pub fn insert_grant(
    tx: &mut dyn Tx,
    user: &str,
    action: &str,
    business_id: Option<BusinessId>,
    created: Moment,
) -> Result<GrantRow, StoreError> {
    let business = Param::Int(business_id.map_or(0, BusinessId::get));
    let same = [user.into(), action.into(), business];
    if let Some(row) = tx.find(FIND_GRANT, &same, read_grant)? {
        return Ok(row);
    }
    let id = sequence::take(tx, Sequence::Grant, 1)?;
    let params = [Param::Int(id), user.into(), action.into(), business, created.unix_ms().into()];
    tx.execute(INSERT_GRANT, &params)?;
    raise_version(tx)?;
    Ok(GrantRow { id, user: user.to_owned(), action: action.to_owned(), business_id, created })
}

/// Removes a grant; `false` when there is none of this id.
pub fn delete_grant(tx: &mut dyn Tx, id: i64) -> Result<bool, StoreError> {
    remove(tx, DELETE_GRANT, &[id.into()])
}

/// Whether there is a business of this id to grant rights on.
pub fn has_business(tx: &mut dyn Tx, id: BusinessId) -> Result<bool, StoreError> {
    Ok(tx.number(HAS_BUSINESS, &[id.get().into()])? > 0)
}
