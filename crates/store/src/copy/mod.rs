//! A whole store into another one, of whatever engine. Rows travel in batches, in the order of the source's keys; each batch is a
//! transaction in the target that also notes where to go on, so that a copy that was interrupted goes on when it is run again.
//! Until every table has been compared, the target carries a mark, and nobody may use it, see [`is_unfinished`]. The source is
//! only read.

mod digest;
mod table;

pub use digest::Digest;
pub use table::{Column, Kind, TABLES, Table};

use crate::engine::MayRetry;
use crate::postgres::sequencer;
use crate::{Param, Store, StoreError, Tx, directory, migrate, service_instance};
use rollcall_domain::json::{Json, Limits, parse};
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::{Duration, Instant};
use table::Value;

crate::statements! {
    /// Served by the primary key. Touches nothing when another copy has written here.
    GO_ON = "UPDATE setting SET value = $1 WHERE name = 'unfinished_copy_at' AND value = $2";
    /// Served by the primary key.
    REMOVE_MARK = "DELETE FROM setting WHERE name {in $1}";
    /// Served by the primary key.
    AUDIT_COUNTER = "SELECT next FROM sequence WHERE name = 'audit'";
    RAISE_AUDIT_COUNTER = "{only postgres} INSERT INTO sequence (name, next) VALUES ('audit', $1)
        ON CONFLICT (name) DO UPDATE SET next = greatest(sequence.next, excluded.next)";
    /// Served by the primary key where there is no sequencer.
    LAST_EVENT = "SELECT coalesce(max(id), 0) FROM event";
}

/// Where there is no counter of them.
const LAST_AUDIT: &str = "SELECT coalesce(max(id), 0) FROM audit";

/// The settings that mark a store as an unfinished copy: of what, and how far it is.
const MARK: &str = "unfinished_copy";
const MARK_AT: &str = "unfinished_copy_at";

/// The note of a copy that has all rows.
const ALL_THERE: &str = "[]";

/// The setting that every store gets together with what it is born with: milliseconds, which tell stores apart.
const BORN: &str = "built_in_data";

/// Of a source. What was copied before the change may be old.
const CHANGED: &str = "the source was changed since this copy was begun; empty the target and begin anew";

/// For how long the source may take to put its last events in order.
const ORDER_PATIENCE: Duration = Duration::from_secs(30);

/// The first page of a table.
const FIRST_ROWS: usize = 100;

/// Statements that find rows by their keys, and those that write them.
pub(crate) fn statements() -> impl Iterator<Item = &'static str> {
    TABLES.iter().flat_map(|table| [table.read, table.insert]).chain(STATEMENTS.iter().map(|listed| listed.sql))
}

/// Statements that look at every row.
pub(crate) fn scanning_statements() -> impl Iterator<Item = &'static str> {
    TABLES.iter().map(|table| table.count).chain([LAST_AUDIT])
}

/// The most that travels at a time.
#[derive(Debug, Clone, Copy)]
pub struct BatchSize {
    pub rows: usize,
    /// One row may have more.
    pub bytes: usize,
}

impl Default for BatchSize {
    fn default() -> Self {
        Self { rows: 4000, bytes: 4 << 20 }
    }
}

/// What is being done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    Copy,
    /// Rows of both stores are read.
    Compare,
}

