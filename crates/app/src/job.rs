//! Jobs: synchronizations that go on after the answer. Operations ask for them ([`submit`]), call them off and set them going again; the
//! [`crate::runner`] does them. What a job is about is known where its work is done.

use crate::access::right;
use crate::journal::{Change, Journal};
use crate::operation::Serve;
use crate::request::{bounded, business_of, check_count, check_most};
use crate::{Context, OpError, Reply};
use rollcall_domain::fault::{Cause, Failure, Fault, Reason, quoted};
use rollcall_domain::id::{BusinessId, JobId};
use rollcall_domain::job::{JobKind, JobStatus, MAX_REASON, task_id};
use rollcall_domain::json::{Decode, Decoder, FieldPath, JsonWriter, Limits, Schema, parse};
use rollcall_domain::moment::Moment;
use rollcall_domain::page::PageIn;
use rollcall_domain::wire_input;
use rollcall_store::event::EventKind;
use rollcall_store::job::{self as store, Job, Listed, NewJob, OfTargets, Window};
use rollcall_store::sequence::{self, Sequence};
use rollcall_store::{StoreError, Tx};
use std::collections::{BTreeSet, HashMap, HashSet};

/// The most jobs one call steers or names.
const MAX_PER_CALL: usize = 100;

/// Why a part could not be done, in both languages.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Explained {
    pub code: i64,
    pub english: String,
    pub chinese: String,
}

impl Explained {
    pub(crate) fn json(&self) -> String {
        let mut out = JsonWriter::with_capacity(64 + self.english.len() + self.chinese.len());
        out.raw("{").key("code").int(self.code);
        out.key("english").text(&self.english).key("chinese").text(&self.chinese).raw("}");
        out.finish()
    }

    /// Reads what a part was ended with.
    pub(crate) fn read(json: &str) -> Option<Self> {
        serde_json::from_str(json).ok()
    }
}

/// What a job is to do to one target.
pub(crate) struct Target {
    /// The module or set.
    pub(crate) id: i64,
    /// Where in the request it is named.
    pub(crate) at: FieldPath,
    /// What each part is about: JSON texts.
    pub(crate) parts: Vec<String>,
}

/// Asks for a job for each target. Refused as a whole when one of them has a job that is not ended (1117008).
pub(crate) fn submit(
    context: &Context,
    tx: &mut dyn Tx,
    kind: JobKind,
    (business_id, template_id): (BusinessId, i64),
    mut targets: Vec<Target>,
    journal: &mut Journal,
) -> Result<(), OpError> {
    check_none_under_way(tx, kind, targets.iter().map(|target| (target.id, &target.at)))?;
    // Who asks for some of the same at the same time waits for the first of them, and not each for the other.
    targets.sort_unstable_by_key(|target| target.id);
    let first = sequence::take(tx, Sequence::Job, targets.len())?;
    let jobs: Vec<_> = targets
        .into_iter()
        .zip(first..)
        .map(|(target, id)| {
            let job = Job {
                id: JobId(id),
                business_id,
                kind,
                target_id: target.id,
                template_id,
                status: JobStatus::New,
                user: context.caller.user.clone(),
                user_verified: context.caller.verified,
                app_code: context.caller.app_code.clone(),
                request_id: context.caller.request_id.clone(),
                created: context.now,
                changed: context.now,
                reason: String::new(),
            };
            NewJob { job, parts: target.parts }
        })
        .collect();
    // Who asks for the same at the same time has to run again, and is told by the rule above.
    store::insert(tx, &jobs)?;
    for NewJob { job, .. } in &jobs {
        tell(context, journal, None, job);
    }
    Ok(())
}

/// What a part is about, as whoever asked for the job wrote it down.
pub(crate) fn read_content<T: Decode>(json: &str) -> Result<T, StoreError> {
    let tree = parse(json.as_bytes(), Limits::default()).ok();
    let content = tree.and_then(|tree| Decoder::decode(tree, false).ok());
    content.ok_or_else(|| StoreError::Unreadable("the content of a part of a job".into()))
}

/// Refuses targets that have a job which is not ended (1117008). `targets`: with where in the request they are named.
pub(crate) fn check_none_under_way<'a>(
    tx: &mut dyn Tx,
    kind: JobKind,
    targets: impl Iterator<Item = (i64, &'a FieldPath)> + Clone,
) -> Result<(), OpError> {
    let ids: Vec<_> = targets.clone().map(|(id, _)| id).collect();
    let busy: HashSet<_> = store::list_unfinished(tx, kind, &ids)?.into_iter().collect();
    let busy = targets.filter(|(id, _)| busy.contains(id));
    let fault = |(id, at): (i64, &FieldPath)| Fault::new(Cause::JobUnderWay, at.clone()).named(format!("[{id}]"));
    Ok(Failure::check(busy.map(fault).collect())?)
}

