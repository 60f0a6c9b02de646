//! A registry for one test, on which nothing is ever committed.

use std::sync::Arc;

use super::bind_entry::{BindEntry, ReplaceableEngine};
use super::handle::{Registry, RegistryParts};
use super::sqlite_copies::{IsolationError, SqliteCopies};
use crate::engine::{self, AnyEngine, CheckFailure};
use crate::on_demand::OnDemandEngines;
use crate::settings::{BackendKind, EngineSettings, OnDemandOptions};

impl Registry {
    /// A registry for one test, on which nothing is ever committed, and which no other test shares.
    ///
    /// On PostgreSQL, MySQL and MariaDB each bind has one connection, in a transaction that is rolled back when the
    /// registry is dropped or closed. A commit on it releases a savepoint, and each session and each query on the
    /// registry has a savepoint of its own, so that a failed query does not abort the transaction. A SQLite database is
    /// copied, and behaves as usual.
    ///
    /// ```
    /// use diesel::prelude::*;
    /// use registry_core::{BindDsl, Registry, RunQueryDsl, bind_tables};
    ///
    /// diesel::table! { events (id) { id -> Integer, } }
    /// bind_tables!(db = "analytics", backend = Sqlite; events);
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), registry_core::Error> {
    /// let registry = Registry::builder().bind("analytics", "sqlite::memory:").build()?;
    /// let create = "CREATE TABLE events (id INTEGER PRIMARY KEY)";
    /// diesel::sql_query(create).bound_to::<events::table>().execute(&registry).await?;
    ///
    /// let isolated = registry.test_isolation().await?;
    /// diesel::insert_into(events::table).values(events::id.eq(1)).execute(&isolated).await?;
    /// assert_eq!(events::table.count().get_result::<i64>(&isolated).await?, 1);
    /// assert_eq!(events::table.count().get_result::<i64>(&registry).await?, 0);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # One connection for each bind
    ///
    /// Concurrent users of a bind (queries in a `try_join!`, requests, a session of one task beside the unit of work of
    /// another) take turns on that connection, first come, first served, and wait for `acquire_timeout` at most.
    /// (Another connection would not see the uncommitted data.) So a task that holds a session, a unit of work or a
    /// stream of rows, and asks for another session of the bind, waits for itself. That is an error,
    /// [`AcquireError::Isolated`](crate::AcquireError::Isolated), once the task has made no progress for 5 s. Until
    /// then, another future of the same task may hold the session and return it.
    ///
    /// Databases of tenants are isolated in the same way: on a server by one connection for each tenant, and a SQLite
    /// file by a copy, which is made when the tenant is first used. Tenants with a schema for each share the connection
    /// of their bind and take turns. Unknown tenants stay unknown, and nothing is created.
    ///
    /// # Limits
    ///
    /// It works for sessions, queries, units of work, scopes and the web layer alike. Options of units of work that
    /// need a transaction of their own (isolation level, read-only) have no effect.
    ///
    /// - A `COMMIT` in a statement of your own does commit. So does DDL on MySQL and MariaDB.
    /// - Tasks that wait for each other while one has the connection, as by a channel in a unit of work, wait for the
    ///   whole `acquire_timeout`. With more connections they would not.
    /// - Tests that run at the same time and insert equal unique keys wait for each other, as transactions do.
    /// - Sequences and `AUTO_INCREMENT` are not rolled back, and `now()` stands still on PostgreSQL.
    /// - If the future of a statement is dropped, the connection is lost, and with it everything that the test has
    ///   written. Every later acquire returns [`AcquireError::IsolationLost`](crate::AcquireError::IsolationLost). A
    ///   future that only waits for a session can be dropped safely.
    /// - Migrations must be run before, except for SQLite.
    /// - [`session_by_url`](Self::session_by_url) is an error for SQLite.
    ///
    /// # Errors
    ///
    /// [`IsolationError`] if a SQLite database cannot be copied. No other database is connected to yet.
    pub async fn test_isolation(&self) -> Result<Registry, IsolationError> {
        let copies = SqliteCopies::new(self.0.on_demand.clone())
            .map_err(|source| IsolationError::Folder { source })?;
        let mut binds = Vec::new();
        for entry in self.entries() {
            binds.push(match entry {
                BindEntry::Single(engine) => {
                    BindEntry::Single(isolated(&engine.current(), &copies).await?)
                }
                BindEntry::SchemaPerTenant { engine, schema } => {
                    let engine = isolated(&engine.current(), &copies).await?;
                    BindEntry::SchemaPerTenant { engine, schema: Arc::clone(schema) }
                }
                BindEntry::DatabasePerTenant(tenants) => {
                    BindEntry::DatabasePerTenant(tenants.isolated())
                }
            });
        }
        // No engine is ever evicted, because closing an engine rolls back everything that the test has written through
        // it.
        let options = OnDemandOptions { max_engines: u32::MAX, engine_idle_timeout: None };
        Ok(Registry::new(RegistryParts {
            binds,
            bind_defaults: self.0.bind_defaults.isolated(),
            on_demand: OnDemandEngines::new(options),
            work_options: self.0.work_options.clone(),
            token_key: self.0.token_key.clone(),
            gate: self.0.gate.of_other_registry(),
            telemetry: self.0.telemetry.of_other_registry(),
            sqlite_copies: Some(copies),
        }))
    }
}

async fn isolated(
    engine: &Arc<dyn AnyEngine>,
    copies: &SqliteCopies,
) -> Result<ReplaceableEngine, IsolationError> {
    let settings = isolated_settings(engine, copies).await?;
    Ok(ReplaceableEngine::new(engine::open(Arc::new(settings), None)))
}

async fn isolated_settings(
    engine: &Arc<dyn AnyEngine>,
    copies: &SqliteCopies,
) -> Result<EngineSettings, IsolationError> {
    let settings = engine.settings();
    if settings.url.backend() != BackendKind::Sqlite {
        return Ok(settings.isolated(None));
    }
    let copy = copies.of_engine(engine).await;
    let copy = copy.map_err(|failure| IsolationError::Copy {
        key: settings.key,
        source: match failure {
            CheckFailure::Acquire(error) => error.into(),
            CheckFailure::Check(error) => error,
        },
    })?;
    Ok(settings.isolated(Some(settings.url.at_file(&copy))))
}
