//! A copy of a store is that store: on whatever engine, wherever it was interrupted. Where PostgreSQL is tested, copies also go
//! there, from there, and from one database to another.

mod support;

use rollcall_domain::moment::Moment;
use rollcall_store::chaos::ChaosEngine;
use rollcall_store::copy::{self, BatchSize, Compared, CopyError, Phase, TABLES, Table, Watch, copy, is_unfinished};
use rollcall_store::dialect::{for_postgres, for_sqlite};
use rollcall_store::directory::DigestText;
use rollcall_store::postgres::address::{Address, Beside};
use rollcall_store::postgres::{self, Postgres};
use rollcall_store::sequence::{self, Sequence};
use rollcall_store::{Store, StoreError, TimeLimits, Tx, check, directory, event};
use rollcall_testbed::Database;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use support::Folder;
use support::estate::{self, LAST_PROCESS, fill, write};

/// Small, so that tables travel in several batches.
const FEW: BatchSize = BatchSize { rows: 20, bytes: 1 << 20 };

/// Where stores are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    File,
    Database,
    /// By business.
    SplitDatabase,
}

/// Where one store is kept.
enum Home {
    Folder(Folder),
    Database(Database, Place),
}

impl Place {
    /// The schema, and no store. Making it takes time, so that it is made once.
    fn empty(self) -> Home {
        match self {
            Self::File => Home::Folder(Folder::new()),
            Self::Database | Self::SplitDatabase => Home::Database(self.template("empty", |_| {}), self),
        }
    }

    /// A store with something of everything.
    fn filled(self) -> Home {
        match self {
            Self::File => {
                static FILLED: OnceLock<Vec<u8>> = OnceLock::new();
                let filled = FILLED.get_or_init(|| {
                    let folder = Folder::new();
                    let store = folder.open();
                    fill(&store);
                    store.engine().close();
                    drop(store);
                    std::fs::read(folder.file()).expect("a closed store is one file")
                });
                let folder = Folder::new();
                std::fs::write(folder.file(), filled).expect("the folder can be written");
                Home::Folder(folder)
            }
            Self::Database | Self::SplitDatabase => Home::Database(self.template("filled", fill), self),
        }
    }

    fn template(self, name: &str, make: fn(&Store)) -> Database {
        Database::from_template(&format!("{name} {self:?}"), |url| {
            let store = self.open_database(url);
            make(&store);
            store.engine().close();
        })
    }

    fn open_database(self, url: &str) -> Store {
        let address = Address::parse(url, &Beside::default()).expect("the address is in order");
        let mut options = postgres::Options::new(address);
        options.partitions = (self == Self::SplitDatabase).then_some(3);
        (options.pools.readers, options.pools.writers) = (1, 2);
        Store::new(Arc::new(Postgres::open(options).expect("the store opens")), TimeLimits::default())
    }
}

impl Home {
    fn open(&self) -> Store {
        match self {
            Self::Folder(folder) => folder.open(),
            Self::Database(database, kind) => kind.open_database(&database.url()),
        }
    }
}

/// Whether this run tests PostgreSQL.
fn is_on_postgres() -> bool {
    rollcall_testbed::engine() == rollcall_testbed::Engine::Postgres
}

/// The ways of a copy that this run tests.
fn ways() -> Vec<[Place; 2]> {
    if is_on_postgres() {
        vec![
            [Place::File, Place::Database],
            [Place::File, Place::SplitDatabase],
            [Place::Database, Place::File],
            [Place::SplitDatabase, Place::Database],
        ]
    } else {
        vec![[Place::File, Place::File]]
    }
}

/// Runs a test with a filled source and an empty target, for each way.
fn on_each_way(test: impl Fn(&Store, &Store)) {
    for [source, target] in ways() {
        let (source, target) = (source.filled(), target.empty());
        test(&source.open(), &target.open());
    }
}

fn read<T: Send>(store: &Store, work: impl FnMut(&mut dyn Tx) -> Result<T, StoreError> + Send) -> T {
    store.read(false, work).expect("the store can be read")
}

/// Calls something after each batch, and stops when it says so.
struct Watcher<F: Fn(Phase, &'static str, u64) -> bool + Sync> {
    each: F,
    phase: AtomicI64,
    is_stopped: AtomicI64,
}

