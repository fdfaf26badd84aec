//! The engine that makes trouble: units of work come out the same however often they are run.

mod support;

use rollcall_store::chaos::ChaosEngine;
use rollcall_store::migrate::{find_setting, put_setting};
use rollcall_store::{Engine, Store, StoreError, TimeLimits};
use std::collections::BTreeSet;
use std::sync::Arc;
use support::chance::seed;
use support::home::Home;
use support::trace::{Request, present};

fn troubled(home: &Home, seed: u64) -> (Arc<ChaosEngine>, Store) {
    let engine = Arc::new(ChaosEngine::new(home.open().engine().clone(), seed));
    (engine.clone(), Store::new(engine, TimeLimits::default()))
}

#[test]
fn writes_take_effect_once_however_often_they_run() {
    let seed = seed("chaos");
    let home = Home::new();
    let (engine, store) = troubled(&home, seed);
    let threads: Vec<_> = (0..4)
        .map(|thread| {
            let store = store.clone();
            std::thread::spawn(move || {
                for id in (1..).skip(thread * 25).take(25) {
                    store.write_blocking(move |tx| Request::new(id, 0).write(tx)).unwrap();
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(present(&store, 0), (1..=100).collect::<BTreeSet<_>>());
    // Each draws up to three; that a hundred draw none at all does not happen.
    assert!(engine.troubles() > 20, "{} troubles", engine.troubles());
}

#[test]
fn refusals_and_errors_come_through_and_leave_nothing() {
    let home = Home::new();
    let (_, store) = troubled(&home, seed("chaos with refusals"));
    for _ in 0..20 {
        let refused = store.write_blocking(|tx| {
            put_setting(tx, "a", "b")?;
            Err::<(), _>(StoreError::Unreadable("on purpose".into()))
        });
        assert!(matches!(refused, Err(StoreError::Unreadable(_))), "{refused:?}");
        let found = store.read::<_, StoreError>(true, |tx| find_setting(tx, "a"));
        assert_eq!(found.unwrap(), None);
    }
}

#[test]
fn work_that_keeps_something_between_its_runs_is_found_out() {
    let home = Home::new();
    let (_, store) = troubled(&home, 1);
    let (mut written, mut read) = (0, 0);
    for _ in 0..20 {
        let mut runs = 0;
        written += store
            .write_blocking(move |_| {
                runs += 1;
                Ok::<_, StoreError>(runs)
            })
            .unwrap();
        let mut seen = Vec::new();
        store
            .read::<_, StoreError>(false, |tx| {
                seen.push(tx.number("SELECT 5", &[])?);
                Ok(())
            })
            .unwrap();
        read += seen.len();
    }
    assert!(written > 20 && read > 20, "{written} {read}");
}

#[test]
fn a_seed_gives_the_same_troubles_again() {
    let troubles = |seed| {
        let home = Home::new();
        let (engine, store) = troubled(&home, seed);
        let counts: Vec<_> = (0..20)
            .map(|_| {
                store.write_blocking(|tx| put_setting(tx, "a", "b")).unwrap();
                engine.troubles()
            })
            .collect();
        engine.close();
        counts
    };
    assert_eq!(troubles(7), troubles(7));
    assert_ne!(troubles(7), troubles(8));
}
