//! What can go wrong in a store, as far as somebody acts on it differently.

/// An error of the store. Free of SQL dialects and of HTTP.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A unique index refused a row: another writer was faster than the rule's own check.
    #[error("unique constraint violated: {0}")]
    Unique(String),
    /// The transaction lost against another one and may be run again.
    #[error("transaction conflict: {0}")]
    Conflict(String),
    /// More writes wait than the queue takes, or one waited too long.
    #[error("too many writes are waiting")]
    Busy,
    /// A write had its turn and was not done in the time that a write may take. It may be too much for one.
    #[error("the write took longer than {0} ms")]
    TooLong(u64),
    /// A read ran into its deadline.
    #[error("the read took longer than {0} ms")]
    Deadline(u64),
    /// The connection was lost while a commit was under way, and nobody could be asked what became of it.
    #[error("whether the write was committed is not known: {0}")]
    OutcomeUnknown(String),
    /// Disk full, I/O error, out of memory: the store cannot go on for now.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// A stored value is not what the program wrote there.
    #[error("stored data is not readable: {0}")]
    Unreadable(String),
    /// A statement or its use is wrong: a defect of this program.
    #[error("defect in the store layer: {0}")]
    Defect(String),
    /// The store is shutting down.
    #[error("the store is closed")]
    Closed,
}
