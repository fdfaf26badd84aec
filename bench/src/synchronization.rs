//! The synchronization of a module after one of its process templates has changed: from the first part to the last, against a loop that
//! writes the same rows with one durable transaction for each part.

use crate::Plan;
use crate::bare::{open_writer, statement};
use crate::difference::{Module, TEMPLATES, fill, spec};
use crate::figures::{Budget, Report, median};
use crate::load::{Client, request};
use crate::server::{Kind, Running};
use anyhow::{Context, ensure};
use rollcall_domain::job::{GRACE_MS, hosts_a_part};
use rollcall_domain::moment::Moment;
use rollcall_store::dialect::for_sqlite;
use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};
use serde_json::json;
use std::fs::File;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long a synchronization may take here.
const PATIENCE: Duration = Duration::from_secs(300);
/// How often the bench asks whether it is done.
const POLL: Duration = Duration::from_millis(50);

/// A statement with the values of each row that a synchronization wrote with it.
struct Written {
    sql: String,
    rows: Vec<Vec<Value>>,
}

impl Written {
    fn of(store: &Connection, begins: &str, select: &str, job: &str) -> anyhow::Result<Self> {
        let mut select = store.prepare(select)?;
        let columns = select.column_count();
        let read = |row: &rusqlite::Row<'_>| (0..columns).map(|column| row.get(column)).collect();
        let rows = select.query_map([job], read)?.collect::<Result<Vec<Vec<Value>>, _>>()?;
        ensure!(!rows.is_empty(), "nothing was written by {begins}");
        Ok(Self { sql: for_sqlite(statement(begins, "")?), rows })
    }
}

/// What a job wrote: the processes as they still are, their events, the entries about their instances.
fn written(file: &Path, job: i64) -> anyhow::Result<[Written; 3]> {
    let store = crate::bare::open_reader(file)?;
    let job = format!("job:{job}");
    Ok([
        Written::of(
            &store,
            "UPDATE process SET name = $3",
            "SELECT p.business_id, p.id, p.name, p.func_name, p.start_param, p.fixed_fields, p.extra_fields FROM event e
                JOIN process p ON p.id = e.object_id WHERE e.request_id = ?1 AND e.kind = 9 ORDER BY e.id",
            &job,
        )?,
        Written::of(
            &store,
            "INSERT INTO event",
            "SELECT NULL, time_ms, business_id, kind, operation, object_id, request_id, before_state, after_state FROM event
                WHERE request_id = ?1 AND kind = 9 ORDER BY id",
            &job,
        )?,
        Written::of(
            &store,
            "INSERT INTO audit",
            "SELECT NULL, time_ms, business_id, user_name, user_verified, app_code, request_id, audit_type, resource_type,
                action, resource_id, resource_name, detail FROM audit
                WHERE request_id = ?1 AND resource_type = 'service_instance' ORDER BY id",
            &job,
        )?,
    ])
}

/// Writes it all once more, one durable transaction for so many rows of each statement.
fn write(store: &Connection, written: &[Written], a_part: usize) -> anyhow::Result<Duration> {
    let begun = Instant::now();
    let rows = written.first().map_or(0, |written| written.rows.len());
    for first in (0..rows).step_by(a_part) {
        store.prepare_cached("BEGIN IMMEDIATE")?.raw_execute()?;
        for Written { sql, rows } in written {
            let mut statement = store.prepare_cached(sql)?;
            for row in rows.iter().skip(first).take(a_part) {
                ensure!(statement.execute(params_from_iter(row))? > 0, "nothing was there for {sql}");
            }
        }
        store.prepare_cached("COMMIT")?.raw_execute()?;
    }
    Ok(begun.elapsed())
}

/// Changes the first process template, and lets the module follow; the job, and how long it took once it was begun.
fn follow(client: &mut Client, module: &Module, port: usize) -> anyhow::Result<(i64, Duration)> {
    let mut changed = module.body();
    changed["process_template_id"] = module.first.into();
    changed["process_property"] = json!({"bind_info": spec(0, port)["bind_info"]});
    client.ask(&request("PUT", "/update/proc/proc_template", &changed.to_string()))?;
    let mut asked = module.body();
    asked["bk_module_ids"] = json!([module.module]);
    client.ask(&request("PUT", "/update/proc/service_instance/sync", &asked.to_string()))?;
    let path = format!("/findmany/sync_job/bk_biz_id/{}", module.business);
    let newest = request("POST", &path, "{\"page\":{\"limit\":1}}");
    let begun = Instant::now();
    loop {
        let answer: serde_json::Value = serde_json::from_str(&client.ask(&newest)?)?;
        let job = &answer["data"]["info"][0];
        if job["status"] == "finished" {
            let time = |field: &str| job[field].as_str().and_then(Moment::parse_rfc3339).context("a time");
            let took = time("last_time")?.unix_ms() - time("create_time")?.unix_ms() - GRACE_MS;
            let took = Duration::from_millis(u64::try_from(took)?);
            return Ok((job["job_id"].as_i64().context("a job has an id")?, took));
        }
        ensure!(job["status"] != "failure" && begun.elapsed() < PATIENCE, "the synchronization failed: {job}");
        std::thread::park_timeout(POLL);
    }
}

/// Instances a second on both sides.
#[expect(clippy::cast_precision_loss, reason = "some thousand instances")]
pub fn synchronization(plan: &Plan, report: &mut Report) -> anyhow::Result<()> {
    let hosts = if plan.quick { 1_000 } else { 5_000 };
    let file = plan.folder.join("sync.sqlite");
    let (module, _) = fill(&file, hosts)?;
    let copy = file.with_extension("bare.sqlite");
    std::fs::copy(&file, &copy)?;
    let server = Running::start(Kind::Ours, &file)?;
    let mut client = Client::connect(server.address, 1)?;
    let bare = open_writer(&copy)?;
    let a_part = hosts_a_part(TEMPLATES);
    let (mut ours, mut loops, mut cpu) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..=plan.rounds.min(5) {
        let before = server.cpu()?;
        let (job, took) = follow(&mut client, &module, 9_000 + round)?;
        let used = server.cpu()?.saturating_sub(before);
        // Of this very job: SQLite leaves a page alone when a row on it is written as it was.
        let written = written(&file, job)?;
        ensure!(written[0].rows.len() == hosts, "{} processes instead of {hosts}", written[0].rows.len());
        for file in [&file, &copy] {
            File::open(file)?.sync_all()?;
        }
        let bare = write(&bare, &written, a_part)?;
        // The first one warms up.
        if round > 0 {
            cpu.push(used.as_secs_f64() * 1e6 / hosts as f64);
            ours.push(hosts as f64 / took.as_secs_f64());
            loops.push(hosts as f64 / bare.as_secs_f64());
        }
    }
    report.title(&format!(
        "synchronization of {hosts} instances of which a process changes, to a loop with one durable transaction per {a_part}"
    ));
    let ratios: Vec<_> = ours.iter().zip(&loops).map(|(ours, bare)| ours / bare).collect();
    let facts = json!({"instances_per_s": median(&ours), "bare_per_s": median(&loops), "server_cpu_us": median(&cpu)});
    report.add("sync: instances/s to those of the loop", "ratio", &ratios, Budget::AtLeast(0.4), facts);
    Ok(())
}
