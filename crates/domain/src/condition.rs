//! The `condition` maps of the older searches (`topology` 3.4, 5.1): read once into a tree, then asked of each stored document.
//! What a caller may write is bounded, so that no condition is slow: regular expressions run in linear time.

use crate::fault::{Cause, Fault, Reason, quoted};
use crate::json::{FieldPath, Json, Object};
use crate::order::{compare, same};
use regex::{Regex, RegexBuilder};
use std::cmp::Ordering;

/// A condition on documents.
#[derive(Debug, Clone)]
pub struct Condition(Vec<Node>);

#[derive(Debug, Clone)]
enum Node {
    /// Any of these conditions holds.
    Any(Vec<Condition>),
    /// All of these conditions hold.
    All(Vec<Condition>),
    /// The value of a field passes a test.
    Field(String, Test),
}

#[derive(Debug, Clone)]
enum Test {
    Equal(Json),
    NotEqual(Json),
    /// Sorted, for a quick look-up.
    In(Vec<Json>),
    NotIn(Vec<Json>),
    /// Of the same kind, and in one of these orders to the value.
    Ordered(&'static [Ordering], Json),
    Matches(Regex),
    Exists(bool),
    /// The text, in small letters, is somewhere in the value.
    Contains(String),
    /// All these users are in the comma-joined value.
    Users(Vec<String>),
}

/// Which dialect of conditions is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dialect {
    Exact,
    Business,
}

const MAX_DEPTH: usize = 8;
const MAX_LIST: usize = 1000;
/// Each is asked of every document that is looked at.
const MAX_TESTS: usize = 2000;
const MAX_REGEX_BYTES: usize = 256;
/// Each may take up to [`REGEX_SIZE`] of memory.
const MAX_REGEXES: usize = 32;
const REGEX_SIZE: usize = 256 << 10;

/// Attributes of a business that hold users.
const BUSINESS_USERS: [&str; 5] =
    ["bk_biz_maintainer", "bk_biz_productor", "bk_biz_tester", "bk_biz_developer", "operator"];

impl Condition {
    /// Reads a condition in which values are compared exactly.
    pub fn parse(map: &Object, at: &FieldPath) -> Result<Self, Vec<Fault>> {
        Parser::read(Dialect::Exact, map, at)
    }

    /// Reads a condition of search_business: a text is looked for anywhere in the value whatever its case, a user among the users
    /// of a field, and the business id is only asked for by number.
    pub fn parse_business(map: &Object, at: &FieldPath) -> Result<Self, Vec<Fault>> {
        Parser::read(Dialect::Business, map, at)
    }

    /// Whether a document meets the condition.
    pub fn matches(&self, document: &Object) -> bool {
        self.0.iter().all(|node| match node {
            Node::Any(conditions) => conditions.iter().any(|condition| condition.matches(document)),
            Node::All(conditions) => conditions.iter().all(|condition| condition.matches(document)),
            Node::Field(field, test) => test.passes(document.get(field)),
        })
    }

    /// Whether the condition says anything about a field.
    pub fn names(&self, field: &str) -> bool {
        self.0.iter().any(|node| match node {
            Node::Any(conditions) | Node::All(conditions) => conditions.iter().any(|condition| condition.names(field)),
            Node::Field(name, _) => name == field,
        })
    }
}

impl Test {
    fn passes(&self, value: Option<&Json>) -> bool {
        match self {
            Test::Equal(want) => equals(value, want),
            Test::NotEqual(want) => !equals(value, want),
            Test::In(wanted) => is_one_of(value, wanted),
            Test::NotIn(wanted) => !is_one_of(value, wanted),
            Test::Ordered(orders, bound) => {
                any_part(value, |part| same_bracket(part, bound) && orders.contains(&compare(Some(part), Some(bound))))
            }
            Test::Matches(regex) => any_part(value, |part| part.as_text().is_some_and(|text| regex.is_match(text))),
            Test::Exists(wanted) => value.is_some() == *wanted,
            Test::Contains(part) => {
                value.and_then(Json::as_text).is_some_and(|text| text.to_lowercase().contains(part))
            }
            Test::Users(users) => value
                .and_then(Json::as_text)
                .is_some_and(|text| users.iter().all(|user| text.split(',').any(|name| name.trim() == user))),
        }
    }
}

