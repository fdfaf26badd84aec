//! Query filters as conditions of statements. The text of a condition is put together from constants by the form of the filter, and
//! what a caller wrote travels in parameters only. It answers what `QueryFilter::matches` does, on every engine; a test compares them.

use crate::Param;
use rollcall_domain::json::Json;
use rollcall_domain::process::{self, Part};
use rollcall_domain::query_filter::{Node, QueryFilter, Relation, Rule, Shape, Test};

/// A condition on rows of a table, in the SQL all engines share.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    /// To be put into parentheses.
    pub sql: String,
    values: Vec<Value>,
    first: usize,
}

#[derive(Debug, Clone, PartialEq)]
enum Value {
    Int(i64),
    Text(String),
    Ints(Vec<i64>),
    Texts(Vec<String>),
}

/// What a rule comes to on numbers without a fraction.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Whole {
    Never,
    Always,
    Bound(Relation, i64),
}

/// The one key column that may be null.
const START_PARAM: &str = "p.start_param";
const NEVER: &str = "1 = 0";
const ALWAYS: &str = "1 = 1";

impl Condition {
    /// The condition on the rows `p` of the table `process`; `first` is the number of its first parameter.
    pub fn on_process(filter: &QueryFilter, first: usize) -> Self {
        let mut condition = Self { sql: String::new(), values: Vec::new(), first };
        condition.sql = condition.node(&filter.0);
        condition
    }

