use super::*;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const SECRET: &str = "s3cr3t";

fn parse(url: &str) -> Result<Address, String> {
    let parsed = Address::parse(url, &Beside::default());
    if let Ok(address) = &parsed {
        assert!(!format!("{address} {address:?}").contains(SECRET), "{address:?}");
    }
    parsed.map_err(|error| {
        assert!(!error.to_string().contains(SECRET), "{error}");
        error.to_string()
    })
}

fn parsed(url: &str) -> Address {
    parse(url).unwrap_or_else(|error| panic!("{url}: {error}"))
}

fn hosts_of(address: &Address) -> String {
    let hosts: Vec<_> = address.hosts.iter().map(|host| format!("{host} {:?}", host.ssl_mode)).collect();
    hosts.join(", ")
}

#[test]
fn a_url_is_taken_apart_and_shown_without_its_password() {
    let check = |url: &str, want: &str, password: Option<&str>| {
        let address = parsed(url);
        assert_eq!(address.to_string(), want);
        assert_eq!(address.config.get_password(), password.map(str::as_bytes), "{url}");
        // What is shown leads to the same place.
        assert_eq!(hosts_of(&parsed(want)), hosts_of(&address));
    };
    check("postgres://u@localhost/db", "postgres://u@localhost:5432/db", None);
    check("postgresql://u:s3cr3t@127.0.0.1:1/db", "postgres://u@127.0.0.1:1/db", Some(SECRET));
    check("postgres://u:s3cr3t%40%2F%25:x@[::1]:1/db", "postgres://u@[::1]:1/db", Some("s3cr3t@/%:x"));
    check("postgres://u:#é@[::1]/db", "postgres://u@[::1]:5432/db", Some("#é"));
    check("postgres://u:@localhost/db", "postgres://u@localhost:5432/db", None);
    check("postgres://a%20b@localhost/d%2Fb", "postgres://a%20b@localhost:5432/d%2Fb", None);
    check("postgres://u@%2Frun%2Fpg:1/db", "postgres://u@%2Frun%2Fpg:1/db", None);
    check(
        "postgres://u@localhost,127.0.0.1:2,%2Frun/db",
        "postgres://u@localhost:5432,127.0.0.1:2,%2Frun:5432/db",
        None,
    );
    check("postgres://u@localhost,127.0.0.1/db?port=7", "postgres://u@localhost:7,127.0.0.1:7/db", None);
    check("postgres:///db?host=/run/pg&user=u&password=s3cr3t", "postgres://u@%2Frun%2Fpg:5432/db", Some(SECRET));
    check("postgres://?host=localhost,/run&port=1,2&user=u&dbname=db", "postgres://u@localhost:1,%2Frun:2/db", None);
    check("postgres://u@/db?hostaddr=127.0.0.1,::1", "postgres://u@127.0.0.1:5432,[::1]:5432/db", None);
}

