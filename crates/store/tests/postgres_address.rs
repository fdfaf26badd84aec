//! The way to a PostgreSQL server: what each `sslmode` lets through and what it refuses, whom a list of hosts leads to, and
//! what operators are told.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use rollcall_store::postgres::address::{Address, Beside, ConnectError};
use rollcall_testbed::{Cluster, Settings, Stop, Tls};
use std::fs::Permissions;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

const PASSWORD: &str = "s3c@r/3t?";
const LOGIN: &str = "rollcall:s3c%40r%2F3t%3F";

/// Who signs certificates, and the file of its own.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    file: PathBuf,
}

impl Authority {
    fn make(folder: &Path, name: &str) -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let file = folder.join(format!("{name}.pem"));
        std::fs::write(&file, issuer.pem()).unwrap();
        Self { issuer, file }
    }

    /// A certificate, changed as the test wants it, and its key.
    fn sign(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> Tls {
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let signed = params.signed_by(&key, &self.issuer).unwrap();
        let (certificate_file, key_file) = (self.file.with_extension("crt"), self.file.with_extension("key"));
        std::fs::write(&certificate_file, signed.pem()).unwrap();
        std::fs::write(&key_file, key.serialize_pem()).unwrap();
        std::fs::set_permissions(&key_file, Permissions::from_mode(0o600)).unwrap();
        Tls { certificate: certificate_file, key: key_file, is_required: true }
    }
}

fn cluster_with(tls: Tls) -> Cluster {
    let cluster = Cluster::start(Settings {
        tls: Some(tls),
        password: Some(PASSWORD.into()),
        max_connections: 20,
        ..Settings::default()
    });
    cluster.create_database("inventory", None);
    cluster
}

/// Connects; errors must not hold the password.
async fn connect(url: &str) -> Result<(Address, Client), ConnectError> {
    // Long enough for a machine that is busy with other tests.
    let beside = Beside { connect_timeout: Duration::from_secs(30), ..Beside::default() };
    let address = Address::parse(url, &beside).unwrap();
    let (client, driver) = address.connect().await.inspect_err(|error| {
        assert!(!format!("{error:?}").contains("s3c"), "{error:?}");
    })?;
    tokio::spawn(driver);
    Ok((address, client))
}

/// The first column of the only row.
async fn ask(client: &Client, sql: &str) -> String {
    client.query_one(sql, &[]).await.unwrap().get(0)
}

/// What connecting comes to: `tls`, `clear`, or words that must be in the error.
async fn check(url: &str, want: &str) {
    let came_to = match connect(url).await {
        Err(error) => {
            assert!(!error.may_retry, "{url}: {error}");
            error.text
        }
        Ok((_, client)) => {
            let sql = "SELECT CASE WHEN ssl THEN 'tls' ELSE 'clear' END FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
            ask(&client, sql).await
        }
    };
    assert!(came_to.contains(want), "{url}: {came_to}");
}

#[tokio::test]
async fn every_sslmode_refuses_what_it_has_to() {
    let folder = tempfile::tempdir().unwrap();
    let right = Authority::make(folder.path(), "right");
    let wrong = Authority::make(folder.path(), "wrong");
    let cluster = cluster_with(right.sign("db.example", |_| {}));
    let check = async |host: &str, parameters: &str, want: &str| {
        let parameters = parameters.replace("RIGHT", right.file.to_str().unwrap());
        let parameters = parameters.replace("WRONG", wrong.file.to_str().unwrap());
        let port = cluster.port();
        check(&format!("postgres://{LOGIN}@{host}:{port}/inventory?hostaddr=127.0.0.1&{parameters}"), want).await;
    };
    check("db.example", "sslmode=verify-full&sslrootcert=RIGHT", "tls").await;
    check("db.example", "sslrootcert=RIGHT&channel_binding=require", "tls").await;
    check("db.example", "sslrootcert=WRONG", "comes from an authority that is not trusted").await;
    check("db.example", "sslmode=verify-full", "comes from an authority that is not trusted").await;
    check("other.example", "sslrootcert=RIGHT", "is for other names (db.example)").await;
    check("127.0.0.1", "sslrootcert=RIGHT", "is for other names (db.example)").await;

    check("other.example", "sslmode=require", "tls").await;
    check("other.example", "sslmode=require&channel_binding=require", "tls").await;
    check("other.example", "sslmode=require&sslrootcert=RIGHT", "tls").await;
    check("db.example", "sslmode=require&sslrootcert=WRONG", "comes from an authority that is not trusted").await;
    check("other.example", "sslmode=prefer", "tls").await;

    check("db.example", "sslmode=disable", "without TLS").await;
    // The default on a loopback address.
    check("db.example", "", "without TLS").await;
}

#[tokio::test]
async fn what_is_no_certificate_for_a_server_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::make(folder.path(), "authority");
    let roots = authority.file.display();
    let check = async |change: fn(&mut CertificateParams), want: &str| {
        let cluster = cluster_with(authority.sign("localhost", change));
        let at = format!("localhost:{}", cluster.port());
        check(&format!("postgres://{LOGIN}@{at}/inventory?sslrootcert={roots}"), want).await;
    };
    check(|params| params.not_after = date_time_ymd(2020, 1, 1), "has expired: renew it").await;
    check(|params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained), "not an authority itself").await;
    check(|params| params.subject_alt_names.clear(), "does not name its host").await;
}

