//! Does jobs, part by part. Each part is one transaction that first locks the job's row: a part is done once however many servers try,
//! and none after the job was called off. A server that dies leaves a lease that runs out; the next one goes on where it was.

use crate::access::Access;
use crate::context::{Caller, Limits};
use crate::job::{Explained, tell};
use crate::journal::Journal;
use crate::{Context, OpError, set_template, synchronization};
use rollcall_domain::id::JobId;
use rollcall_domain::job::{GRACE_MS, JobKind, JobStatus, MOST_OVERRUNS};
use rollcall_domain::moment::{Moment, Zone};
use rollcall_store::job::{self as store, Believed, Job, Lease};
use rollcall_store::{Store, StoreError, Tx};
use std::sync::Arc;
use std::time::Duration;

/// How long it is known what became of a job.
const REMEMBERED: Duration = Duration::from_secs(365 * 24 * 3600);
/// The most old jobs that are forgotten at a time.
const FORGOTTEN_AT_ONCE: usize = 100;

/// Gives an error its number and its words.
pub type Explain = fn(&OpError) -> Explained;

/// What a server does jobs with.
#[derive(Clone)]
pub struct Means {
    pub store: Store,
    pub zone: Arc<Zone>,
    pub clock: Arc<dyn Fn() -> Moment + Send + Sync>,
    pub explain: Explain,
    /// A name that no server ever had.
    pub holder: String,
    /// How long a job is left to a server that says nothing any more.
    pub lease: Duration,
}

/// Does one job after the other.
pub struct Runner {
    means: Means,
    /// The job that this runner is at.
    held: Option<JobId>,
}

/// What came of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// There is nothing to do.
    Idle,
    /// There may be more to do.
    Worked,
}

/// What came of a part.
enum Outcome {
    More,
    /// The job is over, or another's by now.
    Over,
}

impl Means {
    fn now(&self) -> Moment {
        (self.clock)()
    }

    fn until(&self, now: Moment) -> Moment {
        Moment(now.unix_ms().saturating_add(i64::try_from(self.lease.as_millis()).unwrap_or(i64::MAX)))
    }

    /// Work that a job does: in the name of the user who asked for it, and told of as the job's own.
    fn context(&self, job: &Job) -> Context {
        let caller = Caller {
            user: job.user.clone(),
            verified: job.user_verified,
            app_code: job.app_code.clone(),
            request_id: request_id(job.id),
        };
        Context {
            access: Access::unlimited(&caller.user),
            caller,
            now: self.now(),
            zone: self.zone.clone(),
            limits: Limits::default(),
            english: true,
            preview: None,
        }
    }
}

/// Under which id audit and events speak of what a job did.
pub fn request_id(job: JobId) -> String {
    format!("job:{job}")
}

impl Runner {
    /// One that is at no job.
    pub fn new(means: Means) -> Self {
        Self { means, held: None }
    }

    /// Does the next part of the job it is at, or of the one that has waited longest and that nobody is at. An error means that the store
    /// cannot go on for now: the part is tried again.
    pub async fn step(&mut self) -> Result<Step, StoreError> {
        let id = match self.held {
            Some(id) => id,
            None => match self.claim().await? {
                Some(id) => id,
                None => return Ok(Step::Idle),
            },
        };
        self.held = Some(id);
        let means = self.means.clone();
        match self.means.store.write(move |tx| do_part(&means, tx, id)).await {
            Ok(Outcome::More) => {}
            Ok(Outcome::Over) => self.held = None,
            Err(OpError::Store(error)) if may_pass(&error) => return Err(error),
            Err(error) => self.fail(id, error).await?,
        }
        Ok(Step::Worked)
    }

    /// The job it is at.
    pub fn job(&self) -> Option<JobId> {
        self.held
    }

    /// Lets go of the job it is at, so that another server need not wait for the lease to run out.
    pub async fn close(self) -> Result<(), StoreError> {
        let Some(id) = self.held else { return Ok(()) };
        let means = self.means.clone();
        let let_go = move |tx: &mut dyn Tx| match store::lock_held(tx, id, &means.holder)? {
            None => Ok::<_, StoreError>(()),
            Some(job) => store::settle(tx, &[Job { status: JobStatus::Waiting, ..job }]),
        };
        self.means.store.write(let_go).await
    }

    /// Forgets what ended long ago, some of it at a time.
    pub async fn forget(&self) -> Result<(), StoreError> {
        while self.forget_some().await? == FORGOTTEN_AT_ONCE {}
        Ok(())
    }

    /// How many jobs it found that are to be forgotten. Those are gone afterwards, or go on again.
    async fn forget_some(&self) -> Result<usize, StoreError> {
        let before = self.means.now().unix_ms() - i64::try_from(REMEMBERED.as_millis()).unwrap_or(i64::MAX);
        let old = move |tx: &mut dyn Tx| store::list_old(tx, Moment(before), FORGOTTEN_AT_ONCE);
        let old = self.means.store.read_async(false, old).await?;
        let found = old.len();
        if found > 0 {
            // Jobs that were set going again meanwhile are not forgotten.
            self.means.store.write(move |tx| store::forget(tx, &old)).await?;
        }
        Ok(found)
    }

