//! What is acknowledged is on disk: syncs counted before every answer, and power cuts at any moment that drop what was not
//! synced. `ROLLCALL_SEED` runs the same cuts again.

#![expect(clippy::unwrap_used, reason = "a test ends with its first error")]

mod support;

use rollcall_store::sqlite::{Options, Sqlite};
use rollcall_store::{Observer, Stop, Store, Work};
use std::collections::BTreeSet;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use support::chance::{Chance, seed};
use support::disk::{Disk, Fate, Moment};
use support::trace::{Request, present};
use support::{Folder, Modelled};

/// The cuts of one run of the test.
const CUTS: usize = 200;

/// Long enough for anything that ends at all.
const PATIENCE: Duration = Duration::from_secs(20);

/// Hands a request to the writer; its answer is noted on the disk's own clock. Answers how much of the log was not on disk then.
fn submit(store: &Store, disk: &Arc<Disk>, request: Request) -> impl FnOnce() -> usize + use<> {
    let disk = disk.clone();
    let (told, answer) = channel();
    store.engine().write(Work {
        run: Box::new(move |tx| Ok(request.write(tx)?)),
        done: Box::new(move |result| {
            result.expect("nothing fails here");
            let _ = told.send(disk.acknowledge(request.id));
        }),
        expires: Instant::now() + PATIENCE,
    });
    move || answer.recv_timeout(PATIENCE).expect("the write is answered")
}

/// Hands over a request that is refused when all of it is written.
fn submit_refused(store: &Store, request: Request) -> impl FnOnce() -> usize + use<> {
    let (told, answer) = channel();
    store.engine().write(Work {
        run: Box::new(move |tx| {
            request.write(tx)?;
            Err(Stop::Refused)
        }),
        done: Box::new(move |_| {
            let _ = told.send(0);
        }),
        expires: Instant::now() + PATIENCE,
    });
    move || answer.recv_timeout(PATIENCE).expect("the write is answered")
}

#[test]
fn every_answer_to_a_single_write_follows_a_sync_of_the_log() {
    let modelled = Modelled::with_store(0);
    let store = support::open(modelled.options());
    let mut syncs = Vec::new();
    for id in 1..=50 {
        let before = modelled.disk.syncs("-wal");
        let unsynced = submit(&store, &modelled.disk, Request::new(id, 0))();
        assert_eq!(unsynced, 0, "request {id} was acknowledged before its log was on disk");
        syncs.push(modelled.disk.syncs("-wal") - before);
    }
    println!("syncs of the log per write: {syncs:?}");
    // The first one also syncs the head of a new log.
    assert_eq!(syncs[0], 2);
    assert!(syncs[1..].iter().all(|count| *count == 1), "{syncs:?}");
}

/// Remembers the sizes of the groups.
#[derive(Default)]
struct Groups(Mutex<Vec<usize>>);

impl Observer for Groups {
    fn queue_depth(&self, _waiting: usize) {}

    fn committed(&self, requests: usize, _time: Duration) {
        self.0.lock().unwrap().push(requests);
    }
}

#[test]
fn concurrent_writes_share_a_sync_and_each_answer_follows_one() {
    let modelled = Modelled::with_store(0);
    let groups = Arc::new(Groups::default());
    let store = support::open(Options { observer: Some(groups.clone()), ..modelled.options() });
    submit(&store, &modelled.disk, Request::new(1, 0))();
    let before = modelled.disk.syncs("-wal");
    groups.0.lock().unwrap().clear();
    let threads: Vec<_> = (0..8)
        .map(|thread| {
            let (store, disk) = (store.clone(), modelled.disk.clone());
            std::thread::spawn(move || {
                let ids = (2..).skip(thread * 40).take(40);
                let waiting: Vec<_> = ids.map(|id| submit(&store, &disk, Request::new(id, 0))).collect();
                waiting.into_iter().map(|wait| wait()).sum::<usize>()
            })
        })
        .collect();
    let unsynced: usize = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
    assert_eq!(unsynced, 0, "a write was acknowledged before its log was on disk");
    let syncs = modelled.disk.syncs("-wal") - before;
    let groups = groups.0.lock().unwrap();
    println!("{} writes in {} groups: {syncs} syncs of the log", groups.iter().sum::<usize>(), groups.len());
    assert_eq!(groups.iter().sum::<usize>(), 320);
    // A log that begins anew syncs its head as well, a checkpoint once more.
    assert!(syncs >= groups.len() && syncs <= groups.len() + 3, "{syncs} syncs for {} groups", groups.len());
    assert!(groups.len() < 320, "no two writes were committed together");
}