#[test]
fn what_is_wrong_is_named_and_never_quoted() {
    let check = |url: &str, want: &str| {
        let error = parse(url).err().unwrap_or_default();
        assert!(error.contains(want), "{url}: {error}");
    };
    check("", "named as postgres://USER@HOST/DATABASE");
    check("mysql://u:s3cr3t@h/db", "named as postgres://USER@HOST/DATABASE");
    check("host=h password=s3cr3t", "named as postgres://USER@HOST/DATABASE");
    check("postgres://u:s3cr3t@h", "names no database");
    check("postgres://localhost:s3cr3t/db", "names no user");
    check("postgres://u:s3cr3t@/db", "names no host");
    check("postgres://u:s3cr3t@h/db s3cr3t", "a blank as %20");
    check("postgres://u:s3cr3t@h/db\n", "control character");
    check("postgres://u:s3cr3t%@h/db", "percent sign itself is written %25");
    check("postgres://u:s3cr3t%4@h/db", "percent sign itself is written %25");
    check("postgres://u:s3cr3t%ff@h/db", "not in UTF-8");
    check("postgres://u:s3cr3t%00@h/db", "zero byte");
    for secret in ["s3cr3t@x", "x/s3cr3t", "x?s3cr3t=", "1?s3cr3t=1", "/s3cr3t", "x@/?s3cr3t", "s3cr3t,x/y"] {
        check(&format!("postgres://u:{secret}@h/db"), "is written %40");
    }
    check("postgres://u@h/db/s3cr3t", "is written %2F");
    check("postgres://u@h:s3cr3t/db", "port of the URL is not a number");
    check("postgres://u@h:0/db", "port of the URL is not a number");
    check("postgres://u@h:65536/db", "port of the URL is not a number");
    check("postgres://u@h1,h2,h3/db?port=1,2", "as many as there are hosts");
    check("postgres://u@h1:1/db?port=1", "the URL gives the parameter port twice");
    check("postgres://u@h/db?user=s3cr3t", "the URL gives the parameter user twice");
    check("postgres://u@h,,/db", "a host of the URL is neither");
    check("postgres://u@h:s3cr3t:1/db", "port of the URL is not a number");
    check("postgres://u@s3cr3t!/db", "a host of the URL is neither");
    check("postgres://u@[::1/db", "in brackets");
    check("postgres://u@[::1]s3cr3t/db", "in brackets");
    check("postgres://u@h/db?hostaddr=s3cr3t", "hostaddr takes IP addresses");
    check("postgres://u@h/db?hostaddr=10.0.0.1,10.0.0.2", "as many addresses as there are hosts");
    check("postgres://u@%2Frun/db?hostaddr=10.0.0.1", "hostaddr does not go with");
    check("postgres://u@h/db?s3cr3t", "a parameter of the URL has no value");
    check("postgres://u@localhost/db?gssencmode=disable", "the parameter gssencmode of the URL is not known");
    check("postgres://u@localhost/db?S3cr3t-s3cr3t=1", "a parameter (its name is not a word) of the URL is not known");
    check("postgres://u@localhost/db?connect_timeout=0", "connect_timeout takes a number from 1 to 86400");
    check("postgres://u@localhost/db?connect_timeout=s3cr3t", "connect_timeout takes a number");
    check("postgres://u@localhost/db?keepalives=s3cr3t", "keepalives takes 0 or 1");
    check("postgres://u@localhost/db?keepalives_count=128", "keepalives_count takes a number from 1 to 127");
    check("postgres://u@localhost/db?target_session_attrs=read-only", "takes any or read-write");
    check("postgres://u@localhost/db?load_balance_hosts=yes", "takes disable or random");
    check("postgres://u@localhost/db?channel_binding=maybe", "takes disable or prefer or require");
    check("postgres://u@h/db?sslmode=prefer&sslnegotiation=direct", "sslnegotiation=direct needs");
}

#[test]
fn tls_is_safe_unless_somebody_says_otherwise() {
    let check = |url: &str, want: &str| assert_eq!(hosts_of(&parsed(url)), want, "{url}");
    check(
        "postgres://u@db.example,10.0.0.1,localhost,127.9.9.9,[::1],%2Frun/db",
        "db.example:5432 Require, 10.0.0.1:5432 Require, localhost:5432 Disable, 127.9.9.9:5432 Disable, \
         [::1]:5432 Disable, /run/.s.PGSQL.5432 Disable",
    );
    check("postgres://u@localhost/db?hostaddr=10.0.0.1", "localhost:5432 Require");
    check("postgres://u@db.example/db?hostaddr=127.0.0.1", "db.example:5432 Disable");
    check("postgres://u@db.example/db?sslmode=disable", "db.example:5432 Disable");
    check("postgres://u@localhost,%2Frun/db?sslmode=prefer", "localhost:5432 Prefer, /run/.s.PGSQL.5432 Disable");
    check("postgres://u@localhost,%2Frun/db?sslmode=require", "localhost:5432 Require, /run/.s.PGSQL.5432 Disable");
    check("postgres://u@localhost/db?sslmode=verify-full", "localhost:5432 Require");
    check("postgres://u@localhost/db?sslrootcert=system", "localhost:5432 Require");

    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("empty.pem");
    std::fs::write(&empty, "nothing").unwrap();
    let empty = empty.to_str().unwrap();
    let check = |parameters: &str, want: &str| {
        let error = parse(&format!("postgres://u@db.example/db?{parameters}")).err().unwrap_or_default();
        assert!(error.contains(want), "{parameters}: {error}");
    };
    check("sslmode=verify-ca", "use verify-full");
    check("sslmode=allow", "disable or prefer or require or verify-full");
    check("sslmode=disable&sslrootcert=/x", "uses no certificates");
    check("sslmode=prefer&sslrootcert=/x", "checks no certificate");
    check("sslmode=require&sslrootcert=system", "use sslmode=verify-full");
    check("sslcert=/x", "go together");
    check("sslrootcert=/absent.pem", "sslrootcert: /absent.pem: No such file");
    check(&format!("sslrootcert={empty}"), "empty.pem: no certificate in PEM format");
    check(&format!("sslcert={empty}&sslkey=/x"), "sslcert: ");
}

