//! Migrations, which hold a session-level lock and therefore must not go through the pooler.

use std::time::Duration;

use diesel_async::{AsyncConnection, SimpleAsyncConnection};
use registry_core::{
    AcquireError, BindSettings, MigrateError, Pooler as PoolerOption, Registry, Tenant,
    TenantResolver, WhenPending, binds,
};

use super::rig::{by_transaction, registry};
use crate::support::pgbouncer::Pooler;
use crate::support::{causes, fresh_folder, postgres};

binds! {
    Main: Postgres = "main";
}

fn migrations() -> diesel_migrations::FileBasedMigrations {
    let folder = fresh_folder();
    let up = folder.join("2026-01-01-000000_notes");
    std::fs::create_dir(&up).expect("a folder");
    std::fs::write(up.join("up.sql"), "CREATE TABLE notes (id INTEGER)").expect("a file");
    diesel_migrations::FileBasedMigrations::from_path(&folder).expect("migrations")
}

/// Runs a query on every server connection of the pooler, as other clients do.
async fn use_every_connection(pooler: &Pooler, direct: &str) {
    let mut clients = Vec::new();
    for _ in 0..4 {
        let mut client = diesel_async::AsyncPgConnection::establish(&pooler.url(direct))
            .await
            .expect("the pooler is up");
        client.batch_execute("BEGIN; SELECT 1").await.expect("it is free");
        clients.push(client);
    }
    for client in &mut clients {
        client.batch_execute("ROLLBACK").await.expect("its transaction");
    }
}

async fn locks(direct: &str) -> i64 {
    let mut direct =
        diesel_async::AsyncPgConnection::establish(direct).await.expect("the server is up");
    let count = diesel::dsl::sql::<diesel::sql_types::BigInt>(
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND database = \
         (SELECT oid FROM pg_database WHERE datname = current_database())",
    );
    diesel_async::RunQueryDsl::get_result(count, &mut direct).await.expect("a number")
}

async fn migrate(registry: &Registry) -> Result<usize, String> {
    let run = registry.migrate::<Main>(migrations());
    match tokio::time::timeout(Duration::from_secs(30), run).await {
        Ok(Ok(report)) => Ok(report.applied.len()),
        Ok(Err(error)) => Err(causes(&error).join(": ")),
        Err(_) => Err("it waits without an end".to_owned()),
    }
}

#[tokio::test]
async fn migrations_without_migrate_url_are_refused_with_the_setting_to_add() {
    let direct = postgres().database("pooled");
    let pooler = by_transaction(postgres());
    let registry = registry(&pooler.url(&direct), "");
    let error = migrate(&registry).await.expect_err("it must not go through the pooler");
    assert!(error.contains("pooler") && error.contains("migrate_url"), "{error}");
    assert_eq!(locks(&direct).await, 0);
    assert!(!error.contains("sesame"), "{error}");
}

#[tokio::test]
async fn migrations_with_migrate_url_bypass_the_pooler_and_leave_no_lock() {
    let direct = postgres().database("pooled");
    let pooler = by_transaction(postgres());
    let registry = registry(&pooler.url(&direct), &format!("migrate_url = \"{direct}\""));
    assert_eq!(migrate(&registry).await, Ok(1));
    use_every_connection(&pooler, &direct).await;
    assert_eq!(locks(&direct).await, 0);
    assert_eq!(migrate(&registry).await, Ok(0));
    // Two concurrent runs execute no migration twice, and neither hangs.
    let (one, two) = tokio::join!(migrate(&registry), migrate(&registry));
    assert_eq!((one, two), (Ok(0), Ok(0)));
    let mut session = registry.session::<Main>().await.expect("a session");
    session.batch_execute("SELECT * FROM notes").await.expect("a table");
    assert_eq!(locks(&direct).await, 0);
}

/// A registry with a database for each tenant behind the pooler, whose migrations it was told.
fn tenants(pooler: &Pooler, direct: &str, migrate_url: bool, when: WhenPending) -> Registry {
    let (url, direct) = (pooler.url(direct), direct.to_owned());
    let resolver = TenantResolver::new(move |_: &Tenant| {
        let settings = BindSettings::new(url.as_str()).pooler(PoolerOption::Transaction);
        let settings = if migrate_url { settings.migrate_url(direct.as_str()) } else { settings };
        async move { Ok::<_, std::io::Error>(settings.when_pending(when)) }
    });
    let builder = Registry::builder().tenants("main", resolver).migrations::<Main>(migrations());
    builder.build().expect("good settings")
}

#[tokio::test]
async fn pending_migrations_of_a_tenant_are_read_through_the_pooler() {
    let direct = postgres().database("pooled");
    let pooler = by_transaction(postgres());
    let registry = tenants(&pooler, &direct, false, WhenPending::Fail);
    let acme = registry.tenant("acme").expect("a good name");
    let error = acme.session::<Main>().await.expect_err("nothing was run");
    assert!(matches!(error, AcquireError::PendingMigrations { .. }), "{error:?}");
    let plain = Registry::builder().bind("main", direct.as_str()).build().expect("good settings");
    plain.migrate::<Main>(migrations()).await.expect("they run");
    use_every_connection(&pooler, &direct).await;
    let mut session = acme.session::<Main>().await.expect("a session");
    session.batch_execute("SELECT * FROM notes").await.expect("the table");
}

#[tokio::test]
async fn migrations_of_a_tenant_are_run_beside_the_pooler_or_not_at_all() {
    let direct = postgres().database("pooled");
    let pooler = by_transaction(postgres());
    let refused = tenants(&pooler, &direct, false, WhenPending::Migrate);
    let acme = refused.tenant("acme").expect("a good name");
    let error = acme.session::<Main>().await.expect_err("it must not go through the pooler");
    let AcquireError::Migrations { source, .. } = &error else { panic!("{error:?}") };
    let cause = source.downcast_ref::<MigrateError>();
    assert!(matches!(cause, Some(MigrateError::Pooler { .. })), "{cause:?}");

    let registry = tenants(&pooler, &direct, true, WhenPending::Migrate);
    let acme = registry.tenant("acme").expect("a good name");
    let mut session = acme.session::<Main>().await.expect("a session");
    session.batch_execute("SELECT * FROM notes").await.expect("the table");
    assert_eq!(locks(&direct).await, 0);
}
