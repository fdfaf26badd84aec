//! What two tables are compared by.

use super::table::Value;
use sha2::{Digest as _, Sha256};
use std::fmt;

/// How many rows there are, and the sum of their SHA-256 hashes. In which order they come does not matter: each engine reads in
/// that of its own primary keys.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Digest {
    pub rows: u64,
    /// Modulo 2^256, the lowest part first.
    sum: [u64; 4],
}

impl Digest {
    /// Adds a row. `buffer` is used again and again.
    pub(super) fn add(&mut self, row: &[Value], buffer: &mut Vec<u8>) {
        buffer.clear();
        for value in row {
            // Kind and length first, so that no two rows are written alike.
            match value {
                Value::Null => buffer.push(0),
                Value::Int(number) => {
                    buffer.push(1);
                    buffer.extend(number.to_be_bytes());
                }
                Value::Text(text) => {
                    buffer.push(2);
                    buffer.extend((text.len() as u64).to_be_bytes());
                    buffer.extend(text.as_bytes());
                }
            }
        }
        let hash = Sha256::digest(&*buffer);
        let mut carry = false;
        for (sum, bytes) in self.sum.iter_mut().zip(hash.rchunks_exact(8)) {
            let part = bytes.iter().fold(0, |part, byte| part << 8 | u64::from(*byte));
            let (added, over) = sum.overflowing_add(part);
            let (carried, over_again) = added.overflowing_add(carry.into());
            (*sum, carry) = (carried, over || over_again);
        }
        self.rows += 1;
    }
}

/// The sum in hex.
impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.sum.iter().rev().try_for_each(|part| write!(f, "{part:016x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(rows: &[&[Value]]) -> Digest {
        let mut digest = Digest::default();
        rows.iter().for_each(|row| digest.add(row, &mut Vec::new()));
        digest
    }

    fn text(text: &str) -> Value {
        Value::Text(text.into())
    }

    #[test]
    fn one_row_is_its_hash() {
        // printf '\x01\0\0\0\0\0\0\0\x07\x02\0\0\0\0\0\0\0\x01a\0' | sha256sum
        let want = "b0f80b4f6b86aa46f94b86e274fad1886689a93e9726d4dd8b45b95696692c46";
        assert_eq!(digest(&[&[Value::Int(7), text("a"), Value::Null]]).to_string(), want);
    }

    #[test]
    fn the_order_of_rows_does_not_matter_and_all_else_does() {
        let (a, b, c) = ([text("a"), text("b")], [text("ab"), text("")], [text("a"), Value::Null]);
        assert_eq!(digest(&[&a, &b, &c]), digest(&[&c, &a, &b]));
        let different = [
            digest(&[]),
            digest(&[&a]),
            digest(&[&b]),
            digest(&[&c]),
            digest(&[&[text("a"), text("")]]),
            digest(&[&[text("b"), text("a")]]),
            digest(&[&a, &a]),
            digest(&[&a, &b]),
            digest(&[&[Value::Int(1)]]),
            digest(&[&[Value::Int(-1)]]),
            digest(&[&[text("1")]]),
        ];
        for (i, one) in different.iter().enumerate() {
            assert!(different[i + 1..].iter().all(|other| other != one), "{i}");
        }
    }

    #[test]
    fn what_runs_over_is_carried() {
        let row = [Value::Int(7)];
        let once = digest(&[&row]);
        let many = digest(&[&row[..]; 256]);
        // Times 256: the bytes move one to the left.
        assert_eq!(many.to_string()[..62], once.to_string()[2..]);
        assert!(many.to_string().ends_with("00"));
    }
}
