//! The commands, as a person or a script runs them: the built program, its output, its exit codes.

#![expect(clippy::unwrap_used, reason = "a test ends with its first error")]

use serde_json::Value;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// A folder of its own with the program in it.
struct Folder(tempfile::TempDir);

/// How a command ended.
#[derive(Debug)]
struct Ended {
    code: i32,
    out: String,
    err: String,
}

impl Ended {
    fn ok(self) -> String {
        assert_eq!(self.code, 0, "{self:?}");
        self.out
    }

    fn json(self) -> Value {
        serde_json::from_str(&self.ok()).unwrap()
    }

    /// Asserts that it ended with this code and said this on standard error, and nothing on standard output.
    fn refused(self, code: i32, what: &str) {
        assert_eq!(self.code, code, "{self:?}");
        assert!(self.err.contains(what), "{self:?}");
        assert_eq!(self.out, "");
    }
}

impl Folder {
    /// A folder with nothing in it.
    fn empty() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// A folder with a store in it, and the administrator's token.
    fn with_store() -> (Self, String) {
        let folder = Self::empty();
        let made = folder.run(&["init", "--json"]).json();
        let token = made["token"].as_str().unwrap().to_owned();
        (folder, token)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rollcall"));
        command.args(args).current_dir(self.0.path()).env_clear();
        command
    }

    fn run(&self, args: &[&str]) -> Ended {
        self.run_with(args, "")
    }

    fn run_with(&self, args: &[&str], input: &str) -> Ended {
        let mut command = self.command(args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // The program may end without reading.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        let ended = child.wait_with_output().unwrap();
        Ended {
            code: ended.status.code().unwrap(),
            out: String::from_utf8(ended.stdout).unwrap(),
            err: String::from_utf8(ended.stderr).unwrap(),
        }
    }

    /// Whether a text stands anywhere in the store's files.
    fn store_holds(&self, text: &str) -> bool {
        ["rollcall.sqlite", "rollcall.sqlite-wal"].iter().any(|name| {
            let bytes = std::fs::read(self.path(name)).unwrap_or_default();
            bytes.windows(text.len()).any(|part| part == text.as_bytes())
        })
    }
}

/// A server that is told to stop when the test ends.
struct Running {
    child: Child,
    address: SocketAddr,
    /// Whatever it says after its address.
    rest: Option<std::thread::JoinHandle<String>>,
}

impl Running {
    fn start(folder: &Folder, args: &[&str]) -> Self {
        let mut command = folder.command(&["serve", "--listen", "127.0.0.1:0", "--log-format", "json"]);
        let mut child = command.args(args).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap());
        let address = loop {
            let mut line = String::new();
            assert!(lines.read_line(&mut line).unwrap() > 0, "the server ended");
            let line: Value = serde_json::from_str(&line).unwrap();
            if let Some(address) = line["address"].as_str() {
                break address.parse().unwrap();
            }
        };
        let rest = std::thread::spawn(move || {
            let mut rest = String::new();
            lines.read_to_string(&mut rest).unwrap();
            rest
        });
        Self { child, address, rest: Some(rest) }
    }

    /// The body of the answer to a request at the ESB door.
    fn call(&self, operation: &str, body: &Value) -> Value {
        self.ask(&format!("POST /api/c/compapi/v2/cc/{operation}/"), "", body)
    }

    /// As [`Self::call`], at the native door of a demo.
    fn call_natively(&self, target: &str, body: &Value) -> Value {
        self.ask(target, "BK_User: admin\r\n", body)
    }

