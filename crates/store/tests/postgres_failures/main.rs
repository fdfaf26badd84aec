//! The engine on PostgreSQL while things fail: connections, servers, transactions. Nothing that was acknowledged may be lost, nothing
//! be done twice, and everybody is answered within a bounded time.
//!
//! Random tests print their seed and take one from `ROLLCALL_SEED`.

#![expect(clippy::unwrap_used, reason = "a test ends with its first error")]

#[path = "../support/mod.rs"]
mod support;

mod conflicts;
mod cuts;
mod outages;
mod starts;
