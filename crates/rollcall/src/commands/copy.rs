//! `rollcall copy`: a whole store into another one.

use super::Global;
use crate::config::Config;
use crate::end::End;
use crate::output;
use crate::place::Place;
use crate::stop;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use rollcall_store::copy::{self, BatchSize, Compared, CopyError, Digest, Phase, Watch};
use rollcall_store::migrate;
use serde::Serialize;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How often the progress is told where nobody sees a bar.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Copy a whole store into an empty one, from a file into a database or back
#[derive(Args)]
#[command(after_help = "Examples:
  rollcall copy --from sqlite:rollcall.sqlite --to postgres://rollcall@db1,db2/rollcall
  rollcall copy --from postgres://rollcall@db1,db2/rollcall --to sqlite:copy.sqlite
  ROLLCALL_POSTGRES_PASSWORD_FILE=pw rollcall copy --to postgres://rollcall@db1/rollcall

Stop the servers on both stores before. The target is made if need be; one that holds anything else is refused. Ids, times, events
with their positions, apps, tokens and grants stay what they are; the source is only read.

A copy that was interrupted goes on when the same command is run again; until it is finished no other command takes the target.
At the end every table is read on both sides and compared. Ends with 3 when there are differences: empty the target then, see to it
that nobody writes to the source, and copy again.

The password of the configuration is used for both sides; where they differ, they stand in the addresses.")]
pub struct Copy {
    /// The store to copy [default: the one that other commands work on]
    #[arg(long, value_name = "STORE")]
    from: Option<String>,

    /// Where to: a file or a database, new or empty
    #[arg(long, value_name = "STORE")]
    to: String,
}

#[derive(Serialize)]
struct Report<'a> {
    from: String,
    to: String,
    equal: bool,
    tables: Vec<TableOut<'a>>,
}

#[derive(Serialize)]
struct TableOut<'a> {
    table: &'a str,
    equal: bool,
    from: DigestOut,
    to: DigestOut,
}

#[derive(Serialize)]
struct DigestOut {
    rows: u64,
    /// The sum of the SHA-256 hashes of all rows, modulo 2^256.
    hash: String,
}

impl From<Digest> for DigestOut {
    fn from(digest: Digest) -> Self {
        Self { rows: digest.rows, hash: digest.to_string() }
    }
}

impl Copy {
    pub fn run(self, global: &Global) -> Result<(), End> {
        let config = global.load(Vec::new())?;
        let from = Place::parse(self.from.as_deref().unwrap_or(&config.store), &config)?;
        let to = Place::parse(&self.to, &config)?;
        from.require(&config)?;
        require_schema(&from, &config)?;
        if !matches!(&to, Place::File(file) if !file.exists()) && to.schema_version(&config)? > 0 {
            require_schema(&to, &config)?;
        }
        output::note(format_args!("copying {from} to {to}"));
        let source = from.open(&config)?.store;
        let target = to.open_to_fill(&config)?;
        let progress = Progress::new(stop::after_batch()?);
        let copied = copy::copy(&source, &target, BatchSize::default(), &progress);
        progress.end();
        target.engine().close();
        let compared = copied.map_err(|error| match error {
            CopyError::Stopped => End::Failed(anyhow::anyhow!("stopped; run the same command again to go on")),
            error => error.into(),
        })?;
        show(global, &from, &to, &compared)
    }
}

fn show(global: &Global, from: &Place, to: &Place, compared: &[Compared]) -> Result<(), End> {
    let is_equal = compared.iter().all(Compared::is_equal);
    if global.json {
        let table = |it: &Compared| TableOut {
            table: it.table,
            equal: it.is_equal(),
            from: it.source.into(),
            to: it.target.into(),
        };
        let tables = compared.iter().map(table).collect();
        output::say_json(&Report { from: from.to_string(), to: to.to_string(), equal: is_equal, tables })?;
    } else {
        let row = |it: &Compared| {
            let verdict = if it.is_equal() {
                "equal".to_owned()
            } else if it.source.rows == it.target.rows {
                "DIFFERENT".to_owned()
            } else {
                format!("DIFFERENT: {} rows", it.target.rows)
            };
            [it.table.to_owned(), it.source.rows.to_string(), it.source.to_string(), verdict]
        };
        output::say_table(["table", "rows", "hash", "in the copy"], &compared.iter().map(row).collect::<Vec<_>>());
    }
    if is_equal {
        output::note(format_args!("{to} holds all of {from}"));
        return Ok(());
    }
    output::note(
        "The copy differs and stays unusable: empty it, see to it that nobody writes to the source, and copy again",
    );
    Err(End::Problems)
}

