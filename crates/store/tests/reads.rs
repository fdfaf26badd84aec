//! Reads: their values, their deadline, and what they may not do.

mod support;

use rollcall_store::migrate::{find_setting, put_setting};
use rollcall_store::sqlite::Options;
use rollcall_store::{Param, Store, StoreError, TimeLimits, Tx};
use std::time::{Duration, Instant};
use support::Folder;
use support::home::{self, Home, on_postgres};

/// A statement that would run for minutes.
const ENDLESS: &str =
    "WITH RECURSIVE n (i) AS (SELECT CAST(1 AS BIGINT) UNION ALL SELECT i + 1 FROM n WHERE i < 10000000000)
    SELECT count(*) FROM n";

const FIVE: &str = "SELECT CAST(5 AS BIGINT)";

fn read<T: Send>(
    store: &Store,
    work: impl FnMut(&mut dyn Tx) -> Result<T, StoreError> + Send,
) -> Result<T, StoreError> {
    store.read(true, work)
}

#[test]
fn a_statement_takes_exactly_its_values() {
    let home = Home::new();
    let store = home.open();
    let check = |sql: &'static str, params: &'static [Param<'static>], want: Option<i64>| {
        let got = read(&store, |tx| tx.number(sql, params));
        match want {
            Some(want) => assert_eq!(got.ok(), Some(want), "{sql} {params:?}"),
            None => assert!(matches!(got, Err(StoreError::Defect(_))), "{sql} {params:?}: {got:?}"),
        }
    };
    const DIFFERENCE: &str = "SELECT CAST($2 AS BIGINT) - CAST($1 AS BIGINT)";
    check(DIFFERENCE, &[Param::Int(1), Param::Int(3)], Some(2));
    check(DIFFERENCE, &[Param::Int(1), Param::Int(3), Param::Int(4)], None);
    check("SELECT coalesce(CAST($1 AS BIGINT), 7)", &[], None);
    // Numbers with gaps, which statements do not have, are SQLite's alone.
    if !on_postgres() {
        check("SELECT $1 + $3", &[Param::Int(1), Param::Int(2), Param::Int(4)], Some(5));
    }
    check("SELECT $1 + $3", &[Param::Int(1), Param::Int(2)], None);
}

/// A store whose only read connection has this long for a read.
fn hurried(home: &Home, read: Duration) -> Store {
    let store = match home {
        Home::Folder(folder) => support::open(Options { readers: 1, ..folder.options() }),
        Home::Database(database) => home::open_with(&database.url(), |pools| pools.readers = 1),
    };
    Store::new(store.engine().clone(), TimeLimits { read, ..TimeLimits::default() })
}

#[test]
fn a_heavy_read_ends_at_its_deadline_and_leaves_the_connection_usable() {
    let home = Home::new();
    let store = hurried(&home, Duration::from_millis(100));
    type Heavy = fn(&mut dyn Tx) -> Result<(), StoreError>;
    let check = |work: Heavy| {
        let begun = Instant::now();
        let ended = read(&store, work);
        let took = begun.elapsed();
        assert!(matches!(ended, Err(StoreError::Deadline(100))), "{ended:?}");
        assert!(took >= Duration::from_millis(100), "{took:?}");
        assert!(took < Duration::from_secs(2), "{took:?}");
        assert_eq!(read(&store, |tx| tx.number(FIVE, &[])).ok(), Some(5));
    };
    check(|tx| tx.number(ENDLESS, &[]).map(|_| ()));
    // No single statement is heavy here.
    check(|tx| {
        for _ in 0..100_000_000 {
            tx.number(FIVE, &[])?;
        }
        Ok(())
    });
}

#[test]
fn a_read_that_finds_every_connection_taken_waits_no_longer_than_its_time() {
    // On PostgreSQL a caller that reads on its own thread opens a connection where none is idle.
    let home = Home::Folder(Folder::new());
    let store = hurried(&home, Duration::from_millis(50));
    let outer = read(&store, |_| {
        let inner = read(&store, |tx| tx.number(FIVE, &[]));
        assert!(matches!(inner, Err(StoreError::Deadline(50))), "{inner:?}");
        Ok(())
    });
    assert!(outer.is_ok(), "{outer:?}");
    assert_eq!(read(&store, |tx| tx.number(FIVE, &[])).ok(), Some(5));
}

#[test]
fn a_read_cannot_write() {
    let home = Home::new();
    let store = home.open();
    let tried = read(&store, |tx| put_setting(tx, "a", "b"));
    assert!(tried.is_err());
    let found = read(&store, |tx| find_setting(tx, "a"));
    assert_eq!(found.ok(), Some(None));
}

#[test]
fn a_snapshot_sees_one_state_and_the_next_read_the_new_one() {
    let home = Home::new();
    let store = home.open();
    let seen = read(&store, |tx| {
        let before = find_setting(tx, "a")?;
        store.write_blocking(|tx| put_setting(tx, "a", "b"))?;
        Ok((before, find_setting(tx, "a")?))
    });
    assert_eq!(seen.ok(), Some((None, None)));
    let after = read(&store, |tx| find_setting(tx, "a"));
    assert_eq!(after.ok().flatten().as_deref(), Some("b"));
}

#[test]
fn a_read_that_panics_gives_its_connection_back() {
    let home = Home::new();
    let store = hurried(&home, Duration::from_secs(5));
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        read::<()>(&store, |tx| {
            tx.number(FIVE, &[])?;
            panic!("on purpose");
        })
    }));
    // Where a thread of the engine's own reads, it tells of the panic instead.
    match panicked {
        Err(_) => assert!(!on_postgres()),
        Ok(ended) => assert!(on_postgres() && matches!(ended, Err(StoreError::Defect(_))), "{ended:?}"),
    }
    store.write_blocking(|tx| put_setting(tx, "a", "b")).unwrap();
    let found = read(&store, |tx| find_setting(tx, "a"));
    assert_eq!(found.ok().flatten().as_deref(), Some("b"));
}
