//! Clients that write and read while a test makes trouble, each with a record of what it was told; and whether that is true.

use super::chance::Chance;
use super::home::{left_nothing, part_of, pause};
use super::trace::{Request, present};
use rollcall_store::{Store, StoreError, Tx};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// The longest a read may take: its time limit twice, for one that is tried again at its end, and some for a busy machine.
const READ_BOUND: Duration = Duration::from_secs(30);
/// The same for a write: until it is begun, once run, committed, and asked about.
const WRITE_BOUND: Duration = Duration::from_secs(100);

/// What the clients were told.
#[derive(Default)]
pub struct Told {
    pub acknowledged: BTreeSet<i64>,
    /// Those whose outcome the store could not find out.
    pub unknown: BTreeSet<i64>,
    /// Errors, and how often each came.
    pub errors: BTreeMap<String, usize>,
    pub slowest_write: Duration,
    pub slowest_read: Duration,
    pub reads: usize,
}

/// How far the clients are.
#[derive(Default)]
pub struct Progress {
    acknowledged: AtomicUsize,
    is_over: AtomicBool,
}

impl Progress {
    /// Writes acknowledged so far.
    pub fn acknowledged(&self) -> usize {
        self.acknowledged.load(Ordering::Relaxed)
    }
}

pub struct Load {
    pub writers: usize,
    pub readers: usize,
    pub seed: u64,
}

impl Load {
    /// Runs the clients on these servers in turn for as long as the trouble goes on.
    pub fn run(&self, stores: &[Store], trouble: impl FnOnce(&Progress)) -> Told {
        let progress = Progress::default();
        let over = OverWhenDropped(&progress);
        std::thread::scope(|scope| {
            let progress = &progress;
            let writers = (0..self.writers).map(|number| {
                let store = &stores[number % stores.len()];
                scope.spawn(move || self.write(store, number, progress))
            });
            let readers = (0..self.readers).map(|number| {
                let store = &stores[number % stores.len()];
                let chance = Chance::new(self.seed ^ u64::try_from(number).expect("fits"));
                scope.spawn(move || read(store, chance, progress))
            });
            let clients: Vec<_> = writers.chain(readers).collect();
            trouble(progress);
            drop(over);
            clients.into_iter().map(|client| client.join().expect("no client panics")).fold(Told::default(), Told::and)
        })
    }

    /// One write after the other, each with an id of its own; some are refused.
    fn write(&self, store: &Store, client: usize, progress: &Progress) -> Told {
        let mut told = Told::default();
        let first = i64::try_from(client + 1).expect("fits") * 1_000_000;
        for id in first.. {
            if progress.is_over.load(Ordering::Relaxed) {
                break;
            }
            let (request, is_refused) = (Request::new(id, self.seed), id % 10 == 9);
            let begun = Instant::now();
            let ended = store.write_blocking(move |tx| write_once(request, is_refused, tx));
            told.slowest_write = told.slowest_write.max(begun.elapsed());
            match ended {
                Ok(()) => {
                    told.acknowledged.insert(id);
                    progress.acknowledged.fetch_add(1, Ordering::Relaxed);
                }
                Err(StoreError::Unreadable(_)) if is_refused => {}
                Err(error) => {
                    *told.errors.entry(error.to_string()).or_default() += 1;
                    if matches!(error, StoreError::OutcomeUnknown(_)) {
                        told.unknown.insert(id);
                    } else {
                        assert!(left_nothing(&error), "{error}");
                    }
                }
            }
        }
        told
    }
}

struct OverWhenDropped<'a>(&'a Progress);

impl Drop for OverWhenDropped<'_> {
    fn drop(&mut self) {
        self.0.is_over.store(true, Ordering::Relaxed);
    }
}

fn write_once(request: Request, is_refused: bool, tx: &mut dyn Tx) -> Result<(), StoreError> {
    request.write(tx)?;
    if is_refused { Err(StoreError::Unreadable("refused on purpose".into())) } else { Ok(()) }
}

/// One read after the other: two statements that must see the same.
fn read(store: &Store, mut chance: Chance, progress: &Progress) -> Told {
    const COUNT: &str = "SELECT count(*) FROM audit";
    let mut told = Told::default();
    while !progress.is_over.load(Ordering::Relaxed) {
        let begun = Instant::now();
        let ended = store.read::<_, StoreError>(true, |tx| Ok((tx.number(COUNT, &[])?, tx.number(COUNT, &[])?)));
        told.slowest_read = told.slowest_read.max(begun.elapsed());
        match ended {
            Ok((before, after)) => assert_eq!(before, after, "a snapshot"),
            Err(error @ (StoreError::Unavailable(_) | StoreError::Deadline(_))) => {
                *told.errors.entry(format!("a read: {error}")).or_default() += 1;
            }
            Err(error) => panic!("{error}"),
        }
        told.reads += 1;
        pause(part_of(Duration::from_millis(20), &mut chance));
    }
    told
}

/// In numbers.
impl fmt::Debug for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Told")
            .field("acknowledged", &self.acknowledged.len())
            .field("unknown", &self.unknown.len())
            .field("slowest_write", &self.slowest_write)
            .field("reads", &self.reads)
            .field("slowest_read", &self.slowest_read)
            .field("errors", &self.errors)
            .finish()
    }
}

impl Told {
    fn and(mut self, other: Self) -> Self {
        self.acknowledged.extend(other.acknowledged);
        self.unknown.extend(other.unknown);
        for (error, count) in other.errors {
            *self.errors.entry(error).or_default() += count;
        }
        self.slowest_write = self.slowest_write.max(other.slowest_write);
        self.slowest_read = self.slowest_read.max(other.slowest_read);
        self.reads += other.reads;
        self
    }

    /// Every acknowledged write is there once and as a whole, and of those that ended in an error nothing; of one with an unknown
    /// outcome all or nothing.
    pub fn check(&self, store: &Store, seed: u64) {
        #[expect(clippy::print_stdout, reason = "shown together with a failure")]
        {
            println!("{self:#?}");
        }
        let found = present(store, seed);
        let lost: Vec<_> = self.acknowledged.difference(&found).collect();
        assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
        let uncalled: Vec<_> =
            found.iter().filter(|id| !self.acknowledged.contains(id) && !self.unknown.contains(id)).collect();
        assert!(uncalled.is_empty(), "there although they ended in an error: {uncalled:?}");
        assert!(self.slowest_write < WRITE_BOUND, "a write took {:?}", self.slowest_write);
        assert!(self.slowest_read < READ_BOUND, "a read took {:?}", self.slowest_read);
    }
}
