//! The one thread that writes: it takes what waits, runs one request after the other so that each can be undone alone, commits once,
//! then answers all.

use super::Options;
use super::connection::{Connection, TRANSACTION_LOST};
use crate::StoreError;
use crate::engine::{Observer, Stop, Work};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

/// How often work is run again after a conflict before the conflict is reported.
const RUNS: usize = 8;

pub(super) struct Writer {
    /// Guards the way into the queue; taken out when the writer is closed.
    queue: Mutex<Option<SyncSender<Work>>>,
    waiting: Arc<AtomicUsize>,
    /// Guards the thread's handle until somebody waits for it.
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Writer {
    pub(super) fn start(connection: Connection, options: &Options) -> Result<Self, StoreError> {
        let (queue, work) = sync_channel(options.queue);
        let waiting = Arc::new(AtomicUsize::new(0));
        let mut thread = WriterThread {
            connection,
            group_limit: options.group.max(1),
            waiting: waiting.clone(),
            observer: options.observer.clone(),
        };
        let thread = std::thread::Builder::new()
            .name("writer".into())
            .spawn(move || thread.serve(&work))
            .map_err(|e| StoreError::Unavailable(format!("cannot start the writer: {e}")))?;
        Ok(Self { queue: Mutex::new(Some(queue)), waiting, thread: Mutex::new(Some(thread)) })
    }

    pub(super) fn submit(&self, work: Work) {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(queue) = queue else {
            return (work.done)(Err(Stop::Failed(StoreError::Closed)));
        };
        self.waiting.fetch_add(1, Ordering::Relaxed);
        if let Err(error) = queue.try_send(work) {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            let (work, error) = match error {
                TrySendError::Full(work) => (work, StoreError::Busy),
                TrySendError::Disconnected(work) => (work, StoreError::Closed),
            };
            (work.done)(Err(Stop::Failed(error)));
        }
    }

    pub(super) fn close(&self) {
        drop(self.queue.lock().unwrap_or_else(PoisonError::into_inner).take());
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        // The last handle of a store may be dropped by an answer, on the writer's own thread: it ends by itself then.
        if let Some(thread) = thread
            && thread.thread().id() != std::thread::current().id()
            && thread.join().is_err()
        {
            tracing::error!("the writer thread had panicked");
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.close();
    }
}

struct WriterThread {
    connection: Connection,
    group_limit: usize,
    waiting: Arc<AtomicUsize>,
    observer: Option<Arc<dyn Observer>>,
}

impl WriterThread {
    fn serve(&mut self, queue: &Receiver<Work>) {
        while let Ok(first) = queue.recv() {
            let mut group = vec![first];
            while group.len() < self.group_limit
                && let Ok(next) = queue.try_recv()
            {
                group.push(next);
            }
            let left = self.waiting.fetch_sub(group.len(), Ordering::Relaxed) - group.len();
            if let Some(observer) = &self.observer {
                observer.queue_depth(left);
            }
            self.run_group(group);
        }
    }

    /// Runs a group in one transaction. When that as a whole is lost, its members run again one by one, so that no request
    /// suffers from its neighbours.
    fn run_group(&mut self, mut group: Vec<Work>) {
        let begun = Instant::now();
        match self.try_group(&mut group) {
            Ok(verdicts) => {
                if let Some(observer) = &self.observer {
                    observer.committed(group.len(), begun.elapsed());
                }
                for (work, verdict) in group.into_iter().zip(verdicts) {
                    answer(work, verdict);
                }
            }
            Err(Lost::Midway(error)) if group.len() > 1 => {
                tracing::warn!(error = %error, requests = group.len(), "a group of writes was lost and runs again one by one");
                for work in group {
                    self.run_group(vec![work]);
                }
            }
            // Each member alone would wait in vain for the same lock once more.
            Err(Lost::Locked(error) | Lost::Midway(error)) => {
                tracing::warn!(error = %error, requests = group.len(), "writes could not be committed");
                for work in group {
                    answer(work, Err(Stop::Failed(reworded(&error))));
                }
            }
        }
    }

    /// One verdict per member after the commit; an error when the transaction as a whole was lost.
    fn try_group(&mut self, group: &mut [Work]) -> Result<Vec<Result<(), Stop>>, Lost> {
        self.connection.begin().map_err(|error| match error {
            StoreError::Conflict(_) => Lost::Locked(error),
            error => Lost::Midway(error),
        })?;
        self.run_and_commit(group).map_err(|error| {
            self.connection.roll_back();
            Lost::Midway(error)
        })
    }

    fn run_and_commit(&mut self, group: &mut [Work]) -> Result<Vec<Result<(), Stop>>, StoreError> {
        let mut verdicts: Vec<Result<(), Stop>> = Vec::with_capacity(group.len());
        for work in group {
            let undo = if verdicts.iter().any(Result::is_ok) { Undo::ToSavepoint } else { Undo::All };
            verdicts.push(self.run_one(work, undo)?);
        }
        self.connection.commit()?;
        Ok(verdicts)
    }

    /// The verdict of one member; an error when the transaction did not survive it.
    fn run_one(&mut self, work: &mut Work, undo: Undo) -> Result<Result<(), Stop>, StoreError> {
        if Instant::now() > work.expires {
            return Ok(Err(Stop::Failed(StoreError::Busy)));
        }
        let mut runs = 0;
        loop {
            if undo == Undo::ToSavepoint {
                self.connection.savepoint()?;
            }
            runs += 1;
            let run = catch_unwind(AssertUnwindSafe(|| (work.run)(&mut self.connection)));
            let verdict = run.unwrap_or_else(|_| Err(Stop::Failed(StoreError::Defect("panic in a write".into()))));
            // Disk full, I/O errors and lack of memory can end the whole transaction, not only the savepoint.
            if !self.connection.in_transaction() {
                let Err(Stop::Failed(error)) = verdict else {
                    return Err(StoreError::Unavailable(TRANSACTION_LOST.into()));
                };
                return Err(error);
            }
            match (undo, &verdict) {
                (Undo::All, Ok(())) => {}
                (Undo::All, Err(_)) => {
                    self.connection.roll_back();
                    self.connection.begin()?;
                }
                (Undo::ToSavepoint, Ok(())) => self.connection.release()?,
                (Undo::ToSavepoint, Err(_)) => self.connection.roll_back_to_savepoint()?,
            }
            match verdict {
                Err(Stop::Failed(StoreError::Conflict(_))) if runs < RUNS => continue,
                verdict => return Ok(verdict),
            }
        }
    }
}

/// How the effects of a member that fails are undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Undo {
    /// Nothing else was done in the transaction yet: all of it. SQLite keeps a copy of every page that is changed behind a savepoint,
    /// of larger requests in a file.
    All,
    /// What others did stays.
    ToSavepoint,
}

/// Why a transaction came to nothing.
enum Lost {
    /// It could not be begun: another program kept its lock for longer than the busy timeout.
    Locked(StoreError),
    /// Something ended it on the way, or it could not be committed.
    Midway(StoreError),
}

/// Tells how it ended. A panic over there is no reason to stop writing for everybody else.
fn answer(work: Work, verdict: Result<(), Stop>) {
    let Work { run, done, .. } = work;
    let told = catch_unwind(AssertUnwindSafe(|| {
        done(verdict);
        drop(run);
    }));
    if told.is_err() {
        tracing::error!("the answer to a write panicked");
    }
}

/// The same error once more: a group has one error and many members.
fn reworded(error: &StoreError) -> StoreError {
    match error {
        StoreError::Conflict(_) => StoreError::Busy,
        StoreError::Unreadable(text) => StoreError::Unreadable(text.clone()),
        StoreError::Defect(text) => StoreError::Defect(text.clone()),
        other => StoreError::Unavailable(other.to_string()),
    }
}
