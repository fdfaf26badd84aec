//! A PostgreSQL server with everything it keeps in a temporary folder. The server is a child of this program, and a watchdog
//! sees to it that neither it nor its folder outlives us.

use crate::programs::{Programs, descendants, is_gone, is_held};
use crate::{pause, sql};
use anyhow::{Context, bail, ensure};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use postgres::Config;
use rustix::process::{Pid, Signal, kill_process};
use std::fs::{File, Permissions};
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The user of the stores, who may make databases and nothing more.
const USER: &str = "rollcall";

/// Who rules the cluster; only through its socket, whose folder is closed to others.
const SUPERUSER: &str = "postgres";

/// Nothing that a cluster is asked for takes this long.
const PATIENCE: Duration = Duration::from_secs(60);

/// How a cluster is set up.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Whether a commit is on disk when it is answered. If not, it survives the end of every process all the same, though not
    /// that of the machine.
    pub durable: bool,
    pub max_connections: u16,
    /// Asked of the user over TCP (SCRAM) if there is one.
    pub password: Option<String>,
    pub tls: Option<Tls>,
    /// Further settings of the server, as in `("statement_timeout", "1s")`.
    pub extra: Vec<(String, String)>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { durable: false, max_connections: 200, password: None, tls: None, extra: Vec::new() }
    }
}

/// A server's certificate and key, both PEM, and whether connections without them are turned away.
#[derive(Debug, Clone)]
pub struct Tls {
    pub certificate: PathBuf,
    pub key: PathBuf,
    pub is_required: bool,
}

impl Tls {
    /// Makes a certificate for `localhost` and `127.0.0.1` that vouches for itself. Connections without TLS are turned away.
    pub fn make(folder: &Path) -> Self {
        let names = ["localhost", "127.0.0.1"].map(str::to_owned);
        let made = rcgen::generate_simple_self_signed(names).expect("the names are in order");
        let (certificate, key) = (folder.join("server.crt"), folder.join("server.key"));
        std::fs::write(&certificate, made.cert.pem()).expect("the folder can be written to");
        std::fs::write(&key, made.signing_key.serialize_pem()).expect("the folder can be written to");
        Self { certificate, key, is_required: true }
    }
}

/// How a server is asked to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// Open transactions are rolled back, connections closed, everything is written out.
    Fast,
    /// At once; the next start recovers as after a crash.
    Immediate,
}

/// A running server, or one that was stopped and can be started again. Dropping it removes all of it.
#[derive(Debug)]
pub struct Cluster {
    programs: Programs,
    /// Holds the data, the socket and the log.
    folder: PathBuf,
    port: Port,
    settings: Settings,
    running: Mutex<Running>,
}

#[derive(Debug)]
struct Running {
    server: Option<Child>,
    watchdog: Watchdog,
}

impl Cluster {
    /// Makes a cluster and waits until it answers.
    pub fn start(settings: Settings) -> Self {
        Self::try_start(settings).unwrap_or_else(|e| panic!("{e:#}"))
    }

    /// The same, for programs that end with a message.
    pub fn try_start(settings: Settings) -> anyhow::Result<Self> {
        let cluster = Self::prepare(settings)?;
        let mut command = cluster.programs.command("initdb", &cluster.folder);
        command.arg("--pgdata").arg(cluster.data()).arg(format!("--username={SUPERUSER}"));
        command.args(["--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"]);
        cluster.programs.run(&mut command)?;
        cluster.configure()?;
        cluster.launch()?;
        let password = cluster.settings.password.as_deref().map(sql::text);
        let password = password.map(|password| format!("PASSWORD {password}")).unwrap_or_default();
        cluster.try_sql(&format!("CREATE ROLE {USER} LOGIN CREATEDB {password}"))?;
        Ok(cluster)
    }

