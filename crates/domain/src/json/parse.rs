//! Bytes to tree. serde_json does the reading; what it would refuse or lose and the contract wants (last duplicate wins, a
//! nesting limit of our own, the path of a bad text) is added by the seed below.

use super::{FieldPath, Gathered, Json, Object};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::cell::RefCell;
use std::fmt;

/// What a body may cost.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// How many lists and objects may stand inside each other.
    pub depth: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { depth: 64 }
    }
}

/// Why bytes are no acceptable JSON.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Not JSON at all, cut off, followed by something else, not UTF-8, or a number no program can hold.
    #[error("not valid JSON at line {line}, column {column}")]
    Syntax { line: usize, column: usize },
    /// More lists and objects inside each other than [`Limits::depth`].
    #[error("nested deeper than {limit}")]
    TooDeep { limit: usize },
    /// A text with a NUL character or half of a surrogate pair, which no store keeps faithfully.
    #[error("the text at {at} holds a NUL character or an unpaired surrogate")]
    BadText { at: FieldPath },
}

/// Reads one JSON value. An empty body is `{}`.
pub fn parse(bytes: &[u8], limits: Limits) -> Result<Json, Malformed> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok(Json::Object(Object::new()));
    }
    let state = State { limits, failed: RefCell::new(None) };
    // The library's own recursion limit (128) stays on, above ours.
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let root = FieldPath::root();
    let read = Value { state: &state, depth: 0, at: At::Root(&root) }
        .deserialize(&mut reader)
        .and_then(|value| reader.end().map(|()| value));
    read.map_err(|e| {
        state.failed.borrow_mut().take().unwrap_or(Malformed::Syntax { line: e.line(), column: e.column() })
    })
}

/// Whether a text is one JSON value, told without making anything of it.
pub fn is_json(text: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(text).is_ok()
}

struct State {
    limits: Limits,
    /// The reason behind the library's error, when it was ours.
    failed: RefCell<Option<Malformed>>,
}

/// The place being read, as a chain on the stack: a path is only built when something is wrong.
#[derive(Clone, Copy)]
enum At<'a> {
    Root(&'a FieldPath),
    Field(&'a At<'a>, &'a str),
    Index(&'a At<'a>, usize),
}

impl At<'_> {
    fn path(&self) -> FieldPath {
        match self {
            At::Root(path) => (*path).clone(),
            At::Field(parent, name) => parent.path().field(name),
            At::Index(parent, index) => parent.path().index(*index),
        }
    }
}

#[derive(Clone, Copy)]
struct Value<'a> {
    state: &'a State,
    depth: usize,
    at: At<'a>,
}

impl Value<'_> {
    fn fail<E: serde::de::Error>(&self, reason: Malformed) -> E {
        let text = reason.to_string();
        self.state.failed.borrow_mut().get_or_insert(reason);
        E::custom(text)
    }

    fn deeper<E: serde::de::Error>(&self) -> Result<usize, E> {
        let limit = self.state.limits.depth;
        if self.depth >= limit { Err(self.fail(Malformed::TooDeep { limit })) } else { Ok(self.depth + 1) }
    }

    fn text<E: serde::de::Error>(&self, text: String) -> Result<Json, E> {
        if text.contains('\0') {
            Err(self.fail(Malformed::BadText { at: self.at.path() }))
        } else {
            Ok(Json::Text(text))
        }
    }
}

impl<'de> DeserializeSeed<'de> for Value<'_> {
    type Value = Json;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json, D::Error> {
        deserializer.deserialize_any(self).inspect_err(|e| {
            // The library tells a broken surrogate pair only in words.
            if e.to_string().contains("surrogate") || e.to_string().contains("end of hex escape") {
                let at = self.at.path();
                self.state.failed.borrow_mut().get_or_insert(Malformed::BadText { at });
            }
        })
    }
}

