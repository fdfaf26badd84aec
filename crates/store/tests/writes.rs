//! The writer: what holds of every unit of work on each engine, and, on SQLite, what a group of requests does to each of its members.

mod support;

use rollcall_store::migrate::{find_setting, put_setting};
use rollcall_store::sqlite::Options;
use rollcall_store::{MayRetry, Observer, Stop, Store, StoreError, Tx, Work};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use support::Folder;
use support::home::{self, Home, on_postgres};

/// Long enough for anything that ends at all.
const PATIENCE: Duration = Duration::from_secs(20);

/// Remembers the sizes of the groups and tells when the writer takes one.
#[derive(Default)]
struct Log {
    /// Guards the sizes of the committed groups.
    groups: Mutex<Vec<usize>>,
    /// Guards the one who wants to know of the next group taken.
    taken: Mutex<Option<Sender<()>>>,
}

impl Observer for Log {
    fn queue_depth(&self, _waiting: usize) {
        if let Some(told) = self.taken.lock().expect("no test panics with this lock").take() {
            let _ = told.send(());
        }
    }

    fn committed(&self, requests: usize, _time: Duration) {
        self.groups.lock().expect("no test panics with this lock").push(requests);
    }
}

/// A store with one writer that a test keeps busy while it submits what it likes.
struct Bench {
    home: Home,
    store: Store,
    log: Arc<Log>,
}

type Ended = Receiver<Result<(), Stop>>;

impl Bench {
    /// On the engine that the environment names. Only a file has groups.
    fn new(change: impl FnOnce(&mut Options)) -> Self {
        match Home::new() {
            Home::Folder(_) => Self::in_file(change),
            Home::Database(database) => {
                let mut options = Options::new("unused");
                change(&mut options);
                let store = home::open_with(&database.url(), |pools| {
                    (pools.readers, pools.writers, pools.queue) = (2, 1, options.queue);
                });
                Self { home: Home::Database(database), store, log: Arc::default() }
            }
        }
    }

    /// In a file, whose groups a test puts together.
    fn in_file(change: impl FnOnce(&mut Options)) -> Self {
        let folder = Folder::new();
        let log = Arc::new(Log::default());
        let mut options = folder.options();
        options.observer = Some(log.clone());
        change(&mut options);
        let store = support::open(options);
        Self { home: Home::Folder(folder), store, log }
    }

    fn folder(&self) -> &Folder {
        match &self.home {
            Home::Folder(folder) => folder,
            Home::Database(_) => panic!("the store is in no file"),
        }
    }

    fn submit(&self, run: impl FnMut(&mut dyn Tx) -> Result<(), Stop> + Send + 'static) -> Ended {
        self.submit_until(Instant::now() + PATIENCE, run)
    }

    fn submit_until(
        &self,
        expires: Instant,
        run: impl FnMut(&mut dyn Tx) -> Result<(), Stop> + Send + 'static,
    ) -> Ended {
        let (told, ended) = channel();
        let done = Box::new(move |result| {
            // Not every test waits for every answer.
            let _ = told.send(result);
        });
        self.store.engine().write(Work { run: Box::new(run), done, expires });
        ended
    }

    fn setting(&self, name: &str) -> Option<String> {
        self.store.read::<_, StoreError>(false, |tx| find_setting(tx, name)).expect("a setting can be read")
    }

    /// Ends the writer and says how large its groups were.
    fn groups(&self) -> Vec<usize> {
        self.store.engine().close();
        self.log.groups.lock().expect("no test panics with this lock").clone()
    }
}

fn ended(receiver: &Ended) -> Result<(), Stop> {
    receiver.recv_timeout(PATIENCE).expect("every request is answered")
}

