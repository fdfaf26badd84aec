//! The query filters of today's searches (`instances` 12.2): read once into a tree, which is asked of documents in memory or becomes
//! the condition of a statement (`store/src/query_filter.rs`). Both ways agree on every document; a test compares them. What a
//! caller may write is bounded, and texts are looked for as they are: there are no patterns.

use crate::fault::{Cause, Fault, Reason, quoted};
use crate::json::{FieldPath, Json, Object};
use crate::moment::{Moment, Zone};
use crate::order::{compare, same};
use std::cmp::Ordering;

/// The deepest filter: a group that holds a group that holds rules.
const MAX_DEPTH: usize = 3;
/// The most rules of a filter, in all its groups.
pub const MAX_RULES: usize = 200;
/// The most values of one rule.
pub const MAX_VALUES: usize = 10_000;

/// What the records hold that a filter is about: for each field the shape of its values, nothing for a field there is not.
pub type Shapes = fn(&str) -> Option<Shape>;

/// What a field holds, beside null. Fields of rows inside a list are named `list.cell`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    Text,
    Int,
    Bool,
    /// A text as [`Zone::rfc3339`] writes it.
    Time,
    /// A list of rows.
    Rows,
}

/// A filter that was read.
#[derive(Debug, Clone, PartialEq)]
pub struct QueryFilter(pub Node);

/// A part of a filter.
#[derive(Debug, Clone, PartialEq)]
pub enum Node {
    /// Every part holds. There is at least one.
    All(Vec<Node>),
    /// At least one part holds. There is at least one.
    Any(Vec<Node>),
    Rule(Rule),
}

/// What one field must be.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    pub field: String,
    /// `None`: no record has the field.
    pub shape: Option<Shape>,
    pub test: Test,
    /// The rule holds where the test fails.
    pub negated: bool,
}

/// What is asked of the values of a field: it passes when one of them does.
#[derive(Debug, Clone, PartialEq)]
pub enum Test {
    Equal(Json),
    /// One of these, which are of one type.
    In(Vec<Json>),
    /// A number in this relation to the bound.
    Compare(Relation, Json),
    /// A time in this relation to the bound.
    Time(Relation, Moment),
    Begins(String),
    Ends(String),
    Contains(String),
    /// As [`Test::Contains`], ASCII letters in any case; the text is in small ones.
    ContainsIgnoringCase(String),
    /// A list without rows.
    Empty,
    /// Null, or absent.
    Null,
    /// There, though it may be null.
    Exists,
}

/// How a value stands to a bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Relation {
    /// Whether a value that compares so to the bound is meant.
    pub fn holds(self, order: Ordering) -> bool {
        match self {
            Self::Less => order.is_lt(),
            Self::LessOrEqual => order.is_le(),
            Self::Greater => order.is_gt(),
            Self::GreaterOrEqual => order.is_ge(),
        }
    }
}

impl QueryFilter {
    /// Reads a filter about records of these shapes; null is none. Times without a zone are in `zone`. Every fault is named.
    pub fn parse(sent: &Json, at: &FieldPath, shapes: Shapes, zone: &Zone) -> Result<Option<Self>, Vec<Fault>> {
        if *sent == Json::Null {
            return Ok(None);
        }
        let mut parser = Parser { shapes, zone, faults: Vec::new(), rules: 0 };
        let node = parser.node(sent, at, 1);
        match node {
            Some(node) if parser.faults.is_empty() => Ok(Some(Self(node))),
            _ => Err(parser.faults),
        }
    }

    /// Whether a document is meant.
    pub fn matches(&self, document: &Object) -> bool {
        self.0.matches(document)
    }
}

impl Node {
    fn matches(&self, document: &Object) -> bool {
        match self {
            Self::All(parts) => parts.iter().all(|part| part.matches(document)),
            Self::Any(parts) => parts.iter().any(|part| part.matches(document)),
            Self::Rule(rule) => rule.passes(document) != rule.negated,
        }
    }
}

impl Rule {
    fn passes(&self, document: &Object) -> bool {
        let Some(shape) = self.shape else { return self.test.passes(None, None) };
        let passes = |value| self.test.passes(value, Some(shape));
        match self.field.split_once('.') {
            None => passes(document.get(&self.field)),
            Some((list, cell)) => match document.get(list) {
                Some(Json::List(rows)) => rows.iter().any(|row| passes(row.as_object().and_then(|row| row.get(cell)))),
                _ => passes(None),
            },
        }
    }
}

