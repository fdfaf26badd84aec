//! PostgreSQL for tests: clusters that live no longer than the program that starts them, a database for each test, standbys,
//! and a proxy that cuts connections where it hurts. It knows nothing of Rollcall and holds no test of it.
//!
//! What fails here panics and says why: there is nothing that a test could do about it.

mod cluster;
mod database;
mod programs;
mod proxy;
mod sql;

pub use cluster::{Cluster, Settings, Stop, Tls};
pub use database::Database;
pub use programs::descendants;
pub use proxy::Proxy;

/// Names the cluster of [`Database`]: the URL of a database in it that is not a test's.
pub const CLUSTER_VARIABLE: &str = "ROLLCALL_TEST_POSTGRES";

/// Names the engine that tests run on: `sqlite`, which it is when the variable is not set, or `postgres`.
pub const ENGINE_VARIABLE: &str = "ROLLCALL_TEST_ENGINE";

/// What a store is kept in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    Sqlite,
    Postgres,
}

/// The engine that tests are to run on.
pub fn engine() -> Engine {
    let name = std::env::var_os(ENGINE_VARIABLE);
    match name.as_ref().map(|name| name.to_string_lossy()).as_deref() {
        None | Some("sqlite") => Engine::Sqlite,
        Some("postgres") => Engine::Postgres,
        Some(other) => panic!("{ENGINE_VARIABLE} is {other:?}; it can be sqlite or postgres"),
    }
}

/// Waits a moment before a condition is looked at again.
fn pause() {
    #[expect(clippy::disallowed_methods, reason = "other programs' files and processes can only be looked at again")]
    std::thread::sleep(std::time::Duration::from_millis(10));
}
