//! What the doors need to know, set by the configuration.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Where the gateway door begins unless the configuration says otherwise.
pub const GATEWAY_PREFIX: &str = "/api/bk-cmdb/{stage}";

/// A value that must not be printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Hides a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Settings of the server.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Development: the native door trusts loopback peers and whoever they name is an administrator.
    pub dev: bool,
    /// Where the gateway door begins; `{stage}` stands for any one segment.
    pub gateway_prefix: String,
    /// Peers whose identity headers are believed at the native door.
    pub trusted_proxies: Vec<IpAddr>,
    /// What such a peer must also send as `X-Rollcall-Proxy-Token`, if set.
    pub proxy_token: Option<Secret>,
    /// Origins of pages that may use the cookie `bk_token`.
    pub allowed_origins: Vec<String>,
    /// Reads ask for the right to see the business.
    pub protect_reads: bool,
    pub limits: HttpLimits,
    pub jobs: JobSettings,
}

/// What this server does of synchronizations.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct JobSettings {
    /// Whether it does any.
    pub run: bool,
    /// How long one is left to a server that says nothing any more.
    pub lease: Duration,
}

impl Default for JobSettings {
    fn default() -> Self {
        Self { run: true, lease: Duration::from_secs(10) }
    }
}

/// Bounds on what one client can cost.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HttpLimits {
    pub body_bytes: usize,
    pub header_bytes: usize,
    pub uri_bytes: usize,
    /// Lists and objects inside each other.
    pub depth: usize,
    /// Until the headers of a request have come.
    pub header_read: Duration,
    /// Until a request is answered.
    pub request: Duration,
    /// Connections at a time.
    pub connections: usize,
    /// Rows of a list that was asked without a page.
    pub unpaged_rows: usize,
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self {
            body_bytes: 10 * 1024 * 1024,
            header_bytes: 32 * 1024,
            uri_bytes: 8 * 1024,
            depth: 64,
            header_read: Duration::from_secs(10),
            request: Duration::from_secs(30),
            connections: 4096,
            unpaged_rows: 10_000,
        }
    }
}

impl Settings {
    /// The defaults, listening here.
    pub fn new(listen: SocketAddr) -> Self {
        Self {
            listen,
            dev: false,
            gateway_prefix: GATEWAY_PREFIX.into(),
            trusted_proxies: Vec::new(),
            proxy_token: None,
            allowed_origins: Vec::new(),
            protect_reads: false,
            limits: HttpLimits::default(),
            jobs: JobSettings::default(),
        }
    }
}
