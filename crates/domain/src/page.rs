//! Paging and sorting, once for every list. What a caller sends is [`PageIn`]; each operation reads it by the rule of its own
//! documents into a [`Page`], which cannot be out of range any more.

use crate::fault::{Cause, Failure, Fault, Reason};
use crate::json::Object;
use crate::order::compare;
use crate::wire_input;
use std::cmp::Ordering;

wire_input! {
    /// Which part of a list is wanted.
    pub struct PageIn {
        /// How many rows to leave out before the first.
        pub start: i64 = "start",
        /// How many rows to answer at most.
        pub limit: i64 = "limit",
        /// Fields to sort by: `field`, `-field`, `field:1` or `field:-1`, separated by commas.
        pub sort: String = "sort",
        /// Answer only how many rows there are.
        pub enable_count: bool = "enable_count",
    }
}

/// The part of a list to answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Rows before the first.
    pub start: usize,
    /// Rows at most; `None` for all.
    pub limit: Option<usize>,
    /// By what to sort; empty for the order of the operation.
    pub sort: Vec<SortKey>,
    /// The caller wants the number of rows and no rows.
    pub count_only: bool,
}

/// One field to sort by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SortKey {
    pub field: String,
    pub descending: bool,
}

/// The most rows of one page, where an operation states no other number.
pub const MAX_LIMIT: i64 = 1000;

/// What callers send as `limit` when they want all rows.
const NO_LIMIT: i64 = 999_999_999;

/// More sort fields than any caller has a use for would only make the sorting slow.
const MAX_SORT_KEYS: usize = 16;

impl PageIn {
    /// No page at all: everything, in the order of the operation.
    pub fn none() -> Self {
        Self { start: 0, limit: 0, sort: String::new(), enable_count: false }
    }

    /// The lenient rule of `instances` 2.1: 0 to 1000 rows, 0 for all. `enable_count` must stand alone and then changes nothing.
    pub fn lenient(&self, cause: Cause) -> Result<Page, Failure> {
        if self.enable_count {
            self.only_counts(cause)?;
        }
        self.read(0..=MAX_LIMIT, cause)
    }

    /// The strict rule of `instances` 2.1: 1 to 1000 rows, or 999999999 for all.
    pub fn strict(&self, cause: Cause) -> Result<Page, Failure> {
        let mut read = self.clone();
        if self.limit == NO_LIMIT {
            read.limit = 1;
        }
        let mut page = read.read(1..=MAX_LIMIT, cause)?;
        if self.limit == NO_LIMIT {
            page.limit = None;
        }
        Ok(page)
    }

    /// 1 to `max` rows and no way to ask for all: the lists with a limit of their own, and those `instances` 2.1 checks twice.
    pub fn bounded(&self, max: i64, cause: Cause) -> Result<Page, Failure> {
        self.read(1..=max, cause)
    }

    /// The rule of `topology` 3.3 that knows `enable_count`: 0 to 1000 rows, 0 for all, or the number of rows alone.
    pub fn counted(&self, cause: Cause) -> Result<Page, Failure> {
        if !self.enable_count {
            return self.read(0..=MAX_LIMIT, cause);
        }
        self.only_counts(Cause::ParamInvalid)?;
        Ok(Page { start: 0, limit: Some(0), sort: Vec::new(), count_only: true })
    }

    /// No check (`with_host`, `instances` 2.1): anything below 1 row means all, a start below 0 means 0.
    pub fn unchecked(&self) -> Result<Page, Failure> {
        let read = Self { start: self.start.max(0), limit: self.limit.max(0), ..self.clone() };
        read.read(0..=i64::MAX, Cause::ParamInvalid)
    }

    fn read(&self, limits: std::ops::RangeInclusive<i64>, cause: Cause) -> Result<Page, Failure> {
        let (min, max) = (*limits.start(), *limits.end());
        let Ok(start) = usize::try_from(self.start) else {
            return Err(Fault::new(cause, "page.start").because(Reason::Range { min: 0, max: i64::MAX }).into());
        };
        let limit = usize::try_from(self.limit).ok().filter(|_| limits.contains(&self.limit));
        let Some(limit) = limit else {
            return Err(Fault::new(cause, "page.limit").because(Reason::Range { min, max }).into());
        };
        let sort = SortKey::parse_list(&self.sort)?;
        Ok(Page { start, limit: Some(limit).filter(|limit| *limit > 0), sort, count_only: false })
    }

    fn only_counts(&self, cause: Cause) -> Result<(), Failure> {
        let others =
            [("page.start", self.start != 0), ("page.limit", self.limit != 0), ("page.sort", !self.sort.is_empty())];
        match others.into_iter().find(|(_, given)| *given) {
            None => Ok(()),
            Some((other, _)) => Err(Fault::new(cause, "page.enable_count").because(Reason::Exclusive { other }).into()),
        }
    }
}

