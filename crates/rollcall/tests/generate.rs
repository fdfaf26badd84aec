//! `rollcall generate`: it makes as much as it is asked for, again the same from the same seed, beside what is there already; and what
//! it has made is sound, wherever it is interrupted.

#![expect(clippy::unwrap_used, reason = "a test ends with its first error")]

mod crash_support;

use crash_support::{Cell, Home, Look, Server, check, run};
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Lines};
use std::process::{Child, ChildStderr, Command, Stdio};

/// Runs it to its end and answers its report.
fn generate(store: &str, arguments: &[&str]) -> Value {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rollcall"));
    command.env_clear().args(["generate", "--json", "--store", store]).args(arguments);
    let ended = command.stdin(Stdio::null()).output().unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    serde_json::from_slice(&ended.stdout).unwrap()
}

/// How many rows a table has.
fn count(look: &Look, table: &str) -> i64 {
    look.number(&format!("SELECT count(*) FROM {table}"))
}

fn assert_sound(store: &str) {
    let (is_sound, said) = check(store);
    assert!(is_sound, "{said}");
}

#[test]
fn it_makes_as_much_as_it_is_asked_for() {
    let home = Home::new();
    let arguments = ["--processes", "2000", "--businesses", "3", "--processes-per-instance", "4"];
    let made = generate(&home.store(), &arguments);
    assert_sound(&home.store());
    assert_eq!(made["complete"], true);
    assert_eq!((&made["businesses"], &made["processes"]), (&json!(3), &json!(2000)));
    assert_eq!(made["service_instances"], 500);
    let look = home.look();
    assert_eq!(count(&look, "process"), 2000);
    assert_eq!(count(&look, "service_instance"), 500);
    assert_eq!(Some(count(&look, "host")), made["hosts"].as_i64());
    // Two businesses every store has. Each of the new ones has an equal part.
    assert_eq!(count(&look, "business"), 5);
    assert_eq!(look.rows("SELECT business_id FROM process GROUP BY business_id").len(), 3);
    assert_eq!(
        look.rows("SELECT service_instance_id FROM process GROUP BY service_instance_id HAVING count(*) <> 4").len(),
        0
    );
    // What was made has an event each, and instances, hosts, sets, modules and businesses an entry in the audit.
    assert_eq!(look.number("SELECT count(*) FROM event WHERE kind = 9"), 2000);
    assert!(look.number("SELECT count(*) FROM event WHERE kind = 100") >= 500);
    assert!(count(&look, "audit") >= 500);
    assert!(look.number("SELECT count(*) FROM service_instance WHERE labels IS NOT NULL") > 0);
}

#[test]
fn one_process_is_an_estate_too() {
    let home = Home::new();
    let made = generate(&home.store(), &["--processes", "1", "--businesses", "2", "--processes-per-instance", "100"]);
    assert_eq!((&made["businesses"], &made["sets"], &made["hosts"]), (&json!(2), &json!(1), &json!(1)));
    assert_eq!((&made["service_instances"], &made["processes"]), (&json!(1), &json!(1)));
    let made = generate(&home.store(), &["--processes", "250", "--businesses", "1", "--processes-per-instance", "100"]);
    assert_eq!((&made["service_instances"], &made["processes"]), (&json!(3), &json!(250)));
    assert_sound(&home.store());
}

/// Everything that does not tell a time.
fn estate(look: &Look) -> Vec<Vec<Vec<Cell>>> {
    let statements = [
        "SELECT id, name FROM business ORDER BY id",
        "SELECT id, business_id, name FROM topology_set ORDER BY id",
        "SELECT id, set_id, name FROM module ORDER BY id",
        "SELECT id, inner_ip FROM host ORDER BY id",
        "SELECT host_id, module_id FROM host_module ORDER BY host_id, module_id",
        "SELECT id, module_id, host_id, name, labels FROM service_instance ORDER BY id",
        "SELECT id, service_instance_id, name, func_name, start_param FROM process ORDER BY id",
    ];
    statements.into_iter().map(|sql| look.rows(sql)).collect()
}

