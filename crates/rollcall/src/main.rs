//! The program `rollcall`: the server and the commands around it. It only wires: rules, SQL and HTTP are in the other crates.

#![warn(clippy::unwrap_used)]

mod clock;
mod commands;
mod config;
mod end;
mod output;
mod place;
mod stop;

use clap::Parser;
use commands::Cli;
use end::End;
use std::process::ExitCode;

/// Requests are made on one thread and freed on another, which the usual allocator is slow at.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let ended = commands::run(cli);
    match &ended {
        Ok(()) | Err(End::Problems) => {}
        Err(End::Failed(error)) => output::note(format_args!("error: {error:#}")),
        Err(End::Usage(text)) => {
            output::note(format_args!("error: {text}\n\nFor more, try '--help'."));
        }
    }
    End::code(&ended)
}
