//! Reads: list_process_instance, list_process_related_info and list_process_detail_by_ids against bare handlers, the first of them
//! also in a large store against a small one.

use crate::Plan;
use crate::bare::open_reader;
use crate::bare::read::{Ask, Details, List, Related};
use crate::estate::{A_CALL, Estate, instances};
use crate::figures::{Budget, Report, median};
use crate::load::{Client, Until, request};
use crate::server::{Kind, Running};
use anyhow::{Context, ensure};
use rollcall_app::estate::Size;
use rollcall_store::sequence::{self, Sequence};
use rusqlite::Connection;
use serde_json::{Value, json};
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

pub const CONNECTIONS: usize = 32;

pub fn list_request(business: i64, instance: i64) -> Vec<u8> {
    let body = json!({"bk_biz_id": business, "service_instance_id": instance}).to_string();
    request("POST", List::PATH, &body)
}

/// A server and its client.
struct Side {
    server: Running,
    client: Client,
    rates: Vec<f64>,
    cpu_us: Vec<f64>,
}

impl Side {
    fn new(server: Running) -> anyhow::Result<Self> {
        let client = Client::connect(server.address, CONNECTIONS)?;
        Ok(Self { server, client, rates: Vec::new(), cpu_us: Vec::new() })
    }

    #[expect(clippy::cast_precision_loss, reason = "a round has some thousand answers")]
    fn round(&mut self, requests: &Arc<Vec<Vec<u8>>>, until: Until, counts: bool) -> anyhow::Result<()> {
        let before = self.server.cpu()?;
        let round = self.client.round(requests, until)?;
        if counts {
            let cpu = self.server.cpu()?.saturating_sub(before);
            self.rates.push(round.per_second());
            self.cpu_us.push(cpu.as_secs_f64() * 1e6 / round.answers as f64);
        }
        Ok(())
    }
}

/// Round by round, the first against the second.
pub fn ratios(ours: &[f64], theirs: &[f64]) -> Vec<f64> {
    ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs).collect()
}

/// In a fixed order that follows nothing.
pub fn shuffle<T>(items: &mut [T]) {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for i in (1..items.len()).rev() {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let other = usize::try_from(state % (i as u64 + 1)).unwrap_or(0);
        items.swap(i, other);
    }
}

/// A bare server beside ours.
struct Other {
    kind: Kind,
    what: &'static str,
    budget: Budget,
}

/// Requests a second at the native door, beside servers that do nothing else and answer the same bytes.
fn compare(
    plan: &Plan,
    report: &mut Report,
    name: &str,
    file: &Path,
    requests: Vec<Vec<u8>>,
    others: &[Other],
) -> anyhow::Result<()> {
    let sample = requests.first().context("nothing is asked")?.clone();
    let mut requests = requests;
    shuffle(&mut requests);
    let requests = Arc::new(requests);
    let kinds = [Kind::Ours].into_iter().chain(others.iter().map(|other| other.kind));
    let sides = kinds.map(|kind| Side::new(Running::start(kind, file)?));
    let mut sides = sides.collect::<anyhow::Result<Vec<_>>>()?;
    let answers = sides.iter_mut().map(|side| side.client.ask(&sample)).collect::<anyhow::Result<Vec<_>>>()?;
    for (answer, other) in answers[1..].iter().zip(others) {
        ensure!(*answer == answers[0], "{name}: {} answers other bytes", other.what);
    }
    let until = Until::Time(plan.round);
    for round in 0..=plan.rounds {
        // The first round only warms up.
        for side in &mut sides {
            side.round(&requests, until, round > 0)?;
        }
    }
    let ours = &sides[0];
    for (side, other) in sides[1..].iter().zip(others) {
        let facts = json!({
            "requests_per_s": median(&ours.rates), "of_the_other": median(&side.rates),
            "server_cpu_us": median(&ours.cpu_us), "cpu_us_of_the_other": median(&side.cpu_us),
            "answer_bytes": answers[0].len(),
        });
        let name = format!("{name}: requests/s to {}", other.what);
        report.add(&name, "ratio", &ratios(&ours.rates, &side.rates), other.budget, facts);
    }
    Ok(())
}