/// Told how it goes, by several threads.
pub trait Watch: Sync {
    /// A phase begins with so many rows, of which some were done by a copy that was interrupted.
    fn begin(&self, phase: Phase, rows: u64, done: u64);
    /// So many more rows of a table are done.
    fn advance(&self, table: &'static str, rows: u64);
    /// Whether to stop before the next batch.
    fn is_stopped(&self) -> bool;
}

/// Why a copy came to nothing, or not to its end.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// What there is must not be copied, or not be written to.
    #[error("{0}")]
    Refused(&'static str),
    /// Whoever watches wanted it so. It can go on.
    #[error("stopped")]
    Stopped,
    #[error("table {table}: {error}")]
    Table { table: &'static str, error: StoreError },
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl MayRetry for CopyError {
    fn conflict(&self) -> Option<String> {
        match self {
            Self::Table { error, .. } | Self::Store(error) => error.conflict(),
            Self::Refused(_) | Self::Stopped => None,
        }
    }
}

/// A table as both stores have it.
#[derive(Debug, Clone, Copy)]
pub struct Compared {
    pub table: &'static str,
    pub source: Digest,
    pub target: Digest,
}

impl Compared {
    pub fn is_equal(&self) -> bool {
        self.source == self.target
    }
}

/// Whether a store is a copy that was not finished: nobody may use it but [`copy`].
pub fn is_unfinished(tx: &mut dyn Tx) -> Result<bool, StoreError> {
    Ok(migrate::find_setting(tx, MARK)?.is_some())
}

/// Copies what the target lacks, and compares every table. Only when all are equal the target becomes a store that may be used.
/// Nobody else may write to either. Whoever does so to the source leaves an event or changes the version of the directory, and so
/// is found out.
pub fn copy(source: &Store, target: &Store, most: BatchSize, watch: &dyn Watch) -> Result<Vec<Compared>, CopyError> {
    let origin = Origin::of(source)?;
    let from = begin(target, &origin)?;
    let counts = source.read(false, |tx| TABLES.iter().map(|table| count(tx, table)).collect::<Result<Vec<_>, _>>())?;
    if let Some(from) = from {
        transfer(source, target, from, &counts, most, watch)?;
    }
    origin.require_unchanged(source)?;
    settle(source, target, origin.next_event)?;
    watch.begin(Phase::Compare, counts.iter().sum::<u64>() * 2, 0);
    let compared = compare(source, target, most, watch)?;
    origin.require_unchanged(source)?;
    if compared.iter().all(Compared::is_equal) {
        target.write_blocking(|tx| tx.execute(REMOVE_MARK, &[Param::Texts(&[MARK, MARK_AT])]).map(|_| ()))?;
    }
    Ok(compared)
}

fn count(tx: &mut dyn Tx, table: &'static Table) -> Result<u64, StoreError> {
    Ok(tx.number(table.count, &[])?.unsigned_abs())
}

/// Waits until every event of the source has its position.
fn wait_for_order(source: &Store) -> Result<(), CopyError> {
    let until = Instant::now() + ORDER_PATIENCE;
    while source.read(false, sequencer::has_pending)? {
        if Instant::now() > until {
            return Err(CopyError::Refused(
                "events of the source have no place in their order yet; is a server writing to it?",
            ));
        }
        #[expect(clippy::disallowed_methods, reason = "the source's own thread is at work, in its database")]
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// What a copy is of.
#[derive(Debug, Clone, PartialEq)]
struct Origin {
    born: String,
    /// In what order tables that may be split by business are read: engines do it differently.
    is_by_business: bool,
    /// These two tell whether anything was changed.
    next_event: i64,
    directory_version: i64,
}

impl Origin {
    /// Of a source of which every event has its position.
    fn of(source: &Store) -> Result<Self, CopyError> {
        wait_for_order(source)?;
        source.read(true, Self::read)
    }

    /// Fails when anybody has written to the source.
    fn require_unchanged(&self, source: &Store) -> Result<(), CopyError> {
        if Self::of(source)? == *self { Ok(()) } else { Err(CopyError::Refused(CHANGED)) }
    }

    fn read(tx: &mut dyn Tx) -> Result<Self, CopyError> {
        let born = migrate::find_setting(tx, BORN)?.ok_or(CopyError::Refused("there is no store in the source"))?;
        let (is_by_business, next_event) = match sequencer::next_position(tx)? {
            Some(next) => (true, next),
            None => (false, tx.number(LAST_EVENT, &[])? + 1),
        };
        Ok(Self { born, is_by_business, next_event, directory_version: directory::version(tx)? })
    }

    /// As the target keeps it: what it is, and what state it is in.
    fn mark(&self) -> String {
        let order = if self.is_by_business { "by business" } else { "by id" };
        let is = [Json::from(self.born.as_str()), order.into()];
        let state = [Json::from(self.next_event), self.directory_version.into()];
        Json::List(vec![Json::List(is.into()), Json::List(state.into())]).to_string()
    }

    /// Whether a mark of a target is of this source, which is still in the same state.
    fn compare(&self, mark: &str) -> Result<(), CopyError> {
        let ours = self.mark();
        if mark == ours {
            return Ok(());
        }
        let is = |mark: &str| mark.split("],").next().map(str::to_owned);
        Err(CopyError::Refused(if is(mark) == is(&ours) {
            CHANGED
        } else {
            "the target is an unfinished copy of another store"
        }))
    }
}

/// Where a copy goes on.
#[derive(Debug, Clone, PartialEq)]
struct Position {
    /// By its number.
    table: usize,
    /// How many of its rows are there.
    rows: u64,
    /// The key of the last of them.
    after: Vec<Value>,
}

impl Position {
    fn start(table: usize) -> Self {
        Self { table, rows: 0, after: TABLES[table].start() }
    }

    /// As the target keeps it.
    fn note(&self) -> String {
        let rows = Json::from(i64::try_from(self.rows).unwrap_or(i64::MAX));
        let key = self.after.iter().map(|value| match value {
            Value::Null => Json::Null,
            Value::Int(number) => (*number).into(),
            Value::Text(text) => text.as_str().into(),
        });
        Json::List([Json::from(TABLES[self.table].name), rows].into_iter().chain(key).collect()).to_string()
    }

    fn read(note: &str) -> Result<Self, StoreError> {
        let unreadable = || StoreError::Unreadable(format!("the note of an unfinished copy is {note:?}"));
        let list = parse(note.as_bytes(), Limits::default()).ok();
        let list = list.as_ref().and_then(Json::as_list).ok_or_else(unreadable)?;
        let [Json::Text(name), Json::Int(rows), key @ ..] = list else { return Err(unreadable()) };
        let table = TABLES.iter().position(|table| table.name == name).ok_or_else(unreadable)?;
        let after = key.iter().map(|value| match value {
            Json::Int(number) => Ok(Value::Int(*number)),
            Json::Text(text) => Ok(Value::Text(text.clone())),
            _ => Err(unreadable()),
        });
        let after = after.collect::<Result<Vec<_>, _>>()?;
        if after.len() != TABLES[table].key.len() {
            return Err(unreadable());
        }
        Ok(Self { table, rows: rows.unsigned_abs(), after })
    }
}

/// Marks an empty target, or finds out how far a copy has come that was interrupted. `None`: all rows are there.
fn begin(target: &Store, origin: &Origin) -> Result<Option<Position>, CopyError> {
    let origin = origin.clone();
    let note = target.write_blocking(move |tx| {
        migrate::hold(tx)?;
        if let Some(mark) = migrate::find_setting(tx, MARK)? {
            origin.compare(&mark)?;
            return Ok(migrate::find_setting(tx, MARK_AT)?.unwrap_or_default());
        }
        for table in TABLES {
            if !Page::read(tx, table, &table.start(), BatchSize { rows: 1, bytes: 0 })?.values.is_empty() {
                return Err(CopyError::Refused("the target is not empty"));
            }
        }
        let note = Position::start(0).note();
        migrate::put_setting(tx, MARK, &origin.mark())?;
        migrate::put_setting(tx, MARK_AT, &note)?;
        Ok(note)
    })?;
    Ok(if note == ALL_THERE { None } else { Some(Position::read(&note)?) })
}

/// Rows of a table, one behind the other.
#[derive(Debug, Default)]
struct Page {
    values: Vec<Value>,
    bytes: usize,
    /// How many rows there were, also of those that did not fit.
    found: usize,
}

impl Page {
    /// The first rows behind a key, at least one.
    fn read(tx: &mut dyn Tx, table: &Table, after: &[Value], most: BatchSize) -> Result<Self, StoreError> {
        let rows = Param::Int(i64::try_from(most.rows).unwrap_or(i64::MAX));
        let params: Vec<_> = after.iter().map(Value::param).chain([rows]).collect();
        let mut page = Self::default();
        tx.query(table.read, &params, &mut |row| {
            page.found += 1;
            if page.values.is_empty() || page.bytes < most.bytes {
                let old = page.values.len();
                table.read_row(row, &mut page.values)?;
                page.bytes += page.values[old..].iter().map(Value::size).sum::<usize>();
            }
            Ok(())
        })?;
        Ok(page)
    }
}

/// Hands over the rows of a table in pages, from a position on.
fn each_page(
    store: &Store,
    from: Position,
    most: BatchSize,
    mut each: impl FnMut(Vec<Value>, &Position) -> Result<(), CopyError>,
) -> Result<(), CopyError> {
    let table = &TABLES[from.table];
    let width = table.columns.len();
    let mut at = from;
    let mut rows = FIRST_ROWS.min(most.rows);
    loop {
        let asked = BatchSize { rows, ..most };
        let page = store.read(false, |tx| Page::read(tx, table, &at.after, asked));
        let page = page.map_err(|error| CopyError::Table { table: table.name, error })?;
        let Some(last) = page.values.chunks_exact(width).next_back() else { return Ok(()) };
        at.after = table.key_of(last);
        let count = page.values.len() / width;
        at.rows += count as u64;
        each(page.values, &at)?;
        if page.found < rows && count == page.found {
            return Ok(());
        }
        // Rows that were found and did not fit are found again. Few are, as long as rows are about alike.
        rows = if count < page.found { count } else { (rows * 2).min(most.rows) };
    }
}

/// Rows on their way.
struct Batch {
    values: Vec<Value>,
    /// Where the copy goes on behind them.
    next: Position,
}

/// Copies everything behind a position. One thread reads while another writes.
fn transfer(
    source: &Store,
    target: &Store,
    from: Position,
    counts: &[u64],
    most: BatchSize,
    watch: &dyn Watch,
) -> Result<(), CopyError> {
    watch.begin(Phase::Copy, counts.iter().sum(), counts[..from.table].iter().sum::<u64>() + from.rows);
    std::thread::scope(|scope| {
        let (sender, batches) = sync_channel(1);
        let mut note = from.note();
        scope.spawn(move || {
            if let Err(error) = read_all(source, from, most, &sender) {
                // Who writes has stopped, then.
                let _ = sender.send(Err(error));
            }
        });
        for batch in batches {
            if watch.is_stopped() {
                return Err(CopyError::Stopped);
            }
            let batch = Arc::new(batch?);
            let (writing, next) = (batch.clone(), batch.next.note());
            let notes = (note, next.clone());
            target.write_blocking(move |tx| writing.write(tx, &notes.0, &notes.1))?;
            note = next;
            let table = &TABLES[batch.next.table];
            watch.advance(table.name, (batch.values.len() / table.columns.len()) as u64);
        }
        Ok(())
    })
}

fn read_all(
    source: &Store,
    from: Position,
    most: BatchSize,
    batches: &SyncSender<Result<Batch, CopyError>>,
) -> Result<(), CopyError> {
    let later = (from.table + 1..TABLES.len()).map(Position::start);
    for from in [from].into_iter().chain(later) {
        each_page(source, from, most, |values, next| {
            let batch = Batch { values, next: next.clone() };
            batches.send(Ok(batch)).map_err(|_| CopyError::Stopped)
        })?;
    }
    Ok(())
}

impl Batch {
    /// Stores the rows and what goes with them, and notes where to go on.
    fn write(&self, tx: &mut dyn Tx, old: &str, new: &str) -> Result<(), CopyError> {
        let table = &TABLES[self.next.table];
        let in_table = |error| CopyError::Table { table: table.name, error };
        if tx.execute(GO_ON, &[new.into(), old.into()])? != 1 {
            return Err(CopyError::Refused("another copy into the target is under way"));
        }
        let mut params: Vec<_> = self.values.iter().map(Value::param).collect();
        match table.name {
            "service_instance" => {
                let places = self.column(table, "id").zip(self.column(table, "business_id"));
                service_instance::insert_locators(tx, places).map_err(in_table)?;
            }
            "event" => {
                let positions: Vec<_> = self.column(table, "id").collect();
                let keys = sequencer::place(tx, &positions).map_err(in_table)?;
                for (row, key) in params.chunks_exact_mut(table.columns.len()).zip(keys.into_iter().flatten()) {
                    row[table.column("id")] = key.into();
                }
            }
            _ => {}
        }
        tx.execute_many(table.insert, table.columns.len(), &params).map_err(in_table)
    }

    /// The values of a column of numbers.
    fn column(&self, table: &Table, name: &str) -> impl Iterator<Item = i64> {
        let number = table.column(name);
        self.values.chunks_exact(table.columns.len()).filter_map(move |row| match row[number] {
            Value::Int(number) => Some(number),
            _ => None,
        })
    }
}

/// Lets the target number audit entries and events behind those of the source.
fn settle(source: &Store, target: &Store, next_event: i64) -> Result<(), CopyError> {
    let next_audit = source.read(false, |tx| match tx.find(AUDIT_COUNTER, &[], |row| row.int(0))? {
        Some(next) => Ok::<_, StoreError>(next),
        None => Ok(tx.number(LAST_AUDIT, &[])? + 1),
    })?;
    target.write_blocking(move |tx| {
        migrate::put_setting(tx, MARK_AT, ALL_THERE)?;
        tx.execute(RAISE_AUDIT_COUNTER, &[next_audit.into()])?;
        sequencer::go_on_from(tx, next_event)?;
        let counted = match sequencer::next_position(tx)? {
            Some(next) => next,
            None => tx.number(LAST_EVENT, &[])? + 1,
        };
        if counted != next_event {
            // An engine that counts on from the newest event would give out positions again.
            return Err(CopyError::Refused(
                "the newest events were removed from the source, which the target counts on from",
            ));
        }
        Ok(())
    })
}

/// Reads every table on both sides.
fn compare(source: &Store, target: &Store, most: BatchSize, watch: &dyn Watch) -> Result<Vec<Compared>, CopyError> {
    let (ours, theirs) = std::thread::scope(|scope| {
        let theirs = scope.spawn(|| digests(target, most, watch));
        let ours = digests(source, most, watch);
        let theirs = theirs.join();
        (ours, theirs.unwrap_or_else(|_| Err(StoreError::Defect("panic in a comparison".into()).into())))
    });
    let pairs = ours?.into_iter().zip(theirs?);
    Ok(TABLES
        .iter()
        .zip(pairs)
        .map(|(table, (source, target))| Compared { table: table.name, source, target })
        .collect())
}

fn digests(store: &Store, most: BatchSize, watch: &dyn Watch) -> Result<Vec<Digest>, CopyError> {
    let digest = |(number, table): (usize, &'static Table)| {
        let (mut digest, mut buffer) = (Digest::default(), Vec::new());
        each_page(store, Position::start(number), most, |values, _| {
            if watch.is_stopped() {
                return Err(CopyError::Stopped);
            }
            let before = digest.rows;
            values.chunks_exact(table.columns.len()).for_each(|row| digest.add(row, &mut buffer));
            watch.advance(table.name, digest.rows - before);
            Ok(())
        })?;
        Ok(digest)
    };
    TABLES.iter().enumerate().map(digest).collect()
}
