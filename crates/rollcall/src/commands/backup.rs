//! `rollcall backup`: a copy of a live store.

use super::Global;
use crate::end::End;
use crate::output;
use clap::Args;
use rollcall_store::sqlite::Sqlite;
use serde::Serialize;
use std::path::PathBuf;

/// Copy a store into a new file, beside its server if need be
#[derive(Args)]
#[command(after_help = "Examples:
  rollcall backup /backups/rollcall-2026-11-22.sqlite
  rollcall backup --store sqlite:/var/lib/rollcall/store.sqlite copy.sqlite

The copy is of one moment, complete and on disk when its name appears. A file that exists is not overwritten.")]
pub struct Backup {
    /// The new file
    to: PathBuf,
}

#[derive(Serialize)]
struct Done {
    backup: String,
    size_bytes: u64,
}

impl Backup {
    pub fn run(self, global: &Global) -> Result<(), End> {
        let (config, place) = global.place()?;
        let file = place
            .file("backup", "copy a database with pg_dump or pg_basebackup, or into a file with `rollcall copy`")?;
        place.require(&config)?;
        let backup = self.to.display().to_string();
        if self.to.exists() {
            return Err(End::Failed(anyhow::anyhow!("{backup} exists already")));
        }
        output::note(format_args!("copying {} to {backup}", file.display()));
        Sqlite::backup(file, &self.to)?;
        let size_bytes = std::fs::metadata(&self.to)?.len();
        if global.json {
            return output::say_json(&Done { backup, size_bytes });
        }
        output::say(format_args!("{backup}: {size_bytes} bytes"));
        Ok(())
    }
}
