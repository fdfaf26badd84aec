//! Gives committed events their positions. Those who write draw a number while they hold the rows they have changed, so the keys of
//! an object's events have the order of its changes; which transaction commits first, nobody knows before. One server at a time
//! takes what is committed and not in the order yet, lowest keys first, and appends it. Nothing is ever put before what stands
//! there, so a reader who goes on from the last position they saw misses nothing.

use super::connect::Connect;
use super::connection::{Begin, Connection, EVENTS_A_DRAW};
use crate::{Param, StoreError, Tx};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

crate::statements! {
    /// Served by `commit_record_pending`.
    FIND_PENDING = "{only postgres} SELECT draw FROM commit_record WHERE is_pending = 1 ORDER BY draw LIMIT 1";
    /// One at a time: others wait here until the transaction ends, and see what it has done. Served by the primary key.
    TAKE_TURN = "{only postgres} UPDATE event_sequencer SET holder = $1,
        lease_ms = (extract(epoch FROM clock_timestamp()) * 1000)::bigint + $2
        WHERE id = 1 AND (holder = $1 OR lease_ms < (extract(epoch FROM clock_timestamp()) * 1000)::bigint)
        RETURNING next_position";
    /// Served by `commit_record_pending`.
    LIST_PENDING = "{only postgres} SELECT draw, events FROM commit_record WHERE is_pending = 1 ORDER BY draw LIMIT $1";
    /// Served by `commit_record_pending`.
    SETTLE = "{only postgres} UPDATE commit_record SET is_pending = 0 WHERE is_pending = 1 AND draw {in $1}";
    APPEND for many = "{only postgres} INSERT INTO event_order (last_position, first_id, events) VALUES ($1, $2, $3)";
    /// Served by the primary key.
    GO_ON = "{only postgres} UPDATE event_sequencer SET next_position = $1 WHERE id = 1";
    SIZE = "{only postgres} SELECT pg_database_size(current_database())";
    /// Served by the primary key.
    NEXT_POSITION = "{only postgres} SELECT next_position FROM event_sequencer WHERE id = 1";
    DRAW = "{only postgres} SELECT nextval('event_draw') FROM generate_series(1, $1::bigint)";
    /// Each server forgets others. Served by `commit_record_time`, which a clock that moves while the statement runs would not be.
    FORGET = "{only postgres} DELETE FROM commit_record WHERE id IN (SELECT id FROM commit_record WHERE is_pending = 0
        AND time_ms < (extract(epoch FROM statement_timestamp()) * 1000)::bigint - $1 ORDER BY time_ms LIMIT $2
        FOR UPDATE SKIP LOCKED)";
}

/// How long a server keeps its turn after it has last used it.
const LEASE: Duration = Duration::from_secs(2);
/// How soon what another server has committed is seen.
const POLL: Duration = Duration::from_millis(100);
/// The least time between two rounds: what is committed meanwhile goes together.
const PAUSE: Duration = Duration::from_millis(5);
/// The most transactions of a round.
const A_ROUND: i64 = 2000;
/// How long it is known under which ids transactions were committed. Who waits for the outcome of one gives up long before.
const REMEMBERED: Duration = Duration::from_secs(3600);
/// The most of them that are forgotten at a time.
const FORGOTTEN_AT_ONCE: i64 = 10_000;
/// How often old commits are forgotten and the size of the database is measured.
const LOOK_AROUND_EVERY: Duration = Duration::from_secs(30);