impl Test {
    fn passes(&self, value: Option<&Json>, shape: Option<Shape>) -> bool {
        let text = |passes: &dyn Fn(&str) -> bool| value.and_then(Json::as_text).is_some_and(passes);
        match self {
            Self::Equal(wanted) => value.is_some_and(|value| same(value, wanted)),
            Self::In(wanted) => value.is_some_and(|value| wanted.iter().any(|wanted| same(value, wanted))),
            Self::Compare(relation, bound) => match value {
                Some(value @ (Json::Int(_) | Json::Float(_))) => relation.holds(compare(Some(value), Some(bound))),
                _ => false,
            },
            Self::Time(relation, bound) => {
                shape == Some(Shape::Time)
                    && text(&|text| Moment::parse_rfc3339(text).is_some_and(|time| relation.holds(time.cmp(bound))))
            }
            Self::Begins(part) => text(&|text| text.starts_with(part)),
            Self::Ends(part) => text(&|text| text.ends_with(part)),
            Self::Contains(part) => text(&|text| text.contains(part)),
            Self::ContainsIgnoringCase(part) => text(&|text| text.to_ascii_lowercase().contains(part)),
            Self::Empty => value.is_some_and(|value| value.as_list().is_some_and(<[Json]>::is_empty)),
            Self::Null => value.is_none_or(|value| *value == Json::Null),
            Self::Exists => value.is_some(),
        }
    }
}

/// The operators, in the words of an error.
const OPERATORS: &str = "equal, not_equal, in, not_in, less, less_or_equal, greater, greater_or_equal, datetime_less, \
    datetime_less_or_equal, datetime_greater, datetime_greater_or_equal, begins_with, not_begins_with, contains, not_contains, \
    ends_with, not_ends_with, is_empty, is_not_empty, is_null, is_not_null, exist, not_exist";

struct Parser<'a> {
    shapes: Shapes,
    zone: &'a Zone,
    faults: Vec<Fault>,
    rules: usize,
}