    /// The values of its parameters. `texts` is where lists of texts may be borrowed from, see [`Condition::texts`].
    pub fn params<'a>(&'a self, texts: &'a [Vec<&'a str>]) -> Vec<Param<'a>> {
        let mut texts = texts.iter();
        let param = |value: &'a Value| match value {
            Value::Int(number) => Param::Int(*number),
            Value::Text(text) => Param::Text(text),
            Value::Ints(list) => Param::Ids(list),
            Value::Texts(_) => Param::Texts(texts.next().map_or(&[], Vec::as_slice)),
        };
        self.values.iter().map(param).collect()
    }

    /// Its lists of texts, for [`Condition::params`].
    pub fn texts(&self) -> Vec<Vec<&str>> {
        let lists = self.values.iter().filter_map(|value| match value {
            Value::Texts(list) => Some(list.iter().map(String::as_str).collect()),
            _ => None,
        });
        lists.collect()
    }

    /// A parameter with this value.
    fn bind(&mut self, value: Value) -> String {
        self.values.push(value);
        format!("${}", self.first + self.values.len() - 1)
    }

    fn node(&mut self, node: &Node) -> String {
        let (parts, word) = match node {
            Node::Rule(rule) => return self.rule(rule),
            Node::All(parts) => (parts, " AND "),
            Node::Any(parts) => (parts, " OR "),
        };
        let parts: Vec<_> = parts.iter().map(|part| self.node(part)).collect();
        format!("({})", parts.join(word))
    }

    /// What is unknown to SQL, because a value is null, counts as not passed; only then the contrary is the contrary.
    fn rule(&mut self, rule: &Rule) -> String {
        let passes = self.passes(rule);
        if rule.negated { format!("(({passes}) IS NOT TRUE)") } else { format!("({passes})") }
    }

    fn passes(&mut self, rule: &Rule) -> String {
        let Some(shape) = rule.shape else {
            return if rule.test == Test::Null { ALWAYS } else { NEVER }.to_owned();
        };
        let Some((list, cell)) = rule.field.split_once('.') else {
            return match rule.test {
                Test::Exists if process::part_of(&rule.field) != Part::Kept => ALWAYS.to_owned(),
                Test::Exists => format!("{} IS NOT NULL", Place::of_process(&rule.field).text()),
                _ => self.test(&rule.test, &Place::of_process(&rule.field), shape),
            };
        };
        let no_list = format!("{{text of p.fixed_fields {list}}} IS NULL");
        let rows = format!("SELECT 1 FROM {{rows of p.fixed_fields {list}}} WHERE");
        let place = Place::In { column: "r.value", how: "in", name: cell.to_owned() };
        match rule.test {
            Test::Exists => format!("EXISTS ({rows} r.value IS NOT NULL)"),
            Test::Null => format!("{no_list} OR EXISTS ({rows} {})", self.test(&rule.test, &place, shape)),
            _ => format!("EXISTS ({rows} {})", self.test(&rule.test, &place, shape)),
        }
    }

    fn test(&mut self, test: &Test, place: &Place, shape: Shape) -> String {
        match (test, shape) {
            (Test::Null, _) => format!("{} IS NULL", place.text()),
            (Test::Empty, Shape::Rows) => format!("{} = '[]'", place.text()),
            (Test::Equal(value), _) => self.one_of(std::slice::from_ref(value), place, shape),
            (Test::In(values), _) => self.one_of(values, place, shape),
            (Test::Compare(relation, bound), Shape::Int) => match whole(*relation, bound) {
                Whole::Never => NEVER.to_owned(),
                Whole::Always => format!("{} IS NOT NULL", place.int()),
                Whole::Bound(relation, bound) => {
                    format!("{} {} {}", place.int(), sign(relation), self.bind(Value::Int(bound)))
                }
            },
            (Test::Time(relation, bound), Shape::Time) => {
                format!("{} {} {}", place.ms(), sign(*relation), self.bind(Value::Int(bound.unix_ms())))
            }
            (Test::Begins(part), Shape::Text | Shape::Time) => {
                let (text, part) = (place.text(), self.bind(Value::Text(part.clone())));
                format!("substr({text}, 1, length(CAST({part} AS TEXT))) = {part}")
            }
            (Test::Ends(part), Shape::Text | Shape::Time) => {
                let (text, part) = (place.text(), self.bind(Value::Text(part.clone())));
                let longer = format!("length({text}) - length(CAST({part} AS TEXT))");
                format!("{longer} >= 0 AND substr({text}, {longer} + 1) = {part}")
            }
            // `replace` is what finds a text on all engines.
            (Test::Contains(part), Shape::Text | Shape::Time) => {
                let (text, part) = (place.text(), self.bind(Value::Text(part.clone())));
                format!("replace({text}, {part}, '') <> {text}")
            }
            (Test::ContainsIgnoringCase(part), Shape::Text | Shape::Time) => {
                let (text, part) = (place.text(), self.bind(Value::Text(part.clone())));
                format!("replace(lower({text}), {part}, '') <> lower({text})")
            }
            _ => NEVER.to_owned(),
        }
    }

    fn one_of(&mut self, values: &[Json], place: &Place, shape: Shape) -> String {
        match shape {
            Shape::Text | Shape::Time => {
                let texts: Vec<_> = values.iter().filter_map(Json::as_text).map(str::to_owned).collect();
                match &texts[..] {
                    [] => NEVER.to_owned(),
                    [text] => format!("{} = {}", place.text(), self.bind(Value::Text(text.clone()))),
                    _ => format!("{} {{in {}}}", place.text(), self.bind(Value::Texts(texts))),
                }
            }
            Shape::Int => {
                let numbers: Vec<_> = values.iter().filter_map(as_whole).collect();
                match numbers[..] {
                    [] => NEVER.to_owned(),
                    [number] => format!("{} = {}", place.int(), self.bind(Value::Int(number))),
                    _ => format!("{} {{in {}}}", place.int(), self.bind(Value::Ints(numbers))),
                }
            }
            Shape::Bool => {
                let has = |flag| values.contains(&Json::Bool(flag));
                match (has(true), has(false)) {
                    (true, true) => format!("{} IS NOT NULL", place.text()),
                    (true, false) => format!("{} IS TRUE", place.bool()),
                    (false, true) => format!("{} IS FALSE", place.bool()),
                    (false, false) => NEVER.to_owned(),
                }
            }
            Shape::Rows => NEVER.to_owned(),
        }
    }
}