#[test]
fn defaults_notice_a_host_that_has_vanished_and_follow_a_failover() {
    let address = parsed("postgres://u@localhost/db");
    let config = &address.config;
    assert_eq!(config.get_application_name(), Some("rollcall"));
    assert_eq!(config.get_keepalives_idle(), Duration::from_secs(10));
    assert_eq!(config.get_keepalives_interval(), Some(Duration::from_secs(5)));
    assert_eq!(config.get_keepalives_retries(), Some(3));
    assert_eq!(config.get_tcp_user_timeout(), Some(&Duration::from_secs(15)));
    assert_eq!(config.get_target_session_attrs(), TargetSessionAttrs::Any);
    assert_eq!(address.connect_timeout, Beside::default().connect_timeout);

    let several = parsed("postgres://u@localhost,localhost:1/db");
    assert_eq!(several.config.get_target_session_attrs(), TargetSessionAttrs::ReadWrite);
    let any = parsed("postgres://u@localhost,localhost:1/db?target_session_attrs=any");
    assert_eq!(any.config.get_target_session_attrs(), TargetSessionAttrs::Any);

    let address = parsed(
        "postgres://u@localhost/db?application_name=a%20b&options=-c%20x%3Dy&connect_timeout=7&keepalives=0&keepalives_idle=1\
         &keepalives_interval=2&keepalives_count=3&tcp_user_timeout=1500&channel_binding=require&load_balance_hosts=random",
    );
    let config = &address.config;
    assert_eq!(config.get_application_name(), Some("a b"));
    assert_eq!(config.get_options(), Some("-c x=y"));
    assert!(!config.get_keepalives());
    assert_eq!(config.get_tcp_user_timeout(), Some(&Duration::from_millis(1500)));
    assert_eq!(config.get_channel_binding(), ChannelBinding::Require);
    assert_eq!(address.connect_timeout, Duration::from_secs(7));
    assert!(address.in_random_order);
    assert_eq!(parsed("postgres://u@localhost/db?tcp_user_timeout=0").config.get_tcp_user_timeout(), None);
}

#[test]
fn connecting_may_move_between_threads() {
    fn check(_: impl Send) {}
    check(parsed("postgres://u@localhost/db").connect());
}

#[test]
fn the_password_of_the_url_counts_before_the_one_beside_it() {
    let beside = Beside { password: Some(Password::new(SECRET)), ..Beside::default() };
    let check = |url: &str, want: &str| {
        let address = Address::parse(url, &beside).unwrap();
        assert_eq!(address.config.get_password(), Some(want.as_bytes()));
        assert!(!format!("{address:?} {beside:?}").contains(SECRET));
    };
    check("postgres://u@localhost/db", SECRET);
    check("postgres://u:@localhost/db", SECRET);
    check("postgres://u:own@localhost/db", "own");
}

#[test]
fn a_password_file_is_for_nobody_else() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    let read = |content: &[u8], mode: u32| {
        std::fs::write(&file, content).unwrap();
        std::fs::set_permissions(&file, PermissionsExt::from_mode(mode)).unwrap();
        Password::from_file(&file).map(|password| password.reveal().to_owned()).map_err(|error| error.to_string())
    };
    assert_eq!(read(b"s3cr3t", 0o600), Ok("s3cr3t".into()));
    assert_eq!(read(b" s3cr3t \r\nand more\n", 0o400), Ok(" s3cr3t ".into()));
    let check = |content: &[u8], mode, want: &str| {
        let error = read(content, mode).unwrap_err();
        assert!(error.contains(want) && !error.contains(SECRET), "{error}");
    };
    check(b"", 0o600, "first line is empty");
    check(b"\ns3cr3t", 0o600, "first line is empty");
    check(b"s3cr3t\xff", 0o600, "not a text in UTF-8");
    check(b"s3cr3t", 0o604, "others may read or change it (mode 604): use `chmod 600");
    check(b"s3cr3t", 0o620, "others may read or change it");
    let is_roots = std::fs::metadata(&file).unwrap().uid() == 0;
    assert_eq!(read(b"s3cr3t", 0o640).is_ok(), is_roots);
    std::fs::remove_file(&file).unwrap();
    let error = Password::from_file(&file).unwrap_err().to_string();
    assert!(error.contains("password: No such file"), "{error}");
}

