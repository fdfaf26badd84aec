//! PostgreSQL's errors in the store's words.

use crate::StoreError;
use tokio_postgres::Error;
use tokio_postgres::error::{Severity, SqlState};

/// What is to be done about a failed statement.
#[derive(Debug)]
pub(super) enum Failed {
    /// The database has said so, and has ended the transaction; the connection stands.
    Said(StoreError),
    /// It did not get to the database.
    Here(StoreError),
    /// The connection is gone, or is no good any more.
    Lost(String),
    /// The session takes no writes.
    ReadOnly(String),
}

impl Failed {
    pub(super) fn of(error: &Error) -> Self {
        let Some(said) = error.as_db_error() else {
            return if error.is_closed() || is_of_the_network(error) {
                Self::Lost(text_of(error))
            } else {
                Self::Here(StoreError::Defect(text_of(error)))
            };
        };
        let code = said.code();
        let text = match said.constraint() {
            Some(constraint) => format!("{} ({constraint})", said.message()),
            None => said.message().to_owned(),
        };
        if matches!(said.parsed_severity(), Some(Severity::Fatal | Severity::Panic)) {
            // Whatever it is about: the database closes the connection behind it.
            return Self::Lost(text);
        }
        if *code == SqlState::UNIQUE_VIOLATION {
            return Self::Said(StoreError::Unique(text));
        }
        if [SqlState::T_R_SERIALIZATION_FAILURE, SqlState::T_R_DEADLOCK_DETECTED].contains(code) {
            return Self::Said(StoreError::Conflict(text));
        }
        if *code == SqlState::LOCK_NOT_AVAILABLE {
            return Self::Said(StoreError::Busy);
        }
        if *code == SqlState::QUERY_CANCELED {
            return Self::Said(StoreError::Deadline(0));
        }
        if *code == SqlState::READ_ONLY_SQL_TRANSACTION {
            return Self::ReadOnly(text);
        }
        match &code.code()[..2] {
            // Connection exceptions and shutdowns.
            "08" | "57" => Self::Lost(text),
            // Disk full, out of memory, too many connections; errors of the system.
            "53" | "58" => Self::Said(StoreError::Unavailable(text)),
            "XX" => Self::Said(StoreError::Unreadable(text)),
            _ => Self::Said(StoreError::Defect(format!("{text} ({})", code.code()))),
        }
    }
}

fn is_of_the_network(error: &Error) -> bool {
    std::error::Error::source(error).is_some_and(|source| source.is::<std::io::Error>())
}

/// What an error says, with its cause: the crate's own text names only the kind.
pub(super) fn text_of(error: &Error) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
