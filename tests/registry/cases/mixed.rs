//! Several backends in one program.

use std::time::Duration;

use diesel_async::SimpleAsyncConnection;
use registry_core::settings::BindSettings;
use registry_core::{AcquireError, Registry, binds};

use crate::support;

binds! {
    Main: Postgres = "default";
    Reports: Mysql = "reports";
    Files: Sqlite = "files";
}

binds! {
    Wrong: Sqlite = "reports";
}

fn registry() -> Registry {
    Registry::builder()
        .bind("default", support::postgres().database("mixed"))
        .bind("reports", support::mariadb().database("mixed"))
        .bind("files", BindSettings::new("sqlite::memory:"))
        .build()
        .expect("good settings")
}

#[tokio::test]
async fn one_registry_has_engines_of_every_backend() {
    let registry = registry();
    registry
        .session::<Main>()
        .await
        .expect("PostgreSQL")
        .batch_execute("SELECT 1")
        .await
        .expect("1");
    registry
        .session::<Reports>()
        .await
        .expect("MariaDB")
        .batch_execute("SELECT 1")
        .await
        .expect("1");
    registry.session::<Files>().await.expect("SQLite").batch_execute("SELECT 1").await.expect("1");
    assert_eq!(registry.keys().collect::<Vec<_>>(), ["default", "files", "reports"]);

    let engine = registry.engine("files").expect("it is there");
    assert_eq!(engine.key(), "files");
    assert_eq!(engine, registry.clone().engine("files").expect("it is there"));
    assert_ne!(engine, registry.engine("default").expect("it is there"));
    assert_ne!(engine, self::registry().engine("files").expect("it is there"));
}

#[tokio::test]
async fn wrong_backend_names_both_backends() {
    let registry = registry();
    let error = registry.session::<Wrong>().await.expect_err("it is MySQL");
    assert!(matches!(error, AcquireError::WrongBackend(_)));
    assert_eq!(
        error.to_string(),
        "bind `reports`: the program expects SQLite, but the settings give it a MySQL URL"
    );
}

#[tokio::test]
async fn status_displays_as_a_table_and_serializes() {
    let registry = Registry::builder()
        .bind("default", "postgres://app:hunter2@localhost/app")
        .bind("files", "sqlite::memory:")
        .build()
        .expect("good settings");
    let session = registry.session::<Files>().await.expect("a session");
    let status = registry.status();
    assert_eq!(
        status.to_string(),
        "bind     backend     in use  idle  max  waiting  direct  waited  timed out  url\n\
         default  PostgreSQL       0     0   10        0       0       0          0  \
         postgres://app:***@localhost/app\n\
         files    SQLite           1     0    1        0       1       0          0  sqlite::memory:"
    );
    drop(session);
    let json = serde_json::to_value(&status).expect("it serializes");
    assert_eq!(json["engines"][0]["url"], "postgres://app:***@localhost/app");
    assert_eq!(json["engines"][1]["in_use"], 1);
    assert_eq!(json["engines"][1]["backend"], "sqlite");
    assert!(!format!("{registry:?} {status:?} {json}").contains("hunter2"));
}

#[test]
fn lookup_among_a_thousand_binds_is_exact() {
    let key = |number: usize| format!("b{number}");
    let registry = (0..1000)
        .fold(Registry::builder(), |builder, number| builder.bind(key(number), "sqlite::memory:"))
        .build()
        .expect("good settings");
    assert_eq!(registry.keys().len(), 1000);
    for number in 0..1000 {
        assert_eq!(registry.engine(&key(number)).expect("it is there").key(), key(number));
    }
    for key in ["b1000", "b", "b01", "", "B1", "a key that no settings can have, as it is too long"]
    {
        let error = registry.engine(key).expect_err("it is not there");
        assert_eq!((error.key.as_str(), error.known.len()), (key, 1000));
    }
}

#[tokio::test]
async fn check_reports_every_bind() {
    let port = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.local_addr().expect("its address").port()
    };
    let registry = Registry::builder()
        .bind("default", support::postgres().database("checked"))
        .bind("down", format!("mysql://app@127.0.0.1:{port}/app"))
        .bind("files", "sqlite::memory:")
        .build()
        .expect("good settings");
    let held = registry.session::<Files>().await.expect("its only session");
    let report = registry.check(Duration::from_secs(3)).await;
    assert!(!report.is_ok());
    let outcomes: Vec<_> =
        report.binds.iter().map(|bind| (bind.key.as_str(), bind.failure.as_deref())).collect();
    assert_eq!(outcomes[0], ("default", None));
    let (key, failure) = outcomes[1];
    assert_eq!(key, "down");
    assert!(failure.expect("nobody listens").contains("Connection refused"), "{failure:?}");
    let (key, failure) = outcomes[2];
    assert_eq!(key, "files");
    assert!(failure.expect("it is in use").contains("timed out after"), "{failure:?}");
    drop(held);
    let report = registry.check(Duration::from_secs(5)).await;
    assert_eq!(report.binds[2].failure, None);
    assert!(report.to_string().contains("files"), "{report}");
}