/// Leaves an entry and an event about what became of a job.
pub(crate) fn tell(context: &Context, journal: &mut Journal, before: Option<&Job>, after: &Job) {
    let before = before.map(|job| document(context, job));
    journal.changed(Change {
        kind: EventKind::Job,
        business_id: after.business_id,
        id: after.id.get(),
        name: &task_id(after.id.get()),
        before: before.as_deref(),
        after: Some(&document(context, after)),
        update_fields: None,
    });
}

/// The wire object of a job, without how far it is.
fn document(context: &Context, job: &Job) -> String {
    let mut out = JsonWriter::with_capacity(384);
    out.raw("{");
    write_members(context, &mut out, job);
    out.raw("}");
    out.finish()
}

fn write_members(context: &Context, out: &mut JsonWriter, job: &Job) {
    out.key("job_id").int(job.id.get()).key("task_id").text(&task_id(job.id.get()));
    out.key("task_type").text(job.kind.wire()).key("bk_biz_id").int(job.business_id.get());
    out.key("bk_inst_id").int(job.target_id).key("template_id").int(job.template_id);
    out.key("status").text(job.status.wire()).key("creator").text(&job.user);
    out.key("request_id").text(&job.request_id).key("reason").text(&job.reason);
    out.key("create_time").text(&context.zone.rfc3339(job.created));
    out.key("last_time").text(&context.zone.rfc3339(job.changed));
}

/// The right to steer jobs of a kind is that to ask for them.
fn require_steering(context: &Context, kind: JobKind, business: BusinessId) -> Result<(), OpError> {
    match kind {
        JobKind::ServiceTemplate => context.access.require::<right::EditServiceInstance>(business).map(|_| ())?,
        JobKind::SetTemplate => context.access.require::<right::EditTopology>(business).map(|_| ())?,
    }
    Ok(())
}

wire_input! {
    /// What calling jobs off takes, and setting them going again.
    pub struct SteerJobs {
        /// The business of the jobs.
        pub business_id: i64 = "bk_biz_id",
        /// 1 to 100 jobs.
        pub ids: Vec<i64> = "job_ids",
        /// Why, up to 256 characters; kept with the job.
        pub reason: String = "reason",
    }
}

impl SteerJobs {
    /// The jobs, kept as they are until the end of the transaction: a part that is being done is waited for.
    fn lock(&self, context: &Context, tx: &mut dyn Tx) -> Result<Vec<Job>, OpError> {
        let business = business_of(self.business_id)?;
        // A caller with none of the rights learns nothing, not even what is wrong with the request.
        let refusals = JobKind::ALL.map(|kind| require_steering(context, kind, business));
        if refusals.iter().all(Result::is_err)
            && let Some(Err(refusal)) = refusals.into_iter().next()
        {
            return Err(refusal);
        }
        check_count("job_ids", "steer jobs", self.ids.len(), MAX_PER_CALL, Cause::NotSet)?;
        if self.reason.chars().count() > MAX_REASON {
            let reason = Reason::TooManyCharacters { max: MAX_REASON };
            return Err(Fault::new(Cause::ParamInvalid, "reason").because(reason).into());
        }
        let ids: BTreeSet<_> = self.ids.iter().copied().map(JobId).collect();
        let jobs = store::lock_many(tx, business, &ids.into_iter().collect::<Vec<_>>())?;
        let known: HashSet<_> = jobs.iter().map(|job| job.id.get()).collect();
        let unknown = self.ids.iter().enumerate().filter(|(_, id)| !known.contains(id));
        Failure::check(unknown.map(|(i, id)| Fault::absent(Cause::NotFound, self.at(i), id)).collect())?;
        for job in &jobs {
            require_steering(context, job.kind, business)?;
        }
        Ok(jobs)
    }

    fn at(&self, i: usize) -> FieldPath {
        FieldPath::of("job_ids").index(i)
    }

    fn place(&self, id: JobId) -> FieldPath {
        self.at(self.ids.iter().position(|other| *other == id.get()).unwrap_or_default())
    }

    /// Refuses jobs that are over, or those that are not.
    fn refuse(&self, jobs: &[Job], is_over: bool) -> Result<(), Failure> {
        let wrong = jobs.iter().filter(|job| job.status.is_open() != is_over);
        let fault =
            |job: &Job| Fault::new(Cause::ParamUnusable, self.place(job.id)).because(Reason::JobIsOver { is_over });
        Failure::check(wrong.map(fault).collect())
    }

    /// Gives jobs another status.
    fn settle(&self, context: &Context, tx: &mut dyn Tx, jobs: &[Job], status: JobStatus) -> Result<(), OpError> {
        let settled: Vec<_> = jobs
            .iter()
            .map(|job| Job { status, changed: context.now, reason: self.reason.clone(), ..job.clone() })
            .collect();
        store::settle(tx, &settled)?;
        let mut journal = Journal::default();
        for (before, after) in jobs.iter().zip(&settled) {
            tell(context, &mut journal, Some(before), after);
        }
        Ok(journal.write(context, tx)?)
    }
}