/// The thread that does it.
pub(super) struct Sequencer {
    /// Guards what wakes the thread; taken out to end it.
    wake: Mutex<Option<Sender<()>>>,
    /// Guards the thread until somebody waits for it.
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Sequencer {
    /// `server`: a name that no server ever had.
    ///
    /// `size`: where the size of the database in bytes is kept.
    pub(super) fn start(connect: Connect, server: String, size: Arc<AtomicU64>) -> Result<Self, StoreError> {
        let (wake, woken) = bounded(1);
        let mut thread = SequencerThread { connect, server, connection: None, size, look_around: None };
        let thread = std::thread::Builder::new()
            .name("sequencer".into())
            .spawn(move || thread.serve(&woken))
            .map_err(|e| StoreError::Unavailable(format!("cannot start a thread: {e}")))?;
        Ok(Self { wake: Mutex::new(Some(wake)), thread: Mutex::new(Some(thread)) })
    }

    /// What it is woken with.
    pub(super) fn waker(&self) -> Option<Sender<()>> {
        self.wake.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Ends it after a last round. Every other [`Sequencer::waker`] must be gone by then.
    pub(super) fn close(&self) {
        drop(self.wake.lock().unwrap_or_else(PoisonError::into_inner).take());
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread
            && thread.thread().id() != std::thread::current().id()
            && thread.join().is_err()
        {
            tracing::error!("the sequencer panicked");
        }
    }
}

struct SequencerThread {
    connect: Connect,
    server: String,
    connection: Option<Connection>,
    size: Arc<AtomicU64>,
    /// When the sequencer looks around next.
    look_around: Option<Instant>,
}

impl SequencerThread {
    fn serve(&mut self, woken: &Receiver<()>) {
        let (mut last, mut failed) = (false, false);
        loop {
            let turn = self.rounds();
            // Each server says once that it cannot; the database is asked again soon.
            if let Err(error) = &turn
                && !failed
            {
                tracing::warn!(%error, "events cannot be put in order for now");
            }
            failed = turn.is_err();
            if last {
                return;
            }
            pause();
            // Whose turn it is does not change with what is committed here.
            let again = Instant::now() + POLL;
            last = loop {
                match woken.recv_deadline(again) {
                    Ok(()) if matches!(turn, Ok(Turn::Ours)) => break false,
                    Ok(()) => {}
                    Err(RecvTimeoutError::Timeout) => break false,
                    Err(RecvTimeoutError::Disconnected) => break true,
                }
            };
        }
    }

    /// Rounds until nothing is pending, or it is another server's turn.
    fn rounds(&mut self) -> Result<Turn, StoreError> {
        loop {
            let until = Instant::now() + self.connect.patience();
            let connection = self.connect.again(&mut self.connection, until, None)?;
            connection.limit_time(self.connect.patience().max(LEASE));
            // Also when something is pending all the time.
            if self.look_around.is_none_or(|at| Instant::now() >= at) {
                self.look_around = Some(look_around(connection, &self.size).unwrap_or_else(|error| {
                    tracing::debug!(%error, "old commits are not forgotten for now");
                    Instant::now() + LOOK_AROUND_EVERY
                }));
            }
            let tx: &mut dyn Tx = connection;
            if tx.find(FIND_PENDING, &[], |row| row.int(0))?.is_none() {
                return Ok(Turn::Ours);
            }
            connection.begin(Begin::Write);
            match round(connection, &self.server) {
                Ok(Turn::Ours) => {
                    connection.commit().map_err(|_| StoreError::Unavailable("a round was lost".into()))?
                }
                not => {
                    connection.roll_back();
                    return not;
                }
            }
        }
    }
}

/// Forgets old commits and measures the database. Answers when that is to be done again.
fn look_around(tx: &mut dyn Tx, size: &AtomicU64) -> Result<Instant, StoreError> {
    size.store(u64::try_from(tx.number(SIZE, &[])?).unwrap_or_default(), Ordering::Relaxed);
    let forgotten = tx.execute(FORGET, &[ms(REMEMBERED), FORGOTTEN_AT_ONCE.into()])?;
    let is_all = i64::try_from(forgotten).is_ok_and(|forgotten| forgotten < FORGOTTEN_AT_ONCE);
    Ok(Instant::now() + if is_all { LOOK_AROUND_EVERY } else { Duration::ZERO })
}

/// Whose turn it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    Ours,
    AnotherServers,
}

#[expect(clippy::disallowed_methods, reason = "the thread is the engine's own and has nothing else to do")]
fn pause() {
    std::thread::sleep(PAUSE);
}

fn ms(time: Duration) -> Param<'static> {
    Param::Int(i64::try_from(time.as_millis()).unwrap_or(i64::MAX))
}

/// Appends what is pending, if it is this server's turn.
fn round(tx: &mut dyn Tx, server: &str) -> Result<Turn, StoreError> {
    let Some(mut next) = tx.find(TAKE_TURN, &[server.into(), ms(LEASE)], |row| row.int(0))? else {
        return Ok(Turn::AnotherServers);
    };
    let pending = tx.list(LIST_PENDING, &[A_ROUND.into()], |row| Ok((row.int(0)?, row.int(1)?)))?;
    let draws: Vec<i64> = pending.iter().map(|(draw, _)| *draw).collect();
    let mut order = Vec::with_capacity(pending.len() * 3);
    for (draw, events) in &pending {
        next += events;
        order.extend([next - 1, draw * EVENTS_A_DRAW, *events].map(Param::Int));
    }
    tx.execute_many(APPEND, 3, &order)?;
    tx.execute(SETTLE, &[Param::Ids(&draws)])?;
    tx.execute(GO_ON, &[next.into()])?;
    Ok(Turn::Ours)
}

/// Whether there are events that wait for their positions.
pub(crate) fn has_pending(tx: &mut dyn Tx) -> Result<bool, StoreError> {
    Ok(tx.find(FIND_PENDING, &[], |row| row.int(0))?.is_some())
}

/// The position that the next event gets; nothing on an engine that takes the next key for it.
pub(crate) fn next_position(tx: &mut dyn Tx) -> Result<Option<i64>, StoreError> {
    tx.find(NEXT_POSITION, &[], |row| row.int(0))
}

/// Takes events into the order that come with their positions, lowest first, and answers the keys they are to have; nothing on an
/// engine where the positions are the keys.
pub(crate) fn place(tx: &mut dyn Tx, positions: &[i64]) -> Result<Option<Vec<i64>>, StoreError> {
    let runs: Vec<&[i64]> = positions.chunk_by(|before, next| before + 1 == *next).collect();
    let mut draws = tx.list(DRAW, &[count(&runs).into()], |row| row.int(0))?;
    if draws.len() < runs.len() {
        return Ok(None);
    }
    draws.sort_unstable();
    let mut order = Vec::with_capacity(runs.len() * 3);
    let mut keys = Vec::with_capacity(positions.len());
    for (run, draw) in runs.into_iter().zip(draws) {
        let (events, last) = (count(run), run.last().copied().unwrap_or_default());
        if events >= EVENTS_A_DRAW {
            return Err(StoreError::Defect(format!("{events} events at once")));
        }
        let first_id = draw * EVENTS_A_DRAW;
        order.extend([last, first_id, events].map(Param::Int));
        keys.extend(first_id + 1..=first_id + events);
    }
    tx.execute_many(APPEND, 3, &order)?;
    Ok(Some(keys))
}

fn count<T>(items: &[T]) -> i64 {
    i64::try_from(items.len()).unwrap_or(i64::MAX)
}

/// Sets the position that the next event gets.
pub(crate) fn go_on_from(tx: &mut dyn Tx, next: i64) -> Result<(), StoreError> {
    tx.execute(GO_ON, &[next.into()]).map(|_| ())
}