/// Neither side is brought up to date on the way: the source is only read, and the target may turn out to be another store.
fn require_schema(place: &Place, config: &Config) -> Result<(), End> {
    let (version, newest) = (place.schema_version(config)?, migrate::newest());
    if version == newest {
        return Ok(());
    }
    Err(End::Failed(anyhow::anyhow!(
        "the schema of {place} is version {version}, this program copies {newest}; a server of this version brings it up to date"
    )))
}

/// A bar on a terminal, else a line now and then.
struct Progress {
    bar: ProgressBar,
    is_stopped: Arc<AtomicBool>,
    /// Guards what lines tell.
    state: Mutex<State>,
}

struct State {
    phase: Phase,
    rows: u64,
    done: u64,
    /// The table that is being copied.
    table: Table,
    told: Instant,
}

struct Table {
    name: &'static str,
    rows: u64,
    since: Instant,
    /// When the last of its rows so far was there.
    until: Instant,
}

impl Table {
    fn new(name: &'static str, since: Instant) -> Self {
        Self { name, rows: 0, since, until: since }
    }
}

impl State {
    fn new(phase: Phase, rows: u64, done: u64) -> Self {
        let now = Instant::now();
        Self { phase, rows, done, table: Table::new("", now), told: now }
    }
}

impl Progress {
    fn new(is_stopped: Arc<AtomicBool>) -> Self {
        let style = ProgressStyle::with_template("{msg} [{wide_bar}] {pos} of {len} rows, {per_sec}, {eta} left");
        // No rows to begin with.
        let bar = ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        let state = Mutex::new(State::new(Phase::Copy, 0, 0));
        Self { bar, is_stopped, state }
    }

    /// Tells of the table that was copied last.
    fn tell_table(&self, table: &Table) {
        if table.rows > 0 {
            let seconds = (table.until - table.since).as_secs_f64().max(0.001);
            let per_second = table.rows as f64 / seconds;
            let line = format!("{}: {} rows in {seconds:.1} s, {per_second:.0} rows/s", table.name, table.rows);
            self.bar.suspend(|| output::note(line));
        }
    }

    fn end(&self) {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        self.tell_table(&state.table);
        self.bar.finish_and_clear();
    }
}

impl Watch for Progress {
    fn begin(&self, phase: Phase, rows: u64, done: u64) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        self.tell_table(&state.table);
        *state = State::new(phase, rows, done);
        self.bar.set_message(match phase {
            Phase::Copy => "copying",
            Phase::Compare => "comparing",
        });
        self.bar.set_length(rows);
        self.bar.set_position(done);
        self.bar.reset_eta();
    }

    fn advance(&self, table: &'static str, rows: u64) {
        self.bar.inc(rows);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.done += rows;
        // Two tables are compared at a time.
        if state.phase == Phase::Copy {
            if state.table.name != table {
                self.tell_table(&state.table);
                state.table = Table::new(table, state.table.until);
                self.bar.set_message(format!("copying {table}"));
            }
            state.table.rows += rows;
            state.table.until = Instant::now();
        }
        if self.bar.is_hidden() && state.told.elapsed() > LINE_EVERY {
            state.told = Instant::now();
            let what = match state.phase {
                Phase::Copy => format!("copying {table}"),
                Phase::Compare => "comparing".to_owned(),
            };
            output::note(format_args!("{what}: {} of {} rows", state.done, state.rows));
        }
    }

    fn is_stopped(&self) -> bool {
        self.is_stopped.load(Ordering::Relaxed)
    }
}
