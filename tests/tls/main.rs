//! TLS: every mode against every kind of certificate, on real servers.

use std::fs;
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use diesel::sql_types::Text;
use diesel::{QueryableByName, sql_query};
use diesel_async::methods::LoadQuery;
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};
use registry_core::settings::BindSettings;
use registry_core::{AcquireError, Backend, ConnectError, Mysql, Postgres, Registry, Settings};
use tokio::sync::{Mutex, MutexGuard};

mod certificates;
mod client_certificates;
mod relay;
#[path = "../support/mod.rs"]
mod support;

use certificates::{Certificates, Pair};
use support::causes;
use support::log::captured_log;

/// A password that no message may contain. The real one of the servers is "sesame".
const PASSWORD: &str = "sesame";

fn certificates() -> &'static Certificates {
    static CERTIFICATES: OnceLock<Certificates> = OnceLock::new();
    CERTIFICATES.get_or_init(|| Certificates::in_folder(support::fresh_folder()))
}

/// The shared server of a product, which is restarted with the certificate that a test needs.
struct Shared {
    server: fn() -> &'static support::Server,
    now: Mutex<Option<&'static str>>,
}

static POSTGRES: Shared = Shared { server: support::postgres, now: Mutex::const_new(None) };
static MARIADB: Shared = Shared { server: support::mariadb, now: Mutex::const_new(None) };

/// A guard: the server keeps its certificate for as long as this value lives.
struct Serving {
    server: &'static support::Server,
    _turn: MutexGuard<'static, Option<&'static str>>,
}

impl Shared {
    async fn with(&'static self, certificate: &'static str) -> Serving {
        let mut now = self.now.lock().await;
        let server = tokio::task::spawn_blocking(self.server).await.expect("a server");
        if *now != Some(certificate) {
            // If the restart fails, the certificate is unknown.
            *now = None;
            let pair = certificates().pair(certificate);
            tokio::task::spawn_blocking(move || {
                let authorities = server.folder().join("client-authorities.pem");
                fs::copy(&certificates().authority, authorities).expect("the server's folder");
                server.restart_with_tls(
                    pair.map(|Pair { certificate, key }| (&**certificate, &**key)),
                );
            })
            .await
            .expect("it starts again");
            *now = Some(certificate);
        }
        Serving { server, _turn: now }
    }
}

impl Serving {
    fn url(&self, query: &str) -> String {
        with_query(self.server.url(), query)
    }

    fn url_by_name(&self, query: &str) -> String {
        with_query(self.server.url().replace("127.0.0.1", "localhost"), query)
    }
}

/// Adds a query to a URL, with the paths of the authorities in place of `<ca>` and `<leaf>`.
fn with_query(url: String, query: &str) -> String {
    let files = certificates();
    let query = query
        .replace("<ca>", &files.authority.display().to_string())
        .replace("<leaf>", &files.leaf.display().to_string())
        .replace("<clients>", &files.clients.display().to_string());
    format!("{url}?{query}")
}

#[derive(QueryableByName)]
struct Answer {
    #[diesel(sql_type = Text)]
    answer: String,
}

const POSTGRES_ASKS: &str = "SELECT CASE WHEN ssl THEN 'TLS' ELSE 'plaintext' END AS answer \
                             FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
const MARIADB_ASKS: &str = "SELECT IF(VARIABLE_VALUE = '', 'plaintext', 'TLS') AS answer \
                            FROM information_schema.SESSION_STATUS \
                            WHERE VARIABLE_NAME = 'Ssl_cipher'";

