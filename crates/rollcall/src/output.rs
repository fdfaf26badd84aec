//! What the program says: results on standard output, everything else on standard error.

use crate::end::End;
use serde::Serialize;
use std::fmt::{Display, Write as _};
use std::io::{IsTerminal as _, Write as _};

/// Writes a line of the result. When nobody reads any more, the rest is not worth saying.
#[expect(clippy::exit, reason = "the reader of a pipe has left, as with `| head`")]
pub fn say(line: impl Display) {
    let mut out = std::io::stdout().lock();
    if writeln!(out, "{line}").and_then(|()| out.flush()).is_err() {
        std::process::exit(0);
    }
}

/// Writes a line for the person in front of the screen.
pub fn note(line: impl Display) {
    // Nothing is left to tell it to when standard error is closed.
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Writes the result for programs.
pub fn say_json(value: &impl Serialize) -> Result<(), End> {
    say(serde_json::to_string_pretty(value)?);
    Ok(())
}

/// Writes rows in columns.
pub fn say_table<const N: usize>(head: [&str; N], rows: &[[String; N]]) {
    let mut widths = head.map(|text| text.chars().count());
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: [&str; N]| {
        let mut line = String::new();
        for (cell, width) in cells.iter().zip(widths) {
            // Writing into a String does not fail.
            let _ = write!(line, "{cell:width$}  ");
        }
        say(line.trim_end());
    };
    line(head.map(str::to_uppercase).each_ref().map(String::as_str));
    for row in rows {
        line(row.each_ref().map(String::as_str));
    }
}

/// Shows what is about to happen and asks, unless `yes` has been said already.
pub fn confirm(plan: &str, yes: bool) -> Result<(), End> {
    note(plan);
    if yes {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        return Err(End::Usage("nobody is there to ask; say --yes to go on".into()));
    }
    let mut err = std::io::stderr();
    write!(err, "Go on? [y/N] ")?;
    err.flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    if matches!(answer.trim(), "y" | "Y" | "yes") {
        Ok(())
    } else {
        Err(End::Failed(anyhow::anyhow!("stopped, nothing was changed")))
    }
}
