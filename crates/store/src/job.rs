//! Jobs: work that goes on after the answer, part by part, each part one transaction. A server that is at a job holds it by a lease, a
//! row like any other. The lease only keeps servers from trying the same job: that no part is done twice, and none after the job was
//! called off, follows from the lock on the job's row that each part takes first. Which job is newer is told by when it was asked for:
//! servers draw ids in blocks, so these have no order in time.

use crate::{Param, Row, StoreError, Tx};
use rollcall_domain::id::{BusinessId, JobId};
use rollcall_domain::job::{GRACE_MS, JobKind, JobStatus};
use rollcall_domain::moment::Moment;

crate::statements! {
    INSERT for many = "INSERT INTO job (id, business_id, kind, target_id, template_id, status, user_name, user_verified, app_code,
        request_id, created_ms, changed_ms, reason, holder, lease_ms)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, '', $14)";
    INSERT_PART for many = "INSERT INTO job_part (job_id, number, status, content) VALUES ($1, $2, $3, $4)";
    /// Served by `job_unfinished`.
    LIST_UNFINISHED = "SELECT target_id FROM job {index job_unfinished} WHERE kind = $1 AND target_id {in $2}
        AND status < 3 ORDER BY target_id";
    /// Served by `job_free`. New jobs have waited since they were made.
    FIND_FREE = "SELECT id FROM job {index job_free} WHERE status < 3 AND lease_ms > $1 AND lease_ms < $2 AND kind {in $3}
        ORDER BY lease_ms, id LIMIT 1";
    /// The same. Who is slow and still at a part keeps the row: others do not wait for it.
    LOCK_FREE = "SELECT id FROM job {index job_free} WHERE status < 3 AND lease_ms > $1 AND lease_ms < $2 AND kind {in $3}
        ORDER BY lease_ms, id LIMIT 1 {for update, skip locked}";
    /// Served by the primary key.
    CLAIM = "UPDATE job SET status = $2, holder = $3, lease_ms = $4 WHERE id = $1";
    /// Served by the primary key.
    LOCK = "SELECT id, business_id, kind, target_id, template_id, status, user_name, user_verified, app_code, request_id, created_ms,
        changed_ms, reason, holder FROM job WHERE id = $1 {for update}";
    /// Served by the primary key.
    LOCK_MANY = "SELECT id, business_id, kind, target_id, template_id, status, user_name, user_verified, app_code, request_id,
        created_ms, changed_ms, reason, holder FROM job {by id} WHERE id {in $1} AND business_id = $2 ORDER BY id {for update}";
    /// Served by the primary key.
    SETTLE for many = "UPDATE job SET status = $2, changed_ms = $3, reason = $4, holder = '', lease_ms = 0 WHERE id = $1";
    /// Served by the primary key.
    KEEP = "UPDATE job SET lease_ms = $2, changed_ms = $3 WHERE id = $1";
    /// Served by `job_part_number`.
    NEXT_PART = "SELECT number, content, overruns FROM job_part WHERE job_id = $1 AND status = 0 ORDER BY number LIMIT 1";
    /// Served by `job_part_number`.
    END_PART = "UPDATE job_part SET status = $3, response = $4 WHERE job_id = $1 AND number = $2";
    /// Served by `job_part_number`.
    LEAVE_PART = "UPDATE job_part SET content = $3, overruns = 0 WHERE job_id = $1 AND number = $2";
    /// Served by `job_part_number`.
    COUNT_OVERRUN = "UPDATE job_part SET overruns = overruns + 1 WHERE job_id = $1 AND number = $2";
    /// Served by `job_part_number`.
    RENEW_PARTS = "UPDATE job_part SET status = 0, response = NULL, overruns = 0 WHERE job_id {in $1} AND status = 4";
    /// Served by `job_part_number`.
    COUNT_PARTS = "SELECT job_id, status, count(*) FROM job_part WHERE job_id {in $1} GROUP BY job_id, status";
    /// Served by `job_part_number`.
    LIST_FAILED_PARTS = "SELECT job_id, number, response FROM job_part WHERE job_id {in $1} AND status = 4 ORDER BY job_id, number";
    /// Served by `job_part_number`.
    LIST_PARTS = "SELECT job_id, number, status, content, response FROM job_part WHERE job_id {in $1} ORDER BY job_id, number";
    /// Served by `job_unfinished` and `job_target_time`.
    LIST_NEWEST = "SELECT id, business_id, kind, target_id, template_id, status, user_name, user_verified, app_code, request_id,
        created_ms, changed_ms, reason, holder FROM job {by id} WHERE id IN (SELECT coalesce(
            (SELECT present.id FROM job present WHERE present.kind = $1 AND present.target_id = e.value AND present.status < 3),
            (SELECT past.id FROM job past WHERE past.kind = $1 AND past.target_id = e.value
                ORDER BY past.created_ms DESC, past.id DESC LIMIT 1))
        FROM {each of $2}) AND business_id = $3 ORDER BY target_id";
    /// Served by `job_business_time`, the newest first.
    LIST_OF_BUSINESS = "SELECT id, business_id, kind, target_id, template_id, status, user_name, user_verified, app_code, request_id,
        created_ms, changed_ms, reason, holder FROM job {index job_business_time}
        WHERE business_id = $1 AND kind {in $2} AND status {in $3} ORDER BY created_ms DESC, id DESC LIMIT $4 OFFSET $5";
    /// Served by `job_business_time` alone.
    COUNT_OF_BUSINESS = "SELECT count(*) FROM job {index job_business_time}
        WHERE business_id = $1 AND kind {in $2} AND status {in $3}";
    /// Served by the primary key, the newest first.
    LIST_BY_ID = "SELECT id, business_id, kind, target_id, template_id, status, user_name, user_verified, app_code, request_id,
        created_ms, changed_ms, reason, holder FROM job {by id} WHERE id {in $1} AND business_id = $2 AND kind {in $3}
        ORDER BY created_ms DESC, id DESC";
    /// Served by `job_target_time`, the newest first.
    LIST_OF_TARGETS = "SELECT id, business_id, kind, target_id, template_id, status, user_name, user_verified, app_code, request_id,
        created_ms, changed_ms, reason, holder FROM job {index job_target_time}
        WHERE kind = $1 AND target_id {in $2} AND business_id = $3 AND status {in $4} AND (user_name = $5 OR $5 = '')
        AND created_ms >= $6 AND changed_ms <= $7 ORDER BY created_ms DESC, id DESC LIMIT $8 OFFSET $9";
    /// Served by `job_target_time`.
    COUNT_OF_TARGETS = "SELECT count(*) FROM job {index job_target_time}
        WHERE kind = $1 AND target_id {in $2} AND business_id = $3 AND status {in $4} AND (user_name = $5 OR $5 = '')
        AND created_ms >= $6 AND changed_ms <= $7";
    /// Served by `job_ended`.
    LIST_OLD = "SELECT id FROM job WHERE status > 2 AND changed_ms < $1 ORDER BY changed_ms LIMIT $2";
    /// Served by `job_part_number` and the primary key.
    FORGET_PARTS = "DELETE FROM job_part WHERE job_id {in $1} AND NOT EXISTS (SELECT 1 FROM job WHERE job.id = job_part.job_id)";
    /// Served by the primary key.
    FORGET = "DELETE FROM job WHERE id {in $1} AND status > 2";
}

