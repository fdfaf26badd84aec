//! Connections again and again, as long as that may help.

use super::address::Address;
use super::connection::Connection;
use super::ids::Ids;
use crate::StoreError;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The first and the longest pause between two attempts.
const SHORTEST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// How to reach the database, and for how long to try.
#[derive(Clone)]
pub(super) struct Connect {
    address: Arc<Address>,
    patience: Duration,
}

impl Connect {
    pub(super) fn new(address: Address, patience: Duration) -> Self {
        Self { address: Arc::new(address), patience }
    }

    /// For how long a unit of work may wait for a database that is not there.
    pub(super) fn patience(&self) -> Duration {
        self.patience
    }

    /// The connection of a slot; a new one when there is none or it was lost.
    pub(super) fn again<'a>(
        &self,
        slot: &'a mut Option<Connection>,
        until: Instant,
        ids: Option<&Arc<Ids>>,
    ) -> Result<&'a mut Connection, StoreError> {
        let kept = slot.take().filter(|connection| connection.lost().is_none());
        let connection = match kept {
            Some(connection) => connection,
            None => self.open(until, ids)?,
        };
        Ok(slot.insert(connection))
    }

    fn open(&self, until: Instant, ids: Option<&Arc<Ids>>) -> Result<Connection, StoreError> {
        let until = until.min(Instant::now() + self.patience);
        let mut pause = Pause::new();
        loop {
            let left = until.saturating_duration_since(Instant::now()).max(SHORTEST_PAUSE);
            match Connection::open(&self.address, left, ids.cloned()) {
                Ok(connection) => return Ok(connection),
                Err(error) if !error.may_retry || Instant::now() + pause.next >= until => {
                    return Err(StoreError::Unavailable(error.text));
                }
                Err(_) => pause.wait(),
            }
        }
    }
}

/// Pauses between attempts, each about twice as long as the one before.
pub(super) struct Pause {
    next: Duration,
}

impl Pause {
    pub(super) fn new() -> Self {
        Self { next: SHORTEST_PAUSE }
    }

    #[expect(clippy::disallowed_methods, reason = "the thread is the engine's own and has nothing else to do")]
    pub(super) fn wait(&mut self) {
        // Those who met at one row shall not meet again.
        let part = rand::random_range(0.5..1.0);
        std::thread::sleep(self.next.mul_f64(part));
        self.next = (self.next * 2).min(LONGEST_PAUSE);
    }
}