#[test]
fn the_same_seed_makes_the_same_estate() {
    let made = |seed: &str| {
        let home = Home::new();
        generate(&home.store(), &["--processes", "1500", "--seed", seed]);
        estate(&home.look())
    };
    let first = made("7");
    assert_eq!(made("7"), first);
    assert_ne!(made("8"), first);
}

#[test]
fn it_goes_beside_what_is_there_and_clients_see_it() {
    let home = Home::new();
    generate(&home.store(), &["--processes", "300"]);
    generate(&home.store(), &["--processes", "300"]);
    assert_sound(&home.store());
    assert_eq!(count(&home.look(), "process"), 600);
    let mut server = Server::start(&home.store());
    let mut client = server.client();
    let found = client.post("/biz/search/0", &json!({"fields": ["bk_biz_id", "bk_biz_name"]})).unwrap().data();
    let named = |name: &str| {
        let mut found = found["info"].as_array().unwrap().iter();
        found.find(|business| business["bk_biz_name"] == name).map(|business| business["bk_biz_id"].as_i64().unwrap())
    };
    // Names that were taken are passed over.
    for name in ["Payments", "Catalogue"] {
        let business = named(name).unwrap_or_else(|| panic!("no {name} in {found}"));
        let body = json!({"bk_biz_id": business, "page": {"start": 0, "limit": 10}});
        let instances = client.post("/findmany/proc/service_instance", &body).unwrap().data();
        assert_eq!(instances["count"], 20, "{name}");
        let instance = &instances["info"][0];
        let body = json!({"bk_biz_id": business, "service_instance_id": instance["id"]});
        let processes = client.post("/findmany/proc/process_instance", &body).unwrap().data();
        let service = processes[0]["property"]["bk_process_name"].as_str().unwrap();
        let port = processes[0]["property"]["bind_info"][0]["port"].as_str().unwrap();
        let address = processes[0]["property"]["bind_info"][0]["ip"].as_str().unwrap();
        assert_eq!(instance["name"], format!("{address}_{service}_{port}"));
        assert_eq!(processes.as_array().unwrap().len(), 3);
    }
    drop(client);
    server.stop();
}

#[test]
fn sizes_that_make_no_sense_are_refused() {
    for (name, value) in [("--processes", "0"), ("--businesses", "0"), ("--processes-per-instance", "101")] {
        let home = Home::new();
        let (code, said) = run(&["generate", "--store", &home.store(), name, value]);
        assert_eq!(code, 2, "{said}");
        assert!(said.contains(name), "{said}");
    }
}

/// One that is under way.
struct Generating {
    child: Child,
    lines: Lines<BufReader<ChildStderr>>,
}

impl Generating {
    /// Starts one that takes long, and waits until something is there.
    fn start(store: &str) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rollcall"));
        command.env_clear().args(["generate", "--processes", "10000000", "--store", store]);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        assert!(lines.by_ref().map_while(Result::ok).any(|line| line.contains(" of 10000000 processes")));
        Self { child, lines }
    }

    /// How it ends, and what it says at last.
    fn end(mut self) -> (Option<i32>, String) {
        let last = self.lines.by_ref().map_while(Result::ok).last();
        (self.child.wait().unwrap().code(), last.unwrap_or_default())
    }
}

#[test]
fn one_that_is_interrupted_leaves_a_sound_store() {
    let home = Home::new();
    let generating = Generating::start(&home.store());
    let id = generating.child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    let (code, said) = generating.end();
    assert_eq!(code, Some(1), "{said}");
    assert!(said.starts_with("error: stopped with ") && said.ends_with("the store is sound"), "{said}");
    assert_sound(&home.store());

    let mut generating = Generating::start(&home.store());
    generating.child.kill().unwrap();
    assert_eq!(generating.end().0, None);
    home.look().wait_for_the_dead();
    assert_sound(&home.store());
    generate(&home.store(), &["--processes", "100"]);
    assert_sound(&home.store());
}
