//! Labels of service instances and the selectors over them (`instances` 10.9 to 10.12, 12.1).

use crate::fault::{Cause, Failure, Fault, Reason, quoted};
use crate::json::{Decode, Decoder, FieldPath, Json, JsonWriter, Limits, Object, Schema, parse};
use crate::wire_input;
use std::collections::{BTreeMap, HashSet};

/// The most instances that one call may give labels.
pub const MAX_ADDED_PER_CALL: usize = 100;
/// The most instances that one call may take labels from.
pub const MAX_REMOVED_PER_CALL: usize = 500;
/// The most instances whose labels one call may replace. The original sets no limit.
pub const MAX_REPLACED_PER_CALL: usize = 10_000;
/// The longest key or value, in bytes.
const MAX_BYTES: usize = 63;
/// The most selectors of one request.
const MAX_SELECTORS: usize = 100;
/// The most values in all selectors of one request.
const MAX_VALUES: usize = 1000;

/// Labels, in the order of their keys.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Labels(BTreeMap<String, String>);

impl Labels {
    /// Reads labels that were stored; `None` when the text holds none.
    pub fn read(text: &str) -> Option<Self> {
        let Ok(Json::Object(stored)) = parse(text.as_bytes(), Limits::default()) else { return None };
        let labels = stored.iter().map(|(key, value)| Some((key.to_owned(), value.as_text()?.to_owned())));
        labels.collect::<Option<_>>().map(Self)
    }

    /// The JSON text of them, as it is stored and answered.
    pub fn json(&self) -> String {
        let mut out = JsonWriter::with_capacity(2 + self.0.len() * 32);
        out.raw("{");
        for (key, value) in &self.0 {
            out.key(key).text(value);
        }
        out.raw("}");
        out.finish()
    }

    /// What is wrong with keys and values.
    pub fn check(&self) -> Result<(), Failure> {
        let faults = self.0.iter().filter_map(|(key, value)| {
            let at = FieldPath::of("labels").field(&quoted(key));
            let named = |name: String| Fault::new(Cause::ParamInvalid, at).named(name);
            if let Err(reason) = check_text(key, |first| first.is_ascii_alphabetic()).and_then(|()| check_length(key)) {
                return Some(named(format!("label.{}", quoted(key))).because(reason));
            }
            let value_is_good =
                check_text(value, |first| first.is_ascii_alphanumeric()).and_then(|()| check_length(value));
            value_is_good.err().map(|why| named(format!("label.{key}:{}", quoted(value))).because(why))
        });
        Failure::check(faults.collect())
    }
}

/// As sent: any texts, see [`Labels::check`].
impl Decode for Labels {
    fn decode(json: Json, at: &Decoder<'_>) -> Option<Self> {
        let labels = Object::decode(json, at)?;
        let mut whole = true;
        let mut read = BTreeMap::new();
        for (key, value) in labels.iter() {
            let text = match value {
                Json::Text(text) => text.clone(),
                Json::Null => String::new(),
                other => {
                    let reason = Reason::WrongType { want: "string", got: other.kind() };
                    let fault = Fault::new(Cause::BodyUndecodable, at.path().field(&quoted(key)));
                    whole = at.fault::<()>(fault.because(reason)).is_some();
                    continue;
                }
            };
            read.insert(key.to_owned(), text);
        }
        whole.then_some(Self(read))
    }

    fn absent(_: &Decoder<'_>) -> Option<Self> {
        Some(Self::default())
    }

    fn schema() -> Schema {
        Schema::Object(Vec::new())
    }
}

impl<const N: usize> From<[(&str, &str); N]> for Labels {
    fn from(labels: [(&str, &str); N]) -> Self {
        Self(labels.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect())
    }
}

impl FromIterator<(String, String)> for Labels {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(labels: I) -> Self {
        Self(labels.into_iter().collect())
    }
}

fn check_length(text: &str) -> Result<(), Reason> {
    if text.len() <= MAX_BYTES { Ok(()) } else { Err(Reason::TooLong { max_bytes: MAX_BYTES }) }
}

/// The characters of keys and values: letters, digits and, between them, `-`, `_` and `.`.
fn check_text(text: &str, begins: fn(char) -> bool) -> Result<(), Reason> {
    if text.is_empty() {
        return Err(Reason::Blank);
    }
    let is_inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let ends = |c: char| c.is_ascii_alphanumeric();
    if text.starts_with(begins) && text.ends_with(ends) && text.chars().all(is_inner) {
        return Ok(());
    }
    Err(Reason::Characters { value: quoted(text) })
}

