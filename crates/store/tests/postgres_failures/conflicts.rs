//! Transactions that lose against others, wait for them, take too long, or fail in themselves.

use crate::support::chance::seed;
use crate::support::home::{self, on_postgres, wait_until};
use crate::support::load::Load;
use crate::support::trace::{Request, present};
use rollcall_store::migrate::{find_setting, put_setting};
use rollcall_store::{Param, Store, StoreError, TimeLimits, Tx};
use std::collections::BTreeSet;
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

const PID: &str = "SELECT pg_backend_pid()";

/// Conflicts out of nothing, at every statement that changes something and at commits, also of the engine's own work.
const STORM: &str = "
    CREATE FUNCTION trouble() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF random() < 0.25 THEN
            RAISE EXCEPTION 'made up' USING ERRCODE = (ARRAY['40001', '40P01'])[1 + floor(random() * 2)::int];
        END IF;
        RETURN NEW;
    END $$;
    CREATE TRIGGER trouble BEFORE INSERT ON audit FOR EACH ROW EXECUTE FUNCTION trouble();
    CREATE TRIGGER trouble BEFORE INSERT ON commit_record FOR EACH ROW EXECUTE FUNCTION trouble();
    CREATE TRIGGER trouble BEFORE INSERT ON event_order FOR EACH STATEMENT EXECUTE FUNCTION trouble();
    CREATE TRIGGER trouble BEFORE UPDATE ON sequence FOR EACH ROW EXECUTE FUNCTION trouble();
    CREATE CONSTRAINT TRIGGER trouble_at_commit AFTER INSERT ON audit DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION trouble();
    CREATE CONSTRAINT TRIGGER trouble_at_commit AFTER UPDATE ON event_sequencer DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION trouble()";

#[test]
fn in_a_storm_of_conflicts_all_work_is_done_once_or_refused_as_busy() {
    if !on_postgres() {
        return;
    }
    let seed = seed("storm");
    let database = home::database();
    home::run_sql(&database.url(), STORM).unwrap();
    let enough = home::rounds("ROLLCALL_STORM", 600);
    let stores = [home::open(&database.url()), home::open(&database.url())];
    let told = Load { writers: 16, readers: 1, seed }.run(&stores, |progress| {
        wait_until("enough is done", || progress.acknowledged() >= enough);
    });
    told.check(&stores[0], seed);
    assert!(told.unknown.is_empty());
    // Twelve runs in vain are rare.
    let failed: usize = told.errors.values().sum();
    assert!(failed < enough / 10, "{failed}");
}

/// Somebody who has locked a row and does not go on until the answer is dropped.
fn hold(store: &Store, lock: &'static str) -> Sender<()> {
    let ((begun, has_begun), (release, released)) = (channel(), channel::<()>());
    let store = store.clone();
    std::thread::spawn(move || {
        let mut released = Some(released);
        // It takes too long to be committed.
        let _ = store.write_blocking(move |tx| {
            tx.query(lock, &[], &mut |_| Ok(()))?;
            let _ = begun.send(());
            let _ = released.take().map(|released| released.recv());
            Ok::<_, StoreError>(())
        });
    });
    has_begun.recv_timeout(Duration::from_secs(20)).unwrap();
    release
}

fn write(store: &Store, id: i64) -> Result<(), StoreError> {
    let request = Request::new(id, 0);
    store.write_blocking(move |tx| request.write(tx))
}

/// How a write ends while somebody else holds a row, and that others go on meanwhile.
fn check_held(what: &str, lock: &'static str, is_met: fn(i64) -> bool) {
    let database = home::database();
    let (store, beside) = (home::open(&database.url()), home::open_narrow(&database.url()));
    // The rows are there, and blocks of ids.
    (1..=16).for_each(|id| write(&store, id).unwrap());
    let mut there: BTreeSet<_> = (1..=16).collect();
    let release = hold(&beside, lock);
    std::thread::scope(|scope| {
        for id in 17..=24 {
            let store = &store;
            scope.spawn(move || {
                let begun = Instant::now();
                let ended = write(store, id);
                let took = begun.elapsed();
                if is_met(id) {
                    assert!(matches!(ended, Err(StoreError::Busy)), "{what}: {ended:?}");
                    assert!(took < Duration::from_secs(20), "{what}: {took:?}");
                } else {
                    assert!(ended.is_ok(), "{what}: {ended:?}");
                    assert!(took < Duration::from_secs(8), "{what}: {took:?}");
                }
            });
        }
    });
    there.extend((17..=24).filter(|id| !is_met(*id)));
    drop(release);
    wait_until(what, || write(&store, 25).is_ok());
    there.insert(25);
    assert_eq!(present(&store, 0), there, "{what}");
}

