//! `rollcall copy` as a person runs it: what it says, what it refuses, and that it can be killed at any moment. Where PostgreSQL is
//! tested, copies go there and come back.

#![expect(clippy::unwrap_used, reason = "a test ends with its first error")]

mod crash_support;

use crash_support::{Client, Server};
use rollcall_testbed::{Database, Engine, engine};
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Lines};
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, Stdio};

/// For stores in files, and the databases of the others.
struct Folder {
    folder: tempfile::TempDir,
    databases: Vec<Database>,
}

/// How a command ended.
#[derive(Debug)]
struct Ended {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Ended {
    fn ok(self) -> String {
        assert_eq!(self.code, Some(0), "{self:?}");
        self.out
    }

    fn refused(self, code: i32, what: &str) {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert!(self.err.contains(what), "{self:?}");
        assert_eq!(self.out, "");
    }
}

impl Folder {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), databases: Vec::new() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A store's name that nothing is at: of a file, or of a database where those are tested.
    fn target(&mut self, name: &str) -> String {
        match engine() {
            Engine::Sqlite => format!("sqlite:{}", self.path(name).display()),
            Engine::Postgres => {
                let database = Database::new();
                let url = database.url();
                self.databases.push(database);
                url
            }
        }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rollcall"));
        command.args(args).current_dir(self.folder.path()).env_clear().stdin(Stdio::null());
        command
    }

    fn run(&self, args: &[&str]) -> Ended {
        let ended = self.command(args).output().unwrap();
        Ended {
            code: ended.status.code(),
            out: String::from_utf8(ended.stdout).unwrap(),
            err: String::from_utf8(ended.stderr).unwrap(),
        }
    }

    fn copy(&self, from: &str, to: &str) -> Ended {
        self.run(&["copy", "--from", from, "--to", to])
    }

    /// A copy that ends: for each table its name and what it is compared by.
    fn copied(&self, from: &str, to: &str) -> Vec<(String, Value)> {
        let report = self.run(&["copy", "--json", "--from", from, "--to", to]).ok();
        let report: Value = serde_json::from_str(&report).unwrap();
        assert_eq!(report["equal"], true);
        let table = |table: &Value| {
            assert_eq!((&table["equal"], &table["from"]), (&Value::from(true), &table["to"]));
            (table["table"].as_str().unwrap().to_owned(), table["to"].clone())
        };
        report["tables"].as_array().unwrap().iter().map(table).collect()
    }

    fn check(&self, store: &str) {
        self.run(&["check", "--store", store]).ok();
    }
}

/// A place for service instances.
#[derive(Clone, Copy)]
struct Home {
    business: i64,
    module: i64,
    host: i64,
}

impl Home {
    /// Makes it on a new store.
    fn make(client: &mut Client) -> Self {
        let mut post = |path: &str, body: Value| client.post(path, &body).unwrap().data();
        let business = post("/biz/0", json!({"bk_biz_name": "b", "bk_biz_maintainer": "ops"}));
        let business = business["bk_biz_id"].as_i64().unwrap();
        let set = post(&format!("/set/{business}"), json!({"bk_set_name": "s", "bk_parent_id": business}));
        let set = set["bk_set_id"].as_i64().unwrap();
        let module = json!({"bk_module_name": "m", "bk_parent_id": set});
        let module = post(&format!("/module/{business}/{set}"), module)["bk_module_id"].as_i64().unwrap();
        let hosts = json!({"bk_biz_id": business, "bk_host_list": [{"bk_host_innerip": "10.0.0.1"}]});
        let host = post("/hosts/add/business_idle", hosts)["bk_host_ids"][0].as_i64().unwrap();
        post("/hosts/modules", json!({"bk_biz_id": business, "bk_host_id": [host], "bk_module_id": [module]}));
        Self { business, module, host }
    }

