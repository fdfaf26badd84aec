//! Numbers that follow from a seed, in every release alike.

use std::ops::RangeInclusive;

/// SplitMix64: small, and the same everywhere.
#[derive(Debug, Clone)]
pub(super) struct Chance(u64);

impl Chance {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number of a range that is not empty.
    pub(super) fn within(&mut self, range: RangeInclusive<usize>) -> usize {
        let width = (range.end() - range.start()) as u64 + 1;
        // Below a width that is a `usize`.
        range.start() + usize::try_from(self.next() % width).unwrap_or_default()
    }

    /// One of these, of which there are some.
    pub(super) fn one_of<'a, T>(&mut self, these: &'a [T]) -> &'a T {
        &these[self.within(0..=these.len() - 1)]
    }
}