fn put(name: &'static str) -> impl FnMut(&mut dyn Tx) -> Result<(), Stop> + Send + 'static {
    move |tx| Ok(put_setting(tx, name, "put")?)
}

/// Adds one each time it takes effect.
fn add(name: &'static str) -> impl FnMut(&mut dyn Tx) -> Result<(), Stop> + Send + 'static {
    move |tx| Ok(add_one(tx, name)?)
}

fn add_one(tx: &mut dyn Tx, name: &str) -> Result<(), StoreError> {
    let number = find_setting(tx, name)?.map_or(0, |text| text.parse::<i64>().expect("a number"));
    put_setting(tx, name, &(number + 1).to_string())
}

/// What disk full and I/O errors may do: the transaction is gone with all that others had done in it.
fn lose_transaction(tx: &mut dyn Tx) -> Result<(), StoreError> {
    tx.execute("ROLLBACK", &[]).map(|_| ())
}

#[test]
fn what_waits_is_committed_as_one_group() {
    let bench = Bench::in_file(|_| {});
    let hold = support::hold(&bench.store);
    let waiting: Vec<_> = (0..10).map(|_| bench.submit(add("n"))).collect();
    drop(hold);
    assert!(waiting.iter().all(|work| ended(work).is_ok()));
    assert_eq!(bench.setting("n").as_deref(), Some("10"));
    assert_eq!(bench.groups(), [1, 10]);
}

#[test]
fn a_group_is_no_larger_than_its_limit() {
    let bench = Bench::in_file(|options| options.group = 4);
    let hold = support::hold(&bench.store);
    let waiting: Vec<_> = (0..10).map(|_| bench.submit(add("n"))).collect();
    drop(hold);
    assert!(waiting.iter().all(|work| ended(work).is_ok()));
    assert_eq!(bench.groups(), [1, 4, 4, 2]);
}

#[test]
fn a_request_that_fails_takes_back_only_what_it_did_itself() {
    type Failing = fn(&mut dyn Tx) -> Result<(), Stop>;
    let check = |failing: Failing, expected: fn(&Stop) -> bool| {
        let bench = Bench::new(|_| {});
        let hold = support::hold(&bench.store);
        let before = bench.submit(add("before"));
        let fails = bench.submit(move |tx| {
            put_setting(tx, "fails", "put")?;
            put_setting(tx, "before", "spoilt")?;
            failing(tx)
        });
        let after = bench.submit(add("after"));
        drop(hold);
        assert!(ended(&before).is_ok());
        let stop = ended(&fails).unwrap_err();
        assert!(expected(&stop), "{stop:?}");
        assert!(ended(&after).is_ok());
        let state = ["before", "fails", "after"].map(|name| bench.setting(name));
        assert_eq!(state, [Some("1".into()), None, Some("1".into())]);
        if !on_postgres() {
            assert_eq!(bench.groups(), [1, 3]);
        }
    };
    check(|_| Err(Stop::Refused), |stop| matches!(stop, Stop::Refused));
    check(|_| panic!("on purpose"), |stop| matches!(stop, Stop::Failed(StoreError::Defect(_))));
    check(
        |tx| Ok(tx.execute("INSERT INTO setting (name, value) VALUES ('before', '')", &[]).map(|_| ())?),
        |stop| matches!(stop, Stop::Failed(StoreError::Unique(_))),
    );
    check(
        |tx| Ok(tx.execute("no statement", &[]).map(|_| ())?),
        |stop| matches!(stop, Stop::Failed(StoreError::Defect(_))),
    );
}

#[test]
fn requests_of_a_group_may_fail_in_any_place() {
    // Those in front of the first success are undone with the whole transaction, the others by their savepoints.
    for fail in [[true, false, false, false], [true, true, false, true], [false, true, true, false], [true; 4]] {
        let bench = Bench::in_file(|_| {});
        let hold = support::hold(&bench.store);
        let waiting = fail.map(|fails| {
            bench.submit(move |tx| {
                add_one(tx, "n")?;
                if fails { Err(Stop::Refused) } else { Ok(()) }
            })
        });
        drop(hold);
        assert_eq!(waiting.map(|work| ended(&work).is_err()), fail);
        let succeeded = fail.iter().filter(|fails| !**fails).count();
        assert_eq!(bench.setting("n"), Some(succeeded.to_string()).filter(|_| succeeded > 0));
        assert_eq!(bench.groups(), [1, 4]);
    }
}

#[test]
fn a_lost_transaction_runs_again_one_by_one_and_nothing_counts_twice() {
    let bench = Bench::in_file(|_| {});
    let hold = support::hold(&bench.store);
    let before = bench.submit(add("before"));
    let loses = bench.submit(|tx| {
        put_setting(tx, "loses", "put")?;
        lose_transaction(tx)?;
        Err(Stop::Failed(StoreError::Unavailable("disk full".into())))
    });
    let after = bench.submit(add("after"));
    drop(hold);
    assert!(ended(&before).is_ok());
    assert!(matches!(ended(&loses), Err(Stop::Failed(StoreError::Unavailable(_)))));
    assert!(ended(&after).is_ok());
    let state = ["before", "loses", "after"].map(|name| bench.setting(name));
    assert_eq!(state, [Some("1".into()), None, Some("1".into())]);
    assert_eq!(bench.groups(), [1, 1, 1]);
}

#[test]
fn a_transaction_lost_once_costs_nobody_a_request() {
    let bench = Bench::in_file(|_| {});
    let hold = support::hold(&bench.store);
    let before = bench.submit(add("n"));
    let mut runs = 0;
    let loses = bench.submit(move |tx| {
        runs += 1;
        add_one(tx, "n")?;
        if runs == 1 {
            lose_transaction(tx)?;
        }
        Ok(())
    });
    let after = bench.submit(add("n"));
    drop(hold);
    for work in [before, loses, after] {
        assert!(ended(&work).is_ok());
    }
    assert_eq!(bench.setting("n").as_deref(), Some("3"));
}

#[test]
fn a_transaction_that_cannot_be_committed_is_rolled_back_and_the_next_one_begun() {
    let bench = Bench::in_file(|_| {});
    let hold = support::hold(&bench.store);
    let before = bench.submit(add("before"));
    let breaks = bench.submit(|tx| {
        put_setting(tx, "breaks", "put")?;
        // The savepoint is gone, the transaction stands.
        Ok(tx.execute("RELEASE request", &[]).map(|_| ())?)
    });
    let after = bench.submit(add("after"));
    drop(hold);
    assert!(ended(&before).is_ok());
    assert!(matches!(ended(&breaks), Err(Stop::Failed(StoreError::Defect(_)))));
    assert!(ended(&after).is_ok());
    let state = ["before", "breaks", "after"].map(|name| bench.setting(name));
    assert_eq!(state, [Some("1".into()), None, Some("1".into())]);
}

#[test]
fn nothing_is_written_outside_of_a_transaction_by_work_that_overlooks_its_loss() {
    let bench = Bench::in_file(|_| {});
    let overlooks = bench.submit(|tx| {
        lose_transaction(tx)?;
        for _ in 0..2 {
            let _ = put_setting(tx, "overlooks", "put");
        }
        let _ = tx.execute_many("INSERT INTO setting (name, value) VALUES ($1, $1)", 1, &["overlooks".into()]);
        let _ = tx.number("INSERT INTO setting (name, value) VALUES ('overlooks', '') RETURNING 1", &[]);
        Ok(())
    });
    assert!(matches!(ended(&overlooks), Err(Stop::Failed(StoreError::Unavailable(_)))));
    assert_eq!(bench.setting("overlooks"), None);
    assert!(ended(&bench.submit(put("after"))).is_ok());
}

#[test]
fn a_conflict_runs_the_work_again_from_its_start() {
    let bench = Bench::new(|_| {});
    let runs = Arc::new(AtomicUsize::new(0));
    let check = |conflicts: usize, expected_runs: usize| {
        runs.store(0, Ordering::Relaxed);
        let counted = runs.clone();
        let result = bench.store.write_blocking(move |tx| {
            add_one(tx, "n")?;
            if counted.fetch_add(1, Ordering::Relaxed) < conflicts {
                return Err(Mine::Conflict);
            }
            Ok(find_setting(tx, "n")?)
        });
        assert_eq!(runs.load(Ordering::Relaxed), expected_runs);
        result
    };
    assert_eq!(check(0, 1), Ok(Some("1".into())));
    assert_eq!(check(3, 4), Ok(Some("2".into())));
    let most = if on_postgres() { 12 } else { 8 };
    assert_eq!(check(most - 1, most), Ok(Some("3".into())));
    assert_eq!(check(usize::MAX, most), Err(Mine::Conflict));
    assert_eq!(check(0, 1), Ok(Some("4".into())));
}

/// An error as the rules above the store have one.
#[derive(Debug, PartialEq)]
enum Mine {
    Conflict,
    Store(String),
}

impl From<StoreError> for Mine {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Conflict(_) => Mine::Conflict,
            other => Mine::Store(other.to_string()),
        }
    }
}

