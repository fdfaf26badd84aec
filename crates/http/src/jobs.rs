//! Keeps a [`Runner`] going beside the requests: it looks for jobs when a request has asked for one, and every second, since another
//! server may have left some.

use crate::envelope::Outcome;
use crate::language::Language;
use crate::state::State;
use rollcall_app::OpError;
use rollcall_app::job::Explained;
use rollcall_app::runner::{Means, Runner, Step};
use rollcall_domain::job::GRACE_MS;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

/// How often jobs of other servers are looked for.
const POLL: Duration = Duration::from_secs(1);
/// A little longer than new jobs are left alone.
const GRACE: Duration = Duration::from_millis(GRACE_MS.unsigned_abs() + 20);
/// How long a runner waits when the store cannot go on.
const PAUSE: Duration = Duration::from_secs(1);
/// How often jobs that ended long ago are looked for.
const FORGET_EVERY: Duration = Duration::from_secs(3600);

/// The number and the words of an error, as the doors give them.
pub(crate) fn explain(error: &OpError) -> Explained {
    let words = |language| Outcome::of_error(error, false, language);
    let (english, chinese) = (words(Language::English), words(Language::Chinese));
    Explained { code: english.code, english: english.message, chinese: chinese.message }
}

/// A request has asked for jobs, and they may be begun. `due`: from when on; it is kept when something else is waited for meanwhile, or
/// the jobs would wait until they are looked for.
async fn asked(jobs_asked: &Notify, due: &mut Option<Instant>) {
    let at = match *due {
        Some(at) => at,
        None => {
            jobs_asked.notified().await;
            *due.insert(Instant::now() + GRACE)
        }
    };
    tokio::time::sleep_until(at).await;
    *due = None;
}

/// Does jobs until `stopped` says so; the part that is being done is finished first.
pub(crate) async fn run(state: Arc<State>, mut stopped: watch::Receiver<bool>) {
    let mut runner = Runner::new(Means {
        store: state.store.clone(),
        zone: state.zone.clone(),
        clock: state.clock.clone(),
        explain,
        holder: crate::door::new_name(),
        lease: state.settings.jobs.lease,
    });
    let mut forgot: Option<Instant> = None;
    let mut failing = false;
    let mut due = None;
    while !*stopped.borrow() {
        let step = runner.step().await;
        if let Err(error) = &step
            && !failing
        {
            match runner.job() {
                Some(id) => tracing::warn!(job.id = %id, %error, "job {id} cannot go on for now"),
                None => tracing::warn!(%error, "jobs cannot be looked for now"),
            }
        }
        failing = step.is_err();
        let wait = match step {
            Ok(Step::Worked) => continue,
            Ok(Step::Idle) => POLL,
            Err(_) => PAUSE,
        };
        if !failing && forgot.is_none_or(|last| last.elapsed() >= FORGET_EVERY) {
            forgot = Some(Instant::now());
            if let Err(error) = runner.forget().await {
                tracing::warn!(%error, "old jobs could not be forgotten");
            }
        }
        tokio::select! {
            _ = stopped.changed() => {}
            () = asked(&state.jobs_asked, &mut due), if !failing => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
    if let Some(id) = runner.job()
        && let Err(error) = runner.close().await
    {
        tracing::warn!(job.id = %id, %error, "job {id} stays taken until its lease runs out");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rollcall_store::StoreError;

    /// The poll of every second may fall into the time that a new job is left alone.
    #[tokio::test]
    async fn a_job_that_was_asked_for_is_not_forgotten_while_it_is_left_alone() {
        let (jobs_asked, mut due) = (Notify::new(), None);
        jobs_asked.notify_one();
        tokio::select! {
            biased;
            () = asked(&jobs_asked, &mut due) => panic!("it is left alone first"),
            () = std::future::ready(()) => {}
        }
        assert!(due.is_some());
        // Nobody asks again.
        asked(&jobs_asked, &mut due).await;
        assert_eq!(due, None);
    }

    #[test]
    fn a_part_that_takes_too_long_has_words_of_its_own() {
        let explained = explain(&OpError::Store(StoreError::TooLong(20_000)));
        assert_eq!((explained.code, explained.english.as_str()), (1_199_901, "the write took longer than 20000 ms"));
        assert_eq!(explained.chinese, "写入超过 20000 毫秒");
    }
}
