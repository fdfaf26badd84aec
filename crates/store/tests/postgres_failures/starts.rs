//! Stores that are opened: many at a time, in an empty database, and where there can be none.

use crate::support::home::{self, on_postgres};
use crate::support::trace::{Request, present};
use rollcall_store::migrate::{find_setting, newest};
use rollcall_store::postgres::Postgres;
use rollcall_store::{Store, StoreError};
use rollcall_testbed::Database;
use std::time::{Duration, Instant};

const SERVERS: usize = 8;

#[test]
fn servers_that_start_together_make_one_store() {
    if !on_postgres() {
        return;
    }
    for round in 0..3 {
        let database = Database::new();
        let url = database.url();
        let stores: Vec<Store> = std::thread::scope(|scope| {
            let opened: Vec<_> = (0..SERVERS).map(|_| scope.spawn(|| home::open_narrow(&url))).collect();
            opened.into_iter().map(|store| store.join().unwrap()).collect()
        });
        for (store, id) in stores.iter().zip(1..) {
            let request = Request::new(id, 0);
            store.write_blocking(move |tx| request.write(tx)).unwrap();
            let version = store.read::<_, StoreError>(false, |tx| find_setting(tx, "schema_version")).unwrap();
            assert_eq!(version, Some(newest().to_string()), "round {round}");
        }
        assert_eq!(present(&stores[0], 0).len(), SERVERS, "round {round}");
    }
}

/// Opening fails with these words, soon, and changes nothing.
fn check(url: &str, words: &[&str]) {
    let begun = Instant::now();
    let error = Postgres::open(home::options(url)).err().unwrap();
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    assert!(matches!(error, StoreError::Unavailable(_) | StoreError::Unreadable(_)), "{error:?}");
    for word in words {
        assert!(error.to_string().contains(word), "{word:?} is not in: {error}");
    }
}

/// Fails unless that is all there is.
const ONE_TABLE: &str = "DO $$ BEGIN ASSERT (SELECT count(*) FROM pg_tables WHERE schemaname = 'public') = 1; END $$";

#[test]
fn what_cannot_keep_a_store_is_told_and_left_as_it_is() {
    if !on_postgres() {
        return;
    }
    let newer = home::database();
    home::run_sql(&newer.url(), "UPDATE setting SET value = '9999' WHERE name = 'schema_version'").unwrap();
    check(&newer.url(), &["version 9999", "use a newer program"]);
    home::run_sql(&newer.url(), "UPDATE setting SET value = 'x' WHERE name = 'schema_version'").unwrap();
    check(&newer.url(), &["schema version \"x\""]);

    let foreign = Database::new();
    home::run_sql(&foreign.url(), "CREATE TABLE setting (a int)").unwrap();
    check(&foreign.url(), &["setting"]);
    home::run_sql(&foreign.url(), ONE_TABLE).unwrap();

    let used = Database::new();
    home::run_sql(&used.url(), "CREATE TABLE host (a int)").unwrap();
    check(&used.url(), &["host"]);
    home::run_sql(&used.url(), ONE_TABLE).unwrap();

    let closed = Database::new();
    home::run_sql(&closed.url(), "REVOKE CREATE ON SCHEMA public FROM PUBLIC, rollcall, pg_database_owner").unwrap();
    check(&closed.url(), &["permission denied"]);

    // No old server is at hand: a function before the server's own says that it is one.
    let old = Database::new();
    let says = "CREATE FUNCTION public.current_setting(text) RETURNS text LANGUAGE sql AS $$ SELECT '130014' $$";
    home::run_sql(&old.url(), says).unwrap();
    let path = format!("ALTER DATABASE {} SET search_path = public, pg_catalog", old.name());
    home::run_sql(&old.url(), &path).unwrap();
    check(&old.url(), &["PostgreSQL 13", "14 or newer"]);

    check(&format!("{}_absent", newer.url()), &["has no database"]);

    let other = format!("{}_ascii", foreign.name());
    let make = format!("CREATE DATABASE {other} ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0");
    home::run_sql(&foreign.url(), &make).unwrap();
    check(&foreign.url().replace(foreign.name(), &other), &["SQL_ASCII", "UTF8"]);
    home::run_sql(&foreign.url(), &format!("DROP DATABASE {other}")).unwrap();
}