impl MayRetry for Mine {
    fn conflict(&self) -> Option<String> {
        matches!(self, Mine::Conflict).then(|| "mine".into())
    }
}

#[test]
fn a_full_queue_is_told_at_once() {
    let bench = Bench::new(|options| options.queue = 2);
    let hold = support::hold(&bench.store);
    let accepted = [bench.submit(add("n")), bench.submit(add("n"))];
    let refused = bench.submit(add("n"));
    assert!(matches!(refused.try_recv(), Ok(Err(Stop::Failed(StoreError::Busy)))));
    drop(hold);
    assert!(accepted.iter().all(|work| ended(work).is_ok()));
    assert!(ended(&bench.submit(add("n"))).is_ok());
    assert_eq!(bench.setting("n").as_deref(), Some("3"));
}

#[test]
fn work_that_waited_too_long_is_not_begun() {
    let bench = Bench::new(|_| {});
    let hold = support::hold(&bench.store);
    let late = bench.submit_until(Instant::now(), |_| panic!("begun all the same"));
    let in_time = bench.submit(put("in time"));
    drop(hold);
    assert!(matches!(ended(&late), Err(Stop::Failed(StoreError::Busy))));
    assert!(ended(&in_time).is_ok());
}

#[test]
fn closing_finishes_what_was_accepted_and_refuses_what_comes_later() {
    let bench = Bench::new(|options| options.group = 3);
    let hold = support::hold(&bench.store);
    let accepted: Vec<_> = (0..10).map(|_| bench.submit(add("n"))).collect();
    let store = bench.store.clone();
    let closing = std::thread::spawn(move || store.engine().close());
    drop(hold);
    closing.join().unwrap();
    for work in &accepted {
        assert!(matches!(work.try_recv(), Ok(Ok(()))), "answered before the close returns");
    }
    let late = bench.submit(add("n"));
    assert!(matches!(late.try_recv(), Ok(Err(Stop::Failed(StoreError::Closed)))));
    bench.store.engine().close();
    assert_eq!(bench.setting("n").as_deref(), Some("10"));
}

