//! The one way from request bytes to typed input (`gateway` 6.2): [`parse`] turns bytes into a [`Json`] tree, [`Decode`] turns
//! the tree into typed fields and names the path of whatever does not fit. Derived decoders of common libraries refuse
//! duplicates and nulls and miss other-case keys, which the contract forbids.

mod decode;
mod parse;
mod path;
mod schema;
mod write;

pub use decode::{Decode, Decoder};
pub use parse::{Limits, Malformed, is_json, parse};
pub use path::FieldPath;
pub use schema::{Field, Schema};
pub use write::{JsonWriter, write_text};

use std::collections::HashMap;

/// A parsed JSON value. Objects keep their keys in order of first appearance; of a doubled key the last value stays.
#[derive(Debug, Clone, PartialEq)]
pub enum Json {
    Null,
    Bool(bool),
    /// A number without fraction or exponent that fits 64 bits.
    Int(i64),
    /// Any other number: it has a fraction, an exponent, or is too large for [`Json::Int`].
    Float(f64),
    Text(String),
    List(Vec<Json>),
    Object(Object),
}

/// The members of a JSON object.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Object(Vec<(String, Json)>);

impl Object {
    /// An object without members.
    pub fn new() -> Self {
        Self::default()
    }

    /// The value of exactly this key.
    pub fn get(&self, key: &str) -> Option<&Json> {
        self.0.iter().find(|(k, _)| k == key).map(|(_, v)| v)
    }

    /// The member a typed field reads: the exact key, else the last one that differs in ASCII case only (`instances E102`).
    pub fn get_ignoring_case(&self, key: &str) -> Option<(&str, &Json)> {
        let exact = self.0.iter().find(|(k, _)| k == key);
        exact.or_else(|| self.0.iter().rev().find(|(k, _)| k.eq_ignore_ascii_case(key))).map(|(k, v)| (k.as_str(), v))
    }

    /// Puts a value under a key, in the place of an older one if there is any.
    pub fn insert(&mut self, key: impl Into<String>, value: Json) {
        let key = key.into();
        match self.0.iter_mut().find(|(k, _)| *k == key) {
            Some((_, old)) => *old = value,
            None => self.0.push((key, value)),
        }
    }

    /// Takes a member out.
    pub fn remove(&mut self, key: &str) -> Option<Json> {
        let at = self.0.iter().position(|(k, _)| k == key)?;
        Some(self.0.remove(at).1)
    }

    /// Takes out the member that a typed field of this name would read, see [`Object::get_ignoring_case`].
    pub fn remove_ignoring_case(&mut self, key: &str) -> Option<Json> {
        let key = self.get_ignoring_case(key)?.0.to_owned();
        self.remove(&key)
    }

    /// The members in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Json)> {
        self.0.iter().map(|(k, v)| (k.as_str(), v))
    }

    /// How many members there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no member.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<(String, Json)> for Object {
    fn from_iter<I: IntoIterator<Item = (String, Json)>>(members: I) -> Self {
        let mut gathered = Gathered::default();
        for (key, value) in members {
            gathered.put(key, value);
        }
        gathered.into_object()
    }
}

/// Members on their way into an object. The keys of wide objects are hashed: many thousand members must not cost their square.
#[derive(Default)]
struct Gathered {
    members: Vec<(String, Json)>,
    /// Where each key stands, once there are more than [`Gathered::NARROW`].
    places: HashMap<String, usize>,
}

impl Gathered {
    /// Up to so many keys are looked through one by one: more than a process has.
    const NARROW: usize = 48;

    /// Adds a member, in the place of an older one of the same key if there is any.
    fn put(&mut self, key: String, value: Json) {
        if self.members.len() < Self::NARROW {
            match self.members.iter_mut().find(|(k, _)| *k == key) {
                Some((_, old)) => *old = value,
                None => self.members.push((key, value)),
            }
            return;
        }
        if self.places.is_empty() {
            self.places.extend(self.members.iter().enumerate().map(|(i, (k, _))| (k.clone(), i)));
        }
        match self.places.get(&key) {
            Some(&i) => self.members[i].1 = value,
            None => {
                self.places.insert(key.clone(), self.members.len());
                self.members.push((key, value));
            }
        }
    }

    fn into_object(self) -> Object {
        Object(self.members)
    }
}

impl Json {
    /// The text, if it is one.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Json::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The whole number, if it is one.
    pub fn as_int(&self) -> Option<i64> {
        match self {
            Json::Int(number) => Some(*number),
            _ => None,
        }
    }

    /// The object, if it is one.
    pub fn as_object(&self) -> Option<&Object> {
        match self {
            Json::Object(object) => Some(object),
            _ => None,
        }
    }

    /// The elements, if it is a list.
    pub fn as_list(&self) -> Option<&[Json]> {
        match self {
            Json::List(elements) => Some(elements),
            _ => None,
        }
    }

    /// What kind of value it is, in the words of the JSON standard, for messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Json::Null => "null",
            Json::Bool(_) => "boolean",
            Json::Int(_) | Json::Float(_) => "number",
            Json::Text(_) => "string",
            Json::List(_) => "array",
            Json::Object(_) => "object",
        }
    }
}

impl From<i64> for Json {
    fn from(number: i64) -> Self {
        Json::Int(number)
    }
}

impl From<&str> for Json {
    fn from(text: &str) -> Self {
        Json::Text(text.to_owned())
    }
}

impl From<String> for Json {
    fn from(text: String) -> Self {
        Json::Text(text)
    }
}

impl From<bool> for Json {
    fn from(flag: bool) -> Self {
        Json::Bool(flag)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    #[test]
    fn wide_objects_are_gathered_in_linear_time_and_the_last_of_a_doubled_key_stays() {
        let begun = Instant::now();
        let wide: Object = (0..400_000).map(|i| (format!("k{}", i % 300_000), Json::Int(i))).collect();
        assert_eq!(wide.len(), 300_000);
        assert_eq!(wide.iter().next(), Some(("k0", &Json::Int(300_000))));
        // Looking through the keys one by one takes minutes.
        assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    }
}
