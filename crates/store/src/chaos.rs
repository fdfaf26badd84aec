//! An engine that makes trouble, for tests of everything above the store: units of work are run again though nothing was wrong,
//! as any engine may do after a conflict. Work that sends, counts or keeps something between its runs is found out.

use crate::engine::{Engine, ReadRun, Stop, Tx, Work};
use crate::{Store, StoreError, TimeLimits};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The most troubles of one unit of work. Engines give up on work that conflicts more often than they try it.
const MOST_TROUBLES: u64 = 3;

/// What happens to a run of a unit of work.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Trouble {
    /// It conflicts before its first statement.
    AtStart,
    /// It is run to its end, whatever that is, and then rolled back.
    AtEnd,
}

/// An engine around another one. See the module.
pub struct ChaosEngine {
    inner: Arc<dyn Engine>,
    /// Guards the state of the random numbers.
    chance: Mutex<u64>,
    troubles: Arc<AtomicUsize>,
}

impl ChaosEngine {
    /// Trouble for this engine; the same seed and the same order of requests give the same troubles.
    pub fn new(inner: Arc<dyn Engine>, seed: u64) -> Self {
        Self { inner, chance: Mutex::new(seed), troubles: Arc::new(AtomicUsize::new(0)) }
    }

    /// A store on this engine.
    pub fn store(inner: Arc<dyn Engine>, seed: u64) -> Store {
        Store::new(Arc::new(Self::new(inner, seed)), TimeLimits::default())
    }

    /// How many runs were in vain so far: a test that saw none has shown nothing.
    pub fn troubles(&self) -> usize {
        self.troubles.load(Ordering::Relaxed)
    }

    /// SplitMix64.
    fn random(&self) -> u64 {
        let mut state = self.chance.lock().unwrap_or_else(PoisonError::into_inner);
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = *state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// The troubles of the next unit of work, the last one first.
    fn draw(&self) -> Vec<Trouble> {
        let count = self.random() % (MOST_TROUBLES + 1);
        (0..count).map(|_| if self.random().is_multiple_of(3) { Trouble::AtStart } else { Trouble::AtEnd }).collect()
    }
}

fn conflict() -> Stop {
    Stop::Failed(StoreError::Conflict("made up by the chaos engine".into()))
}

impl Engine for ChaosEngine {
    fn read(&self, snapshot: bool, deadline: Duration, work: &mut ReadRun<'_>) -> Result<(), Stop> {
        if self.random().is_multiple_of(2) {
            self.troubles.fetch_add(1, Ordering::Relaxed);
            // What it answers is forgotten; the second run tells.
            let _ = self.inner.read(snapshot, deadline, work);
        }
        self.inner.read(snapshot, deadline, work)
    }

    fn reads_here(&self) -> bool {
        self.inner.reads_here()
    }

    fn read_apart(&self, snapshot: bool, deadline: Duration, work: Work) {
        let Work { mut run, done, expires } = work;
        let mut again = self.random().is_multiple_of(2);
        self.troubles.fetch_add(usize::from(again), Ordering::Relaxed);
        let run = Box::new(move |tx: &mut dyn Tx| {
            if std::mem::take(&mut again) {
                let _ = run(tx);
            }
            run(tx)
        });
        self.inner.read_apart(snapshot, deadline, Work { run, done, expires });
    }

    fn write(&self, work: Work) {
        let Work { mut run, done, expires } = work;
        let mut ahead = self.draw();
        let troubles = self.troubles.clone();
        let run = Box::new(move |tx: &mut dyn Tx| {
            let Some(trouble) = ahead.pop() else {
                return run(tx);
            };
            troubles.fetch_add(1, Ordering::Relaxed);
            if trouble == Trouble::AtEnd {
                // Also a refusal may have come from a state that another transaction changes.
                let _ = run(tx);
            }
            Err(conflict())
        });
        self.inner.write(Work { run, done, expires });
    }

    fn size_bytes(&self) -> u64 {
        self.inner.size_bytes()
    }

    fn close(&self) {
        self.inner.close();
    }
}
