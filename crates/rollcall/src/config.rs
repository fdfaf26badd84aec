//! The configuration: defaults, a file over them, the environment over that, flags on top. [`Config::default_file`] is its manual.

use crate::end::End;
use rollcall_http::{HttpLimits, JobSettings, Secret, Settings};
use rollcall_store::postgres::address::{Address, Beside, Password};
use rollcall_store::{TimeLimits, postgres, sqlite};
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;
use toml::{Table, Value};

/// Every setting of the server.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    pub store: String,
    pub listen: SocketAddr,
    pub behind_tls_proxy: bool,
    pub dev: bool,
    pub gateway_prefix: String,
    pub trusted_proxies: Vec<IpAddr>,
    proxy_token: String,
    pub allowed_origins: Vec<String>,
    pub protect_reads: bool,
    pub time_zone: String,
    pub log: Log,
    pub limits: Limits,
    pub jobs: Jobs,
    pub sqlite: Sqlite,
    pub postgres: Postgres,
}

/// How the server logs.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    pub level: String,
    pub format: LogFormat,
}

/// The shape of a log line.
#[derive(Clone, Copy, PartialEq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    Text,
    Json,
}

/// Bounds on what clients can cost.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    body_bytes: usize,
    header_bytes: usize,
    uri_bytes: usize,
    depth: usize,
    header_read_ms: u64,
    request_ms: u64,
    connections: usize,
    unpaged_rows: usize,
    read_ms: u64,
    write_wait_ms: u64,
}

/// What the server does of synchronizations.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Jobs {
    run: bool,
    lease_ms: u64,
}

/// The embedded engine.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sqlite {
    readers: usize,
    queue: usize,
    group: usize,
    cache_kib: u32,
}

/// The engine for stores that several servers share.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Postgres {
    password: String,
    password_file: String,
    connect_ms: u64,
    wait_ms: u64,
    readers: usize,
    writers: usize,
    queue: usize,
}

/// Every key with a sentence about it, in the order of the printed file.
const KEYS: &[(&str, &str)] = &[
    (
        "store",
        "Where the record is kept: sqlite:FILE, or postgres://USER@HOST:PORT/DATABASE for several servers on one store.",
    ),
    ("listen", "Address and port to listen on; port 0 takes a free one."),
    (
        "behind_tls_proxy",
        "Says that a proxy with TLS stands before any address but loopback, because secrets travel in requests.",
    ),
    (
        "dev",
        "Development: callers from this machine are administrators under any name they give; on loopback only, never behind a proxy.",
    ),
    ("gateway_prefix", "Where the gateway door begins; {stage} stands for any one segment."),
    ("trusted_proxies", "Addresses of peers whose identity headers (BK_User) are believed at the native door."),
    ("proxy_token", "What such a peer must also send as X-Rollcall-Proxy-Token; empty: nothing."),
    ("allowed_origins", "Origins of web pages that may use the cookie bk_token, such as https://cmdb.example.com."),
    ("protect_reads", "Asks for the right find_business_resource also on reads that the original leaves open."),
    ("time_zone", "The zone in which a new store writes times; a store that exists keeps its own."),
    (
        "log.level",
        "The least level that is logged: error, warn, info, debug, trace; also filters such as info,rollcall_store=debug.",
    ),
    ("log.format", "The shape of a log line: text or json."),
    ("limits.body_bytes", "The largest body of a request."),
    ("limits.header_bytes", "The largest head of a request."),
    ("limits.uri_bytes", "The longest address of a request."),
    ("limits.depth", "How many lists and objects of a body may stand inside each other."),
    ("limits.header_read_ms", "How long the head of a request may take to come, in milliseconds."),
    ("limits.request_ms", "How long a request may take in all, in milliseconds."),
    ("limits.connections", "How many connections may be open at a time."),
    ("limits.unpaged_rows", "How many rows a list answers that was asked without a page."),
    ("limits.read_ms", "How long the statements of a read may run, in milliseconds."),
    ("limits.write_wait_ms", "How long a write may wait for its turn, in milliseconds."),
    (
        "jobs.run",
        "Whether this server does synchronizations; where it does not, another server on the same store has to.",
    ),
    ("jobs.lease_ms", "How long a synchronization is left to a server that says nothing any more, in milliseconds."),
    ("sqlite.readers", "How many reads run at a time."),
    ("sqlite.queue", "How many writes may wait; more are refused."),
    ("sqlite.group", "How many writes are committed together at most."),
    ("sqlite.cache_kib", "Page cache of each read connection in KiB; the writer takes four times as much."),
    ("postgres.password", "The password of the database's user, when neither the store's address nor a file names it."),
    ("postgres.password_file", "A file whose first line is that password; nobody else may read it."),
    ("postgres.connect_ms", "How long it may take to connect to one address of the database, in milliseconds."),
    ("postgres.wait_ms", "How long a request waits for a database that is not there, in milliseconds."),
    ("postgres.readers", "How many reads run at a time, each on a connection of its own."),
    ("postgres.writers", "How many writes run at a time, each on a connection of its own."),
    ("postgres.queue", "How many reads, and how many writes, may wait; more are refused."),
];

