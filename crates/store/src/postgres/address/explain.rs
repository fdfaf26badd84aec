//! Why a database cannot be worked with, in words for its operator: what is wrong where, and what to do about it.

use super::{Address, AddressError};
use rustls::{AlertDescription, CertificateError};
use std::fmt::Display;
use std::io;
use tokio_postgres::error::{DbError, SqlState};

/// What is wrong with a database or the way to it, in words. Holds no secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct ConnectError {
    /// A sentence for each host that was tried.
    pub text: String,
    /// Whether it may go away by itself, as a restart, a failover or a cut in the network do; else somebody has to change something.
    pub may_retry: bool,
}

impl ConnectError {
    fn passing(text: String) -> Self {
        Self { text, may_retry: true }
    }

    fn lasting(text: String) -> Self {
        Self { text, may_retry: false }
    }

    /// A file of a certificate was readable at the start and is not now: it is being replaced.
    pub(super) fn unreadable(error: AddressError) -> Self {
        Self::passing(error.to_string())
    }

    /// The errors of all hosts as one. The others may recover even if somebody has to look after one of them.
    pub(super) fn of_all(errors: Vec<Self>) -> Self {
        let may_retry = errors.iter().any(|error| error.may_retry);
        let texts: Vec<_> = errors.into_iter().map(|error| error.text).collect();
        Self { text: texts.join("; "), may_retry }
    }

    /// Of two addresses of one host, the error that says more: `localhost` is often refused on one and answers on the other.
    pub(super) fn worse(before: Option<Self>, next: Self) -> Self {
        match before {
            Some(before) if !before.may_retry => before,
            _ => next,
        }
    }
}

impl Address {
    pub(super) fn timed_out(&self, at: &str) -> ConnectError {
        let ms = self.connect_timeout.as_millis();
        ConnectError::passing(format!(
            "{at} has not let us in within {ms} ms: check the address, firewalls on the way, and the load of the server"
        ))
    }

    pub(super) fn not_found(&self, name: &str, error: &io::Error) -> ConnectError {
        ConnectError::passing(format!("the host {name} is not found ({error}): check its name, and the DNS"))
    }

    pub(super) fn explain_at(&self, at: &str, is_in_clear: bool, error: &tokio_postgres::Error) -> ConnectError {
        if let Some(answer) = error.as_db_error() {
            return self.explain_answer(at, is_in_clear, answer);
        }
        if error.is_closed() {
            return closed(at, "connection closed");
        }
        let source = std::error::Error::source(error);
        if let Some(error) = source.and_then(|source| source.downcast_ref::<io::Error>()) {
            return match error.get_ref().and_then(|inner| inner.downcast_ref()) {
                Some(tls) => explain_tls(at, tls),
                None => explain_io(at, error),
            };
        }
        // tokio-postgres has no types for these.
        let user = &self.user;
        let text = source.map(ToString::to_string).unwrap_or_default();
        ConnectError::lasting(match text.as_str() {
            "password missing" => format!(
                "{at} wants a password of user {user:?} and none is given: \
                 set postgres.password_file, or put it into the URL"
            ),
            "server does not support TLS" => format!(
                "{at} has no TLS: switch it on there (ssl = on), or set sslmode=disable if nobody else is on the way"
            ),
            "server did not use channel binding" => format!(
                "{at} does not bind the login to the TLS connection: that needs TLS and a password of the kind scram-sha-256; \
                 else take out channel_binding=require"
            ),
            "unsupported authentication method" | "unsupported SASL mechanism" => format!(
                "{at} wants user {user:?} to log in in a way that is not supported: set scram-sha-256 in pg_hba.conf there"
            ),
            "" => format!("{at} cannot be used ({error}): check that it is a PostgreSQL server"),
            text => format!("{at} cannot be used ({error}: {text}): check that it is a PostgreSQL server"),
        })
    }