#[test]
fn a_panic_while_answering_does_not_end_the_writer() {
    let bench = Bench::new(|_| {});
    bench.store.engine().write(Work {
        run: Box::new(put("told")),
        done: Box::new(|_| panic!("on purpose")),
        expires: Instant::now() + PATIENCE,
    });
    assert!(ended(&bench.submit(put("after"))).is_ok());
    assert_eq!(bench.setting("told").as_deref(), Some("put"));
}

#[test]
fn the_last_handle_may_be_dropped_by_the_writer_itself() {
    let Bench { home, store, log } = Bench::new(|_| {});
    let (told, dropped) = channel();
    let last = store.clone();
    let (release, released) = channel::<()>();
    store.engine().write(Work {
        run: Box::new(move |_| {
            let _ = released.recv();
            Ok(())
        }),
        done: Box::new(move |_| {
            drop(last);
            told.send(()).unwrap();
        }),
        expires: Instant::now() + PATIENCE,
    });
    drop((store, log));
    drop(release);
    dropped.recv_timeout(PATIENCE).unwrap();
    drop(home);
}

#[test]
fn writes_wait_for_the_lock_of_another_program() {
    let bench = Bench::in_file(|_| {});
    let outsider = bench.folder().outsider();
    outsider.execute_batch("BEGIN IMMEDIATE; INSERT INTO setting VALUES ('n', '41')").unwrap();
    let (told, taken) = channel();
    *bench.log.taken.lock().unwrap() = Some(told);
    let waits = bench.submit(add("n"));
    taken.recv_timeout(PATIENCE).unwrap();
    outsider.execute_batch("COMMIT").unwrap();
    assert!(ended(&waits).is_ok());
    assert_eq!(bench.setting("n").as_deref(), Some("42"));
}

#[test]
fn a_lock_that_stays_costs_a_group_one_wait_and_not_one_each() {
    let wait = Duration::from_millis(300);
    let bench = Bench::in_file(|options| options.busy_timeout = wait);
    let outsider = bench.folder().outsider();
    outsider.execute_batch("BEGIN IMMEDIATE").unwrap();
    let (told, taken) = channel();
    *bench.log.taken.lock().unwrap() = Some(told);
    let first = bench.submit(add("n"));
    taken.recv_timeout(PATIENCE).unwrap();
    let group: Vec<_> = (0..20).map(|_| bench.submit(add("n"))).collect();
    let begun = Instant::now();
    for work in group.iter().chain([&first]) {
        assert!(matches!(ended(work), Err(Stop::Failed(StoreError::Busy))));
    }
    assert!(begun.elapsed() < wait * 8, "{:?}", begun.elapsed());
    outsider.execute_batch("ROLLBACK").unwrap();
    assert!(ended(&bench.submit(put("after"))).is_ok());
    assert_eq!(bench.setting("n"), None);
}

#[test]
fn two_programs_may_write_to_one_store() {
    let bench = Bench::in_file(|_| {});
    let file = bench.folder().file();
    let beside = std::thread::spawn(move || {
        let store = support::open(Options::new(file));
        for _ in 0..50 {
            store.write_blocking(|tx| add_one(tx, "n")).unwrap();
        }
    });
    for _ in 0..50 {
        bench.store.write_blocking(|tx| add_one(tx, "n")).unwrap();
    }
    beside.join().unwrap();
    assert_eq!(bench.setting("n").as_deref(), Some("100"));
}