/// Calls jobs off: parts that are done stay done, the others are left.
#[derive(Debug)]
pub struct CancelJobs(SteerJobs);

crate::operation::decode_through!(CancelJobs, SteerJobs, Self);

impl Serve for CancelJobs {
    fn output() -> Schema {
        Schema::Null
    }

    fn serve(&self, context: &Context, tx: &mut dyn Tx) -> Result<Reply, OpError> {
        let jobs = self.0.lock(context, tx)?;
        self.0.refuse(&jobs, true)?;
        self.0.settle(context, tx, &jobs, JobStatus::Cancelled)?;
        Ok(Reply::null())
    }
}

/// Sets jobs going again that failed or were called off: what is not done yet is done, with the hosts the jobs were made for.
#[derive(Debug)]
pub struct RetryJobs(SteerJobs);

crate::operation::decode_through!(RetryJobs, SteerJobs, Self);

impl Serve for RetryJobs {
    fn output() -> Schema {
        Schema::Null
    }

    fn serve(&self, context: &Context, tx: &mut dyn Tx) -> Result<Reply, OpError> {
        let jobs = self.0.lock(context, tx)?;
        self.0.refuse(&jobs, false)?;
        let finished = jobs.iter().filter(|job| job.status == JobStatus::Finished);
        let fault = |job: &Job| {
            Fault::new(Cause::ParamUnusable, self.0.place(job.id)).because(Reason::JobIsOver { is_over: true })
        };
        Failure::check(finished.map(fault).collect())?;
        let mut faults = Vec::new();
        for kind in JobKind::ALL {
            let of_kind: Vec<_> = jobs.iter().filter(|job| job.kind == kind).collect();
            if of_kind.is_empty() {
                continue;
            }
            let targets: Vec<_> = of_kind.iter().map(|job| job.target_id).collect();
            let mut busy: HashSet<_> = store::list_unfinished(tx, kind, &targets)?.into_iter().collect();
            for job in of_kind {
                // Two jobs of one target cannot go on side by side either.
                if !busy.insert(job.target_id) {
                    let fault = Fault::new(Cause::JobUnderWay, self.0.place(job.id));
                    faults.push(fault.named(format!("[{}]", job.target_id)));
                }
            }
        }
        Failure::check(faults)?;
        store::renew_parts(tx, &jobs.iter().map(|job| job.id).collect::<Vec<_>>())?;
        self.0.settle(context, tx, &jobs, JobStatus::Waiting)?;
        Ok(Reply::null())
    }
}

wire_input! {
    /// What the list of jobs takes.
    pub struct ListJobs {
        /// The business.
        pub business_id: i64 = "bk_biz_id",
        /// Only these, up to 100; empty: any.
        pub ids: Vec<i64> = "job_ids",
        /// Only those of this kind.
        pub kind: String = "task_type",
        /// Only those of these modules or sets, up to 100; needs `task_type`.
        pub target_ids: Vec<i64> = "bk_inst_ids",
        /// Only those with one of these: new, waiting, executing, finished, failure, cancelled.
        pub status: Vec<String> = "status",
        /// The page; missing: all.
        pub page: Option<PageIn> = "page",
    }
}

/// The words of [`JobKind`] and [`JobStatus`], for messages.
const KINDS: &str = "service_template_sync, set_template_sync";
const STATUSES: &str = "new, waiting, executing, finished, failure, cancelled";

impl ListJobs {
    fn kind(&self) -> Result<Option<JobKind>, Fault> {
        if self.kind.is_empty() {
            return Ok(None);
        }
        let known = JobKind::ALL.into_iter().find(|kind| kind.wire() == self.kind);
        let reason = Reason::NoChoice { value: quoted(&self.kind), choices: KINDS };
        known.map(Some).ok_or_else(|| Fault::new(Cause::ParamInvalid, "task_type").because(reason))
    }

    fn status(&self) -> Result<Vec<JobStatus>, Failure> {
        let (mut known, mut faults) = (Vec::new(), Vec::new());
        for (i, word) in self.status.iter().enumerate() {
            match JobStatus::of_wire(word) {
                Some(status) => known.push(status),
                None => {
                    let reason = Reason::NoChoice { value: quoted(word), choices: STATUSES };
                    let at = FieldPath::of("status").index(i);
                    faults.push(Fault::new(Cause::ParamInvalid, at).because(reason));
                }
            }
        }
        Failure::check(faults)?;
        Ok(if self.status.is_empty() { JobStatus::ALL.to_vec() } else { known })
    }