/// A job.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    pub id: JobId,
    pub business_id: BusinessId,
    pub kind: JobKind,
    /// The module or set that is to follow.
    pub target_id: i64,
    pub template_id: i64,
    pub status: JobStatus,
    pub user: String,
    /// Whether the user had proved who they are.
    pub user_verified: bool,
    pub app_code: String,
    /// Of the request that asked for it.
    pub request_id: String,
    pub created: Moment,
    pub changed: Moment,
    /// What somebody said who called it off or set it going again.
    pub reason: String,
}

/// A job that is to be, with what its parts are about, as texts of JSON.
#[derive(Debug, Clone, PartialEq)]
pub struct NewJob {
    pub job: Job,
    pub parts: Vec<String>,
}

/// A part that is still to be done.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// From 1.
    pub number: i64,
    /// JSON text.
    pub content: String,
    /// How often it was not done in the time that a write may take.
    pub overruns: i64,
}

fn read(row: &dyn Row) -> Result<Job, StoreError> {
    let unreadable = |what: &str, number: i64| StoreError::Unreadable(format!("{what} {number} of a job"));
    let (kind, status) = (row.int(2)?, row.int(5)?);
    Ok(Job {
        id: JobId(row.int(0)?),
        business_id: BusinessId(row.int(1)?),
        kind: JobKind::of_number(kind).ok_or_else(|| unreadable("kind", kind))?,
        target_id: row.int(3)?,
        template_id: row.int(4)?,
        status: JobStatus::of_number(status).ok_or_else(|| unreadable("status", status))?,
        user: row.text(6)?.to_owned(),
        user_verified: row.int(7)? != 0,
        app_code: row.text(8)?.to_owned(),
        request_id: row.text(9)?.to_owned(),
        created: Moment(row.int(10)?),
        changed: Moment(row.int(11)?),
        reason: row.text(12)?.to_owned(),
    })
}

