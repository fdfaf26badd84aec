//! Writes: what one call changed, changed again and again for others, with prepared statements.

use super::open_writer;
use crate::recording::{Asked, list};
use anyhow::ensure;
use rusqlite::{Connection, Statement};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::{Duration, Instant};

/// What in a call differs from the one that was recorded.
pub trait Call: Clone + Send + Sync {
    /// Binds it for this row of the statement that changes processes. `next` is an id that nothing has.
    fn bind(&self, statement: &mut Statement<'_>, row: usize, next: i64) -> rusqlite::Result<()>;
}

/// Where the rows of create_process_instance go. A name replaces those of the rows, for calls of one process.
#[derive(Clone)]
pub struct Place {
    pub instance: i64,
    pub name: Option<String>,
}

impl Call for Place {
    fn bind(&self, statement: &mut Statement<'_>, _: usize, next: i64) -> rusqlite::Result<()> {
        statement.raw_bind_parameter(1, next)?;
        statement.raw_bind_parameter(3, self.instance)?;
        if let Some(name) = &self.name {
            statement.raw_bind_parameter(6, name)?;
            statement.raw_bind_parameter(7, name)?;
        }
        Ok(())
    }
}

/// The processes of update_process_instance, as many as were recorded and in the same order.
#[derive(Clone)]
pub struct Updated<'a> {
    pub processes: &'a [i64],
    /// What they are to hold. It has to be new: SQLite leaves a page alone when a row on it is written as it was.
    pub fixed_fields: Arc<[String]>,
}

impl Call for Updated<'_> {
    fn bind(&self, statement: &mut Statement<'_>, row: usize, _: i64) -> rusqlite::Result<()> {
        statement.raw_bind_parameter(2, self.processes[row])?;
        statement.raw_bind_parameter(6, &self.fixed_fields[row])
    }
}

/// The processes of delete_process_instance.
#[derive(Clone)]
pub struct Deleted<'a>(pub &'a [i64]);

impl Call for Deleted<'_> {
    fn bind(&self, statement: &mut Statement<'_>, _: usize, _: i64) -> rusqlite::Result<()> {
        statement.raw_bind_parameter(2, list(self.0))
    }
}

/// A statement of the recorded call.
struct Change {
    asked: Asked,
    /// Of processes themselves, not of what is told of them.
    of_processes: bool,
}

/// See the module.
pub struct Writer {
    connection: Connection,
    changes: Vec<Change>,
    next: i64,
}

impl Writer {
    /// A writer to a store, of what a call changed.
    pub fn open(file: &Path, asked: Vec<Asked>) -> anyhow::Result<Self> {
        let of_processes = |sql: &str| {
            ["INSERT INTO process ", "UPDATE process ", "DELETE FROM process "].iter().any(|s| sql.starts_with(s))
        };
        let changes = asked.into_iter().filter(|asked| asked.is_change);
        let changes = changes.map(|asked| Change { of_processes: of_processes(&asked.sql), asked }).collect();
        Ok(Self { connection: open_writer(file)?, changes, next: 1_000_000_000 })
    }

    fn change(&mut self, call: &impl Call) -> anyhow::Result<()> {
        for Change { asked, of_processes } in &self.changes {
            let mut statement = self.connection.prepare_cached(&asked.sql)?;
            for (number, row) in asked.rows.iter().enumerate() {
                for (column, value) in row.iter().enumerate() {
                    statement.raw_bind_parameter(column + 1, value)?;
                }
                if *of_processes {
                    call.bind(&mut statement, number, self.next)?;
                    self.next += 1;
                }
                ensure!(statement.raw_execute()? > 0, "nothing was there for {}", asked.sql);
            }
        }
        Ok(())
    }

    fn control(&self, sql: &str) -> anyhow::Result<()> {
        Ok(self.connection.prepare_cached(sql)?.raw_execute().map(|_| ())?)
    }

    /// One durable transaction per call.
    pub fn run(&mut self, calls: &[impl Call]) -> anyhow::Result<Duration> {
        let begun = Instant::now();
        for call in calls {
            self.control("BEGIN IMMEDIATE")?;
            self.change(call)?;
            self.control("COMMIT")?;
        }
        Ok(begun.elapsed())
    }

    /// Callers on threads of their own hand their rows over and wait; what waits is committed together.
    pub fn run_grouped<C: Call>(&mut self, calls: &[C], callers: usize, group: usize) -> anyhow::Result<Duration> {
        let (queue, waiting) = sync_channel::<(C, SyncSender<()>)>(callers);
        let begun = Instant::now();
        std::thread::scope(|scope| {
            for caller in 0..callers {
                let queue = queue.clone();
                scope.spawn(move || {
                    let (done, wait) = sync_channel(1);
                    for call in calls.iter().skip(caller).step_by(callers) {
                        let sent = queue.send((call.clone(), done.clone()));
                        if sent.is_err() || wait.recv().is_err() {
                            return;
                        }
                    }
                });
            }
            drop(queue);
            let mut told = Vec::with_capacity(group);
            while let Ok(first) = waiting.recv() {
                self.control("BEGIN IMMEDIATE")?;
                let mut next = Some(first);
                while let Some((call, done)) = next {
                    self.change(&call)?;
                    told.push(done);
                    next = if told.len() < group { waiting.try_recv().ok() } else { None };
                }
                self.control("COMMIT")?;
                for done in told.drain(..) {
                    let _ = done.send(());
                }
            }
            anyhow::Ok(())
        })?;
        Ok(begun.elapsed())
    }
}