/// What is done to the labels of an instance. An instance that never had labels has `None`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LabelChange {
    /// Adds these, over labels with the same keys.
    Add(Labels),
    /// Takes away the labels with these keys.
    Remove(HashSet<String>),
    /// Puts these in the place of all labels.
    Replace(Option<Labels>),
}

impl LabelChange {
    /// The labels afterwards.
    pub fn apply(&self, labels: Option<Labels>) -> Option<Labels> {
        match self {
            Self::Add(added) if added.0.is_empty() => labels,
            Self::Add(added) => {
                let mut labels = labels.unwrap_or_default();
                labels.0.extend(added.0.clone());
                Some(labels)
            }
            // An instance without labels gets the empty ones (`instances E109`).
            Self::Remove(keys) => {
                let mut labels = labels.unwrap_or_default();
                labels.0.retain(|key, _| !keys.contains(key));
                Some(labels)
            }
            Self::Replace(labels) => labels.clone(),
        }
    }
}

/// All labels of many instances: of each key its values, each once, in the order they were seen in (`instances I-23`).
#[derive(Debug, Default)]
pub struct Aggregation(BTreeMap<String, Values>);

#[derive(Debug, Default)]
struct Values {
    seen: HashSet<String>,
    in_order: Vec<String>,
}

impl Aggregation {
    /// Adds the labels of one more instance.
    pub fn add(&mut self, labels: Labels) {
        for (key, value) in labels.0 {
            let values = self.0.entry(key).or_default();
            if values.seen.insert(value.clone()) {
                values.in_order.push(value);
            }
        }
    }

    /// The answer.
    pub fn json(&self) -> String {
        let mut out = JsonWriter::with_capacity(256);
        out.raw("{");
        for (key, values) in &self.0 {
            out.key(key).raw("[");
            for value in &values.in_order {
                out.separate().text(value);
            }
            out.raw("]");
        }
        out.raw("}");
        out.finish()
    }
}

wire_input! {
    /// A selector as it is sent.
    pub struct SelectorIn {
        /// The key of the label.
        pub key: String = "key",
        /// `=`, `!=`, `in`, `notin`, `exists` or `!`.
        pub operator: String = "operator",
        /// One value for `=` and `!=`, at least one for `in` and `notin`, none for the others.
        pub values: Vec<String> = "values",
    }
}

/// One condition on a label. `!=`, `notin` and `!` are the complements of `=`, `in` and `exists` (`instances I-22`).
#[derive(Debug, Clone, PartialEq, Eq)]
struct Selector {
    key: String,
    /// The value is one of these; `None`: whatever it is.
    values: Option<Vec<String>>,
    is_complement: bool,
}

impl Selector {
    /// In the order operator, values, key (`instances` 12.1).
    fn read(sent: &SelectorIn, at: &FieldPath) -> Result<Self, Fault> {
        let bad = |field, reason| Err(Fault::new(Cause::ParamInvalid, at.field(field)).named(field).because(reason));
        let (values, is_complement) = match sent.operator.as_str() {
            "=" => (1..=1, false),
            "!=" => (1..=1, true),
            "in" => (1..=MAX_VALUES, false),
            "notin" => (1..=MAX_VALUES, true),
            "exists" => (0..=0, false),
            "!" => (0..=0, true),
            other => {
                let choices = "=, !=, in, notin, exists, !";
                return bad("operator", Reason::NoChoice { value: quoted(other), choices });
            }
        };
        if !values.contains(&sent.values.len()) {
            return bad("values", Reason::Count { min: *values.start(), max: *values.end() });
        }
        if let Err(reason) = check_text(&sent.key, |first| first.is_ascii_alphabetic()) {
            return bad("key", reason);
        }
        let values = (*values.end() > 0).then(|| sent.values.clone());
        Ok(Self { key: sent.key.clone(), values, is_complement })
    }

    fn matches(&self, labels: &Labels) -> bool {
        let is_met = match (&self.values, labels.0.get(&self.key)) {
            (_, None) => false,
            (None, Some(_)) => true,
            (Some(values), Some(value)) => values.contains(value),
        };
        is_met != self.is_complement
    }
}