/// The processes of an instance, beside the statement and beside constant bytes.
pub fn list(plan: &Plan, report: &mut Report) -> anyhow::Result<()> {
    let file = plan.folder.join("list.sqlite");
    let estate = Estate::new(&file)?;
    let home = estate.home("list")?;
    let instances = estate.instances(home, 2000, 3)?;
    estate.close();
    let requests = instances.iter().map(|id| list_request(home.business, *id)).collect();
    report.title("list_process_instance, 3 processes, native door, 32 connections");
    let others = [
        Other { kind: Kind::Statement, what: "axum with the statement", budget: Budget::AtLeast(0.75) },
        Other { kind: Kind::Constant, what: "axum with constant bytes", budget: Budget::None },
    ];
    compare(plan, report, "list", &file, requests, &others)
}

/// Rows of a page of `related` and of `details`.
const A_PAGE: usize = 200;

/// Businesses of 2,000 processes each, on some hundred hosts; the processes of each.
fn pages(file: &Path) -> anyhow::Result<Vec<(i64, Vec<i64>)>> {
    const BUSINESSES: usize = 3;
    let estate = Estate::new(file)?;
    estate.generate(Size { processes: BUSINESSES * 10 * A_PAGE, businesses: BUSINESSES, per_instance: 3 })?;
    estate.close();
    let reader = open_reader(file)?;
    let mut select = reader.prepare("SELECT business_id, id FROM process ORDER BY business_id, id")?;
    let mut businesses: Vec<(i64, Vec<i64>)> = Vec::new();
    let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    for row in rows {
        let (business, process) = row?;
        match businesses.last_mut() {
            Some((last, processes)) if *last == business => processes.push(process),
            _ => businesses.push((business, vec![process])),
        }
    }
    Ok(businesses)
}

/// A way with the business in it; the body has it once more, so that a bare server need not look into the path.
fn in_business(path: &str, business: i64, body: &Value) -> Vec<u8> {
    request("POST", &path.replace("{bk_biz_id}", &business.to_string()), &body.to_string())
}

/// Processes with all around them, page by page, beside the same statements.
pub fn related(plan: &Plan, report: &mut Report) -> anyhow::Result<()> {
    let file = plan.folder.join("related.sqlite");
    let requests = pages(&file)?.into_iter().flat_map(|(business, processes)| {
        (0..processes.len() / A_PAGE).map(move |page| {
            let body = json!({"bk_biz_id": business, "page": {"start": page * A_PAGE, "limit": A_PAGE}});
            in_business(Related::PATH, business, &body)
        })
    });
    report.title("list_process_related_info, pages of 200 of 2,000 processes, native door, 32 connections");
    let others = [Other { kind: Kind::Related, what: "axum with the statements", budget: Budget::AtLeast(0.5) }];
    compare(plan, report, "related", &file, requests.collect(), &others)
}

/// Processes by their ids, beside the same statement.
pub fn details(plan: &Plan, report: &mut Report) -> anyhow::Result<()> {
    let file = plan.folder.join("details.sqlite");
    let mut requests = Vec::new();
    for (business, mut processes) in pages(&file)? {
        // From all over the business, not one beside the other.
        shuffle(&mut processes);
        requests.extend(processes.chunks_exact(A_PAGE).map(|ids| {
            let body = json!({"bk_biz_id": business, "bk_process_ids": ids});
            in_business(Details::PATH, business, &body)
        }));
    }
    report.title("list_process_detail_by_ids, 200 processes, native door, 32 connections");
    let others = [Other { kind: Kind::Details, what: "axum with the statement", budget: Budget::AtLeast(0.5) }];
    compare(plan, report, "details", &file, requests, &others)
}