    /// An empty folder, watched, and a port.
    fn prepare(settings: Settings) -> anyhow::Result<Self> {
        let programs = Programs::find()?;
        let port = Port::reserve()?;
        let folder = tempfile::Builder::new().prefix("rollcall-testbed-").tempdir()?;
        programs.hand_over(folder.path())?;
        // From here on it is the watchdog that removes it.
        let watchdog = Watchdog::start(folder.path())?;
        let folder = folder.keep();
        Ok(Self { programs, folder, port, settings, running: Mutex::new(Running { server: None, watchdog }) })
    }

    /// Says who may connect, and puts the certificate where the server looks for it.
    fn configure(&self) -> anyhow::Result<()> {
        let host = if self.settings.tls.as_ref().is_some_and(|tls| tls.is_required) { "hostssl" } else { "host" };
        let method = if self.settings.password.is_some() { "scram-sha-256" } else { "trust" };
        let access = format!(
            "local all {SUPERUSER} trust\nlocal replication {SUPERUSER} trust\n{host} all {USER} 127.0.0.1/32 {method}\n"
        );
        std::fs::write(self.data().join("pg_hba.conf"), access)?;
        if let Some(tls) = &self.settings.tls {
            for (from, to) in [(&tls.certificate, "server.crt"), (&tls.key, "server.key")] {
                let to = self.data().join(to);
                std::fs::copy(from, &to).with_context(|| from.display().to_string())?;
                std::fs::set_permissions(&to, Permissions::from_mode(0o600))?;
                self.programs.hand_over(&to)?;
            }
        }
        Ok(())
    }

    /// Starts the server and waits until it answers.
    fn launch(&self) -> anyhow::Result<()> {
        let mut running = self.running();
        ensure!(running.server.is_none(), "the server runs already");
        let log = File::options().create(true).append(true).open(self.folder.join("log"))?;
        let mut command = self.programs.command("postgres", &self.folder);
        command.arg("-D").arg(self.data()).args(self.arguments());
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        // Out of reach of Ctrl-C, which is for the tests: the server ends after them.
        let server = command.process_group(0).spawn()?;
        running.watchdog.watch(server.id());
        running.server = Some(server);
        let started = Instant::now();
        while self.try_sql("SELECT 1").is_err() {
            let ended = running.server.as_mut().map(Child::try_wait).transpose()?.flatten();
            if ended.is_some() {
                running.forget();
            }
            if ended.is_some() || started.elapsed() > PATIENCE {
                bail!("PostgreSQL does not start:\n{}", self.log());
            }
            pause();
        }
        Ok(())
    }

    /// The settings go with each start: those in files are copied to standbys.
    fn arguments(&self) -> Vec<String> {
        let mut settings = vec![
            format!("port={}", self.port.number),
            "listen_addresses=127.0.0.1".to_owned(),
            format!("unix_socket_directories={}", self.folder.display()),
            format!("max_connections={}", self.settings.max_connections),
            "shared_buffers=32MB".to_owned(),
            // A file in the folder: what a killed server leaves of it then goes with the folder.
            "dynamic_shared_memory_type=mmap".to_owned(),
            // What a standby may be behind.
            "wal_keep_size=512MB".to_owned(),
        ];
        if !self.settings.durable {
            settings.extend(["fsync=off", "full_page_writes=off"].map(str::to_owned));
        }
        if self.settings.tls.is_some() {
            settings.push("ssl=on".to_owned());
        }
        settings.extend(self.settings.extra.iter().map(|(name, value)| format!("{name}={value}")));
        settings.into_iter().flat_map(|setting| ["-c".to_owned(), setting]).collect()
    }

