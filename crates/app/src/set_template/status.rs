//! What became of synchronizations of sets (`templates` 13): T14 the newest job of each set with its parts, T15 how each set stands, T16
//! all there were.

use super::difference::{compare, find_sets};
use crate::job::Explained;
use crate::listing::{open_list, read_document};
use crate::operation::Serve;
use crate::request::{bounded, business_of, check_most};
use crate::{Context, OpError, Reply};
use rollcall_domain::fault::{Cause, Failure, Fault, Reason, quoted};
use rollcall_domain::id::{BusinessId, JobId, SUPPLIER_ACCOUNT, SetTemplateId};
use rollcall_domain::job::{JobKind, JobStatus, NEEDS, ShownStatus, id_of_task, shown, task_id};
use rollcall_domain::json::{FieldPath, Json, JsonWriter, Object, Schema};
use rollcall_domain::moment::Moment;
use rollcall_domain::page::{Page, PageIn};
use rollcall_domain::wire_input;
use rollcall_store::job::{self as store, Job, OfTargets, WholePart, Window};
use rollcall_store::set::WholeSet;
use rollcall_store::{StoreError, Tx};
use std::collections::{HashMap, HashSet};

wire_input! {
    /// What the newest synchronizations of sets take.
    pub struct ListSetJobs {
        /// The business.
        pub business_id: i64 = "bk_biz_id",
        /// The template that the sets follow.
        pub template_id: i64 = "set_template_id",
        /// The sets; missing: all of the template.
        pub set_ids: Option<Vec<i64>> = "bk_set_ids",
    }
}

impl Serve for ListSetJobs {
    fn output() -> Schema {
        Schema::Any
    }

    /// An object keyed by the ids of the sets; those that were never synchronized are left out.
    fn serve(&self, context: &Context, tx: &mut dyn Tx) -> Result<Reply, OpError> {
        let business = business_of(self.business_id)?;
        context.access.may_read(business)?;
        let sets = match &self.set_ids {
            Some(ids) => find_sets(tx, business, self.template_id, ids)?,
            None => rollcall_store::set::list_of_templates(tx, business, &[SetTemplateId(self.template_id)])?,
        };
        if sets.is_empty() {
            return Err(Fault::new(Cause::JobsUnreadable, "bk_set_ids").because(Reason::Blank).into());
        }
        let ids: Vec<_> = sets.iter().map(|set| set.row.id.get()).collect();
        let jobs = store::list_newest(tx, business, JobKind::SetTemplate, &ids)?;
        let ids: Vec<_> = jobs.iter().map(|job| job.id).collect();
        // All of them are told, and there is no page to ask for: fewer sets are.
        let number = store::progress(tx, &ids)?.values().map(|progress| progress.parts).sum();
        bounded(context, "bk_set_ids", number)?;
        let mut parts: HashMap<JobId, Vec<WholePart>> = HashMap::new();
        for part in store::list_parts(tx, &ids)? {
            parts.entry(part.job_id).or_default().push(part);
        }
        let mut out = JsonWriter::with_capacity(64 + jobs.len() * 512);
        out.raw("{");
        for job in &jobs {
            write_job(
                context,
                out.key(&job.target_id.to_string()),
                job,
                parts.get(&job.id).map_or(&[][..], Vec::as_slice),
            )?;
        }
        out.raw("}");
        Ok(Reply(out.finish()))
    }
}

fn write_job(context: &Context, out: &mut JsonWriter, job: &Job, parts: &[WholePart]) -> Result<(), StoreError> {
    out.raw("{").key("task_id").text(&task_id(job.id.get())).key("task_type").text(job.kind.wire());
    out.key("bk_inst_id").int(job.target_id).key("user").text(&job.user).key("status").text(job.status.wire());
    out.key("create_time").text(&context.zone.rfc3339(job.created));
    out.key("last_time").text(&context.zone.rfc3339(job.changed));
    out.key("bk_supplier_account").text(SUPPLIER_ACCOUNT);
    out.key("detail").raw("[");
    for part in parts {
        out.separate().raw("{").key("sub_task_id").text(&format!("s{}:{}", task_id(job.id.get()), part.number));
        out.key("status").text(part.status.wire()).key("data").raw(&part.content);
        write_response(context, out.key("response"), part)?;
        out.raw("}");
    }
    out.raw("]}");
    Ok(())
}