/// Selectors that an instance must meet, all of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selectors(Vec<Selector>);

impl Selectors {
    /// Reads what a caller sent as `selectors`.
    pub fn read(sent: &[SelectorIn]) -> Result<Self, Failure> {
        let at = FieldPath::of("selectors");
        let values = sent.iter().map(|selector| selector.values.len()).sum();
        for (what, count, max) in
            [("selectors", sent.len(), MAX_SELECTORS), ("values of selectors", values, MAX_VALUES)]
        {
            if count > max {
                let fault = Fault::new(Cause::TooMany, at).named(what).with(max);
                return Err(fault.because(Reason::TooMany { max }).into());
            }
        }
        let (mut selectors, mut faults) = (Vec::with_capacity(sent.len()), Vec::new());
        for (i, selector) in sent.iter().enumerate() {
            match Selector::read(selector, &at.index(i)) {
                Ok(selector) => selectors.push(selector),
                Err(fault) => faults.push(fault),
            }
        }
        Failure::check(faults)?;
        Ok(Self(selectors))
    }

    /// Whether they select everything.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether an instance without labels cannot meet them.
    pub fn want_a_label(&self) -> bool {
        self.0.iter().any(|selector| !selector.is_complement)
    }

    /// Whether an instance with these labels meets them all. The store asks the same in its own language.
    pub fn matches(&self, labels: Option<&Labels>) -> bool {
        let none = Labels::default();
        self.0.iter().all(|selector| selector.matches(labels.unwrap_or(&none)))
    }

