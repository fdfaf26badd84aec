//! Threads with a connection each. They take units of work from a bounded queue, and run one again when that may help.

use super::connect::{Connect, Pause};
use super::connection::{Begin, Connection, NotCommitted};
use super::ids::Ids;
use crate::StoreError;
use crate::engine::{Observer, ReadRun, Stop, Work};
use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How often work is run again after a conflict before the conflict is reported.
const RUNS: usize = 12;
/// For how long the outcome of a commit is asked for.
const OUTCOME_LIMIT: Duration = Duration::from_secs(20);

/// What a thread is handed.
pub(super) enum Task {
    Read { snapshot: bool, limit: Duration, work: Work },
    Write(Work),
}

impl Task {
    fn refuse(self, error: StoreError) {
        let (Self::Read { work, .. } | Self::Write(work)) = self;
        answer(work, Err(Stop::Failed(error)));
    }
}

/// Some threads on one queue.
pub(super) struct Workers {
    /// Guards the way into the queue; taken out when it is closed.
    queue: Mutex<Option<Sender<Task>>>,
    /// Guards the threads until somebody waits for them.
    threads: Mutex<Vec<JoinHandle<()>>>,
    observer: Option<Arc<dyn Observer>>,
}

/// What the threads share.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) connect: Connect,
    pub(super) ids: Arc<Ids>,
    pub(super) observer: Option<Arc<dyn Observer>>,
    /// Called after a commit.
    pub(super) committed: Arc<dyn Fn() + Send + Sync>,
    /// For how long one run of a write may take.
    pub(super) write_limit: Duration,
}

impl Workers {
    pub(super) fn start(name: &str, count: usize, queue: usize, shared: &Shared) -> Result<Self, StoreError> {
        let (sender, receiver) = bounded(queue.max(1));
        let mut threads = Vec::with_capacity(count);
        for number in 0..count.max(1) {
            let mut worker = Worker { shared: shared.clone(), connection: None };
            let tasks: Receiver<Task> = receiver.clone();
            let thread = std::thread::Builder::new()
                .name(format!("{name} {number}"))
                .spawn(move || worker.serve(&tasks))
                .map_err(|e| StoreError::Unavailable(format!("cannot start a thread: {e}")))?;
            threads.push(thread);
        }
        let observer = shared.observer.clone();
        Ok(Self { queue: Mutex::new(Some(sender)), threads: Mutex::new(threads), observer })
    }

    pub(super) fn submit(&self, task: Task) {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(queue) = queue else {
            return task.refuse(StoreError::Closed);
        };
        if let (Task::Write(_), Some(observer)) = (&task, &self.observer) {
            observer.queue_depth(queue.len());
        }
        match queue.try_send(task) {
            Ok(()) => {}
            Err(TrySendError::Full(task)) => task.refuse(StoreError::Busy),
            Err(TrySendError::Disconnected(task)) => task.refuse(StoreError::Closed),
        }
    }

    /// Finishes what was accepted, then ends the threads.
    pub(super) fn close(&self) {
        drop(self.queue.lock().unwrap_or_else(PoisonError::into_inner).take());
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            // The last handle of a store may be dropped by one of its own threads.
            if thread.thread().id() != std::thread::current().id() && thread.join().is_err() {
                tracing::error!("a thread of the store panicked");
            }
        }
    }
}

struct Worker {
    shared: Shared,
    connection: Option<Connection>,
}

impl Worker {
    fn serve(&mut self, tasks: &Receiver<Task>) {
        while let Ok(task) = tasks.recv() {
            match task {
                Task::Read { snapshot, limit, mut work } => {
                    let verdict = if Instant::now() > work.expires {
                        Err(Stop::Failed(late(limit)))
                    } else {
                        run_read(&self.shared, &mut self.connection, snapshot, limit, &mut *work.run)
                    };
                    answer(work, verdict);
                }
                Task::Write(mut work) => {
                    let begun = Instant::now();
                    let verdict = self.write(&mut work);
                    if let (Ok(()), Some(observer)) = (&verdict, &self.shared.observer) {
                        observer.committed(1, begun.elapsed());
                    }
                    answer(work, verdict);
                }
            }
        }
    }