    pub fn port(&self) -> u16 {
        self.port.number
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port.number))
    }

    /// The URL of a database, for the user `rollcall`.
    pub fn url(&self, database: &str) -> String {
        let password =
            self.settings.password.as_deref().map(|password| utf8_percent_encode(password, NON_ALPHANUMERIC));
        let password = password.map(|password| format!(":{password}")).unwrap_or_default();
        format!("postgres://{USER}{password}@{}/{database}", self.address())
    }

    /// The folder of the programs it runs from: `psql` and the others.
    pub fn programs(&self) -> &Path {
        &self.programs.folder
    }

    /// What the server has logged.
    pub fn log(&self) -> String {
        let log = std::fs::read(self.folder.join("log")).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }

    /// Runs a statement as superuser in the database `postgres` and gives the first column of its first row.
    pub fn sql(&self, statement: &str) -> Option<String> {
        self.try_sql(statement).unwrap_or_else(|e| panic!("{e:#}"))
    }

    fn try_sql(&self, statement: &str) -> anyhow::Result<Option<String>> {
        let mut config = Config::new();
        config.host_path(&self.folder).port(self.port.number).user(SUPERUSER).dbname("postgres");
        config.connect_timeout(PATIENCE);
        sql::run(&config, statement)
    }

    fn wait_for_answer(&self, statement: &str, wanted: &str) {
        wait_until(&format!("{statement} answers {wanted}"), || self.sql(statement).as_deref() == Some(wanted));
    }

    /// Makes a database, as a copy of another if one is named, and gives its URL.
    pub fn create_database(&self, name: &str, template: Option<&str>) -> String {
        let template = template.map(|template| format!("TEMPLATE {}", sql::name(template))).unwrap_or_default();
        self.sql(&format!("CREATE DATABASE {} OWNER {USER} {template}", sql::name(name)));
        self.url(name)
    }

    /// Removes a database, whoever is connected to it.
    pub fn drop_database(&self, name: &str) {
        self.sql(&format!("DROP DATABASE {} WITH (FORCE)", sql::name(name)));
    }

    /// Stops the server and waits for its end. One that does not run stays as it is.
    pub fn stop(&self, how: Stop) {
        let mut running = self.running();
        let Some(server) = &mut running.server else { return };
        let signal = match how {
            Stop::Fast => Signal::INT,
            Stop::Immediate => Signal::QUIT,
        };
        send(server.id(), signal);
        wait_until("PostgreSQL has stopped", || matches!(server.try_wait(), Ok(Some(_))));
        running.forget();
    }

    /// Kills the server and its children, as when the machine's memory runs out.
    pub fn kill(&self) {
        let mut running = self.running();
        let Some(server) = &mut running.server else { return };
        // Held still, so that it neither makes new ones nor lets ids of old ones go.
        send(server.id(), Signal::STOP);
        wait_until("PostgreSQL is held", || is_held(server.id()));
        let children = descendants(server.id());
        for child in &children {
            send(*child, Signal::KILL);
        }
        send(server.id(), Signal::KILL);
        server.wait().expect("a child can be waited for");
        running.forget();
        // As long as one of them holds the shared memory, the server does not start again.
        wait_until("the processes of PostgreSQL have ended", || children.iter().all(|child| is_gone(*child)));
    }

    /// Starts the server after a stop or a kill: same port, same data.
    pub fn start_again(&self) {
        self.launch().unwrap_or_else(|e| panic!("{e:#}"));
    }

    /// A copy of this cluster that follows it, under the name `standby_PORT`. It answers reads.
    pub fn standby(&self) -> Self {
        self.try_standby().unwrap_or_else(|e| panic!("{e:#}"))
    }

    fn try_standby(&self) -> anyhow::Result<Self> {
        let standby = Self::prepare(self.settings.clone())?;
        let name = format!("standby_{}", standby.port.number);
        let host = self.folder.display().to_string().replace('\\', r"\\").replace('\'', r"\'");
        let primary = format!("host='{host}' port={} user={SUPERUSER} application_name={name}", self.port.number);
        let mut command = self.programs.command("pg_basebackup", &standby.folder);
        command.arg("--pgdata").arg(standby.data()).arg("--dbname").arg(primary);
        command.args(["--write-recovery-conf", "--checkpoint=fast", "--no-sync"]);
        self.programs.run(&mut command)?;
        // What `make_synchronous` has set is copied too; once promoted it would wait for a standby of its own.
        let mut set = File::options().append(true).open(standby.data().join("postgresql.auto.conf"))?;
        writeln!(set, "synchronous_standby_names = ''")?;
        standby.launch()?;
        self.wait_for_answer(
            &format!("SELECT state FROM pg_stat_replication WHERE application_name = '{name}'"),
            "streaming",
        );
        Ok(standby)
    }

    /// Lets every commit wait until the standby has it; there must be one.
    pub fn make_synchronous(&self) {
        self.sql("ALTER SYSTEM SET synchronous_standby_names = '*'");
        self.sql("SELECT pg_reload_conf()");
        self.wait_for_answer("SELECT sync_state FROM pg_stat_replication WHERE sync_state <> 'potential'", "sync");
    }

    /// Waits until a standby shows what this cluster has written so far.
    pub fn wait_for(&self, standby: &Self) {
        let written = self.sql("SELECT pg_current_wal_lsn()").expect("a primary knows how far it has written");
        standby.wait_for_answer(&format!("SELECT pg_last_wal_replay_lsn() >= '{written}'"), "t");
    }

    /// Makes a standby a cluster of its own that takes writes.
    pub fn promote(&self) {
        let done = self.sql(&format!("SELECT pg_promote(true, {})", PATIENCE.as_secs()));
        assert_eq!(done.as_deref(), Some("t"), "the standby is not promoted:\n{}", self.log());
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn running(&self) -> MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let running = self.running.get_mut().unwrap_or_else(PoisonError::into_inner);
        // It stops the server, if there is one, and removes the folder.
        running.watchdog.release();
        if let Some(server) = &mut running.server {
            let _ = server.wait();
        }
        running.watchdog.wait();
    }
}

