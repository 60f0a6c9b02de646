//! Names of tenants, which cannot change any other part of a URL.

use diesel::migration::{Migration, MigrationSource};
use registry_core::{
    AcquireError, BindDsl, BindSettings, DropTenantError, Error, MigrateError, Registry,
    RunQueryDsl, SettingsError, Tenant, TenantError, TenantResolver, bind,
};

use crate::support::{causes, fresh_folder, postgres};

#[bind(db = "crm", backend = Sqlite)]
struct Invoice;

type Crm = <Invoice as registry_core::Bound>::Bind;

#[bind(db = "crm", backend = Postgres)]
struct Note;

/// A source without migrations.
struct Nothing;

impl MigrationSource<diesel::sqlite::Sqlite> for Nothing {
    fn migrations(
        &self,
    ) -> diesel::migration::Result<Vec<Box<dyn Migration<diesel::sqlite::Sqlite>>>> {
        Ok(Vec::new())
    }
}

/// Names that try to change the host, user, options, path or database.
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
async fn tenant_names_cannot_escape_their_place_in_the_url() {
    let folder = fresh_folder();
    let inner = folder.join("tenants");
    std::fs::create_dir(&inner).expect("a folder");
    std::fs::write(folder.join("secret"), "").expect("a file");
    std::fs::write(folder.join("secret.db"), "").expect("a file");
    let url = format!("sqlite://{}/{{tenant}}.db?mode=rwc", inner.display());
    let registry = Registry::builder().bind("crm", url).build().expect("good settings");
    for name in hostile() {
        match registry.tenant(&name) {
            // A valid name: it reaches a file of that name, and no other.
            Ok(tenant) => {
                registry.create_tenant::<Crm>(&name, Nothing).await.expect("a file");
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
fn error_says_what_is_wrong_with_a_tenant_name() {
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

/// PostgreSQL truncates names that are too long, so two tenants could share a database.
#[tokio::test]
async fn database_name_too_long_for_postgresql_is_refused() {
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
fn template_requires_the_tenant_in_the_database_name() {
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
    // A password may contain any text.
    let registry = Registry::builder().bind("crm", "postgres://app:{tenant}@db/app").build();
    assert_eq!(registry.expect("one database").engine("crm").expect("there").key(), "crm");
}

/// Whichever operation is asked for, and whichever `mode` the URL has.
#[tokio::test]
async fn file_of_an_unknown_tenant_is_never_created_implicitly() {
    let folder = fresh_folder();
    for query in ["", "?mode=rw", "?mode=rwc"] {
        // Also not the folder of a relative path, which is created for databases that are not tenants.
        for place in [folder.clone(), folder.join("sub")] {
            let url = format!("sqlite://{}/{{tenant}}.db{query}", place.display());
            let template = Registry::builder().bind("crm", url.as_str());
            let resolver = TenantResolver::new(move |tenant: &Tenant| {
                let settings = BindSettings::new(url.replace("{tenant}", tenant.name()));
                async move { Ok::<_, AcquireError>(settings) }
            });
            let resolved = Registry::builder().tenants("crm", resolver);
            for builder in [template, resolved] {
                let registry = builder.build().expect("good settings");
                let tenant = registry.tenant("acme").expect("a good name");
                let is_unknown = |error: &Error| {
                    matches!(
                        error,
                        Error::Acquire(AcquireError::UnknownTenant { .. })
                            | Error::Migrate(MigrateError::Acquire(
                                AcquireError::UnknownTenant { .. }
                            ))
                            | Error::DropTenant(DropTenantError::Acquire(
                                AcquireError::UnknownTenant { .. }
                            ))
                    )
                };
                let query = diesel::sql_query("SELECT 1").bound_to::<Invoice>();
                let in_work = tenant.transaction(async |work| query.clone().execute(work).await);
                for error in [
                    tenant.session_for::<Invoice>().await.map(drop).map_err(Error::from),
                    query.clone().execute(&tenant).await.map(drop),
                    in_work.await.map(drop),
                    tenant.migrate::<Crm>(Nothing).await.map(drop).map_err(Error::from),
                    registry.drop_tenant::<Crm>("acme", "acme").await.map_err(Error::from),
                ] {
                    let error = error.expect_err("there is no such tenant");
                    assert!(is_unknown(&error), "{error}");
                    assert_eq!(std::fs::read_dir(&folder).expect("a folder").count(), 0, "{error}");
                }
            }
        }
    }
}

/// The name of a file that SQLite keeps beside one tenant's database is not another tenant's database.
#[tokio::test]
async fn tenant_named_like_a_sidecar_file_is_refused() {
    let folder = fresh_folder();
    let url = format!("sqlite://{}/{{tenant}}?mode=rwc", folder.display());
    let registry = Registry::builder().bind("crm", url).build().expect("good settings");
    registry.create_tenant::<Crm>("acme", Nothing).await.expect("a file");
    for suffix in ["-wal", "-shm", "-journal", "-migrate.lock", "-creating"] {
        let tenant = registry.tenant(&format!("acme{suffix}")).expect("a good name");
        let error = tenant.session_for::<Invoice>().await.unwrap_err();
        assert!(causes(&error)[1].contains("another tenant"), "{:?}", causes(&error));
    }
}
