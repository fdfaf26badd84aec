//! Runners of a store's jobs, each a server of its own, that do a step when a test wants it. Their clocks stand still.

use super::TestApp;
use rollcall_app::OpError;
use rollcall_app::job::Explained;
use rollcall_app::runner::{Means, Runner, Step};
use rollcall_domain::moment::{Moment, Zone};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

/// How long a job is left to a runner that says nothing any more.
pub const LEASE: Duration = Duration::from_secs(10);

pub struct Runners {
    means: Means,
    now: Arc<AtomicI64>,
    runtime: tokio::runtime::Runtime,
}

fn explain(error: &OpError) -> Explained {
    Explained {
        code: i64::from(matches!(error, OpError::Failed(_))),
        english: format!("{error:?}"),
        chinese: String::new(),
    }
}

impl Runners {
    pub fn of(app: &TestApp) -> Self {
        // New jobs are left alone for a moment.
        let now = Arc::new(AtomicI64::new(super::now().unix_ms() + 1000));
        let means = Means {
            store: app.store.clone(),
            zone: Arc::new(Zone::named(Zone::DEFAULT_NAME).unwrap()),
            clock: Arc::new(|| Moment(0)),
            explain,
            holder: String::new(),
            lease: LEASE,
        };
        Self { means, now, runtime: tokio::runtime::Builder::new_current_thread().build().unwrap() }
    }

    pub fn runner(&self, holder: &str) -> Runner {
        self.with_clock(holder, 0)
    }

    /// One whose clock shows so many milliseconds more than those of the others.
    pub fn with_clock(&self, holder: &str, ahead: i64) -> Runner {
        let now = self.now.clone();
        let clock = Arc::new(move || Moment(now.load(Ordering::Relaxed) + ahead));
        Runner::new(Means { holder: holder.into(), clock, ..self.means.clone() })
    }

    pub fn step(&self, runner: &mut Runner) -> Step {
        self.run(runner.step()).unwrap()
    }

    pub fn run<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    /// Steps until there is nothing left to do; how many steps found something.
    pub fn finish(&self, runner: &mut Runner) -> usize {
        (0..1000).find(|_| self.step(runner) == Step::Idle).expect("it comes to an end")
    }

    /// Time passes on all clocks.
    pub fn pass(&self, time: Duration) {
        self.now.fetch_add(i64::try_from(time.as_millis()).unwrap(), Ordering::Relaxed);
    }

    /// Time goes back on all clocks.
    pub fn go_back(&self, time: Duration) {
        self.now.fetch_sub(i64::try_from(time.as_millis()).unwrap(), Ordering::Relaxed);
    }

    /// Lets so much time pass that whatever was asked for by now is left alone no more.
    pub fn catch_up(&self) {
        self.now.fetch_max(super::now().unix_ms() + 1000, Ordering::Relaxed);
    }
}
