//! A store of any age comes to the same schema, and one from the future is left alone.

#![expect(clippy::unwrap_used, reason = "a test ends with its first error")]

mod support;

use rollcall_store::dialect::for_sqlite;
use rollcall_store::migrate::newest;
use rollcall_store::sqlite::{Options, Sqlite};
use rollcall_store::{StoreError, Tx};
use rusqlite::Connection;
use std::path::Path;
use support::Folder;

/// Every step as it stands in the folder, in order.
fn steps() -> Vec<(i64, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
    let mut steps: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            let number = name.split('_').next().unwrap().parse().unwrap();
            (number, std::fs::read_to_string(path).unwrap())
        })
        .collect();
    steps.sort();
    steps
}

/// A store as a program of that version left it.
fn of_version(version: i64) -> Folder {
    let folder = Folder::new();
    let connection = folder.outsider();
    for (_, text) in steps().iter().filter(|(number, _)| *number <= version) {
        for statement in text.split(';').map(str::trim).filter(|statement| !statement.is_empty()) {
            connection.execute_batch(&for_sqlite(statement)).unwrap();
        }
    }
    if version > 0 {
        write_version(&connection, &version.to_string());
    }
    folder
}

fn write_version(connection: &Connection, version: &str) {
    let sql = "INSERT INTO setting VALUES ('schema_version', ?1) ON CONFLICT DO UPDATE SET value = excluded.value";
    connection.execute(sql, [version]).unwrap();
}

/// Every table and index, its text without the accidents of spacing.
fn schema(connection: &Connection) -> Vec<(String, String)> {
    let sql = "SELECT name, coalesce(sql, '') FROM sqlite_schema ORDER BY name";
    let mut statement = connection.prepare(sql).unwrap();
    let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get::<_, String>(1)?));
    let rows = statement.query_map([], row).unwrap();
    rows.map(|row| {
        let (name, sql) = row.unwrap();
        (name, sql.split_whitespace().collect::<Vec<_>>().join(" "))
    })
    .collect()
}

#[test]
fn the_folder_holds_each_step_that_is_built_in() {
    let numbers: Vec<_> = steps().into_iter().map(|(number, _)| number).collect();
    assert_eq!(numbers, (1..=newest()).collect::<Vec<_>>());
}

#[test]
fn a_fresh_store_is_the_sum_of_all_steps() {
    let fresh = Folder::new();
    fresh.open().engine().close();
    assert_eq!(Sqlite::schema_version(&fresh.file()).unwrap(), newest());
    let want = schema(&fresh.outsider());
    assert_eq!(schema(&of_version(newest()).outsider()), want);
    for version in 0..newest() {
        let old = of_version(version);
        old.open().engine().close();
        assert_eq!(schema(&old.outsider()), want, "from version {version}");
    }
}

#[test]
fn opening_again_changes_nothing() {
    let folder = Folder::new();
    folder.open().engine().close();
    let first = schema(&folder.outsider());
    folder.open().engine().close();
    assert_eq!(schema(&folder.outsider()), first);
}

#[test]
fn a_store_of_a_newer_program_is_refused_and_left_alone() {
    let folder = of_version(newest());
    write_version(&folder.outsider(), "4711");
    let before = schema(&folder.outsider());
    let Err(StoreError::Unavailable(text)) = Sqlite::open(folder.options()) else {
        panic!("a newer store was opened");
    };
    assert_eq!(text, format!("its schema is version 4711, this program knows {}: use a newer program", newest()));
    assert_eq!(schema(&folder.outsider()), before);
    assert_eq!(Sqlite::schema_version(&folder.file()).unwrap(), 4711);
}

#[test]
fn what_is_not_a_store_is_refused_in_words() {
    let check = |content: &[u8]| {
        let folder = Folder::new();
        std::fs::write(folder.file(), content).unwrap();
        let Err(error) = Sqlite::open(folder.options()) else {
            panic!("{content:?} was opened as a store");
        };
        assert!(matches!(error, StoreError::Unreadable(_)), "{error:?}");
        assert_eq!(std::fs::read(folder.file()).unwrap(), content);
    };
    check(&[b'x'; 5000]);
    check(b"a file of another program, by mistake, longer than a hundred bytes so that it cannot be an empty database file at all");
}

#[test]
fn a_version_that_is_no_number_is_unreadable() {
    let folder = of_version(newest());
    write_version(&folder.outsider(), "two");
    let error = Sqlite::open(folder.options()).err();
    assert!(matches!(error, Some(StoreError::Unreadable(_))), "{error:?}");
}

#[test]
fn a_new_store_is_durable_by_its_settings() {
    let folder = Folder::new();
    let store = folder.open();
    let (journal, synchronous) = store
        .write_blocking(|tx: &mut dyn Tx| {
            let journal = tx.find("PRAGMA journal_mode", &[], |row| row.text(0).map(str::to_owned))?;
            Ok::<_, StoreError>((journal, tx.number("PRAGMA synchronous", &[])?))
        })
        .unwrap();
    // 2 is FULL.
    assert_eq!((journal.as_deref(), synchronous), (Some("wal"), 2));
}

#[test]
fn a_place_that_cannot_keep_a_log_is_refused_in_words() {
    // With a VFS named, no file of that name is made before.
    let options = Options { vfs: Some("unix".into()), ..Options::new(":memory:") };
    let error = Sqlite::open(options).err();
    let Some(StoreError::Unavailable(text)) = error else {
        panic!("a store without a log was opened: {error:?}");
    };
    assert_eq!(text, ":memory: cannot be written durably: its journal mode stays \"memory\"");
}
