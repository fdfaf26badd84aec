//! Tree to typed input. Every field that does not fit is reported with its path; null and absence are the same; a missing field
//! takes its zero value (`gateway` 6.2).

use super::{FieldPath, Json, Object, Schema};
use crate::fault::{Cause, Fault, Reason};
use std::cell::RefCell;

/// A type that input can be decoded into.
pub trait Decode: Sized {
    /// From a value that is neither absent nor null. `None` after a fault was reported.
    fn decode(json: Json, at: &Decoder<'_>) -> Option<Self>;

    /// What absence and null mean.
    fn absent(at: &Decoder<'_>) -> Option<Self>;

    /// The shape, for the OpenAPI document.
    fn schema() -> Schema;
}

/// The most faults that are kept of one request.
const MAX_FAULTS: usize = 10_000;

/// Where decoding stands, and what was wrong so far.
pub struct Decoder<'a> {
    faults: &'a RefCell<Vec<Fault>>,
    place: Place<'a>,
    /// The values came from a query string: digits are accepted where an integer is wanted.
    from_query: bool,
}

#[derive(Clone, Copy)]
enum Place<'a> {
    Root,
    Field(&'a Place<'a>, &'a str),
    Index(&'a Place<'a>, usize),
}

impl Place<'_> {
    fn path(&self) -> FieldPath {
        match self {
            Place::Root => FieldPath::root(),
            Place::Field(parent, name) => parent.path().field(name),
            Place::Index(parent, index) => parent.path().index(*index),
        }
    }
}

impl Decoder<'_> {
    /// Decodes a whole request. All faults are reported, not only the first.
    pub fn decode<T: Decode>(json: Json, from_query: bool) -> Result<T, Vec<Fault>> {
        let faults = RefCell::new(Vec::new());
        let root = Decoder { faults: &faults, place: Place::Root, from_query };
        let decoded = root.value(json);
        let faults = faults.into_inner();
        match decoded {
            Some(decoded) if faults.is_empty() => Ok(decoded),
            _ => Err(faults),
        }
    }

    fn value<T: Decode>(&self, json: Json) -> Option<T> {
        match json {
            Json::Null => T::absent(self),
            json => T::decode(json, self),
        }
    }

    /// The member of an object that belongs to a typed field.
    pub fn field<T: Decode>(&self, object: &mut Object, name: &str) -> Option<T> {
        let at = Decoder { faults: self.faults, place: Place::Field(&self.place, name), from_query: self.from_query };
        match object.remove_ignoring_case(name) {
            Some(json) => at.value(json),
            None => T::absent(&at),
        }
    }

    /// As [`Decoder::field`], for an object that is handed on without that member.
    pub fn take_field<T: Decode>(&self, mut object: Object, name: &str) -> (Object, Option<T>) {
        let value = self.field(&mut object, name);
        (object, value)
    }

    /// Reports that this value is of the wrong type.
    pub fn mismatch<T>(&self, want: &'static str, got: &Json) -> Option<T> {
        let reason = Reason::WrongType { want, got: got.kind() };
        self.fault(Fault::new(Cause::BodyUndecodable, self.path()).because(reason))
    }

    /// Reports any fault.
    pub fn fault<T>(&self, fault: Fault) -> Option<T> {
        let mut faults = self.faults.borrow_mut();
        // Nobody reads more, and a request has room for millions.
        if faults.len() < MAX_FAULTS {
            faults.push(fault);
        }
        None
    }

    /// The place, for a fault.
    pub fn path(&self) -> FieldPath {
        self.place.path()
    }
}

impl Decode for i64 {
    fn decode(json: Json, at: &Decoder<'_>) -> Option<Self> {
        match &json {
            Json::Int(number) => Some(*number),
            Json::Text(text) if at.from_query => match text.parse() {
                Ok(number) => Some(number),
                Err(_) => at.mismatch("integer", &json),
            },
            _ => at.mismatch("integer", &json),
        }
    }

    fn absent(_: &Decoder<'_>) -> Option<Self> {
        Some(0)
    }

    fn schema() -> Schema {
        Schema::Integer
    }
}