impl SortKey {
    /// Reads a sort text. Blank items and repetitions say nothing and are left out; fields that no row has are legal.
    pub fn parse_list(text: &str) -> Result<Vec<SortKey>, Failure> {
        let mut keys: Vec<SortKey> = Vec::new();
        for item in text.split(',') {
            let key = SortKey::parse(item);
            if key.field.is_empty() || keys.iter().any(|earlier| earlier.field == key.field) {
                continue;
            }
            if keys.len() == MAX_SORT_KEYS {
                return Err(Fault::new(Cause::ParamInvalid, "page.sort")
                    .because(Reason::TooMany { max: MAX_SORT_KEYS })
                    .into());
            }
            keys.push(key);
        }
        Ok(keys)
    }

    fn parse(item: &str) -> SortKey {
        let (field, direction) = item.split_once(':').unwrap_or((item, ""));
        let field = field.trim();
        let (field, minus) = match field.strip_prefix('-') {
            Some(field) => (field, true),
            None => (field.strip_prefix('+').unwrap_or(field), false),
        };
        SortKey { field: field.trim().to_owned(), descending: minus || direction.trim() == "-1" }
    }
}

impl Page {
    /// Everything, in the order of the operation.
    pub fn all() -> Self {
        Self { start: 0, limit: None, sort: Vec::new(), count_only: false }
    }

    /// The same page, sorted by this field where the caller asked for no order.
    #[must_use]
    pub fn sorted_by_default(mut self, field: &str) -> Self {
        if self.sort.is_empty() {
            self.sort.push(SortKey { field: field.to_owned(), descending: false });
        }
        self
    }

    /// Sorts rows by their documents. Rows without the field come first; equal rows keep their order.
    pub fn sort_rows<T>(&self, rows: &mut [T], document: impl Fn(&T) -> &Object) {
        if self.sort.is_empty() {
            return;
        }
        rows.sort_by(|left, right| {
            let (left, right) = (document(left), document(right));
            let orders = self.sort.iter().map(|key| {
                let order = compare(left.get(&key.field), right.get(&key.field));
                if key.descending { order.reverse() } else { order }
            });
            orders.into_iter().find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
        });
    }

