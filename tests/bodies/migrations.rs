//! Running migrations, on each backend.

use std::time::Duration;

use diesel::migration::{
    Migration, MigrationMetadata, MigrationName, MigrationSource, MigrationVersion,
};
use diesel::prelude::*;
use diesel_async::{AsyncConnectionCore, RunQueryDsl, SimpleAsyncConnection};
use registry_core::settings::BindSettings;
use registry_core::{MigrateError, Pooler, Registry, bind};

use super::{Backend, NAME, database};

type Diesel = <Backend as AsyncConnectionCore>::Backend;

diesel::table! {
    steps (id) {
        id -> Integer,
    }
}

#[bind(connection = super::Backend)]
struct Step;

type Main = <Step as registry_core::Bound>::Bind;

/// Migrations that are written inside the test, as pairs of a name and SQL.
struct Steps(&'static [(&'static str, &'static str)]);

#[derive(Clone, Copy)]
struct OneStep {
    name: &'static str,
    sql: &'static str,
}

impl MigrationSource<Diesel> for Steps {
    fn migrations(&self) -> diesel::migration::Result<Vec<Box<dyn Migration<Diesel>>>> {
        let boxed = |(name, sql): &(&'static str, &'static str)| -> Box<dyn Migration<Diesel>> {
            Box::new(OneStep { name, sql })
        };
        Ok(self.0.iter().map(boxed).collect())
    }
}

impl Migration<Diesel> for OneStep {
    fn run(
        &self,
        connection: &mut dyn diesel::connection::BoxableConnection<Diesel>,
    ) -> diesel::migration::Result<()> {
        Ok(connection.batch_execute(self.sql)?)
    }

    fn revert(
        &self,
        _: &mut dyn diesel::connection::BoxableConnection<Diesel>,
    ) -> diesel::migration::Result<()> {
        Ok(())
    }

    fn metadata(&self) -> &dyn MigrationMetadata {
        self
    }

    fn name(&self) -> &dyn MigrationName {
        self
    }
}

impl MigrationMetadata for OneStep {}

impl MigrationName for OneStep {
    fn version(&self) -> MigrationVersion<'_> {
        self.name.split('_').next().unwrap_or_default().into()
    }
}

