//! An engine that notes what is asked of the one in it, for tests that hold operations to a number of statements.

use crate::StoreError;
use crate::engine::{Engine, Journal, Param, ReadRun, Row, Stop, Tx, Work};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Something that a unit of work asked for and the engine did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    Statement(&'static str),
    /// One statement for many rows.
    ForMany(&'static str),
    /// A statement that was put together for one caller.
    Composed,
    /// Ids from this counter, however the engine comes by them.
    Ids(&'static str),
    /// Keys for new rows, where the engine gives them out.
    Keys(Journal),
}

/// A unit of work that has ended, with what its last run asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    pub is_write: bool,
    pub asked: Vec<Asked>,
}

/// An engine around another one. See the module.
pub struct CountingEngine {
    inner: Arc<dyn Engine>,
    translate: fn(&str) -> String,
    /// Guards what has ended since somebody last took it.
    units: Arc<Mutex<Vec<Unit>>>,
}

impl CountingEngine {
    /// Notes for an engine that takes statements as [`crate::dialect`] translates them: what is empty there is not noted.
    pub fn new(inner: Arc<dyn Engine>, translate: fn(&str) -> String) -> Self {
        Self { inner, translate, units: Arc::default() }
    }

    /// What has ended since the last call.
    pub fn take(&self) -> Vec<Unit> {
        std::mem::take(&mut *lock(&self.units))
    }

    /// The same work, noted when it has ended.
    fn noted(&self, is_write: bool, work: Work) -> Work {
        let Work { mut run, done, expires } = work;
        let (translate, units) = (self.translate, self.units.clone());
        // Guards the notes of the last run until the work has ended.
        let notes = Arc::new(Mutex::new(Vec::new()));
        let of_run = notes.clone();
        let run = Box::new(move |tx: &mut dyn Tx| {
            let mut noting = Noting { inner: tx, translate, asked: Vec::new() };
            let verdict = run(&mut noting);
            *lock(&of_run) = noting.asked;
            verdict
        });
        let done = Box::new(move |verdict| {
            let asked = std::mem::take(&mut *lock(&notes));
            lock(&units).push(Unit { is_write, asked });
            done(verdict);
        });
        Work { run, done, expires }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Engine for CountingEngine {
    fn read(&self, snapshot: bool, deadline: Duration, work: &mut ReadRun<'_>) -> Result<(), Stop> {
        let mut asked = Vec::new();
        let verdict = self.inner.read(snapshot, deadline, &mut |tx| {
            let mut noting = Noting { inner: tx, translate: self.translate, asked: Vec::new() };
            let verdict = work(&mut noting);
            asked = noting.asked;
            verdict
        });
        lock(&self.units).push(Unit { is_write: false, asked });
        verdict
    }

    fn reads_here(&self) -> bool {
        self.inner.reads_here()
    }

    fn read_apart(&self, snapshot: bool, deadline: Duration, work: Work) {
        self.inner.read_apart(snapshot, deadline, self.noted(false, work));
    }

    fn write(&self, work: Work) {
        self.inner.write(self.noted(true, work));
    }

    fn size_bytes(&self) -> u64 {
        self.inner.size_bytes()
    }

    fn close(&self) {
        self.inner.close();
    }
}

/// A transaction whose statements are noted.
struct Noting<'a> {
    inner: &'a mut dyn Tx,
    translate: fn(&str) -> String,
    asked: Vec<Asked>,
}

impl Noting<'_> {
    fn note(&mut self, sql: &'static str, asked: Asked) {
        if !(self.translate)(sql).is_empty() {
            self.asked.push(asked);
        }
    }
}

impl Tx for Noting<'_> {
    fn query(
        &mut self,
        sql: &'static str,
        params: &[Param<'_>],
        each: &mut dyn FnMut(&dyn Row) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.note(sql, Asked::Statement(sql));
        self.inner.query(sql, params, each)
    }

    fn query_composed(
        &mut self,
        sql: &str,
        params: &[Param<'_>],
        each: &mut dyn FnMut(&dyn Row) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.asked.push(Asked::Composed);
        self.inner.query_composed(sql, params, each)
    }

    fn execute(&mut self, sql: &'static str, params: &[Param<'_>]) -> Result<usize, StoreError> {
        self.note(sql, Asked::Statement(sql));
        self.inner.execute(sql, params)
    }

    fn execute_many(&mut self, sql: &'static str, width: usize, params: &[Param<'_>]) -> Result<(), StoreError> {
        if !params.is_empty() {
            self.note(sql, Asked::ForMany(sql));
        }
        self.inner.execute_many(sql, width, params)
    }

    fn take_ids(&mut self, counter: &'static str, count: i64) -> Result<i64, StoreError> {
        self.asked.push(Asked::Ids(counter));
        self.inner.take_ids(counter, count)
    }

    fn reserve_ids(&mut self, counter: &'static str, id: i64) -> Result<(), StoreError> {
        self.asked.push(Asked::Ids(counter));
        self.inner.reserve_ids(counter, id)
    }

    fn number_rows(&mut self, journal: Journal, count: usize) -> Result<Option<i64>, StoreError> {
        let first = self.inner.number_rows(journal, count)?;
        if first.is_some() {
            self.asked.push(Asked::Keys(journal));
        }
        Ok(first)
    }
}