    /// The rows of this page.
    pub fn slice<'a, T>(&self, rows: &'a [T]) -> &'a [T] {
        let rest = rows.get(self.start..).unwrap_or(&[]);
        match self.limit {
            Some(limit) if limit < rest.len() => &rest[..limit],
            _ => rest,
        }
    }

    /// Sorts all rows and keeps those of this page.
    pub fn take<T>(&self, mut rows: Vec<T>, document: impl Fn(&T) -> &Object) -> Vec<T> {
        self.sort_rows(&mut rows, document);
        let rest = rows.into_iter().skip(self.start);
        match self.limit {
            Some(limit) => rest.take(limit).collect(),
            None => rest.collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::{Decoder, Json, Limits, parse};
    use proptest::prelude::*;

    fn json(text: &str) -> Json {
        parse(text.as_bytes(), Limits::default()).unwrap()
    }

    fn page(text: &str) -> PageIn {
        Decoder::decode(json(text), false).unwrap()
    }

    type Rule = fn(&PageIn) -> Result<Page, Failure>;

    const LENIENT: Rule = |page| page.lenient(Cause::PageIllegal);
    const STRICT: Rule = |page| page.strict(Cause::ParamInvalid);
    const BOUNDED: Rule = |page| page.bounded(500, Cause::PageIllegal);
    const COUNTED: Rule = |page| page.counted(Cause::ParamInvalid);
    const UNCHECKED: Rule = |page| page.unchecked();

    #[test]
    fn what_each_rule_accepts() {
        let check = |rule: Rule, text: &str, want: Result<(usize, Option<usize>), (Cause, &str)>| {
            let read = rule(&page(text));
            let read = read
                .as_ref()
                .map(|page| (page.start, page.limit))
                .map_err(|failure| (failure.primary().cause, failure.primary().path.as_str()));
            assert_eq!(read, want, "{text}");
        };
        let illegal = |path| Err((Cause::PageIllegal, path));
        let invalid = |path| Err((Cause::ParamInvalid, path));
        // instances 17: 87, 88, 101.
        check(LENIENT, "null", Ok((0, None)));
        check(LENIENT, r#"{"start":3,"limit":1000}"#, Ok((3, Some(1000))));
        check(LENIENT, r#"{"limit":1001}"#, illegal("page.limit"));
        check(LENIENT, r#"{"limit":-1}"#, illegal("page.limit"));
        check(LENIENT, r#"{"start":-1}"#, illegal("page.start"));
        check(LENIENT, r#"{"limit":999999999}"#, illegal("page.limit"));
        check(LENIENT, r#"{"enable_count":true}"#, Ok((0, None)));
        check(LENIENT, r#"{"enable_count":true,"limit":1}"#, illegal("page.enable_count"));
        // topology 17: 27.
        check(STRICT, r#"{"limit":0}"#, invalid("page.limit"));
        check(STRICT, r#"{}"#, invalid("page.limit"));
        check(STRICT, r#"{"limit":1001}"#, invalid("page.limit"));
        check(STRICT, r#"{"limit":1}"#, Ok((0, Some(1))));
        check(STRICT, r#"{"start":5,"limit":999999999}"#, Ok((5, None)));
        check(STRICT, r#"{"start":-5,"limit":999999999}"#, invalid("page.start"));
        // instances 17: 91.
        check(BOUNDED, "null", illegal("page.limit"));
        check(BOUNDED, r#"{"limit":500}"#, Ok((0, Some(500))));
        check(BOUNDED, r#"{"limit":501}"#, illegal("page.limit"));
        check(BOUNDED, r#"{"limit":999999999}"#, illegal("page.limit"));
        // topology 3.3.
        check(COUNTED, "null", Ok((0, None)));
        check(COUNTED, r#"{"limit":10}"#, Ok((0, Some(10))));
        check(COUNTED, r#"{"enable_count":true}"#, Ok((0, Some(0))));
        check(COUNTED, r#"{"enable_count":true,"start":1}"#, invalid("page.enable_count"));
        check(COUNTED, r#"{"enable_count":true,"sort":"a"}"#, invalid("page.enable_count"));
        check(UNCHECKED, r#"{"start":-1,"limit":-1}"#, Ok((0, None)));
        check(UNCHECKED, r#"{"limit":5000}"#, Ok((0, Some(5000))));
    }

    #[test]
    fn only_a_count_is_told_apart_from_an_empty_page() {
        assert!(page(r#"{"enable_count":true}"#).counted(Cause::ParamInvalid).unwrap().count_only);
        assert!(!page(r#"{"limit":1}"#).counted(Cause::ParamInvalid).unwrap().count_only);
        assert_eq!(PageIn::none().lenient(Cause::PageIllegal), Ok(Page::all()));
    }

    #[test]
    fn sort_texts() {
        for (text, want) in [
            ("", vec![]),
            (" , ", vec![]),
            ("-", vec![]),
            ("id", vec![("id", false)]),
            ("+id", vec![("id", false)]),
            ("-id", vec![("id", true)]),
            ("id:1", vec![("id", false)]),
            ("id:-1", vec![("id", true)]),
            ("id: -1 , name", vec![("id", true), ("name", false)]),
            ("-id:1", vec![("id", true)]),
            ("id:down", vec![("id", false)]),
            ("id,-id,name", vec![("id", false), ("name", false)]),
        ] {
            let keys = SortKey::parse_list(text).unwrap();
            let keys: Vec<_> = keys.iter().map(|key| (key.field.as_str(), key.descending)).collect();
            assert_eq!(keys, want, "{text}");
        }
        let many: Vec<_> = (0..17).map(|i| format!("f{i}")).collect();
        assert_eq!(SortKey::parse_list(&many.join(",")).unwrap_err().primary().path.as_str(), "page.sort");
        assert_eq!(SortKey::parse_list(&["f"; 500].join(",")).unwrap().len(), 1);
    }

    #[test]
    fn rows_without_the_field_come_first_and_ties_keep_their_order() {
        let sorted = |sort: &str| {
            let rows =
                json(r#"[{"id":1,"n":2},{"id":2,"n":"a"},{"id":3},{"id":4,"n":1.5},{"id":5,"n":2},{"id":6,"n":null}]"#);
            let mut rows: Vec<Object> =
                rows.as_list().unwrap().iter().map(|row| row.as_object().unwrap().clone()).collect();
            let page = Page { sort: SortKey::parse_list(sort).unwrap(), ..Page::all() };
            page.sort_rows(&mut rows, |row| row);
            rows.iter().map(|row| row.get("id").and_then(Json::as_int).unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(sorted(""), [1, 2, 3, 4, 5, 6]);
        assert_eq!(sorted("n"), [3, 6, 4, 1, 5, 2]);
        assert_eq!(sorted("-n"), [2, 1, 5, 4, 3, 6]);
        assert_eq!(sorted("n,-id"), [6, 3, 4, 5, 1, 2]);
        assert_eq!(sorted("nothing"), [1, 2, 3, 4, 5, 6]);
    }

    #[test]
    fn a_start_behind_the_end_gives_nothing() {
        let page = Page { start: 3, limit: Some(2), ..Page::all() };
        assert_eq!(page.slice(&[1, 2, 3]), &[] as &[i32]);
        assert_eq!(Page { start: usize::MAX, limit: Some(usize::MAX), ..Page::all() }.slice(&[1]), &[] as &[i32]);
    }

    proptest! {
        #[test]
        fn pages_put_together_are_the_whole_list(len in 0..60_usize, limit in 1..20_usize) {
            let rows: Vec<usize> = (0..len).collect();
            let mut put_together = Vec::new();
            for start in (0..len).step_by(limit) {
                put_together.extend_from_slice(Page { start, limit: Some(limit), ..Page::all() }.slice(&rows));
            }
            prop_assert_eq!(put_together, rows);
        }
    }
}