impl<F: Fn(Phase, &'static str, u64) -> bool + Sync> Watcher<F> {
    fn new(each: F) -> Self {
        Self { each, phase: AtomicI64::new(0), is_stopped: AtomicI64::new(0) }
    }
}

impl<F: Fn(Phase, &'static str, u64) -> bool + Sync> Watch for Watcher<F> {
    fn begin(&self, phase: Phase, rows: u64, done: u64) {
        assert!(done <= rows, "{done} of {rows} rows");
        self.phase.store(i64::from(phase == Phase::Compare), Ordering::SeqCst);
    }

    fn advance(&self, table: &'static str, rows: u64) {
        let phase = if self.phase.load(Ordering::SeqCst) == 0 { Phase::Copy } else { Phase::Compare };
        if !(self.each)(phase, table, rows) {
            self.is_stopped.store(1, Ordering::SeqCst);
        }
    }

    fn is_stopped(&self) -> bool {
        self.is_stopped.load(Ordering::SeqCst) == 1
    }
}

/// Goes through without an interruption.
fn copy_all(source: &Store, target: &Store) -> Result<Vec<Compared>, CopyError> {
    copy(source, target, FEW, &Watcher::new(|_, _, _| true))
}

fn assert_refused(copied: Result<Vec<Compared>, CopyError>, what: &str) {
    match copied {
        Err(CopyError::Refused(why)) => assert!(why.contains(what), "{why}"),
        other => panic!("not refused: {other:?}"),
    }
}

/// Asserts that the copy is whole, sound, and a store of its own.
fn assert_whole(compared: &[Compared], target: &Store) {
    assert_eq!(compared.len(), TABLES.len());
    for table in compared {
        assert!(table.is_equal(), "{table:?}");
        assert!(table.source.rows > 0, "{} was tested without rows", table.table);
    }
    assert!(!read(target, is_unfinished));
    assert_eq!(read(target, |tx| check::run(tx, &mut |_| {})), []);
}

/// Every event from a position on, as a reader sees it who asks for a few at a time.
fn events(store: &Store, mut position: i64) -> Vec<String> {
    let mut seen = Vec::new();
    loop {
        let before = seen.len();
        read(store, |tx| {
            seen.truncate(before);
            event::each_after(tx, position, 5, &mut |event| {
                seen.push(format!("{event:?}"));
                position = event.position;
                Ok(())
            })
        });
        if seen.len() == before {
            return seen;
        }
    }
}

/// Writes one more process's events and waits until they are published; their positions.
fn write_events(store: &Store) -> Vec<i64> {
    let newest = || read(store, |tx| tx.number("SELECT coalesce(max(position), 0) FROM {published_event} p", &[]));
    let before = newest();
    write(store, |tx| estate::journal(tx, 1, &[1], &[estate::process_created(LAST_PROCESS + 1)]));
    let begun = std::time::Instant::now();
    while newest() == before {
        assert!(begun.elapsed().as_secs() < 20, "the event is not published");
    }
    (before + 1..=newest()).collect()
}

#[test]
fn every_column_of_every_table_is_copied() {
    let folder = Folder::new();
    folder.open().engine().close();
    let connection = folder.outsider();
    let list = |sql: &str| -> Vec<(String, String)> {
        let mut statement = connection.prepare(sql).expect("the schema can be read");
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
        rows.and_then(Iterator::collect).expect("the schema can be read")
    };
    let tables = list("SELECT name, '' FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'");
    let there: BTreeSet<_> = tables.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(there, TABLES.iter().map(|table| table.name).collect());
    for table in TABLES {
        let name = table.name;
        let mut columns = list(&format!(
            "SELECT name, CASE WHEN type <> 'TEXT' THEN type WHEN \"notnull\" THEN 'Text' ELSE 'TextOrNull' END
                FROM pragma_table_info('{name}')"
        ));
        columns.iter_mut().filter(|(_, kind)| kind.contains("INT")).for_each(|(_, kind)| *kind = "Int".into());
        let declared: Vec<_> = table.columns.iter().map(|it| (it.name.to_owned(), format!("{:?}", it.kind))).collect();
        assert_eq!(declared, columns, "{name}");
        assert!(
            table
                .key
                .iter()
                .all(|key| table.columns.iter().any(|it| it.name == *key && it.kind != copy::Kind::TextOrNull))
        );
        // One of these is unique; together with another column it still is.
        let unique = list(&format!(
            "SELECT group_concat(c.name), '' FROM pragma_index_list('{name}') i JOIN pragma_index_info(i.name) c
                WHERE i.\"unique\" = 1 AND i.partial = 0 GROUP BY i.name
             UNION ALL SELECT name, '' FROM pragma_table_info('{name}') WHERE pk = 1"
        ));
        let is_unique = |columns: &str| columns.split(',').all(|column| table.key.contains(&column));
        assert!(unique.iter().any(|(columns, _)| is_unique(columns)), "{name}: {unique:?}");
    }
}

