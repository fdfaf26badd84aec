//! `rollcall restore`: a backup in the place of a store.

use super::Global;
use crate::end::End;
use crate::output;
use clap::Args;
use rollcall_store::sqlite::Sqlite;
use serde::Serialize;
use std::path::PathBuf;

/// Put a backup in the place of a store that is not in use
#[derive(Args)]
#[command(after_help = "Examples:
  rollcall restore /backups/rollcall-2026-11-22.sqlite
  rollcall restore --yes --store sqlite:new.sqlite backup.sqlite

The backup is checked first and stays as it is. Stop the server before: a store in use is not replaced. A store that is damaged
beyond opening must be moved away first, together with its -wal and -shm files.")]
pub struct Restore {
    /// The backup
    from: PathBuf,

    /// Do not ask
    #[arg(long)]
    yes: bool,
}

#[derive(Serialize)]
struct Done {
    store: String,
    restored_from: String,
}

impl Restore {
    pub fn run(self, global: &Global) -> Result<(), End> {
        let (_, place) = global.place()?;
        let file = place.file("restore", "restore a database with its own tools, or fill it with `rollcall copy`")?;
        let (store, from) = (file.display().to_string(), self.from.display().to_string());
        if !self.from.is_file() {
            return Err(End::Failed(anyhow::anyhow!("there is no file {from}")));
        }
        if file.exists() {
            let plan = format!("Everything in {store} will be replaced by what is in {from}.");
            output::confirm(&plan, self.yes)?;
        }
        Sqlite::restore(&self.from, file)?;
        if global.json {
            return output::say_json(&Done { store, restored_from: from });
        }
        output::say(format_args!("{store} is what was in {from}"));
        Ok(())
    }
}
