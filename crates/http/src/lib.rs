//! The wire: three doors, one router, one set of operations. Turns requests into operations and outcomes into answers; knows the
//! numbers of errors and their words. Rules and SQL are elsewhere.

#![warn(clippy::unwrap_used)]

mod answer;
mod door;
mod envelope;
mod jobs;
mod language;
mod metrics;
mod number;
pub mod openapi;
mod pages;
mod routes;
mod run;
mod server;
mod settings;
mod state;

pub use metrics::{Metrics, WriterMetrics};
pub use server::Server;
pub use settings::{HttpLimits, JobSettings, Secret, Settings};
pub use state::{Clock, ServeError};