#[test]
fn on_postgresql_only_what_is_made_anew_is_not_copied() {
    if !is_on_postgres() {
        return;
    }
    let sql = "SELECT relname::text FROM pg_catalog.pg_class WHERE relkind IN ('r', 'p') AND NOT relispartition
        AND relnamespace = current_schema()::regnamespace";
    let tables = read(&Place::SplitDatabase.empty().open(), |tx| tx.list(sql, &[], |row| Ok(row.text(0)?.to_owned())));
    let tables: BTreeSet<_> = tables.iter().map(String::as_str).collect();
    let own = ["commit_record", "event_order", "event_sequencer", "service_instance_locator"];
    assert_eq!(tables, TABLES.iter().map(|table| table.name).chain(own).collect());
}

/// The plan of a statement that reads a table, with numbers and texts for its parameters.
fn plan(store: &Store, table: &Table) -> String {
    let (explain, mark, column) = if is_on_postgres() { ("EXPLAIN", '$', 0) } else { ("EXPLAIN QUERY PLAN", '?', 3) };
    let sql = if is_on_postgres() { for_postgres(table.read) } else { for_sqlite(table.read) };
    let is_text = |name: &&str| table.columns.iter().any(|it| it.name == *name && it.kind == copy::Kind::Text);
    let keys = table.key.iter().map(|name| if is_text(name) { "'1'" } else { "1" });
    let sql = keys.chain(["5"]).zip(1..).fold(sql, |sql, (value, n)| sql.replace(&format!("{mark}{n}"), value));
    // Statements are constants.
    let sql: &'static str = format!("{explain} {sql}").leak();
    read(store, |tx| tx.list(sql, &[], |row| Ok(row.text(column)?.to_owned()))).join("\n")
}

#[test]
fn rows_come_in_the_order_of_an_index() {
    let kind = if is_on_postgres() { Place::SplitDatabase } else { Place::File };
    let home = kind.filled();
    let store = home.open();
    for table in TABLES {
        let (name, plan) = (table.name, plan(&store, table));
        if name == "event" {
            // What was found is sorted. PostgreSQL looks for no more than it takes.
            let is_bounded =
                plan.contains("Incremental Sort") || plan.contains("SEARCH event USING INTEGER PRIMARY KEY");
            assert!(is_bounded, "{name}: {plan}");
        } else {
            assert!(!plan.contains("Sort  (") && !plan.contains("TEMP B-TREE"), "{name}: {plan}");
        }
        assert!(!plan.contains("Seq Scan") && !plan.contains("SCAN event"), "{name}: {plan}");
    }
}

#[test]
fn a_copy_is_equal_and_sound() {
    on_each_way(|source, target| {
        let before = events(source, 0);
        assert_whole(&copy_all(source, target).expect("the copy ends"), target);
        assert_eq!(events(target, 0), before);
        assert_eq!(events(target, 17), before[17..]);
        assert_eq!(events(source, 0), before);
    });
}

#[test]
fn a_copy_into_a_database_without_tables_makes_them() {
    if is_on_postgres() {
        let (source, target) = (Place::File.filled(), Home::Database(Database::new(), Place::Database));
        let (source, target) = (source.open(), target.open());
        assert_whole(&copy_all(&source, &target).expect("the copy ends"), &target);
    }
}

#[test]
fn a_copy_of_a_copy_is_what_the_first_store_is() {
    on_each_way(|source, target| {
        let there = copy_all(source, target).expect("the copy ends");
        let home = Place::File.empty();
        let back = copy_all(target, &home.open()).expect("the copy ends");
        assert_whole(&back, &home.open());
        for (there, back) in there.iter().zip(&back) {
            assert_eq!(there.source, back.target, "{}", there.table);
        }
    });
}