/// How many businesses share the large store.
const BUSINESSES: usize = 100;
const HOT: usize = 10_000;

/// A service instance and its business.
type Instance = (i64, i64);

/// Two stores that have instances in common.
struct Stores {
    small: PathBuf,
    large: PathBuf,
    /// In both.
    hot: Vec<Instance>,
    /// In the large one, in no order.
    all: Vec<Instance>,
    /// Processes in each.
    sizes: [i64; 2],
}

/// The same instances in a store that holds little else and in one that holds a hundred times more.
pub fn flat(plan: &Plan, report: &mut Report) -> anyhow::Result<()> {
    let stores = match &plan.stores {
        Some([small, large]) => Stores::given(plan, small, large)?,
        None => Stores::made(plan, report)?,
    };
    let requests = |ids: &[Instance]| {
        let mut requests: Vec<_> = ids.iter().map(|(business, id)| list_request(*business, *id)).collect();
        shuffle(&mut requests);
        Arc::new(requests)
    };
    let (hot, any) = (requests(&stores.hot), requests(&stores.all));
    let mut in_small = Side::new(Running::start(Kind::Ours, &stores.small)?)?;
    let mut in_large = Side::new(Running::start(Kind::Ours, &stores.large)?)?;
    let mut anywhere = Side::new(Running::start(Kind::Ours, &stores.large)?)?;
    for round in 0..=plan.rounds {
        let until = Until::Time(plan.round);
        in_small.round(&hot, until, round > 0)?;
        in_large.round(&hot, until, round > 0)?;
        anywhere.round(&any, until, round > 0)?;
    }
    let [small, large] = stores.sizes;
    report.title(&format!("list_process_instance in stores of {small} and {large} processes, 32 connections"));
    let facts = |side: &Side, instances: usize| {
        json!({
            "requests_per_s_small": median(&in_small.rates), "requests_per_s_large": median(&side.rates),
            "server_cpu_us_small": median(&in_small.cpu_us), "server_cpu_us_large": median(&side.cpu_us),
            "processes_small": small, "processes_large": large, "instances": instances,
        })
    };
    let times = |side: &Side| ratios(&in_small.rates, &side.rates);
    report.add(
        "flat: time of hot instances, large to small",
        "ratio",
        &times(&in_large),
        Budget::AtMost(1.25),
        facts(&in_large, stores.hot.len()),
    );
    let facts = facts(&anywhere, stores.all.len());
    report.add("flat: time of random instances", "ratio", &times(&anywhere), Budget::None, facts);
    Ok(())
}

impl Stores {
    fn hot_count(plan: &Plan) -> usize {
        if plan.quick { HOT / 10 } else { HOT }
    }

    fn new(small: &Path, large: &Path, hot: Vec<Instance>, mut all: Vec<Instance>) -> anyhow::Result<Self> {
        ensure!(!hot.is_empty(), "the two stores have no service instance with the same processes in common");
        shuffle(&mut all);
        all.truncate(200_000);
        let sizes = [count_processes(&open_reader(small)?)?, count_processes(&open_reader(large)?)?];
        Ok(Self { small: small.to_owned(), large: large.to_owned(), hot, all, sizes })
    }

