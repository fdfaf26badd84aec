//! Statements for setting up and taking down. They run on a thread of their own: the client brings an async runtime, which must
//! not be started inside that of a test.

use anyhow::Context;
use postgres::{Config, NoTls, SimpleQueryMessage};
use std::panic::resume_unwind;

/// Runs one statement and gives the first column of its first row.
pub fn run(config: &Config, statement: &str) -> anyhow::Result<Option<String>> {
    let work = || -> Result<Option<String>, postgres::Error> {
        let mut client = config.connect(NoTls)?;
        let answer = client.simple_query(statement)?;
        client.close()?;
        Ok(answer.into_iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
            _ => None,
        }))
    };
    let ended = std::thread::scope(|scope| scope.spawn(work).join());
    ended.unwrap_or_else(|panic| resume_unwind(panic)).with_context(|| statement.to_owned())
}

/// A name as it stands in a statement.
pub fn name(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text as it stands in a statement.
pub fn text(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