    /// Runs a write until it is committed, refused, or out of time.
    fn write(&mut self, work: &mut Work) -> Result<(), Stop> {
        if Instant::now() > work.expires {
            return Err(Stop::Failed(StoreError::Busy));
        }
        let mut pause = Pause::new();
        let mut met_unique = false;
        for run in 1.. {
            let connection = self.shared.connect.again(&mut self.connection, work.expires, Some(&self.shared.ids))?;
            connection.limit_time(self.shared.write_limit);
            connection.begin(Begin::Write);
            let verdict = catch_unwind(AssertUnwindSafe(|| (work.run)(connection)))
                .unwrap_or_else(|_| Err(Stop::Failed(StoreError::Defect("panic in a write".into()))));
            let again = match verdict {
                Ok(()) => match self.commit()? {
                    Committed::Yes => {
                        (self.shared.committed)();
                        return Ok(());
                    }
                    Committed::No(why) => why,
                },
                Err(_) if connection.is_late() => {
                    let too_long = StoreError::TooLong(milliseconds(self.shared.write_limit));
                    let late = if connection.ran_out() { too_long } else { StoreError::Busy };
                    connection.roll_back();
                    return Err(Stop::Failed(late));
                }
                Err(stop) => {
                    let lost = connection.lost().map(|why| StoreError::Unavailable(why.to_owned()));
                    // Another writer was faster than the rule's own check; run again, that sees what is there.
                    let beaten = connection.met_unique() && !std::mem::replace(&mut met_unique, true);
                    connection.roll_back();
                    match (stop, lost) {
                        (_, Some(lost)) => lost,
                        (Stop::Failed(StoreError::Conflict(what)), None) => StoreError::Conflict(what),
                        // Somebody has ended the statement: that is for reads a matter of time, for writes of trying again.
                        (Stop::Failed(StoreError::Deadline(_)), None) => return Err(Stop::Failed(StoreError::Busy)),
                        (_, None) if beaten => continue,
                        (stop, None) => return Err(stop),
                    }
                }
            };
            let too_often = matches!(again, StoreError::Conflict(_)) && run >= RUNS;
            if too_often || Instant::now() > work.expires {
                return Err(Stop::Failed(again));
            }
            tracing::debug!(reason = %again, run, "a write is run again");
            pause.wait();
        }
        Ok(())
    }

    fn commit(&mut self) -> Result<Committed, Stop> {
        let Some(connection) = &mut self.connection else {
            return Ok(Committed::No(StoreError::Closed));
        };
        match connection.commit() {
            Ok(()) => Ok(Committed::Yes),
            Err(NotCommitted::Failed(error)) => {
                connection.roll_back();
                match error {
                    StoreError::Conflict(_) => Ok(Committed::No(error)),
                    error => Err(Stop::Failed(error)),
                }
            }
            Err(NotCommitted::Lost) => {
                Ok(Committed::No(StoreError::Unavailable("the connection was lost before a commit".into())))
            }
            Err(NotCommitted::Unknown { commit_id, why }) => {
                tracing::warn!(%commit_id, reason = %why, "a commit was not answered; asking what became of it");
                let was_committed = self.ask_outcome(&commit_id);
                match was_committed {
                    Ok(true) => Ok(Committed::Yes),
                    Ok(false) => Ok(Committed::No(StoreError::Unavailable(why))),
                    Err(error) => {
                        tracing::error!(%commit_id, %error, "what became of a commit could not be found out");
                        Err(Stop::Failed(StoreError::OutcomeUnknown(why)))
                    }
                }
            }
        }
    }

    fn ask_outcome(&mut self, commit_id: &str) -> Result<bool, StoreError> {
        let until = Instant::now() + OUTCOME_LIMIT;
        let mut pause = Pause::new();
        loop {
            let asked =
                self.shared.connect.again(&mut self.connection, until, Some(&self.shared.ids)).and_then(|connection| {
                    connection.limit_time(until.saturating_duration_since(Instant::now()));
                    connection.was_committed(commit_id)
                });
            match asked {
                Ok(was_committed) => return Ok(was_committed),
                Err(error) if Instant::now() >= until => return Err(error),
                Err(_) => pause.wait(),
            }
        }
    }
}

enum Committed {
    Yes,
    /// Without effect, for a reason that may pass.
    No(StoreError),
}

/// Runs a read on a connection; on a new one when it was lost.
pub(super) fn run_read(
    shared: &Shared,
    slot: &mut Option<Connection>,
    snapshot: bool,
    limit: Duration,
    work: &mut ReadRun<'_>,
) -> Result<(), Stop> {
    let until = Instant::now() + limit;
    let mut pause = Pause::new();
    loop {
        let connection = shared.connect.again(slot, until, Some(&shared.ids))?;
        let verdict = connection.limit_reads(limit).map_err(Stop::from).and_then(|()| {
            if snapshot {
                connection.begin(Begin::Snapshot);
            }
            catch_unwind(AssertUnwindSafe(|| work(connection)))
                .unwrap_or_else(|_| Err(Stop::Failed(StoreError::Defect("panic in a read".into()))))
        });
        if verdict.is_err() && connection.lost().is_some() && !connection.is_late() && Instant::now() < until {
            pause.wait();
            continue;
        }
        connection.roll_back();
        return verdict;
    }
}

fn late(limit: Duration) -> StoreError {
    StoreError::Deadline(milliseconds(limit))
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Tells how it ended. A panic over there is no reason to stop working for everybody else.
fn answer(work: Work, verdict: Result<(), Stop>) {
    let Work { run, done, .. } = work;
    let told = catch_unwind(AssertUnwindSafe(|| {
        done(verdict);
        drop(run);
    }));
    if told.is_err() {
        tracing::error!("the answer to a unit of work panicked");
    }
}
