//! create_process_instance: against loops that insert the same rows, and what it leaves on disk.

use crate::Plan;
use crate::bare::{Place, Writer};
use crate::estate::{Estate, Home, entry};
use crate::figures::{Budget, Report, median};
use crate::load::{Client, Round, Until, request};
use crate::server::{Kind, Running};
use anyhow::Context;
use serde_json::json;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Processes in a call of `bulk`.
pub const A_CALL: usize = 100;
/// Clients of `single`.
pub const CLIENTS: usize = 64;
/// The most requests in one commit, as the store has it.
const GROUP: usize = 256;

fn create_request(business: i64, instance: i64, processes: &[String]) -> Vec<u8> {
    let processes = processes.join(",");
    let body = format!("{{\"bk_biz_id\":{business},\"service_instance_id\":{instance},\"processes\":[{processes}]}}");
    request("/create/proc/process_instance", &body)
}

pub fn bulk_request(home: Home, instance: i64) -> Vec<u8> {
    let processes: Vec<_> = (0..A_CALL).map(|i| entry(&format!("process-{i:03}"), i)).collect();
    create_request(home.business, instance, &processes)
}

pub fn single_request(home: Home, place: &Place) -> Vec<u8> {
    let name = place.name.as_deref().unwrap_or("process");
    create_request(home.business, place.instance, &[entry(name, 0)])
}

/// Two equal stores, in each of which one call has stored its rows: one for our server, one for the bare loop.
struct Pair {
    home: Home,
    /// Without processes.
    instances: Vec<i64>,
    ours: Running,
    bare: Writer,
    files: [PathBuf; 2],
}

impl Pair {
    fn new(plan: &Plan, name: &str, instances: usize, first: impl Fn(Home, i64) -> Vec<u8>) -> anyhow::Result<Self> {
        let file = plan.folder.join(format!("{name}.sqlite"));
        let (home, mut instances) = store(&file, instances + 1)?;
        let sample = instances.remove(0);
        let ours = Running::start(Kind::Ours, &file)?;
        Client::connect(ours.address, 1)?.ask(&first(home, sample))?;
        drop(ours);
        let copy = plan.folder.join(format!("{name}-bare.sqlite"));
        std::fs::copy(&file, &copy)?;
        let bare = Writer::open(&copy, sample)?;
        let ours = Running::start(Kind::Ours, &file)?;
        Ok(Self { home, instances, ours, bare, files: [file, copy] })
    }

    /// One round of both sides; who begins changes from round to round. What one has left to be written is on disk before the
    /// other starts, so that nobody waits for it.
    fn round(
        &mut self,
        round: usize,
        client: &mut Client,
        requests: Vec<Vec<u8>>,
        bare: impl FnOnce(&mut Writer) -> anyhow::Result<Duration>,
    ) -> anyhow::Result<Sides> {
        let requests = Arc::new(requests);
        let mut bare = Some(bare);
        let (mut our_time, mut bare_time, mut cpu) = (None, Duration::ZERO, Duration::ZERO);
        for turn in 0..2 {
            for file in &self.files {
                File::open(file)?.sync_all()?;
            }
            if (round + turn).is_multiple_of(2) {
                let before = self.ours.cpu()?;
                our_time = Some(client.round(&requests, Until::AllSent)?);
                cpu = self.ours.cpu()?.saturating_sub(before);
            } else if let Some(bare) = bare.take() {
                bare_time = bare(&mut self.bare)?;
            }
        }
        let ours = our_time.context("of two turns one is ours")?;
        Ok(Sides { ours, cpu, bare: bare_time })
    }
}

/// A store with instances that have no processes.
pub fn store(file: &Path, instances: usize) -> anyhow::Result<(Home, Vec<i64>)> {
    let estate = Estate::new(file)?;
    let home = estate.home("writes")?;
    let instances = estate.empty_instances(home, instances)?;
    estate.close();
    Ok((home, instances))
}

/// The times of one round.
struct Sides {
    ours: Round,
    /// Of our server.
    cpu: Duration,
    bare: Duration,
}

/// The rounds of one comparison, rows a second on both sides.
#[derive(Default)]
struct Rates {
    ours: Vec<f64>,
    bare: Vec<f64>,
    cpu_us: Vec<f64>,
}

impl Rates {
    #[expect(clippy::cast_precision_loss, reason = "a round has some thousand rows")]
    fn add(&mut self, rows: usize, sides: &Sides) {
        self.cpu_us.push(sides.cpu.as_secs_f64() * 1e6 / rows as f64);
        self.ours.push(rows as f64 / sides.ours.time.as_secs_f64());
        self.bare.push(rows as f64 / sides.bare.as_secs_f64());
    }