/// What came of a part, as the original keeps it; null while nothing has.
fn write_response(context: &Context, out: &mut JsonWriter, part: &WholePart) -> Result<(), StoreError> {
    if part.status.is_open() {
        out.raw("null");
        return Ok(());
    }
    let (code, message) = match &part.response {
        None => (0, "success".to_owned()),
        Some(response) => {
            let explained = Explained::read(response);
            let Explained { code, english, chinese } =
                explained.ok_or_else(|| StoreError::Unreadable("a response of a job".into()))?;
            (code, if context.english { english } else { chinese })
        }
    };
    out.raw("{").key("result").value(&Json::Bool(code == 0));
    out.key("bk_error_code").int(code).key("bk_error_msg").text(&message).raw("}");
    Ok(())
}

wire_input! {
    /// What the status of the sets of a template takes, and the history of their synchronizations.
    pub struct SearchSynchronizations {
        /// The business.
        pub business_id: i64 = "bk_biz_id",
        /// The template that the sets follow.
        pub template_id: i64 = "set_template_id",
        /// Only these sets; empty: all.
        pub set_ids: Vec<i64> = "bk_set_ids",
        /// A text that the set's name contains, its case not counting.
        pub search: String = "search",
        /// Only what these jobs did; empty: any.
        pub task_ids: Vec<String> = "task_ids",
        /// Only what this user asked for.
        pub creator: String = "creator",
        /// Begun at this time or later.
        pub start_time: String = "start_time",
        /// Changed last at this time or before.
        pub end_time: String = "end_time",
        /// Only with one of these: new, waiting, executing, finished, failure, cancelled, need_sync.
        pub status: Vec<String> = "status",
        /// The page; a limit of 0: all.
        pub page: Option<PageIn> = "page",
    }
}

/// The most jobs, and the most statuses, that one call names.
const MAX_NAMED: usize = 1000;

const STATUSES: &str = "new, waiting, executing, finished, failure, cancelled, need_sync";

/// Which rows are wanted.
struct Filter<'a> {
    creator: &'a str,
    task_ids: HashSet<&'a str>,
    statuses: HashSet<&'a str>,
    since: Option<Moment>,
    until: Option<Moment>,
}

/// A row with what filters and sorting look at.
struct Row {
    task_id: String,
    target_id: i64,
    status: String,
    creator: String,
    create_time: String,
    last_time: String,
    created: Option<Moment>,
    changed: Option<Moment>,
}

impl Row {
    fn of_job(context: &Context, job: &Job, status: &str) -> Self {
        Self {
            task_id: task_id(job.id.get()),
            target_id: job.target_id,
            status: status.to_owned(),
            creator: job.user.clone(),
            create_time: context.zone.rfc3339(job.created),
            last_time: context.zone.rfc3339(job.changed),
            created: Some(job.created),
            changed: Some(job.changed),
        }
    }

    /// Of a set that was never synchronized.
    fn of_set(set: &WholeSet, record: &Object, status: &str) -> Self {
        let text = |field: &str| record.get(field).and_then(Json::as_text).unwrap_or_default().to_owned();
        let (create_time, last_time) = (text("create_time"), text("last_time"));
        Self {
            task_id: String::new(),
            target_id: set.row.id.get(),
            status: status.to_owned(),
            creator: text("bk_created_by"),
            created: Moment::parse_rfc3339(&create_time),
            changed: Moment::parse_rfc3339(&last_time),
            create_time,
            last_time,
        }
    }

    fn shown(&self) -> ShownStatus<'_> {
        ShownStatus {
            target_id: self.target_id,
            status: &self.status,
            creator: &self.creator,
            create_time: &self.create_time,
            last_time: &self.last_time,
        }
    }
}