    /// Service instances with twenty processes each; their ids.
    fn fill(self, client: &mut Client, instances: usize) -> Vec<i64> {
        let process =
            |n| json!({"process_info": {"bk_process_name": format!("p{n}"), "bk_func_name": format!("f{n}")}});
        let processes: Vec<_> = (0..20).map(process).collect();
        let instance = json!({"bk_host_id": self.host, "processes": processes});
        let instances = vec![instance; instances];
        let body = json!({"bk_biz_id": self.business, "bk_module_id": self.module, "instances": instances});
        let ids = client.post("/create/proc/service_instance", &body).unwrap().data();
        serde_json::from_value(ids).unwrap()
    }
}

/// A folder with a store of two thousand processes in `store.sqlite`, and where one may add to them.
fn with_store() -> (Folder, Home) {
    let folder = Folder::new();
    let mut server = Server::start(&format!("sqlite:{}", folder.path("store.sqlite").display()));
    let home = Home::make(&mut server.client());
    home.fill(&mut server.client(), 100);
    server.stop();
    (folder, home)
}

const STORE: &str = "sqlite:store.sqlite";

#[test]
fn a_store_moves_and_comes_back() {
    let (mut folder, home) = with_store();
    let target = folder.target("there.sqlite");
    let there = folder.copied(STORE, &target);
    folder.check(&target);
    let back = folder.copied(&target, "sqlite:back.sqlite");
    assert_eq!(there, back);
    folder.check("sqlite:back.sqlite");

    // Who works on the copy gets ids that nobody had.
    let mut server = Server::start(&target);
    let first = home.fill(&mut server.client(), 1)[0];
    server.stop();
    assert!(first > 100, "service instance {first}");
    folder.check(&target);
    let again = folder.copied(&target, "sqlite:again.sqlite");
    assert_ne!(again, back);
    folder.check("sqlite:again.sqlite");
}

#[test]
fn the_result_is_a_table_of_hashes() {
    let (mut folder, _) = with_store();
    let target = folder.target("there.sqlite");
    // The store that other commands work on.
    let ended = folder.run(&["copy", "--store", STORE, "--to", &target]);
    assert!(ended.err.contains("process: 2000 rows in "), "{ended:?}");
    assert!(ended.err.contains("holds all of sqlite:store.sqlite"), "{ended:?}");
    let out = ended.ok();
    let lines: Vec<Vec<_>> = out.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["TABLE", "ROWS", "HASH", "IN", "THE", "COPY"]);
    let processes = lines.iter().find(|line| line[0] == "process").unwrap();
    assert_eq!((processes[1], processes[2].len(), processes[3]), ("2000", 64, "equal"));
    assert!(lines[1..].iter().all(|line| line.len() == 4));
}

#[test]
fn what_may_not_be_copied_is_refused() {
    let (mut folder, _) = with_store();
    let target = folder.target("there.sqlite");
    folder.copy("sqlite:absent.sqlite", &target).refused(1, "there is no store absent.sqlite");
    folder.copy(STORE, STORE).refused(1, "the target is not empty");
    folder.copy(STORE, "there.sqlite").refused(2, "a store is named as sqlite:FILE");
    folder.run(&["copy"]).refused(2, "--to");

    // A store of its own is left alone.
    folder.run(&["init", "--store", &target]).ok();
    folder.copy(STORE, &target).refused(1, "the target is not empty");
    let apps = folder.run(&["app", "list", "--store", &target]).ok();
    assert_eq!(apps.lines().count(), 1);
    folder.check(&target);

    // Another schema: neither side is changed.
    let other = folder.path("other.sqlite");
    for (from, to) in [(STORE, "sqlite:other.sqlite"), ("sqlite:other.sqlite", "sqlite:new.sqlite")] {
        let raw = rusqlite::Connection::open(&other).unwrap();
        raw.execute_batch(
            "CREATE TABLE IF NOT EXISTS setting (name TEXT PRIMARY KEY, value TEXT);
             INSERT OR IGNORE INTO setting VALUES ('schema_version', '4711')",
        )
        .unwrap();
        drop(raw);
        folder.copy(from, to).refused(1, "the schema of sqlite:other.sqlite is version 4711");
    }
    assert!(!folder.path("new.sqlite").exists());
}

