//! The program `rollcall-testbed`: what its command is given, how both end, and that nothing stays behind.

use rollcall_testbed::{Database, Engine, engine};
use std::fs::Permissions;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A folder for the clusters of a test; the user that the server runs as may enter it.
fn folder() -> TempDir {
    tempfile::Builder::new().permissions(Permissions::from_mode(0o755)).tempdir().unwrap()
}

fn testbed(folder: &TempDir, command: &[&str]) -> Command {
    let mut testbed = Command::new(env!("CARGO_BIN_EXE_rollcall-testbed"));
    testbed.env("TMPDIR", folder.path()).stdin(Stdio::null()).args(command);
    testbed
}

/// One whose command waits for the end of its input.
struct Waiting {
    testbed: Child,
    _input: ChildStdin,
    output: BufReader<ChildStdout>,
    /// Of the cluster.
    address: String,
}

impl Waiting {
    fn start(folder: &TempDir) -> Self {
        let script = "sh -c 'echo $ROLLCALL_TEST_POSTGRES; exec cat'; echo unreachable";
        let mut command = testbed(folder, &["sh", "-c", script]);
        let mut testbed = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let input = testbed.stdin.take().unwrap();
        let mut output = BufReader::new(testbed.stdout.take().unwrap());
        let mut url = String::new();
        output.read_line(&mut url).unwrap();
        let address = url.split(['@', '/']).nth(3).unwrap().to_owned();
        TcpStream::connect(&address).unwrap();
        Self { testbed, _input: input, output, address }
    }

    fn signal(&self, name: &str) {
        let id = self.testbed.id().to_string();
        assert!(Command::new("kill").args([name, &id]).status().unwrap().success());
    }

    fn is_cluster_gone(&self) -> bool {
        TcpStream::connect(&self.address).is_err()
    }
}

#[track_caller]
fn eventually(mut is_so: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < Duration::from_secs(30), "waited in vain");
    }
}

fn is_empty(folder: &TempDir) -> bool {
    std::fs::read_dir(folder.path()).unwrap().next().is_none()
}

#[test]
fn the_command_has_a_cluster_and_its_code_is_passed_on() {
    let folder = folder();
    let script =
        "test \"$ROLLCALL_TEST_ENGINE\" = postgres && createdb --maintenance-db=$ROLLCALL_TEST_POSTGRES made &&
        psql --no-psqlrc -Atc 'SHOW fsync' ${ROLLCALL_TEST_POSTGRES%postgres}made && exit 7";
    for (flags, fsync) in [(&[][..], "off\n"), (&["--durable"], "on\n")] {
        let ended = testbed(&folder, &[flags, &["sh", "-c", script]].concat()).output().unwrap();
        assert_eq!(ended.status.code(), Some(7), "{}", String::from_utf8_lossy(&ended.stderr));
        assert_eq!(String::from_utf8_lossy(&ended.stdout), fsync);
    }
    assert!(is_empty(&folder));
}

#[test]
fn a_command_that_is_not_there_leaves_nothing() {
    let folder = folder();
    let ended = testbed(&folder, &["/no/such/program"]).output().unwrap();
    assert_eq!(ended.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&ended.stderr).contains("/no/such/program"));
    assert!(is_empty(&folder));
}

#[test]
fn a_signal_ends_both() {
    for (name, code) in [("-INT", 130), ("-TERM", 143)] {
        let folder = folder();
        let mut waiting = Waiting::start(&folder);
        waiting.signal(name);
        assert_eq!(waiting.testbed.wait().unwrap().code(), Some(code), "{name}");
        let mut rest = String::new();
        waiting.output.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "", "the script went on");
        assert!(waiting.is_cluster_gone() && is_empty(&folder));
    }
}

#[test]
fn nothing_stays_when_it_is_killed() {
    let folder = folder();
    let mut waiting = Waiting::start(&folder);
    waiting.signal("-KILL");
    waiting.testbed.wait().unwrap();
    eventually(|| waiting.is_cluster_gone() && is_empty(&folder));
}

/// Runs this test once more by itself, as tests are run that need a cluster. Says whether this is that run.
fn is_on_cluster(test: &str) -> bool {
    if std::env::var_os("RUNS_ON_CLUSTER").is_some() {
        return true;
    }
    let folder = folder();
    let this = std::env::current_exe().unwrap();
    let mut command = testbed(&folder, &[this.to_str().unwrap(), "--exact", test]);
    let ended = command.env("RUNS_ON_CLUSTER", "1").output().unwrap();
    let told = String::from_utf8_lossy(&ended.stdout);
    assert!(ended.status.success() && told.contains("1 passed"), "{told}{}", String::from_utf8_lossy(&ended.stderr));
    false
}

#[test]
fn every_test_has_a_database_of_its_own() {
    if !is_on_cluster("every_test_has_a_database_of_its_own") {
        return;
    }
    assert_eq!(engine(), Engine::Postgres);
    let [one, other] = [Database::new(), Database::new()];
    let run = |database: &Database, statement: &str| {
        let mut client = postgres::Client::connect(&database.url(), postgres::NoTls).unwrap();
        client.query(statement, &[]).map(|rows| rows.len())
    };
    run(&one, "CREATE TABLE note (text TEXT)").unwrap();
    run(&other, "SELECT text FROM note").unwrap_err();

    let mut held = postgres::Client::connect(&one.url(), postgres::NoTls).unwrap();
    let name = one.name().to_owned();
    drop(one);
    held.batch_execute("SELECT 1").unwrap_err();
    assert_eq!(run(&other, &format!("SELECT 1 FROM pg_database WHERE datname = '{name}'")).unwrap(), 0);
}

#[test]
fn a_template_is_made_once_and_copied() {
    if !is_on_cluster("a_template_is_made_once_and_copied") {
        return;
    }
    let connect = |url: &str| postgres::Client::connect(url, postgres::NoTls).unwrap();
    let made = std::sync::atomic::AtomicUsize::new(0);
    let copy = || {
        Database::from_template("notes", |url| {
            made.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            connect(url).batch_execute("CREATE TABLE note (text TEXT); INSERT INTO note VALUES ('first')").unwrap();
        })
    };
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let copy = copy();
                let mut client = connect(&copy.url());
                client.batch_execute("INSERT INTO note VALUES ('second')").unwrap();
                assert_eq!(client.query("SELECT text FROM note", &[]).unwrap().len(), 2);
            });
        }
    });
    assert_eq!(made.into_inner(), 1);
    let other = Database::from_template("empty", |_| ());
    assert!(connect(&other.url()).batch_execute("SELECT text FROM note").is_err());
}
