//! The narrow trait between statements and engines. A unit of work is a plain function over [`Tx`], run where the connection
//! lives; it may run more than once, so it must not send, count or log.

use crate::StoreError;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A value bound to a statement.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Param<'a> {
    Null,
    Int(i64),
    Text(&'a str),
    /// A list of numbers, for `{in $n}`.
    Ids(&'a [i64]),
    /// A list of texts, for `{in $n}`.
    Texts(&'a [&'a str]),
}

impl From<i64> for Param<'_> {
    fn from(number: i64) -> Self {
        Param::Int(number)
    }
}

impl<'a> From<&'a str> for Param<'a> {
    fn from(text: &'a str) -> Self {
        Param::Text(text)
    }
}

impl<'a> From<&'a String> for Param<'a> {
    fn from(text: &'a String) -> Self {
        Param::Text(text)
    }
}

impl<'a, T: Into<Param<'a>>> From<Option<T>> for Param<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Param::Null, Into::into)
    }
}

/// A row of an answer, read by column number from 0.
pub trait Row {
    /// A number that is never null.
    fn int(&self, column: usize) -> Result<i64, StoreError>;
    /// A text that is never null.
    fn text(&self, column: usize) -> Result<&str, StoreError>;
    /// A text or null.
    fn text_or_null(&self, column: usize) -> Result<Option<&str>, StoreError>;
}

/// A transaction: what store functions work on. Statements are constants in the SQL both engines share, see [`crate::dialect`].
/// Values for more or for fewer parameters than a statement has are a defect.
pub trait Tx {
    /// Runs a query and hands every row to `each`.
    fn query(
        &mut self,
        sql: &'static str,
        params: &[Param<'_>],
        each: &mut dyn FnMut(&dyn Row) -> Result<(), StoreError>,
    ) -> Result<(), StoreError>;

    /// As [`Tx::query`] with a statement that was put together from constants for one caller, see [`crate::query_filter`]. It is
    /// prepared anew each time.
    fn query_composed(
        &mut self,
        sql: &str,
        params: &[Param<'_>],
        each: &mut dyn FnMut(&dyn Row) -> Result<(), StoreError>,
    ) -> Result<(), StoreError>;

    /// Runs a change and says how many rows it touched.
    fn execute(&mut self, sql: &'static str, params: &[Param<'_>]) -> Result<usize, StoreError>;

    /// Runs a change of one row for many rows; `params` holds them one behind the other, `width` values each.
    fn execute_many(&mut self, sql: &'static str, width: usize, params: &[Param<'_>]) -> Result<(), StoreError>;

    /// Takes `count` numbers in a row of a counter and answers the first of them, see [`crate::sequence`].
    fn take_ids(&mut self, counter: &'static str, count: i64) -> Result<i64, StoreError>;

    /// Makes sure that a counter gives out no number up to and including this one.
    fn reserve_ids(&mut self, counter: &'static str, id: i64) -> Result<(), StoreError>;

    /// Keys for as many new rows of a journal, the first of them; the others follow it. `None`: the engine makes them when the rows are
    /// inserted. Events are numbered after everything they tell of is done: nobody else can change those records then, so the keys of
    /// a record's events have the order of its changes.
    fn number_rows(&mut self, journal: Journal, count: usize) -> Result<Option<i64>, StoreError>;
}

/// A table to which rows are only added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Journal {
    Audit,
    Event,
}

impl dyn Tx + '_ {
    /// The first row of an answer, if there is one.
    pub fn find<T>(
        &mut self,
        sql: &'static str,
        params: &[Param<'_>],
        mut read: impl FnMut(&dyn Row) -> Result<T, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        let mut found = None;
        self.query(sql, params, &mut |row| {
            if found.is_none() {
                found = Some(read(row)?);
            }
            Ok(())
        })?;
        Ok(found)
    }

    /// All rows of an answer.
    pub fn list<T>(
        &mut self,
        sql: &'static str,
        params: &[Param<'_>],
        mut read: impl FnMut(&dyn Row) -> Result<T, StoreError>,
    ) -> Result<Vec<T>, StoreError> {
        let mut rows = Vec::new();
        self.query(sql, params, &mut |row| {
            rows.push(read(row)?);
            Ok(())
        })?;
        Ok(rows)
    }

    /// The number in the first column of the only row, as `count(*)` gives it.
    pub fn number(&mut self, sql: &'static str, params: &[Param<'_>]) -> Result<i64, StoreError> {
        self.find(sql, params, |row| row.int(0))?.ok_or_else(|| StoreError::Defect(format!("no row from {sql}")))
    }
}

/// What `count(*)` said, as a size.
pub(crate) fn size(number: i64) -> Result<usize, StoreError> {
    usize::try_from(number).map_err(|_| StoreError::Unreadable("a count below zero".into()))
}

/// Why a unit of work ended without effect.
#[derive(Debug)]
pub enum Stop {
    /// The caller decided so; nothing of it is kept.
    Refused,
    /// The store failed.
    Failed(StoreError),
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Stop::Failed(error)
    }
}