/// The outcome of acquiring a session at `url`: whether the server says that it is encrypted, or the last cause of
/// the error.
async fn outcome<C: Backend>(url: impl Into<BindSettings>, ask: &str) -> String
where
    diesel::query_builder::SqlQuery: LoadQuery<'static, C, Answer> + 'static,
{
    let registry = match Registry::builder().bind("default", url).build() {
        Ok(registry) => registry,
        Err(error) => return format!("settings: {error}"),
    };
    let started = Instant::now();
    let outcome = match registry.session_by_key::<C>("default").await {
        Ok(mut session) => {
            let answers: Vec<Answer> =
                sql_query(ask.to_owned()).load(&mut *session).await.expect("an answer");
            answers.into_iter().map(|row| row.answer).collect()
        }
        Err(error) => {
            assert!(started.elapsed() < Duration::from_secs(8), "at once: {error:?}");
            let causes = causes(&error);
            assert!(!format!("{error:?} {causes:?}").contains(PASSWORD), "{error:?}");
            let AcquireError::Connect { source, .. } = &error else { panic!("{error:?}") };
            assert!(!error.is_timeout());
            match &**source {
                ConnectError::Tls(_) => {
                    assert!(!error.is_transient(), "{error:?}");
                    assert_eq!(causes[1], "the server and the settings do not agree on TLS");
                    assert_eq!(causes.len(), 3, "{causes:?}");
                    causes[2].clone()
                }
                other => format!("another variant: {other:?}"),
            }
        }
    };
    let status = &registry.status().engines[0];
    assert_eq!(status.in_use, 0, "nothing is left behind");
    outcome
}

/// The certificates, in the order of the table's columns.
const COLUMNS: [&str; 6] = ["none", "right", "expired", "wrong name", "unknown", "self-signed"];

/// The beginning of the expected outcome for the short word in a cell of the table.
fn begins_with(cell: &str) -> &str {
    match cell {
        "no TLS" => "server does not support TLS",
        "mysql: no TLS" => "Client asked for SSL but server does not have this capability",
        "expired" => "invalid peer certificate: certificate expired: verification time",
        "name" => "invalid peer certificate: certificate not valid for name \"127.0.0.1\"",
        "unknown" => "invalid peer certificate: UnknownIssuer",
        // The error of rustls for a self-signed certificate that is not trusted.
        "self" => "invalid peer certificate: ",
        other => other,
    }
}

