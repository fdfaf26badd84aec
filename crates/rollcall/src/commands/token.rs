//! `rollcall token`: tokens that prove who a user is.

use super::Global;
use crate::clock;
use crate::end::End;
use crate::output;
use crate::place::OpenStore;
use clap::Subcommand;
use rollcall_app::directory;
use rollcall_app::secret::Secret;
use rollcall_domain::moment::Moment;
use rollcall_store::directory::TokenRow;
use serde::Serialize;

const DAY_MS: i64 = 24 * 3600 * 1000;

#[derive(Subcommand)]
#[command(after_help = "Examples:
  rollcall token create ann --expires 30
  rollcall token list
  rollcall token revoke 7 --yes")]
pub enum Token {
    /// Make a token for a user, and show it once
    Create {
        user: String,
        /// Days until it is no longer valid [default: valid until revoked]
        #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(i64).range(1..=36_500))]
        expires: Option<i64>,
    },
    /// List tokens: whose they are and until when
    List,
    /// Remove a token
    Revoke {
        /// The token's id, see `rollcall token list`
        id: i64,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Serialize)]
struct TokenOut<'a> {
    id: i64,
    user: &'a str,
    created: String,
    expires: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<&'a str>,
}

impl<'a> TokenOut<'a> {
    fn new(opened: &OpenStore, row: &'a TokenRow) -> Self {
        Self {
            id: row.id,
            user: &row.user,
            created: opened.time(row.created),
            expires: row.expires.map(|expires| opened.time(expires)),
            token: None,
        }
    }
}

impl Token {
    pub fn run(self, global: &Global) -> Result<(), End> {
        let opened = global.open()?;
        match self {
            Self::Create { user, expires } => {
                let token = Secret::random()?;
                let now = clock::now();
                let expires = expires.map(|days| Moment(now.unix_ms() + days * DAY_MS));
                let given = token.clone();
                let row = opened.write(move |tx| directory::create_token(tx, &user, &given, now, expires))?;
                if global.json {
                    return output::say_json(&TokenOut { token: Some(token.reveal()), ..TokenOut::new(&opened, &row) });
                }
                output::say(format_args!("user      {}", row.user));
                output::say(format_args!("bk_token  {}", token.reveal()));
                output::note("The token is shown this once.");
                Ok(())
            }
            Self::List => {
                let rows = opened.read(directory::list_tokens)?;
                let tokens: Vec<_> = rows.iter().map(|row| TokenOut::new(&opened, row)).collect();
                if global.json {
                    return output::say_json(&tokens);
                }
                let cells = |token: TokenOut<'_>| {
                    let expires = token.expires.unwrap_or_else(|| "never".into());
                    [token.id.to_string(), token.user.to_owned(), token.created, expires]
                };
                let rows: Vec<_> = tokens.into_iter().map(cells).collect();
                output::say_table(["id", "user", "created", "expires"], &rows);
                Ok(())
            }
            Self::Revoke { id, yes } => {
                let rows = opened.read(directory::list_tokens)?;
                if let Some(row) = rows.iter().find(|row| row.id == id) {
                    let plan = format!("Token {id} of user {} will be removed; nobody can use it any more.", row.user);
                    output::confirm(&plan, yes)?;
                }
                opened.write(move |tx| directory::revoke_token(tx, id))
            }
        }
    }
}
