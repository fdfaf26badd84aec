//! list_process_instance and create_process_instance on PostgreSQL: against bare clients that send the same statements, without
//! HTTP, JSON and rules, over as many connections as our server has; and against the embedded store.

use crate::Plan;
use crate::bare::statement;
use crate::bare::write::Place;
use crate::estate::Estate;
use crate::figures::{Budget, Report, median};
use crate::load::{Client, Until};
use crate::reads::{CONNECTIONS, list_request, ratios, shuffle};
use crate::server::{Kind, Running};
use crate::writes::{A_CALL, CLIENTS, bulk_request, single_request, store};
use anyhow::Context;
use postgres::types::{ToSql, Type};
use postgres::{NoTls, Row, Statement};
use rollcall_store::dialect::{for_postgres, many_for_postgres};
use rollcall_testbed::{Cluster, Settings};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Connections of a bare client, as many as our server has for reads and for writes.
const BARE: usize = 8;
/// Keys of the events of one draw, as the store has it.
const EVENTS_A_DRAW: i64 = 1 << 20;

pub fn measure(plan: &Plan, report: &mut Report) -> anyhow::Result<()> {
    let cluster = Cluster::try_start(Settings { durable: true, ..Settings::default() })?;
    reads(plan, report, &cluster)?;
    writes(plan, report, &cluster, "bulk", 8, A_CALL)?;
    writes(plan, report, &cluster, "single", CLIENTS, 1)
}

/// The statement of a resource as PostgreSQL has it.
fn sql(begins: &str, contains: &str) -> anyhow::Result<String> {
    Ok(for_postgres(statement(begins, contains)?))
}

fn connect(url: &str) -> anyhow::Result<postgres::Client> {
    let mut client = postgres::Client::connect(url, NoTls)?;
    client.batch_execute("SET enable_seqscan = off; SET jit = off")?;
    Ok(client)
}

fn reads(plan: &Plan, report: &mut Report, cluster: &Cluster) -> anyhow::Result<()> {
    let url = cluster.create_database("list", None);
    let estate = Estate::new(Path::new(&url))?;
    let home = estate.home("list")?;
    let mut instances = estate.instances(home, 2000, 3)?;
    estate.close();
    shuffle(&mut instances);
    cluster.sql("CHECKPOINT");
    let requests: Arc<Vec<_>> = Arc::new(instances.iter().map(|id| list_request(home.business, *id)).collect());
    let server = Running::start(Kind::Ours, Path::new(&url))?;
    let mut client = Client::connect(server.address, CONNECTIONS)?;
    let list = sql("SELECT id, business_id, service_instance_id, process_template_id", "service_instance_id = $2")?;
    let mut bare = Vec::new();
    for _ in 0..BARE {
        let mut client = connect(&url)?;
        let list = client.prepare(&list)?;
        bare.push((client, list));
    }
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 0..=plan.rounds {
        let our_rate = client.round(&requests, Until::Time(plan.round))?.per_second();
        let bare_rate = bare_reads(&mut bare, home.business, &instances, plan.round)?;
        // The first round only warms up.
        if round > 0 {
            ours.push(our_rate);
            theirs.push(bare_rate);
        }
    }
    report.title("list_process_instance, 3 processes, native door, 32 connections, on PostgreSQL");
    let facts = json!({"requests_per_s": median(&ours), "bare_per_s": median(&theirs), "bare_connections": BARE});
    let name = "postgres list: requests/s to the bare statement";
    report.add(name, "ratio", &ratios(&ours, &theirs), Budget::AtLeast(0.6), facts);
    Ok(())
}