    fn find(
        &self,
        tx: &mut dyn Tx,
        business: BusinessId,
        (kind, statuses): (Option<JobKind>, &[JobStatus]),
        window: Window,
    ) -> Result<Listed, OpError> {
        let kinds = kind.map_or(JobKind::ALL.to_vec(), |kind| vec![kind]);
        if !self.target_ids.is_empty() && kind.is_none() {
            return Err(Fault::new(Cause::NotSet, "task_type").because(Reason::Blank).into());
        }
        if !self.ids.is_empty() {
            let ids: Vec<_> = self.ids.iter().copied().map(JobId).collect();
            let mut jobs = store::list_named(tx, business, &kinds, &ids)?;
            let of_targets = |job: &Job| self.target_ids.is_empty() || self.target_ids.contains(&job.target_id);
            jobs.retain(|job| statuses.contains(&job.status) && of_targets(job));
            let count = jobs.len();
            return Ok(Listed { count, jobs: jobs.into_iter().skip(window.start).take(window.limit).collect() });
        }
        Ok(match kind {
            Some(kind) if !self.target_ids.is_empty() => {
                let (since, until) = (Moment(i64::MIN), Moment(i64::MAX));
                let targets = &self.target_ids;
                let of = OfTargets { business, kind, targets, statuses, user: "", since, until };
                store::list_of_targets(tx, &of, window)?
            }
            _ => store::list_of_business(tx, business, (&kinds, statuses), window)?,
        })
    }
}

impl Serve for ListJobs {
    fn output() -> Schema {
        let failure = Schema::object([("part", Schema::Integer), ("code", Schema::Integer), ("message", Schema::Text)]);
        Schema::object([
            ("job_id", Schema::Integer),
            ("task_id", Schema::Text),
            ("task_type", Schema::Text),
            ("bk_biz_id", Schema::Integer),
            ("bk_inst_id", Schema::Integer),
            ("template_id", Schema::Integer),
            ("status", Schema::Text),
            ("creator", Schema::Text),
            ("request_id", Schema::Text),
            ("reason", Schema::Text),
            ("create_time", Schema::Time),
            ("last_time", Schema::Time),
            ("parts", Schema::Integer),
            ("finished_parts", Schema::Integer),
            ("failures", failure.list()),
        ])
        .page_of()
    }

    fn serve(&self, context: &Context, tx: &mut dyn Tx) -> Result<Reply, OpError> {
        if self.business_id <= 0 {
            let range = Reason::Range { min: 1, max: i64::MAX };
            return Err(Fault::new(Cause::ParamUnusable, "bk_biz_id").because(range).into());
        }
        let business = BusinessId(self.business_id);
        check_most("status", "list jobs", self.status.len(), MAX_PER_CALL)?;
        let (kind, status) = (self.kind()?, self.status()?);
        check_most("job_ids", "list jobs", self.ids.len(), MAX_PER_CALL)?;
        check_most("bk_inst_ids", "list jobs", self.target_ids.len(), MAX_PER_CALL)?;
        let page = self.page.clone().unwrap_or_else(PageIn::none).lenient(Cause::PageIllegal)?;
        context.access.may_read(business)?;
        let max = context.limits.unpaged_rows;
        let window = Window { start: page.start, limit: page.limit.unwrap_or(max) };
        let listed = self.find(tx, business, (kind, &status), window)?;
        if page.limit.is_none() {
            bounded(context, "page", listed.count.saturating_sub(page.start))?;
        }
        let Listed { count, jobs: shown } = listed;
        let ids: Vec<_> = shown.iter().map(|job| job.id).collect();
        let progress = store::progress(tx, &ids)?;
        let mut failures: HashMap<JobId, Vec<(i64, Explained)>> = HashMap::new();
        for failed in store::list_failed_parts(tx, &ids)? {
            let explained = Explained::read(&failed.response);
            let explained = explained.ok_or_else(|| StoreError::Unreadable("a response of a job".into()))?;
            failures.entry(failed.job_id).or_default().push((failed.number, explained));
        }
        let mut out = crate::listing::open_list(count, 64 + shown.len() * 512);
        for job in &shown {
            let progress = progress.get(&job.id).copied().unwrap_or_default();
            let number = |size: usize| i64::try_from(size).unwrap_or(i64::MAX);
            out.separate().raw("{");
            write_members(context, &mut out, job);
            out.key("parts").int(number(progress.parts)).key("finished_parts").int(number(progress.finished));
            out.key("failures").raw("[");
            for (part, explained) in failures.get(&job.id).map_or(&[][..], Vec::as_slice) {
                let message = if context.english { &explained.english } else { &explained.chinese };
                out.separate().raw("{").key("part").int(*part).key("code").int(explained.code);
                out.key("message").text(message).raw("}");
            }
            out.raw("]}");
        }
        out.raw("]}");
        Ok(Reply(out.finish()))
    }
}