impl Decode for bool {
    fn decode(json: Json, at: &Decoder<'_>) -> Option<Self> {
        match &json {
            Json::Bool(flag) => Some(*flag),
            Json::Text(text) if at.from_query && text == "true" => Some(true),
            Json::Text(text) if at.from_query && text == "false" => Some(false),
            _ => at.mismatch("boolean", &json),
        }
    }

    fn absent(_: &Decoder<'_>) -> Option<Self> {
        Some(false)
    }

    fn schema() -> Schema {
        Schema::Boolean
    }
}

impl Decode for String {
    fn decode(json: Json, at: &Decoder<'_>) -> Option<Self> {
        match json {
            Json::Text(text) => Some(text),
            other => at.mismatch("string", &other),
        }
    }

    fn absent(_: &Decoder<'_>) -> Option<Self> {
        Some(String::new())
    }

    fn schema() -> Schema {
        Schema::Text
    }
}

/// Any value, as sent; null when absent.
impl Decode for Json {
    fn decode(json: Json, _: &Decoder<'_>) -> Option<Self> {
        Some(json)
    }

    fn absent(_: &Decoder<'_>) -> Option<Self> {
        Some(Json::Null)
    }

    fn schema() -> Schema {
        Schema::Any
    }
}

/// A free-form record.
impl Decode for Object {
    fn decode(json: Json, at: &Decoder<'_>) -> Option<Self> {
        match json {
            Json::Object(object) => Some(object),
            other => at.mismatch("object", &other),
        }
    }

    fn absent(_: &Decoder<'_>) -> Option<Self> {
        Some(Object::new())
    }

    fn schema() -> Schema {
        Schema::Object(Vec::new())
    }
}

impl<T: Decode> Decode for Vec<T> {
    fn decode(json: Json, at: &Decoder<'_>) -> Option<Self> {
        let Json::List(elements) = json else {
            return at.mismatch("array", &json);
        };
        let mut decoded = Vec::with_capacity(elements.len());
        let mut whole = true;
        for (i, element) in elements.into_iter().enumerate() {
            let at = Decoder { faults: at.faults, place: Place::Index(&at.place, i), from_query: at.from_query };
            match at.value(element) {
                Some(element) => decoded.push(element),
                None => whole = false,
            }
        }
        whole.then_some(decoded)
    }

    fn absent(_: &Decoder<'_>) -> Option<Self> {
        Some(Vec::new())
    }

    fn schema() -> Schema {
        T::schema().list()
    }
}

impl<T: Decode> Decode for Option<T> {
    fn decode(json: Json, at: &Decoder<'_>) -> Option<Self> {
        T::decode(json, at).map(Some)
    }

    fn absent(_: &Decoder<'_>) -> Option<Self> {
        Some(None)
    }

    fn schema() -> Schema {
        T::schema().or_null()
    }
}

