//! create_process_instance, update_process_instance and delete_process_instance: against loops that change the same rows, and what
//! they leave on disk.

use crate::Plan;
use crate::bare::open_reader;
use crate::bare::write::{Call, Deleted, Place, Updated, Writer};
use crate::estate::{Estate, Home, changed, entry};
use crate::figures::{Budget, Report, median};
use crate::load::{Client, Round, Until, request};
use crate::recording::Asked;
use crate::server::{Kind, Running};
use anyhow::{Context, bail};
use rollcall_app::calls::object;
use rollcall_domain::json::Json;
use rusqlite::Connection;
use rusqlite::types::Value;
use serde_json::json;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Processes in a call of `bulk`, `update` and `delete`.
pub const A_CALL: usize = 100;
/// Connections of `bulk`, `update` and `delete`.
const CONNECTIONS: [usize; 2] = [1, 8];
/// Clients of `single`.
pub const CLIENTS: usize = 64;
/// The most requests in one commit, as the store has it.
const GROUP: usize = 256;

fn create_body(business: i64, instance: i64, processes: &[String]) -> String {
    let processes = processes.join(",");
    format!("{{\"bk_biz_id\":{business},\"service_instance_id\":{instance},\"processes\":[{processes}]}}")
}

fn bulk_body(home: Home, instance: i64) -> String {
    let processes: Vec<_> = (0..A_CALL).map(|i| entry(&format!("process-{i:03}"), i)).collect();
    create_body(home.business, instance, &processes)
}

fn single_body(home: Home, place: &Place) -> String {
    let name = place.name.as_deref().unwrap_or("process");
    create_body(home.business, place.instance, &[entry(name, 0)])
}

fn create_request(body: &str) -> Vec<u8> {
    request("POST", "/create/proc/process_instance", body)
}

pub fn bulk_request(home: Home, instance: i64) -> Vec<u8> {
    create_request(&bulk_body(home, instance))
}

pub fn single_request(home: Home, place: &Place) -> Vec<u8> {
    create_request(&single_body(home, place))
}

/// Two equal stores: one for our server, one for the bare loop.
struct Pair {
    ours: Running,
    bare: Writer,
    files: [PathBuf; 2],
}

