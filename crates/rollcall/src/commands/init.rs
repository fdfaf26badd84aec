//! `rollcall init`: a store with its first administrator.

use super::Global;
use crate::clock;
use crate::end::End;
use crate::output;
use crate::place::Use;
use clap::Args;
use rollcall_app::directory::{self, DirectoryError};
use rollcall_app::secret::Secret;
use serde::Serialize;

/// Make a store with its first administrator, and show that user's token once
#[derive(Args)]
#[command(after_help = "Examples:
  rollcall init
  rollcall --store sqlite:/var/lib/rollcall/store.sqlite init ann

A store that exists keeps what is in it. Refused when it has an administrator already, unless --force is given.")]
pub struct Init {
    /// The administrator's user name
    #[arg(default_value = "admin")]
    user: String,

    /// Make one more administrator where there is one already
    #[arg(long)]
    force: bool,
}

#[derive(Serialize)]
struct Made<'a> {
    store: String,
    user: &'a str,
    token_id: i64,
    token: &'a str,
}

impl Init {
    pub fn run(self, global: &Global) -> Result<(), End> {
        let (config, place) = global.place()?;
        let now = clock::now();
        let opened = place.open_or_make(&config, Use::Tool, None, now)?;
        let token = Secret::random()?;
        let (user, given, force) = (self.user.clone(), token.clone(), self.force);
        let made = opened.write(move |tx| {
            let there = directory::list_administrators(tx)?;
            if !there.is_empty() && !force {
                return Ok(Err(there));
            }
            directory::create_administrator(tx, &user, now)?;
            let token = directory::create_token(tx, &user, &given, now, None)?;
            Ok::<_, DirectoryError>(Ok(token))
        })?;
        let row = made.map_err(|there| {
            let there = there.join(", ");
            anyhow::anyhow!("the store has an administrator already ({there}); --force makes one more")
        })?;
        let store = place.to_string();
        let (user, token) = (row.user.as_str(), token.reveal());
        if global.json {
            return output::say_json(&Made { store, user, token_id: row.id, token });
        }
        output::say(format_args!("store          {store}"));
        output::say(format_args!("administrator  {user}"));
        output::say(format_args!("bk_token       {token}"));
        output::note("The token is shown this once. Next: rollcall app create NAME, then rollcall serve");
        Ok(())
    }
}