impl Parser<'_> {
    fn refuse<T>(&mut self, at: &FieldPath, reason: Reason) -> Option<T> {
        self.faults.push(Fault::new(Cause::ParamInvalid, at.clone()).because(reason));
        None
    }

    /// What does not even look like a filter is refused as the bytes of a request are (`instances` 10.21).
    fn undecodable<T>(&mut self, at: &FieldPath, reason: Reason) -> Option<T> {
        self.faults.push(Fault::new(Cause::BodyUndecodable, at.clone()).because(reason));
        None
    }

    fn node(&mut self, sent: &Json, at: &FieldPath, depth: usize) -> Option<Node> {
        let Json::Object(members) = sent else {
            return self.undecodable(at, Reason::WrongType { want: "object", got: sent.kind() });
        };
        let member = |name| members.get_ignoring_case(name).map_or(&Json::Null, |(_, value)| value);
        match (member("condition"), member("operator")) {
            (Json::Null, Json::Null) => self.undecodable(at, Reason::NeedsCondition),
            (Json::Null, _) if depth == 1 => self.refuse(at, Reason::NeedsCondition),
            (Json::Null, operator) => self.rule(member("field"), operator, member("value"), at),
            // Rules stand one level below their group.
            _ if depth >= MAX_DEPTH => self.refuse(at, Reason::TooDeep { limit: MAX_DEPTH }),
            (condition, _) => self.group(condition, member("rules"), at, depth),
        }
    }

    fn group(&mut self, condition: &Json, rules: &Json, at: &FieldPath, depth: usize) -> Option<Node> {
        let make: Option<fn(Vec<Node>) -> Node> = match condition.as_text() {
            Some("AND") => Some(Node::All),
            Some("OR") => Some(Node::Any),
            other => {
                let value = quoted(other.unwrap_or(condition.kind()));
                self.refuse(&at.field("condition"), Reason::NoChoice { value, choices: "AND, OR" })
            }
        };
        let at = at.field("rules");
        let Json::List(rules) = rules else {
            return self.refuse(&at, Reason::NeedsRows);
        };
        if rules.is_empty() {
            return self.refuse(&at, Reason::NeedsRows);
        }
        let mut parts = Vec::new();
        for (i, rule) in rules.iter().enumerate() {
            if self.rules > MAX_RULES {
                return None;
            }
            parts.extend(self.node(rule, &at.index(i), depth + 1));
        }
        make.map(|make| make(parts))
    }

    fn rule(&mut self, field: &Json, operator: &Json, value: &Json, at: &FieldPath) -> Option<Node> {
        self.rules += 1;
        if self.rules > MAX_RULES {
            return self.refuse(at, Reason::TooMany { max: MAX_RULES });
        }
        let field = match field.as_text() {
            Some(field) if is_name(field) => Some(field),
            Some(field) => self.refuse(&at.field("field"), Reason::Characters { value: quoted(field) }),
            None => self.refuse(&at.field("field"), Reason::NeedsText),
        };
        let test = self.test(operator, value, at);
        let (field, (test, negated)) = (field?.to_owned(), test?);
        let shape = (self.shapes)(&field);
        Some(Node::Rule(Rule { field, shape, test, negated }))
    }

    /// What an operator asks, and whether the contrary of it.
    fn test(&mut self, operator: &Json, value: &Json, at: &FieldPath) -> Option<(Test, bool)> {
        use Relation::{Greater, GreaterOrEqual, Less, LessOrEqual};
        let name = operator.as_text().unwrap_or(operator.kind());
        let at_operator = at.field("operator");
        let at = &at.field("value");
        let yes = |test: Option<Test>| test.map(|test| (test, false));
        let no = |test: Option<Test>| test.map(|test| (test, true));
        match name {
            "equal" => yes(self.scalar(value, at)),
            "not_equal" => no(self.scalar(value, at)),
            "in" => yes(self.list(value, at)),
            "not_in" => no(self.list(value, at)),
            "less" => yes(self.number(Less, value, at)),
            "less_or_equal" => yes(self.number(LessOrEqual, value, at)),
            "greater" => yes(self.number(Greater, value, at)),
            "greater_or_equal" => yes(self.number(GreaterOrEqual, value, at)),
            "datetime_less" => yes(self.time(Less, value, at)),
            "datetime_less_or_equal" => yes(self.time(LessOrEqual, value, at)),
            "datetime_greater" => yes(self.time(Greater, value, at)),
            "datetime_greater_or_equal" => yes(self.time(GreaterOrEqual, value, at)),
            "begins_with" => yes(self.part(Test::Begins, value, at)),
            "not_begins_with" => no(self.part(Test::Begins, value, at)),
            "contains" => yes(self.part(|text| Test::ContainsIgnoringCase(text.to_ascii_lowercase()), value, at)),
            // In the original too only `contains` ignores case.
            "not_contains" => no(self.part(Test::Contains, value, at)),
            "ends_with" => yes(self.part(Test::Ends, value, at)),
            "not_ends_with" => no(self.part(Test::Ends, value, at)),
            "is_empty" => Some((Test::Empty, false)),
            "is_not_empty" => Some((Test::Empty, true)),
            "is_null" => Some((Test::Null, false)),
            "is_not_null" => Some((Test::Null, true)),
            "exist" => Some((Test::Exists, false)),
            "not_exist" => Some((Test::Exists, true)),
            other => self.refuse(&at_operator, Reason::NoChoice { value: quoted(other), choices: OPERATORS }),
        }
    }

    fn scalar(&mut self, value: &Json, at: &FieldPath) -> Option<Test> {
        match value {
            Json::Text(_) | Json::Int(_) | Json::Float(_) | Json::Bool(_) => Some(Test::Equal(value.clone())),
            _ => self.refuse(at, Reason::WrongType { want: "string, number or boolean", got: value.kind() }),
        }
    }

    fn list(&mut self, value: &Json, at: &FieldPath) -> Option<Test> {
        let values = match value {
            Json::Null => return Some(Test::In(Vec::new())),
            Json::List(values) if values.len() > MAX_VALUES => {
                return self.refuse(at, Reason::TooMany { max: MAX_VALUES });
            }
            Json::List(values) => values,
            _ => return self.refuse(at, Reason::WrongType { want: "array", got: value.kind() }),
        };
        let first = values.first().map_or("string", Json::kind);
        for (i, value) in values.iter().enumerate() {
            if matches!(value, Json::Null | Json::List(_) | Json::Object(_)) || value.kind() != first {
                let want = if matches!(first, "number" | "boolean") { first } else { "string" };
                return self.refuse(&at.index(i), Reason::WrongType { want, got: value.kind() });
            }
        }
        Some(Test::In(values.clone()))
    }

    fn number(&mut self, relation: Relation, value: &Json, at: &FieldPath) -> Option<Test> {
        match value {
            Json::Int(_) | Json::Float(_) => Some(Test::Compare(relation, value.clone())),
            _ => self.refuse(at, Reason::WrongType { want: "number", got: value.kind() }),
        }
    }

    fn time(&mut self, relation: Relation, value: &Json, at: &FieldPath) -> Option<Test> {
        match value {
            Json::Text(text) => match self.zone.parse(text) {
                Some(moment) => Some(Test::Time(relation, moment)),
                None => self.refuse(at, Reason::TimeSyntax { value: quoted(text) }),
            },
            _ => self.refuse(at, Reason::NeedsText),
        }
    }

    fn part(&mut self, test: fn(String) -> Test, value: &Json, at: &FieldPath) -> Option<Test> {
        match value {
            Json::Text(text) if text.is_empty() => self.refuse(at, Reason::Blank),
            Json::Text(text) => Some(test(text.clone())),
            _ => self.refuse(at, Reason::NeedsText),
        }
    }
}

