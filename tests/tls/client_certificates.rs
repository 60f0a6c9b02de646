//! The certificate of the client, and certificates from memory.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use diesel_async::SimpleAsyncConnection;
use registry_core::settings::BindSettings;
use registry_core::{Mysql, Postgres, Registry, Settings};

use super::certificates::{ENCRYPTED_KEY, RSA_KEY};
use super::{
    MARIADB, MARIADB_ASKS, POSTGRES, POSTGRES_ASKS, Serving, certificates, outcome, with_query,
};

/// The content of a file of a client.
fn client(name: &str) -> String {
    fs::read_to_string(certificates().clients.join(name)).expect("a file")
}

fn authority() -> String {
    fs::read_to_string(&certificates().authority).expect("a file")
}

/// A text with the paths of this run replaced by `<clients>`.
fn without_folder(text: &str) -> String {
    text.replace(&certificates().clients.display().to_string(), "<clients>")
}

/// A database of PostgreSQL that wants a certificate with the name of the user, until this is dropped.
struct ByCertificate {
    serving: Serving,
    rules: PathBuf,
    before: String,
}

impl Drop for ByCertificate {
    fn drop(&mut self) {
        fs::write(&self.rules, &self.before).expect("our file");
    }
}

impl ByCertificate {
    async fn new() -> Self {
        let serving = POSTGRES.with("right").await;
        let rules = serving.server.folder().join("data/pg_hba.conf");
        let before = fs::read_to_string(&rules).expect("the server's rules");
        let rule = "hostssl by_certificate all all scram-sha-256 clientcert=verify-full\n\
                    host by_certificate all all reject\n";
        fs::write(&rules, format!("{rule}{before}")).expect("our file");
        let url = serving.url("");
        let registry = Registry::builder().bind("default", url).build().expect("settings");
        let mut session = registry.session_by_key::<Postgres>("default").await.expect("a session");
        session.batch_execute("CREATE DATABASE by_certificate").await.expect("a new database");
        session.batch_execute("SELECT pg_reload_conf()").await.expect("it may");
        let by_certificate = Self { serving, rules, before };
        // The server reloads its rules with a delay.
        while by_certificate.outcome("sslmode=disable").await == "plaintext" {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        by_certificate
    }

    fn url(&self, query: &str) -> String {
        self.serving.url(query).replace("/postgres?", "/by_certificate?")
    }

    async fn outcome(&self, query: &str) -> String {
        outcome::<Postgres>(self.url(query), POSTGRES_ASKS).await
    }
}

#[tokio::test]
async fn postgres_accepts_the_certificate_of_its_user() {
    let server = ByCertificate::new().await;
    let full = "sslmode=verify-full&sslrootcert=<ca>";
    for (query, expected) in [
        (full.to_owned(), "another variant: Authentication"),
        (format!("{full}&sslcert=<clients>/admin.pem&sslkey=<clients>/admin.key"), "TLS"),
        (format!("{full}&sslcert=<clients>/rsa.pem&sslkey=<clients>/rsa.key"), "TLS"),
        ("sslmode=prefer&sslcert=<clients>/rsa.pem&sslkey=<clients>/rsa.key".to_owned(), "TLS"),
        (
            format!("{full}&sslcert=<clients>/someone.pem&sslkey=<clients>/someone.key"),
            "another variant: Authentication",
        ),
        (
            format!("{full}&sslcert=<clients>/stranger.pem&sslkey=<clients>/stranger.key"),
            "received fatal alert: ",
        ),
    ] {
        let found = server.outcome(&query).await;
        assert!(found.starts_with(expected), "{query}: {found}");
    }

    let files = certificates().clients.clone();
    let from_options = BindSettings::new(server.url("sslmode=verify-full"))
        .sslrootcert(&certificates().authority)
        .sslcert(files.join("admin.pem"))
        .sslkey(files.join("admin.key"));
    assert_eq!(outcome::<Postgres>(from_options, POSTGRES_ASKS).await, "TLS");
    let from_memory = BindSettings::new(server.url("sslmode=verify-full"))
        .sslrootcert_pem(authority())
        .sslcert_pem(client("admin.pem"))
        .sslkey_pem(client("admin.key"));
    assert_eq!(outcome::<Postgres>(from_memory, POSTGRES_ASKS).await, "TLS");
}

#[tokio::test]
async fn mariadb_accepts_the_certificate_of_a_user_who_needs_one() {
    let serving = MARIADB.with("right").await;
    let registry = Registry::builder().bind("default", serving.url("")).build().expect("settings");
    let mut session = registry.session_by_key::<Mysql>("default").await.expect("a session");
    let user = "CREATE OR REPLACE USER 'proven'@'127.0.0.1' IDENTIFIED BY 'sesame' REQUIRE X509; \
                GRANT ALL ON *.* TO 'proven'@'127.0.0.1'";
    session.batch_execute(user).await.expect("a user");
    let url = |query: &str| serving.url(query).replace("//admin:", "//proven:");
    let full = "ssl-mode=VERIFY_IDENTITY&ssl-ca=<ca>";
    for (query, expected) in [
        (full.to_owned(), "another variant: Authentication"),
        (format!("{full}&ssl-cert=<clients>/rsa.pem&ssl-key=<clients>/rsa.key"), "TLS"),
        (
            "ssl-mode=PREFERRED&ssl-cert=<clients>/rsa.pem&ssl-key=<clients>/rsa.key".to_owned(),
            "TLS",
        ),
    ] {
        let found = outcome::<Mysql>(url(&query), MARIADB_ASKS).await;
        assert!(found.starts_with(expected), "{query}: {found}");
    }
    let from_memory = BindSettings::new(url("ssl-mode=VERIFY_IDENTITY"))
        .sslrootcert_pem(authority())
        .sslcert_pem(client("rsa.pem"))
        .sslkey_pem(RSA_KEY);
    assert_eq!(outcome::<Mysql>(from_memory, MARIADB_ASKS).await, "TLS");

    let elliptic = format!("{full}&ssl-cert=<clients>/admin.pem&ssl-key=<clients>/admin.key");
    let found = outcome::<Mysql>(url(&elliptic), MARIADB_ASKS).await;
    assert_eq!(
        without_folder(&found),
        "settings: bind(\"default\"): the driver of MySQL and MariaDB takes RSA keys alone, and the private key in \
         <clients>/admin.key (`ssl-key`) is another one"
    );
}

#[tokio::test]
async fn authority_from_memory_is_the_only_one_that_is_trusted() {
    let serving = POSTGRES.with("unknown").await;
    // With a file of authorities, `require` means `verify-ca`, and so it does here.
    for mode in ["sslmode=verify-full", "sslmode=require"] {
        let settings = BindSettings::new(serving.url(mode)).sslrootcert_pem(authority());
        let found = outcome::<Postgres>(settings, POSTGRES_ASKS).await;
        assert_eq!(found, "invalid peer certificate: UnknownIssuer", "{mode}");
    }
}

/// The problem with these settings.
fn problem(settings: BindSettings) -> String {
    let error = Registry::builder().bind("default", settings).build().expect_err("a mistake");
    let shown = format!("{error} {error:?}");
    for secret in [RSA_KEY, ENCRYPTED_KEY, &client("admin.key")] {
        let line = secret.lines().nth(1).expect("a line of the key");
        assert!(!shown.contains(line), "{shown}");
    }
    without_folder(&error.to_string()).replace("bind(\"default\"): ", "")
}

#[test]
fn certificates_and_keys_that_cannot_be_used_are_refused_at_build() {
    let at = |query: &str| BindSettings::new(with_query("postgres://app@h/app".to_owned(), query));
    let with = |certificate: &str, key: &str| {
        at(&format!("sslmode=require&sslcert=<clients>/{certificate}&sslkey=<clients>/{key}"))
    };
    for (settings, expected) in [
        (
            with("admin.pem", "open.key"),
            "others than its owner have access to the private key in <clients>/open.key (`sslkey`), whose mode is \
             644: `chmod 600`, or `640` if it belongs to root (the rule of libpq)",
        ),
        (
            with("admin.pem", "encrypted.key"),
            "the private key in <clients>/encrypted.key (`sslkey`) is encrypted, and there is no passphrase to \
             decrypt it: store it decrypted",
        ),
        (
            with("admin.pem", "none.key"),
            "cannot read <clients>/none.key (`sslkey`): No such file or directory (os error 2)",
        ),
        (
            with("admin.key", "admin.key"),
            "no certificate in <clients>/admin.key (`sslcert`), which is to have the client's certificate as PEM",
        ),
        (
            at("sslmode=require").sslcert_pem(client("admin.pem")).sslkey_pem(client("admin.pem")),
            "no private key in `sslkey_pem`, which is to have the client's key as PEM (PKCS #8, PKCS #1 or SEC 1)",
        ),
        (
            with("admin.pem", "rsa.key"),
            "the client's certificate and its private key cannot be used: keys may not be consistent: KeyMismatch",
        ),
        (
            at("sslmode=require&sslcert=<clients>/admin.pem"),
            "a client certificate needs its private key: `sslkey` or `sslkey_pem` (`ssl-key` in a URL of MySQL)",
        ),
        (
            at("sslmode=require").sslkey_pem(RSA_KEY),
            "a private key needs its certificate: `sslcert` or `sslcert_pem` (`ssl-cert` in a URL of MySQL)",
        ),
        (
            at("sslmode=require").sslkey_pem(ENCRYPTED_KEY).sslcert_pem(client("admin.pem")),
            "the private key in `sslkey_pem` is encrypted, and there is no passphrase to decrypt it: store it \
             decrypted",
        ),
        (
            at("sslmode=verify-full").sslrootcert_pem("nothing"),
            "no certificate in `sslrootcert_pem`, which is to have them as PEM",
        ),
        (
            at("").sslrootcert_pem(authority()),
            "`sslrootcert` without `sslmode` would verify nothing: add `sslmode=verify-full` or `sslmode=verify-ca`",
        ),
        (
            at("sslmode=verify-full&sslrootcert=<ca>").sslrootcert_pem(authority()),
            "`sslrootcert` is given twice: by the URL, and by an option of the bind",
        ),
        (
            BindSettings::new("mysql://app@h/app").sslcert("a.pem").sslkey("a.key"),
            "a client certificate without `ssl-mode` would never be used: add `ssl-mode=VERIFY_IDENTITY`, or \
             `ssl-mode=DISABLED` if this server needs none",
        ),
    ] {
        assert_eq!(problem(settings), expected);
    }
}

/// A registry of the settings in this TOML with these variables, or what is wrong with them.
fn built(toml: &str, variables: &[(&str, &str)]) -> Result<Registry, String> {
    let settings = Settings::from_toml(toml).expect("TOML").relative_to(&certificates().clients);
    let settings = settings.overlaid_with(variables.iter().copied());
    let shown = format!("{settings:?}");
    assert!(!shown.contains(RSA_KEY.lines().nth(1).expect("a line")), "{shown}");
    Registry::from_settings(settings).map_err(|error| error.to_string())
}

#[test]
fn options_come_from_tables_and_variables_as_any_other() {
    let toml = r#"
        [database.options]
        sslrootcert = "../authority.pem"
        [database.binds]
        files = "sqlite::memory:"
        [database.binds.shop]
        url = "postgres://app@h/app?sslmode=verify-full"
        sslcert = "none.pem"
        [database.binds.crm]
        url = "postgres://app@h/crm_{tenant}?sslmode=verify-full&sslrootcert=../leaf.pem"
    "#;
    let variables = [
        ("DATABASE__BINDS__SHOP__SSLCERT", "rsa.pem"),
        ("DATABASE__BINDS__SHOP__SSLKEY_PEM", RSA_KEY),
    ];
    let registry = built(toml, &variables).expect("good settings");
    let engine = registry.engine("shop").expect("it is there");
    assert_eq!(
        without_folder(&engine.url().expose()),
        "postgres://app@h/app?sslmode=verify-full&sslrootcert=<clients>/../authority.pem\
         &sslcert=<clients>/rsa.pem"
    );
    assert!(!format!("{:?}", engine.options()).contains(RSA_KEY.lines().nth(1).expect("a line")));
    assert_eq!(serde_json::to_value(engine.options()).expect("JSON")["sslkey_pem"], "***");

    let misplaced = [("DATABASE__BINDS__SHOP__SSLKEY", RSA_KEY)];
    let error = built(toml, &misplaced).expect_err("a key is no path");
    let expected = "DATABASE__BINDS__SHOP__SSLKEY: expected the path of a file, and found PEM: the option whose name \
                    ends in `_pem` takes that";
    assert!(error.starts_with(expected), "{error}");
    let sqlite = "[database]\nurl = 'sqlite::memory:'\nbinds.default.sslcert = 'a.pem'";
    assert_eq!(
        built(sqlite, &[]).expect_err("there is nothing to encrypt"),
        "database.binds.default.sslcert: SQLite has no TLS"
    );
    let twice = [
        ("DATABASE__BINDS__SHOP__SSLKEY_PEM", RSA_KEY),
        ("DATABASE__BINDS__SHOP__SSLKEY", "rsa.key"),
    ];
    let error = built(toml, &twice).expect_err("which of the two?");
    let expected = "DATABASE__BINDS__SHOP__SSLKEY_PEM: given twice: `sslkey` gives it as well";
    assert!(error.starts_with(expected), "{error}");
}
