//! Chance that can be had again: every random test prints its seed and takes one from `ROLLCALL_SEED`.

use std::hash::{BuildHasher, RandomState};

/// The seed of this run of a test; printed, so that it stands beside a failure.
pub fn seed(test: &str) -> u64 {
    let given = std::env::var("ROLLCALL_SEED").ok();
    let seed = match given {
        Some(text) => text.parse().expect("ROLLCALL_SEED is a number"),
        None => RandomState::new().hash_one(test),
    };
    #[expect(clippy::print_stdout, reason = "shown together with a failure")]
    {
        println!("{test}: ROLLCALL_SEED={seed}");
    }
    seed
}

/// SplitMix64: small, and good enough to choose where it hurts.
#[derive(Debug, Clone)]
pub struct Chance(u64);

impl Chance {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from 0 to below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(end).expect("fits")).expect("fits")
    }

    /// Yes, once in so many times.
    pub fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }
}
