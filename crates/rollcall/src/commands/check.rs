//! `rollcall check`: is a store what it must be?

use super::Global;
use crate::end::End;
use crate::output;
use crate::place::Place;
use clap::Args;
use rollcall_store::check::{self, Finding};
use rollcall_store::sqlite::Sqlite;
use rollcall_store::{StoreError, migrate};
use serde::Serialize;

/// Look for damage in a store, beside its server if need be
#[derive(Args)]
#[command(after_help = "Examples:
  rollcall check
  rollcall check --json --store sqlite:backup.sqlite

Asks SQLite for the integrity of the file where there is one, then every rule that the record keeps. Changes nothing. Ends with 3 when it finds
something.")]
pub struct Check;

#[derive(Serialize)]
struct FindingOut<'a> {
    /// `null`: of the file itself.
    table: Option<&'a str>,
    id: Option<i64>,
    what: &'a str,
}

#[derive(Serialize)]
struct Report<'a> {
    ok: bool,
    rules: usize,
    findings: Vec<FindingOut<'a>>,
}

impl Check {
    pub fn run(self, global: &Global) -> Result<(), End> {
        let (config, place) = global.place()?;
        place.require(&config)?;
        let mut of_file = match &place {
            Place::File(file) => {
                output::note(format_args!("checking the file {}", file.display()));
                Sqlite::integrity(file).or_else(|error| match error {
                    StoreError::Unreadable(what) => Ok(vec![what]),
                    error => Err(error),
                })?
            }
            // The database looks after its own files.
            Place::Database(_) => Vec::new(),
        };
        let mut findings: Vec<Finding> = Vec::new();
        // In a damaged file a rule would tell of rows that are not there.
        if of_file.is_empty() {
            let (version, newest) = (place.schema_version(&config)?, migrate::newest());
            if version != newest {
                return Err(End::Failed(anyhow::anyhow!(
                    "the schema is version {version}, this program checks {newest}; `rollcall migrate` of this version brings it up to date"
                )));
            }
            output::note(format_args!("asking {} rules", check::rule_count()));
            let opened = place.open(&config)?;
            match opened.store.read(true, |tx| check::run(tx, &mut |_| {})) {
                Ok(found) => findings = found,
                Err(StoreError::Unreadable(what)) => of_file.push(what),
                Err(error) => return Err(error.into()),
            }
        }
        let files = of_file.iter().map(|what| FindingOut { table: None, id: None, what });
        let rows = findings.iter().map(|finding| FindingOut {
            table: Some(finding.table),
            id: Some(finding.id),
            what: &finding.what,
        });
        show(global, files.chain(rows).collect())
    }
}

fn show(global: &Global, findings: Vec<FindingOut<'_>>) -> Result<(), End> {
    let ok = findings.is_empty();
    if global.json {
        output::say_json(&Report { ok, rules: check::rule_count(), findings })?;
    } else if ok {
        output::say("no problems found");
    } else {
        let cells = |finding: &FindingOut<'_>| {
            let id = finding.id.map(|id| id.to_string()).unwrap_or_default();
            [finding.table.unwrap_or("(file)").to_owned(), id, finding.what.to_owned()]
        };
        let rows: Vec<_> = findings.iter().map(cells).collect();
        output::say_table(["table", "id", "problem"], &rows);
        output::note(format_args!("{} problems found", rows.len()));
    }
    if ok { Ok(()) } else { Err(End::Problems) }
}