/// Letters, digits, `-`, `_` and `.`, the first a letter or a digit.
fn is_name(field: &str) -> bool {
    field.starts_with(|c: char| c.is_ascii_alphanumeric())
        && field.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::{Limits, parse};

    fn json(text: &str) -> Json {
        parse(text.as_bytes(), Limits::default()).unwrap()
    }

    fn shapes(field: &str) -> Option<Shape> {
        match field {
            "name" | "rows.port" | "note" => Some(Shape::Text),
            "num" | "rows.id" => Some(Shape::Int),
            "on" => Some(Shape::Bool),
            "time" => Some(Shape::Time),
            "rows" | "none" => Some(Shape::Rows),
            _ => None,
        }
    }

    fn read(filter: &str) -> Result<Option<QueryFilter>, Vec<Fault>> {
        let zone = Zone::named(Zone::DEFAULT_NAME).unwrap();
        QueryFilter::parse(&json(filter), &FieldPath::of("filter"), shapes, &zone)
    }

    #[test]
    fn what_rules_match() {
        let document = json(
            r#"{"name":"Nginx","note":null,"num":7,"on":true,"time":"2026-11-21T10:00:00.123+08:00",
                "rows":[{"port":"80","id":1},{"port":null,"id":2}],"none":[]}"#,
        );
        let document = document.as_object().unwrap();
        let check = |rule: &str, want: bool| {
            let filter = read(&format!(r#"{{"condition":"AND","rules":[{{{rule}}}]}}"#)).unwrap().unwrap();
            assert_eq!(filter.matches(document), want, "{rule}");
        };
        let both = |field: &str, operator: &str, contrary: &str, value: &str, want: bool| {
            check(&format!(r#""field":"{field}","operator":"{operator}","value":{value}"#), want);
            check(&format!(r#""field":"{field}","operator":"{contrary}","value":{value}"#), !want);
        };
        both("name", "equal", "not_equal", "\"Nginx\"", true);
        both("name", "equal", "not_equal", "\"nginx\"", false);
        both("num", "equal", "not_equal", "7.0", true);
        both("num", "equal", "not_equal", "\"7\"", false);
        both("on", "equal", "not_equal", "true", true);
        both("missing", "equal", "not_equal", "1", false);
        both("rows.port", "equal", "not_equal", "\"80\"", true);
        both("rows.id", "in", "not_in", "[2,3]", true);
        both("num", "in", "not_in", "[]", false);
        both("num", "in", "not_in", "null", false);
        both("name", "begins_with", "not_begins_with", "\"Ng\"", true);
        both("name", "begins_with", "not_begins_with", "\"ng\"", false);
        both("name", "ends_with", "not_ends_with", "\"nx\"", true);
        both("num", "ends_with", "not_ends_with", "\"7\"", false);
        both("note", "is_null", "is_not_null", "0", true);
        both("missing", "is_null", "is_not_null", "0", true);
        both("rows.port", "is_null", "is_not_null", "0", true);
        both("rows.id", "is_null", "is_not_null", "0", false);
        both("note", "exist", "not_exist", "0", true);
        both("missing", "exist", "not_exist", "0", false);
        both("none", "is_empty", "is_not_empty", "0", true);
        both("rows", "is_empty", "is_not_empty", "0", false);
        for (operator, value, want) in [
            ("contains", "\"GIN\"", true),
            ("not_contains", "\"GIN\"", true),
            ("not_contains", "\"gin\"", false),
            ("contains", "\".\"", false),
        ] {
            check(&format!(r#""field":"name","operator":"{operator}","value":{value}"#), want);
        }
        for (operator, value, want) in
            [("less", "7.5", true), ("less", "7", false), ("less_or_equal", "7", true), ("greater", "6", true)]
        {
            check(&format!(r#""field":"num","operator":"{operator}","value":{value}"#), want);
        }
        for (operator, value, want) in [
            ("datetime_less", "\"2026-11-22\"", true),
            ("datetime_less", "\"2026-11-21 10:00:00\"", false),
            ("datetime_greater", "\"2026-11-21 10:00:00\"", true),
            ("datetime_greater_or_equal", "\"2026-11-21T02:00:00.123Z\"", true),
            ("datetime_less_or_equal", "\"2026-11-21T02:00:00.122Z\"", false),
        ] {
            check(&format!(r#""field":"time","operator":"{operator}","value":{value}"#), want);
            check(&format!(r#""field":"name","operator":"{operator}","value":{value}"#), false);
        }
    }

    #[test]
    fn groups_hold_as_they_say() {
        let document = json(r#"{"num":7,"name":"a"}"#);
        let check = |filter: &str, want: bool| {
            assert_eq!(read(filter).unwrap().unwrap().matches(document.as_object().unwrap()), want, "{filter}");
        };
        let (yes, no) =
            (r#"{"field":"num","operator":"equal","value":7}"#, r#"{"field":"name","operator":"equal","value":"b"}"#);
        check(&format!(r#"{{"condition":"AND","rules":[{yes},{no}]}}"#), false);
        check(&format!(r#"{{"condition":"OR","rules":[{yes},{no}]}}"#), true);
        check(&format!(r#"{{"condition":"AND","rules":[{yes},{{"condition":"OR","rules":[{no},{yes}]}}]}}"#), true);
        check(&format!(r#"{{"condition":"OR","rules":[{no},{{"condition":"AND","rules":[{no},{yes}]}}]}}"#), false);
        assert_eq!(read("null").unwrap(), None);
    }

    /// `instances E97`.
    #[test]
    fn what_is_no_filter_is_refused_with_its_place() {
        let check = |filter: &str, want: &[(Cause, &str)]| {
            let faults = read(filter).unwrap_err();
            let found: Vec<_> = faults.iter().map(|fault| (fault.cause, fault.path.as_str())).collect();
            assert_eq!(found, want, "{filter}");
        };
        use Cause::{BodyUndecodable, ParamInvalid};
        let rule = r#"{"field":"num","operator":"equal","value":7}"#;
        check("{}", &[(BodyUndecodable, "filter")]);
        check("[]", &[(BodyUndecodable, "filter")]);
        check(rule, &[(ParamInvalid, "filter")]);
        check(
            r#"{"condition":"XOR","rules":[{}]}"#,
            &[(ParamInvalid, "filter.condition"), (BodyUndecodable, "filter.rules[0]")],
        );
        check(r#"{"condition":"AND"}"#, &[(ParamInvalid, "filter.rules")]);
        check(r#"{"condition":"AND","rules":[]}"#, &[(ParamInvalid, "filter.rules")]);
        let nested = |inner: &str| format!(r#"{{"condition":"AND","rules":[{inner}]}}"#);
        check(&nested(&nested(&nested(rule))), &[(ParamInvalid, "filter.rules[0].rules[0]")]);
        assert!(read(&nested(&nested(rule))).is_ok());
        let at = |rule: &str, path: &str| check(&nested(rule), &[(ParamInvalid, &format!("filter.rules[0].{path}"))]);
        at(r#"{"field":"num","operator":"like","value":7}"#, "operator");
        at(r#"{"field":"$where","operator":"equal","value":7}"#, "field");
        at(r#"{"operator":"equal","value":7}"#, "field");
        at(r#"{"field":"num","operator":"equal","value":[7]}"#, "value");
        at(r#"{"field":"num","operator":"equal"}"#, "value");
        at(r#"{"field":"num","operator":"in","value":7}"#, "value");
        at(r#"{"field":"num","operator":"in","value":[7,"7"]}"#, "value[1]");
        at(r#"{"field":"num","operator":"in","value":[null]}"#, "value[0]");
        at(r#"{"field":"num","operator":"less","value":"7"}"#, "value");
        at(r#"{"field":"time","operator":"datetime_less","value":"soon"}"#, "value");
        at(r#"{"field":"name","operator":"contains","value":""}"#, "value");
        let many = nested(&vec![rule; MAX_RULES + 2].join(","));
        check(&many, &[(ParamInvalid, &format!("filter.rules[{MAX_RULES}]"))]);
    }
}
