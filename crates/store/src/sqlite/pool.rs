//! Read connections, taken and given back by the threads that serve requests.

use super::Options;
use super::connection::Connection;
use crate::StoreError;
use std::ops::{Deref, DerefMut};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub(super) struct Pool {
    options: Options,
    /// Guards the idle connections and the number of open ones.
    state: Mutex<State>,
    returned: Condvar,
}

struct State {
    idle: Vec<Connection>,
    open: usize,
}

impl Pool {
    pub(super) fn new(options: Options) -> Result<Self, StoreError> {
        // The first one now, so that a store that cannot be read is told at start.
        let idle = vec![Connection::open_reader(&options)?];
        Ok(Self { options, state: Mutex::new(State { idle, open: 1 }), returned: Condvar::new() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection, opened if need be; when all are out, the wait counts against the read's time.
    pub(super) fn take(&self, patience: Duration) -> Result<Lent<'_>, StoreError> {
        let mut state = self.state();
        if state.idle.is_empty() && state.open < self.options.readers {
            state.open += 1;
            drop(state);
            let opened = Connection::open_reader(&self.options).inspect_err(|_| self.state().open -= 1)?;
            return Ok(Lent { pool: self, connection: Some(opened) });
        }
        let waited = self.returned.wait_timeout_while(state, patience, |state| state.idle.is_empty());
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let late = StoreError::Deadline(u64::try_from(patience.as_millis()).unwrap_or(u64::MAX));
        let connection = state.idle.pop().ok_or(late)?;
        Ok(Lent { pool: self, connection: Some(connection) })
    }
}

/// A connection on loan; it goes back when this is dropped.
pub(super) struct Lent<'a> {
    pool: &'a Pool,
    /// Empty only while being dropped.
    connection: Option<Connection>,
}

impl Deref for Lent<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.connection.as_ref().expect("a connection on loan is there until the loan ends")
    }
}

impl DerefMut for Lent<'_> {
    fn deref_mut(&mut self) -> &mut Connection {
        self.connection.as_mut().expect("a connection on loan is there until the loan ends")
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        if let Some(mut connection) = self.connection.take() {
            // After a panic a transaction may still be open.
            connection.roll_back();
            connection.limit_time(None);
            self.pool.state().idle.push(connection);
            self.pool.returned.notify_one();
        }
    }
}
