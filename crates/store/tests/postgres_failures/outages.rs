//! Servers that stop, are killed and come back, standbys that take over, and servers of ours that end under load.

use crate::support::chance::{Chance, seed};
use crate::support::home::{self, on_postgres, part_of, pause, wait_until};
use crate::support::load::{Load, Progress};
use crate::support::trace::{Request, present};
use rollcall_store::{StoreError, Work};
use rollcall_testbed::{Cluster, Settings, Stop};
use std::collections::BTreeSet;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

/// Within which work goes on after the database is back.
const SECONDS: Duration = Duration::from_secs(15);

fn cluster() -> Cluster {
    let cluster = Cluster::start(Settings { max_connections: 60, ..Settings::default() });
    cluster.create_database("store", None);
    cluster
}

/// Waits until as many writes more are acknowledged.
fn more(progress: &Progress, writes: usize) {
    let enough = progress.acknowledged() + writes;
    wait_until("more is written", || progress.acknowledged() >= enough);
}

#[test]
fn a_database_that_stops_and_starts_loses_nothing_and_is_used_again_at_once() {
    if !on_postgres() {
        return;
    }
    let seed = seed("stops");
    let cluster = cluster();
    let stores = [home::open(&cluster.url("store")), home::open(&cluster.url("store"))];
    let told = Load { writers: 12, readers: 2, seed }.run(&stores, |progress| {
        let mut chance = Chance::new(seed);
        for round in 0..home::rounds("ROLLCALL_STOPS", 9) {
            more(progress, 1 + chance.below(300));
            match round % 3 {
                0 => cluster.kill(),
                1 => cluster.stop(Stop::Immediate),
                _ => cluster.stop(Stop::Fast),
            }
            pause(part_of(Duration::from_secs(1), &mut chance));
            cluster.start_again();
            let back = Instant::now();
            more(progress, 1);
            assert!(back.elapsed() < SECONDS, "{:?}", back.elapsed());
        }
    });
    told.check(&stores[0], seed);
    assert!(told.unknown.is_empty(), "the database was never away for long");
}

#[test]
fn what_was_acknowledged_is_on_the_standby_that_takes_over() {
    if !on_postgres() {
        return;
    }
    let seed = seed("takeover");
    let primary = cluster();
    let standby = primary.standby();
    primary.make_synchronous();
    let both = |first: &Cluster, second: &Cluster| {
        format!("postgres://rollcall@{},{}/store", first.address(), second.address())
    };
    let stores = [home::open(&both(&primary, &standby)), home::open(&both(&standby, &primary))];
    let told = Load { writers: 12, readers: 2, seed }.run(&stores, |progress| {
        more(progress, 500);
        primary.kill();
        standby.promote();
        let back = Instant::now();
        more(progress, 1);
        assert!(back.elapsed() < SECONDS, "{:?}", back.elapsed());
        more(progress, 500);
    });
    told.check(&stores[0], seed);
    assert!(told.unknown.is_empty(), "the database was never away for long");
}

/// A commit whose connection ends while it waits for the standby stands on the primary alone. That it stands there is no reason to
/// acknowledge it.
#[test]
fn a_commit_that_waits_for_its_standby_is_not_acknowledged_before() {
    if !on_postgres() {
        return;
    }
    let primary = cluster();
    let standby = primary.standby();
    primary.make_synchronous();
    let url = format!("postgres://rollcall@{},{}/store", primary.address(), standby.address());
    let store = home::open_narrow(&url);
    let write = |id| {
        let request = Request::new(id, 0);
        store.write_blocking(move |tx| request.write(tx))
    };
    write(1).unwrap();
    present(&store, 0);
    standby.stop(Stop::Immediate);
    let waiting = |sql: &str| {
        let waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND query LIKE";
        primary.sql(&format!("{waiting} '{sql}'")).unwrap() == "1"
    };
    std::thread::scope(|scope| {
        let second = scope.spawn(|| write(2));
        wait_until("the commit waits", || waiting("COMMIT"));
        primary.sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND query = 'COMMIT'",
        );
        // Asking what became of it, the writer waits again: for the standby, or for the sequencer, which waits for the standby and holds
        // the row.
        let asking =
            "SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event <> 'ClientRead' AND pid <> pg_backend_pid()
            AND (query LIKE '%INSERT INTO commit_record%' OR query LIKE '%UPDATE commit_record SET time_ms%')";
        wait_until("its outcome is asked for", || second.is_finished() || primary.sql(asking).unwrap() == "t");
        assert!(!second.is_finished(), "{:?}", second.join());
        standby.start_again();
        second.join().unwrap().unwrap();
    });
    primary.kill();
    standby.promote();
    wait_until("the standby is used", || write(3).is_ok());
    assert_eq!(present(&store, 0), BTreeSet::from([1, 2, 3]));
}

#[test]
fn closing_under_load_finishes_what_was_accepted_and_refuses_what_comes_later() {
    if !on_postgres() {
        return;
    }
    let database = home::database();
    let store = home::open_with(&database.url(), |pools| (pools.writers, pools.queue) = (2, 30));
    let (told, ended) = channel();
    let submit = |id: i64| {
        let (request, told) = (Request::new(id, 0), told.clone());
        let run = Box::new(move |tx: &mut dyn rollcall_store::Tx| Ok(request.write(tx)?));
        let done = Box::new(move |ended: Result<(), rollcall_store::Stop>| told.send((id, ended)).unwrap());
        store.engine().write(Work { run, done, expires: Instant::now() + Duration::from_secs(20) });
    };
    // More than there is room for.
    std::thread::scope(|scope| {
        (1..=200).for_each(&submit);
        scope.spawn(|| store.engine().close());
        (201..=300).for_each(&submit);
    });
    submit(301);
    drop(told);
    let (mut done, mut busy, mut closed) = (BTreeSet::new(), 0, BTreeSet::new());
    for (id, ended) in ended.try_iter() {
        match ended {
            Ok(()) => assert!(done.insert(id)),
            Err(rollcall_store::Stop::Failed(StoreError::Busy)) => busy += 1,
            Err(rollcall_store::Stop::Failed(StoreError::Closed)) => assert!(closed.insert(id)),
            Err(other) => panic!("{other:?}"),
        }
    }
    assert_eq!(done.len() + busy + closed.len(), 301, "every request is answered before the close returns");
    assert!(done.len() >= 30 && busy > 0 && closed.contains(&301), "{} {busy} {closed:?}", done.len());
    assert_eq!(present(&home::open(&database.url()), 0), done);
}

#[test]
fn old_commits_are_forgotten_under_load_and_those_that_may_be_asked_for_are_kept() {
    if !on_postgres() {
        return;
    }
    let seed = seed("forget");
    let database = home::database();
    let old = "INSERT INTO commit_record (id, draw, events, is_pending, time_ms)
        SELECT 'old ' || n, 0, 0, 0, n FROM generate_series(1, 45000) n";
    home::run_sql(&database.url(), old).unwrap();
    let stores = [home::open(&database.url()), home::open(&database.url())];
    let count = |sql: &'static str| stores[0].read::<_, StoreError>(false, |tx| tx.number(sql, &[])).unwrap();
    let told = Load { writers: 8, readers: 0, seed }.run(&stores, |progress| {
        more(progress, 100);
        wait_until("they are forgotten", || count("SELECT count(*) FROM commit_record WHERE id LIKE 'old %'") == 0);
    });
    told.check(&stores[0], seed);
    let kept = count("SELECT count(*) FROM commit_record WHERE events > 0");
    assert_eq!(usize::try_from(kept).unwrap(), told.acknowledged.len());
}