    /// Stores of which the large one has the hot instances scattered between all others.
    fn made(plan: &Plan, report: &mut Report) -> anyhow::Result<Self> {
        let batches = plan.large / A_CALL;
        let (small, large) = (plan.folder.join("small.sqlite"), plan.folder.join("large.sqlite"));
        // Businesses grow side by side: the instances of one lie scattered between those of all others.
        let hot_batches = (Self::hot_count(plan) / A_CALL).max(1);
        let every = (batches / hot_batches).max(1);
        let hot = grow(&small, hot_batches * every, |batch| batch.is_multiple_of(every))?;
        let begun = Instant::now();
        let all = grow(&large, hot_batches * every, |_| true)?;
        let (took, bytes) = (begun.elapsed().as_secs_f64(), std::fs::metadata(&large)?.len());
        let known: HashSet<_> = all.iter().collect();
        ensure!(hot.iter().all(|id| known.contains(id)), "the hot instances must be the same in both stores");
        #[expect(clippy::cast_precision_loss, reason = "sizes for people")]
        let (per_second, per_process) = (all.len() as f64 / took, bytes as f64 / all.len() as f64);
        report.title("a large store, made in one process");
        report.add(
            "large store: instances made a second",
            "1/s",
            &[per_second],
            Budget::None,
            json!({"seconds": took}),
        );
        let size = json!({"bytes": bytes, "what": "one process, its service instance, their events and audit"});
        report.add("large store: bytes of an instance of 1 process", "bytes", &[per_process], Budget::None, size);
        Self::new(&small, &large, hot, all)
    }

    /// Stores that are there already. The hot instances are any of the small one that are in the large one too, with the same processes.
    fn given(plan: &Plan, small: &Path, large: &Path) -> anyhow::Result<Self> {
        let readers = [open_reader(small)?, open_reader(large)?];
        let mut candidates = instances_of(&readers[0])?;
        shuffle(&mut candidates);
        let mut hot = Vec::with_capacity(Self::hot_count(plan));
        for instance in candidates {
            if hot.len() == hot.capacity() {
                break;
            }
            let [here, there] = [names_of(&readers[0], instance)?, names_of(&readers[1], instance)?];
            if !here.is_empty() && here == there {
                hot.push(instance);
            }
        }
        Self::new(small, large, hot, instances_of(&readers[1])?)
    }
}

fn count_processes(reader: &Connection) -> anyhow::Result<i64> {
    Ok(reader.query_row("SELECT count(*) FROM process", [], |row| row.get(0))?)
}

fn instances_of(reader: &Connection) -> anyhow::Result<Vec<Instance>> {
    let mut select = reader.prepare("SELECT business_id, id FROM service_instance")?;
    let instances = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(instances.collect::<Result<_, _>>()?)
}

/// The processes of an instance by name and id.
fn names_of(reader: &Connection, (business, instance): Instance) -> anyhow::Result<Vec<(String, i64)>> {
    let mut select = reader.prepare_cached(
        "SELECT name, id FROM process WHERE business_id = ?1 AND service_instance_id = ?2 ORDER BY name",
    )?;
    let names = select.query_map((business, instance), |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(names.collect::<Result<_, _>>()?)
}

/// Fills a store, batch by batch of [`A_CALL`] instances with one process each, business after business. Batches that are not
/// `wanted` only use up their ids. Answers business and instance of each that was made.
fn grow(file: &Path, batches: usize, wanted: impl Fn(usize) -> bool) -> anyhow::Result<Vec<Instance>> {
    const TOGETHER: usize = 20;
    let estate = Estate::new(file)?;
    let homes: Vec<_> =
        (0..BUSINESSES).map(|i| estate.home(&format!("business {i}"))).collect::<anyhow::Result<_>>()?;
    let batches: Vec<_> = (0..batches).filter(|batch| wanted(*batch)).collect();
    let mut made = Vec::new();
    for some in batches.chunks(TOGETHER) {
        let some: Vec<_> = some.iter().map(|batch| (*batch, homes[*batch % BUSINESSES])).collect();
        made.extend(estate.write(move |calls| {
            let mut made = Vec::new();
            for (batch, home) in &some {
                let taken = i64::try_from(batch * A_CALL).unwrap_or(i64::MAX);
                for sequence in [Sequence::ServiceInstance, Sequence::Process] {
                    sequence::reserve_up_to(calls.tx(), sequence, taken)?;
                }
                let ids = instances(calls, *home, A_CALL, 1)?;
                made.extend(ids.into_iter().map(|id| (home.business, id)));
            }
            Ok(made)
        })?);
    }
    estate.close();
    Ok(made)
}
