//! What clusters do when they are stopped, killed, followed and promoted, and who may connect to them.

use postgres::{Client, NoTls};
use rollcall_testbed::{Cluster, Settings, Stop, Tls};
use std::process::Command;

fn connect(cluster: &Cluster) -> Client {
    Client::connect(&cluster.url("notes"), NoTls).unwrap()
}

/// A cluster with a database that holds one note.
fn with_a_note(settings: Settings) -> Cluster {
    let cluster = Cluster::start(settings);
    cluster.create_database("notes", None);
    connect(&cluster).batch_execute("CREATE TABLE note (text TEXT); INSERT INTO note VALUES ('first')").unwrap();
    cluster
}

fn notes(cluster: &Cluster) -> Vec<String> {
    let rows = connect(cluster).query("SELECT text FROM note ORDER BY text", &[]).unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

fn add(cluster: &Cluster, text: &str) {
    connect(cluster).execute("INSERT INTO note VALUES ($1)", &[&text]).unwrap();
}

#[test]
fn data_is_there_again_after_every_sort_of_end() {
    let cluster = with_a_note(Settings::default());
    let port = cluster.port();
    let ends: [&dyn Fn(); 3] = [&|| cluster.stop(Stop::Fast), &|| cluster.stop(Stop::Immediate), &|| cluster.kill()];
    for end in ends {
        let mut open = connect(&cluster);
        end();
        assert!(open.batch_execute("SELECT 1").is_err());
        assert!(Client::connect(&cluster.url("notes"), NoTls).is_err());
        // Ends what has ended already.
        cluster.stop(Stop::Fast);
        cluster.kill();
        cluster.start_again();
        assert_eq!(notes(&cluster), ["first"]);
    }
    assert_eq!(cluster.port(), port);
}

#[test]
fn a_database_is_copied_and_removed_under_its_users() {
    let cluster = with_a_note(Settings::default());
    let url = cluster.create_database("copy", Some("notes"));
    let mut client = Client::connect(&url, NoTls).unwrap();
    assert_eq!(client.query("SELECT text FROM note", &[]).unwrap().len(), 1);
    cluster.drop_database("copy");
    assert!(client.batch_execute("SELECT 1").is_err());
    assert_eq!(cluster.sql("SELECT count(*) FROM pg_database WHERE datname = 'copy'").as_deref(), Some("0"));
}

#[test]
fn settings_reach_the_server() {
    let extra = vec![("statement_timeout".to_owned(), "1234ms".to_owned())];
    let cluster = Cluster::start(Settings { durable: true, max_connections: 20, extra, ..Settings::default() });
    let wanted = [
        ("fsync", "on"),
        ("full_page_writes", "on"),
        ("synchronous_commit", "on"),
        ("max_connections", "20"),
        ("statement_timeout", "1234ms"),
        ("server_encoding", "UTF8"),
        ("lc_messages", "C"),
    ];
    for (name, value) in wanted {
        assert_eq!(cluster.sql(&format!("SHOW {name}")).as_deref(), Some(value), "{name}");
    }
    assert_eq!(cluster.sql("SELECT datcollate FROM pg_database WHERE datname = 'template1'").as_deref(), Some("C"));
    cluster.stop(Stop::Fast);
    cluster.start_again();
    assert_eq!(cluster.sql("SHOW max_connections").as_deref(), Some("20"));
}

#[test]
fn a_server_that_does_not_start_shows_its_log() {
    let extra = vec![("no_such_setting".to_owned(), "1".to_owned())];
    let failed = Cluster::try_start(Settings { extra, ..Settings::default() }).unwrap_err().to_string();
    assert!(failed.contains("unrecognized configuration parameter \"no_such_setting\""), "{failed}");
}

#[test]
fn a_standby_follows_and_takes_over() {
    let primary = with_a_note(Settings::default());
    let standby = primary.standby();
    assert_eq!(notes(&standby), ["first"]);
    add(&primary, "second");
    primary.wait_for(&standby);
    assert_eq!(notes(&standby), ["first", "second"]);
    let refused = connect(&standby).batch_execute("INSERT INTO note VALUES ('x')").unwrap_err();
    assert_eq!(refused.code(), Some(&postgres::error::SqlState::READ_ONLY_SQL_TRANSACTION));

    primary.make_synchronous();
    add(&primary, "third");
    primary.kill();
    standby.promote();
    assert_eq!(notes(&standby), ["first", "second", "third"]);
    add(&standby, "zeroth");

    // What takes over can be followed in turn, and outlives its predecessor.
    drop(primary);
    let next = standby.standby();
    standby.make_synchronous();
    add(&standby, "zeroth and a half");
    standby.wait_for(&next);
    assert_eq!(notes(&next).len(), 5);
}

#[test]
fn without_its_standby_a_synchronous_commit_waits() {
    let primary = with_a_note(Settings::default());
    let standby = primary.standby();
    primary.make_synchronous();
    standby.kill();
    let mut client = connect(&primary);
    let cancel = client.cancel_token();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| client.batch_execute("INSERT INTO note VALUES ('second')"));
        let waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
        while primary.sql(waits).as_deref() != Some("1") {
            assert!(!waiting.is_finished());
        }
        cancel.cancel_query(NoTls).unwrap();
        // A warning, not an error: it is committed here, and may not be there.
        waiting.join().unwrap().unwrap();
    });
    standby.start_again();
    primary.wait_for(&standby);
    assert_eq!(notes(&standby), ["first", "second"]);
}

#[test]
fn the_user_needs_the_password() {
    let password = Some("it's: 100% /sécret?".to_owned());
    let cluster = with_a_note(Settings { password, ..Settings::default() });
    assert_eq!(notes(&cluster), ["first"]);
    let without = format!("postgres://rollcall@{}/notes", cluster.address());
    assert!(Client::connect(&without, NoTls).is_err());
    let wrong = format!("postgres://rollcall:wrong@{}/notes", cluster.address());
    assert!(Client::connect(&wrong, NoTls).is_err());
    // Not over TCP, whatever the method.
    let superuser = format!("postgres://postgres@{}/notes", cluster.address());
    assert!(Client::connect(&superuser, NoTls).is_err());
}

#[test]
fn a_certificate_is_shown_and_holds() {
    let folder = tempfile::tempdir().unwrap();
    let tls = Tls::make(folder.path());
    let cluster = Cluster::start(Settings { tls: Some(tls.clone()), ..Settings::default() });
    let url = cluster.create_database("notes", None);
    assert!(Client::connect(&url, NoTls).is_err());
    let told = Command::new(cluster.programs().join("psql"))
        .arg(format!("{url}?sslmode=verify-full&sslrootcert={}", tls.certificate.display()))
        .args(["-Atc", "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&told.stdout).trim(), "t", "{}", String::from_utf8_lossy(&told.stderr));

    let optional = Tls { is_required: false, ..tls };
    let cluster = Cluster::start(Settings { tls: Some(optional), ..Settings::default() });
    Client::connect(&cluster.url("postgres"), NoTls).unwrap();
}
