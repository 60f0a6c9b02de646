//! Migrations by Diesel's own harness, on the connection of a session.

use diesel_async::AsyncConnection;
use diesel_async::async_connection_wrapper::AsyncConnectionWrapper;
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};
use registry_core::{Registry, Session, binds};

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("docs/guide/migrations/analytics");

/// As in the example `sync-wrapper` of diesel-async: for any connection.
async fn run_migrations<C>(connection: C) -> Vec<String>
where
    C: AsyncConnection + 'static,
    AsyncConnectionWrapper<C>: MigrationHarness<C::Backend>,
    C::Backend: diesel::backend::Backend,
{
    let mut connection: AsyncConnectionWrapper<C> = AsyncConnectionWrapper::from(connection);
    let run = tokio::task::spawn_blocking(move || {
        let run = connection.run_pending_migrations(MIGRATIONS).expect("they run");
        run.iter().map(ToString::to_string).collect()
    });
    run.await.expect("no panic")
}

macro_rules! migrated {
    ($($backend:ident)*) => {$(
        #[tokio::test]
        async fn $backend() {
            use crate::support::backends::$backend::{Backend, database};
            binds! { Main: crate::support::backends::$backend::Backend = "default"; }
            let url = database();
            let connection = Backend::establish(&url).await.expect("a connection");
            assert_eq!(run_migrations(connection).await.len(), 2);
            let registry = Registry::builder().bind("default", database()).build().expect("good settings");
            let session: Session<Main> = registry.session().await.expect("a session");
            assert_eq!(run_migrations(session).await.len(), 2);
        }
    )*};
}

migrated! { postgres mysql sqlite }