#[test]
fn what_somebody_else_holds_is_waited_for_no_longer_than_is_bounded() {
    if !on_postgres() {
        return;
    }
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let lock = "SELECT value FROM setting WHERE name = 'requests 1' FOR UPDATE";
            check_held("a record", lock, |id| id % 8 == 1);
        });
        // Events wait for their positions, and nobody for them.
        scope.spawn(|| check_held("the turn", "SELECT id FROM event_sequencer FOR UPDATE", |_| false));
        scope.spawn(check_held_ids);
        scope.spawn(check_slow_write);
    });
}

/// Whoever needs more ids than are left waits for the counter, and gets the busy error.
fn check_held_ids() {
    let database = home::database();
    let (store, beside) = (home::open(&database.url()), home::open_narrow(&database.url()));
    write(&store, 1).unwrap();
    let release = hold(&beside, "SELECT next FROM sequence WHERE name = 'process' FOR UPDATE");
    let begun = Instant::now();
    let ended: Vec<_> = std::thread::scope(|scope| {
        let writes: Vec<_> = (2..=40)
            .map(|id| {
                scope.spawn({
                    let store = &store;
                    move || (id, write(store, id))
                })
            })
            .collect();
        writes.into_iter().map(|write| write.join().unwrap()).collect()
    });
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(30), "{took:?}");
    let mut there = BTreeSet::from([1]);
    let mut busy = 0;
    for (id, ended) in ended {
        match ended {
            Ok(()) => assert!(there.insert(id)),
            Err(StoreError::Busy) => busy += 1,
            // Whose turn comes late has too little time left for a new connection or its statements, on a busy machine.
            Err(StoreError::Unavailable(_) | StoreError::TooLong(_)) => {}
            Err(other) => panic!("{other}"),
        }
    }
    assert!(busy > 0, "nobody needed more ids");
    drop(release);
    wait_until("the counter is free", || write(&store, 41).is_ok());
    there.insert(41);
    assert_eq!(present(&store, 0), there);
}

/// A statement that takes for ever costs its own request and nothing else.
fn check_slow_write() {
    let database = home::database();
    let store = home::open_with(&database.url(), |pools| {
        (pools.readers, pools.writers, pools.write_limit) = (1, 1, Duration::from_secs(2));
    });
    let begun = Instant::now();
    let ended = store.write_blocking(|tx| {
        put_setting(tx, "slow", "put")?;
        tx.query("SELECT pg_sleep(600)", &[], &mut |_| Ok(()))
    });
    // It had its turn: that others wait is not why.
    assert!(matches!(ended, Err(StoreError::TooLong(2000))), "{ended:?}");
    assert!(begun.elapsed() < Duration::from_secs(40), "{:?}", begun.elapsed());
    write(&store, 1).unwrap();
    let asleep = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'";
    wait_until("nobody works on it", || store.read::<_, StoreError>(false, |tx| tx.number(asleep, &[])).unwrap() == 0);
    assert_eq!(store.read::<_, StoreError>(false, |tx| find_setting(tx, "slow")).unwrap(), None);
}

#[test]
fn a_heavy_read_ends_at_its_deadline_and_leaves_the_connection_usable() {
    if !on_postgres() {
        return;
    }
    let database = home::database();
    let limits = TimeLimits { read: Duration::from_millis(300), ..TimeLimits::default() };
    let store = Store::new(home::open_narrow(&database.url()).engine().clone(), limits);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let pid = || runtime.block_on(store.read_async(false, |tx| tx.number(PID, &[]))).unwrap();
    type Heavy = fn(&mut dyn Tx) -> Result<(), StoreError>;
    let heavy: [Heavy; 2] = [
        |tx| tx.query("SELECT pg_sleep(60)", &[], &mut |_| Ok(())),
        // No single statement is heavy here.
        |tx| (0..100_000_000).try_for_each(|_| tx.number(PID, &[]).map(|_| ())),
    ];
    for (work, snapshot) in heavy.into_iter().flat_map(|work| [(work, false), (work, true)]) {
        let before = pid();
        let begun = Instant::now();
        let apart = runtime.block_on(store.read_async(snapshot, work));
        assert!(matches!(apart, Err(StoreError::Deadline(300))), "{apart:?}");
        let here = store.read(snapshot, work);
        assert!(matches!(here, Err(StoreError::Deadline(300))), "{here:?}");
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
        assert_eq!(pid(), before);
    }
}

