//! Lists of free-form records (`topology` 3.3, 3.4): condition, sort, page and projection over stored documents. A list without a
//! condition and in the order of ids is cut to its page by the store; any other reads the records of its business once.

use crate::{OpError, Reply};
use rollcall_domain::condition::Condition;
use rollcall_domain::fault::{Cause, Failure, Fault, Reason};
use rollcall_domain::json::{Json, JsonWriter, Limits, Object, parse};
use rollcall_domain::page::{Page, PageIn};
use rollcall_store::StoreError;
use std::collections::HashSet;

/// Which records are wanted, and what of them.
#[derive(Debug, Clone)]
pub(crate) struct Listing {
    page: Page,
    /// `None`: every record.
    condition: Option<Condition>,
    /// `None`: every field.
    fields: Option<HashSet<String>>,
    /// The field by which records are ordered anyway.
    id_field: &'static str,
}

impl Listing {
    /// A list of records in the order of `id_field`. Of `fields`, none means all.
    pub(crate) fn new(page: Page, condition: Option<Condition>, fields: &[String], id_field: &'static str) -> Self {
        let fields = (!fields.is_empty()).then(|| fields.iter().cloned().collect());
        Self { page, condition, fields, id_field }
    }

    /// With fields that come along whichever are asked for.
    pub(crate) fn always_with(mut self, more: &[&str]) -> Self {
        if let Some(fields) = &mut self.fields {
            fields.extend(more.iter().map(|field| (*field).to_owned()));
        }
        self
    }

    /// The condition, if there is one.
    pub(crate) fn condition(&self) -> Option<&Condition> {
        self.condition.as_ref()
    }

    /// Whether the store can count the records and cut the page.
    pub(crate) fn is_plain(&self) -> bool {
        let by_id = match self.page.sort.as_slice() {
            [] => true,
            [key, ..] => key.field == self.id_field && !key.descending,
        };
        self.condition.is_none() && by_id
    }

    /// Rows to leave out and rows to answer of so many; refused when they are more than one answer may hold.
    pub(crate) fn range(&self, count: usize, max: usize) -> Result<(usize, usize), Failure> {
        if self.page.count_only {
            return Ok((0, 0));
        }
        let left = count.saturating_sub(self.page.start);
        let rows = self.page.limit.map_or(left, |limit| limit.min(left));
        if rows > max {
            let fault = Fault::new(Cause::PageIllegal, "page");
            return Err(fault.because(Reason::NeedsPage { max }).into());
        }
        Ok((self.page.start, rows))
    }

    /// The answer, opened with its count.
    pub(crate) fn answer(&self, count: usize) -> Answer<'_> {
        Answer { fields: self.fields.as_ref(), out: open_list(count, 4096) }
    }

    /// Collects the records that meet the condition.
    pub(crate) fn matches(&self) -> Matches<'_> {
        Matches { listing: self, count: 0, rows: Vec::new() }
    }
}

/// An answer that is being written.
pub(crate) struct Answer<'a> {
    fields: Option<&'a HashSet<String>>,
    out: JsonWriter,
}

impl Answer<'_> {
    /// One more record, as it is stored.
    pub(crate) fn push(&mut self, document: &str) -> Result<(), StoreError> {
        self.out.separate();
        match self.fields {
            None => {
                self.out.raw(document);
            }
            Some(fields) => {
                let record = read_document(document)?;
                self.out.raw("{");
                for (key, value) in record.iter().filter(|(key, _)| fields.contains(*key)) {
                    self.out.key(key).value(value);
                }
                self.out.raw("}");
            }
        }
        Ok(())
    }

    /// The finished answer.
    pub(crate) fn finish(mut self) -> Reply {
        self.out.raw("]}");
        Reply(self.out.finish())
    }
}

/// The records that meet a condition.
pub(crate) struct Matches<'a> {
    listing: &'a Listing,
    count: usize,
    /// Their documents, and what sorting needs of them.
    rows: Vec<(String, Object)>,
}

