//! Measures Rollcall against bare programs that do only the unavoidable part of the same work, on the same machine and in the
//! same run: alternating rounds, and of their ratios the median. Absolute numbers are printed beside the ratios; they say
//! more about the machine than about the program. Timings live here and in no test.

#![expect(clippy::print_stdout, reason = "its figures are its output")]

mod bare;
mod difference;
mod estate;
mod figures;
mod load;
mod postgres;
mod reads;
mod recording;
mod rest;
mod server;
mod synchronization;
mod writes;

use clap::{Parser, Subcommand, ValueEnum};
use figures::Report;
use std::path::PathBuf;

/// As in `rollcall`.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Print the ratios of the speed budget, and write them as JSON
#[derive(Parser)]
#[command(after_help = "Examples:
  cargo run --release -p rollcall-bench
  cargo run --release -p rollcall-bench -- --quick
  cargo run --release -p rollcall-bench -- --only list --only bulk
  cargo run --release -p rollcall-bench -- --only flat --small small.sqlite --large large.sqlite

`flat` asks stores that are there already when they are named. Both must have instances in common, as they have when `rollcall
generate` made them with the same seed, businesses and processes of an instance:
  rollcall generate --store sqlite:small.sqlite --processes 30000
  rollcall generate --store sqlite:large.sqlite --processes 10000000

The unavoidable part that each figure is measured against, and what is asked of it, stand in bench/README.md.")]
struct Arguments {
    /// Smaller stores and fewer rounds: a minute in all
    #[arg(long)]
    quick: bool,

    /// Only these measurements
    #[arg(long, value_name = "NAME")]
    only: Vec<Name>,

    /// Where the figures are written
    #[arg(long, value_name = "FILE", default_value = "target/bench.json")]
    json: PathBuf,

    /// The server program; by default the one beside this program, if it is built
    #[arg(long, value_name = "FILE")]
    rollcall: Option<PathBuf>,

    /// Processes in the large store of `flat`
    #[arg(long, value_name = "COUNT")]
    processes: Option<usize>,

    /// Instead of making stores for `flat`: the file of a small one
    #[arg(long, value_name = "FILE", requires = "large", conflicts_with = "processes")]
    small: Option<PathBuf>,

    /// Instead of making stores for `flat`: the file of a large one
    #[arg(long, value_name = "FILE", requires = "small")]
    large: Option<PathBuf>,

    /// Rounds of each measurement
    #[arg(long, value_name = "COUNT")]
    rounds: Option<usize>,

    /// Where stores are made; they are removed at the end
    #[arg(long, value_name = "FOLDER")]
    folder: Option<PathBuf>,

    #[command(subcommand)]
    child: Option<Child>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Name {
    /// list_process_instance
    List,
    /// create_process_instance, 100 a call
    Bulk,
    /// create_process_instance, 1 a call
    Single,
    /// list_process_instance in a small and a large store
    Flat,
    /// list_process_related_info, a page of 200
    Related,
    /// list_process_detail_by_ids, 200 processes
    Details,
    /// The difference of a module with its service template
    Difference,
    /// The synchronization of a module with its service template
    Sync,
    /// update_process_instance, 100 a call
    Update,
    /// delete_process_instance, 100 a call
    Delete,
    /// Start, memory at rest
    Rest,
    /// Disk used per process
    Disk,
    /// list_process_instance and create_process_instance on PostgreSQL
    Postgres,
}

#[derive(Subcommand)]
enum Child {
    /// One of the servers that are measured; it ends with its standard input
    #[command(hide = true)]
    Serve {
        kind: server::Kind,
        #[arg(long)]
        store: PathBuf,
    },
}

/// How much is measured.
#[derive(Clone)]
struct Plan {
    quick: bool,
    rounds: usize,
    round: std::time::Duration,
    large: usize,
    /// A small and a large one that are there already.
    stores: Option<[PathBuf; 2]>,
    folder: PathBuf,
    rollcall: Option<PathBuf>,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    if let Some(Child::Serve { kind, store }) = arguments.child {
        return server::serve(kind, &store);
    }
    let folder = match &arguments.folder {
        Some(folder) => tempfile::tempdir_in(folder)?,
        None => tempfile::tempdir()?,
    };
    let quick = arguments.quick;
    let plan = Plan {
        quick,
        rounds: arguments.rounds.unwrap_or(if quick { 5 } else { 11 }),
        round: std::time::Duration::from_millis(if quick { 500 } else { 1500 }),
        large: arguments.processes.unwrap_or(if quick { 100_000 } else { 1_000_000 }),
        stores: arguments.small.zip(arguments.large).map(|(small, large)| [small, large]),
        folder: folder.path().to_owned(),
        rollcall: arguments.rollcall.or_else(rest::beside_this_program),
    };
    let mut report = Report::new(quick);
    let wanted = |name| arguments.only.is_empty() || arguments.only.contains(&name);
    if wanted(Name::List) {
        reads::list(&plan, &mut report)?;
    }
    if wanted(Name::Related) {
        reads::related(&plan, &mut report)?;
    }
    if wanted(Name::Details) {
        reads::details(&plan, &mut report)?;
    }
    if wanted(Name::Difference) {
        difference::difference(&plan, &mut report)?;
    }
    if wanted(Name::Sync) {
        synchronization::synchronization(&plan, &mut report)?;
    }
    if wanted(Name::Bulk) {
        writes::bulk(&plan, &mut report)?;
    }
    if wanted(Name::Single) {
        writes::single(&plan, &mut report)?;
    }
    if wanted(Name::Update) {
        writes::update(&plan, &mut report)?;
    }
    if wanted(Name::Delete) {
        writes::delete(&plan, &mut report)?;
    }
    if wanted(Name::Disk) {
        writes::disk(&plan, &mut report)?;
    }
    if wanted(Name::Rest) {
        rest::measure(&plan, &mut report)?;
    }
    if wanted(Name::Postgres) {
        postgres::measure(&plan, &mut report)?;
    }
    if wanted(Name::Flat) {
        reads::flat(&plan, &mut report)?;
    }
    report.write(&arguments.json)
}
