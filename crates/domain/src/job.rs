//! Synchronizations as jobs: what kinds there are, what becomes of one, what readers are told (`templates` 11, 11.1).

use crate::json::{JsonWriter, Schema};

/// The most processes that are done at once, those that are to be and those that go, unless one host alone has more.
pub const PROCESSES_AT_ONCE: usize = 1000;
/// How often a part that is not done in the time a write may take is tried before it counts as one that cannot be done.
pub const MOST_OVERRUNS: i64 = 3;
/// How long a new job is left alone, in milliseconds. Who asks twice by mistake is still refused then, and who looks at once finds what
/// clients of the original find.
pub const GRACE_MS: i64 = 300;
/// The most characters of a reason that a caller gives.
pub const MAX_REASON: usize = 256;

/// What a job does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum JobKind {
    /// Lets a module and its instances follow their service template.
    ServiceTemplate = 1,
    /// Lets a set and its modules follow their set template.
    SetTemplate = 2,
}

impl JobKind {
    /// Every kind there is.
    pub const ALL: [JobKind; 2] = [JobKind::ServiceTemplate, JobKind::SetTemplate];

    /// `task_type` on the wire.
    pub fn wire(self) -> &'static str {
        match self {
            Self::ServiceTemplate => "service_template_sync",
            Self::SetTemplate => "set_template_sync",
        }
    }

    /// The kind of a stored number.
    pub fn of_number(number: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as i64 == number)
    }

    /// Whether what comes behind a part that failed is done all the same.
    pub fn goes_on(self) -> bool {
        match self {
            Self::ServiceTemplate => false,
            Self::SetTemplate => true,
        }
    }
}

/// How far a job is. Those before [`JobStatus::Finished`] are not ended: there is at most one of them for a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum JobStatus {
    /// Nobody has begun.
    New = 0,
    /// Begun, and to be gone on with.
    Waiting = 1,
    /// A server is at it.
    Executing = 2,
    /// Every part is done.
    Finished = 3,
    /// A part could not be done.
    Failure = 4,
    /// Somebody called it off.
    Cancelled = 5,
}

/// What readers are told of a target that is not as its template wants it and that nobody is at.
pub const NEEDS: &str = "need_sync";

impl JobStatus {
    /// Every status there is.
    pub const ALL: [JobStatus; 6] =
        [Self::New, Self::Waiting, Self::Executing, Self::Finished, Self::Failure, Self::Cancelled];

    /// The word on the wire. The original knows none for a job that was called off.
    pub fn wire(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Waiting => "waiting",
            Self::Executing => "executing",
            Self::Finished => "finished",
            Self::Failure => "failure",
            Self::Cancelled => "cancelled",
        }
    }

    /// The status of a stored number.
    pub fn of_number(number: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|status| *status as i64 == number)
    }

    /// The status of a word on the wire.
    pub fn of_wire(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.wire() == word)
    }

    /// Whether something of the job is still to come.
    pub fn is_open(self) -> bool {
        matches!(self, Self::New | Self::Waiting | Self::Executing)
    }
}

/// The status of a target for those who only want to know whether to synchronize it: that of its newest job, put right by what is
/// the case now. `needs`: a synchronization would change something.
pub fn shown(newest: Option<JobStatus>, needs: bool) -> &'static str {
    match (newest, needs) {
        (_, false) => JobStatus::Finished.wire(),
        (None | Some(JobStatus::Finished | JobStatus::Cancelled), true) => NEEDS,
        (Some(status), true) => status.wire(),
    }
}

/// How many hosts of a module one part covers.
pub fn hosts_a_part(process_templates: usize) -> usize {
    PROCESSES_AT_ONCE.checked_div(process_templates).unwrap_or(PROCESSES_AT_ONCE).max(1)
}

