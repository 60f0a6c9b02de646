//! What `verify` finds. In a test binary of its own, as `verify` checks all models of a program: here two models and a
//! table.

use diesel::prelude::*;
use registry_core::settings::BindSettings;
use registry_core::{Registry, RegistryBuilder, VerifyFailure, bind, bind_tables};
use support::replicas::Cluster;
use tokio::task::block_in_place;

mod pending;
#[path = "../support/mod.rs"]
mod support;

mod schema {
    diesel::table! {
        events (id) {
            id -> Integer,
        }
    }
}

#[bind(backend = Postgres)]
#[derive(Debug)]
#[expect(dead_code, reason = "only looked at by `verify`")]
struct User {
    id: i32,
}

#[bind(db = "analytics", backend = Sqlite)]
#[derive(Debug, Queryable)]
#[diesel(table_name = schema::events)]
#[expect(dead_code, reason = "only looked at by `verify`")]
struct Event {
    id: i32,
}

bind_tables!(db = "analytics", backend = Sqlite; schema::events);

fn builder() -> RegistryBuilder {
    Registry::builder()
        .bind("default", support::postgres().database("verify"))
        .bind("analytics", "sqlite::memory:")
}

/// A URL whose port has no listener.
fn nowhere() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("its address").port();
    format!("mysql://app:hunter2@127.0.0.1:{port}/app")
}

#[tokio::test]
async fn verify_reports_what_is_in_order() {
    let registry = builder().build().expect("good settings");
    let report = registry.verify().await.expect("all is well");
    assert_eq!(report.bound, 3);
    assert_eq!(report.answered, ["analytics", "default"]);
    assert!(report.warnings.is_empty());
}

#[tokio::test]
async fn verify_reports_every_failure_with_its_place_and_cause() {
    let registry = Registry::builder()
        // The models declare PostgreSQL for the default bind, and a bind `analytics`.
        .bind("default", "sqlite::memory:")
        .bind("analytic", "sqlite::memory:")
        .bind("reports", nowhere())
        .build()
        .expect("good settings");
    let error = registry.verify().await.expect_err("much is wrong");
    let text = error.to_string();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "4 problems with the binds:");
    let missing = "the settings have no bind `analytics`; they have `analytic`, `default` and \
                   `reports`; did you mean `analytic`?";
    let wrong =
        "bind `default`: the program expects PostgreSQL, but the settings give it a SQLite URL";
    for (item, problem) in [
        ("model `verify::Event`", missing),
        ("table `verify::schema::events`", missing),
        ("model `verify::User`", wrong),
    ] {
        let line = lines.iter().find(|line| line.contains(item)).expect(item);
        assert!(line.starts_with(&format!("  {item} (tests/verify/main.rs:")), "{line}");
        assert!(line.ends_with(problem), "{line}");
    }
    assert!(
        lines[4].starts_with("  bind `reports`: could not connect to mysql://app:***@"),
        "{text}"
    );
    assert!(lines[4].contains("Connection refused"), "{text}");
    assert!(!text.contains("hunter2"));
    assert!(matches!(error.failures()[3], VerifyFailure::Acquire(_)));
}

#[tokio::test]
async fn failure_of_a_bind_that_is_not_required_is_a_warning() {
    let registry = builder()
        .bind("reports", BindSettings::new(nowhere()).required(false))
        .build()
        .expect("good settings");
    let report = registry.verify().await.expect("only a warning");
    assert_eq!(report.answered, ["analytics", "default"]);
    assert!(matches!(&report.warnings[..], [VerifyFailure::Acquire(_)]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn account_that_may_not_see_how_far_a_replica_is_gets_a_warning() {
    let cluster = block_in_place(|| Cluster::postgres(1));
    let url = block_in_place(|| cluster.database("verify"));
    let replica = cluster.node(1).at(&url);
    let registry = Registry::builder()
        .bind("default", BindSettings::new(url).replica(replica))
        .bind("analytics", "sqlite::memory:")
        .build()
        .expect("good settings");
    let report = registry.verify().await.expect("all is well");
    assert!(report.warnings.is_empty(), "{:?}", report.warnings);

    block_in_place(|| {
        cluster.primary().server().execute("REVOKE pg_read_all_stats FROM app");
        cluster.wait_until_caught_up();
    });
    let report = registry.verify().await.expect("only a warning");
    let [warning @ VerifyFailure::ReplicaPosition { .. }] = &report.warnings[..] else {
        panic!("{:?}", report.warnings);
    };
    assert!(warning.to_string().contains("GRANT pg_read_all_stats"), "{warning}");
}