    /// As the store is asked: JSON text.
    pub fn json(&self) -> String {
        let mut out = JsonWriter::with_capacity(self.0.len() * 64);
        out.raw("[");
        for selector in &self.0 {
            out.separate().raw("{").key("key").text(&selector.key);
            if let Some(values) = &selector.values {
                out.key("values").raw("[");
                for value in values {
                    out.separate().text(value);
                }
                out.raw("]");
            }
            out.key("is_complement").raw(if selector.is_complement { "true" } else { "false" }).raw("}");
        }
        out.raw("]");
        out.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// `instances E105`, the label rules of 10.9.
    #[test]
    fn keys_and_values_have_a_format() {
        let check = |key: &str, value: &str, good: bool| {
            assert_eq!(Labels::from([(key, value)]).check().is_ok(), good, "{key}={value}");
        };
        let (longest, longer) = ("a".repeat(63), "a".repeat(64));
        for key in ["a", "Env", "a9", "a-b", "a_b.c", &longest] {
            check(key, "v", true);
        }
        for key in ["", "9a", "a-", "-a", "a.", "é", "a b", "名", &longer] {
            check(key, "v", false);
        }
        for value in ["v", "9", "1.2-3_4", &longest] {
            check("a", value, true);
        }
        for value in ["", "-1", "1-", "a b", "ü", &longer] {
            check("a", value, false);
        }
        let all = Labels::from([("9a", "v"), ("b", ""), ("c", "v")]).check().unwrap_err();
        let paths: Vec<_> = all.faults().iter().map(|fault| fault.path.as_str()).collect();
        assert_eq!(paths, ["labels.9a", "labels.b"]);
    }

    #[test]
    fn stored_labels_read_back() {
        let labels = Labels::from([("b", "2"), ("a", "1")]);
        assert_eq!(labels.json(), r#"{"a":"1","b":"2"}"#);
        assert_eq!(Labels::read(&labels.json()), Some(labels));
        assert_eq!(Labels::read("{}"), Some(Labels::default()));
        for text in ["[]", "{", r#"{"a":1}"#] {
            assert_eq!(Labels::read(text), None, "{text}");
        }
    }

    fn selector(key: &str, operator: &str, values: &[&str]) -> SelectorIn {
        let values = values.iter().map(|value| (*value).to_owned()).collect();
        SelectorIn { key: key.into(), operator: operator.into(), values }
    }

    /// `instances E111` and 12.1: operator before values before key.
    #[test]
    fn what_is_wrong_with_a_selector() {
        let check = |key: &str, operator: &str, values: &[&str], want: Option<&str>| {
            let read = Selectors::read(&[selector(key, operator, values)]);
            let wrong = read.err().and_then(|failure| failure.primary().name.clone());
            assert_eq!(wrong.as_deref(), want, "{key} {operator} {values:?}");
        };
        check("a", "=", &["1"], None);
        check("a", "=", &["1", "2"], Some("values"));
        check("a", "!=", &[], Some("values"));
        check("a", "in", &[], Some("values"));
        check("a", "notin", &["1", "2"], None);
        check("a", "exists", &["1"], Some("values"));
        check("a", "!", &[], None);
        check("-a", "like", &[], Some("operator"));
        check("-a", "=", &[], Some("values"));
        check("-a", "!", &[], Some("key"));
        check("", "!", &[], Some("key"));
        check(&"a".repeat(300), "exists", &[], None);
        let both = Selectors::read(&[selector("a", "x", &[]), selector("a", "!", &[]), selector("-", "!", &[])]);
        let paths: Vec<_> = both.unwrap_err().faults().iter().map(|fault| fault.path.to_string()).collect();
        assert_eq!(paths, ["selectors[0].operator", "selectors[2].key"]);
    }

    #[test]
    fn selectors_are_limited() {
        let many = |count: usize| Selectors::read(&vec![selector("a", "exists", &[]); count]).map(|_| ());
        assert_eq!(many(100), Ok(()));
        assert_eq!(many(101).unwrap_err().primary().cause, Cause::TooMany);
        let wide = |count: usize| Selectors::read(&[selector("a", "in", &vec!["1"; count])]).map(|_| ());
        assert_eq!(wide(1000), Ok(()));
        assert_eq!(wide(1001).unwrap_err().primary().cause, Cause::TooMany);
    }

    fn any_labels() -> impl Strategy<Value = Labels> {
        prop::collection::vec(("[a-d]", "[1-3]"), 0..4).prop_map(|labels| labels.into_iter().collect())
    }

    proptest! {
        /// `instances I-22`.
        #[test]
        fn operators_are_complements(labels in any_labels(), key in "[a-d]", a in "[1-3]", b in "[1-3]") {
            let meets = |operator: &str, values: &[&str]| {
                Selectors::read(&[selector(&key, operator, values)]).unwrap().matches(Some(&labels))
            };
            prop_assert_ne!(meets("exists", &[]), meets("!", &[]));
            prop_assert_ne!(meets("=", &[&a]), meets("!=", &[&a]));
            prop_assert_ne!(meets("in", &[&a, &b]), meets("notin", &[&a, &b]));
            prop_assert_eq!(meets("in", &[&a, &b]), meets("=", &[&a]) || meets("=", &[&b]));
            prop_assert!(!meets("=", &[&a]) || meets("exists", &[]));
            for (operator, values) in [("exists", vec![]), ("!", vec![]), ("=", vec![a.as_str()]), ("!=", vec![a.as_str()])] {
                let selectors = Selectors::read(&[selector(&key, operator, &values)]).unwrap();
                prop_assert_eq!(selectors.want_a_label(), !selectors.matches(None));
            }
        }

        /// `instances I-21`.
        #[test]
        fn changes_of_labels(labels in any_labels(), first in any_labels(), second in any_labels()) {
            let add = |added: &Labels, labels: &Labels| LabelChange::Add(added.clone()).apply(Some(labels.clone())).unwrap();
            let once = add(&first, &labels);
            prop_assert_eq!(add(&first, &once), once.clone());
            if first.0.keys().all(|key| !second.0.contains_key(key)) {
                prop_assert_eq!(add(&second, &once), add(&first, &add(&second, &labels)));
            }
            if first.0.keys().all(|key| !labels.0.contains_key(key)) {
                let keys = first.0.keys().cloned().collect();
                prop_assert_eq!(LabelChange::Remove(keys).apply(Some(once)), Some(labels.clone()));
            }
            prop_assert_eq!(LabelChange::Replace(Some(first.clone())).apply(Some(labels)), Some(first));
        }
    }

    /// `instances E109`, `E110`, and the empty addition of 10.9.
    #[test]
    fn no_labels_and_empty_labels_differ() {
        assert_eq!(LabelChange::Add(Labels::default()).apply(None), None);
        assert_eq!(LabelChange::Remove(HashSet::new()).apply(None), Some(Labels::default()));
        assert_eq!(LabelChange::Replace(None).apply(Some(Labels::default())), None);
    }
}
