//! Runs a command beside a PostgreSQL cluster that was made for it and goes with it.

use anyhow::Context;
use clap::Parser;
use rollcall_testbed::{CLUSTER_VARIABLE, Cluster, ENGINE_VARIABLE, Settings, descendants};
use rustix::process::{Pid, Signal, kill_process};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::ffi::OsString;
use std::io::IsTerminal;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, ExitCode, ExitStatus};

/// Run a command with a PostgreSQL of its own, and end with its exit code
#[derive(Parser)]
#[command(
    after_help = "The command finds a URL in ROLLCALL_TEST_POSTGRES, `postgres` in ROLLCALL_TEST_ENGINE, and PostgreSQL's programs in PATH.

Examples:
  cargo run -p rollcall-testbed -- cargo test -p rollcall-store
  cargo run -p rollcall-testbed -- sh -c 'psql $ROLLCALL_TEST_POSTGRES'"
)]
struct Arguments {
    /// Commits reach the disk before they are answered
    #[arg(long)]
    durable: bool,

    /// The command and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<OsString>,
}

fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    // From before there is anything to clean up.
    let mut signals = Signals::new([SIGHUP, SIGINT, SIGTERM])?;
    let cluster = Cluster::try_start(Settings { durable: arguments.durable, ..Settings::default() })?;
    if let Some(signal) = signals.pending().next() {
        return Ok(code(128 + signal));
    }

    let [program, rest @ ..] = arguments.command.as_slice() else { unreachable!("clap asks for a command") };
    let mut command = Command::new(program);
    command.args(rest).env(CLUSTER_VARIABLE, cluster.url("postgres")).env(ENGINE_VARIABLE, "postgres");
    command.env("PATH", path_with(cluster.programs())?);
    let mut child = command.spawn().with_context(|| program.display().to_string())?;
    let id = child.id();

    let handle = signals.handle();
    let passing = std::thread::spawn(move || {
        for signal in signals.forever() {
            // A terminal tells the command by itself.
            if signal != SIGINT || !std::io::stdin().is_terminal() {
                pass_on(signal, id);
            }
        }
    });
    let ended = child.wait()?;
    handle.close();
    let _ = passing.join();
    Ok(code_of(ended))
}

/// The search path with a folder before all others.
fn path_with(folder: &Path) -> anyhow::Result<OsString> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    Ok(std::env::join_paths([folder.to_owned()].into_iter().chain(std::env::split_paths(&path)))?)
}

/// Sends a signal to the command and to what it has started: cargo, for one, does not pass it on. Parents first, or a script
/// would go on with its next line.
fn pass_on(signal: i32, command: u32) {
    let below = descendants(command);
    for process in [command].into_iter().chain(below) {
        let process = i32::try_from(process).ok().and_then(Pid::from_raw);
        if let (Some(process), Some(signal)) = (process, Signal::from_named_raw(signal)) {
            // One that has ended meanwhile needs none.
            let _ = kill_process(process, signal);
        }
    }
}

/// As a shell tells it: the code, or 128 and the number of the signal that ended it.
fn code_of(ended: ExitStatus) -> ExitCode {
    code(ended.code().or(ended.signal().map(|signal| 128 + signal)).unwrap_or(1))
}

fn code(number: i32) -> ExitCode {
    u8::try_from(number).map_or(ExitCode::FAILURE, ExitCode::from)
}
