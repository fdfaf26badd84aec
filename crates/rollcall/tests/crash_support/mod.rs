//! The program as a child, the store beside it, a client that may lose the program at any moment, and chance that can be repeated.

#![allow(dead_code, clippy::allow_attributes, reason = "each test file uses a part of it")]

use rollcall_testbed::{Database, Engine};
use serde_json::Value;
use std::cell::RefCell;
use std::hash::{BuildHasher, Hasher};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Numbers that follow from a seed (splitmix64).
pub struct Chance(pub u64);

impl Chance {
    /// A seed that nobody knows.
    pub fn seed() -> u64 {
        std::collections::hash_map::RandomState::new().build_hasher().finish()
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below another one.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    pub fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.below(len as u64)).unwrap()
    }

    /// One of these, if there are any.
    pub fn one_of<T: Copy>(&mut self, these: &[T]) -> Option<T> {
        if these.is_empty() { None } else { Some(these[self.index(these.len())]) }
    }
}

pub fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rollcall"));
    command.env_clear().stdin(Stdio::null());
    command
}

/// A running server; one that a failing test leaves behind is killed.
pub struct Server {
    child: Child,
    pub address: SocketAddr,
    /// Reads what it says after its address, so that it never waits for a reader.
    rest: Option<std::thread::JoinHandle<String>>,
}

impl Server {
    /// Starts it on a store, and waits until it listens.
    pub fn start(store: &str) -> Self {
        Self::start_with(store, &["--dev"])
    }

    /// The same with other arguments.
    pub fn start_with(store: &str, arguments: &[&str]) -> Self {
        let mut command = program();
        command.args(["serve", "--log-format", "json", "--listen", "127.0.0.1:0", "--store", store]).args(arguments);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap());
        let mut said = String::new();
        let address = loop {
            let from = said.len();
            assert!(lines.read_line(&mut said).unwrap() > 0, "the server ended: {said}");
            let line: Value = serde_json::from_str(&said[from..]).unwrap_or_default();
            if let Some(address) = line["address"].as_str() {
                break address.parse().unwrap();
            }
        };
        let rest = std::thread::spawn(move || {
            let mut rest = String::new();
            // Whatever was cut off by a kill is no text any more.
            let _ = lines.read_to_string(&mut rest);
            rest
        });
        Self { child, address, rest: Some(rest) }
    }

    pub fn client(&self) -> Client {
        Client::connect(self.address)
    }

    /// Kills it at once: SIGKILL.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.join();
    }

    /// Asks it to finish: SIGTERM.
    pub fn stop(&mut self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        assert!(self.child.wait().unwrap().success());
        self.join();
    }

    fn join(&mut self) {
        let said = self.rest.take().map(|rest| rest.join().unwrap()).unwrap_or_default();
        assert!(!said.contains("panicked"), "{said}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether `rollcall check` finds nothing in a store, and what it says.
pub fn check(store: &str) -> (bool, String) {
    let (code, said) = run(&["check", "--store", store]);
    (code == 0, said)
}

/// Runs a command to its end: its exit code, and what it says.
pub fn run(arguments: &[&str]) -> (i32, String) {
    let ended = program().args(arguments).output().unwrap();
    let said = [ended.stdout, ended.stderr].concat();
    (ended.status.code().unwrap(), String::from_utf8_lossy(&said).trim().to_owned())
}

/// Where the store of a test is: on the engine that the environment names, gone with this value.
pub enum Home {
    Folder(tempfile::TempDir),
    Database(Database),
}

impl Home {
    pub fn new() -> Self {
        match rollcall_testbed::engine() {
            Engine::Sqlite => Self::Folder(tempfile::tempdir().unwrap()),
            Engine::Postgres => Self::Database(Database::new()),
        }
    }

    /// As the program is told.
    pub fn store(&self) -> String {
        match self {
            Self::Folder(folder) => format!("sqlite:{}", file_in(folder.path()).display()),
            Self::Database(database) => database.url(),
        }
    }

    /// Looks at the store from beside the program.
    pub fn look(&self) -> Look {
        match self {
            Self::Folder(folder) => Look::Sqlite(rusqlite::Connection::open(file_in(folder.path())).unwrap()),
            Self::Database(database) => {
                let client = postgres::Client::connect(&database.url(), postgres::NoTls).unwrap();
                Look::Postgres(RefCell::new(client))
            }
        }
    }

    /// Whether a program that has ended has left work for the next one: a write-ahead log with something in it.
    pub fn is_work_left(&self) -> bool {
        match self {
            Self::Folder(folder) => {
                let log = file_in(folder.path()).with_extension("sqlite-wal");
                std::fs::metadata(log).is_ok_and(|file| file.len() > 0)
            }
            Self::Database(_) => false,
        }
    }
}

fn file_in(folder: &Path) -> std::path::PathBuf {
    folder.join("crash.sqlite")
}

/// A connection to a store that is not the program's.
pub enum Look {
    Sqlite(rusqlite::Connection),
    Postgres(RefCell<postgres::Client>),
}

/// A value of a row.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    Null,
    Int(i64),
    Text(String),
}

impl Cell {
    pub fn int(&self) -> i64 {
        match self {
            Self::Int(number) => *number,
            other => panic!("{other:?} is no number"),
        }
    }

    pub fn text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            other => panic!("{other:?} is no text"),
        }
    }
}