    fn report(&self, report: &mut Report, name: &str, connections: usize) {
        let ratios: Vec<_> = self.ours.iter().zip(&self.bare).map(|(ours, bare)| ours / bare).collect();
        let facts = json!({
            "processes_per_s": median(&self.ours), "bare_per_s": median(&self.bare),
            "server_cpu_us": median(&self.cpu_us), "connections": connections,
        });
        report.add(name, "ratio", &ratios, Budget::AtLeast(0.5), facts);
    }
}

/// 100 a call, against one durable transaction per 100.
pub fn bulk(plan: &Plan, report: &mut Report) -> anyhow::Result<()> {
    const MANY: usize = 8;
    let calls = if plan.quick { 40 } else { 100 };
    let needed = 4 * calls * (plan.rounds + 1);
    let mut pair = Pair::new(plan, "bulk", needed, bulk_request)?;
    let (home, instances) = (pair.home, std::mem::take(&mut pair.instances));
    let mut fresh = instances.into_iter();
    let mut clients = Vec::new();
    for connections in [1, MANY] {
        clients.push((connections, Client::connect(pair.ours.address, connections)?, Rates::default()));
    }
    for round in 0..=plan.rounds {
        for (_, client, rates) in &mut clients {
            let places: Vec<_> = fresh.by_ref().take(calls).map(|instance| Place { instance, name: None }).collect();
            let requests: Vec<_> = fresh.by_ref().take(calls).map(|instance| bulk_request(home, instance)).collect();
            let sides = pair.round(round, client, requests, |bare| bare.run(&places))?;
            if round > 0 {
                rates.add(calls * A_CALL, &sides);
            }
        }
    }
    report.title("create_process_instance, 100 a call, native door, to a loop with one durable transaction per 100");
    for (connections, _, rates) in &clients {
        rates.report(report, &format!("bulk: processes/s, connections: {connections}"), *connections);
    }
    Ok(())
}

/// 1 a call from many clients, against a loop with group commit.
pub fn single(plan: &Plan, report: &mut Report) -> anyhow::Result<()> {
    let calls = if plan.quick { 2_000 } else { 8_000 };
    // Three processes on each in the end.
    let places = calls * (plan.rounds + 1) / 3;
    let first = |home, instance| single_request(home, &Place { instance, name: Some("sample".into()) });
    let mut pair = Pair::new(plan, "single", places, first)?;
    let (home, instances) = (pair.home, std::mem::take(&mut pair.instances));
    let mut client = Client::connect(pair.ours.address, CLIENTS)?;
    let mut places = instances.iter().cycle().zip(0..);
    let mut rates = Rates::default();
    for round in 0..=plan.rounds {
        let places: Vec<_> = places
            .by_ref()
            .take(calls)
            .map(|(instance, number)| Place { instance: *instance, name: Some(format!("process-{number}")) })
            .collect();
        let requests: Vec<_> = places.iter().map(|place| single_request(home, place)).collect();
        let sides = pair.round(round, &mut client, requests, |bare| bare.run_grouped(&places, CLIENTS, GROUP))?;
        if round > 0 {
            rates.add(calls, &sides);
        }
    }
    report.title("create_process_instance, 1 a call, native door, to a loop with group commit");
    rates.report(report, "single: processes/s, 64 clients", CLIENTS);
    Ok(())
}

/// What a process takes on disk with all that is stored for it.
pub fn disk(plan: &Plan, report: &mut Report) -> anyhow::Result<()> {
    let processes = if plan.quick { 5_000 } else { 20_000 };
    report.title("disk per process, its event and its part of the audit included");
    let calls = processes / A_CALL;
    let file = plan.folder.join("disk-bulk.sqlite");
    let (home, instances) = store(&file, calls)?;
    let requests = instances.iter().map(|instance| bulk_request(home, *instance)).collect();
    report_growth(report, "disk: 100 a call", &file, processes, requests)?;
    let file = plan.folder.join("disk-single.sqlite");
    let (home, instances) = store(&file, processes / 5)?;
    let places = instances.iter().cycle().zip(0..processes);
    let places =
        places.map(|(instance, number)| Place { instance: *instance, name: Some(format!("process-{number}")) });
    let requests = places.map(|place| single_request(home, &place)).collect();
    report_growth(report, "disk: 1 a call", &file, processes, requests)
}

#[expect(clippy::cast_precision_loss, reason = "sizes for people")]
fn report_growth(
    report: &mut Report,
    name: &str,
    file: &PathBuf,
    processes: usize,
    requests: Vec<Vec<u8>>,
) -> anyhow::Result<()> {
    let before = std::fs::metadata(file)?.len();
    let server = Running::start(Kind::Ours, file)?;
    Client::connect(server.address, CLIENTS)?.round(&Arc::new(requests), Until::AllSent)?;
    drop(server);
    let bytes = std::fs::metadata(file)?.len().saturating_sub(before);
    report.add(name, "bytes", &[bytes as f64 / processes as f64], Budget::None, json!({"processes": processes}));
    Ok(())
}