    fn explain_answer(&self, at: &str, is_in_clear: bool, answer: &DbError) -> ConnectError {
        let (user, database) = (&self.user, &self.database);
        let (message, code) = (answer.message(), answer.code());
        if *code == SqlState::INVALID_PASSWORD {
            // The server says the same of a user that does not exist.
            return ConnectError::lasting(format!(
                "{at} refuses the password of user {user:?}: check both, and that the user exists there"
            ));
        }
        if *code == SqlState::INVALID_AUTHORIZATION_SPECIFICATION {
            return ConnectError::lasting(match answer.routine() {
                // Unlike the message this is not translated.
                Some("InitializeSessionUserId") => format!(
                    "{at} has no user {user:?} who may log in ({message}): make it there with CREATE ROLE … LOGIN"
                ),
                _ if is_in_clear => format!(
                    "{at} does not let user {user:?} into database {database:?} without TLS ({message}): \
                     set sslmode=verify-full, or allow it in pg_hba.conf there"
                ),
                _ => format!(
                    "{at} does not let user {user:?} into database {database:?} ({message}): allow it in pg_hba.conf there, or give what it asks for"
                ),
            });
        }
        if *code == SqlState::INVALID_CATALOG_NAME || *code == SqlState::DATABASE_DROPPED {
            return ConnectError::lasting(format!(
                "{at} has no database {database:?}: make it there with CREATE DATABASE, or correct the URL"
            ));
        }
        if *code == SqlState::INSUFFICIENT_PRIVILEGE {
            return ConnectError::lasting(format!(
                "{at} forbids that to user {user:?} ({message}): grant the right, or take another user"
            ));
        }
        if *code == SqlState::TOO_MANY_CONNECTIONS {
            return ConnectError::passing(format!(
                "{at} has no connection left ({message}): raise max_connections there, or close other connections"
            ));
        }
        if *code == SqlState::CANNOT_CONNECT_NOW {
            return ConnectError::passing(format!("{at} takes no connections yet ({message}): wait until it is up"));
        }
        if *code == SqlState::READ_ONLY_SQL_TRANSACTION {
            return read_only(at);
        }
        // Connections, resources, the operator's interventions, the server's system and its own defects.
        let may_retry = ["08", "53", "57", "58", "XX"].iter().any(|class| code.code().starts_with(class));
        let text = format!("{at} answers {message:?} ({}): see its log", code.code());
        ConnectError { text, may_retry }
    }
}

fn closed(at: &str, what: impl Display) -> ConnectError {
    ConnectError::passing(format!("{at} has cut the connection ({what}): see its log"))
}

fn read_only(at: &str) -> ConnectError {
    ConnectError::passing(format!(
        "{at} takes no writes, as standbys do: name the primary, or all servers of the cluster with commas"
    ))
}

fn explain_io(at: &str, error: &io::Error) -> ConnectError {
    use io::ErrorKind::{
        BrokenPipe, ConnectionAborted, ConnectionRefused, ConnectionReset, NotFound, PermissionDenied,
    };
    match error.kind() {
        ConnectionRefused | NotFound => ConnectError::passing(format!(
            "nothing answers at {at} ({error}): check host and port, and that PostgreSQL runs there"
        )),
        // From tokio-postgres for target_session_attrs, not from the system.
        PermissionDenied if error.raw_os_error().is_none() => read_only(at),
        PermissionDenied => ConnectError::lasting(format!("{at} must not be opened ({error}): grant the right to it")),
        io::ErrorKind::UnexpectedEof | BrokenPipe | ConnectionAborted | ConnectionReset => closed(at, error),
        _ => ConnectError::passing(format!("{at} is not reached ({error}): check host and port, and the network")),
    }
}

fn explain_tls(at: &str, error: &rustls::Error) -> ConnectError {
    use AlertDescription::{BadCertificate, CertificateExpired, CertificateRequired, CertificateUnknown, UnknownCA};
    use CertificateError::{Expired, ExpiredContext, NotValidForName, NotValidForNameContext, UnknownIssuer};
    let text = match error {
        rustls::Error::InvalidCertificate(UnknownIssuer) => format!(
            "the certificate of {at} comes from an authority that is not trusted: \
             name the file of its certificate with sslrootcert"
        ),
        rustls::Error::InvalidCertificate(NotValidForNameContext { presented, .. }) if !presented.is_empty() => {
            format!(
                "the certificate of {at} is for other names ({}): use one of them in the URL, with hostaddr if it has to be",
                presented.join(", ")
            )
        }
        rustls::Error::InvalidCertificate(NotValidForName | NotValidForNameContext { .. }) => {
            format!("the certificate of {at} does not name its host: make one with a subjectAltName")
        }
        rustls::Error::InvalidCertificate(Expired | ExpiredContext { .. }) => {
            format!("the certificate of {at} has expired: renew it, or set the clock here")
        }
        rustls::Error::InvalidCertificate(CertificateError::Other(reason)) => format!(
            "the certificate of {at} is not one for a server ({reason}): \
             make one of version 3 that is not an authority itself, with a subjectAltName"
        ),
        rustls::Error::AlertReceived(
            alert @ (BadCertificate | CertificateExpired | CertificateRequired | CertificateUnknown | UnknownCA),
        ) => format!("{at} does not accept our certificate ({alert:?}): check sslcert and sslkey"),
        error => {
            format!("there is no TLS with {at} ({error}): check the TLS settings and the certificate of the server")
        }
    };
    ConnectError::lasting(text)
}