impl Matches<'_> {
    /// Looks at one record.
    pub(crate) fn offer(&mut self, document: &str) -> Result<(), StoreError> {
        let listing = self.listing;
        let sorts = !listing.page.sort.is_empty();
        let record = match &listing.condition {
            None if !sorts => Object::new(),
            _ => read_document(document)?,
        };
        if listing.condition.as_ref().is_some_and(|condition| !condition.matches(&record)) {
            return Ok(());
        }
        self.count += 1;
        if sorts {
            let keys = listing.page.sort.iter();
            let keys = keys.filter_map(|key| {
                let value = record.get(&key.field)?;
                Some((key.field.clone(), value.clone()))
            });
            self.rows.push((document.to_owned(), keys.collect()));
        } else if !listing.page.count_only && self.is_in_page() {
            self.rows.push((document.to_owned(), Object::new()));
        }
        Ok(())
    }

    /// Of rows that need no sorting: whether the one just counted is answered.
    fn is_in_page(&self) -> bool {
        let page = &self.listing.page;
        self.count > page.start && page.limit.is_none_or(|limit| self.rows.len() < limit)
    }

    /// The answer with the page of them; `max`: rows that one answer may hold.
    pub(crate) fn answer(self, max: usize) -> Result<Reply, OpError> {
        let Self { listing, count, mut rows } = self;
        let (start, limit) = listing.range(count, max)?;
        let mut answer = listing.answer(count);
        let page = &listing.page;
        let skip = if page.sort.is_empty() { 0 } else { start };
        page.sort_rows(&mut rows, |(_, keys)| keys);
        for (document, _) in rows.iter().skip(skip).take(limit) {
            answer.push(document)?;
        }
        Ok(answer.finish())
    }
}

/// The beginning of a list with its count, in room for so many bytes of rows; `]}` ends it.
pub(crate) fn open_list(count: usize, bytes: usize) -> JsonWriter {
    let mut out = JsonWriter::with_capacity(64 + bytes);
    out.raw("{\"count\":").int(i64::try_from(count).unwrap_or(i64::MAX)).raw(",\"info\":[");
    out
}

/// A stored document as a tree.
pub(crate) fn read_document(document: &str) -> Result<Object, StoreError> {
    match parse(document.as_bytes(), Limits::default()) {
        Ok(Json::Object(object)) => Ok(object),
        other => Err(StoreError::Unreadable(format!("a document: {other:?}"))),
    }
}

/// The page of the searches whose original sets no upper limit: more rows than an answer may hold are refused when they are
/// there, not when they are asked for.
pub(crate) fn open_page(page: &PageIn) -> Result<Page, Failure> {
    if page.enable_count {
        return page.counted(Cause::ParamInvalid);
    }
    for (field, number) in [("page.start", page.start), ("page.limit", page.limit)] {
        if number < 0 {
            let range = Reason::Range { min: 0, max: i64::MAX };
            return Err(Fault::new(Cause::ParamInvalid, field).because(range).into());
        }
    }
    page.unchecked()
}

/// The page of the lists that answer so many rows when no number is asked for, `None` for all: else 1 to 1000 rows, or 999999999 for all.
pub(crate) fn page_or(page: &PageIn, rows: Option<usize>) -> Result<Page, Failure> {
    if page.limit != 0 {
        return page.strict(Cause::PageIllegal);
    }
    Ok(Page { limit: rows, ..page.lenient(Cause::PageIllegal)? })
}

/// Refuses filters that this release does not know how to ask.
pub(crate) fn refuse_filters(filters: &[(&'static str, &Json)]) -> Result<(), Failure> {
    let sent = filters.iter().filter(|(_, filter)| **filter != Json::Null);
    let faults = sent.map(|(field, _)| Fault::new(Cause::ParamInvalid, *field).because(Reason::NotSupportedYet));
    Failure::check(faults.collect())
}

/// Reads the condition of a list that is limited to a business by other means: what it says of the business is put aside.
pub(crate) fn read_condition(
    condition: &Object,
    ignored: &[&str],
    read: impl Fn(&Object) -> Result<Condition, Vec<Fault>>,
) -> Result<Option<Condition>, Failure> {
    let said: Object = condition
        .iter()
        .filter(|(field, _)| !ignored.contains(field))
        .map(|(field, value)| (field.to_owned(), value.clone()))
        .collect();
    if said.is_empty() {
        return Ok(None);
    }
    match read(&said) {
        Ok(condition) => Ok(Some(condition)),
        Err(faults) => {
            Failure::check(faults)?;
            Ok(None)
        }
    }
}