fn ids_of(jobs: &[JobId]) -> Vec<i64> {
    jobs.iter().map(|id| id.get()).collect()
}

/// Stores jobs with their parts. A target that has a job which is not ended is refused by an index.
pub fn insert(tx: &mut dyn Tx, jobs: &[NewJob]) -> Result<(), StoreError> {
    let (mut params, mut parts) = (Vec::with_capacity(jobs.len() * 14), Vec::new());
    for NewJob { job, parts: contents } in jobs {
        params.extend([
            Param::Int(job.id.get()),
            job.business_id.get().into(),
            (job.kind as i64).into(),
            job.target_id.into(),
            job.template_id.into(),
            (job.status as i64).into(),
            (&job.user).into(),
            i64::from(job.user_verified).into(),
            (&job.app_code).into(),
            (&job.request_id).into(),
            job.created.unix_ms().into(),
            job.changed.unix_ms().into(),
            (&job.reason).into(),
            (job.created.unix_ms() + GRACE_MS).into(),
        ]);
        for (content, number) in contents.iter().zip(1..) {
            parts.extend([
                Param::Int(job.id.get()),
                Param::Int(number),
                (JobStatus::New as i64).into(),
                content.into(),
            ]);
        }
    }
    tx.execute_many(INSERT, 14, &params)?;
    tx.execute_many(INSERT_PART, 4, &parts)
}

/// Those of these targets that have a job which is not ended.
pub fn list_unfinished(tx: &mut dyn Tx, kind: JobKind, targets: &[i64]) -> Result<Vec<i64>, StoreError> {
    tx.list(LIST_UNFINISHED, &[(kind as i64).into(), Param::Ids(targets)], |row| row.int(0))
}

/// The leases that a server takes for those of servers that are at work. What lies before has run out; what lies behind was promised by a
/// clock that is not right, or was not, and might last for ever.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Believed {
    pub from: Moment,
    pub until: Moment,
}

/// The job that has waited longest of those that are not ended and that no server holds. Kinds that this program does not know are left to
/// newer ones.
pub fn find_free(tx: &mut dyn Tx, believed: Believed) -> Result<Option<JobId>, StoreError> {
    first_free(tx, FIND_FREE, believed)
}