impl Filter<'_> {
    fn wants(&self, row: &Row) -> bool {
        (self.task_ids.is_empty() || self.task_ids.contains(row.task_id.as_str()))
            && (self.creator.is_empty() || self.creator == row.creator)
            && (self.statuses.is_empty() || self.statuses.contains(row.status.as_str()))
            && self.since.is_none_or(|since| row.created.is_some_and(|created| created >= since))
            && self.until.is_none_or(|until| row.changed.is_some_and(|changed| changed <= until))
    }

    /// In which states jobs are wanted.
    fn job_statuses(&self) -> Vec<JobStatus> {
        match self.statuses.is_empty() {
            true => JobStatus::ALL.to_vec(),
            false => self.statuses.iter().filter_map(|word| JobStatus::of_wire(word)).collect(),
        }
    }

    /// The jobs of the sets that may be wanted, all at once: those that are named, or those to be sorted.
    fn jobs(&self, context: &Context, tx: &mut dyn Tx, of: &OfTargets<'_>) -> Result<Vec<Job>, OpError> {
        if !self.task_ids.is_empty() {
            let ids: Vec<_> = self.task_ids.iter().filter_map(|text| id_of_task(text)).map(JobId).collect();
            let targets: HashSet<_> = of.targets.iter().collect();
            let mut jobs = store::list_named(tx, of.business, &[of.kind], &ids)?;
            jobs.retain(|job| targets.contains(&job.target_id));
            return Ok(jobs);
        }
        let max = context.limits.unpaged_rows;
        let listed = store::list_of_targets(tx, of, Window { start: 0, limit: max })?;
        if listed.count > max {
            let fault = Fault::new(Cause::PageIllegal, "page.sort").because(Reason::TooMany { max });
            return Err(fault.into());
        }
        Ok(listed.jobs)
    }
}

impl SearchSynchronizations {
    fn read(&self, context: &Context) -> Result<(BusinessId, Filter<'_>, Page), OpError> {
        let business = business_of(self.business_id)?;
        if self.template_id == 0 {
            return Err(Fault::new(Cause::NotSet, "set_template_id").because(Reason::Blank).into());
        }
        check_most("task_ids", "search synchronizations", self.task_ids.len(), MAX_NAMED)?;
        check_most("status", "search synchronizations", self.status.len(), MAX_NAMED)?;
        let mut faults = Vec::new();
        for (i, word) in self.status.iter().enumerate() {
            if word != NEEDS && JobStatus::of_wire(word).is_none() {
                let reason = Reason::NoChoice { value: quoted(word), choices: STATUSES };
                faults.push(Fault::new(Cause::ParamInvalid, FieldPath::of("status").index(i)).because(reason));
            }
        }
        let mut time = |field: &'static str, text: &str| {
            let moment = context.zone.parse(text);
            if moment.is_none() && !text.is_empty() {
                let reason = Reason::TimeSyntax { value: quoted(text) };
                faults.push(Fault::new(Cause::ParamInvalid, field).because(reason));
            }
            moment
        };
        let (since, until) = (time("start_time", &self.start_time), time("end_time", &self.end_time));
        Failure::check(faults)?;
        let page = self.page.clone().unwrap_or_else(PageIn::none).lenient(Cause::PageIllegal)?;
        context.access.may_read(business)?;
        let filter = Filter {
            creator: &self.creator,
            task_ids: self.task_ids.iter().map(String::as_str).collect(),
            statuses: self.status.iter().map(String::as_str).collect(),
            since,
            until,
        };
        Ok((business, filter, page))
    }

    /// The sets that are meant, in order of their ids.
    fn sets(&self, tx: &mut dyn Tx, business: BusinessId) -> Result<Vec<WholeSet>, OpError> {
        let mut sets = match self.set_ids.as_slice() {
            [] => rollcall_store::set::list_of_templates(tx, business, &[SetTemplateId(self.template_id)])?,
            ids => find_sets(tx, business, self.template_id, ids)?,
        };
        let search = self.search.to_lowercase();
        sets.retain(|set| set.row.name.to_lowercase().contains(&search));
        Ok(sets)
    }
}