/// Connects and gives the error, which must not hold the password.
async fn error_of(url: &str) -> ConnectError {
    let address = parsed(url);
    let error = address.connect().await.map(|_| ()).unwrap_err();
    assert!(!format!("{error:?}").contains(SECRET), "{error:?}");
    error
}

#[tokio::test]
async fn hosts_that_do_not_answer_are_named_and_worth_another_try() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent_at = silent.local_addr().unwrap();
    let closing = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let closing_at = closing.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((socket, _)) = closing.accept().await {
            drop(socket)
        }
    });
    let check = async |hosts: &str, wants: &[&str]| {
        let error = error_of(&format!("postgres://u:s3cr3t@{hosts}/db?sslmode=disable&connect_timeout=1")).await;
        assert!(error.may_retry, "{error}");
        assert!(wants.iter().all(|want| error.text.contains(want)), "{error}");
    };
    let refused = format!("nothing answers at {free} (Connection refused");
    check(&free.to_string(), &[&refused]).await;
    check("%2Fabsent", &["nothing answers at /absent/.s.PGSQL.5432 (No such file"]).await;
    let waited = format!("{silent_at} has not let us in within 1000 ms");
    check(&silent_at.to_string(), &[&waited]).await;
    check(&format!("{silent_at},{free}"), &[&waited, &refused]).await;
    let cut = format!("{closing_at} has cut the connection");
    check(&closing_at.to_string(), &[&cut]).await;
    check("absent.invalid", &["the host absent.invalid is not found"]).await;
}

/// What a server says that turns a client away.
fn refusal(code: &str, message: &str, routine: &str) -> Vec<u8> {
    let fields = format!("SFATAL\0VFATAL\0C{code}\0M{message}\0R{routine}\0\0");
    let length = i32::try_from(fields.len()).unwrap() + 4;
    [b"E", &length.to_be_bytes()[..], fields.as_bytes()].concat()
}

#[tokio::test]
async fn what_a_server_says_is_told_with_what_to_do() {
    let check = async |code: &str, message: &str, routine: &str, may_retry: bool, want: &str| {
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = server.local_addr().unwrap();
        let answer = refusal(code, message, routine);
        tokio::spawn(async move {
            let (mut socket, _) = server.accept().await.unwrap();
            let _ = socket.read(&mut [0; 1024]).await;
            socket.write_all(&answer).await.unwrap();
        });
        let error = error_of(&format!("postgres://ann:s3cr3t@{at}/inventory")).await;
        assert_eq!(error.may_retry, may_retry, "{error}");
        assert!(error.text.starts_with(&at.to_string()) && error.text.contains(want), "{error}");
    };
    check("28P01", "x", "auth_failed", false, "refuses the password of user \"ann\"").await;
    check("28000", "role \"ann\" does not exist", "InitializeSessionUserId", false, "CREATE ROLE").await;
    check("28000", "no entry", "ClientAuthentication", false, "without TLS (no entry): set sslmode=verify-full").await;
    check("3D000", "x", "InitPostgres", false, "has no database \"inventory\"").await;
    check("42501", "denied", "CheckMyDatabase", false, "forbids that to user \"ann\" (denied)").await;
    check("53300", "too many", "InitProcess", true, "no connection left (too many)").await;
    check("57P03", "starting up", "ProcessStartupPacket", true, "takes no connections yet (starting up)").await;
    check("25006", "x", "", true, "takes no writes").await;
    check("57P01", "ended", "", true, "answers \"ended\" (57P01)").await;
    check("08P01", "pooler", "", true, "answers \"pooler\" (08P01)").await;
    check("22023", "bad options", "", false, "answers \"bad options\" (22023)").await;
}
