//! Where the record is kept: SQL and the engines that run it. Knows nothing of HTTP and nothing of rules; what it is handed is
//! decided already. One file per resource holds its statements and the functions over them; [`dialect`] holds what differs
//! between engines.

#![warn(clippy::unwrap_used)]

pub mod audit;
pub mod audit_search;
pub mod business;
#[cfg(feature = "chaos")]
pub mod chaos;
pub mod check;
pub mod cloud_area;
pub mod copy;
#[cfg(feature = "chaos")]
pub mod counting;
pub mod dialect;
pub mod directory;
mod engine;
mod error;
pub mod event;
pub mod host;
pub mod job;
pub mod migrate;
pub mod module;
pub mod postgres;
pub mod process;
pub mod process_search;
pub mod process_template;
pub mod query_filter;
pub mod sequence;
pub mod service_category;
pub mod service_instance;
pub mod service_template;
pub mod set;
pub mod set_template;
pub mod sqlite;
mod statements;
pub mod template_attribute;

pub use engine::{Engine, Journal, MayRetry, Observer, Param, ReadRun, Row, Stop, Store, TimeLimits, Tx, Work};
pub use error::StoreError;
pub use statements::{every_statement, serving_statements, statements_for_many};
