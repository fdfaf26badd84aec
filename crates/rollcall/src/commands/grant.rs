//! `rollcall grant`: what users may do.

use super::Global;
use crate::clock;
use crate::end::End;
use crate::output;
use crate::place::OpenStore;
use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};
use rollcall_app::access::{Action, Scope};
use rollcall_app::directory;
use rollcall_domain::id::BusinessId;
use rollcall_store::directory::GrantRow;
use serde::Serialize;

#[derive(Subcommand)]
#[command(after_help = "Examples:
  rollcall grant actions
  rollcall grant create ann edit_biz_service_instance --business 3
  rollcall grant create ann create_business --all
  rollcall grant admin eve
  rollcall grant list --json
  rollcall grant revoke 7 --yes")]
pub enum Grant {
    /// Give a user a right on one business or on all
    Create {
        user: String,
        /// What the user may do, see `rollcall grant actions`
        #[arg(hide_possible_values = true, value_parser = PossibleValuesParser::new(Action::ALL.iter().map(|action| action.wire())))]
        action: String,
        #[command(flatten)]
        on: On,
    },
    /// Make a user an administrator: every right on everything
    Admin { user: String },
    /// List who may do what
    List,
    /// Take a right from its user
    Revoke {
        /// The grant's id, see `rollcall grant list`
        id: i64,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// List the actions that can be granted
    Actions,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
pub struct On {
    /// On this business (bk_biz_id)
    #[arg(long, value_name = "ID")]
    business: Option<i64>,
    /// On every business, also those to come, and on what belongs to none
    #[arg(long)]
    all: bool,
}

#[derive(Serialize)]
struct GrantOut<'a> {
    id: i64,
    user: &'a str,
    action: &'a str,
    /// `null`: on everything.
    business: Option<i64>,
    created: String,
}

#[derive(Serialize)]
struct ActionOut {
    action: &'static str,
    name: &'static str,
    name_zh: &'static str,
    per_business: bool,
}

impl Grant {
    pub fn run(self, global: &Global) -> Result<(), End> {
        if let Self::Actions = self {
            return list_actions(global);
        }
        let opened = global.open()?;
        match self {
            Self::Create { user, action, on } => {
                let action =
                    Action::of_wire(&action).ok_or_else(|| End::Usage(format!("there is no action {action}")))?;
                let one = |id| Scope::One(BusinessId(id));
                let scope = on.business.map_or(Scope::Everything, one);
                let row = opened.write(move |tx| directory::create_grant(tx, &user, action, scope, clock::now()))?;
                show(global, &opened, &row)
            }
            Self::Admin { user } => {
                let row = opened.write(move |tx| directory::create_administrator(tx, &user, clock::now()))?;
                show(global, &opened, &row)
            }
            Self::List => {
                let rows = opened.read(directory::list_grants)?;
                if global.json {
                    let rows: Vec<_> = rows.iter().map(|row| out(&opened, row)).collect();
                    return output::say_json(&rows);
                }
                show_rows(&opened, &rows);
                Ok(())
            }
            Self::Revoke { id, yes } => {
                let rows = opened.read(directory::list_grants)?;
                if let Some(row) = rows.iter().find(|row| row.id == id) {
                    let plan = format!("{} will lose the right {} on {}.", row.user, row.action, scope_text(row));
                    output::confirm(&plan, yes)?;
                }
                opened.write(move |tx| directory::revoke_grant(tx, id))
            }
            Self::Actions => Ok(()),
        }
    }
}

fn out<'a>(opened: &OpenStore, row: &'a GrantRow) -> GrantOut<'a> {
    GrantOut {
        id: row.id,
        user: &row.user,
        action: &row.action,
        business: row.business_id.map(BusinessId::get),
        created: opened.time(row.created),
    }
}

fn scope_text(row: &GrantRow) -> String {
    row.business_id.map_or_else(|| "everything".to_owned(), |id| format!("business {id}"))
}

fn show(global: &Global, opened: &OpenStore, row: &GrantRow) -> Result<(), End> {
    if global.json {
        return output::say_json(&out(opened, row));
    }
    show_rows(opened, std::slice::from_ref(row));
    Ok(())
}

fn show_rows(opened: &OpenStore, rows: &[GrantRow]) {
    let cells = |row: &GrantRow| {
        let created = opened.time(row.created);
        [row.id.to_string(), row.user.clone(), row.action.clone(), scope_text(row), created]
    };
    let rows: Vec<_> = rows.iter().map(cells).collect();
    output::say_table(["id", "user", "action", "on", "created"], &rows);
}

fn list_actions(global: &Global) -> Result<(), End> {
    let actions: Vec<_> = Action::ALL
        .iter()
        .map(|action| ActionOut {
            action: action.wire(),
            name: action.names().1,
            name_zh: action.names().0,
            per_business: directory::is_of_business(*action),
        })
        .collect();
    if global.json {
        return output::say_json(&actions);
    }
    let cells = |action: &ActionOut| {
        let on = if action.per_business { "one business or all" } else { "all only" };
        [action.action.to_owned(), on.to_owned(), action.name.to_owned()]
    };
    let rows: Vec<_> = actions.iter().map(cells).collect();
    output::say_table(["action", "granted on", "what it is"], &rows);
    Ok(())
}