impl Default for Config {
    fn default() -> Self {
        let settings = Settings::new(SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)));
        let limits = settings.limits;
        let time = TimeLimits::default();
        let sqlite = sqlite::Options::new("");
        let beside = Beside::default();
        let pools = postgres::Pools::default();
        Self {
            store: "sqlite:rollcall.sqlite".into(),
            listen: settings.listen,
            behind_tls_proxy: false,
            dev: false,
            gateway_prefix: settings.gateway_prefix,
            trusted_proxies: Vec::new(),
            proxy_token: String::new(),
            allowed_origins: Vec::new(),
            protect_reads: false,
            time_zone: rollcall_domain::moment::Zone::DEFAULT_NAME.into(),
            log: Log { level: "info".into(), format: LogFormat::Text },
            limits: Limits {
                body_bytes: limits.body_bytes,
                header_bytes: limits.header_bytes,
                uri_bytes: limits.uri_bytes,
                depth: limits.depth,
                header_read_ms: milliseconds(limits.header_read),
                request_ms: milliseconds(limits.request),
                connections: limits.connections,
                unpaged_rows: limits.unpaged_rows,
                read_ms: milliseconds(time.read),
                write_wait_ms: milliseconds(time.write_wait),
            },
            jobs: Jobs { run: settings.jobs.run, lease_ms: milliseconds(settings.jobs.lease) },
            sqlite: Sqlite {
                readers: sqlite.readers,
                queue: sqlite.queue,
                group: sqlite.group,
                cache_kib: sqlite.cache_kib,
            },
            postgres: Postgres {
                password: String::new(),
                password_file: String::new(),
                connect_ms: milliseconds(beside.connect_timeout),
                wait_ms: milliseconds(pools.patience),
                readers: pools.readers,
                writers: pools.writers,
                queue: pools.queue,
            },
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Config::default().log
    }
}

impl Default for Limits {
    fn default() -> Self {
        Config::default().limits
    }
}

impl Default for Jobs {
    fn default() -> Self {
        Config::default().jobs
    }
}

impl Default for Postgres {
    fn default() -> Self {
        Config::default().postgres
    }
}