async fn matrix<C: Backend>(shared: &'static Shared, ask: &str, rows: &[(&str, [&str; 6])])
where
    diesel::query_builder::SqlQuery: LoadQuery<'static, C, Answer> + 'static,
{
    let mut wrong = Vec::new();
    for (column, certificate) in COLUMNS.into_iter().enumerate() {
        let serving = shared.with(certificate).await;
        for (query, cells) in rows {
            let found = outcome::<C>(serving.url(query), ask).await;
            if !found.starts_with(begins_with(cells[column])) {
                wrong.push(format!("{query}, {certificate}: {found}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn postgres_modes_accept_only_the_certificates_they_should() {
    let plain = ["plaintext"; 6];
    let any = ["no TLS", "TLS", "TLS", "TLS", "TLS", "TLS"];
    let prefer = ["plaintext", "TLS", "TLS", "TLS", "TLS", "TLS"];
    let ca = ["no TLS", "TLS", "expired", "TLS", "unknown", "self"];
    let full = ["no TLS", "TLS", "expired", "name", "unknown", "self"];
    let rows = [
        ("sslmode=disable", plain),
        ("sslmode=disable&sslrootcert=<ca>", plain),
        ("sslmode=allow", plain),
        ("", prefer),
        ("sslmode=prefer", prefer),
        ("sslmode=prefer&sslrootcert=<ca>", prefer),
        ("sslmode=require", any),
        ("sslmode=require&sslrootcert=<ca>", ca),
        ("sslmode=verify-ca&sslrootcert=<ca>", ca),
        ("sslmode=verify-full&sslrootcert=<ca>", full),
        // Channel binding proves the password together with a hash of the certificate, which both sides must agree on.
        ("sslmode=require&channel_binding=require", any),
    ];
    matrix::<Postgres>(&POSTGRES, POSTGRES_ASKS, &rows).await;
}

#[tokio::test]
async fn mysql_modes_accept_only_the_certificates_they_should() {
    let plain = ["plaintext"; 6];
    let any = ["mysql: no TLS", "TLS", "TLS", "TLS", "TLS", "TLS"];
    let prefer = ["plaintext", "TLS", "TLS", "TLS", "TLS", "TLS"];
    let ca = ["mysql: no TLS", "TLS", "expired", "TLS", "unknown", "self"];
    let full = ["mysql: no TLS", "TLS", "expired", "name", "unknown", "self"];
    let rows = [
        ("", plain),
        ("ssl-mode=DISABLED", plain),
        ("ssl-mode=DISABLED&ssl-ca=<ca>", plain),
        ("ssl-mode=PREFERRED", prefer),
        ("ssl-mode=REQUIRED", any),
        ("ssl-mode=REQUIRED&ssl-ca=<ca>", ca),
        ("ssl-mode=VERIFY_CA&ssl-ca=<ca>", ca),
        ("ssl-ca=<ca>", ca),
        ("ssl-mode=VERIFY_IDENTITY&ssl-ca=<ca>", full),
        ("require_ssl=true&ssl-ca=<ca>", full),
        ("require_ssl=true&verify_identity=false&ssl-ca=<ca>", ca),
        ("require_ssl=true&verify_ca=false", any),
    ];
    matrix::<Mysql>(&MARIADB, MARIADB_ASKS, &rows).await;
}

#[tokio::test]
async fn host_name_of_the_url_is_verified() {
    let postgres = POSTGRES.with("right").await;
    for query in ["sslmode=verify-full&sslrootcert=<ca>", "sslmode=verify-ca&sslrootcert=<ca>"] {
        let found = outcome::<Postgres>(postgres.url_by_name(query), POSTGRES_ASKS).await;
        assert_eq!(found, "TLS", "{query}");
    }
    let address = format!(
        "postgres:///postgres?hostaddr=127.0.0.1&port={}&user={}&password={PASSWORD}\
         &sslmode=verify-full&sslrootcert={}",
        postgres.server.port(),
        postgres.server.user(),
        certificates().authority.display()
    );
    assert_eq!(outcome::<Postgres>(address, POSTGRES_ASKS).await, "TLS");
    drop(postgres);

    let mariadb = MARIADB.with("right").await;
    let url = mariadb.url_by_name("ssl-mode=VERIFY_IDENTITY&ssl-ca=<ca>");
    assert_eq!(outcome::<Mysql>(url, MARIADB_ASKS).await, "TLS");
}

/// Certificates for another name, for an address, or without a name, none of which the MySQL driver accepts by itself.
#[tokio::test]
async fn verify_ca_accepts_a_certificate_for_another_host() {
    for certificate in ["wrong address", "nameless"] {
        let serving = POSTGRES.with(certificate).await;
        let url = serving.url("sslmode=verify-ca&sslrootcert=<ca>");
        assert_eq!(outcome::<Postgres>(url, POSTGRES_ASKS).await, "TLS", "{certificate}");
    }
    for (certificate, expected) in [
        ("wrong address", "TLS"),
        (
            "nameless",
            "invalid peer certificate: certificate not valid for name \"127.0.0.1\"; certificate is \
             not valid for any names (according to its subjectAltName extension)",
        ),
    ] {
        let serving = MARIADB.with(certificate).await;
        let url = serving.url("ssl-mode=VERIFY_CA&ssl-ca=<ca>");
        assert_eq!(outcome::<Mysql>(url, MARIADB_ASKS).await, expected, "{certificate}");
    }
}

#[tokio::test]
async fn self_signed_certificate_can_be_its_own_authority() {
    let serving = POSTGRES.with("self-signed").await;
    let ca = "sslmode=verify-ca&sslrootcert=<leaf>";
    assert_eq!(outcome::<Postgres>(serving.url(ca), POSTGRES_ASKS).await, "TLS");
    // The certificate is valid for `localhost` only.
    let full = "sslmode=verify-full&sslrootcert=<leaf>";
    assert_eq!(outcome::<Postgres>(serving.url_by_name(full), POSTGRES_ASKS).await, "TLS");
    let found = outcome::<Postgres>(serving.url(full), POSTGRES_ASKS).await;
    assert!(found.starts_with(begins_with("name")), "{found}");
}

#[tokio::test]
async fn unix_socket_is_never_encrypted() {
    let serving = POSTGRES.with("right").await;
    let server = serving.server;
    for query in ["sslmode=verify-full&sslrootcert=<ca>", "sslmode=require", "sslmode=prefer"] {
        let url = format!(
            "postgres://{}:{PASSWORD}@{}:{}/postgres",
            server.user(),
            server.socket_dir().display().to_string().replace('/', "%2F"),
            server.port()
        );
        let found = outcome::<Postgres>(with_query(url, query), POSTGRES_ASKS).await;
        assert_eq!(found, "plaintext", "{query}");
    }
    let mixed = format!("postgres://app@127.0.0.1,%2Ftmp:{}/app?sslmode=require", server.port());
    assert_eq!(
        outcome::<Postgres>(mixed, POSTGRES_ASKS).await,
        "settings: bind(\"default\"): of these hosts, one is a Unix socket, and those have no TLS"
    );
    drop(serving);

    let serving = MARIADB.with("right").await;
    let socket = serving.server.socket_dir().join("mysql.sock");
    let url = serving.url(&format!("ssl-mode=VERIFY_IDENTITY&socket={}", socket.display()));
    assert_eq!(outcome::<Mysql>(url, MARIADB_ASKS).await, "plaintext");
}

#[tokio::test]
async fn allow_and_prefer_follow_what_the_server_accepts() {
    let serving = POSTGRES.with("right").await;
    let rules = serving.server.folder().join("data/pg_hba.conf");
    let before = fs::read_to_string(&rules).expect("the server's rules");
    let both = [("hostssl", "encrypted_only"), ("hostnossl", "plaintext_only")];
    let mut new = String::new();
    for (kind, database) in both {
        new +=
            &format!("{kind} {database} all all scram-sha-256\nhost {database} all all reject\n");
    }
    fs::write(&rules, new + &before).expect("our file");
    let registry = Registry::builder().bind("default", serving.url("")).build().expect("settings");
    let mut session = registry.session_by_key::<Postgres>("default").await.expect("a session");
    for (_, database) in both {
        let create = format!("CREATE DATABASE {database}");
        session.batch_execute(&create).await.expect("a new database");
    }
    session.batch_execute("SELECT pg_reload_conf()").await.expect("it may");
    drop(session);

    let outcome = async |database: &str, mode: &str| {
        let url = serving.url(mode).replace("/postgres?", &format!("/{database}?"));
        outcome::<Postgres>(url, POSTGRES_ASKS).await
    };
    // The server reloads its rules with a delay.
    while outcome("encrypted_only", "sslmode=disable").await == "plaintext" {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    for (database, mode, expected) in [
        ("encrypted_only", "sslmode=disable", "another variant: Authentication"),
        ("encrypted_only", "sslmode=allow", "TLS"),
        ("encrypted_only", "sslmode=prefer", "TLS"),
        ("plaintext_only", "sslmode=allow", "plaintext"),
        ("plaintext_only", "sslmode=prefer", "plaintext"),
        ("plaintext_only", "sslmode=require", "another variant: Authentication"),
    ] {
        let found = outcome(database, mode).await;
        assert!(found.starts_with(expected), "{database}, {mode}: {found}");
    }
    fs::write(&rules, before).expect("our file");
}

#[tokio::test]
async fn mysql_user_with_require_ssl_needs_tls() {
    let serving = MARIADB.with("right").await;
    let registry = Registry::builder().bind("default", serving.url("")).build().expect("settings");
    let mut session = registry.session_by_key::<Mysql>("default").await.expect("a session");
    let user = "CREATE OR REPLACE USER 'careful'@'127.0.0.1' IDENTIFIED BY 'sesame' REQUIRE SSL; \
                GRANT ALL ON *.* TO 'careful'@'127.0.0.1'";
    session.batch_execute(user).await.expect("a user");
    let outcome = async |query: &str| {
        let url = serving.url(query).replace(serving.server.user(), "careful");
        outcome::<Mysql>(url, MARIADB_ASKS).await
    };
    assert_eq!(outcome("ssl-mode=REQUIRED").await, "TLS");
    assert_eq!(outcome("ssl-mode=PREFERRED").await, "TLS");
    let found = outcome("ssl-mode=DISABLED").await;
    assert!(found.starts_with("another variant: Authentication"), "{found}");
}

#[tokio::test]
async fn fallback_to_plaintext_is_logged() {
    let log = captured_log();
    let postgres = POSTGRES.with("none").await;
    let broken = relay::that_promises_tls(postgres.server.port()).await;
    let url = |query| postgres.url(query).replace(&postgres.server.port().to_string(), &broken);
    assert_eq!(outcome::<Postgres>(url("sslmode=prefer"), POSTGRES_ASKS).await, "plaintext");
    let lines = log.lines_with(&format!("127.0.0.1:{broken}"));
    let lines: Vec<_> = lines.iter().filter(|line| line.contains("TLS cannot be had")).collect();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("DEBUG") && lines[0].contains("registry: plaintext"), "{lines:?}");
    assert!(lines[0].contains("received corrupt message"), "{lines:?}");
    assert!(lines[0].contains(":***@") && !lines[0].contains(PASSWORD), "{lines:?}");
    // With `sslmode=require`, the missing TLS is an error instead.
    let found = outcome::<Postgres>(url("sslmode=require"), POSTGRES_ASKS).await;
    assert!(found.starts_with("received corrupt message"), "{found}");

    let said = |port: u16, words: &str| {
        let lines = log.lines_with(&format!("127.0.0.1:{port}/"));
        lines.iter().filter(|line| line.contains(words)).count()
    };
    // Other tests may have logged the same event.
    let (port, words) = (postgres.server.port(), "plaintext: the server has no TLS");
    let before = said(port, words);
    let url = postgres.url("sslmode=prefer");
    assert_eq!(outcome::<Postgres>(url, POSTGRES_ASKS).await, "plaintext");
    assert_eq!(said(port, words), before + 1);
    drop(postgres);

    let mariadb = MARIADB.with("none").await;
    let (port, words) = (mariadb.server.port(), "does not have this capability");
    let before = said(port, words);
    let url = mariadb.url("ssl-mode=PREFERRED");
    assert_eq!(outcome::<Mysql>(url, MARIADB_ASKS).await, "plaintext");
    assert_eq!(said(port, words), before + 1);
}

/// The failure is transient, unlike an error of TLS.
#[tokio::test]
async fn broken_connection_during_the_handshake_is_not_a_tls_error() {
    let port = relay::that_closes_after_promising_tls().await;
    let url = format!("postgres://app:{PASSWORD}@127.0.0.1:{port}/app?sslmode=require");
    let registry = Registry::builder().bind("default", url).build().expect("settings");
    let error = registry.session_by_key::<Postgres>("default").await.expect_err("nobody is there");
    assert!(error.is_transient(), "{error:?}");
    assert_eq!(causes(&error)[1], "the server cannot be reached");
}

#[test]
fn ca_file_is_read_when_the_registry_is_built() {
    let folder = support::fresh_folder();
    let path = |name: &str| folder.join(name).display().to_string();
    fs::write(folder.join("empty.pem"), "").expect("a file");
    let bad = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    fs::write(folder.join("bad.pem"), bad).expect("a file");
    fs::write(folder.join("cut.pem"), &bad[..40]).expect("a file");
    let settings = "
        [database.binds]
        a = 'postgres://h/a?sslmode=verify-full&sslrootcert=missing.pem'
        b = 'postgres://h/b?sslmode=require&sslrootcert=empty.pem'
        c = 'mysql://h/c?ssl-ca=bad.pem'
        d = 'mysql://h/d?ssl-mode=VERIFY_CA&ssl-ca=cut.pem'
        e = 'postgres://h/e?sslmode=verify-everything'
        fine = 'postgres://h/f?sslmode=disable&sslrootcert=missing.pem'
    ";
    fs::write(folder.join("settings.toml"), settings).expect("a file");
    let settings = Settings::from_file(folder.join("settings.toml")).expect("TOML");
    let error = Registry::from_settings(settings).expect_err("all but one are wrong");
    assert_eq!(
        error.to_string(),
        [
            format!(
                "database.binds.a: cannot read the certificates in {}: No such file or directory \
                 (os error 2)",
                path("missing.pem")
            ),
            format!(
                "database.binds.b: no certificate in {}, which is to have them as PEM",
                path("empty.pem")
            ),
            format!(
                "database.binds.c: a certificate in {} cannot be used: invalid peer certificate: \
                 BadEncoding",
                path("bad.pem")
            ),
            format!(
                "database.binds.d: {} is not a file of certificates as PEM",
                path("cut.pem")
            ),
            "database.binds.e: `sslmode` is `disable`, `allow`, `prefer`, `require`, `verify-ca` or \
             `verify-full`"
                .to_owned(),
        ]
        .join("\n")
    );
}

/// A file that is replaced while the program runs is used for the next connection.
#[tokio::test]
async fn replaced_ca_file_is_used_for_the_next_connection() {
    let serving = POSTGRES.with("right").await;
    let folder = support::fresh_folder();
    let file = folder.join("ca.pem");
    fs::copy(&certificates().leaf, &file).expect("a file");
    let query = format!("sslmode=verify-full&sslrootcert={}", file.display());
    let registry = Registry::builder().bind("default", serving.url(&query)).build();
    let registry = registry.expect("settings");
    registry.session_by_key::<Postgres>("default").await.expect_err("another authority");
    fs::copy(&certificates().authority, &file).expect("a file");
    registry.session_by_key::<Postgres>("default").await.expect("the right one");
    fs::remove_file(&file).expect("our file");
    let registry = Registry::builder().bind("default", serving.url("sslmode=disable")).build();
    registry.expect("settings").session_by_key::<Postgres>("default").await.expect("no need of it");
}

/// The test that is run in an inner process, whose system trusts other authorities, and the variable with its URLs.
const INNER: &str = "inner_process_connects_with_other_system_authorities";
const URLS: &str = "REGISTRY_TEST_INNER_URLS";

/// Does nothing when it is run directly: the test below runs it in an inner process.
#[tokio::test]
async fn inner_process_connects_with_other_system_authorities() {
    let Ok(urls) = std::env::var(URLS) else { return };
    let (postgres, mysql) = urls.split_once(' ').expect("two");
    // libtest prints the name of the test in front of the first line.
    println!();
    println!("outcome {}", outcome::<Postgres>(postgres, POSTGRES_ASKS).await);
    println!("outcome {}", outcome::<Mysql>(mysql, MARIADB_ASKS).await);
}

#[tokio::test]
async fn system_authorities_are_trusted_without_a_ca_file() {
    let postgres = POSTGRES.with("right").await;
    let mariadb = MARIADB.with("right").await;
    let empty = support::fresh_folder().join("empty.pem");
    fs::write(&empty, "").expect("a file");
    let files = certificates();
    let none = "the operating system has no trusted certificates, at least none that can be read";
    for (system, mode, expected) in [
        (&files.authority, "verify-full", "TLS"),
        (&files.authority, "system", "TLS"),
        (&files.leaf, "verify-full", begins_with("unknown")),
        (&empty, "verify-full", none),
        (&empty, "require", "TLS"),
    ] {
        let (of_postgres, of_mysql) = match mode {
            "system" => ("sslrootcert=system", "ssl-mode=VERIFY_IDENTITY"),
            "require" => ("sslmode=require", "ssl-mode=REQUIRED"),
            _ => ("sslmode=verify-full", "require_ssl=true"),
        };
        let output = Command::new(std::env::current_exe().expect("this test binary"))
            .args([INNER, "--exact", "--nocapture"])
            .env(URLS, format!("{} {}", postgres.url(of_postgres), mariadb.url(of_mysql)))
            .env("SSL_CERT_FILE", system)
            .env_remove("SSL_CERT_DIR")
            .output()
            .expect("it can be run");
        let output = String::from_utf8_lossy(&output.stdout).into_owned();
        let outcomes: Vec<_> =
            output.lines().filter_map(|line| line.strip_prefix("outcome ")).collect();
        assert_eq!(outcomes, [expected; 2], "{}, {mode}: {output}", system.display());
    }
}
