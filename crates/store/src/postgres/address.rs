//! Where a PostgreSQL database is and how one connects: URL, password, TLS, several hosts. Opens connections and says in words
//! why one cannot be opened; what runs on them is the engine's.

mod explain;
mod password;
mod tls;
mod url;

pub use explain::ConnectError;
pub use password::Password;

use rand::seq::SliceRandom;
use std::fmt;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::time::Duration;
use tls::Tls;
use tokio::time::timeout;
use tokio_postgres::config::{ChannelBinding, LoadBalanceHosts, SslMode, SslNegotiation, TargetSessionAttrs};
use tokio_postgres::{CancelToken, Client, Config, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;
use url::Parameters;

const DEFAULT_PORT: u16 = 5432;
/// A host that vanishes without a word is noticed after these, idle or not; the system's own limits are hours.
const KEEPALIVES_IDLE: Duration = Duration::from_secs(10);
const KEEPALIVES_INTERVAL: Duration = Duration::from_secs(5);
const KEEPALIVES_RETRIES: u32 = 3;
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(15);
/// The most that Linux takes for the times and the number of keepalives.
const MOST_KEEPALIVE_SECONDS: u32 = 32_767;
const MOST_KEEPALIVES: u32 = 127;
const DAY_S: u32 = 24 * 3600;

/// Where a PostgreSQL database is and how to reach it. Never shows its password.
#[derive(Clone)]
pub struct Address {
    hosts: Vec<Host>,
    user: String,
    database: String,
    /// All that is the same for every host.
    config: Config,
    connect_timeout: Duration,
    in_random_order: bool,
    tls: Tls,
}

/// What stands beside the URL and counts where the URL says nothing.
#[derive(Debug, Clone)]
pub struct Beside {
    /// For URLs without a password, which may then be logged and shown.
    pub password: Option<Password>,
    /// How long one address of a host has for everything up to a usable connection: TCP, TLS and the login. Hosts are tried one
    /// after the other, so whoever waits less than this for each of them never gets to the last.
    pub connect_timeout: Duration,
}

impl Default for Beside {
    fn default() -> Self {
        Self { password: None, connect_timeout: Duration::from_secs(2) }
    }
}

/// What is wrong with an address. Never quotes the URL, since any part of a mistyped one may be the password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct AddressError(String);

fn wrong(text: impl Into<String>) -> AddressError {
    AddressError(text.into())
}

/// What drives a connection: somebody has to poll it for as long as the client is used. Ends when the client is dropped or the
/// connection breaks.
pub type Driver = Pin<Box<dyn Future<Output = Result<(), tokio_postgres::Error>> + Send>>;

/// One place where a server may be.
#[derive(Clone)]
struct Host {
    place: Place,
    port: u16,
    ssl_mode: SslMode,
}

#[derive(Clone)]
enum Place {
    /// A name or an IP address, and the IP address to use instead of looking up the name.
    Network { name: String, ip: Option<IpAddr> },
    /// The folder of a Unix socket.
    Folder(PathBuf),
}

impl Address {
    /// Reads `postgres://USER:PASSWORD@HOST:PORT/DATABASE?name=value&…` (or `postgresql:`) as libpq does, but guesses nothing:
    /// user, host and database are named, and what has a meaning in URLs is written with percent (`@` as `%40`). The files it
    /// names are read, to find out now what is wrong with them.
    ///
    /// **Hosts.** A name, an IP address (version 6 in brackets), or the folder of a Unix socket as `%2Frun%2Fpostgresql` or
    /// `?host=/run/postgresql`. Several are separated by commas, each with its own port, and tried in that order. With more
    /// than one, `target_session_attrs` is `read-write` unless it is given: after a failover, connections go to the standby
    /// that was promoted.
    ///
    /// **TLS.** `sslmode` is `disable` for Unix sockets and loopback hosts, else `verify-full`: the certificate must be for the
    /// host's name and come from an authority in `sslrootcert` (a PEM file, or `system`, which is the default). `require`
    /// encrypts, and checks the authority only if `sslrootcert` is given; `prefer` uses TLS if the server has it, and checks
    /// nothing. `sslcert` and `sslkey` are a client certificate; who gives one of these three means `verify-full` everywhere.
    ///
    /// **Further parameters**: `application_name` (`rollcall`), `channel_binding`, `connect_timeout` (seconds), `hostaddr`,
    /// `keepalives`, `keepalives_idle` (10), `keepalives_interval` (5), `keepalives_count` (3, also called
    /// `keepalives_retries`), `load_balance_hosts`, `options`, `sslnegotiation`, `target_session_attrs`, `tcp_user_timeout`
    /// (15000, in milliseconds as in libpq). An empty value is as if it were not there; a name that is not known is an error.
    pub fn parse(url: &str, beside: &Beside) -> Result<Self, AddressError> {
        let mut given = Parameters::parse(url)?;
        let part = |what| move || wrong(format!("the URL names no {what}: it has the form {}", url::FORM));
        let user = given.take("user").ok_or_else(part("user"))?;
        let database = given.take("dbname").ok_or_else(part("database"))?;
        let tls = Tls::take(&mut given)?;
        let hosts = hosts(&mut given, &tls)?;
        if hosts.is_empty() {
            return Err(part("host")());
        }
        let mut config = Config::new();
        config.user(&user).dbname(&database);
        if let Some(password) = given.take("password").map(Password::new).or_else(|| beside.password.clone()) {
            config.password(password.reveal());
        }
        config.application_name(given.take("application_name").unwrap_or_else(|| "rollcall".into()));
        if let Some(options) = given.take("options") {
            config.options(options);
        }
        config.target_session_attrs(target_session_attrs(&mut given, hosts.len())?);
        let bindings = [
            ("disable", ChannelBinding::Disable),
            ("prefer", ChannelBinding::Prefer),
            ("require", ChannelBinding::Require),
        ];
        config.channel_binding(given.one_of("channel_binding", &bindings)?.unwrap_or(ChannelBinding::Prefer));
        let orders = [("disable", LoadBalanceHosts::Disable), ("random", LoadBalanceHosts::Random)];
        let in_random_order = given.one_of("load_balance_hosts", &orders)? == Some(LoadBalanceHosts::Random);
        let negotiations = [("postgres", SslNegotiation::Postgres), ("direct", SslNegotiation::Direct)];
        if given.one_of("sslnegotiation", &negotiations)? == Some(SslNegotiation::Direct) {
            if hosts.iter().any(|host| host.ssl_mode == SslMode::Prefer) {
                return Err(wrong("sslnegotiation=direct needs sslmode=require or verify-full"));
            }
            config.ssl_negotiation(SslNegotiation::Direct);
        }
        let connect_timeout = given.number("connect_timeout", 1..=DAY_S)?.map(seconds);
        let connect_timeout = connect_timeout.unwrap_or(beside.connect_timeout);
        watch_over_tcp(&mut config, &mut given)?;
        given.end()?;

        let address = Self { hosts, user, database, config, connect_timeout, in_random_order, tls };
        address.connector()?;
        Ok(address)
    }

    /// Opens a connection to the first host that takes one: the client, and what drives it. Files are read anew, so that
    /// certificates that were renewed are used without a restart.
    pub async fn connect(&self) -> Result<(Client, Driver), ConnectError> {
        let tls = self.connector().map_err(ConnectError::unreadable)?;
        let mut hosts: Vec<_> = self.hosts.iter().collect();
        self.arrange(&mut hosts);
        let mut errors = Vec::new();
        for host in hosts {
            match self.connect_to(host, tls.as_ref()).await {
                Ok(opened) => return Ok(opened),
                Err(error) => errors.push(error),
            }
        }
        Err(ConnectError::of_all(errors))
    }

    /// Asks the server to end what a connection of this address is busy with. It may have ended by itself by then.
    pub async fn cancel(&self, token: &CancelToken) -> Result<(), ConnectError> {
        let asked = async {
            match self.connector().map_err(ConnectError::unreadable)? {
                Some(tls) => token.cancel_query(tls).await,
                None => token.cancel_query(NoTls).await,
            }
            .map_err(|error| self.explain(&error))
        };
        timeout(self.connect_timeout, asked).await.unwrap_or_else(|_| Err(self.timed_out(&self.everywhere())))
    }

    /// An error of a connection of this address, in words for operators.
    pub fn explain(&self, error: &tokio_postgres::Error) -> ConnectError {
        self.explain_at(&self.everywhere(), self.hosts.iter().all(Host::is_in_clear), error)
    }

    async fn connect_to(&self, host: &Host, tls: Option<&MakeRustlsConnect>) -> Result<(Client, Driver), ConnectError> {
        let mut config = self.config.clone();
        config.port(host.port).ssl_mode(host.ssl_mode);
        match &host.place {
            Place::Folder(folder) => {
                config.host_path(folder);
                self.open(host, &config, tls).await
            }
            Place::Network { name, ip } => {
                config.host(name);
                let mut error = None;
                // One by one, so that an address that swallows everything does not use up the time of the next.
                for ip in self.look_up(host, name, *ip).await? {
                    let mut config = config.clone();
                    match self.open(host, config.hostaddr(ip), tls).await {
                        Ok(opened) => return Ok(opened),
                        Err(next) => error = Some(ConnectError::worse(error, next)),
                    }
                }
                Err(error.unwrap_or_else(|| self.not_found(name, &io::Error::other("it has no address"))))
            }
        }
    }

    async fn look_up(&self, host: &Host, name: &str, ip: Option<IpAddr>) -> Result<Vec<IpAddr>, ConnectError> {
        if let Some(ip) = ip {
            return Ok(vec![ip]);
        }
        let found = timeout(self.connect_timeout, tokio::net::lookup_host((name, host.port))).await;
        let found = found.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        let mut ips: Vec<_> = found.map_err(|error| self.not_found(name, &error))?.map(|found| found.ip()).collect();
        self.arrange(&mut ips);
        Ok(ips)
    }

    async fn open(
        &self,
        host: &Host,
        config: &Config,
        tls: Option<&MakeRustlsConnect>,
    ) -> Result<(Client, Driver), ConnectError> {
        // tokio-postgres bounds only the TCP connection; a host that takes it and stays silent would hold us for ever.
        let opened = timeout(self.connect_timeout, async {
            match tls {
                Some(tls) => {
                    config.connect(tls.clone()).await.map(|(client, driver)| (client, Box::pin(driver) as Driver))
                }
                None => config.connect(NoTls).await.map(|(client, driver)| (client, Box::pin(driver) as Driver)),
            }
        });
        match opened.await {
            Ok(Ok(opened)) => Ok(opened),
            Ok(Err(error)) => Err(self.explain_at(&host.to_string(), host.is_in_clear(), &error)),
            Err(_) => Err(self.timed_out(&host.to_string())),
        }
    }

    /// What TLS is made with; nothing where no host has it.
    fn connector(&self) -> Result<Option<MakeRustlsConnect>, AddressError> {
        let is_needed = self.hosts.iter().any(|host| host.ssl_mode != SslMode::Disable);
        is_needed.then(|| self.tls.connector()).transpose()
    }

    fn arrange<T>(&self, list: &mut [T]) {
        if self.in_random_order {
            list.shuffle(&mut rand::rng());
        }
    }

    /// All hosts, for messages that cannot know which one it was.
    fn everywhere(&self) -> String {
        let hosts: Vec<_> = self.hosts.iter().map(Host::to_string).collect();
        hosts.join(" or ")
    }
}

fn seconds(number: u32) -> Duration {
    Duration::from_secs(number.into())
}

fn hosts(given: &mut Parameters, tls: &Tls) -> Result<Vec<Host>, AddressError> {
    let ips = given.list("hostaddr").into_iter().map(|ip| ip.parse().map_err(|_| wrong("hostaddr takes IP addresses")));
    let ips: Vec<IpAddr> = ips.collect::<Result<_, _>>()?;
    let mut names = given.list("host");
    if names.is_empty() {
        names = ips.iter().map(IpAddr::to_string).collect();
    }
    if !ips.is_empty() && ips.len() != names.len() {
        return Err(wrong("hostaddr needs as many addresses as there are hosts"));
    }
    let ports = ports(given.list("port"), names.len())?;
    let host = |(i, name): (usize, String)| {
        let place = place(name, ips.get(i).copied())?;
        let ssl_mode = tls.ssl_mode(&place);
        Ok(Host { place, port: ports[i], ssl_mode })
    };
    names.into_iter().enumerate().map(host).collect()
}

/// The port of each host: one for all, or one each.
fn ports(given: Vec<String>, hosts: usize) -> Result<Vec<u16>, AddressError> {
    let number = |text: &String| match text.parse() {
        _ if text.is_empty() => Ok(DEFAULT_PORT),
        Ok(port) if port > 0 => Ok(port),
        _ => Err(wrong("a port of the URL is not a number from 1 to 65535")),
    };
    let ports: Vec<_> = given.iter().map(number).collect::<Result<_, _>>()?;
    match ports[..] {
        [] => Ok(vec![DEFAULT_PORT; hosts]),
        [port] => Ok(vec![port; hosts]),
        _ if ports.len() == hosts => Ok(ports),
        _ => Err(wrong("port takes one number, or as many as there are hosts")),
    }
}

fn place(name: String, ip: Option<IpAddr>) -> Result<Place, AddressError> {
    if name.starts_with('/') {
        return match ip {
            None => Ok(Place::Folder(name.into())),
            Some(_) => Err(wrong("hostaddr does not go with the folder of a Unix socket")),
        };
    }
    match rustls::pki_types::ServerName::try_from(name.as_str()) {
        Ok(_) => Ok(Place::Network { name, ip }),
        Err(_) => Err(wrong("a host of the URL is neither a name, an IP address nor the folder of a Unix socket")),
    }
}

fn target_session_attrs(given: &mut Parameters, hosts: usize) -> Result<TargetSessionAttrs, AddressError> {
    // There is no session of this program that only reads: the schema is brought up to date first.
    let sessions = [("any", TargetSessionAttrs::Any), ("read-write", TargetSessionAttrs::ReadWrite)];
    let default = if hosts > 1 { TargetSessionAttrs::ReadWrite } else { TargetSessionAttrs::Any };
    Ok(given.one_of("target_session_attrs", &sessions)?.unwrap_or(default))
}

fn watch_over_tcp(config: &mut Config, given: &mut Parameters) -> Result<(), AddressError> {
    config.keepalives(given.one_of("keepalives", &[("0", false), ("1", true)])?.unwrap_or(true));
    let idle = given.number("keepalives_idle", 1..=MOST_KEEPALIVE_SECONDS)?.map(seconds);
    config.keepalives_idle(idle.unwrap_or(KEEPALIVES_IDLE));
    let interval = given.number("keepalives_interval", 1..=MOST_KEEPALIVE_SECONDS)?.map(seconds);
    config.keepalives_interval(interval.unwrap_or(KEEPALIVES_INTERVAL));
    let count = given.number("keepalives_count", 1..=MOST_KEEPALIVES)?;
    let retries = given.number("keepalives_retries", 1..=MOST_KEEPALIVES)?;
    config.keepalives_retries(count.or(retries).unwrap_or(KEEPALIVES_RETRIES));
    // In milliseconds as in libpq; tokio-postgres reads its own URLs in seconds.
    match given.number("tcp_user_timeout", 0..=DAY_S * 1000)? {
        Some(0) => {}
        Some(ms) => {
            config.tcp_user_timeout(Duration::from_millis(ms.into()));
        }
        None => {
            config.tcp_user_timeout(TCP_USER_TIMEOUT);
        }
    }
    Ok(())
}

impl Place {
    /// Whether nothing that is said there leaves the machine.
    fn is_local(&self) -> bool {
        match self {
            Self::Folder(_) => true,
            Self::Network { name, ip } => {
                ip.or_else(|| name.parse().ok()).map_or(name.eq_ignore_ascii_case("localhost"), |ip| ip.is_loopback())
            }
        }
    }
}

impl Host {
    /// Whether it is on a network without TLS, which servers may refuse.
    fn is_in_clear(&self) -> bool {
        self.ssl_mode == SslMode::Disable && !matches!(self.place, Place::Folder(_))
    }

    fn socket(folder: &Path, port: u16) -> PathBuf {
        folder.join(format!(".s.PGSQL.{port}"))
    }
}

/// As messages name it.
impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Folder(folder) => Self::socket(folder, self.port).display().fmt(f),
            Place::Network { name, .. } if name.contains(':') => write!(f, "[{name}]:{}", self.port),
            Place::Network { name, .. } => write!(f, "{name}:{}", self.port),
        }
    }
}

/// A URL without password and parameters, for logs and messages.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "postgres://{}@", url::encode(&self.user))?;
        for (i, host) in self.hosts.iter().enumerate() {
            let comma = if i > 0 { "," } else { "" };
            match &host.place {
                Place::Folder(folder) => {
                    write!(f, "{comma}{}:{}", url::encode(&folder.to_string_lossy()), host.port)?;
                }
                Place::Network { .. } => write!(f, "{comma}{host}")?,
            }
        }
        write!(f, "/{}", url::encode(&self.database))
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}

#[cfg(test)]
mod tests;
