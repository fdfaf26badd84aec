//! One synchronous function per operation over `&mut dyn Tx`, in a file per resource: locate, authorize, load, decide, apply.
//! What exists is declared once, in [`table`]; doors, OpenAPI, the authorization matrix and the metrics labels come from there.
//! Knows nothing of HTTP; SQL stays in the store.

pub mod access;
mod context;
pub mod directory;
mod error;
mod host;
mod journal;
mod operation;
mod process_instance;
pub mod secret;
mod service_instance;
pub mod table;
mod transfer;

pub use context::{Caller, Context, Limits};
pub use error::{OpError, Refusal, RefusedNeed};
pub use operation::{
    EsbForm, GatewayLevel, Input, Method, Operation, PathVar, Prepared, Reply, ResourceType, Route,
    Weight,
};
