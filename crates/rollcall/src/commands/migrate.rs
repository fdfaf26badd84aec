//! `rollcall migrate`: a store's schema, apart from a server.

use super::Global;
use crate::end::End;
use crate::output;
use clap::Args;
use serde::Serialize;

/// Make a store's tables, or bring them up to date, without serving it
#[derive(Args)]
#[command(after_help = "Examples:
  rollcall migrate
  rollcall migrate --store postgres://rollcall@db.example.com/rollcall --partitions 16

A server does the same when it starts. This is for those who want it done before, and the way to a store that is split.
The data that every store is born with is not written: `rollcall init`, or the first server, adds it in the time zone of its configuration.

--partitions splits service instances, processes and audit entries by the hash of their business, for stores of very many processes
(docs/scale.md says when). It is decided once, when the tables are made: 16 suits most.")]
pub struct Migrate {
    /// Split the tables that grow with a business into so many; only in a PostgreSQL database that has no store yet
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=1024))]
    partitions: Option<u32>,
}

#[derive(Serialize)]
struct Done {
    store: String,
    /// 0: there was no store.
    from_version: i64,
    schema_version: i64,
    /// `null`: the tables are not split.
    partitions: Option<u32>,
}

impl Migrate {
    pub fn run(self, global: &Global) -> Result<(), End> {
        let (config, place) = global.place()?;
        let migrated = place.migrate(&config, self.partitions)?;
        let store = place.to_string();
        if global.json {
            return output::say_json(&Done {
                store,
                from_version: migrated.from,
                schema_version: migrated.to,
                partitions: migrated.partitions,
            });
        }
        let was = match migrated.from {
            0 => "new".to_owned(),
            from if from == migrated.to => "was up to date".to_owned(),
            from => format!("was {from}"),
        };
        output::say(format_args!("store           {store}"));
        output::say(format_args!("schema version  {} ({was})", migrated.to));
        if let Some(partitions) = migrated.partitions {
            output::say(format_args!("partitions      {partitions}"));
        }
        Ok(())
    }
}
