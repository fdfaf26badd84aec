//! Numbers that no other server gives out: blocks of them are fetched beside the transactions that use them, so that nobody waits
//! for a counter's row until somebody else has committed. What is left of a block when a server ends is never used.

use super::connect::{Connect, Pause};
use super::connection::{Begin, Connection, NotCommitted};
use crate::{StoreError, Tx, sequence};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The smallest and the largest block that is fetched.
const SMALLEST: i64 = 16;
const LARGEST: i64 = 8192;
/// A block that lasted for a shorter time is followed by a larger one, one that lasted much longer by a smaller one.
const BLOCK_LASTS: Duration = Duration::from_secs(1);

pub(super) struct Ids {
    /// Guards what is left of the blocks, and the connection that fetches them.
    state: Mutex<State>,
    patience: Duration,
    /// What makes the ids of this server's commits its own.
    server: String,
    commits: AtomicU64,
}

struct State {
    connect: Connect,
    connection: Option<Connection>,
    blocks: HashMap<&'static str, Block>,
}

#[derive(Clone, Copy)]
struct Block {
    next: i64,
    end: i64,
    size: i64,
    fetched: Instant,
}

impl Ids {
    /// `server`: a name that no server ever had.
    pub(super) fn new(connect: Connect, server: String) -> Self {
        let patience = connect.patience();
        let state = State { connect, connection: None, blocks: HashMap::new() };
        Self { state: Mutex::new(state), patience, server, commits: AtomicU64::new(0) }
    }

    /// Until when numbers are waited for; also while somebody else waits for theirs, so that it does not add up.
    fn until(&self) -> Instant {
        Instant::now() + self.patience
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An id for a commit.
    pub(super) fn next_commit_id(&self) -> String {
        format!("{}-{}", self.server, self.commits.fetch_add(1, Ordering::Relaxed))
    }

    /// Takes `count` numbers in a row.
    pub(super) fn take(&self, counter: &'static str, count: i64) -> Result<i64, StoreError> {
        let until = self.until();
        let mut state = self.state();
        let now = Instant::now();
        let last = state.blocks.get(counter).copied();
        if let Some(block) = last
            && block.end - block.next >= count
        {
            state.blocks.insert(counter, Block { next: block.next + count, ..block });
            return Ok(block.next);
        }
        if now >= until {
            return Err(StoreError::Busy);
        }
        let size = last.map_or(SMALLEST, |block| {
            let lasted = now.duration_since(block.fetched);
            if lasted < BLOCK_LASTS {
                (block.size * 4).min(LARGEST)
            } else if lasted > BLOCK_LASTS * 16 {
                (block.size / 4).max(SMALLEST)
            } else {
                block.size
            }
        });
        let fetch = size.max(count);
        let first = state.run(until, |tx| sequence::take_from_row(tx, counter, fetch))?;
        // A block that follows the one before makes one with what is left of that.
        let next = match last {
            Some(block) if block.end == first => block.next,
            _ => first,
        };
        let block = Block { next: next + count, end: first + fetch, size, fetched: now };
        state.blocks.insert(counter, block);
        Ok(next)
    }

    /// Makes sure that no number up to and including this one is given out by this server or by one that fetches its blocks later.
    pub(super) fn reserve(&self, counter: &'static str, id: i64) -> Result<(), StoreError> {
        let until = self.until();
        let mut state = self.state();
        state.run(until, |tx| sequence::reserve_in_row(tx, counter, id))?;
        state.blocks.remove(counter);
        Ok(())
    }
}

impl State {
    /// Runs something in a transaction of its own. Numbers that are lost on the way are used by nobody.
    fn run<T>(&mut self, until: Instant, work: impl Fn(&mut dyn Tx) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let mut pause = Pause::new();
        loop {
            let connection = self.connect.again(&mut self.connection, until, None)?;
            connection.limit_time(until.saturating_duration_since(Instant::now()));
            connection.begin(Begin::Write);
            let error = match work(connection) {
                Ok(done) => match connection.commit() {
                    Ok(()) => return Ok(done),
                    Err(NotCommitted::Failed(error)) => error,
                    Err(NotCommitted::Lost) => StoreError::Unavailable("the connection was lost".into()),
                    Err(NotCommitted::Unknown { why, .. }) => StoreError::Unavailable(why),
                },
                Err(error) => error,
            };
            let may_pass =
                connection.lost().is_some() || connection.met_unique() || matches!(error, StoreError::Conflict(_));
            connection.roll_back();
            if !may_pass || Instant::now() >= until {
                return Err(match error {
                    // Whoever holds the counter keeps it for long.
                    StoreError::Deadline(_) => StoreError::Busy,
                    error => error,
                });
            }
            pause.wait();
        }
    }
}