/// Statements a second.
#[expect(clippy::cast_precision_loss, reason = "a round has some thousand answers")]
fn bare_reads(
    bare: &mut [(postgres::Client, Statement)],
    business: i64,
    instances: &[i64],
    time: Duration,
) -> anyhow::Result<f64> {
    let next = AtomicUsize::new(0);
    let begun = Instant::now();
    let answers = std::thread::scope(|scope| {
        let threads: Vec<_> = bare
            .iter_mut()
            .map(|(client, list)| {
                let next = &next;
                scope.spawn(move || {
                    let mut answers = 0;
                    while begun.elapsed() < time {
                        let instance = instances[next.fetch_add(1, Ordering::Relaxed) % instances.len()];
                        let rows = client.query(&*list, &[&business, &instance])?;
                        let bytes: usize = rows.iter().map(|row| row.get::<_, &str>(5).len()).sum();
                        anyhow::ensure!(bytes > 0, "an instance without processes");
                        answers += 1;
                    }
                    Ok(answers)
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("no bare client panics")).sum::<anyhow::Result<usize>>()
    })?;
    Ok(answers as f64 / begun.elapsed().as_secs_f64())
}

fn writes(
    plan: &Plan,
    report: &mut Report,
    cluster: &Cluster,
    name: &str,
    connections: usize,
    a_call: usize,
) -> anyhow::Result<()> {
    let calls = match (a_call, plan.quick) {
        (1, true) => 1_000,
        (1, false) => 4_000,
        (_, true) => 40,
        (_, false) => 100,
    };
    // Both sides write to instances of their own.
    let needed = if a_call == 1 { calls } else { 2 * calls * (plan.rounds + 1) } + 1;
    let request = |home, place: &Place| match a_call {
        1 => single_request(home, place),
        _ => bulk_request(home, place.instance),
    };
    let url = cluster.create_database(name, None);
    let file = plan.folder.join(format!("{name}-beside-postgres.sqlite"));
    let places: [PathBuf; 2] = [PathBuf::from(&url), file];
    let mut sides = Vec::new();
    for place in &places {
        let (home, mut instances) = store(place, needed)?;
        let sample = instances.remove(0);
        let server = Running::start(Kind::Ours, place)?;
        let mut client = Client::connect(server.address, connections)?;
        client.ask(&request(home, &Place { instance: sample, name: Some("sample".into()) }))?;
        sides.push((home, instances, sample, server, client));
    }
    let (home, instances, sample, ..) = &sides[0];
    let (home, instances, sample) = (*home, instances.clone(), *sample);
    let bare = Bare::new(&url, home.business, sample)?;
    let number = AtomicUsize::new(0);
    let some_places = |round: usize, side: usize| -> Vec<Place> {
        let first = if a_call == 1 { 0 } else { (round * 2 + side) * calls };
        let names = || (a_call == 1).then(|| format!("process-{}", number.fetch_add(1, Ordering::Relaxed)));
        instances.iter().skip(first).take(calls).map(|instance| Place { instance: *instance, name: names() }).collect()
    };
    let (mut ours, mut embedded, mut theirs) = (Vec::new(), Vec::new(), Vec::new());
    #[expect(clippy::cast_precision_loss, reason = "a round has some thousand rows")]
    let per_second = |time: Duration| (calls * a_call) as f64 / time.as_secs_f64();
    for round in 0..=plan.rounds {
        let places = some_places(round, 0);
        let requests: Arc<Vec<_>> = Arc::new(places.iter().map(|place| request(home, place)).collect());
        let bare_places = some_places(round, 1);
        let our_time = sides[0].4.round(&requests, Until::AllSent)?.time;
        let bare_time = bare.round(&bare_places)?;
        let embedded_time = sides[1].4.round(&requests, Until::AllSent)?.time;
        if round > 0 {
            ours.push(per_second(our_time));
            theirs.push(per_second(bare_time));
            embedded.push(per_second(embedded_time));
        }
    }
    report.title(&format!("create_process_instance, {a_call} a call, {connections} connections, on PostgreSQL"));
    let facts = json!({
        "processes_per_s": median(&ours), "bare_per_s": median(&theirs), "bare_connections": BARE,
    });
    let title = format!("postgres {name}: processes/s to the bare statements");
    report.add(&title, "ratio", &ratios(&ours, &theirs), Budget::AtLeast(0.5), facts);
    let budget = if a_call == 1 { Budget::None } else { Budget::AtLeast(0.5) };
    let title = format!("postgres {name}: processes/s to SQLite");
    let facts = json!({"processes_per_s_on_sqlite": median(&embedded)});
    report.add(&title, "ratio", &ratios(&ours, &embedded), budget, facts);
    Ok(())
}

/// What one call of create_process_instance stored, to be stored again and again: the same statements in the same transaction.
struct Bare {
    url: String,
    business: i64,
    process: Rows,
    audit: Rows,
    event: Rows,
    next: AtomicI64,
}

/// Rows of one kind: the statement that inserts one, and rows that a server stored, column by column.
struct Rows {
    insert: String,
    columns: Vec<Values>,
    count: usize,
}

#[derive(Clone)]
enum Values {
    Numbers(Vec<Option<i64>>),
    Texts(Vec<Option<String>>),
}

impl Rows {
    fn read(client: &mut postgres::Client, table: &str, condition: &str) -> anyhow::Result<Self> {
        let insert = sql(&format!("INSERT INTO {table} ("), "VALUES")?;
        let names = insert.split(['(', ')']).nth(1).context("an insert lists its columns")?.to_owned();
        let rows = client.query(&format!("SELECT {names} FROM {table} WHERE {condition} ORDER BY id"), &[])?;
        let width = names.split(',').count();
        let column = |at: usize| match rows.first().map(|row: &Row| row.columns()[at].type_() == &Type::INT8) {
            Some(true) => Values::Numbers(rows.iter().map(|row| row.get(at)).collect()),
            _ => Values::Texts(rows.iter().map(|row| row.get(at)).collect()),
        };
        Ok(Self { columns: (0..width).map(column).collect(), count: rows.len(), insert })
    }

    fn prepare(&self, client: &mut postgres::Client) -> anyhow::Result<Statement> {
        let types = self.columns.iter().map(|values| match values {
            Values::Numbers(_) => "bigint",
            Values::Texts(_) => "text",
        });
        Ok(client.prepare(&many_for_postgres(&self.insert, &types.collect::<Vec<_>>()))?)
    }

    /// The values to bind, with new ids in the first column and these changes.
    fn values(&self, first_id: i64, changes: &[(usize, Values)]) -> Vec<Values> {
        let mut columns = self.columns.clone();
        columns[0] = Values::Numbers((first_id..).take(self.count).map(Some).collect());
        for (at, values) in changes {
            columns[*at] = values.clone();
        }
        columns
    }
}

fn bound(columns: &[Values]) -> Vec<&(dyn ToSql + Sync)> {
    let mut list: Vec<&(dyn ToSql + Sync)> = Vec::with_capacity(columns.len());
    for column in columns {
        list.push(match column {
            Values::Numbers(numbers) => numbers,
            Values::Texts(texts) => texts,
        });
    }
    list
}

impl Bare {
    fn new(url: &str, business: i64, sample: i64) -> anyhow::Result<Self> {
        let mut client = connect(url)?;
        let request: String = client
            .query_one(
                "SELECT request_id FROM event WHERE kind = 9 AND object_id =
                 (SELECT max(id) FROM process WHERE service_instance_id = $1)",
                &[&sample],
            )?
            .get(0);
        let of_request = format!("request_id = '{request}'");
        Ok(Self {
            url: url.to_owned(),
            business,
            process: Rows::read(&mut client, "process", &format!("service_instance_id = {sample}"))?,
            audit: Rows::read(&mut client, "audit", &of_request)?,
            event: Rows::read(&mut client, "event", &of_request)?,
            next: AtomicI64::new(1_000_000_000),
        })
    }

    /// One durable transaction per place, over [`BARE`] connections.
    fn round(&self, places: &[Place]) -> anyhow::Result<Duration> {
        let mut writers = (0..BARE).map(|_| Writer::open(self)).collect::<anyhow::Result<Vec<_>>>()?;
        let next = AtomicUsize::new(0);
        let begun = Instant::now();
        std::thread::scope(|scope| {
            let threads: Vec<_> = writers
                .iter_mut()
                .map(|writer| {
                    let next = &next;
                    scope.spawn(move || {
                        while let Some(place) = places.get(next.fetch_add(1, Ordering::Relaxed)) {
                            writer.write(self, place)?;
                        }
                        anyhow::Ok(())
                    })
                })
                .collect();
            threads.into_iter().try_for_each(|thread| thread.join().expect("no bare client panics"))
        })?;
        Ok(begun.elapsed())
    }
}

/// A connection with its statements prepared.
struct Writer {
    client: postgres::Client,
    lock: Statement,
    keys: Statement,
    addresses: Statement,
    record: Statement,
    process: Statement,
    audit: Statement,
    event: Statement,
}

impl Writer {
    fn open(bare: &Bare) -> anyhow::Result<Self> {
        let mut client = connect(&bare.url)?;
        let lock = client.prepare(&sql("SELECT business_id, module_id, host_id", "{for update}")?)?;
        let keys =
            client.prepare(&sql("SELECT name, func_name, start_param FROM process", "service_instance_id = $2")?)?;
        let addresses = client.prepare(&sql("SELECT id, inner_ip", "WHERE id = $1")?)?;
        let record = client.prepare(&sql("{only postgres} INSERT INTO commit_record", "RETURNING draw")?)?;
        let process = bare.process.prepare(&mut client)?;
        let audit = bare.audit.prepare(&mut client)?;
        let event = bare.event.prepare(&mut client)?;
        Ok(Self { client, lock, keys, addresses, record, process, audit, event })
    }

    fn write(&mut self, bare: &Bare, place: &Place) -> anyhow::Result<()> {
        let first = bare.next.fetch_add(i64::try_from(bare.process.count)? + 1, Ordering::Relaxed);
        let mut tx = self.client.transaction()?;
        tx.query(&self.lock, &[&bare.business, &place.instance])?;
        tx.query(&self.keys, &[&bare.business, &place.instance])?;
        tx.query(&self.addresses, &[&1_i64])?;
        let on = Values::Numbers(vec![Some(place.instance); bare.process.count]);
        let mut changes = vec![(2, on)];
        if let Some(name) = &place.name {
            changes.extend([5, 6].map(|at| (at, Values::Texts(vec![Some(name.clone())]))));
        }
        let processes = bare.process.values(first, &changes);
        tx.execute(&self.process, &bound(&processes))?;
        let audit = bare.audit.values(first, &[]);
        tx.execute(&self.audit, &bound(&audit))?;
        let events = i64::try_from(bare.event.count)?;
        let draw: i64 = tx.query_one(&self.record, &[&format!("bare-{first}"), &events, &0_i64])?.get(0);
        let events = bare.event.values(draw * EVENTS_A_DRAW + 1, &[]);
        tx.execute(&self.event, &bound(&events))?;
        Ok(tx.commit()?)
    }
}