/// A read as an engine runs it.
pub type ReadRun<'a> = dyn FnMut(&mut dyn Tx) -> Result<(), Stop> + Send + 'a;

/// A unit of work as the writer runs it.
type Run = Box<dyn FnMut(&mut dyn Tx) -> Result<(), Stop> + Send>;

/// A unit of work that waits for its turn.
pub struct Work {
    /// What to do; run again from the start after a conflict.
    pub run: Run,
    /// Told once, after the commit (or when there will be none).
    pub done: Box<dyn FnOnce(Result<(), Stop>) + Send>,
    /// Work that has not begun by then is not begun any more.
    pub expires: Instant,
}

/// A store engine.
pub trait Engine: Send + Sync {
    /// Runs a read and waits for it. `snapshot`: all statements of it see the same state.
    fn read(&self, snapshot: bool, deadline: Duration, work: &mut ReadRun<'_>) -> Result<(), Stop>;

    /// Whether a read is done on the calling thread, without waiting for another program.
    fn reads_here(&self) -> bool;

    /// Hands a read to a thread of the engine's own. Returns at once; a full queue is told through `done`.
    fn read_apart(&self, snapshot: bool, deadline: Duration, work: Work);

    /// Hands work to the writer. Returns at once; a full queue is told through `done`.
    fn write(&self, work: Work);

    /// Bytes on disk.
    fn size_bytes(&self) -> u64;

    /// Finishes what was accepted, then ends the writer. Later work is refused with [`StoreError::Closed`].
    fn close(&self);
}

/// Told what the writer does, for metrics.
pub trait Observer: Send + Sync {
    /// The number of waiting writes has changed.
    fn queue_depth(&self, waiting: usize);
    /// A group of so many requests was committed in this time.
    fn committed(&self, requests: usize, time: Duration);
}

/// An engine with typed units of work on top: what the rest of the program holds.
#[derive(Clone)]
pub struct Store {
    engine: Arc<dyn Engine>,
    limits: TimeLimits,
}

/// How long work may take.
#[derive(Debug, Clone, Copy)]
pub struct TimeLimits {
    /// A read.
    pub read: Duration,
    /// A write, until it has begun.
    pub write_wait: Duration,
}

impl Default for TimeLimits {
    fn default() -> Self {
        Self { read: Duration::from_secs(10), write_wait: Duration::from_secs(20) }
    }
}

impl Store {
    /// A store on this engine.
    pub fn new(engine: Arc<dyn Engine>, limits: TimeLimits) -> Self {
        Self { engine, limits }
    }

    /// The engine itself.
    pub fn engine(&self) -> &Arc<dyn Engine> {
        &self.engine
    }

    /// Whether [`Store::read_async`] works on the calling thread.
    pub fn reads_here(&self) -> bool {
        self.engine.reads_here()
    }

    /// Runs a read and waits for it.
    pub fn read<T: Send, E: From<StoreError> + Send>(
        &self,
        snapshot: bool,
        mut work: impl FnMut(&mut dyn Tx) -> Result<T, E> + Send,
    ) -> Result<T, E> {
        let mut answer = None;
        let ended = self.engine.read(snapshot, self.limits.read, &mut |tx| {
            let result = work(tx);
            let verdict = if result.is_ok() { Ok(()) } else { Err(Stop::Refused) };
            answer = Some(result);
            verdict
        });
        settle(ended, answer)
    }