/// A copy that is under way.
struct Copying {
    child: Child,
    lines: Lines<BufReader<ChildStderr>>,
}

impl Copying {
    fn start(folder: &Folder, to: &str) -> Self {
        let mut command = folder.command(&["copy", "--from", STORE, "--to", to]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        Self { child, lines }
    }

    /// Waits until a table is copied; not if that was before.
    fn wait_for(&mut self, table: &str) {
        let told = format!("{table}: ");
        self.lines.by_ref().map_while(Result::ok).find(|line| line.starts_with(&told));
    }

    /// What it says until its end, and how it ends.
    fn end(mut self) -> (Option<i32>, String) {
        let said: Vec<_> = self.lines.by_ref().map_while(Result::ok).collect();
        (self.child.wait().unwrap().code(), said.join("\n"))
    }
}

#[test]
fn a_copy_that_is_killed_goes_on() {
    let (mut folder, _) = with_store();
    let want = folder.copied(STORE, "sqlite:want.sqlite");
    let target = folder.target("there.sqlite");
    let mut is_done = false;
    for table in ["business", "module", "host_module", "service_instance", "process", "audit", "event"] {
        let mut copying = Copying::start(&folder, &target);
        copying.wait_for(table);
        copying.child.kill().unwrap();
        let (code, said) = copying.end();
        // It may have been faster.
        is_done = code == Some(0);
        if is_done {
            break;
        }
        assert_eq!(code, None, "{said}");
        for args in [&["serve", "--listen", "127.0.0.1:0"][..], &["check"], &["app", "list"], &["init"]] {
            folder.run(&[args, &["--store", &target]].concat()).refused(1, "unfinished copy");
        }
        folder.copy(&target, "sqlite:new.sqlite").refused(1, "unfinished copy");
    }
    if !is_done {
        assert_eq!(folder.copied(STORE, &target), want);
    }
    folder.check(&target);
    assert_eq!(folder.copied(&target, "sqlite:back.sqlite"), want);
}

#[test]
fn a_copy_ends_when_it_is_asked_to() {
    let (mut folder, _) = with_store();
    // One may be done before it is asked.
    let target = (0..5).find_map(|n| {
        let target = folder.target(&format!("there{n}.sqlite"));
        let mut copying = Copying::start(&folder, &target);
        copying.wait_for("business");
        let id = copying.child.id().to_string();
        assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
        let (code, said) = copying.end();
        if code == Some(0) {
            return None;
        }
        assert_eq!(code, Some(1), "{said}");
        assert!(said.ends_with("error: stopped; run the same command again to go on"), "{said}");
        Some(target)
    });
    let target = target.expect("one of five copies is stopped");
    folder.run(&["check", "--store", &target]).refused(1, "unfinished copy");
    folder.copied(STORE, &target);
    folder.check(&target);
}

#[test]
fn differences_are_shown_and_nobody_may_use_the_copy() {
    let (folder, _) = with_store();
    // One row of what is there already is changed while the copy is interrupted.
    let mut copying = Copying::start(&folder, "sqlite:there.sqlite");
    copying.wait_for("process");
    copying.child.kill().unwrap();
    copying.end();
    let raw = rusqlite::Connection::open(folder.path("there.sqlite")).unwrap();
    assert_eq!(raw.execute("UPDATE process SET func_name = 'x' WHERE id = 7", []).unwrap(), 1);
    drop(raw);
    let ended = folder.copy(STORE, "sqlite:there.sqlite");
    assert_eq!(ended.code, Some(3), "{ended:?}");
    let different: Vec<_> = ended.out.lines().filter(|line| line.ends_with("DIFFERENT")).collect();
    assert!(matches!(different[..], [line] if line.starts_with("process ")), "{ended:?}");
    folder.run(&["check", "--store", "sqlite:there.sqlite"]).refused(1, "unfinished copy");
}
