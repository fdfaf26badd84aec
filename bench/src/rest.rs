//! The program itself: how soon it is ready, and what it holds when nobody asks.

use crate::Plan;
use crate::figures::{Budget, Report};
use anyhow::{Context, bail};
use serde_json::json;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// `rollcall` in the folder of this program.
pub fn beside_this_program() -> Option<PathBuf> {
    let program = std::env::current_exe().ok()?.with_file_name("rollcall");
    program.is_file().then_some(program)
}

/// Ended with the measurement, however that ends.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub fn measure(plan: &Plan, report: &mut Report) -> anyhow::Result<()> {
    report.title("`rollcall serve --dev` on a store that is not there yet");
    let Some(program) = &plan.rollcall else {
        report.title("  skipped: build it first (cargo build --release -p rollcall) or name it with --rollcall");
        return Ok(());
    };
    let (mut new, mut again, mut resident) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..plan.rounds {
        let store = plan.folder.join(format!("start-{round}.sqlite"));
        let (took, _) = start(program, &store)?;
        new.push(took);
        let (took, running) = start(program, &store)?;
        again.push(took);
        resident.push(memory_mib(running.0.id(), Memory::Resident)?);
    }
    report.add("start to ready, new store", "ms", &new, Budget::AtMost(100.0), json!({}));
    report.add("start to ready, existing store", "ms", &again, Budget::None, json!({}));
    report.add("resident memory at rest", "MiB", &resident, Budget::AtMost(50.0), json!({}));
    Ok(())
}

/// Milliseconds from the start of the program to its first healthy answer.
#[expect(clippy::disallowed_methods, reason = "there is nothing to wait on until the program listens")]
fn start(program: &Path, store: &Path) -> anyhow::Result<(f64, Program)> {
    let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let begun = Instant::now();
    let child = Command::new(program)
        .args(["serve", "--dev", "--store", &format!("sqlite:{}", store.display())])
        .args(["--listen", &address.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let mut child = Program(child);
    while begun.elapsed() < Duration::from_secs(20) {
        if is_healthy(address) {
            return Ok((begun.elapsed().as_secs_f64() * 1e3, child));
        }
        if let Some(status) = child.0.try_wait()? {
            bail!("{} ended: {status}", program.display());
        }
        std::thread::sleep(Duration::from_micros(500));
    }
    bail!("{} was not ready in time", program.display())
}

fn is_healthy(address: SocketAddr) -> bool {
    let Ok(mut stream) = TcpStream::connect(address) else { return false };
    let mut answer = String::new();
    let asked = stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n");
    asked.and_then(|()| stream.read_to_string(&mut answer)).is_ok() && answer.starts_with("HTTP/1.1 200")
}

/// Which memory of a program.
#[derive(Clone, Copy)]
pub enum Memory {
    /// What is resident.
    Resident,
    /// The most that ever was.
    Peak,
}

#[expect(clippy::cast_precision_loss, reason = "a size for people")]
pub fn memory_mib(process: u32, memory: Memory) -> anyhow::Result<f64> {
    let name = match memory {
        Memory::Resident => "VmRSS:",
        Memory::Peak => "VmHWM:",
    };
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)).context("no memory is told")?;
    let kib: u64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kib as f64 / 1024.0)
}
