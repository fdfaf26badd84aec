//! What comes through the proxy and what does not.

use postgres::{Client, NoTls};
use rollcall_testbed::{Cluster, Proxy, Settings};
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// A server that repeats lines, behind its name. It takes one connection after the other, and tells all that came in each.
fn repeater(name: &'static str) -> (SocketAddr, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (tell, told) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.unwrap();
            let mut reader = BufReader::new(&stream);
            let mut all = String::new();
            loop {
                let start = all.len();
                let count = reader.read_line(&mut all).unwrap_or(0);
                if count == 0 || write!(&stream, "{name}:{}", &all[start..]).is_err() {
                    break;
                }
            }
            let _ = tell.send(all);
        }
    });
    (address, told)
}

/// Sends pieces, a moment apart, and gives the line that comes back, if one does.
fn say(stream: &TcpStream, pieces: &[&str]) -> String {
    stream.set_nodelay(true).unwrap();
    for piece in pieces {
        // The proxy has long begun with the one before when nothing has come back meanwhile.
        if (&*stream).write_all(piece.as_bytes()).is_err() || !hears_nothing(stream) {
            break;
        }
    }
    hear(stream)
}

fn hear(stream: &TcpStream) -> String {
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut line = String::new();
    match BufReader::new(stream).read_line(&mut line) {
        Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => panic!("nothing comes"),
        _ => line,
    }
}

fn hears_nothing(stream: &TcpStream) -> bool {
    stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    stream.peek(&mut [0]).is_err_and(|e| matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut))
}

fn connect(proxy: &Proxy) -> TcpStream {
    TcpStream::connect(proxy.address()).unwrap()
}

#[test]
fn everything_comes_through_until_it_is_cut() {
    let (server, told) = repeater("a");
    let proxy = Proxy::start(server);
    let client = connect(&proxy);
    assert_eq!(say(&client, &["one\n"]), "a:one\n");
    assert_eq!(say(&client, &["t", "wo\n"]), "a:two\n");
    proxy.cut();
    assert_eq!(hear(&client), "");
    assert_eq!(told.recv().unwrap(), "one\ntwo\n");
    assert_eq!(say(&connect(&proxy), &["three\n"]), "a:three\n");
    assert_eq!(told.recv().unwrap(), "three\n");
    assert_eq!(proxy.cuts(), 0, "counts those that were armed");
}

#[test]
fn a_cut_before_keeps_it_from_the_server() {
    for pieces in [&["begin COMMIT\n"][..], &["begin COM", "MIT\n"], &["begin ", "C", "O", "M", "M", "I", "T\n"]] {
        let (server, told) = repeater("a");
        let proxy = Proxy::start(server);
        proxy.cut_before("COMMIT");
        let client = connect(&proxy);
        assert_eq!(say(&client, &["COMMAND\n"]), "a:COMMAND\n");
        assert_eq!(say(&client, pieces), "");
        let seen = told.recv().unwrap();
        assert!(seen.starts_with("COMMAND\nbegin ") && !seen.contains("COMMIT"), "{seen:?}");
        assert_eq!(proxy.cuts(), 1);
        assert_eq!(say(&connect(&proxy), &["COMMIT\n"]), "a:COMMIT\n", "once only");
    }
}

#[test]
fn a_cut_after_keeps_the_answer_from_the_client() {
    for pieces in [&["COMMIT\n"][..], &["COM", "MIT\n"], &["COMMIT", "\n"]] {
        let (server, told) = repeater("a");
        let proxy = Proxy::start(server);
        proxy.cut_after("COMMIT");
        let client = connect(&proxy);
        assert_eq!(say(&client, &["begin\n"]), "a:begin\n");
        assert_eq!(say(&client, pieces), "");
        assert_eq!(told.recv().unwrap(), "begin\nCOMMIT\n");
        assert_eq!(proxy.cuts(), 1);
        assert_eq!(say(&connect(&proxy), &["COMMIT\n"]), "a:COMMIT\n", "once only");
    }
}

#[test]
fn armed_cuts_happen_one_by_one() {
    let (server, _told) = repeater("a");
    let proxy = Proxy::start(server);
    proxy.cut_before("x");
    proxy.cut_after("x");
    proxy.cut_before("y");
    for (round, text) in ["x\n", "x\n", "y\n"].iter().enumerate() {
        assert_eq!(say(&connect(&proxy), &[text]), "");
        assert_eq!(proxy.cuts(), round + 1);
    }
    assert_eq!(say(&connect(&proxy), &["xy\n"]), "a:xy\n");
}

