//! One synchronous function per operation over `&mut dyn Tx`, in a file per resource: locate, authorize, load, decide, apply.
//! What exists is declared once, in [`table`]; doors, OpenAPI, the authorization matrix and the metrics labels come from there.
//! Knows nothing of HTTP; SQL stays in the store.

#![warn(clippy::unwrap_used)]

pub mod access;
mod audit;
pub mod built_in;
mod business;
pub mod calls;
mod context;
mod creation;
mod difference;
pub mod directory;
mod error;
pub mod estate;
mod host;
pub mod job;
mod journal;
mod label;
mod listing;
mod module;
mod object_attribute;
mod operation;
pub mod preview;
mod process_instance;
mod process_template;
mod removal;
mod request;
pub mod runner;
pub mod secret;
mod service_category;
mod service_instance;
mod service_template;
mod set;
mod set_template;
mod synchronization;
pub mod table;
mod template_attribute;
mod topology;
mod transfer;

pub use access::{Refusal, RefusedNeed, ResourceType};
pub use context::{Caller, Context, Limits};
pub use error::OpError;
pub use operation::{EsbForm, GatewayLevel, Input, Method, Operation, PathVar, Prepared, Reply, Route, Weight};
