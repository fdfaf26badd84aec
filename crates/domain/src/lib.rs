//! Rollcall's rules: types, validation, names, plans. Pure by construction: no I/O, no clock, no randomness, no SQL and no
//! HTTP. Time and ids come in as arguments, decisions go out as values.

#![warn(clippy::unwrap_used)]

pub mod address;
pub mod audit;
pub mod bind_info;
pub mod business;
pub mod condition;
pub mod difference;
pub mod fault;
pub mod host;
pub mod id;
pub mod job;
pub mod json;
pub mod label;
pub mod model;
pub mod module;
pub mod moment;
pub mod order;
pub mod page;
pub mod process;
pub mod process_template;
pub mod query_filter;
pub mod record;
pub mod service_category;
pub mod service_instance;
pub mod service_template;
pub mod set;
pub mod set_template;
pub mod synchronization;
pub mod template_attribute;
pub mod topology;
pub mod transfer;
