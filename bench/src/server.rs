//! The servers that are measured, each in a process of its own: this program started again. Ours, and the bare ones beside it.

use crate::bare;
use crate::bare::read::{Ask, Details, List, Related};
use anyhow::{Context, bail};
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::post;
use axum::{Json, Router};
use clap::ValueEnum;
use rollcall_domain::moment::{Moment, Zone};
use rollcall_http::{Metrics, Server, Settings};
use rollcall_store::{Store, TimeLimits};
use std::cell::RefCell;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

/// Which server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// Rollcall in its development mode.
    Ours,
    /// An axum handler that runs the statement of list_process_instance and splices what it answers.
    Statement,
    /// An axum handler that answers the same bytes of list_process_instance every time.
    Constant,
    /// As `Statement`, of list_process_related_info.
    Related,
    /// As `Statement`, of list_process_detail_by_ids.
    Details,
}

/// A running server; it ends when this is dropped.
pub struct Running {
    pub address: SocketAddr,
    pub process: u32,
    child: std::process::Child,
    input: Option<ChildStdin>,
}

impl Running {
    pub fn start(kind: Kind, store: &Path) -> anyhow::Result<Self> {
        let kind = kind.to_possible_value().context("every kind has a name")?;
        let mut child = Command::new(std::env::current_exe()?)
            .args(["serve", kind.get_name(), "--store"])
            .arg(store)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("its output is piped")?).read_line(&mut line)?;
        let address = line.trim().parse().with_context(|| format!("a server that did not start: {line:?}"))?;
        let input = child.stdin.take();
        Ok(Self { address, process: child.id(), child, input })
    }

    /// Processor time its threads have used so far.
    pub fn cpu(&self) -> anyhow::Result<Duration> {
        let mut ns = 0;
        for thread in std::fs::read_dir(format!("/proc/{}/task", self.process))? {
            // One that has ended since takes its time with it.
            let Ok(told) = std::fs::read_to_string(thread?.path().join("schedstat")) else { continue };
            let on_cpu = told.split(' ').next().context("a thread's time comes first")?;
            ns += on_cpu.parse::<u64>()?;
        }
        Ok(Duration::from_nanos(ns))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.input.take());
        let _ = self.child.wait();
    }
}

/// The time, for stores made and served here.
#[expect(clippy::disallowed_methods, reason = "the clock of this program")]
pub fn now() -> Moment {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Moment(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// The zone of every store made here.
pub fn zone() -> anyhow::Result<Zone> {
    Zone::named(Zone::DEFAULT_NAME).context("the default zone is known")
}

/// Serves until standard input ends.
pub fn serve(kind: Kind, store: &Path) -> anyhow::Result<()> {
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    std::thread::spawn(move || {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        let _ = stop.send(());
    });
    let stopped = async {
        let _ = stopped.await;
    };
    // As `rollcall serve` does it.
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let listen: SocketAddr = ([127, 0, 0, 1], 0).into();
    let metrics = Arc::new(Metrics::new());
    // Not on a thread that drives other tasks: they wait for the store.
    let router = match kind {
        Kind::Ours => {
            let store = Store::new(crate::estate::engine(store, Some(metrics.writer()))?, TimeLimits::default());
            return runtime.block_on(async {
                let mut settings = Settings::new(listen);
                settings.dev = true;
                let server = Server::bind(settings, store, zone()?, metrics, Arc::new(now)).await?;
                tell(server.local_addr())?;
                server.run(stopped).await;
                Ok(())
            });
        }
        Kind::Statement => by_statements::<List>(store)?,
        Kind::Related => by_statements::<Related>(store)?,
        Kind::Details => by_statements::<Details>(store)?,
        Kind::Constant => constant(store)?,
    };
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(listen).await?;
        tell(listener.local_addr()?)?;
        let listener = axum::serve::ListenerExt::tap_io(listener, |stream| {
            let _ = stream.set_nodelay(true);
        });
        axum::serve(listener, router).with_graceful_shutdown(stopped).await?;
        Ok(())
    })
}

fn tell(address: SocketAddr) -> anyhow::Result<()> {
    let mut out = std::io::stdout();
    writeln!(out, "{address}")?;
    Ok(out.flush()?)
}

/// Where the answers of a bare server come from.
struct Source {
    file: PathBuf,
    statements: Vec<String>,
}

thread_local! {
    static READER: RefCell<Option<rusqlite::Connection>> = const { RefCell::new(None) };
}

impl Source {
    fn new<A: Ask>(store: &Path) -> anyhow::Result<Self> {
        Ok(Self { file: store.to_owned(), statements: A::statements(store)? })
    }

    fn answer(&self, ask: &impl Ask) -> anyhow::Result<String> {
        READER.with_borrow_mut(|reader| {
            if reader.is_none() {
                *reader = Some(bare::open_reader(&self.file)?);
            }
            let Some(reader) = reader else { bail!("no connection") };
            ask.answer(reader, &self.statements)
        })
    }
}

const JSON: [(axum::http::HeaderName, &str); 1] = [(CONTENT_TYPE, "application/json; charset=utf-8")];

fn by_statements<A: Ask>(store: &Path) -> anyhow::Result<Router> {
    async fn answer<A: Ask>(State(source): State<Arc<Source>>, Json(ask): Json<A>) -> impl IntoResponse {
        (JSON, source.answer(&ask).unwrap_or_else(|error| error.to_string()))
    }
    let source = Arc::new(Source::new::<A>(store)?);
    Ok(Router::new().route(&format!("/api/v3{}", A::PATH), post(answer::<A>)).with_state(source))
}

fn constant(store: &Path) -> anyhow::Result<Router> {
    async fn answer(State(answer): State<Arc<str>>, Json(_): Json<List>) -> impl IntoResponse {
        (JSON, answer.to_string())
    }
    let instance = bare::read::some_instance(&bare::open_reader(store)?)?;
    let bytes: Arc<str> = Source::new::<List>(store)?.answer(&instance)?.into();
    Ok(Router::new().route(&format!("/api/v3{}", List::PATH), post(answer)).with_state(bytes))
}