fn first_free(tx: &mut dyn Tx, sql: &'static str, believed: Believed) -> Result<Option<JobId>, StoreError> {
    let kinds = JobKind::ALL.map(|kind| kind as i64);
    for (after, before) in [(i64::MIN, believed.from.unix_ms()), (believed.until.unix_ms(), i64::MAX)] {
        let params = [after.into(), before.into(), Param::Ids(&kinds)];
        if let Some(id) = tx.find(sql, &params, |row| Ok(JobId(row.int(0)?)))? {
            return Ok(Some(id));
        }
    }
    Ok(None)
}

/// Who holds a job, and until when.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Lease<'a> {
    /// A name that no other server has.
    pub holder: &'a str,
    pub until: Moment,
}

/// Takes the job that [`find_free`] would find, or the next one while somebody is at work on its row.
pub fn claim(tx: &mut dyn Tx, believed: Believed, lease: Lease<'_>) -> Result<Option<JobId>, StoreError> {
    let Some(id) = first_free(tx, LOCK_FREE, believed)? else { return Ok(None) };
    let executing = JobStatus::Executing as i64;
    tx.execute(CLAIM, &[id.get().into(), executing.into(), lease.holder.into(), lease.until.unix_ms().into()])?;
    Ok(Some(id))
}

/// A job that this holder is at, kept as it is until the end of the transaction. `None`: it is over, or another's by now.
pub fn lock_held(tx: &mut dyn Tx, id: JobId, holder: &str) -> Result<Option<Job>, StoreError> {
    let found = tx.find(LOCK, &[id.get().into()], |row| Ok((read(row)?, row.text(13)? == holder)))?;
    Ok(found.and_then(|(job, is_held)| (is_held && job.status == JobStatus::Executing).then_some(job)))
}

/// Those of these jobs that are of the business, in order of their ids, kept as they are until the end of the transaction. Waits for a
/// part that is being done.
pub fn lock_many(tx: &mut dyn Tx, business: BusinessId, ids: &[JobId]) -> Result<Vec<Job>, StoreError> {
    tx.list(LOCK_MANY, &[Param::Ids(&ids_of(ids)), business.get().into()], read)
}

/// Stores what has become of jobs, which nobody holds afterwards.
pub fn settle(tx: &mut dyn Tx, jobs: &[Job]) -> Result<(), StoreError> {
    let params = jobs.iter().flat_map(|job| {
        [Param::Int(job.id.get()), (job.status as i64).into(), job.changed.unix_ms().into(), (&job.reason).into()]
    });
    tx.execute_many(SETTLE, 4, &params.collect::<Vec<_>>())
}

/// Goes on holding a job.
pub fn keep(tx: &mut dyn Tx, id: JobId, now: Moment, until: Moment) -> Result<(), StoreError> {
    tx.execute(KEEP, &[id.get().into(), until.unix_ms().into(), now.unix_ms().into()]).map(|_| ())
}

/// The first part of a job that is still to be done.
pub fn next_part(tx: &mut dyn Tx, id: JobId) -> Result<Option<Part>, StoreError> {
    let read =
        |row: &dyn Row| Ok(Part { number: row.int(0)?, content: row.text(1)?.to_owned(), overruns: row.int(2)? });
    tx.find(NEXT_PART, &[id.get().into()], read)
}

/// A part is done, or could not be; `response` says why, as JSON text.
pub fn end_part(tx: &mut dyn Tx, id: JobId, number: i64, response: Option<&str>) -> Result<(), StoreError> {
    let status = if response.is_none() { JobStatus::Finished } else { JobStatus::Failure };
    let params = [id.get().into(), number.into(), (status as i64).into(), response.into()];
    tx.execute(END_PART, &params).map(|_| ())
}

/// Some of a part is done; what is left of it is still to be done.
pub fn leave_part(tx: &mut dyn Tx, id: JobId, number: i64, content: &str) -> Result<(), StoreError> {
    tx.execute(LEAVE_PART, &[id.get().into(), number.into(), content.into()]).map(|_| ())
}