impl Running {
    fn forget(&mut self) {
        self.server = None;
        self.watchdog.watch(0);
    }
}

fn send(process: u32, signal: Signal) {
    let process = i32::try_from(process).ok().and_then(Pid::from_raw);
    // One that has ended meanwhile needs none.
    let _ = kill_process(process.expect("the id of a process is positive"), signal);
}

/// Looks again and again whether something has come about.
fn wait_until(what: &str, mut has_come: impl FnMut() -> bool) {
    let started = Instant::now();
    while !has_come() {
        assert!(started.elapsed() < PATIENCE, "waited in vain until {what}");
        pause();
    }
}

/// The port of a cluster for as long as it lives, also while its server is down.
#[derive(Debug)]
struct Port {
    number: u16,
    /// Bound to the UDP port of the same number, which no other cluster can then have.
    _reservation: UdpSocket,
}

impl Port {
    /// From below the ports that Linux gives to outgoing connections: those could be taken while the server is down.
    fn reserve() -> anyhow::Result<Self> {
        const FIRST: u16 = 20_000;
        const COUNT: u16 = 10_000;
        let begin = std::process::id() % u32::from(COUNT);
        let begin = FIRST + u16::try_from(begin).expect("it is less than the count");
        let mut numbers = (begin..FIRST + COUNT).chain(FIRST..begin);
        let free = numbers.find_map(|number| {
            let address = (Ipv4Addr::LOCALHOST, number);
            let reservation = UdpSocket::bind(address).ok()?;
            TcpListener::bind(address).is_ok().then_some(Self { number, _reservation: reservation })
        });
        free.context("no port is free")
    }
}

/// A shell that takes the cluster down when its input ends, also when this program was killed.
#[derive(Debug)]
struct Watchdog {
    shell: Child,
    input: Option<ChildStdin>,
}

impl Watchdog {
    fn start(folder: &Path) -> anyhow::Result<Self> {
        let mut command = Command::new("sh");
        command.args(["-c", include_str!("watchdog.sh"), "watchdog"]).arg(folder).current_dir("/");
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut shell = command.process_group(0).spawn()?;
        let input = shell.stdin.take();
        Ok(Self { shell, input })
    }

    /// Tells it which server runs; 0 for none.
    fn watch(&mut self, server: u32) {
        if let Some(input) = &mut self.input {
            writeln!(input, "{server}").expect("the watchdog listens");
        }
    }

    /// Lets it do its work.
    fn release(&mut self) {
        self.input = None;
    }

    fn wait(&mut self) {
        let _ = self.shell.wait();
    }
}