#[test]
fn a_copy_goes_on_wherever_it_was_stopped() {
    on_each_way(|source, target| {
        let mut runs = 0;
        let rows = AtomicU64::new(0);
        let compared = loop {
            runs += 1;
            let one_batch = Watcher::new(|phase, _, count| {
                if phase == Phase::Copy {
                    rows.fetch_add(count, Ordering::SeqCst);
                }
                phase == Phase::Compare
            });
            match copy(source, target, FEW, &one_batch) {
                Ok(compared) => break compared,
                Err(CopyError::Stopped) => assert!(read(target, is_unfinished)),
                Err(error) => panic!("{error}"),
            }
        };
        assert_whole(&compared, target);
        let copied: u64 = compared.iter().map(|table| table.target.rows).sum();
        assert_eq!(rows.into_inner(), copied);
        assert!(runs > copied / 20, "{runs} runs");
    });
}

#[test]
fn a_comparison_that_was_stopped_is_made_again() {
    on_each_way(|source, target| {
        let stopped = copy(source, target, FEW, &Watcher::new(|phase, _, _| phase == Phase::Copy));
        assert!(matches!(stopped, Err(CopyError::Stopped)), "{stopped:?}");
        assert!(read(target, is_unfinished));
        let nothing_left = Watcher::new(|phase, _, _| phase == Phase::Compare);
        assert_whole(&copy(source, target, FEW, &nothing_left).expect("the copy ends"), target);
    });
}

#[test]
fn batches_that_are_written_twice_are_there_once() {
    for [from, to] in ways() {
        let (from, to) = (from.filled(), to.empty());
        let troubled = |home: &Home, seed| Arc::new(ChaosEngine::new(home.open().engine().clone(), seed));
        let (source, target) = (troubled(&from, 1), troubled(&to, 2));
        let stores = [&source, &target].map(|engine| Store::new(engine.clone(), TimeLimits::default()));
        let compared = copy_all(&stores[0], &stores[1]).expect("the copy ends");
        assert!(target.troubles() > 10 && source.troubles() > 10);
        assert_whole(&compared, &to.open());
    }
}

#[test]
fn who_writes_to_a_copy_gets_numbers_that_nobody_had() {
    on_each_way(|source, target| {
        copy_all(source, target).expect("the copy ends");
        let before = events(target, 0);
        for counter in [Sequence::Process, Sequence::Host, Sequence::Grant] {
            let next = |store| write(store, move |tx| sequence::take(tx, counter, 1));
            let (ours, theirs) = (next(source), next(target));
            assert!(theirs >= ours, "{counter:?}: {theirs} after {ours}");
        }
        let highest = |store| read(store, |tx| tx.number("SELECT max(id) FROM audit", &[]));
        let (positions, entry) = (write_events(target), highest(target));
        assert_eq!(positions, [before.len() as i64 + 1]);
        assert!(entry > highest(source));
        // A reader of the source goes on here.
        let after = events(target, before.len() as i64);
        assert_eq!(after.len(), 1);
        assert!(after[0].contains(&format!("object_id: {}", LAST_PROCESS + 1)), "{after:?}");
        assert_eq!([before, after].concat(), events(target, 0));
        // The keys too: the newest event of a record is the one with the highest.
        let newest = "SELECT object_id FROM event ORDER BY id DESC LIMIT 1";
        assert_eq!(read(target, |tx| tx.number(newest, &[])), LAST_PROCESS + 1);
    });
}

#[test]
fn what_is_no_empty_store_is_left_alone() {
    on_each_way(|source, target| {
        let rows = |store: &Store| {
            read(store, |tx| Ok((tx.number("SELECT count(*) FROM event", &[])?, directory::version(tx)?)))
        };
        // Even if all it has is an app.
        let app = directory::AppRow { code: "a".into(), login_free: false, created: Moment(1) };
        write(target, move |tx| directory::insert_app(tx, &app));
        let before = rows(target);
        assert_refused(copy_all(source, target), "not empty");
        assert_refused(copy_all(source, source), "not empty");
        assert_eq!((rows(target), read(target, is_unfinished)), (before, false));
        assert_refused(copy_all(&Place::File.empty().open(), target), "no store in the source");
    });
}

#[test]
fn an_unfinished_copy_goes_on_from_its_source_only() {
    on_each_way(|source, target| {
        let at_hosts = Watcher::new(|_, table, _| table != "host");
        assert!(matches!(copy(source, target, FEW, &at_hosts), Err(CopyError::Stopped)));
        let other = Place::File.empty();
        fill(&other.open());
        assert_refused(copy_all(&other.open(), target), "of another store");
        write_events(source);
        assert_refused(copy_all(source, target), "was changed since");
    });
}