#[tokio::test]
async fn a_client_certificate_may_stand_for_the_password() {
    let folder = tempfile::tempdir().unwrap();
    // The server reads them as another user.
    std::fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    let access = folder.path().join("hba");
    std::fs::write(&access, "local all postgres trust\nhostssl all rollcall 127.0.0.1/32 cert\n").unwrap();
    let (servers, clients) = (Authority::make(folder.path(), "servers"), Authority::make(folder.path(), "clients"));
    let settings = [("hba_file", &access), ("ssl_ca_file", &clients.file)];
    let extra = settings.map(|(name, file)| (name.to_owned(), file.to_str().unwrap().to_owned()));
    let tls = servers.sign("localhost", |_| {});
    let cluster = Cluster::start(Settings { tls: Some(tls), extra: extra.into(), ..Settings::default() });
    let url =
        format!("postgres://rollcall@localhost:{}/postgres?sslrootcert={}", cluster.port(), servers.file.display());
    let own = |own: Tls| format!("{url}&sslcert={}&sslkey={}", own.certificate.display(), own.key.display());

    check(&own(clients.sign("rollcall", |_| {})), "tls").await;
    check(&own(clients.sign("somebody", |_| {})), "does not let user \"rollcall\" into").await;
    check(&own(servers.sign("rollcall", |_| {})), "does not accept our certificate").await;
    check(&url, "requires a valid client certificate").await;
}

#[tokio::test]
async fn what_the_login_fails_at_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::make(folder.path(), "authority");
    let cluster = cluster_with(authority.sign("localhost", |_| {}));
    let roots = authority.file.display();
    let at = format!("localhost:{}", cluster.port());
    let url = |login: &str, database: &str| format!("postgres://{login}@{at}/{database}?sslrootcert={roots}");

    check(&url("rollcall:s3cr3t", "inventory"), "refuses the password of user \"rollcall\"").await;
    check(&url("rollcall", "inventory"), "wants a password of user \"rollcall\" and none is given").await;
    check(&url("nobody:s3cr3t", "inventory"), "does not let user \"nobody\" into database \"inventory\"").await;
    check(&url(LOGIN, "absent"), "has no database \"absent\"").await;
    cluster.sql("REVOKE CONNECT ON DATABASE inventory FROM PUBLIC, rollcall");
    cluster.sql("ALTER DATABASE inventory OWNER TO postgres");
    check(&url(LOGIN, "inventory"), "forbids that to user \"rollcall\"").await;

    cluster.sql("ALTER ROLE rollcall CONNECTION LIMIT 1");
    // The server may still be at ending the one that it has just refused.
    let mut tries = 0;
    let (address, first) = loop {
        match connect(&url(LOGIN, "postgres")).await {
            Ok(connected) => break connected,
            Err(error) => assert!(error.may_retry && tries < 1000, "{error}"),
        }
        tries += 1;
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    let error = address.connect().await.map(|_| ()).unwrap_err();
    assert!(error.may_retry && error.text.contains("has no connection left"), "{error}");

    // A statement that runs is ended over TLS too, and the connection lives on.
    let token = first.cancel_token();
    let sleep = first.batch_execute("SELECT pg_sleep(60)");
    let cancel = async {
        let running = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(60)' AND state = 'active'";
        while cluster.sql(running).as_deref() != Some("1") {
            tokio::task::yield_now().await;
        }
        address.cancel(&token).await.unwrap();
    };
    let (slept, ()) = tokio::join!(sleep, cancel);
    assert_eq!(slept.unwrap_err().code(), Some(&SqlState::QUERY_CANCELED));
    assert_eq!(ask(&first, "SELECT current_setting('application_name')").await, "rollcall");

    cluster.stop(Stop::Fast);
    let ended = address.explain(&first.batch_execute("SELECT 1").await.unwrap_err());
    assert!(ended.may_retry && ended.text.contains(&at), "{ended}");
}

#[tokio::test]
async fn a_server_without_tls_is_used_only_if_that_is_wanted() {
    let cluster = Cluster::start(Settings::default());
    let at = cluster.address();
    let check = async |login: &str, parameters: &str, want: &str| {
        check(&format!("postgres://{login}@{at}/postgres?{parameters}"), want).await;
    };
    check("rollcall", "", "clear").await;
    check("rollcall", "sslmode=prefer", "clear").await;
    check("rollcall", "sslmode=require", "has no TLS").await;
    check("rollcall", "sslmode=verify-full", "has no TLS").await;
    check("rollcall", "channel_binding=require", "does not bind the login").await;
}

#[tokio::test]
async fn several_hosts_lead_to_the_one_that_takes_writes() {
    let primary = Cluster::start(Settings::default());
    let standby = primary.standby();
    let url = format!("postgres://rollcall@{},{}/postgres", standby.address(), primary.address());
    let port = async |client: &Client| ask(client, "SELECT current_setting('port')").await;

    let (_, client) = connect(&url).await.unwrap();
    assert_eq!(port(&client).await, primary.port().to_string());
    // A machine that was switched off: it takes nothing and refuses nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent_at = silent.local_addr().unwrap();
    let behind = format!("postgres://rollcall@{silent_at},{}/postgres?connect_timeout=1", primary.address());
    let (_, client) = connect(&behind).await.unwrap();
    assert_eq!(port(&client).await, primary.port().to_string());
    let alone = format!("postgres://rollcall@{}/postgres?target_session_attrs=read-write", standby.address());
    let error = connect(&alone).await.map(|_| ()).unwrap_err();
    assert!(error.may_retry && error.text.contains("takes no writes"), "{error}");

    primary.kill();
    let error = connect(&url).await.map(|_| ()).unwrap_err();
    let wants = [format!("{} takes no writes", standby.address()), format!("nothing answers at {}", primary.address())];
    assert!(error.may_retry && wants.iter().all(|want| error.text.contains(want)), "{error}");

    standby.promote();
    let (_, client) = connect(&url).await.unwrap();
    assert_eq!(port(&client).await, standby.port().to_string());
}