#[test]
fn a_panic_costs_its_own_request_and_nothing_else() {
    if !on_postgres() {
        return;
    }
    let database = home::database();
    let store = home::open_narrow(&database.url());
    write(&store, 1).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let writer = || store.write_blocking(|tx| tx.number(PID, &[])).unwrap();
    let reader = || runtime.block_on(store.read_async(false, |tx| tx.number(PID, &[]))).unwrap();
    let pids = (writer(), reader());
    type Work = fn(&mut dyn Tx) -> Result<(), StoreError>;
    let works: [Work; 5] = [
        |_| panic!("before the first statement"),
        |tx| {
            tx.number(PID, &[])?;
            panic!("behind a statement")
        },
        |tx| tx.query("SELECT generate_series(1, 100000)::bigint", &[], &mut |_| panic!("at the first of many rows")),
        |tx| {
            let _ = tx.execute("no statement", &[]);
            panic!("behind one that failed")
        },
        |tx| {
            Request::new(2, 0).write(tx)?;
            panic!("behind all of it")
        },
    ];
    for (number, work) in works.into_iter().enumerate() {
        let written = store.write_blocking(work);
        assert!(matches!(written, Err(StoreError::Defect(_))), "{number}: {written:?}");
        for snapshot in [false, true] {
            if number == 4 {
                continue;
            }
            let apart = runtime.block_on(store.read_async(snapshot, work));
            assert!(matches!(apart, Err(StoreError::Defect(_))), "{number}: {apart:?}");
            let here = store.read(snapshot, work);
            assert!(matches!(here, Err(StoreError::Defect(_))), "{number}: {here:?}");
        }
        assert_eq!((writer(), reader()), pids, "{number}");
    }
    assert_eq!(present(&store, 0), BTreeSet::from([1]));
}

/// A failed statement ends a transaction; what overlooks that must not be told that it was committed.
#[test]
fn work_that_overlooks_a_failed_statement_is_not_acknowledged() {
    if !on_postgres() {
        return;
    }
    let database = home::database();
    let store = home::open_narrow(&database.url());
    type Work = fn(&mut dyn Tx);
    let works: [Work; 4] = [
        |tx| drop(tx.execute("no statement", &[])),
        |tx| drop(tx.execute("INSERT INTO setting (name, value) VALUES ('schema_version', '')", &[])),
        |tx| drop(tx.number("SELECT 1 / (SELECT 0)::bigint", &[])),
        |tx| drop(tx.execute_many("INSERT INTO setting (name, value) VALUES ($1, '')", 1, &[Param::Text("a"); 2])),
    ];
    for (number, overlooks) in works.into_iter().enumerate() {
        for before in [true, false] {
            let written = store.write_blocking(move |tx| {
                put_setting(tx, "overlooks", "put")?;
                if before {
                    overlooks(tx);
                    let _ = Request::new(1, 0).write(tx);
                } else {
                    Request::new(1, 0).write(tx)?;
                    overlooks(tx);
                }
                Ok::<_, StoreError>(())
            });
            let kept = store.read::<_, StoreError>(false, |tx| find_setting(tx, "overlooks")).unwrap();
            assert!(written.is_err() && kept.is_none(), "{number} {before}: {written:?}, {kept:?}");
            assert_eq!(present(&store, 0), BTreeSet::new());
        }
    }
    write(&store, 1).unwrap();
}

/// Many who want the same name from several servers: one gets it, and all others see that it is taken.
#[test]
fn a_name_that_is_raced_for_has_one_winner_and_the_others_see_it() {
    if !on_postgres() {
        return;
    }
    let database = home::database();
    let stores = [home::open(&database.url()), home::open(&database.url())];
    let take = |store: &Store, name: String| {
        store.write_blocking(move |tx| {
            if find_setting(tx, &name)?.is_some() {
                return Err(StoreError::Unreadable("taken".into()));
            }
            tx.execute("INSERT INTO setting (name, value) VALUES ($1, '')", &[(&name).into()]).map(|_| ())
        })
    };
    for race in 0..100 {
        let ended: Vec<_> = std::thread::scope(|scope| {
            let run = |runner: usize| {
                let (store, name) = (&stores[runner % 2], format!("race {race}"));
                scope.spawn(move || take(store, name))
            };
            let runners: Vec<_> = (0..8).map(run).collect();
            runners.into_iter().map(|runner| runner.join().unwrap()).collect()
        });
        assert_eq!(ended.iter().filter(|ended| ended.is_ok()).count(), 1, "{ended:?}");
        let losers = ended.iter().filter(|ended| matches!(ended, Err(StoreError::Unreadable(_))));
        assert_eq!(losers.count(), 7, "{ended:?}");
    }
}

#[test]
fn a_read_cannot_write() {
    if !on_postgres() {
        return;
    }
    let database = home::database();
    let store = home::open_narrow(&database.url());
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    for snapshot in [false, true] {
        let begun = Instant::now();
        let here = store.read(snapshot, |tx| put_setting(tx, "a", "b"));
        assert!(matches!(here, Err(StoreError::Defect(_))), "{here:?}");
        let apart = runtime.block_on(store.read_async(snapshot, |tx| put_setting(tx, "a", "b")));
        assert!(matches!(apart, Err(StoreError::Defect(_))), "{apart:?}");
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    }
    assert_eq!(store.read::<_, StoreError>(false, |tx| find_setting(tx, "a")).unwrap(), None);
}