/// The sort key of a process field that is sortable: nothing comes first, as in `order::compare`.
pub(crate) fn order_by(field: &str, descending: bool) -> String {
    let place = Place::of_process(field);
    let key = match process::shape(field) {
        Some(Shape::Int) => place.int(),
        Some(Shape::Bool) => place.bool(),
        Some(Shape::Time) => place.ms(),
        _ => place.text(),
    };
    // Where nothing is null, an index has the order.
    let is_never_null = matches!(place, Place::Column(column) if column != START_PARAM);
    let order = match (descending, is_never_null) {
        (false, true) => "",
        (true, true) => " DESC",
        (false, false) => " NULLS FIRST",
        (true, false) => " DESC NULLS LAST",
    };
    key + order
}

/// Where a value stands.
enum Place {
    /// In a column of its own.
    Column(&'static str),
    /// In JSON: `how` is `of` for a column of members without braces, `in` for a row of a list.
    In { column: &'static str, how: &'static str, name: String },
}

impl Place {
    fn of_process(field: &str) -> Self {
        match field {
            "bk_process_id" => Self::Column("p.id"),
            "bk_biz_id" => Self::Column("p.business_id"),
            "service_instance_id" => Self::Column("p.service_instance_id"),
            "bk_process_name" => Self::Column("p.name"),
            "bk_func_name" => Self::Column("p.func_name"),
            "bk_start_param_regex" => Self::Column(START_PARAM),
            _ => {
                let is_fixed = process::part_of(field) == Part::Fixed;
                let column = if is_fixed { "p.fixed_fields" } else { "p.extra_fields" };
                Self::In { column, how: "of", name: field.to_owned() }
            }
        }
    }

    /// As a mark of the dialect. Names are those of known fields: letters and `_`.
    fn mark(&self, kind: &str) -> String {
        match self {
            Self::Column(column) => (*column).to_owned(),
            Self::In { column, how, name } => format!("{{{kind} {how} {column} {name}}}"),
        }
    }

    fn text(&self) -> String {
        self.mark("text")
    }

    fn int(&self) -> String {
        self.mark("int")
    }

    fn bool(&self) -> String {
        self.mark("bool")
    }

    fn ms(&self) -> String {
        self.mark("ms")
    }
}

fn sign(relation: Relation) -> &'static str {
    match relation {
        Relation::Less => "<",
        Relation::LessOrEqual => "<=",
        Relation::Greater => ">",
        Relation::GreaterOrEqual => ">=",
    }
}

/// 2^63, the first number behind all that columns hold.
const BEYOND: f64 = 9_223_372_036_854_775_808.0;

fn as_whole(value: &Json) -> Option<i64> {
    match value {
        Json::Int(number) => Some(*number),
        Json::Float(number) if number.fract() == 0.0 && (-BEYOND..BEYOND).contains(number) => Some(truncate(*number)),
        _ => None,
    }
}

/// A comparison with any number as one with a whole number.
fn whole(relation: Relation, bound: &Json) -> Whole {
    use Relation::{Greater, GreaterOrEqual, Less, LessOrEqual};
    let float = match bound {
        Json::Int(bound) => return Whole::Bound(relation, *bound),
        Json::Float(float) => *float,
        _ => return Whole::Never,
    };
    let is_below = matches!(relation, Less | LessOrEqual);
    if !(-BEYOND..BEYOND).contains(&float) {
        return if is_below == (float > 0.0) { Whole::Always } else { Whole::Never };
    }
    let rounded = if matches!(relation, Less | GreaterOrEqual) { float.ceil() } else { float.floor() };
    match (relation, rounded >= BEYOND) {
        (Less, true) => Whole::Always,
        (GreaterOrEqual, true) => Whole::Never,
        (Less | LessOrEqual | Greater | GreaterOrEqual, _) => Whole::Bound(relation, truncate(rounded)),
    }
}

#[expect(clippy::cast_possible_truncation, reason = "callers look that it is a whole number of 64 bits")]
fn truncate(number: f64) -> i64 {
    number as i64
}
