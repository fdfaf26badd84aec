//! `rollcall app`: apps that may call, and their secrets.

use super::Global;
use crate::clock;
use crate::end::End;
use crate::output;
use crate::place::OpenStore;
use clap::Subcommand;
use rollcall_app::directory;
use rollcall_app::secret::Secret;
use serde::Serialize;
use std::io::Read as _;

#[derive(Subcommand)]
#[command(after_help = "Examples:
  rollcall app create billing
  rollcall app create billing --secret-stdin < secret.txt
  rollcall app create deploy --login-free
  rollcall app list --json
  rollcall app add-secret billing && rollcall app revoke-secret billing 1
  rollcall app revoke billing --yes")]
pub enum App {
    /// Make an app, and show its secret once
    Create {
        /// What the app calls itself (bk_app_code)
        name: String,
        /// Take the secret from standard input: existing clients carry existing secrets
        #[arg(long)]
        secret_stdin: bool,
        /// The app may name its user (bk_username) without a proof
        #[arg(long)]
        login_free: bool,
    },
    /// List apps and when their secrets were made
    List,
    /// Remove an app with all its secrets
    Revoke {
        name: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Give an app one more secret beside those it has, and show it once
    AddSecret {
        name: String,
        /// Take the secret from standard input
        #[arg(long)]
        secret_stdin: bool,
    },
    /// Take a secret from an app
    RevokeSecret {
        name: String,
        /// The secret's id, see `rollcall app list`
        id: i64,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

/// A secret that was made or taken. One that was brought along is not repeated.
#[derive(Serialize)]
struct MadeOut<'a> {
    app: &'a str,
    secret_id: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<&'a str>,
}

#[derive(Serialize)]
struct AppOut {
    app: String,
    login_free: bool,
    created: String,
    secrets: Vec<SecretOut>,
}

#[derive(Serialize)]
struct SecretOut {
    id: i64,
    created: String,
}

impl App {
    pub fn run(self, global: &Global) -> Result<(), End> {
        let opened = global.open()?;
        match self {
            Self::Create { name, secret_stdin, login_free } => {
                let secret = read_or_make(secret_stdin)?;
                let (code, given) = (name.clone(), secret.clone());
                let made =
                    opened.write(move |tx| directory::create_app(tx, &code, login_free, &given, clock::now()))?;
                let id = made.secrets.first().map_or(0, |secret| secret.id);
                show(global, &name, id, (!secret_stdin).then_some(&secret))
            }
            Self::AddSecret { name, secret_stdin } => {
                let secret = read_or_make(secret_stdin)?;
                let (code, given) = (name.clone(), secret.clone());
                let made = opened.write(move |tx| directory::add_secret(tx, &code, &given, clock::now()))?;
                show(global, &name, made.id, (!secret_stdin).then_some(&secret))
            }
            Self::List => list(global, &opened),
            Self::Revoke { name, yes } => {
                let apps = opened.read(directory::list_apps)?;
                if let Some(entry) = apps.iter().find(|entry| entry.app.code == name) {
                    let secrets = entry.secrets.len();
                    let plan = format!("App {name} and its secrets ({secrets}) will be removed; it can call no more.");
                    output::confirm(&plan, yes)?;
                }
                opened.write(move |tx| directory::revoke_app(tx, &name))
            }
            Self::RevokeSecret { name, id, yes } => {
                let plan = format!("Secret {id} of app {name} will be removed; nobody can call with it any more.");
                output::confirm(&plan, yes)?;
                opened.write(move |tx| directory::revoke_secret(tx, &name, id))
            }
        }
    }
}

fn read_or_make(from_stdin: bool) -> Result<Secret, End> {
    if !from_stdin {
        return Ok(Secret::random()?);
    }
    let mut text = String::new();
    // One byte more than fits tells that it is too long.
    let most = Secret::MAX_BYTES as u64 + 3;
    std::io::stdin().take(most).read_to_string(&mut text)?;
    Ok(Secret::given(text.trim_end_matches(['\r', '\n']))?)
}

fn show(global: &Global, app: &str, secret_id: i64, secret: Option<&Secret>) -> Result<(), End> {
    let secret = secret.map(Secret::reveal);
    if global.json {
        return output::say_json(&MadeOut { app, secret_id, secret });
    }
    output::say(format_args!("bk_app_code    {app}"));
    match secret {
        Some(secret) => {
            output::say(format_args!("bk_app_secret  {secret}"));
            output::note("The secret is shown this once.");
        }
        None => output::note("The secret was taken from standard input."),
    }
    Ok(())
}

fn list(global: &Global, opened: &OpenStore) -> Result<(), End> {
    let entries = opened.read(directory::list_apps)?.into_iter();
    let apps: Vec<AppOut> = entries
        .map(|entry| AppOut {
            app: entry.app.code,
            login_free: entry.app.login_free,
            created: opened.time(entry.app.created),
            secrets: entry
                .secrets
                .iter()
                .map(|secret| SecretOut { id: secret.id, created: opened.time(secret.created) })
                .collect(),
        })
        .collect();
    if global.json {
        return output::say_json(&apps);
    }
    let rows: Vec<_> = apps
        .iter()
        .map(|app| {
            let ids: Vec<_> = app.secrets.iter().map(|secret| secret.id.to_string()).collect();
            let login_free = if app.login_free { "yes" } else { "no" };
            [app.app.clone(), login_free.into(), ids.join(","), app.created.clone()]
        })
        .collect();
    output::say_table(["app", "login-free", "secrets", "created"], &rows);
    Ok(())
}