/// The page of rows, each with what it is sorted by.
fn answer(context: &Context, page: &Page, rows: Vec<(Row, Object)>) -> Result<Reply, OpError> {
    let count = rows.len();
    let rows = page.take(rows, |(_, record)| record);
    bounded(context, "page", rows.len())?;
    let mut out = open_list(count, rows.len() * 192);
    for (row, _) in &rows {
        row.shown().write(out.separate());
    }
    out.raw("]}");
    Ok(Reply(out.finish()))
}

/// How the sets of a template stand: of each the newest job, put right by what a synchronization would do now. Conditions are asked of
/// what is shown, so that a set that does not meet them is left out, and an older job says nothing (`templates E94`).
#[derive(Debug)]
pub struct ListSynchronizations(SearchSynchronizations);

crate::operation::decode_through!(ListSynchronizations, SearchSynchronizations, Self);

impl Serve for ListSynchronizations {
    fn output() -> Schema {
        ShownStatus::schema().page_of()
    }

    fn serve(&self, context: &Context, tx: &mut dyn Tx) -> Result<Reply, OpError> {
        let (business, filter, page) = self.0.read(context)?;
        let sets = self.0.sets(tx, business)?;
        let ids: Vec<_> = sets.iter().map(|set| set.row.id.get()).collect();
        let newest = store::list_newest(tx, business, JobKind::SetTemplate, &ids)?;
        let newest: HashMap<_, _> = newest.into_iter().map(|job| (job.target_id, job)).collect();
        let differences = compare(tx, business, &sets)?;
        let mut rows = Vec::with_capacity(sets.len());
        for (set, difference) in sets.iter().zip(&differences) {
            let record = read_document(&set.document)?;
            let job = newest.get(&set.row.id.get());
            let status = shown(job.map(|job| job.status), difference.needs_sync());
            let row = match job {
                Some(job) => Row::of_job(context, job, status),
                None => Row::of_set(set, &record, status),
            };
            if filter.wants(&row) {
                rows.push((row, record));
            }
        }
        answer(context, &page, rows)
    }
}

/// All synchronizations of the sets of a template there were, the newest first, as they ended.
#[derive(Debug)]
pub struct ListHistory(SearchSynchronizations);

crate::operation::decode_through!(ListHistory, SearchSynchronizations, Self);

impl Serve for ListHistory {
    fn output() -> Schema {
        ShownStatus::schema().page_of()
    }

    fn serve(&self, context: &Context, tx: &mut dyn Tx) -> Result<Reply, OpError> {
        let (business, filter, page) = self.0.read(context)?;
        let targets: Vec<_> = self.0.sets(tx, business)?.iter().map(|set| set.row.id.get()).collect();
        let statuses = filter.job_statuses();
        let of = OfTargets {
            business,
            kind: JobKind::SetTemplate,
            targets: &targets,
            statuses: &statuses,
            user: filter.creator,
            since: filter.since.unwrap_or(Moment(i64::MIN)),
            until: filter.until.unwrap_or(Moment(i64::MAX)),
        };
        let max = context.limits.unpaged_rows;
        if page.sort.is_empty() && filter.task_ids.is_empty() {
            let window = Window { start: page.start, limit: page.limit.unwrap_or(max) };
            let listed = store::list_of_targets(tx, &of, window)?;
            if page.limit.is_none() {
                bounded(context, "page", listed.count.saturating_sub(page.start))?;
            }
            let mut out = open_list(listed.count, listed.jobs.len() * 192);
            for job in &listed.jobs {
                Row::of_job(context, job, job.status.wire()).shown().write(out.separate());
            }
            out.raw("]}");
            return Ok(Reply(out.finish()));
        }
        let mut rows = Vec::new();
        for job in filter.jobs(context, tx, &of)? {
            let row = Row::of_job(context, &job, job.status.wire());
            if filter.wants(&row) {
                let mut out = JsonWriter::with_capacity(192);
                row.shown().write(&mut out);
                let record = read_document(&out.finish())?;
                rows.push((row, record));
            }
        }
        answer(context, &page, rows)
    }
}