#[test]
fn the_model_sees_a_commit_that_is_not_on_disk() {
    let modelled = Modelled::with_store(0);
    let careless = modelled.outsider();
    careless.execute_batch("PRAGMA synchronous = NORMAL; INSERT INTO setting VALUES ('a', 'b')").unwrap();
    assert!(modelled.disk.acknowledge(1) > 0);
    let folder = Folder::new();
    let now = modelled.disk.moments().pop().unwrap();
    now.cut(folder.0.path(), Fate::Lost, &mut Chance::new(0));
    let sql = "SELECT count(*) FROM setting WHERE name = 'a'";
    let count: i64 = folder.outsider().query_row(sql, [], |row| row.get(0)).unwrap();
    assert_eq!(count, 0);
}

/// One life of a store between two power cuts: many requests, some refused, checkpoints at any time.
struct Life {
    modelled: Modelled,
    seed: u64,
    /// What the store held when it began.
    inherited: BTreeSet<i64>,
    submitted: BTreeSet<i64>,
}

impl Life {
    /// `in_order`: one thing at a time, so that a seed gives the same life again; else a checkpoint may meet a commit.
    fn live(folder: Folder, inherited: BTreeSet<i64>, seed: u64, in_order: bool, chance: &mut Chance) -> Self {
        let modelled = Modelled::new(folder, chance.next());
        modelled.disk.keep_moments(20 + chance.below(40));
        let options = Options { group: 1 + chance.below(8), cache_kib: 64, ..modelled.options() };
        let store = support::open(options);
        let outsider = modelled.outsider();
        outsider.busy_timeout(Duration::from_secs(5)).unwrap();
        let mut ids = inherited.last().map_or(1, |last| last + 1)..;
        let mut submitted = BTreeSet::new();
        for _ in 0..8 {
            let hold = in_order.then(|| support::hold(&store));
            let mut waiting: Vec<Box<dyn FnOnce() -> usize>> = Vec::new();
            for id in ids.by_ref().take(1 + chance.below(8)) {
                let request = Request::new(id, seed);
                if chance.once_in(10) {
                    waiting.push(Box::new(submit_refused(&store, request)));
                } else {
                    submitted.insert(id);
                    waiting.push(Box::new(submit(&store, &modelled.disk, request)));
                }
            }
            drop(hold);
            let wait_for_all = |waiting: Vec<Box<dyn FnOnce() -> usize>>| {
                for wait in waiting {
                    wait();
                }
            };
            if in_order {
                wait_for_all(std::mem::take(&mut waiting));
            }
            if chance.once_in(2) {
                let mode = ["PASSIVE", "FULL", "RESTART", "TRUNCATE"][chance.below(4)];
                // Busy is fine: the writer may be at work.
                let _ = outsider.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |_| Ok(()));
            }
            wait_for_all(waiting);
        }
        drop(outsider);
        store.engine().close();
        drop(store);
        Self { modelled, seed, inherited, submitted }
    }

    /// Cuts the power at a moment of this life and looks at what is left.
    fn cut(&self, moment: &Moment, chance: &mut Chance) -> (Folder, BTreeSet<i64>) {
        let folder = Folder::new();
        moment.cut(folder.0.path(), Fate::any(chance), chance);
        let store = support::open(folder.options());
        let found = present(&store, self.seed);
        store.engine().close();
        drop(store);
        assert_eq!(Sqlite::integrity(&folder.file()).unwrap(), [""; 0]);
        let must: BTreeSet<_> = self.inherited.iter().chain(&moment.acknowledged).copied().collect();
        let lost: Vec<_> = must.difference(&found).collect();
        assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
        let may: BTreeSet<_> = self.inherited.union(&self.submitted).copied().collect();
        let invented: Vec<_> = found.difference(&may).collect();
        assert!(invented.is_empty(), "refused or never asked for: {invented:?}");
        (folder, found)
    }
}

/// Cuts the power so many times, in one life after the other.
fn cut_the_power(seed: u64, in_order: bool, cuts: usize) -> Vec<String> {
    let mut chance = Chance::new(seed);
    let mut shapes = Vec::new();
    let mut left = (Folder::new(), BTreeSet::new());
    while shapes.len() < cuts {
        let life = Life::live(left.0, left.1, seed, in_order, &mut chance);
        let mut wrecks = Vec::new();
        for moment in life.modelled.disk.moments() {
            wrecks.push(life.cut(&moment, &mut chance));
            shapes.push(moment.shape());
        }
        // The next life goes on from one of the wrecks, or anew.
        left = if chance.once_in(3) {
            (Folder::new(), BTreeSet::new())
        } else {
            wrecks.swap_remove(chance.below(wrecks.len()))
        };
    }
    shapes
}

#[test]
fn no_power_cut_loses_an_acknowledged_write_or_halves_another() {
    cut_the_power(seed("power cuts in order"), true, CUTS);
}

#[test]
fn no_power_cut_between_a_checkpoint_and_a_commit_does_either() {
    cut_the_power(seed("power cuts with checkpoints beside"), false, CUTS / 4);
}

#[test]
fn a_seed_cuts_at_the_same_moments_again() {
    assert_eq!(cut_the_power(4711, true, 10), cut_the_power(4711, true, 10));
}
