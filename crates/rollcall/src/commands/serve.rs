//! `rollcall serve`: the server.

use super::Global;
use crate::clock;
use crate::config::{Config, Flag, Log, LogFormat};
use crate::end::End;
use crate::output;
use crate::place::{OpenStore, Place, Use};
use crate::stop;
use clap::Args;
use rollcall_http::{Metrics, Server};
use std::io::IsTerminal as _;
use std::sync::Arc;
use toml::Value;
use tracing_subscriber::EnvFilter;

/// Serve the API over HTTP
#[derive(Args)]
#[command(after_help = "Examples:
  rollcall serve
  rollcall serve --print-config > rollcall.toml && rollcall serve --config rollcall.toml
  rollcall serve --dev --store sqlite:try.sqlite --listen 127.0.0.1:8090
  rollcall serve --store postgres://rollcall@db1,db2/rollcall
  ROLLCALL_LOG_FORMAT=json rollcall serve

Flags win over the environment, the environment over the file, the file over the defaults.
A store that does not exist is made. SIGTERM and SIGINT finish what was accepted, then end the server.")]
pub struct Serve {
    /// Address and port; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,

    /// Development: callers from this machine are administrators under any name they give (loopback only)
    #[arg(long)]
    dev: bool,

    /// A proxy with TLS stands before any address but loopback
    #[arg(long)]
    behind_tls_proxy: bool,

    /// The least level that is logged
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<String>,

    /// The shape of a log line
    #[arg(long, value_enum)]
    log_format: Option<LogFormat>,

    /// Print the default configuration file, every key with a comment, and end
    #[arg(long)]
    print_config: bool,
}

impl Serve {
    pub fn run(self, global: &Global) -> Result<(), End> {
        if self.print_config {
            output::say(Config::default_file()?.trim_end());
            return Ok(());
        }
        let config = global.load(self.flags())?;
        config.refuse_unsafe()?;
        let place = Place::parse(&config.store, &config)?;
        start_log(&config.log)?;
        let unknown = Config::unknown_variables(std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()));
        if !unknown.is_empty() {
            tracing::warn!(?unknown, "environment variables that mean nothing to this program");
        }
        let metrics = Arc::new(Metrics::new());
        let opened = place.open_or_make(&config, Use::Server, Some(metrics.writer()), clock::now())?;
        if config.dev {
            tracing::warn!("development mode: every caller from this machine is an administrator");
        } else if opened.read(rollcall_app::directory::list_administrators)?.is_empty() {
            tracing::warn!("there is no administrator yet; `rollcall init` makes one");
        }
        runtime()?.block_on(async {
            let (settings, OpenStore { store, zone }) = (config.settings(), opened);
            let server = Server::bind(settings, store, zone, metrics, clock::clock()).await?;
            let address = server.local_addr();
            // Who reads that it listens may ask it to end at once.
            let stop = stop::when_asked()?;
            tracing::info!(%address, store = %place, "listening on http://{address}");
            server.run(stop).await;
            tracing::info!("stopped");
            Ok(())
        })
    }

    fn flags(&self) -> Vec<Flag> {
        let mut flags = Vec::new();
        let mut add = |name, key, value| flags.push(Flag { name, key, value });
        if let Some(listen) = &self.listen {
            add("listen", "listen", Value::String(listen.clone()));
        }
        if self.dev {
            add("dev", "dev", Value::Boolean(true));
        }
        if self.behind_tls_proxy {
            add("behind-tls-proxy", "behind_tls_proxy", Value::Boolean(true));
        }
        if let Some(level) = &self.log_level {
            add("log-level", "log.level", Value::String(level.clone()));
        }
        if let Some(format) = self.log_format {
            let format = match format {
                LogFormat::Text => "text",
                LogFormat::Json => "json",
            };
            add("log-format", "log.format", Value::String(format.into()));
        }
        flags
    }
}

/// The threads that serve.
pub(super) fn runtime() -> Result<tokio::runtime::Runtime, End> {
    Ok(tokio::runtime::Builder::new_multi_thread().enable_all().build()?)
}

/// From now on log lines go to standard error.
pub(super) fn start_log(log: &Log) -> Result<(), End> {
    let filter = EnvFilter::try_new(&log.level).map_err(|e| End::Usage(format!("log.level {:?}: {e}", log.level)))?;
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    let started = match log.format {
        LogFormat::Text => lines.try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
    started.map_err(|e| End::Failed(anyhow::anyhow!(e)))
}