/// A part was not done in the time that a write may take.
pub fn count_overrun(tx: &mut dyn Tx, id: JobId, number: i64) -> Result<(), StoreError> {
    tx.execute(COUNT_OVERRUN, &[id.get().into(), number.into()]).map(|_| ())
}

/// Parts that could not be done are to be done again.
pub fn renew_parts(tx: &mut dyn Tx, ids: &[JobId]) -> Result<(), StoreError> {
    tx.execute(RENEW_PARTS, &[Param::Ids(&ids_of(ids))]).map(|_| ())
}

/// How far a job is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    pub parts: usize,
    pub finished: usize,
    pub failed: usize,
}

/// How far each of these jobs is.
pub fn progress(tx: &mut dyn Tx, ids: &[JobId]) -> Result<std::collections::HashMap<JobId, Progress>, StoreError> {
    let mut all = std::collections::HashMap::new();
    tx.query(COUNT_PARTS, &[Param::Ids(&ids_of(ids))], &mut |row| {
        let progress: &mut Progress = all.entry(JobId(row.int(0)?)).or_default();
        let (status, count) = (row.int(1)?, crate::engine::size(row.int(2)?)?);
        progress.parts += count;
        if status == JobStatus::Finished as i64 {
            progress.finished += count;
        } else if status == JobStatus::Failure as i64 {
            progress.failed += count;
        }
        Ok(())
    })?;
    Ok(all)
}

/// A part that could not be done.
#[derive(Debug, Clone, PartialEq)]
pub struct FailedPart {
    pub job_id: JobId,
    pub number: i64,
    /// Why, as JSON text.
    pub response: String,
}

/// The parts of these jobs that could not be done, in order.
pub fn list_failed_parts(tx: &mut dyn Tx, ids: &[JobId]) -> Result<Vec<FailedPart>, StoreError> {
    tx.list(LIST_FAILED_PARTS, &[Param::Ids(&ids_of(ids))], |row| {
        let response = row.text_or_null(2)?.unwrap_or("null").to_owned();
        Ok(FailedPart { job_id: JobId(row.int(0)?), number: row.int(1)?, response })
    })
}

/// A part of a job with what became of it.
#[derive(Debug, Clone, PartialEq)]
pub struct WholePart {
    pub job_id: JobId,
    pub number: i64,
    pub status: JobStatus,
    /// JSON text.
    pub content: String,
    /// Why it could not be done, as JSON text.
    pub response: Option<String>,
}

/// All parts of these jobs, in order.
pub fn list_parts(tx: &mut dyn Tx, ids: &[JobId]) -> Result<Vec<WholePart>, StoreError> {
    tx.list(LIST_PARTS, &[Param::Ids(&ids_of(ids))], |row| {
        let status = row.int(2)?;
        let unreadable = || StoreError::Unreadable(format!("status {status} of a part of a job"));
        Ok(WholePart {
            job_id: JobId(row.int(0)?),
            number: row.int(1)?,
            status: JobStatus::of_number(status).ok_or_else(unreadable)?,
            content: row.text(3)?.to_owned(),
            response: row.text_or_null(4)?.map(str::to_owned),
        })
    })
}

/// The job by which each of these targets stands, of those that have one in the business: the one that is not ended, else the newest. In
/// order of the targets.
pub fn list_newest(
    tx: &mut dyn Tx,
    business: BusinessId,
    kind: JobKind,
    targets: &[i64],
) -> Result<Vec<Job>, StoreError> {
    tx.list(LIST_NEWEST, &[(kind as i64).into(), Param::Ids(targets), business.get().into()], read)
}

/// Some of the jobs that were asked for, the newest first, and how many there are.
#[derive(Debug, Clone, PartialEq)]
pub struct Listed {
    pub count: usize,
    pub jobs: Vec<Job>,
}

