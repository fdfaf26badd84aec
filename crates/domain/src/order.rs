//! One total order over stored values, for sorting pages and for the comparisons of filters. Absence and null come first, then
//! numbers, texts, objects, lists and booleans, as in the store of the original; clients see it when they sort by an optional field.

use crate::json::Json;
use std::cmp::Ordering;

/// Compares two values. Absent and null are the same; numbers compare by value, texts by bytes.
pub fn compare(left: Option<&Json>, right: Option<&Json>) -> Ordering {
    let (left, right) = (left.unwrap_or(&Json::Null), right.unwrap_or(&Json::Null));
    match (left, right) {
        (Json::Int(a), Json::Int(b)) => a.cmp(b),
        (Json::Int(a), Json::Float(b)) => compare_mixed(*a, *b),
        (Json::Float(a), Json::Int(b)) => compare_mixed(*b, *a).reverse(),
        // JSON has no NaN.
        (Json::Float(a), Json::Float(b)) => a.partial_cmp(b).unwrap_or(Ordering::Equal),
        (Json::Text(a), Json::Text(b)) => a.cmp(b),
        (Json::Bool(a), Json::Bool(b)) => a.cmp(b),
        (Json::List(a), Json::List(b)) => {
            first_difference(a.iter().zip(b).map(|(a, b)| same_kind(a, b)), a.len(), b.len())
        }
        (Json::Object(a), Json::Object(b)) => {
            let members = a.iter().zip(b.iter()).map(|((k, v), (l, w))| k.cmp(l).then_with(|| same_kind(v, w)));
            first_difference(members, a.len(), b.len())
        }
        _ => rank(left).cmp(&rank(right)),
    }
}

/// Whether two values are the same to a filter: `7` equals `7.0`.
pub fn same(left: &Json, right: &Json) -> bool {
    compare(Some(left), Some(right)).is_eq()
}

fn same_kind(left: &Json, right: &Json) -> Ordering {
    compare(Some(left), Some(right))
}

fn first_difference(pairs: impl Iterator<Item = Ordering>, left: usize, right: usize) -> Ordering {
    pairs.into_iter().find(|order| order.is_ne()).unwrap_or_else(|| left.cmp(&right))
}

/// Where a kind of value stands among the others.
fn rank(value: &Json) -> u8 {
    match value {
        Json::Null => 0,
        Json::Int(_) | Json::Float(_) => 1,
        Json::Text(_) => 2,
        Json::Object(_) => 3,
        Json::List(_) => 4,
        Json::Bool(_) => 5,
    }
}

/// Exact: by way of `f64` two neighbouring large integers would both equal the float between them, and sorting needs an order
/// without such contradictions.
fn compare_mixed(int: i64, float: f64) -> Ordering {
    const BEYOND: f64 = 9_223_372_036_854_775_808.0;
    if float >= BEYOND {
        return Ordering::Less;
    }
    if float < -BEYOND {
        return Ordering::Greater;
    }
    #[expect(clippy::cast_possible_truncation, reason = "in the range of i64 by the checks above")]
    let whole = float.trunc() as i64;
    int.cmp(&whole).then_with(|| 0.0_f64.partial_cmp(&float.fract()).unwrap_or(Ordering::Equal))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::{Limits, parse};
    use proptest::prelude::*;

    fn value(text: &str) -> Json {
        parse(text.as_bytes(), Limits::default()).unwrap()
    }

    #[test]
    fn values_stand_in_one_row() {
        let row = [
            "null",
            "-1e300",
            "-2",
            "-1.5",
            "0",
            "0.5",
            "1",
            "9007199254740992",
            "9007199254740993",
            "1e300",
            r#""""#,
            r#""10""#,
            r#""9""#,
            r#""蓝""#,
            r#"{}"#,
            r#"{"a":1}"#,
            r#"{"a":2}"#,
            "[]",
            "[1]",
            "[1,0]",
            "[2]",
            "false",
            "true",
        ];
        for (i, left) in row.iter().enumerate() {
            for (j, right) in row.iter().enumerate() {
                assert_eq!(compare(Some(&value(left)), Some(&value(right))), i.cmp(&j), "{left} {right}");
            }
        }
        assert!(compare(None, Some(&Json::Null)).is_eq());
        assert!(compare(None, Some(&Json::Int(i64::MIN))).is_lt());
        assert!(same(&value("7"), &value("7.0")));
        assert!(same(&value("0"), &value("-0.0")));
    }

    proptest! {
        #[test]
        fn numbers_keep_one_order_whatever_their_kind(
            ints in prop::collection::vec(prop_oneof![any::<i64>(), Just(i64::MAX), Just(1 << 53), Just((1 << 53) + 1)], 3),
            floats in prop::collection::vec(prop_oneof![-1e19..1e19, Just(9_007_199_254_740_992.0)], 3),
        ) {
            let all: Vec<Json> = ints.into_iter().map(Json::Int).chain(floats.into_iter().map(Json::Float)).collect();
            for a in &all {
                for b in &all {
                    prop_assert_eq!(same_kind(a, b), same_kind(b, a).reverse());
                    for c in &all {
                        if same_kind(a, b).is_le() && same_kind(b, c).is_le() {
                            prop_assert!(same_kind(a, c).is_le());
                        }
                    }
                }
            }
        }
    }
}