    fn ask(&self, target: &str, headers: &str, body: &Value) -> Value {
        let body = body.to_string();
        let mut stream = TcpStream::connect(self.address).unwrap();
        write!(
            stream,
            "{target} HTTP/1.1\r\nHost: x\r\n{headers}Connection: close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
    }

    /// Asks again until the answer's code is this: changes beside a server count within a second.
    fn until_code(&self, operation: &str, body: &Value, code: i64) {
        let begun = std::time::Instant::now();
        while self.call(operation, body)["code"] != code {
            assert!(begun.elapsed().as_secs() < 10, "{}", self.call(operation, body));
        }
    }

    /// Stops it as a service manager does; its log lines since the start.
    fn stop(mut self) -> String {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        assert!(self.child.wait().unwrap().success());
        self.rest.take().unwrap().join().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn search(secret: &str, token: &str) -> Value {
    serde_json::json!({"bk_app_code": "billing", "bk_app_secret": secret, "bk_token": token})
}

#[test]
fn the_first_administrator_is_made_once() {
    let (folder, token) = Folder::with_store();
    assert_eq!(token.len(), 64);
    assert!(!folder.store_holds(&token));
    folder.run(&["init"]).refused(1, "has an administrator already (admin)");
    let second = folder.run(&["init", "eve", "--force", "--json"]).json();
    assert_eq!(second["user"], "eve");
    let grants = folder.run(&["grant", "list", "--json"]).json();
    let users: Vec<_> = grants.as_array().unwrap().iter().map(|grant| &grant["user"]).collect();
    assert_eq!(users, ["admin", "eve"]);
}

#[test]
fn apps_are_made_listed_and_revoked() {
    let (folder, _) = Folder::with_store();
    let made = folder.run(&["app", "create", "demo", "--login-free", "--json"]).json();
    let secret = made["secret"].as_str().unwrap();
    assert_eq!((made["app"].as_str(), secret.len()), (Some("demo"), 64));
    assert!(!folder.store_holds(secret));

    let given = folder.run_with(&["app", "create", "billing", "--secret-stdin", "--json"], "an old secret\n");
    assert!(!given.err.contains("an old secret"));
    assert_eq!(given.json().get("secret"), None);
    assert!(!folder.store_holds("an old secret"));
    folder.run(&["app", "create", "demo"]).refused(1, "there is an app demo already");
    folder.run(&["app", "create", "no spaces"]).refused(1, "an app code has");
    folder.run_with(&["app", "create", "x", "--secret-stdin"], "\n").refused(1, "a secret has");

    let more = folder.run(&["app", "add-secret", "demo", "--json"]).json();
    let apps = folder.run(&["app", "list", "--json"]).json();
    assert_eq!(apps[1]["app"], "demo");
    assert_eq!((&apps[1]["login_free"], &apps[0]["login_free"]), (&Value::from(true), &Value::from(false)));
    assert_eq!(apps[1]["secrets"][1]["id"], more["secret_id"]);
    let table = folder.run(&["app", "list"]).ok();
    assert!(table.starts_with("APP      LOGIN-FREE  SECRETS  CREATED\nbilling  no          2        "), "{table}");
    assert!(!table.contains(secret));

    let id = made["secret_id"].to_string();
    folder.run(&["app", "revoke-secret", "billing", &id, "--yes"]).refused(1, "app billing has no secret");
    folder.run(&["app", "revoke-secret", "demo", &id, "--yes"]).ok();
    folder.run(&["app", "revoke", "demo"]).refused(2, "--yes");
    folder.run(&["app", "revoke", "demo", "--yes"]).ok();
    folder.run(&["app", "revoke", "demo", "--yes"]).refused(1, "there is no app demo");
    assert_eq!(folder.run(&["app", "list", "--json"]).json().as_array().unwrap().len(), 1);
}

#[test]
fn tokens_are_made_listed_and_revoked() {
    let (folder, _) = Folder::with_store();
    let made = folder.run(&["token", "create", "ann", "--expires", "30", "--json"]).json();
    let token = made["token"].as_str().unwrap();
    assert!(!folder.store_holds(token));
    folder.run(&["token", "create", "ann", "--expires", "0"]).refused(2, "--expires");
    let tokens = folder.run(&["token", "list", "--json"]).json();
    assert_eq!((&tokens[0]["user"], &tokens[0]["expires"]), (&Value::from("admin"), &Value::Null));
    assert_eq!((&tokens[1]["id"], &tokens[1]["expires"]), (&made["id"], &made["expires"]));
    assert_eq!(tokens[1].get("token"), None);
    let id = made["id"].to_string();
    folder.run(&["token", "revoke", &id, "--yes"]).ok();
    folder.run(&["token", "revoke", &id, "--yes"]).refused(1, "there is no token");
}

#[test]
fn grants_are_made_listed_and_revoked() {
    let (folder, _) = Folder::with_store();
    let actions = folder.run(&["grant", "actions", "--json"]).json();
    let named: Vec<_> = actions.as_array().unwrap().iter().filter_map(|action| action["action"].as_str()).collect();
    assert!(named.contains(&"edit_biz_service_instance") && named.contains(&"create_business"));

    let create = |args: &[&str]| folder.run(&[&["grant", "create", "ann", "--json"], args].concat());
    let made = create(&["edit_biz_service_instance", "--business", "2"]).json();
    assert_eq!((&made["business"], &made["action"]), (&Value::from(2), &Value::from("edit_biz_service_instance")));
    assert_eq!(create(&["edit_biz_service_instance", "--business", "2"]).json(), made);
    assert_eq!(create(&["create_business", "--all"]).json()["business"], Value::Null);
    create(&["edit_biz_service_instance"]).refused(2, "--business");
    create(&["edit_biz_service_instance", "--business", "2", "--all"]).refused(2, "cannot be used");
    create(&["edit_everything", "--all"]).refused(2, "edit_biz_service_instance");
    create(&["create_business", "--business", "2"]).refused(1, "not a right on one business");
    create(&["edit_biz_service_instance", "--business", "77"]).refused(1, "there is no business 77");

    folder.run(&["grant", "admin", "eve"]).ok();
    let table = folder.run(&["grant", "list"]).ok();
    assert!(table.contains("eve    administrator              everything"), "{table}");
    assert!(table.contains("ann    edit_biz_service_instance  business 2"), "{table}");
    let id = made["id"].to_string();
    folder.run(&["grant", "revoke", &id]).refused(2, "ann will lose the right edit_biz_service_instance on business 2");
    folder.run(&["grant", "revoke", &id, "--yes"]).ok();
    folder.run(&["grant", "revoke", &id, "--yes"]).refused(1, "there is no grant");
}

#[test]
fn unsafe_and_unknown_settings_are_refused() {
    let folder = Folder::empty();
    let serve = |args: &[&str]| folder.run(&[&["serve"], args].concat());
    serve(&["--listen", "0.0.0.0:0"]).refused(2, "secrets would travel in clear");
    serve(&["--dev", "--listen", "0.0.0.0:0"]).refused(2, "refused on 0.0.0.0:0");
    serve(&["--dev", "--listen", "10.0.0.1:0", "--behind-tls-proxy"]).refused(2, "refused on 10.0.0.1:0");
    serve(&["--dev", "--behind-tls-proxy"]).refused(2, "behind a proxy that is everybody");
    serve(&["--listen", "here"]).refused(2, "--listen: invalid socket address");
    serve(&["--store", "mysql:x"]).refused(2, "sqlite:FILE");
    std::fs::write(folder.path("c.toml"), "lissten = 1").unwrap();
    serve(&["--config", "c.toml"]).refused(2, "c.toml: line 1: unknown field `lissten`");
    serve(&["--config", "absent.toml"]).refused(2, "absent.toml");
    folder.run(&["app", "list"]).refused(1, "there is no store rollcall.sqlite; `rollcall init` makes one");
    // None of these has made a store on its way.
    assert_eq!(std::fs::read_dir(folder.0.path()).unwrap().count(), 1);

    let printed = serve(&["--print-config"]).ok();
    std::fs::write(folder.path("c.toml"), printed).unwrap();
    folder.run(&["init", "--config", "c.toml"]).ok();
    let help = folder.run(&["--help"]).ok();
    assert!(help.contains("3 problems found"), "{help}");
}

#[test]
fn commands_work_beside_a_running_server() {
    let (folder, token) = Folder::with_store();
    let server = Running::start(&folder, &[]);
    let app = folder.run(&["app", "create", "billing", "--json"]).json();
    let secret = app["secret"].as_str().unwrap();
    server.until_code("search_business", &search(secret, &token), 0);

    // A backup of a live store holds what was there, and comes back.
    folder.run(&["backup", "copy.sqlite"]).ok();
    folder.run(&["backup", "copy.sqlite"]).refused(1, "exists already");
    folder.run(&["restore", "copy.sqlite", "--yes"]).refused(1, "in use");
    folder.run(&["app", "revoke", "billing", "--yes"]).ok();
    server.until_code("search_business", &search(secret, &token), 1_306_000);
    folder.run(&["check"]).ok();
    let log = server.stop();
    assert!(log.contains("\"stopped\""), "{log}");
    assert!(!log.contains(secret) && !log.contains(&token), "{log}");

    folder.run(&["restore", "copy.sqlite"]).refused(2, "will be replaced by what is in copy.sqlite");
    folder.run(&["restore", "copy.sqlite", "--yes"]).ok();
    let server = Running::start(&folder, &[]);
    server.until_code("search_business", &search(secret, &token), 0);
    server.stop();
    let check = folder.run(&["check", "--json", "--store", "sqlite:copy.sqlite"]).json();
    assert_eq!((&check["ok"], &check["findings"]), (&Value::from(true), &Value::Array(vec![])));
}

#[test]
fn a_check_finds_damage_and_says_so() {
    let (folder, _) = Folder::with_store();
    let raw = rusqlite::Connection::open(folder.path("rollcall.sqlite")).unwrap();
    raw.execute("UPDATE module SET set_id = 99 WHERE id = 2", []).unwrap();
    drop(raw);
    let found = folder.run(&["check"]);
    assert_eq!(found.code, 3, "{found:?}");
    assert!(found.out.contains("module    2   its set does not exist"), "{found:?}");
    let found = folder.run(&["check", "--json"]);
    assert_eq!(found.code, 3);
    let report: Value = serde_json::from_str(&found.out).unwrap();
    assert_eq!(report["ok"], false);
    let findings = report["findings"].as_array().unwrap();
    assert!(findings.iter().any(|f| f["table"] == "module" && f["id"] == 2 && f["what"] == "its set does not exist"));

    // Damage of the file itself.
    let file = folder.path("rollcall.sqlite");
    let mut bytes = std::fs::read(&file).unwrap();
    for page in bytes.chunks_mut(4096).skip(1) {
        page[..64].fill(0xa5);
    }
    std::fs::write(&file, bytes).unwrap();
    let found = folder.run(&["check"]);
    assert_eq!(found.code, 3, "{found:?}");
    assert!(found.out.contains("(file)"), "{found:?}");
    folder.run(&["restore", "rollcall.sqlite", "--store", "sqlite:other.sqlite"]).refused(1, "");
    assert!(!folder.path("other.sqlite").exists());
}

#[test]
fn the_openapi_document_is_printed() {
    let document = Folder::empty().run(&["openapi"]).json();
    assert_eq!(document["openapi"], "3.1.0");
    let paths = document["paths"].as_object().unwrap();
    assert!(paths.keys().any(|path| path.contains("create_process_instance")));
}

#[test]
fn the_demo_can_be_used_at_every_door() {
    let folder = Folder::empty();
    let mut command = folder.command(&["demo", "--json", "--port", "0"]);
    command.env("TMPDIR", folder.0.path());
    let child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut running = Running { child, address: SocketAddr::from(([127, 0, 0, 1], 0)), rest: None };
    let mut text = String::new();
    let mut lines = BufReader::new(running.child.stdout.take().unwrap()).lines();
    while !text.ends_with("\n}\n") {
        text = text + &lines.next().unwrap().unwrap() + "\n";
    }
    let demo: Value = serde_json::from_str(&text).unwrap();
    running.address = demo["url"].as_str().unwrap().trim_start_matches("http://").parse().unwrap();
    let body = serde_json::json!({
        "bk_app_code": demo["bk_app_code"], "bk_app_secret": demo["bk_app_secret"], "bk_username": demo["bk_username"],
        "bk_biz_id": demo["bk_biz_id"], "service_instance_id": demo["service_instance_id"],
    });
    let answer = running.call("list_process_instance", &body);
    assert_eq!(answer["data"][0]["property"]["bk_process_name"], "nginx", "{answer}");
    let synchronization = |try_only: bool| {
        let body = serde_json::json!({
            "bk_biz_id": demo["bk_biz_id"], "bk_module_ids": [demo["following_module_id"]],
            "service_template_id": demo["service_template_id"], "dry_run": try_only,
        });
        running.call_natively("PUT /api/v3/update/proc/service_instance/sync", &body)["data"].clone()
    };
    let tried = synchronization(true);
    let port = |change: &Value, state: &str| change["fields"][0][state][0]["port"].clone();
    let ports: Vec<_> =
        tried["changes"].as_array().unwrap().iter().map(|c| (port(c, "before"), port(c, "after"))).collect();
    assert_eq!(ports, [("6379".into(), "6380".into()), ("6379".into(), "6380".into())], "{tried}");
    assert_eq!(synchronization(false), Value::Null);
    let begun = std::time::Instant::now();
    while synchronization(true)["changes"] != serde_json::json!([]) {
        assert!(begun.elapsed().as_secs() < 60);
    }
    let store = std::fs::read_dir(folder.0.path()).unwrap().next().unwrap().unwrap().path();
    let store = format!("sqlite:{}", store.join("demo.sqlite").display());
    folder.run(&["check", "--store", &store]).ok();
    running.rest = Some(std::thread::spawn(String::new));
    running.stop();
    // Nothing is kept.
    assert_eq!(std::fs::read_dir(folder.0.path()).unwrap().count(), 0);
}