impl<'de> Visitor<'de> for Value<'_> {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Json, E> {
        Ok(Json::Bool(flag))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Json, E> {
        Ok(Json::Int(number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Json, E> {
        // Above 2^63-1 nothing of the contract is an integer any more; what is left is its size.
        Ok(i64::try_from(number).map_or(Json::Float(number as f64), Json::Int))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Json, E> {
        Ok(Json::Float(number))
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Json, E> {
        self.text(text.to_owned())
    }

    fn visit_string<E: serde::de::Error>(self, text: String) -> Result<Json, E> {
        self.text(text)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Json, A::Error> {
        let depth = self.deeper()?;
        let mut elements = Vec::new();
        loop {
            let at = At::Index(&self.at, elements.len());
            match list.next_element_seed(Value { state: self.state, depth, at })? {
                Some(element) => elements.push(element),
                None => return Ok(Json::List(elements)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Json, A::Error> {
        let depth = self.deeper()?;
        let mut gathered = Gathered::default();
        while let Some(key) = members.next_key::<String>()? {
            if key.contains('\0') {
                return Err(self.fail(Malformed::BadText { at: self.at.path() }));
            }
            let at = At::Field(&self.at, &key);
            let value = members.next_value_seed(Value { state: self.state, depth, at })?;
            gathered.put(key, value);
        }
        Ok(Json::Object(gathered.into_object()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Json, Malformed> {
        parse(text.as_bytes(), Limits::default())
    }

    #[test]
    fn numbers_keep_their_kind() {
        let check = |text: &str, want: Json| assert_eq!(read(text), Ok(want), "{text}");
        check("9223372036854775807", Json::Int(i64::MAX));
        check("-9223372036854775808", Json::Int(i64::MIN));
        check("9223372036854775808", Json::Float(9_223_372_036_854_775_808.0));
        check("99999999999999999999526", Json::Float(99_999_999_999_999_999_999_526.0));
        check("7.0", Json::Float(7.0));
        check("7e0", Json::Float(7.0));
        check("-0", Json::Float(-0.0));
    }

    #[test]
    fn an_empty_body_is_an_empty_object_and_null_is_null() {
        assert_eq!(read(""), Ok(Json::Object(Object::new())));
        assert_eq!(read(" \r\n\t"), Ok(Json::Object(Object::new())));
        assert_eq!(read("null"), Ok(Json::Null));
    }

    #[test]
    fn of_doubled_keys_the_last_wins_also_in_wide_objects() {
        let narrow = read(r#"{"a":1,"b":2,"a":3}"#).unwrap();
        assert_eq!(narrow.as_object().unwrap().get("a"), Some(&Json::Int(3)));
        let wide: String = (0..200).map(|i| format!("\"k{i}\":{i},")).collect();
        let wide = read(&format!("{{{wide}\"k7\":\"last\",\"k150\":\"last\"}}")).unwrap();
        let wide = wide.as_object().unwrap();
        assert_eq!((wide.len(), wide.get("k7"), wide.get("k150")), (200, Some(&"last".into()), Some(&"last".into())));
    }

    #[test]
    fn malformed_text_is_refused() {
        for text in ["{", "[1", "{\"a\":}", "{} xx", "nul", "\"a", "{\"a\" 1}", "'a'", "01", "1e999", "\u{feff}{}"] {
            assert!(matches!(read(text), Err(Malformed::Syntax { .. })), "{text}: {:?}", read(text));
        }
        assert!(matches!(parse(b"\"\xff\"", Limits::default()), Err(Malformed::Syntax { .. })));
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
        assert!(read(&nested(64)).is_ok());
        assert_eq!(read(&nested(65)), Err(Malformed::TooDeep { limit: 64 }));
        assert_eq!(read(&nested(200)), Err(Malformed::TooDeep { limit: 64 }));
        let unclosed = "{\"a\":".repeat(100_000);
        assert_eq!(read(&unclosed), Err(Malformed::TooDeep { limit: 64 }));
    }

    #[test]
    fn text_that_no_store_keeps_is_named_by_its_path() {
        for text in [
            r#"{"a":[{"b":"x\u0000"}]}"#,
            r#"{"a":[{"b":"\ud800"}]}"#,
            r#"{"a":[{"b":"\ud800x"}]}"#,
            r#"{"a":[{"b":"\udc00"}]}"#,
        ] {
            let error = read(text).unwrap_err();
            assert_eq!(error, Malformed::BadText { at: "a[0].b".into() }, "{text}");
        }
        assert_eq!(read(r#""\ud83d\ude00""#), Ok(Json::Text("😀".into())));
    }
}
