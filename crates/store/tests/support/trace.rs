//! A request whose traces can be told apart from those of all others, and the question what of it is in a store.

use super::chance::Chance;
use super::home::wait_until;
use rollcall_domain::id::{BusinessId, HostId, ProcessId, ServiceInstanceId};
use rollcall_domain::moment::Moment;
use rollcall_domain::process::{NewProcess, ProcessKeys};
use rollcall_store::audit::{self, Actor, AuditRow};
use rollcall_store::event::{self, EventKind, EventOperation, EventRow};
use rollcall_store::migrate::find_setting;
use rollcall_store::process::{self, PlacedProcess};
use rollcall_store::sequence::{self, Sequence};
use rollcall_store::{Store, StoreError, Tx};
use std::collections::{BTreeMap, BTreeSet};

const BUSINESS: BusinessId = BusinessId(3);
const NOW: Moment = Moment(1_795_226_400_000);

/// A request as large as its number says: rows of many tables, one counter that all of them share.
#[derive(Debug, Clone, Copy)]
pub struct Request {
    pub id: i64,
    processes: usize,
    bytes: usize,
}

impl Request {
    pub fn new(id: i64, seed: u64) -> Self {
        let mut chance = Chance::new(seed ^ id.unsigned_abs());
        // Some span pages of their own.
        let bytes = if chance.once_in(4) { 6000 } else { 200 };
        Self { id, processes: 1 + chance.below(6), bytes }
    }

    /// Writes it. Of each kind of row one more or one less would show.
    pub fn write(self, tx: &mut dyn Tx) -> Result<(), StoreError> {
        let first = sequence::take(tx, Sequence::Process, self.processes)?;
        let ids: Vec<_> = (first..).take(self.processes).collect();
        let made: Vec<_> = ids.iter().map(|id| self.process(*id)).collect();
        let placed: Vec<_> = made
            .iter()
            .map(|process| PlacedProcess {
                business_id: BUSINESS,
                service_instance_id: ServiceInstanceId(self.id),
                host_id: HostId(1),
                process_template_id: 0,
                process,
            })
            .collect();
        process::insert(tx, &placed)?;
        tx.execute(COUNT, &[(&self.counter()).into()])?;
        let events: Vec<_> = ids.iter().map(|id| event_of(*id)).collect();
        let request_id = self.id.to_string();
        event::insert(tx, NOW, &request_id, &events)?;
        let actor = Actor { user: "u", verified: true, app_code: "", request_id: &request_id, time: NOW };
        audit::insert(tx, actor, &[self.audit()])
    }

    /// Counts this request together with others; whoever is at it holds its row.
    fn counter(self) -> String {
        format!("requests {}", self.id % COUNTERS)
    }

    fn process(self, id: i64) -> NewProcess {
        NewProcess {
            id: ProcessId(id),
            keys: ProcessKeys { name: format!("p{id}"), func_name: "f".into(), start_param: Some(format!("{id}")) },
            fixed_fields: "x".repeat(self.bytes),
            extra_fields: String::new(),
        }
    }

    fn audit(self) -> AuditRow {
        AuditRow {
            business_id: BUSINESS,
            audit_type: "business_resource",
            resource_type: "service_instance",
            action: "create",
            resource_id: self.id,
            resource_name: String::new(),
            detail: "{}".into(),
        }
    }

    /// What is in the store when all of it is.
    fn whole(self) -> Traces {
        let count = i64::try_from(self.processes).expect("fits");
        let bytes = count * i64::try_from(self.bytes).expect("fits");
        Traces { processes: count, bytes, events: count, audits: 1 }
    }
}

fn event_of(process: i64) -> EventRow {
    EventRow {
        business_id: BUSINESS,
        kind: EventKind::Process,
        operation: EventOperation::Create,
        object_id: process,
        before: None,
        after: Some("{}".into()),
    }
}

/// What a store holds of one request.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Traces {
    processes: i64,
    bytes: i64,
    events: i64,
    audits: i64,
}

/// How many counters the requests share.
const COUNTERS: i64 = 8;

const COUNT: &str = "INSERT INTO setting (name, value) VALUES ($1, '1')
    ON CONFLICT (name) DO UPDATE SET value = CAST(CAST(setting.value AS BIGINT) + 1 AS TEXT)";
const PROCESSES: &str = "SELECT service_instance_id, count(*), sum(length(fixed_fields)) FROM process GROUP BY 1";
const EVENTS: &str = "SELECT CAST(request_id AS INTEGER), count(*) FROM event GROUP BY 1";
const AUDITS: &str = "SELECT CAST(request_id AS INTEGER), count(*) FROM audit GROUP BY 1";
const ORPHANS: &str = "SELECT count(*) FROM event e LEFT JOIN process p ON p.id = e.object_id
    AND p.service_instance_id = CAST(e.request_id AS INTEGER) WHERE p.id IS NULL";
const EVENT_COUNT: &str = "SELECT count(*) FROM event";

/// How many events have their positions, which have no gaps.
fn published(tx: &mut dyn Tx) -> Result<i64, StoreError> {
    let mut last = 0;
    loop {
        let before = last;
        event::each_after(tx, before, 10_000, &mut |event| {
            last += 1;
            assert_eq!(event.position, last, "positions have no gaps");
            Ok(())
        })?;
        if last == before {
            return Ok(last);
        }
    }
}

/// The requests that a store holds. Each of them is whole, and everything else agrees with them.
pub fn present(store: &Store, seed: u64) -> BTreeSet<i64> {
    wait_until("every event has its position", || {
        let left = store.read::<_, StoreError>(true, |tx| Ok(tx.number(EVENT_COUNT, &[])? - published(tx)?));
        left.expect("the store can be read") == 0
    });
    let read = store.read(true, |tx| {
        let mut found: BTreeMap<i64, Traces> = BTreeMap::new();
        tx.query(PROCESSES, &[], &mut |row| {
            let traces = found.entry(row.int(0)?).or_default();
            (traces.processes, traces.bytes) = (row.int(1)?, row.int(2)?);
            Ok(())
        })?;
        tx.query(EVENTS, &[], &mut |row| {
            found.entry(row.int(0)?).or_default().events = row.int(1)?;
            Ok(())
        })?;
        tx.query(AUDITS, &[], &mut |row| {
            found.entry(row.int(0)?).or_default().audits = row.int(1)?;
            Ok(())
        })?;
        let positions = published(tx)?;
        let mut written = 0;
        for counter in 0..COUNTERS {
            let count = find_setting(tx, &format!("requests {counter}"))?;
            written += count.map_or(0, |text| text.parse().expect("a number"));
        }
        Ok::<_, StoreError>((found, positions, written, tx.number(ORPHANS, &[])?))
    });
    let (found, positions, written, orphans) = read.expect("the store can be read");
    for (id, traces) in &found {
        assert_eq!(*traces, Request::new(*id, seed).whole(), "request {id} is not whole");
    }
    let events = found.values().map(|traces| traces.events).sum::<i64>();
    assert_eq!(positions, events, "every event is published");
    assert_eq!(orphans, 0, "every event has its process");
    assert_eq!(found.len(), written, "the common counters agree");
    found.into_keys().collect()
}