impl std::fmt::Display for OneStep {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

const CREATE: (&str, &str) = ("1_create", "CREATE TABLE steps (id INTEGER PRIMARY KEY NOT NULL)");
const FILL: (&str, &str) = ("2_fill", "INSERT INTO steps VALUES (1)");
const FAIL: (&str, &str) = ("3_fail", "INSERT INTO nowhere VALUES (1)");

async fn steps(registry: &Registry) -> Vec<i32> {
    let mut session = registry.session_for::<Step>().await.expect("a session");
    steps::table.select(steps::id).load(&mut session).await.expect("rows")
}

/// A read-only registry with a short statement time-out: neither applies to migrations.
fn registry(url: &str) -> Registry {
    Registry::builder()
        .bind("default", BindSettings::new(url).max_connections(1).read_only(true))
        .build()
        .expect("good settings")
}

#[tokio::test(flavor = "current_thread")]
async fn migrations_run_once_and_are_reported() {
    let registry = registry(&database());
    // Migrations run on a connection outside the pool, so the only pooled connection can be lent.
    let held = registry.session_for::<Step>().await.expect("the only session");
    // They run in the order of their versions, whichever order they are listed in.
    let report = registry.migrate::<Main>(Steps(&[FILL, CREATE])).await.expect("they run");
    drop(held);
    assert_eq!(
        (report.applied.as_slice(), report.skipped),
        (&["1_create".to_owned(), "2_fill".to_owned()][..], 0)
    );
    assert_eq!(
        report.to_string(),
        "bind `default`: migrations run now: 2, before: 0\n  1_create\n  2_fill"
    );
    assert_eq!(steps(&registry).await, [1]);

    let report = registry.migrate::<Main>(Steps(&[CREATE, FILL])).await.expect("nothing to do");
    assert_eq!((report.applied.len(), report.skipped), (0, 2));
    assert_eq!(steps(&registry).await, [1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failed_migration_is_named_and_earlier_ones_stay() {
    let registry = registry(&database());
    let error = registry.migrate::<Main>(Steps(&[CREATE, FILL, FAIL])).await.expect_err("it fails");
    assert_eq!(
        error.to_string(),
        "bind `default`: the migration `3_fail` failed, after 2 had been run"
    );
    assert!(crate::support::causes(&error)[1].contains("nowhere"), "{error:?}");
    let MigrateError::Migration { applied, .. } = error else { panic!("another variant") };
    assert_eq!(applied, ["1_create", "2_fill"]);
    assert_eq!(steps(&registry).await, [1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_callers_run_each_migration_once() {
    let url = database();
    let (first, second) = (registry(&url), registry(&url));
    let (one, two) = tokio::join!(
        first.migrate::<Main>(Steps(&[CREATE, FILL])),
        second.migrate::<Main>(Steps(&[CREATE, FILL])),
    );
    let ran = [one.expect("it runs").applied.len(), two.expect("it runs").applied.len()];
    assert!(ran == [2, 0] || ran == [0, 2], "{ran:?}");
    assert_eq!(steps(&first).await, [1]);
}

#[tokio::test]
async fn migration_lock_is_released_after_a_run() {
    let url = database();
    for _ in 0..3 {
        registry(&url).migrate::<Main>(Steps(&[CREATE])).await.expect("nobody holds the lock");
    }
    let error = registry(&url).migrate::<Main>(Steps(&[CREATE, FAIL])).await;
    error.expect_err("it fails");
    registry(&url).migrate::<Main>(Steps(&[CREATE])).await.expect("nobody holds the lock");
    let registry = registry(&url);
    let mut session = registry.session_for::<Step>().await.expect("a session");
    session.batch_execute("SELECT 1").await.expect("an answer");
}

#[tokio::test]
async fn statement_timeout_does_not_apply_to_migrations() {
    let sleep = match NAME {
        "postgres" => ("1_sleep", "SELECT pg_sleep(0.4)"),
        "mysql" => ("1_sleep", "DO SLEEP(0.4)"),
        // SQLite has no such option.
        _ => return,
    };
    let bind = BindSettings::new(database()).statement_timeout(Duration::from_millis(100));
    let registry = Registry::builder().bind("default", bind).build().expect("good settings");
    registry.migrate::<Main>(Steps(Box::leak(Box::new([sleep])))).await.expect("it has the time");
}

async fn has_steps(url: &str) -> bool {
    let registry = registry(url);
    let mut session = registry.session_for::<Step>().await.expect("a session");
    steps::table.select(steps::id).load::<i32>(&mut session).await.is_ok()
}

#[tokio::test]
async fn migrations_connect_to_migrate_url() {
    let (url, other) = (database(), database());
    let bind = BindSettings::new(url.as_str()).migrate_url(other.as_str());
    let registry = Registry::builder().bind("default", bind).build().expect("good settings");
    let report = registry.migrate::<Main>(Steps(&[CREATE, FILL])).await.expect("they run");
    assert_eq!(report.applied.len(), 2);
    assert!(has_steps(&other).await && !has_steps(&url).await);
}

#[tokio::test]
async fn unreachable_migrate_url_is_the_one_in_the_error() {
    let (url, server) = match NAME {
        "postgres" => (database(), "postgres://app:zauber@127.0.0.1:1/nowhere"),
        "mysql" => (database(), "mysql://app:zauber@127.0.0.1:1/nowhere"),
        _ => (database(), "sqlite:///no/such/folder/nowhere"),
    };
    let bind = BindSettings::new(url).migrate_url(server);
    let registry = Registry::builder().bind("default", bind).build().expect("good settings");
    let error = registry.migrate::<Main>(Steps(&[CREATE])).await.expect_err("nobody is there");
    let shown = format!("{error} {error:?}");
    assert!(error.to_string().ends_with("/nowhere"), "{error}");
    assert!(!shown.contains("zauber"), "{shown}");
}

#[tokio::test]
async fn migrations_behind_a_pooler_require_migrate_url() {
    let (url, other) = (database(), database());
    let bind = BindSettings::new(url.as_str()).pooler(Pooler::Transaction);
    let built = Registry::builder().bind("default", bind.clone()).build();
    if NAME != "postgres" {
        let error = built.expect_err("a pooler is for PostgreSQL").to_string();
        assert!(
            error.starts_with("bind(\"default\").pooler: `pooler` is for PostgreSQL"),
            "{error}"
        );
        return;
    }
    let registry = built.expect("good settings");
    let error = registry.migrate::<Main>(Steps(&[CREATE])).await.expect_err("no migrate_url");
    assert_eq!(
        error.to_string(),
        "bind `default`: migrations cannot be run through its `pooler`: say `migrate_url`, the URL of \
         the server itself"
    );
    let bind = bind.migrate_url(other.as_str());
    let registry = Registry::builder().bind("default", bind).build().expect("good settings");
    registry.migrate::<Main>(Steps(&[CREATE])).await.expect("they go past the pooler");
    assert!(has_steps(&other).await && !has_steps(&url).await);
}

#[test]
fn migrations_outside_a_runtime_are_refused() {
    let registry = registry(&database());
    let migrate = registry.migrate::<Main>(Steps(&[CREATE]));
    let outcome = futures_util::FutureExt::now_or_never(migrate).expect("it does not wait");
    assert_eq!(
        outcome.expect_err("no runtime").to_string(),
        "bind `default`: migrations can only be run inside a Tokio runtime"
    );
}

#[tokio::test]
async fn closed_registry_refuses_migrations() {
    let registry = registry(&database());
    registry.close().await;
    let error = registry.migrate::<Main>(Steps(&[CREATE])).await.expect_err("it is closed");
    assert_eq!(error.to_string(), "bind `default`: the registry is closed");
}