impl Pair {
    /// From a store that nobody has open, and what one call did in it.
    fn new(file: PathBuf, asked: Vec<Asked>) -> anyhow::Result<Self> {
        let copy = file.with_extension("bare.sqlite");
        std::fs::copy(&file, &copy)?;
        Ok(Self { ours: Running::start(Kind::Ours, &file)?, bare: Writer::open(&copy, asked)?, files: [file, copy] })
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

    /// Rounds of calls with [`A_CALL`] processes each, so many at a time. `next` makes those of a round: requests for our server
    /// and calls for the bare loop.
    fn rounds<C: Call>(
        &mut self,
        plan: &Plan,
        report: &mut Report,
        name: &str,
        mut next: impl FnMut(usize) -> (Vec<Vec<u8>>, Vec<C>),
    ) -> anyhow::Result<()> {
        let mut clients = Vec::new();
        for connections in CONNECTIONS {
            clients.push((connections, Client::connect(self.ours.address, connections)?, Rates::default()));
        }
        for round in 0..=plan.rounds {
            for (_, client, rates) in &mut clients {
                let (requests, calls) = next(round);
                let sides = self.round(round, client, requests, |bare| bare.run(&calls))?;
                if round > 0 {
                    rates.add(calls.len() * A_CALL, &sides);
                }
            }
        }
        for (connections, _, rates) in &clients {
            rates.report(report, &format!("{name}: processes/s, connections: {connections}"), *connections);
        }
        Ok(())
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
    let calls = if plan.quick { 40 } else { 100 };
    let file = plan.folder.join("bulk.sqlite");
    let estate = Estate::new(&file)?;
    let home = estate.home("writes")?;
    let instances = estate.empty_instances(home, 1 + 2 * CONNECTIONS.len() * calls * (plan.rounds + 1))?;
    let asked = estate.record("create_process_instance", &bulk_body(home, instances[0]))?;
    estate.close();
    let mut fresh = instances.into_iter().skip(1);
    report.title("create_process_instance, 100 a call, native door, to a loop with one durable transaction per 100");
    Pair::new(file, asked)?.rounds(plan, report, "bulk", |_| {
        let places: Vec<_> = fresh.by_ref().take(calls).map(|instance| Place { instance, name: None }).collect();
        (fresh.by_ref().take(calls).map(|instance| bulk_request(home, instance)).collect(), places)
    })
}

/// 1 a call from many clients, against a loop with group commit.
pub fn single(plan: &Plan, report: &mut Report) -> anyhow::Result<()> {
    let calls = if plan.quick { 2_000 } else { 8_000 };
    let file = plan.folder.join("single.sqlite");
    let estate = Estate::new(&file)?;
    let home = estate.home("writes")?;
    // Three processes on each in the end.
    let instances = estate.empty_instances(home, 1 + calls * (plan.rounds + 1) / 3)?;
    let sample = Place { instance: instances[0], name: Some("sample".into()) };
    let asked = estate.record("create_process_instance", &single_body(home, &sample))?;
    estate.close();
    let mut pair = Pair::new(file, asked)?;
    let mut client = Client::connect(pair.ours.address, CLIENTS)?;
    let mut places = instances[1..].iter().cycle().zip(0..);
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

/// Makes a store of instances with one process more than a call names, and records a call on the first of them. Answers the processes
/// to name of each of the others.
fn filled(
    file: &Path,
    instances: usize,
    name: &'static str,
    body: impl Fn(Home, &[i64]) -> String,
) -> anyhow::Result<(Home, Vec<Vec<i64>>, Vec<Asked>)> {
    let estate = Estate::new(file)?;
    let home = estate.home("writes")?;
    let instances = estate.instances(home, instances, A_CALL + 1)?;
    let mut processes = first_processes(&open_reader(file)?, home.business, &instances)?;
    let asked = estate.record(name, &body(home, &processes.remove(0)))?;
    estate.close();
    Ok((home, processes, asked))
}

/// As many processes of each of these instances as a call names.
fn first_processes(reader: &Connection, business: i64, instances: &[i64]) -> anyhow::Result<Vec<Vec<i64>>> {
    let mut select = reader.prepare(&format!(
        "SELECT id FROM process WHERE business_id = ?1 AND service_instance_id = ?2 ORDER BY id LIMIT {A_CALL}"
    ))?;
    let processes = instances.iter().map(|instance| {
        let ids = select.query_map((business, instance), |row| row.get(0))?;
        Ok(ids.collect::<Result<_, _>>()?)
    });
    processes.collect()
}

fn update_body(home: Home, processes: &[i64], description: &str) -> String {
    let entries = processes.iter().enumerate().map(|(number, id)| changed(*id, number, description));
    let body = [("bk_biz_id", home.business.into()), ("processes", Json::List(entries.collect()))];
    Json::Object(object(body)).to_string()
}

/// The fixed fields of the processes of a recorded update, with another description than the recorded one.
fn redescribed(asked: &[Asked], recorded: &str, description: &str) -> anyhow::Result<Arc<[String]>> {
    let update =
        asked.iter().find(|asked| asked.sql.starts_with("UPDATE process ")).context("processes are updated")?;
    let texts = update.rows.iter().map(|row| match row.get(5) {
        Some(Value::Text(text)) if text.contains(recorded) => Ok(text.replacen(recorded, description, 1)),
        other => bail!("{other:?} instead of fields with a description"),
    });
    texts.collect()
}

/// Processes with another description, 100 a call, against one durable transaction per 100.
pub fn update(plan: &Plan, report: &mut Report) -> anyhow::Result<()> {
    let calls = if plan.quick { 40 } else { 100 };
    let file = plan.folder.join("update.sqlite");
    let recorded = "recorded";
    let (home, processes, asked) =
        filled(&file, calls + 1, "update_process_instance", |home, processes| update_body(home, processes, recorded))?;
    // A description for each round and number of connections.
    let descriptions: Vec<_> =
        (0..CONNECTIONS.len() * (plan.rounds + 1)).map(|number| format!("update {number}")).collect();
    let described = descriptions.into_iter().map(|description| {
        let fixed_fields = redescribed(&asked, recorded, &description)?;
        Ok((description, fixed_fields))
    });
    let mut described = described.collect::<anyhow::Result<Vec<_>>>()?.into_iter();
    report.title("update_process_instance, 100 a call, native door, to a loop with one durable transaction per 100");
    Pair::new(file, asked)?.rounds(plan, report, "update", |_| {
        let (description, fixed_fields) = described.next().unwrap_or_default();
        let request = |processes: &Vec<i64>| {
            request("PUT", "/update/proc/process_instance", &update_body(home, processes, &description))
        };
        let updated = |processes| Updated { processes, fixed_fields: fixed_fields.clone() };
        (processes.iter().map(request).collect(), processes.iter().map(|ids| updated(ids)).collect())
    })
}

fn delete_body(home: Home, processes: &[i64]) -> String {
    json!({"bk_biz_id": home.business, "process_instance_ids": processes}).to_string()
}

/// All processes of an instance but one, 100 a call, against one durable transaction per 100.
pub fn delete(plan: &Plan, report: &mut Report) -> anyhow::Result<()> {
    let calls = if plan.quick { 20 } else { 40 };
    let file = plan.folder.join("delete.sqlite");
    let count = 1 + CONNECTIONS.len() * calls * (plan.rounds + 1);
    let (home, processes, asked) = filled(&file, count, "delete_process_instance", delete_body)?;
    let mut rounds = processes.chunks(calls);
    report.title("delete_process_instance, 100 a call, native door, to a loop with one durable transaction per 100");
    Pair::new(file, asked)?.rounds(plan, report, "delete", |_| {
        let some = rounds.next().unwrap_or_default();
        let request = |ids: &Vec<i64>| request("DELETE", "/delete/proc/process_instance", &delete_body(home, ids));
        (some.iter().map(request).collect(), some.iter().map(|ids| Deleted(ids)).collect())
    })
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
