//! Reads: their values, their deadline, and what they may not do.

mod support;

use rollcall_store::migrate::{find_setting, put_setting};
use rollcall_store::sqlite::Options;
use rollcall_store::{Param, Store, StoreError, TimeLimits, Tx};
use std::time::{Duration, Instant};
use support::Folder;

/// A statement that would run for minutes.
const ENDLESS: &str = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000000000)
    SELECT count(*) FROM n";

fn read<T: Send>(
    store: &Store,
    work: impl FnMut(&mut dyn Tx) -> Result<T, StoreError> + Send,
) -> Result<T, StoreError> {
    store.read(true, work)
}

#[test]
fn a_statement_takes_exactly_its_values() {
    let folder = Folder::new();
    let store = folder.open();
    let check = |sql: &'static str, params: &'static [Param<'static>], want: Option<i64>| {
        let got = read(&store, |tx| tx.number(sql, params));
        match want {
            Some(want) => assert_eq!(got.ok(), Some(want), "{sql} {params:?}"),
            None => assert!(matches!(got, Err(StoreError::Defect(_))), "{sql} {params:?}: {got:?}"),
        }
    };
    check("SELECT $2 - $1", &[Param::Int(1), Param::Int(3)], Some(2));
    check("SELECT $1 + $3", &[Param::Int(1), Param::Int(2), Param::Int(4)], Some(5));
    check("SELECT $2 - $1", &[Param::Int(1), Param::Int(3), Param::Int(4)], None);
    check("SELECT $1 + $3", &[Param::Int(1), Param::Int(2)], None);
    check("SELECT coalesce($1, 7)", &[], None);
}

/// A store whose only read connection has this long for a read.
fn hurried(folder: &Folder, read: Duration) -> Store {
    let options = Options { readers: 1, ..folder.options() };
    let limits = TimeLimits { read, ..TimeLimits::default() };
    Store::new(support::open(options).engine().clone(), limits)
}

#[test]
fn a_heavy_read_ends_at_its_deadline_and_leaves_the_connection_usable() {
    let folder = Folder::new();
    let store = hurried(&folder, Duration::from_millis(100));
    type Heavy = fn(&mut dyn Tx) -> Result<(), StoreError>;
    let check = |work: Heavy| {
        let begun = Instant::now();
        let ended = read(&store, work);
        let took = begun.elapsed();
        assert!(matches!(ended, Err(StoreError::Deadline(100))), "{ended:?}");
        assert!(took >= Duration::from_millis(100), "{took:?}");
        assert!(took < Duration::from_secs(2), "{took:?}");
        assert_eq!(read(&store, |tx| tx.number("SELECT 5", &[])).ok(), Some(5));
    };
    check(|tx| tx.number(ENDLESS, &[]).map(|_| ()));
    // No single statement is heavy here.
    check(|tx| {
        for _ in 0..100_000_000 {
            tx.number("SELECT 5", &[])?;
        }
        Ok(())
    });
}

#[test]
fn a_read_that_finds_every_connection_taken_waits_no_longer_than_its_time() {
    let folder = Folder::new();
    let store = hurried(&folder, Duration::from_millis(50));
    let outer = read(&store, |_| {
        let inner = read(&store, |tx| tx.number("SELECT 5", &[]));
        assert!(matches!(inner, Err(StoreError::Deadline(50))), "{inner:?}");
        Ok(())
    });
    assert!(outer.is_ok(), "{outer:?}");
    assert_eq!(read(&store, |tx| tx.number("SELECT 5", &[])).ok(), Some(5));
}

#[test]
fn a_read_cannot_write() {
    let folder = Folder::new();
    let store = folder.open();
    let tried = read(&store, |tx| put_setting(tx, "a", "b"));
    assert!(tried.is_err());
    let found = read(&store, |tx| find_setting(tx, "a"));
    assert_eq!(found.ok(), Some(None));
}

#[test]
fn a_snapshot_sees_one_state_and_the_next_read_the_new_one() {
    let folder = Folder::new();
    let store = folder.open();
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
    let folder = Folder::new();
    let store = hurried(&folder, Duration::from_secs(5));
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        read::<()>(&store, |tx| {
            tx.number("SELECT 5", &[])?;
            panic!("on purpose");
        })
    }));
    assert!(panicked.is_err());
    store.write_blocking(|tx| put_setting(tx, "a", "b")).unwrap();
    let found = read(&store, |tx| find_setting(tx, "a"));
    assert_eq!(found.ok().flatten().as_deref(), Some("b"));
}