/// Null equals absence, and a list equals what is in it, as in the store of the original.
fn equals(value: Option<&Json>, want: &Json) -> bool {
    match value {
        None => *want == Json::Null,
        Some(value) => {
            same(value, want) || value.as_list().is_some_and(|parts| parts.iter().any(|part| same(part, want)))
        }
    }
}

fn is_one_of(value: Option<&Json>, sorted: &[Json]) -> bool {
    let among = |value: &Json| sorted.binary_search_by(|candidate| compare(Some(candidate), Some(value))).is_ok();
    match value {
        None => among(&Json::Null),
        Some(value) => among(value) || value.as_list().is_some_and(|parts| parts.iter().any(among)),
    }
}

/// Whether the value, or one of its elements if it is a list, passes.
fn any_part(value: Option<&Json>, passes: impl Fn(&Json) -> bool) -> bool {
    match value {
        Some(Json::List(parts)) => parts.iter().any(passes),
        Some(value) => passes(value),
        None => false,
    }
}

/// Numbers are only larger than numbers, texts than texts.
fn same_bracket(left: &Json, right: &Json) -> bool {
    left.kind() == right.kind()
}

struct Parser {
    dialect: Dialect,
    faults: Vec<Fault>,
    regexes: usize,
    tests: usize,
}

impl Parser {
    fn read(dialect: Dialect, map: &Object, at: &FieldPath) -> Result<Condition, Vec<Fault>> {
        let mut parser = Parser { dialect, faults: Vec::new(), regexes: 0, tests: 0 };
        let condition = parser.map(map, at, 1);
        if parser.faults.is_empty() { Ok(condition) } else { Err(parser.faults) }
    }

    fn refuse(&mut self, at: &FieldPath, reason: Reason) {
        self.faults.push(Fault::new(Cause::ParamInvalid, at.clone()).because(reason));
    }

    fn map(&mut self, map: &Object, at: &FieldPath, depth: usize) -> Condition {
        if depth > MAX_DEPTH {
            self.refuse(at, Reason::TooDeep { limit: MAX_DEPTH });
            return Condition(Vec::new());
        }
        let mut nodes = Vec::new();
        for (key, value) in map.iter() {
            let at = at.field(key);
            match key {
                "$or" => nodes.push(Node::Any(self.branches(value, &at, depth))),
                "$and" => nodes.push(Node::All(self.branches(value, &at, depth))),
                _ if key.starts_with('$') => self.refuse(&at, Reason::UnknownKey),
                _ => self.field(key, value, &at, &mut nodes),
            }
        }
        Condition(nodes)
    }

    fn branches(&mut self, value: &Json, at: &FieldPath, depth: usize) -> Vec<Condition> {
        let known = self.faults.len();
        let mut branches = Vec::new();
        for (i, branch) in self.list(value, at).iter().enumerate() {
            match branch {
                Json::Object(branch) => branches.push(self.map(branch, &at.index(i), depth + 1)),
                _ => self.refuse(&at.index(i), Reason::NeedsObject),
            }
        }
        if branches.is_empty() && self.faults.len() == known {
            self.refuse(at, Reason::NeedsRows);
        }
        branches
    }