#[test]
fn a_copy_does_not_go_on_from_an_engine_with_another_order() {
    for [first, second] in ways().into_iter().filter(|way| way.contains(&Place::File) && way[0] != way[1]) {
        let (source, same, target) = (first.filled(), second.empty(), Place::File.empty());
        let (source, same, target) = (source.open(), same.open(), target.open());
        copy_all(&source, &same).expect("the copy ends");
        let at_hosts = Watcher::new(|_, table, _| table != "host");
        assert!(matches!(copy(&source, &target, FEW, &at_hosts), Err(CopyError::Stopped)));
        assert_refused(copy_all(&same, &target), "of another store");
        assert_whole(&copy_all(&source, &target).expect("the copy ends"), &target);
    }
}

type Change = fn(&mut dyn Tx) -> Result<(), StoreError>;

/// Changes as requests and as commands make them.
const CHANGES: [Change; 2] = [
    |tx| estate::journal(tx, 1, &[1], &[estate::process_created(LAST_PROCESS + 1)]),
    |tx| directory::insert_secret(tx, "demo", DigestText("x".into()), Moment(9)).map(|_| ()),
];

#[test]
fn a_change_of_the_source_is_found_whenever_it_is_made() {
    for (change, phase) in CHANGES.into_iter().zip([Phase::Copy, Phase::Compare]) {
        on_each_way(|source, target| {
            let hosts = AtomicU64::new(0);
            let at_hosts = Watcher::new(|now, table, _| {
                if now == phase && table == "host" && hosts.fetch_add(1, Ordering::SeqCst) == 0 {
                    write(source, change);
                }
                true
            });
            for _ in 0..2 {
                assert_refused(copy(source, target, FEW, &at_hosts), "was changed since");
                assert!(read(target, is_unfinished));
            }
        });
    }
}

#[test]
fn differences_are_found() {
    let damages: [(&str, Change); 3] = [
        ("process", |tx| tx.execute("UPDATE process SET name = 'new' WHERE id = 1", &[]).map(|_| ())),
        ("host_address", |tx| tx.execute("DELETE FROM host_address WHERE host_id = 1", &[]).map(|_| ())),
        ("audit", |tx| tx.execute("UPDATE audit SET time_ms = time_ms + 1", &[]).map(|_| ())),
    ];
    for (table, damage) in damages {
        on_each_way(|source, target| {
            let is_copied = Watcher::new(|phase, _, _| phase == Phase::Copy);
            assert!(matches!(copy(source, target, FEW, &is_copied), Err(CopyError::Stopped)));
            write(target, damage);
            let compared = copy_all(source, target).expect("the comparison ends");
            let different: Vec<_> = compared.iter().filter(|table| !table.is_equal()).map(|it| it.table).collect();
            assert_eq!(different, [table]);
            assert!(read(target, is_unfinished));
        });
    }
}

#[test]
fn of_two_copies_into_one_target_one_ends() {
    on_each_way(|source, target| {
        let begun = AtomicU64::new(0);
        let watcher = Watcher::new(|_, table, _| {
            if table == "host" && begun.fetch_add(1, Ordering::SeqCst) == 0 {
                assert_whole(&copy_all(source, target).expect("the second copy ends"), target);
            }
            true
        });
        assert_refused(copy(source, target, FEW, &watcher), "another copy");
        assert_eq!(events(target, 0), events(source, 0));
    });
}

#[test]
fn large_rows_travel_a_few_at_a_time() {
    on_each_way(|source, target| {
        write(source, |tx| {
            let large = "x".repeat(10_000);
            let sql =
                "UPDATE host SET document = '{\"bk_host_id\":' || id || ',\"bk_cloud_id\":' || cloud_id || ',\"x\":\"'
                || $1 || '\"}' WHERE id % 4 = 0";
            tx.execute(sql, &[(&large).into()]).map(|_| ())
        });
        let most = BatchSize { rows: 1000, bytes: 30_000 };
        let watcher = Watcher::new(|_, table, rows| {
            // Of four rows at least one is large.
            assert!(table != "host" || rows <= 16, "{rows} rows");
            true
        });
        assert_whole(&copy(source, target, most, &watcher).expect("the copy ends"), target);
    });
}
