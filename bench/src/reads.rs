//! list_process_instance: against bare handlers, and in a large store against a small one.

use crate::Plan;
use crate::estate::{A_CALL, Estate, instances};
use crate::figures::{Budget, Report, median};
use crate::load::{Client, Until, request};
use crate::server::{Kind, Running};
use anyhow::ensure;
use rollcall_store::sequence::{self, Sequence};
use serde_json::json;
use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

pub const CONNECTIONS: usize = 32;

pub fn list_request(business: i64, instance: i64) -> Vec<u8> {
    let body = json!({"bk_biz_id": business, "service_instance_id": instance}).to_string();
    request("/findmany/proc/process_instance", &body)
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

/// Requests a second at the native door beside handlers that do nothing else.
pub fn list(plan: &Plan, report: &mut Report) -> anyhow::Result<()> {
    let file = plan.folder.join("list.sqlite");
    let estate = Estate::new(&file)?;
    let home = estate.home("list")?;
    let instances = estate.instances(home, 2000, 3)?;
    estate.close();
    let mut requests: Vec<_> = instances.iter().map(|id| list_request(home.business, *id)).collect();
    shuffle(&mut requests);
    let requests = Arc::new(requests);
    let start = |kind| Side::new(Running::start(kind, &file)?);
    let (mut ours, mut statement, mut constant) = (start(Kind::Ours)?, start(Kind::Statement)?, start(Kind::Constant)?);
    let sample = list_request(home.business, instances[0]);
    let answers = [&mut ours, &mut statement, &mut constant].map(|side| side.client.ask(&sample));
    let [ours_says, statement_says, constant_says] = answers;
    let answer = ours_says?;
    ensure!(answer == statement_says? && answer == constant_says?, "the servers answer different bytes");
    let until = Until::Time(plan.round);
    for round in 0..=plan.rounds {
        // The first round only warms up.
        for side in [&mut ours, &mut statement, &mut constant] {
            side.round(&requests, until, round > 0)?;
        }
    }
    report.title("list_process_instance, 3 processes, native door, 32 connections");
    let cpu = |side: &Side| median(&side.cpu_us);
    let facts = |other: &Side| {
        json!({
            "requests_per_s": median(&ours.rates), "of_the_other": median(&other.rates),
            "server_cpu_us": cpu(&ours), "cpu_us_of_the_other": cpu(other),
        })
    };
    let against = [
        ("list: requests/s to axum with the statement", &statement, Budget::AtLeast(0.75)),
        ("list: requests/s to axum with constant bytes", &constant, Budget::None),
    ];
    for (name, other, budget) in against {
        report.add(name, "ratio", &ratios(&ours.rates, &other.rates), budget, facts(other));
    }
    Ok(())
}

/// How many businesses share the large store.
const BUSINESSES: usize = 100;
const HOT: usize = 10_000;

/// The same instances in a store that holds little else and in one that holds a hundred times more.
pub fn flat(plan: &Plan, report: &mut Report) -> anyhow::Result<()> {
    let hot = if plan.quick { HOT / 10 } else { HOT };
    let batches = plan.large / A_CALL;
    let (small, large) = (plan.folder.join("small.sqlite"), plan.folder.join("large.sqlite"));
    // Businesses grow side by side: the instances of one lie scattered between those of all others.
    let hot_batches = (hot / A_CALL).max(1);
    let every = (batches / hot_batches).max(1);
    let hot_ids = grow(&small, hot_batches * every, |batch| batch.is_multiple_of(every))?;
    let begun = Instant::now();
    let mut all = grow(&large, hot_batches * every, |_| true)?;
    let took = begun.elapsed().as_secs_f64();
    let bytes = std::fs::metadata(&large)?.len();
    let requests = |ids: &[(i64, i64)]| {
        let mut requests: Vec<_> = ids.iter().map(|(business, id)| list_request(*business, *id)).collect();
        shuffle(&mut requests);
        Arc::new(requests)
    };
    let known: HashSet<_> = all.iter().collect();
    ensure!(hot_ids.iter().all(|id| known.contains(id)), "the hot instances must be the same in both stores");
    shuffle(&mut all);
    let (hot_requests, any_requests) = (requests(&hot_ids), requests(&all[..all.len().min(200_000)]));
    let mut in_small = Side::new(Running::start(Kind::Ours, &small)?)?;
    let mut in_large = Side::new(Running::start(Kind::Ours, &large)?)?;
    let mut anywhere = Side::new(Running::start(Kind::Ours, &large)?)?;
    for round in 0..=plan.rounds {
        let until = Until::Time(plan.round);
        in_small.round(&hot_requests, until, round > 0)?;
        in_large.round(&hot_requests, until, round > 0)?;
        anywhere.round(&any_requests, until, round > 0)?;
    }
    let count = all.len();
    report
        .title(&format!("list_process_instance in stores of {} and {count} processes, 32 connections", hot_ids.len()));
    let facts = |large: &Side| {
        json!({
            "requests_per_s_small": median(&in_small.rates), "requests_per_s_large": median(&large.rates),
            "processes_small": hot_ids.len(), "processes_large": count,
        })
    };
    let times = |large: &Side| ratios(&in_small.rates, &large.rates);
    report.add(
        "flat: time of hot instances, large to small",
        "ratio",
        &times(&in_large),
        Budget::AtMost(1.25),
        facts(&in_large),
    );
    report.add("flat: time of random instances", "ratio", &times(&anywhere), Budget::None, facts(&anywhere));
    #[expect(clippy::cast_precision_loss, reason = "sizes for people")]
    let (per_second, per_process) = (count as f64 / took, bytes as f64 / count as f64);
    report.add("large store: instances made a second", "1/s", &[per_second], Budget::None, json!({"seconds": took}));
    let size = json!({"bytes": bytes, "what": "one process, its service instance, their events and audit"});
    report.add("large store: bytes of an instance of 1 process", "bytes", &[per_process], Budget::None, size);
    Ok(())
}

/// Fills a store, batch by batch of [`A_CALL`] instances with one process each, business after business. Batches that are not
/// `wanted` only use up their ids. Answers business and instance of each that was made.
fn grow(file: &Path, batches: usize, wanted: impl Fn(usize) -> bool) -> anyhow::Result<Vec<(i64, i64)>> {
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
