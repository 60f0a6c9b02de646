//! What tenants can be called, and what their names can do to a URL: nothing.

use registry_core::{AcquireError, Registry, SettingsError, TenantError, bind};

use crate::support::{causes, fresh_folder, postgres};

#[bind(db = "crm", backend = Sqlite)]
struct Invoice;

#[bind(db = "crm", backend = Postgres)]
struct Note;

/// Names that try to get at another host, user, option, path or database.
fn hostile() -> Vec<String> {
    let names = [
        "",
        ".",
        "..",
        "../secret",
        "..\\secret",
        "/etc/passwd",
        "a/../../secret",
        "a/b",
        "a\\b",
        "secret.db",
        "@evil",
        "user@evil",
        "a@b:5432/c",
        "?mode=rwc",
        "a?mode=memory",
        "a#b",
        "a&b",
        "a=b",
        "%2e%2e%2fsecret",
        "%2f",
        "%00",
        "a\0b",
        "\0",
        "a\nb",
        "a\r\nHost: evil",
        "\t",
        " ",
        "a b",
        "a;b",
        "a:b",
        ":memory:",
        "file:a",
        "a\"b",
        "a'b",
        "a`b",
        "a$b",
        "$(id)",
        "{tenant}",
        "{}",
        "*",
        "~",
        "a|b",
        "<a>",
        "🦀",
        "é",
        "ａ",
        "\u{202e}a",
        "\u{200b}",
        "a\u{0301}",
        "ä.db",
        "-- ",
        "a,b",
        "+a",
        "!",
        "..a",
        ".hidden",
        "a.",
    ];
    let long = ["a".repeat(64), "a".repeat(10_000), "🦀".repeat(2_500), "../".repeat(3_000)];
    names.into_iter().map(str::to_owned).chain(long).collect()
}

#[tokio::test]
async fn no_name_gets_out_of_the_place_that_is_meant_for_it() {
    let folder = fresh_folder();
    let inner = folder.join("tenants");
    std::fs::create_dir(&inner).expect("a folder");
    std::fs::write(folder.join("secret"), "").expect("a file");
    std::fs::write(folder.join("secret.db"), "").expect("a file");
    let url = format!("sqlite://{}/{{tenant}}.db?mode=rwc", inner.display());
    let registry = Registry::builder().bind("crm", url).build().expect("good settings");
    for name in hostile() {
        match registry.tenant(&name) {
            // Harmless: a file of that name, and no other.
            Ok(tenant) => {
                drop(tenant.session_for::<Invoice>().await.expect("a session"));
                assert!(inner.join(format!("{name}.db")).exists(), "{name:?}");
            }
            Err(error) => {
                let shown = error.to_string();
                assert!(!shown.contains(['\n', '\r', '\0']) && shown.len() < 300, "{shown:?}");
            }
        }
    }
    registry.close().await;
    for entry in std::fs::read_dir(&folder).expect("a folder") {
        let name = entry.expect("an entry").file_name();
        assert!(
            ["tenants", "secret", "secret.db"].contains(&name.to_str().expect("ASCII")),
            "{name:?}"
        );
    }
    assert_eq!(std::fs::read(folder.join("secret.db")).expect("a file"), b"");
    let names: Vec<_> = std::fs::read_dir(&inner)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("ASCII"))
        .filter(|name| name.ends_with(".db"))
        .collect();
    assert_eq!(names, ["secret.db.db"], "the only name that is one");
}

#[test]
fn an_error_says_what_is_wrong_with_a_name() {
    let registry = Registry::builder()
        .bind("crm", "sqlite:///srv/{tenant}.db")
        .build()
        .expect("good settings");
    let refused = |name: &str| registry.tenant(name).unwrap_err();
    assert_eq!(refused(""), TenantError::Empty);
    assert_eq!(refused(&"a".repeat(10_000)), TenantError::TooLong { len: 10_000 });
    assert_eq!(refused("a/b"), TenantError::Character { at: 1, found: '/' });
    assert_eq!(registry_core::Error::from(refused("")).to_string(), refused("").to_string());
}

/// PostgreSQL cuts names that are too long: two tenants would share a database.
#[tokio::test]
async fn a_database_name_that_would_be_cut_is_refused() {
    let template = postgres().tenants([]);
    let registry = Registry::builder().bind("crm", template).build().expect("good settings");
    let tenant = registry.tenant(&"a".repeat(60)).expect("a good name");
    let error = tenant.session_for::<Note>().await.unwrap_err();
    assert!(matches!(error, AcquireError::Resolve { .. }), "{error}");
    assert_eq!(causes(&error)[1], "the name of the database is longer than 63 bytes");
}

fn problem(url: &str) -> String {
    let error: SettingsError = Registry::builder().bind("crm", url).build().unwrap_err();
    error.to_string()
}

#[test]
fn a_template_has_its_tenant_in_the_name_of_the_database() {
    for url in [
        "postgres://{tenant}@db/app",
        "postgres://app@{tenant}/app",
        "postgres://app@db/app?options=-csearch_path%3D{tenant}",
        "mysql://app@{tenant}:3306/app",
    ] {
        assert!(
            problem(url)
                .starts_with("bind(\"crm\"): `{tenant}` stands for a part of the database's name"),
            "{}",
            problem(url)
        );
    }
    assert_eq!(
        problem("postgres://app@db/{tenat}"),
        "bind(\"crm\"): unknown `{tenat}`; did you mean `{tenant}`?"
    );
    assert_eq!(
        problem("postgres://app@db/crm_{tenant}?dbname=crm"),
        "bind(\"crm\"): the parameter `dbname` would win over the name with `{tenant}`"
    );
    assert_eq!(
        problem("mysql://app@db/app/{tenant}"),
        "bind(\"crm\"): a database on a server has no slash in its name"
    );
    // A password may have anything in it.
    let registry = Registry::builder().bind("crm", "postgres://app:{tenant}@db/app").build();
    assert_eq!(registry.expect("one database").engine("crm").expect("there").key(), "crm");
}

#[tokio::test]
async fn a_file_is_made_for_a_tenant_only_where_that_is_asked_for() {
    let folder = fresh_folder();
    let at = |query: &str| format!("sqlite://{}/{{tenant}}.db{query}", folder.display());
    for (query, is_made) in [("", false), ("?mode=rw", false), ("?mode=rwc", true)] {
        let registry = Registry::builder().bind("crm", at(query)).build().expect("good settings");
        let tenant = registry.tenant("acme").expect("a good name");
        match tenant.session_for::<Invoice>().await {
            Ok(_) => assert!(is_made),
            Err(error) => {
                assert!(matches!(error, AcquireError::UnknownTenant { .. }) && !is_made, "{error}");
            }
        }
        assert_eq!(folder.join("acme.db").exists(), is_made, "{query}");
    }
}

/// What SQLite keeps beside the file of one tenant is not another tenant's file.
#[tokio::test]
async fn no_tenant_has_the_name_of_a_file_beside_another_ones() {
    let folder = fresh_folder();
    let url = format!("sqlite://{}/{{tenant}}?mode=rwc", folder.display());
    let registry = Registry::builder().bind("crm", url).build().expect("good settings");
    drop(registry.tenant("acme").expect("good").session_for::<Invoice>().await.expect("a session"));
    for suffix in ["-wal", "-shm", "-journal", "-migrate.lock"] {
        let tenant = registry.tenant(&format!("acme{suffix}")).expect("a good name");
        let error = tenant.session_for::<Invoice>().await.unwrap_err();
        assert!(causes(&error)[1].contains("another tenant"), "{:?}", causes(&error));
    }
}
