//! A disk that fails or is full at the n-th call: whoever is told of success keeps it, everybody else left nothing, and the store
//! works on as soon as the disk does.

#![expect(clippy::unwrap_used, reason = "a test ends with its first error")]

mod support;

use rollcall_store::sqlite::{Options, Sqlite};
use rollcall_store::{Stop, Store, StoreError, Work};
use rusqlite::ffi;
use std::collections::BTreeSet;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};
use support::chance::Chance;
use support::disk::{Call, FAULTS, Fate, Fault};
use support::trace::{Request, present};
use support::{Folder, Modelled};

/// Long enough for anything that ends at all.
const PATIENCE: Duration = Duration::from_secs(20);

fn submit(store: &Store, modelled: &Modelled, request: Request) -> Receiver<Result<(), Stop>> {
    let disk = modelled.disk.clone();
    let (told, answer) = channel();
    store.engine().write(Work {
        run: Box::new(move |tx| Ok(request.write(tx)?)),
        done: Box::new(move |result| {
            if result.is_ok() {
                disk.acknowledge(request.id);
            }
            let _ = told.send(result);
        }),
        expires: Instant::now() + PATIENCE,
    });
    answer
}

/// A store at work on a disk.
struct Trial {
    modelled: Modelled,
    store: Store,
    beside: rusqlite::Connection,
    next: i64,
    acknowledged: BTreeSet<i64>,
    failed: BTreeSet<i64>,
}

impl Trial {
    fn new() -> Self {
        let modelled = Modelled::with_store(0);
        // A cache of a few pages makes the store write before it commits, and read what it has read before.
        let options = Options { cache_kib: 16, readers: 1, ..modelled.options() };
        let store = support::open(options);
        let beside = modelled.outsider();
        let mut trial =
            Self { modelled, store, beside, next: 1, acknowledged: BTreeSet::new(), failed: BTreeSet::new() };
        trial.write_some();
        assert!(trial.failed.is_empty());
        trial
    }

    /// A request alone, a group, a checkpoint that lets the log begin anew, another group.
    fn write_some(&mut self) {
        self.write_group(1);
        self.write_group(5);
        // Whether it works is not the question here.
        let _ = self.beside.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
        self.write_group(3);
    }

    fn write_group(&mut self, size: usize) {
        let ids = (self.next..).take(size);
        let waiting: Vec<_> = ids.map(|id| (id, submit(&self.store, &self.modelled, Request::new(id, 0)))).collect();
        self.next += i64::try_from(size).unwrap();
        for (id, answer) in waiting {
            match answer.recv_timeout(PATIENCE).expect("every request is answered") {
                Ok(()) => self.acknowledged.insert(id),
                Err(Stop::Failed(StoreError::Unavailable(_))) => self.failed.insert(id),
                Err(stop) => panic!("request {id} ended with {stop:?}"),
            };
        }
    }

    fn read(&self) {
        let read = self.store.read(true, |tx| tx.number("SELECT sum(length(fixed_fields)) FROM process", &[]));
        assert!(matches!(read, Ok(_) | Err(StoreError::Unavailable(_))), "{read:?}");
    }

    /// The disk is well again: the store works, holds what it said it holds, and still does after a restart and a power cut.
    fn look(mut self) {
        let failed = self.failed.len();
        self.write_group(1);
        assert_eq!(self.failed.len(), failed, "the store works on without a restart");
        assert_eq!(present(&self.store, 0), self.acknowledged);
        let now = self.modelled.disk.moments().pop().unwrap();
        let fate = if failed.is_multiple_of(2) { Fate::Lost } else { Fate::ByChance };
        let folder = Folder::new();
        now.cut(folder.0.path(), fate, &mut Chance::new(0));
        let found = present(&folder.open(), 0);
        assert!(found.is_superset(&self.acknowledged), "{fate:?}: {found:?}");
        self.store.engine().close();
        drop((self.store, self.beside));
        let found = present(&self.modelled.folder.open(), 0);
        assert_eq!(found, self.acknowledged);
        assert_eq!(Sqlite::integrity(&self.modelled.folder.file()).unwrap(), [""; 0]);
    }
}

/// Lets the n-th call of a kind fail, for each n until the work needs no n-th call.
fn fail_each(call: Call, code: i32, times: usize) {
    let mut trials = 0;
    // Not each of thousands: the first ones, then ever fewer.
    for nth in (1..).map(|i: usize| i + i * i / 16) {
        let mut trial = Trial::new();
        trial.modelled.disk.break_down(Fault { call, code, nth, times });
        trial.write_some();
        trial.read();
        let failed = trial.modelled.disk.mend();
        // Whoever shares a group with the one that failed is written all the same.
        assert!(trial.failed.len() <= times, "{:?} failed", trial.failed);
        trial.look();
        trials += 1;
        if failed == 0 {
            break;
        }
    }
    assert!(trials > 1, "{call:?} never failed");
}

#[test]
fn a_call_that_fails_once_harms_nobody_else() {
    for (call, code) in FAULTS {
        fail_each(call, code, 1);
    }
}

#[test]
fn calls_that_fail_a_few_times_harm_nobody_else() {
    for (call, code) in FAULTS {
        fail_each(call, code, 4);
    }
}

#[test]
fn a_disk_that_stays_broken_is_told_to_everybody_and_forgiven_once_it_works() {
    for (call, code) in FAULTS {
        fail_each(call, code, usize::MAX);
    }
}

#[test]
fn a_store_that_could_not_be_made_can_be_made_later() {
    for (call, code) in FAULTS {
        for nth in (1..).map(|i: usize| i + i * i / 8) {
            let modelled = Modelled::new(Folder::new(), 0);
            modelled.disk.break_down(Fault { call, code, nth, times: usize::MAX });
            let opened = Sqlite::open(modelled.options());
            let failed = modelled.disk.mend();
            match opened {
                Ok(_) => {}
                Err(StoreError::Unavailable(_)) => assert!(failed > 0),
                Err(error) => panic!("{call:?} {nth}: {error:?}"),
            }
            let store = support::open(modelled.options());
            store.write_blocking(|tx| Request::new(1, 0).write(tx)).unwrap();
            assert_eq!(present(&store, 0), BTreeSet::from([1]));
            if failed == 0 {
                break;
            }
        }
    }
}

#[test]
fn a_full_disk_refuses_writes_and_serves_reads() {
    let mut trial = Trial::new();
    let before = trial.acknowledged.clone();
    trial.modelled.disk.break_down(Fault { call: Call::Write, code: ffi::SQLITE_FULL, nth: 1, times: usize::MAX });
    trial.write_some();
    assert_eq!((trial.failed.len(), &trial.acknowledged), (9, &before));
    assert_eq!(present(&trial.store, 0), before);
    assert!(trial.modelled.disk.mend() > 0);
    trial.look();
}