impl Look {
    /// Waits until whatever a killed program had sent has come to its end: a database goes on with what it has received.
    pub fn wait_for_the_dead(&self) {
        let busy =
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
            AND state <> 'idle'";
        while matches!(self, Self::Postgres(_)) && self.number(busy) > 0 {
            std::thread::yield_now();
        }
    }

    pub fn number(&self, sql: &str) -> i64 {
        match &self.rows(sql)[..] {
            [row] if row[0] != Cell::Null => row[0].int(),
            _ => 0,
        }
    }

    pub fn rows(&self, sql: &str) -> Vec<Vec<Cell>> {
        match self {
            Self::Sqlite(connection) => {
                use rusqlite::types::Value;
                let mut statement = connection.prepare(sql).unwrap();
                let width = statement.column_count();
                let cell = |value| match value {
                    Value::Null => Cell::Null,
                    Value::Integer(number) => Cell::Int(number),
                    Value::Text(text) => Cell::Text(text),
                    other => panic!("{other:?}"),
                };
                let row = |row: &rusqlite::Row<'_>| (0..width).map(|i| row.get(i).map(cell)).collect();
                statement.query_map([], row).unwrap().map(Result::unwrap).collect()
            }
            Self::Postgres(client) => {
                let rows = client.borrow_mut().query(sql, &[]).unwrap();
                let cell = |row: &postgres::Row, i: usize| match row.columns()[i].type_() {
                    &postgres::types::Type::INT8 => row.get::<_, Option<i64>>(i).map_or(Cell::Null, Cell::Int),
                    _ => row.get::<_, Option<String>>(i).map_or(Cell::Null, Cell::Text),
                };
                rows.iter().map(|row| (0..row.len()).map(|i| cell(row, i)).collect()).collect()
            }
        }
    }
}

/// An answer as JSON.
pub struct Answer(pub Value);

impl Answer {
    pub fn code(&self) -> i64 {
        self.0["code"].as_i64().unwrap_or_else(|| panic!("no code in {}", self.0))
    }

    /// The payload of a success.
    pub fn data(&self) -> Value {
        assert_eq!(self.code(), 0, "{}", self.0);
        self.0["data"].clone()
    }
}

/// A connection to the native door. An answer counts only once all of it is there.
pub struct Client(Option<BufReader<TcpStream>>);

impl Client {
    /// Connects; a server that is gone shows with the first request.
    pub fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).ok();
        if let Some(stream) = &stream {
            // A server that hangs shall fail the test, not hang it.
            stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        }
        Self(stream.map(BufReader::new))
    }

    pub fn post(&mut self, path: &str, body: &Value) -> io::Result<Answer> {
        self.send(&format!("/api/v3{path}"), body)
    }

    /// The same at any door.
    pub fn send(&mut self, path: &str, body: &Value) -> io::Result<Answer> {
        self.call("POST", path, body)
    }

    /// The same by any method.
    pub fn call(&mut self, method: &str, path: &str, body: &Value) -> io::Result<Answer> {
        let stream = self.0.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        let body = body.to_string();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: rollcall\r\nBK_User: crash\r\nHTTP_BLUEKING_SUPPLIER_ID: 0\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.get_mut().write_all((head + &body).as_bytes())?;
        let mut length = 0;
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let line = line.trim_end();
            if line.is_empty() {
                break;
            }
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().unwrap();
            }
        }
        let mut answer = vec![0; length];
        stream.read_exact(&mut answer)?;
        Ok(Answer(serde_json::from_slice(&answer)?))
    }
}
