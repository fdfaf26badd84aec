//! `rollcall generate`: a made-up estate, for demos and measurements.

use super::Global;
use crate::clock;
use crate::end::End;
use crate::output;
use crate::place::{OpenStore, Use};
use crate::stop;
use anyhow::anyhow;
use clap::Args;
use clap::builder::RangedU64ValueParser;
use indicatif::{ProgressBar, ProgressStyle};
use rollcall_app::access::Access;
use rollcall_app::calls::Calls;
use rollcall_app::estate::{Estate, Made, Size};
use rollcall_app::{Caller, Context, Limits, OpError, Operation, table};
use serde::Serialize;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Who makes everything.
const USER: &str = "generate";
/// How often the progress is told where nobody sees a bar.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Fill a store with a made-up estate: businesses, hosts, service instances and their processes
#[derive(Args)]
#[command(after_help = "Examples:
  rollcall generate --store sqlite:large.sqlite --processes 1000000
  rollcall generate --store postgres://rollcall@db1/rollcall --processes 50000 --businesses 20

For demos and measurements. Everything has its events and its audit, as if clients had made it. The store is made if there is none;
what it holds already stays as it is, and the estate comes beside it. The same seed makes the same estate in a new store.

Ctrl-C ends it after the transaction that is under way: what is there then is sound, only smaller.")]
pub struct Generate {
    /// Processes in all
    #[arg(long, value_name = "COUNT", default_value_t = 10_000, value_parser = RangedU64ValueParser::<usize>::new().range(1..))]
    processes: usize,

    /// Businesses that share them
    #[arg(long, value_name = "COUNT", default_value_t = 5, value_parser = RangedU64ValueParser::<usize>::new().range(1..=100_000))]
    businesses: usize,

    /// Processes of a service instance; the last instance has what is left
    #[arg(long, value_name = "COUNT", default_value_t = 3,
        value_parser = RangedU64ValueParser::<usize>::new().range(1..=Size::MAX_PER_INSTANCE as u64))]
    processes_per_instance: usize,

    /// What the estate follows from
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,
}

#[derive(Serialize)]
struct Report {
    store: String,
    complete: bool,
    businesses: usize,
    sets: usize,
    modules: usize,
    hosts: usize,
    service_instances: usize,
    processes: usize,
    seconds: f64,
}

impl Generate {
    pub fn run(self, global: &Global) -> Result<(), End> {
        let (config, place) = global.place()?;
        let opened = place.open_or_make(&config, Use::Tool, None, clock::now())?;
        let is_stopped = stop::after_batch()?;
        let size =
            Size { processes: self.processes, businesses: self.businesses, per_instance: self.processes_per_instance };
        let mut estate = Estate::new(size, self.seed);
        let writer = Writer::new(&opened);
        let mut progress = Progress::new(size);
        while !estate.is_complete() && !is_stopped.load(Ordering::Relaxed) {
            estate = writer.grow(estate)?;
            progress.tell(estate.made().processes);
        }
        let seconds = progress.end();
        opened.store.engine().close();
        let report = Report::new(place.to_string(), &estate, seconds);
        report.show(global)?;
        if report.complete {
            return Ok(());
        }
        let (made, wanted) = (report.processes, size.processes);
        Err(End::Failed(anyhow!("stopped with {made} of {wanted} processes; the store is sound")))
    }
}

impl Report {
    fn new(store: String, estate: &Estate, seconds: f64) -> Self {
        let Made { businesses, sets, modules, hosts, service_instances, processes } = estate.made();
        let complete = estate.is_complete();
        Self { store, complete, businesses, sets, modules, hosts, service_instances, processes, seconds }
    }

    fn show(&self, global: &Global) -> Result<(), End> {
        if global.json {
            return output::say_json(self);
        }
        let rows = [
            ("businesses", self.businesses),
            ("sets", self.sets),
            ("modules", self.modules),
            ("hosts", self.hosts),
            ("service instances", self.service_instances),
            ("processes", self.processes),
        ];
        output::say_table(["made", "count"], &rows.map(|(what, count)| [what.to_owned(), count.to_string()]));
        output::note(format_args!(
            "in {:.1} s: {:.0} service instances and {:.0} processes a second",
            self.seconds,
            self.per_second(self.service_instances),
            self.per_second(self.processes)
        ));
        Ok(())
    }

    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    fn per_second(&self, count: usize) -> f64 {
        count as f64 / self.seconds.max(0.001)
    }
}

/// Makes the parts of the estate, each in one transaction.
struct Writer<'a> {
    opened: &'a OpenStore,
    operations: Arc<Vec<Operation>>,
    zone: Arc<rollcall_domain::moment::Zone>,
}

impl<'a> Writer<'a> {
    fn new(opened: &'a OpenStore) -> Self {
        Self { opened, operations: Arc::new(table::operations()), zone: Arc::new(opened.zone.clone()) }
    }

    fn grow(&self, estate: Estate) -> Result<Estate, End> {
        let made = estate.made();
        let caller = Caller {
            user: USER.into(),
            verified: true,
            app_code: String::new(),
            request_id: format!("generate-{}-{}", made.businesses, made.sets),
        };
        let context = Context {
            caller,
            now: clock::now(),
            zone: self.zone.clone(),
            access: Access::unlimited(USER),
            limits: Limits::default(),
            english: true,
            preview: None,
        };
        let operations = self.operations.clone();
        let grown =
            self.opened.store.write_blocking(move |tx| estate.grown(&mut Calls::new(&operations, &context, tx)));
        Ok(grown.map_err(|error: OpError| anyhow!("{error:?}"))?)
    }
}

/// A bar on a terminal, else a line now and then.
struct Progress {
    bar: ProgressBar,
    begun: Instant,
    told: Option<Instant>,
    wanted: usize,
}

impl Progress {
    fn new(size: Size) -> Self {
        let style = ProgressStyle::with_template("[{wide_bar}] {pos} of {len} processes, {per_sec}, {eta} left");
        let bar = ProgressBar::new(size.processes as u64);
        let bar = bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self { bar, begun: Instant::now(), told: None, wanted: size.processes }
    }

    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    fn tell(&mut self, made: usize) {
        self.bar.set_position(made as u64);
        if made > 0 && self.bar.is_hidden() && self.told.is_none_or(|told| told.elapsed() > LINE_EVERY) {
            self.told = Some(Instant::now());
            let rate = made as f64 / self.begun.elapsed().as_secs_f64().max(0.001);
            output::note(format_args!("made {made} of {} processes, {rate:.0} a second", self.wanted));
        }
    }

    /// Ends it; the seconds it took.
    fn end(self) -> f64 {
        self.bar.finish_and_clear();
        self.begun.elapsed().as_secs_f64()
    }
}