impl Default for Sqlite {
    fn default() -> Self {
        Config::default().sqlite
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// A value that a flag gives to a key.
pub struct Flag {
    pub name: &'static str,
    pub key: &'static str,
    pub value: Value,
}

impl Config {
    /// The configuration from its four sources. `environment` holds all variables there are.
    pub fn load(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (String, String)>,
        flags: Vec<Flag>,
    ) -> Result<Self, End> {
        let defaults = Table::try_from(Self::default())?;
        let mut table = defaults.clone();
        if let Some(file) = file {
            read_file(file, &mut table)?;
        }
        for (name, text) in environment {
            let Some((key, _)) = KEYS.iter().find(|(key, _)| variable(key) == name) else {
                continue;
            };
            let value = match find(&defaults, key) {
                Some(Value::String(_)) => Some(Value::String(text)),
                Some(Value::Boolean(_)) => text.parse().ok().map(Value::Boolean),
                Some(Value::Integer(_)) => text.parse().ok().map(Value::Integer),
                _ => Some(list(&text)),
            };
            let value = value.ok_or_else(|| End::Usage(format!("{name}: not a value that {key} takes")))?;
            put(&mut table, key, value);
            Self::of(&table).map_err(|e| End::Usage(format!("{name}: {e}")))?;
        }
        for Flag { name, key, value } in flags {
            put(&mut table, key, value);
            Self::of(&table).map_err(|e| End::Usage(format!("--{name}: {e}")))?;
        }
        Self::of(&table).map_err(|e| End::Usage(e.to_string()))
    }

    /// Variables that look as if they were meant for this program but are not.
    pub fn unknown_variables(names: impl IntoIterator<Item = String>) -> Vec<String> {
        let is_known = |name: &str| name == "ROLLCALL_CONFIG" || KEYS.iter().any(|(key, _)| variable(key) == name);
        let names = names.into_iter();
        names.filter(|name| name.starts_with("ROLLCALL_") && !is_known(name)).collect()
    }

    fn of(table: &Table) -> Result<Self, String> {
        Self::deserialize(Value::Table(table.clone())).map_err(|e| e.message().to_owned())
    }

    /// The default configuration as a file that says what each key means.
    pub fn default_file() -> Result<String, End> {
        let defaults = Table::try_from(Self::default())?;
        let mut text = String::from(
            "# Configuration of rollcall: every key with its default. The environment wins over the file (listen is ROLLCALL_LISTEN,\n\
             # log.level is ROLLCALL_LOG_LEVEL, lists are separated by commas), flags win over both.\n",
        );
        let mut section = "";
        for (key, about) in KEYS {
            let (of, name) = key.split_once('.').unwrap_or(("", key));
            if of != section {
                section = of;
                text.push_str(&format!("\n[{section}]\n"));
            }
            let value = find(&defaults, key).map(Value::to_string).unwrap_or_default();
            text.push_str(&format!("\n# {about}\n{name} = {value}\n"));
        }
        Ok(text)
    }

    /// What must not be set together (`gateway` 10.5).
    pub fn refuse_unsafe(&self) -> Result<(), End> {
        let is_loopback = self.listen.ip().is_loopback();
        let listen = self.listen;
        let text = if self.dev && !is_loopback {
            format!("dev makes every caller an administrator; it is refused on {listen}, listen on 127.0.0.1 or [::1]")
        } else if self.dev && self.behind_tls_proxy {
            "dev makes every caller from this machine an administrator, and behind a proxy that is everybody; leave out one of \
             dev and behind_tls_proxy"
                .to_owned()
        } else if !is_loopback && !self.behind_tls_proxy {
            format!(
                "secrets would travel in clear to {listen}; listen on 127.0.0.1, or put a proxy with TLS before it and set \
                 behind_tls_proxy = true"
            )
        } else {
            return Ok(());
        };
        Err(End::Usage(text))
    }

    /// What the doors need of it.
    pub fn settings(&self) -> Settings {
        let limits = &self.limits;
        Settings {
            listen: self.listen,
            dev: self.dev,
            gateway_prefix: self.gateway_prefix.clone(),
            trusted_proxies: self.trusted_proxies.clone(),
            proxy_token: Some(&self.proxy_token).filter(|token| !token.is_empty()).map(Secret::new),
            allowed_origins: self.allowed_origins.clone(),
            protect_reads: self.protect_reads,
            limits: HttpLimits {
                body_bytes: limits.body_bytes,
                header_bytes: limits.header_bytes,
                uri_bytes: limits.uri_bytes,
                depth: limits.depth,
                header_read: Duration::from_millis(limits.header_read_ms),
                request: Duration::from_millis(limits.request_ms),
                connections: limits.connections,
                unpaged_rows: limits.unpaged_rows,
            },
            jobs: JobSettings { run: self.jobs.run, lease: Duration::from_millis(self.jobs.lease_ms) },
        }
    }

    /// How long the store's work may take.
    pub fn time_limits(&self) -> TimeLimits {
        TimeLimits {
            read: Duration::from_millis(self.limits.read_ms),
            write_wait: Duration::from_millis(self.limits.write_wait_ms),
        }
    }

    /// How a store in a file is opened.
    pub fn sqlite(&self, file: impl Into<PathBuf>) -> sqlite::Options {
        let mut options = sqlite::Options::new(file);
        options.readers = self.sqlite.readers.max(1);
        options.queue = self.sqlite.queue.max(1);
        options.group = self.sqlite.group.max(1);
        options.cache_kib = self.sqlite.cache_kib;
        options
    }

    /// How a store in a database is opened.
    pub fn postgres(&self, address: Address) -> postgres::Options {
        let mut options = postgres::Options::new(address);
        options.pools = postgres::Pools {
            readers: self.postgres.readers.max(1),
            writers: self.postgres.writers.max(1),
            queue: self.postgres.queue.max(1),
            patience: Duration::from_millis(self.postgres.wait_ms),
            ..postgres::Pools::default()
        };
        options
    }

    /// What an address of a database does not say itself.
    pub fn beside_address(&self) -> Result<Beside, End> {
        let settings = &self.postgres;
        let password = match (settings.password.as_str(), settings.password_file.as_str()) {
            ("", "") => None,
            (password, "") => Some(Password::new(password)),
            ("", file) => Some(Password::from_file(Path::new(file)).map_err(|error| End::Usage(error.to_string()))?),
            _ => return Err(End::Usage("postgres.password and postgres.password_file are both set".into())),
        };
        Ok(Beside { password, connect_timeout: Duration::from_millis(settings.connect_ms) })
    }
}

/// Puts what a file says over what is there. Its errors name the line, but do not quote it: there may be a token in it.
fn read_file(file: &Path, table: &mut Table) -> Result<(), End> {
    let name = file.display();
    let text = std::fs::read_to_string(file).map_err(|e| End::Usage(format!("{name}: {e}")))?;
    let at = |error: toml::de::Error| {
        let before = error.span().and_then(|span| text.get(..span.start));
        let line = before.map(|before| format!("line {}: ", before.matches('\n').count() + 1));
        End::Usage(format!("{name}: {}{}", line.unwrap_or_default(), error.message()))
    };
    // Read as a whole first: this finds unknown keys and values that do not fit, with their place.
    toml::from_str::<Config>(&text).map_err(at)?;
    for (key, value) in toml::from_str::<Table>(&text).map_err(at)? {
        match value {
            Value::Table(section) => {
                for (name, value) in section {
                    put(table, &format!("{key}.{name}"), value);
                }
            }
            value => put(table, &key, value),
        }
    }
    Ok(())
}

/// The environment variable of a key.
fn variable(key: &str) -> String {
    format!("ROLLCALL_{}", key.replace('.', "_").to_uppercase())
}

/// A list as an environment variable holds it.
fn list(text: &str) -> Value {
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    Value::Array(parts.map(|part| Value::String(part.to_owned())).collect())
}

fn find<'a>(table: &'a Table, key: &str) -> Option<&'a Value> {
    match key.split_once('.') {
        None => table.get(key),
        Some((section, name)) => table.get(section)?.get(name),
    }
}