    fn list<'a>(&mut self, value: &'a Json, at: &FieldPath) -> &'a [Json] {
        match value {
            Json::List(elements) if elements.len() <= MAX_LIST => elements,
            Json::List(_) => {
                self.refuse(at, Reason::TooMany { max: MAX_LIST });
                &[]
            }
            other => {
                self.refuse(at, Reason::WrongType { want: "array", got: other.kind() });
                &[]
            }
        }
    }

    fn field(&mut self, field: &str, value: &Json, at: &FieldPath, nodes: &mut Vec<Node>) {
        let business = self.dialect == Dialect::Business;
        if business && field == "bk_biz_id" {
            self.check_business_id(value, at);
        }
        match value {
            Json::Object(operators) if operators.iter().any(|(key, _)| key.starts_with('$')) => {
                for (operator, operand) in operators.iter() {
                    if let Some(test) = self.operator(operator, operand, operators, &at.field(operator)) {
                        self.test(field, test, at, nodes);
                    }
                }
            }
            Json::Text(text) if business && BUSINESS_USERS.contains(&field) => {
                let users = text.split(',').map(str::trim).filter(|user| !user.is_empty()).map(str::to_owned).collect();
                self.test(field, Test::Users(users), at, nodes);
            }
            Json::Text(text) if business => self.test(field, Test::Contains(text.to_lowercase()), at, nodes),
            _ => self.test(field, Test::Equal(value.clone()), at, nodes),
        }
    }

    /// Adds a test, unless there are too many; the first one too many is named.
    fn test(&mut self, field: &str, test: Test, at: &FieldPath, nodes: &mut Vec<Node>) {
        self.tests += 1;
        match self.tests.cmp(&(MAX_TESTS + 1)) {
            Ordering::Less => nodes.push(Node::Field(field.to_owned(), test)),
            Ordering::Equal => self.refuse(at, Reason::TooMany { max: MAX_TESTS }),
            Ordering::Greater => {}
        }
    }

    fn check_business_id(&mut self, value: &Json, at: &FieldPath) {
        let is_number = |value: &Json| matches!(value, Json::Int(_));
        let fine = match value {
            Json::Object(operators) => {
                !operators.is_empty()
                    && operators.iter().all(|(operator, operand)| match operator {
                        "$eq" => is_number(operand),
                        "$in" => operand.as_list().is_some_and(|ids| ids.iter().all(is_number)),
                        _ => false,
                    })
            }
            value => is_number(value),
        };
        if !fine {
            self.refuse(at, Reason::NeedsInteger);
        }
    }

    fn operator(&mut self, operator: &str, operand: &Json, siblings: &Object, at: &FieldPath) -> Option<Test> {
        match operator {
            "$eq" => Some(Test::Equal(operand.clone())),
            "$ne" => Some(Test::NotEqual(operand.clone())),
            "$in" => Some(Test::In(self.sorted(operand, at))),
            "$nin" => Some(Test::NotIn(self.sorted(operand, at))),
            "$gt" => Some(Test::Ordered(&[Ordering::Greater], operand.clone())),
            "$gte" => Some(Test::Ordered(&[Ordering::Greater, Ordering::Equal], operand.clone())),
            "$lt" => Some(Test::Ordered(&[Ordering::Less], operand.clone())),
            "$lte" => Some(Test::Ordered(&[Ordering::Less, Ordering::Equal], operand.clone())),
            "$exists" => match operand {
                Json::Bool(wanted) => Some(Test::Exists(*wanted)),
                // Some clients send 0 and 1.
                Json::Int(wanted) => Some(Test::Exists(*wanted != 0)),
                _ => {
                    self.refuse(at, Reason::NeedsBool);
                    None
                }
            },
            "$regex" => self.regex(operand, siblings.get("$options"), at),
            "$options" if siblings.get("$regex").is_some() => None,
            _ => {
                self.refuse(at, Reason::UnknownKey);
                None
            }
        }
    }

    fn sorted(&mut self, operand: &Json, at: &FieldPath) -> Vec<Json> {
        let mut values = self.list(operand, at).to_vec();
        values.sort_by(|left, right| compare(Some(left), Some(right)));
        values
    }

    fn regex(&mut self, operand: &Json, options: Option<&Json>, at: &FieldPath) -> Option<Test> {
        let Json::Text(pattern) = operand else {
            self.refuse(at, Reason::NeedsText);
            return None;
        };
        if pattern.len() > MAX_REGEX_BYTES {
            self.refuse(at, Reason::TooLong { max_bytes: MAX_REGEX_BYTES });
            return None;
        }
        self.regexes += 1;
        if self.regexes > MAX_REGEXES {
            self.refuse(at, Reason::TooMany { max: MAX_REGEXES });
            return None;
        }
        let options = match options {
            None | Some(Json::Null) => "",
            Some(Json::Text(options)) if options.chars().all(|option| "imsx".contains(option)) => options,
            Some(other) => {
                self.refuse(
                    at,
                    Reason::NoChoice { value: quoted(other.as_text().unwrap_or_default()), choices: "i, m, s, x" },
                );
                return None;
            }
        };
        let regex = RegexBuilder::new(pattern)
            .case_insensitive(options.contains('i'))
            .multi_line(options.contains('m'))
            .dot_matches_new_line(options.contains('s'))
            .ignore_whitespace(options.contains('x'))
            .size_limit(REGEX_SIZE)
            .build();
        match regex {
            Ok(regex) => Some(Test::Matches(regex)),
            Err(_) => {
                self.refuse(at, Reason::Characters { value: quoted(pattern) });
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::{Limits, parse};
    use proptest::prelude::*;

    fn object(text: &str) -> Object {
        parse(text.as_bytes(), Limits::default()).unwrap().as_object().unwrap().clone()
    }

    fn paths(faults: &[Fault]) -> Vec<&str> {
        assert!(faults.iter().all(|fault| fault.cause == Cause::ParamInvalid));
        faults.iter().map(|fault| fault.path.as_str()).collect()
    }

    #[test]
    fn what_a_condition_matches() {
        let document = object(r#"{"id":7,"name":"Web_1","note":null,"tags":["a","b"],"on":true,"half":2.5}"#);
        for (condition, want) in [
            (r#"{}"#, true),
            (r#"{"id":7}"#, true),
            (r#"{"id":7.0}"#, true),
            (r#"{"id":"7"}"#, false),
            (r#"{"id":7,"name":"Web_1"}"#, true),
            (r#"{"id":7,"name":"web_1"}"#, false),
            (r#"{"name":"Web"}"#, false),
            (r#"{"NAME":"Web_1"}"#, false),
            (r#"{"on":true}"#, true),
            (r#"{"note":null,"missing":null}"#, true),
            (r#"{"id":null}"#, false),
            (r#"{"tags":"a"}"#, true),
            (r#"{"tags":["a","b"]}"#, true),
            (r#"{"tags":["b","a"]}"#, false),
            (r#"{"id":{}}"#, false),
            (r#"{"id":{"$eq":7}}"#, true),
            (r#"{"id":{"$ne":7}}"#, false),
            (r#"{"missing":{"$ne":7}}"#, true),
            (r#"{"tags":{"$ne":"a"}}"#, false),
            (r#"{"id":{"$in":[9,7]}}"#, true),
            (r#"{"id":{"$in":[]}}"#, false),
            (r#"{"id":{"$nin":[]}}"#, true),
            (r#"{"id":{"$nin":[9,7]}}"#, false),
            (r#"{"tags":{"$in":["x","b"]}}"#, true),
            (r#"{"missing":{"$in":[null]}}"#, true),
            (r#"{"missing":{"$in":[1]}}"#, false),
            (r#"{"id":{"$gt":6,"$lt":8}}"#, true),
            (r#"{"id":{"$gt":7}}"#, false),
            (r#"{"id":{"$gte":7,"$lte":7}}"#, true),
            (r#"{"half":{"$gt":2,"$lt":3}}"#, true),
            (r#"{"id":{"$lt":"8"}}"#, false),
            (r#"{"name":{"$gte":"Web"}}"#, true),
            (r#"{"missing":{"$lt":8}}"#, false),
            (r#"{"name":{"$regex":"^Web_\\d$"}}"#, true),
            (r#"{"name":{"$regex":"^web"}}"#, false),
            (r#"{"name":{"$regex":"^web","$options":"i"}}"#, true),
            (r#"{"name":{"$options":"i","$regex":"WEB"}}"#, true),
            (r#"{"id":{"$regex":"7"}}"#, false),
            (r#"{"tags":{"$regex":"^b$"}}"#, true),
            (r#"{"name":{"$exists":true}}"#, true),
            (r#"{"note":{"$exists":true}}"#, true),
            (r#"{"missing":{"$exists":0}}"#, true),
            (r#"{"$or":[{"id":1},{"id":7}]}"#, true),
            (r#"{"$or":[{"id":1},{"id":2}],"name":"Web_1"}"#, false),
            (r#"{"$and":[{"id":7},{"$or":[{"on":false},{"half":{"$lt":3}}]}]}"#, true),
            (r#"{"$and":[{"id":7},{"on":false}]}"#, false),
        ] {
            let parsed = Condition::parse(&object(condition), &"condition".into()).unwrap();
            assert_eq!(parsed.matches(&document), want, "{condition}");
        }
    }

    #[test]
    fn what_is_refused_and_where() {
        for (condition, want) in [
            (r#"{"id":{"$near":7}}"#, vec!["condition.id.$near"]),
            (r#"{"id":{"$in":7},"b":{"$exists":"yes"}}"#, vec!["condition.id.$in", "condition.b.$exists"]),
            (r#"{"$nor":[{"id":7}]}"#, vec!["condition.$nor"]),
            (r#"{"id":{"$eq":7,"x":1}}"#, vec!["condition.id.x"]),
            (r#"{"id":{"$options":"i"}}"#, vec!["condition.id.$options"]),
            (r#"{"id":{"$regex":"("}}"#, vec!["condition.id.$regex"]),
            (r#"{"id":{"$regex":7}}"#, vec!["condition.id.$regex"]),
            (r#"{"id":{"$regex":"a","$options":"g"}}"#, vec!["condition.id.$regex"]),
            (r#"{"id":{"$regex":"(a{500}){500}"}}"#, vec!["condition.id.$regex"]),
            (r#"{"$or":[]}"#, vec!["condition.$or"]),
            (r#"{"$or":{}}"#, vec!["condition.$or"]),
            (r#"{"$or":[7]}"#, vec!["condition.$or[0]"]),
            (r#"{"$or":[7,{"id":{"$x":1}}]}"#, vec!["condition.$or[0]", "condition.$or[1].id.$x"]),
        ] {
            let faults = Condition::parse(&object(condition), &"condition".into()).unwrap_err();
            assert_eq!(paths(&faults), want, "{condition}");
        }
    }

    #[test]
    fn everything_is_bounded() {
        let refused = |text: String| Condition::parse(&object(&text), &FieldPath::root()).is_err();
        let nested = |n: usize| format!("{}{{\"id\":1}}{}", r#"{"$or":["#.repeat(n), "]}".repeat(n));
        assert!(!refused(nested(7)));
        assert!(refused(nested(8)));
        let list = |n: usize| format!(r#"{{"id":{{"$in":[{}]}}}}"#, vec!["1"; n].join(","));
        assert!(!refused(list(1000)));
        assert!(refused(list(1001)));
        let regex = |n: usize| format!(r#"{{"id":{{"$regex":"{}"}}}}"#, "a".repeat(n));
        assert!(!refused(regex(256)));
        assert!(refused(regex(257)));
        let regexes = |n: usize| format!(r#"{{"$or":[{}]}}"#, vec![r#"{"id":{"$regex":"a"}}"#; n].join(","));
        assert!(!refused(regexes(32)));
        assert!(refused(regexes(33)));
        let fields =
            |n: usize| format!("{{{}}}", (0..n).map(|i| format!("\"k{i}\":null")).collect::<Vec<_>>().join(","));
        assert!(!refused(fields(2000)));
        assert!(refused(fields(2001)));
        let wide = Condition::parse(&object(&fields(300_000)), &"condition".into()).unwrap_err();
        assert_eq!(paths(&wide), ["condition.k2000"]);
    }

    #[test]
    fn business_conditions() {
        let document = object(
            r#"{"bk_biz_id":2,"bk_biz_name":"蓝鲸 Blue.King","bk_biz_maintainer":"admin,tom","operator":null,"bk_data_status":"enable"}"#,
        );
        for (condition, want) in [
            // topology 17: 2, 4.
            (r#"{"bk_biz_name":"蓝"}"#, true),
            (r#"{"bk_biz_name":"blue.k"}"#, true),
            (r#"{"bk_biz_name":"b.ue"}"#, false),
            (r#"{"bk_data_status":"disabled"}"#, false),
            (r#"{"bk_biz_name":{"$regex":"^蓝"}}"#, true),
            (r#"{"bk_biz_name":{"$eq":"蓝鲸"}}"#, false),
            (r#"{"bk_biz_maintainer":"tom"}"#, true),
            (r#"{"bk_biz_maintainer":"to"}"#, false),
            (r#"{"bk_biz_maintainer":"tom, admin"}"#, true),
            (r#"{"bk_biz_maintainer":"tom,ann"}"#, false),
            (r#"{"operator":"tom"}"#, false),
            (r#"{"operator":null}"#, true),
            (r#"{"bk_biz_id":2}"#, true),
            (r#"{"bk_biz_id":{"$eq":3}}"#, false),
            (r#"{"bk_biz_id":{"$in":[1,2]}}"#, true),
            (r#"{"$or":[{"bk_biz_id":3},{"bk_biz_name":"KING"}]}"#, true),
        ] {
            let parsed = Condition::parse_business(&object(condition), &"condition".into()).unwrap();
            assert_eq!(parsed.matches(&document), want, "{condition}");
        }
        for condition in
            [r#""2""#, "null", "{}", r#"{"$gt":1}"#, r#"{"$in":["2"]}"#, r#"{"$in":2}"#, r#"{"$eq":2,"$ne":3}"#, "2.5"]
        {
            let map = object(&format!("{{\"bk_biz_id\":{condition}}}"));
            let faults = Condition::parse_business(&map, &"condition".into()).unwrap_err();
            assert_eq!(paths(&faults)[0], "condition.bk_biz_id", "{condition}");
        }
    }

    #[test]
    fn a_condition_tells_which_fields_it_names() {
        let condition =
            Condition::parse(&object(r#"{"a":1,"$or":[{"b":2},{"c":{"$ne":3}}]}"#), &FieldPath::root()).unwrap();
        assert!(["a", "b", "c"].into_iter().all(|field| condition.names(field)));
        assert!(!condition.names("d"));
    }

    proptest! {
        #[test]
        fn in_and_not_in_are_opposites_and_agree_with_equality(value in 0..9_i64, list in prop::collection::vec(0..9_i64, 0..6)) {
            let document: Object = [("id".to_string(), Json::Int(value))].into_iter().collect();
            let matches = |operator: &str| {
                let list: Vec<Json> = list.iter().copied().map(Json::Int).collect();
                let test: Object = [(operator.to_string(), Json::List(list))].into_iter().collect();
                let map: Object = [("id".to_string(), Json::Object(test))].into_iter().collect();
                Condition::parse(&map, &FieldPath::root()).unwrap().matches(&document)
            };
            prop_assert_eq!(matches("$in"), list.contains(&value));
            prop_assert_eq!(matches("$nin"), !list.contains(&value));
        }
    }
}