/// From which place on jobs are listed, and how many of them.
#[derive(Debug, Clone, Copy)]
pub struct Window {
    pub start: usize,
    pub limit: usize,
}

impl Window {
    fn params(self) -> [Param<'static>; 2] {
        [self.limit, self.start].map(|size| Param::Int(i64::try_from(size).unwrap_or(i64::MAX)))
    }
}

fn numbers_of_kinds(kinds: &[JobKind]) -> Vec<i64> {
    kinds.iter().map(|kind| *kind as i64).collect()
}

fn numbers_of_statuses(statuses: &[JobStatus]) -> Vec<i64> {
    statuses.iter().map(|status| *status as i64).collect()
}

/// Jobs of a business that are of one of these kinds and in one of these states.
pub fn list_of_business(
    tx: &mut dyn Tx,
    business: BusinessId,
    (kinds, statuses): (&[JobKind], &[JobStatus]),
    window: Window,
) -> Result<Listed, StoreError> {
    let (kinds, statuses) = (numbers_of_kinds(kinds), numbers_of_statuses(statuses));
    let asked = [business.get().into(), Param::Ids(&kinds), Param::Ids(&statuses)];
    let count = crate::engine::size(tx.number(COUNT_OF_BUSINESS, &asked)?)?;
    let jobs = tx.list(LIST_OF_BUSINESS, &[&asked[..], &window.params()].concat(), read)?;
    Ok(Listed { count, jobs })
}

/// Those of these jobs that are of the business and of one of these kinds, the newest first.
pub fn list_named(
    tx: &mut dyn Tx,
    business: BusinessId,
    kinds: &[JobKind],
    ids: &[JobId],
) -> Result<Vec<Job>, StoreError> {
    let kinds = numbers_of_kinds(kinds);
    tx.list(LIST_BY_ID, &[Param::Ids(&ids_of(ids)), business.get().into(), Param::Ids(&kinds)], read)
}

/// What is asked of jobs of targets.
#[derive(Debug, Clone, Copy)]
pub struct OfTargets<'a> {
    pub business: BusinessId,
    pub kind: JobKind,
    pub targets: &'a [i64],
    /// In one of these states.
    pub statuses: &'a [JobStatus],
    /// Asked for by this user; "": by anybody.
    pub user: &'a str,
    /// Asked for then or later.
    pub since: Moment,
    /// Changed last then or before.
    pub until: Moment,
}

/// Jobs of targets.
pub fn list_of_targets(tx: &mut dyn Tx, of: &OfTargets<'_>, window: Window) -> Result<Listed, StoreError> {
    let statuses = numbers_of_statuses(of.statuses);
    let asked = [
        Param::Int(of.kind as i64),
        Param::Ids(of.targets),
        of.business.get().into(),
        Param::Ids(&statuses),
        of.user.into(),
        of.since.unix_ms().into(),
        of.until.unix_ms().into(),
    ];
    let count = crate::engine::size(tx.number(COUNT_OF_TARGETS, &asked)?)?;
    let jobs = tx.list(LIST_OF_TARGETS, &[&asked[..], &window.params()].concat(), read)?;
    Ok(Listed { count, jobs })
}

/// The jobs that ended longest ago, before a moment and no more than so many.
pub fn list_old(tx: &mut dyn Tx, before: Moment, limit: usize) -> Result<Vec<JobId>, StoreError> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    tx.list(LIST_OLD, &[before.unix_ms().into(), limit.into()], |row| Ok(JobId(row.int(0)?)))
}

/// Forgets jobs that are over.
pub fn forget(tx: &mut dyn Tx, ids: &[JobId]) -> Result<(), StoreError> {
    let ids = ids_of(ids);
    tx.execute(FORGET, &[Param::Ids(&ids)])?;
    tx.execute(FORGET_PARTS, &[Param::Ids(&ids)]).map(|_| ())
}