fn put(table: &mut Table, key: &str, value: Value) {
    match key.split_once('.') {
        None => {
            table.insert(key.to_owned(), value);
        }
        Some((section, name)) => {
            let section = table.entry(section).or_insert_with(|| Value::Table(Table::new()));
            if let Value::Table(section) = section {
                section.insert(name.to_owned(), value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(file: &str, environment: &[(&str, &str)], flags: Vec<Flag>) -> Result<Config, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rollcall.toml");
        std::fs::write(&path, file).unwrap();
        let environment = environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        Config::load(Some(&path), environment, flags).map_err(|end| match end {
            End::Usage(text) => text,
            other => panic!("{other:?}"),
        })
    }

    #[test]
    fn the_printed_file_says_every_key_and_is_the_default() {
        let text = Config::default_file().unwrap();
        assert!(load(&text, &[], vec![]).unwrap() == Config::default());
        let defaults = Table::try_from(Config::default()).unwrap();
        let keys = defaults.iter().flat_map(|(key, value)| match value {
            Value::Table(section) => section.keys().map(|name| format!("{key}.{name}")).collect(),
            _ => vec![key.clone()],
        });
        let mut keys: Vec<_> = keys.collect();
        let mut documented: Vec<_> = KEYS.iter().map(|(key, _)| (*key).to_owned()).collect();
        keys.sort();
        documented.sort();
        assert_eq!(keys, documented);
        assert!(KEYS.iter().all(|(_, about)| about.ends_with('.')));
    }

    #[test]
    fn flags_win_over_environment_over_file_over_defaults() {
        let file = "listen = \"127.0.0.1:1\"\n[log]\nlevel = \"warn\"\n[limits]\ndepth = 7";
        let flag = |level: &str| Flag { name: "log-level", key: "log.level", value: Value::String(level.into()) };
        let environment = [
            ("ROLLCALL_LOG_LEVEL", "debug"),
            ("ROLLCALL_LISTEN", "127.0.0.1:2"),
            ("ROLLCALL_TRUSTED_PROXIES", "10.0.0.1, ::1"),
            ("ROLLCALL_DEV", "true"),
        ];
        let config = load(file, &environment, vec![flag("trace")]).unwrap();
        assert_eq!(config.log.level, "trace");
        assert_eq!(config.listen.port(), 2);
        assert_eq!(config.trusted_proxies.len(), 2);
        assert!(config.dev);
        assert_eq!(config.limits.depth, 7);
        assert_eq!(config.limits.uri_bytes, Config::default().limits.uri_bytes);
        assert_eq!(load(file, &environment, vec![]).unwrap().log.level, "debug");
        assert_eq!(load(file, &[], vec![]).unwrap().log.level, "warn");
    }

    #[test]
    fn what_does_not_fit_is_named_and_not_quoted() {
        let check = |file: &str, environment: &[(&str, &str)], want: &str| {
            let error = load(file, environment, vec![]).err().unwrap_or_default();
            assert!(error.contains(want), "{error}");
            assert!(!error.contains("s3cr3t"), "{error}");
        };
        check("\n\nlissten = 1", &[], "line 3: unknown field `lissten`");
        check("[log]\nlevels = 1", &[], "line 2: unknown field `levels`");
        check("[tls]\nkey = 1", &[], "unknown field `tls`");
        check("listen = \"here\"", &[], "line 1: invalid socket address");
        check("proxy_token = [\"s3cr3t\"]", &[], "line 1: invalid type");
        check("proxy_token = \"s3cr3t", &[], "line 1");
        check("[limits]\ndepth = -1", &[], "line 2");
        check("", &[("ROLLCALL_LISTEN", "here")], "ROLLCALL_LISTEN: invalid socket address");
        check("", &[("ROLLCALL_DEV", "maybe")], "ROLLCALL_DEV");
        check("", &[("ROLLCALL_LOG_FORMAT", "xml")], "ROLLCALL_LOG_FORMAT");
        let names = ["ROLLCALL_STORE", "ROLLCALL_CONFIG", "ROLLCALL_PORT", "PATH"];
        assert_eq!(Config::unknown_variables(names.map(String::from)), ["ROLLCALL_PORT"]);
    }

    #[test]
    fn unsafe_combinations_are_refused() {
        let check = |listen: &str, dev: bool, behind_tls_proxy: bool, is_fine: bool| {
            let config = Config { listen: listen.parse().unwrap(), dev, behind_tls_proxy, ..Config::default() };
            assert_eq!(config.refuse_unsafe().is_ok(), is_fine, "{listen} {dev} {behind_tls_proxy}");
        };
        check("127.0.0.1:80", false, false, true);
        check("[::1]:80", true, false, true);
        check("127.0.0.1:80", true, true, false);
        check("0.0.0.0:80", true, true, false);
        check("0.0.0.0:80", true, false, false);
        check("0.0.0.0:80", false, false, false);
        check("10.0.0.1:80", false, true, true);
    }
}
