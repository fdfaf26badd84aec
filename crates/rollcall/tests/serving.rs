//! The server as an operator sees it: what it logs and what it never does, how it stops.

use serde_json::json;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

/// A server that was started, and everything it has logged.
struct Serving {
    child: Child,
    address: SocketAddr,
    log: Receiver<String>,
}

impl Serving {
    fn start(folder: &Path, args: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rollcall"));
        command.current_dir(folder).env_clear().args(["serve", "--listen", "127.0.0.1:0"]).args(args);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (tell, log) = channel();
        let (out, err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        for stream in [Box::new(out) as Box<dyn Read + Send>, Box::new(err)] {
            let tell = tell.clone();
            std::thread::spawn(move || {
                for line in BufReader::new(stream).lines().map_while(Result::ok) {
                    let _ = tell.send(line);
                }
            });
        }
        let address = log.iter().find_map(|line| {
            let at = line.split("http://").nth(1)?;
            at.split(|c: char| !(c.is_ascii_digit() || c == '.' || c == ':')).next()?.parse().ok()
        });
        Self { child, address: address.unwrap(), log }
    }

    fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).unwrap()
    }

    fn send(&self, request: &str) -> String {
        let mut stream = self.connect();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn post(&self, path: &str, headers: &str, body: &str) -> String {
        let length = body.len();
        self.send(&format!(
            "POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}Content-Length: {length}\r\n\r\n{body}"
        ))
    }

    /// Asks it to stop and gives its exit code and the rest of its log.
    fn stop(mut self) -> (Option<i32>, Vec<String>) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        let code = self.child.wait().unwrap().code();
        (code, self.log.iter().collect())
    }
}

fn run(folder: &Path, args: &[&str], input: &str) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rollcall"));
    command.current_dir(folder).env_clear().args(args).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let ended = child.wait_with_output().unwrap();
    assert!(ended.status.success());
    String::from_utf8(ended.stdout).unwrap()
}

/// `gateway G32`: whatever is sent wherever, no secret reaches the log, at the most talkative level.
#[test]
fn no_secret_is_ever_logged() {
    let folder = tempfile::tempdir().unwrap();
    let made: serde_json::Value = serde_json::from_str(&run(folder.path(), &["init", "--json"], "")).unwrap();
    let token = made["token"].as_str().unwrap().to_owned();
    let secret = "the-secret-of-an-app-0123456789";
    run(folder.path(), &["app", "create", "caller", "--secret-stdin", "--login-free"], secret);
    std::fs::write(folder.path().join("rollcall.toml"), "[log]\nlevel = \"trace\"\n").unwrap();
    let server = Serving::start(folder.path(), &["--config", "rollcall.toml"]);
    let wrong = "a-wrong-secret-that-is-secret-too";
    let esb = "/api/c/compapi/v2/cc/create_process_instance/";
    let native = "/api/v3/create/proc/process_instance";
    for secret in [secret, wrong] {
        for user in [json!({"bk_token": token}), json!({"bk_token": wrong}), json!({"bk_username": "ann"})] {
            let mut body =
                json!({"bk_app_code": "caller", "bk_app_secret": secret, "access_token": "", "bk_biz_id": 2});
            body.as_object_mut().unwrap().extend(user.as_object().unwrap().clone());
            let header = format!("X-Bkapi-Authorization: {body}\r\n");
            server.post(esb, "", &body.to_string());
            server.post(esb, "", &body.to_string()[1..]);
            server.post(esb, &header, "{}");
            server.post(&format!("/api/bk-cmdb/prod{native}"), &header, &body.to_string());
            server.post(native, &format!("{header}BK_User: ann\r\nCookie: bk_token={token}\r\n"), &body.to_string());
            let query: Vec<_> =
                body.as_object().unwrap().iter().map(|(k, v)| format!("{k}={}", v.as_str().unwrap_or("2"))).collect();
            for path in [esb, native, "/api/c/compapi/v2/cc/nope/", "/nowhere"] {
                server
                    .send(&format!("GET {path}?{} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", query.join("&")));
            }
        }
    }
    let (code, log) = server.stop();
    assert_eq!(code, Some(0));
    assert!(log.len() > 20, "the level was taken: {} lines", log.len());
    for text in [token.as_str(), secret, wrong] {
        let told: Vec<_> = log.iter().filter(|line| line.contains(text)).collect();
        assert!(told.is_empty(), "{told:?}");
    }
}

/// A refused request is logged once, under the id that its answer carries.
#[test]
fn a_refusal_is_logged_once_with_its_request_id() {
    let folder = tempfile::tempdir().unwrap();
    let server = Serving::start(folder.path(), &["--dev", "--store", "sqlite:dev.sqlite"]);
    let answer =
        server.post("/api/v3/findmany/proc/process_instance", "BK_User: ann\r\nX-Request-ID: find-me-1\r\n", "{");
    assert!(answer.contains("1199000"), "{answer}");
    let (_, log) = server.stop();
    let lines: Vec<_> = log.iter().filter(|line| line.contains("find-me-1")).collect();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("1199000") && lines[0].contains("ann"), "{}", lines[0]);
}

/// Asked to stop, it answers what it has begun to read, takes nothing new and leaves with 0.
#[test]
fn what_was_accepted_is_finished() {
    let folder = tempfile::tempdir().unwrap();
    let server = Serving::start(folder.path(), &["--dev", "--store", "sqlite:dev.sqlite"]);
    let mut busy = server.connect();
    let body = r#"{"bk_biz_name":"last words","bk_biz_maintainer":"ann"}"#;
    let head =
        format!("POST /api/v3/biz/0 HTTP/1.1\r\nHost: x\r\nBK_User: ann\r\nContent-Length: {}\r\n\r\n", body.len());
    busy.write_all(head.as_bytes()).unwrap();
    busy.write_all(&body.as_bytes()[..10]).unwrap();
    // An answer on another connection shows that the server has come round to this one.
    assert!(server.send("GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").contains("200 OK"));
    let address = server.address;
    let pid = server.child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    while TcpStream::connect(address).is_ok() {
        std::thread::yield_now();
    }
    busy.write_all(&body.as_bytes()[10..]).unwrap();
    let mut answer = String::new();
    busy.read_to_string(&mut answer).unwrap();
    assert!(answer.contains("last words"), "{answer}");
    let mut server = server;
    assert_eq!(server.child.wait().unwrap().code(), Some(0));
    let again = Serving::start(folder.path(), &["--dev", "--store", "sqlite:dev.sqlite"]);
    let found = again.post("/api/v3/biz/search/0", "BK_User: ann\r\n", r#"{"condition":{"bk_biz_name":"last words"}}"#);
    assert!(found.contains("\"count\":1"), "{found}");
    again.stop();
}