    async fn claim(&self) -> Result<Option<JobId>, StoreError> {
        let now = self.means.now();
        let (holder, until) = (self.means.holder.clone(), self.means.until(now));
        // No server whose clock is near this one's promises more. Where clocks are further apart, servers take jobs from each other between
        // two parts, which costs a little and does no harm.
        let believed = Believed { from: now, until: Moment(until.unix_ms().saturating_add(GRACE_MS)) };
        // Most of the time there is nothing to do, and nobody should have to write to learn that.
        if self.means.store.read_async(false, move |tx| store::find_free(tx, believed)).await?.is_none() {
            return Ok(None);
        }
        let claim = move |tx: &mut dyn Tx| store::claim(tx, believed, Lease { holder: &holder, until });
        self.means.store.write(claim).await
    }

    /// Keeps why the next part of a job could not be done. One that took longer than a write may is tried again some times before: what
    /// it had to wait for may be gone then.
    async fn fail(&mut self, id: JobId, error: OpError) -> Result<(), StoreError> {
        let explained = (self.means.explain)(&error);
        let (means, response) = (self.means.clone(), explained.json());
        let overran = matches!(&error, OpError::Store(StoreError::TooLong(_)));
        let ended = move |tx: &mut dyn Tx| {
            let Some(job) = store::lock_held(tx, id, &means.holder)? else { return Ok((None, Outcome::Over)) };
            let Some(part) = store::next_part(tx, id)? else { return Ok((None, end(&means, tx, job)?)) };
            let failed = !overran || part.overruns + 1 >= MOST_OVERRUNS;
            if failed {
                store::end_part(tx, id, part.number, Some(&response))?;
            } else {
                store::count_overrun(tx, id, part.number)?;
            }
            let told = Some((part.number, failed));
            if failed && !(job.kind.goes_on() && store::next_part(tx, id)?.is_some()) {
                return Ok((told, end(&means, tx, job)?));
            }
            let now = means.now();
            store::keep(tx, id, now, means.until(now))?;
            Ok::<_, StoreError>((told, Outcome::More))
        };
        let words = &explained.english;
        let (told, outcome) = match self.means.store.write(ended).await {
            Ok(ended) => ended,
            // Such a small write did not take long by itself.
            Err(error) if may_pass(&error) || matches!(error, StoreError::TooLong(_)) => return Err(error),
            Err(cause) => {
                // Others are not to wait for a job that cannot even be failed.
                self.held = None;
                tracing::error!(job.id = %id, %cause, "job {id} cannot be read and is left alone: {words}");
                return Ok(());
            }
        };
        if matches!(outcome, Outcome::Over) {
            self.held = None;
        }
        match (told, &error) {
            (None, _) => {}
            (Some((part, false)), _) => {
                tracing::warn!(job.id = %id, part, "part {part} of job {id} is tried again: {words}");
            }
            (Some((part, true)), OpError::Store(cause)) => {
                tracing::error!(job.id = %id, part, %cause, "part {part} of job {id} failed: {words}");
            }
            (Some((part, true)), _) => {
                tracing::info!(job.id = %id, part, code = explained.code, "part {part} of job {id} failed: {words}");
            }
        }
        Ok(())
    }
}

/// Errors of the store after which the same part may well succeed.
fn may_pass(error: &StoreError) -> bool {
    match error {
        StoreError::Busy
        | StoreError::Closed
        | StoreError::Conflict(_)
        | StoreError::Deadline(_)
        | StoreError::OutcomeUnknown(_)
        | StoreError::Unavailable(_) => true,
        // Not for ever, see `Runner::fail`.
        StoreError::TooLong(_) => false,
        StoreError::Unique(_) | StoreError::Unreadable(_) | StoreError::Defect(_) => false,
    }
}

fn do_part(means: &Means, tx: &mut dyn Tx, id: JobId) -> Result<Outcome, OpError> {
    let Some(job) = store::lock_held(tx, id, &means.holder)? else { return Ok(Outcome::Over) };
    let Some(part) = store::next_part(tx, id)? else { return Ok(end(means, tx, job)?) };
    let context = means.context(&job);
    let left = match job.kind {
        JobKind::ServiceTemplate => synchronization::do_part(&context, tx, &job, &part.content)?,
        JobKind::SetTemplate => {
            set_template::do_part(&context, tx, &job, &part.content)?;
            None
        }
    };
    match left {
        Some(left) => store::leave_part(tx, id, part.number, &left)?,
        None => store::end_part(tx, id, part.number, None)?,
    }
    if store::next_part(tx, id)?.is_none() {
        return Ok(end(means, tx, job)?);
    }
    let now = means.now();
    store::keep(tx, id, now, means.until(now))?;
    Ok(Outcome::More)
}

/// The job is over: finished, unless a part failed.
fn end(means: &Means, tx: &mut dyn Tx, job: Job) -> Result<Outcome, StoreError> {
    let context = means.context(&job);
    let failed = store::progress(tx, &[job.id])?.get(&job.id).is_some_and(|progress| progress.failed > 0);
    let status = if failed { JobStatus::Failure } else { JobStatus::Finished };
    let ended = Job { status, changed: context.now, ..job.clone() };
    store::settle(tx, std::slice::from_ref(&ended))?;
    let mut journal = Journal::default();
    tell(&context, &mut journal, Some(&job), &ended);
    journal.write(&context, tx)?;
    Ok(Outcome::Over)
}