/// Declares an input type: a struct, its decoding and its shape, from one list of fields. The text behind `=` is the name on the
/// wire; the doc comments become the descriptions of the OpenAPI document.
#[macro_export]
macro_rules! wire_input {
    ($(#[doc = $about:literal])* pub struct $name:ident {
        $($(#[doc = $doc:literal])* pub $field:ident : $type:ty = $wire:literal,)*
    }) => {
        $(#[doc = $about])*
        #[derive(Debug, Clone, PartialEq)]
        pub struct $name { $($(#[doc = $doc])* pub $field: $type,)* }

        impl $crate::json::Decode for $name {
            fn decode(json: $crate::json::Json, at: &$crate::json::Decoder<'_>) -> Option<Self> {
                let mut object = <$crate::json::Object as $crate::json::Decode>::decode(json, at)?;
                // Every field is decoded before any result is looked at, so that all that is wrong is reported.
                $(let $field = at.field(&mut object, $wire);)*
                Some(Self { $($field: $field?,)* })
            }

            fn absent(at: &$crate::json::Decoder<'_>) -> Option<Self> {
                Self::decode($crate::json::Json::Object($crate::json::Object::new()), at)
            }

            fn schema() -> $crate::json::Schema {
                $crate::json::Schema::Object(vec![$($crate::json::Field {
                    name: $wire,
                    description: concat!($($doc),*).trim_ascii(),
                    schema: <$type as $crate::json::Decode>::schema(),
                    always: false,
                },)*])
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use super::super::{Limits, parse};
    use super::*;

    wire_input! {
        /// An input with one field of each kind.
        pub struct Sample {
            /// A number.
            pub number: i64 = "number",
            pub text: String = "text",
            pub flag: bool = "flag",
            pub numbers: Option<Vec<i64>> = "numbers",
            pub inner: Vec<Inner> = "inner",
            pub record: Object = "record",
        }
    }

    wire_input! {
        pub struct Inner {
            pub id: i64 = "id",
        }
    }

    fn decode(text: &str) -> Result<Sample, Vec<Fault>> {
        Decoder::decode(parse(text.as_bytes(), Limits::default()).unwrap(), false)
    }

    /// The decoder's own table: what a body does to a field (`gateway` 6.2, `instances` §2).
    #[test]
    fn what_a_field_accepts() {
        let number = |text: &str| decode(text).map(|s| s.number).map_err(|f| f[0].path.to_string());
        for (body, want) in [
            (r#"{"number":5}"#, Ok(5)),
            (r#"{}"#, Ok(0)),
            (r#"null"#, Ok(0)),
            (r#"{"number":null}"#, Ok(0)),
            (r#"{"NUMBER":5}"#, Ok(5)),
            (r#"{"Number":4,"number":5}"#, Ok(5)),
            (r#"{"number":5,"Number":4}"#, Ok(5)),
            (r#"{"number":1,"number":2}"#, Ok(2)),
            (r#"{"number":5,"unknown":{"a":[1]}}"#, Ok(5)),
            (r#"{"number":9223372036854775807}"#, Ok(i64::MAX)),
            (r#"{"number":9223372036854775808}"#, Err("number".to_string())),
            (r#"{"number":"5"}"#, Err("number".to_string())),
            (r#"{"number":5.0}"#, Err("number".to_string())),
            (r#"{"number":5e0}"#, Err("number".to_string())),
            (r#"{"number":2.5}"#, Err("number".to_string())),
            (r#"{"number":true}"#, Err("number".to_string())),
            (r#"{"number":[]}"#, Err("number".to_string())),
            (r#"[]"#, Err(String::new())),
            (r#""text""#, Err(String::new())),
            (r#"{"text":5}"#, Err("text".to_string())),
            (r#"{"flag":1}"#, Err("flag".to_string())),
            (r#"{"flag":"true"}"#, Err("flag".to_string())),
            (r#"{"numbers":{}}"#, Err("numbers".to_string())),
            (r#"{"numbers":[1,"2"]}"#, Err("numbers[1]".to_string())),
            (r#"{"inner":[{"id":1},{"id":"2"}]}"#, Err("inner[1].id".to_string())),
            (r#"{"inner":[7]}"#, Err("inner[0]".to_string())),
            (r#"{"record":[]}"#, Err("record".to_string())),
        ] {
            assert_eq!(number(body), want, "{body}");
        }
    }

    #[test]
    fn null_and_absent_lists_differ_from_empty_ones_where_the_type_says_so() {
        assert_eq!(decode(r#"{"numbers":null}"#).unwrap().numbers, None);
        assert_eq!(decode(r#"{"numbers":[]}"#).unwrap().numbers, Some(vec![]));
        assert_eq!(decode(r#"{"numbers":[null]}"#).unwrap().numbers, Some(vec![0]));
    }

    #[test]
    fn every_wrong_field_is_reported() {
        let faults = decode(r#"{"number":"a","inner":[{"id":[]},{"id":1},null,{"id":{}}],"flag":0}"#).unwrap_err();
        let paths: Vec<_> = faults.iter().map(|f| f.path.as_str()).collect();
        assert_eq!(paths, ["number", "flag", "inner[0].id", "inner[3].id"]);
        let many = format!(r#"{{"numbers":[{}"a"]}}"#, "\"a\",".repeat(2 * MAX_FAULTS));
        assert_eq!(decode(&many).unwrap_err().len(), MAX_FAULTS);
    }

    #[test]
    fn digits_of_a_query_string_are_integers() {
        let object: Object = [("number".to_string(), Json::from("42"))].into_iter().collect();
        assert_eq!(Decoder::decode::<Sample>(Json::Object(object.clone()), true).unwrap().number, 42);
        assert!(Decoder::decode::<Sample>(Json::Object(object), false).is_err());
    }
}