/// How many hosts of a part are done at once, the first of them, as things are when their turn comes: since the part was cut, templates
/// may have come and gone. `going`: how many processes go on each host.
pub fn hosts_at_once(process_templates: usize, going: &[usize]) -> usize {
    let mut processes = 0;
    let fitting = going.iter().take_while(|going| {
        processes += process_templates.max(1) + *going;
        processes <= PROCESSES_AT_ONCE
    });
    fitting.count().max(1)
}

/// The id of a job as the wire shows it.
pub fn task_id(id: i64) -> String {
    format!("id:{id}")
}

/// The id of the job that the wire shows so.
pub fn id_of_task(text: &str) -> Option<i64> {
    let id = text.strip_prefix("id:")?.parse().ok()?;
    (task_id(id) == text).then_some(id)
}

/// A row of a status or a history as the wire shows it.
#[derive(Debug, Clone, Copy)]
pub struct ShownStatus<'a> {
    /// The module or set.
    pub target_id: i64,
    pub status: &'a str,
    pub creator: &'a str,
    pub create_time: &'a str,
    pub last_time: &'a str,
}

impl ShownStatus<'_> {
    /// Writes the object.
    pub fn write(&self, out: &mut JsonWriter) {
        out.raw("{").key("bk_inst_id").int(self.target_id).key("status").text(self.status);
        out.key("creator").text(self.creator).key("create_time").text(self.create_time);
        out.key("last_time").text(self.last_time).raw("}");
    }

    /// The shape of the object.
    pub fn schema() -> Schema {
        Schema::object([
            ("bk_inst_id", Schema::Integer),
            ("status", Schema::Text),
            ("creator", Schema::Text),
            ("create_time", Schema::Time),
            ("last_time", Schema::Time),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_words_are_those_of_one_status() {
        for status in JobStatus::ALL {
            assert_eq!(JobStatus::of_number(status as i64), Some(status));
            assert_eq!(JobStatus::of_wire(status.wire()), Some(status));
        }
        for kind in JobKind::ALL {
            assert_eq!(JobKind::of_number(kind as i64), Some(kind));
        }
        assert_eq!(JobStatus::of_wire(NEEDS), None);
        assert_eq!(id_of_task(&task_id(7)), Some(7));
        for text in ["", "7", "id:", "id:07", "id:+7", "id:x"] {
            assert_eq!(id_of_task(text), None, "{text}");
        }
    }

    /// `templates E75`, `E76`, `E77`.
    #[test]
    fn what_is_shown_follows_what_is_the_case() {
        for status in JobStatus::ALL {
            assert_eq!(shown(Some(status), false), "finished", "{status:?}");
        }
        assert_eq!(shown(None, false), "finished");
        assert_eq!(shown(None, true), "need_sync");
        assert_eq!(shown(Some(JobStatus::Finished), true), "need_sync");
        assert_eq!(shown(Some(JobStatus::Cancelled), true), "need_sync");
        assert_eq!(shown(Some(JobStatus::Failure), true), "failure");
        assert_eq!(shown(Some(JobStatus::Executing), true), "executing");
    }

    /// `templates E71`.
    #[test]
    fn parts_cover_a_bounded_number_of_processes() {
        for (templates, hosts) in [(0, 1000), (1, 1000), (3, 333), (1000, 1), (1500, 1)] {
            assert_eq!(hosts_a_part(templates), hosts, "{templates}");
        }
    }

    #[test]
    fn hosts_are_done_at_once_as_far_as_their_processes_fit() {
        let check = |templates, going: &[usize], hosts| assert_eq!(hosts_at_once(templates, going), hosts, "{going:?}");
        check(1, &[0; 1001], 1000);
        check(0, &[0; 1001], 1000);
        check(400, &[0, 0, 0], 2);
        check(400, &[200, 0, 0], 2);
        check(400, &[201, 0, 0], 1);
        check(0, &[998, 0, 0], 2);
        // One host is done however much it is.
        check(1500, &[0, 0], 1);
        check(1, &[5000, 0], 1);
        check(1, &[], 1);
    }
}
