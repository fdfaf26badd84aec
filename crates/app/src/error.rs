//! How an operation ends when it does not succeed.

use crate::access::Refusal;
use rollcall_domain::fault::{Failure, Fault};
use rollcall_store::{MayRetry, StoreError};

/// Why an operation did not succeed.
#[derive(Debug)]
pub enum OpError {
    /// The request is wrong; nothing was changed.
    Failed(Failure),
    /// The caller lacks a right; nothing was changed.
    Refused(Refusal),
    /// The store could not do it.
    Store(StoreError),
}

impl From<Failure> for OpError {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<Fault> for OpError {
    fn from(fault: Fault) -> Self {
        Self::Failed(fault.into())
    }
}

impl From<Refusal> for OpError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<StoreError> for OpError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl MayRetry for OpError {
    fn conflict(&self) -> Option<String> {
        match self {
            Self::Store(error) => error.conflict(),
            Self::Failed(_) | Self::Refused(_) => None,
        }
    }
}