#[test]
fn a_frozen_connection_is_silent_and_open() {
    let (server, _told) = repeater("a");
    let proxy = Proxy::start(server);
    let client = connect(&proxy);
    assert_eq!(say(&client, &["one\n"]), "a:one\n");
    proxy.freeze();
    (&client).write_all(b"two\n").unwrap();
    assert!(hears_nothing(&client));
    proxy.thaw();
    assert_eq!(hear(&client), "a:two\n");
    proxy.freeze();
    (&client).write_all(b"three\n").unwrap();
    assert!(hears_nothing(&client));
    proxy.cut();
    assert_eq!(hear(&client), "");
    proxy.thaw();
    assert_eq!(say(&connect(&proxy), &["four\n"]), "a:four\n");
}

#[test]
fn a_held_connection_waits_alone() {
    let ((one, told), (other, _)) = (repeater("one"), repeater("other"));
    let proxy = Proxy::start(one);
    let client = connect(&proxy);
    proxy.hold_before("xy");
    assert_eq!(say(&client, &["ab\n"]), "one:ab\n");
    (&client).write_all(b"abxy\n").unwrap();
    assert!(hears_nothing(&client));
    assert_eq!(proxy.held(), 1);
    proxy.retarget(other);
    assert_eq!(say(&connect(&proxy), &["xy\n"]), "other:xy\n");
    // What it was sent before its client went still reaches the server.
    drop(client);
    proxy.release();
    assert_eq!(told.recv_timeout(Duration::from_secs(10)).unwrap(), "ab\nabxy\n");

    let client = connect(&proxy);
    proxy.hold_after("xy");
    (&client).write_all(b"xy\n").unwrap();
    assert!(hears_nothing(&client));
    proxy.release();
    assert_eq!((hear(&client), proxy.held()), ("other:xy\n".into(), 0));
    proxy.cut_before("ab");
    proxy.disarm();
    assert_eq!(say(&client, &["ab\n"]), "other:ab\n");
}

#[test]
fn new_connections_are_refused_or_sent_elsewhere() {
    let ((one, _), (other, _)) = (repeater("one"), repeater("other"));
    let proxy = Proxy::start(one);
    let client = connect(&proxy);
    assert_eq!(say(&client, &["x\n"]), "one:x\n");
    proxy.refuse(true);
    assert_eq!(hear(&connect(&proxy)), "");
    assert_eq!(say(&client, &["x\n"]), "one:x\n");
    proxy.refuse(false);
    proxy.retarget(other);
    assert_eq!(say(&connect(&proxy), &["x\n"]), "other:x\n");
    assert_eq!(say(&client, &["x\n"]), "one:x\n");
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    proxy.retarget(nobody);
    assert_eq!(hear(&connect(&proxy)), "");
}

#[test]
fn its_end_is_the_end_of_its_connections() {
    let (server, told) = repeater("a");
    let proxy = Proxy::start(server);
    let client = connect(&proxy);
    assert_eq!(say(&client, &["one\n"]), "a:one\n");
    proxy.freeze();
    let address = proxy.address();
    drop(proxy);
    assert_eq!((&client).read(&mut [0]).unwrap_or(0), 0);
    assert_eq!(told.recv().unwrap(), "one\n");
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn a_commit_is_lost_before_and_kept_after() {
    let cluster = Cluster::start(Settings::default());
    let url = cluster.create_database("notes", None);
    let mut direct = Client::connect(&url, NoTls).unwrap();
    direct.batch_execute("CREATE TABLE note (text TEXT)").unwrap();

    let proxy = Proxy::start(cluster.address());
    let through = url.replace(&cluster.address().to_string(), &proxy.address().to_string());
    let mut add = |text: &str| {
        let mut client = Client::connect(&through, NoTls).unwrap();
        let mut transaction = client.transaction().unwrap();
        transaction.execute("INSERT INTO note VALUES ($1)", &[&text]).unwrap();
        let ended = transaction.commit();
        let kept = direct.query("SELECT text FROM note WHERE text = $1", &[&text]).unwrap().len() == 1;
        (ended.is_ok(), kept)
    };
    assert_eq!(add("untouched"), (true, true));
    proxy.cut_before("COMMIT");
    assert_eq!(add("before"), (false, false));
    for round in 0..20 {
        proxy.cut_after("COMMIT");
        assert_eq!(add(&format!("after {round}")), (false, true));
    }
    // The answer to a statement inside a transaction: what is cut off is rolled back.
    proxy.cut_after("INSERT INTO note");
    let mut client = Client::connect(&through, NoTls).unwrap();
    assert!(client.batch_execute("BEGIN").is_ok() && client.batch_execute("INSERT INTO note VALUES ('in')").is_err());
    assert_eq!(proxy.cuts(), 22);
    assert_eq!(add("at last"), (true, true));
}