    /// Runs a read: here and now, or where a thread may wait for another program.
    pub async fn read_async<T, E>(
        &self,
        snapshot: bool,
        work: impl FnMut(&mut dyn Tx) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + MayRetry + Send + 'static,
    {
        if self.engine.reads_here() {
            return self.read(snapshot, work);
        }
        let (told, wait) = tokio::sync::oneshot::channel();
        let done = move |result| {
            // Nobody listens any more when the client has gone.
            let _ = told.send(result);
        };
        let deadline = self.limits.read;
        self.engine.read_apart(snapshot, deadline, unit(work, done, deadline));
        wait.await.unwrap_or(Err(E::from(StoreError::Closed)))
    }

    /// Runs a write and answers after its commit. Everything it did is undone when it ends in an error. A conflict reported by
    /// the work itself must come out of it as [`StoreError::Conflict`], see `E`'s `From`.
    pub async fn write<T, E>(&self, work: impl FnMut(&mut dyn Tx) -> Result<T, E> + Send + 'static) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + MayRetry + Send + 'static,
    {
        let (told, wait) = tokio::sync::oneshot::channel();
        self.submit(work, move |result| {
            // Nobody listens any more when the client has gone; the write stands all the same.
            let _ = told.send(result);
        });
        wait.await.unwrap_or(Err(E::from(StoreError::Closed)))
    }

    /// As [`Store::write`], for callers without an async runtime.
    pub fn write_blocking<T, E>(&self, work: impl FnMut(&mut dyn Tx) -> Result<T, E> + Send + 'static) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + MayRetry + Send + 'static,
    {
        let (told, wait) = std::sync::mpsc::channel();
        self.submit(work, move |result| {
            let _ = told.send(result);
        });
        wait.recv().unwrap_or(Err(E::from(StoreError::Closed)))
    }

    fn submit<T, E>(
        &self,
        work: impl FnMut(&mut dyn Tx) -> Result<T, E> + Send + 'static,
        done: impl FnOnce(Result<T, E>) + Send + 'static,
    ) where
        T: Send + 'static,
        E: From<StoreError> + MayRetry + Send + 'static,
    {
        self.engine.write(unit(work, done, self.limits.write_wait));
    }
}

/// A unit of work whose result reaches `done`.
fn unit<T, E>(
    mut work: impl FnMut(&mut dyn Tx) -> Result<T, E> + Send + 'static,
    done: impl FnOnce(Result<T, E>) + Send + 'static,
    patience: Duration,
) -> Work
where
    T: Send + 'static,
    E: From<StoreError> + MayRetry + Send + 'static,
{
    // Guards the answer of the last run between the run and the commit.
    let answer = Arc::new(Mutex::new(None));
    let slot = answer.clone();
    let run = Box::new(move |tx: &mut dyn Tx| {
        let result = work(tx);
        let verdict = match &result {
            Ok(_) => Ok(()),
            Err(error) => match error.conflict() {
                Some(what) => Err(Stop::Failed(StoreError::Conflict(what))),
                None => Err(Stop::Refused),
            },
        };
        *slot.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(result);
        verdict
    });
    let done = Box::new(move |ended| {
        let last = answer.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        done(settle(ended, last));
    });
    Work { run, done, expires: Instant::now() + patience }
}

/// Errors of units of work that may hide a conflict of the store.
pub trait MayRetry {
    /// The conflict, if this error is one and the work may be run again.
    fn conflict(&self) -> Option<String>;
}

impl MayRetry for StoreError {
    fn conflict(&self) -> Option<String> {
        match self {
            StoreError::Conflict(what) => Some(what.clone()),
            _ => None,
        }
    }
}

fn settle<T, E: From<StoreError>>(ended: Result<(), Stop>, answer: Option<Result<T, E>>) -> Result<T, E> {
    match (ended, answer) {
        (Ok(()), Some(result)) | (Err(Stop::Refused), Some(result)) => result,
        (Err(Stop::Failed(error)), _) => Err(E::from(error)),
        (_, None) => Err(E::from(StoreError::Defect("work ended without an answer".into()))),
    }
}
