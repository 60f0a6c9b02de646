//! Migrations, which hold a session-level lock and therefore must not go through the pooler.

use std::time::Duration;

use diesel_async::{AsyncConnection, SimpleAsyncConnection};
use registry_core::{Registry, binds};

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
