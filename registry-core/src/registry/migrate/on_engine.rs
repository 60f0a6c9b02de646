//! The migrations of a bind on an engine that is open already.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::runtime::Handle;
use tokio::time::Instant;

use super::Change;
use super::connection::{MigrationConnection, Purpose};
use super::error::MigrateError;
use super::options::MigrateOptions;
use super::report::MigrateReport;
use super::run::{ChangeTask, Subject, make_change, read_status};
use super::source::SharedSource;
use super::status::MigrationStatus;
use crate::backend::Backend;
use crate::bind::{self, Bind};
use crate::engine::{AcquireError, AnyEngine, EngineUse, TypedEngine, WriteRequest};
use crate::registry::handle::Registry;
use crate::settings::{BindKey, WrongBackend};

/// A database that an engine has been opened for, or a schema of it.
pub(crate) struct OpenDatabase {
    pub(crate) engine: EngineUse<dyn AnyEngine>,
    pub(crate) schema: Option<String>,
    /// The name of the tenant, if it is of one.
    pub(crate) tenant: Option<String>,
}

/// Which of the migrations of the bind `B` were run on it.
///
/// It is read on a connection of the pool, and so through a pooler as well. If there is a `migrate_url`, it is read there:
/// the user of the other URL may have no rights on the table of versions.
pub(super) fn status_on<B: Bind>(
    registry: &Registry,
    database: OpenDatabase,
    source: SharedSource<B::Connection>,
) -> BoxFuture<'static, Result<MigrationStatus, MigrateError>> {
    let registry = registry.clone();
    async move {
        let key = bind::key_of::<B>();
        let runtime = Handle::try_current().map_err(|_| MigrateError::NoRuntime { key })?;
        let OpenDatabase { engine, schema, tenant } = database;
        let engine = typed::<B>(engine)?;
        let typed_engine = Arc::clone(engine.engine());
        let settings = AnyEngine::settings(&*typed_engine);
        // In test isolation, the one connection of the pool may be lent to a caller that waits for this.
        let connection = if settings.migrate_url.is_some() || settings.is_isolated {
            MigrationConnection::open(engine, schema.as_deref(), Purpose::Read).await
        } else {
            checked_out(engine, schema).await
        };
        let Some(connection) = connection? else { return Err(unknown_tenant(key, tenant)) };
        let read = |status, _: &_| status;
        let subject = Subject { key, tenant };
        read_status(&registry, runtime, typed_engine, connection, source, subject, read).await
    }
    .boxed()
}

/// Runs the pending migrations of the bind `B` on it.
pub(super) fn run_on<B: Bind>(
    registry: &Registry,
    database: OpenDatabase,
    source: SharedSource<B::Connection>,
    write: WriteRequest,
) -> BoxFuture<'static, Result<MigrateReport, MigrateError>> {
    let registry = registry.clone();
    async move {
        let key = bind::key_of::<B>();
        let runtime = Handle::try_current().map_err(|_| MigrateError::NoRuntime { key })?;
        let OpenDatabase { engine, schema, tenant } = database;
        let engine = typed::<B>(engine)?;
        let typed_engine = Arc::clone(engine.engine());
        let settings = AnyEngine::settings(&*typed_engine);
        if settings.is_isolated {
            return Err(MigrateError::Isolated { key });
        }
        if settings.migrates_through_pooler() {
            return Err(MigrateError::Pooler { key });
        }
        let opening = MigrationConnection::open(engine, schema.as_deref(), Purpose::Change);
        let connection = opening.await?;
        let Some(connection) = connection else { return Err(unknown_tenant(key, tenant)) };
        let (subject, options) = (Subject { key, tenant }, MigrateOptions::default());
        let task = ChangeTask::new(subject, source, Change::Run, options);
        make_change(&registry, runtime, typed_engine, connection, task, Some(write)).await
    }
    .boxed()
}

fn typed<B: Bind>(
    engine: EngineUse<dyn AnyEngine>,
) -> Result<EngineUse<TypedEngine<B::Connection>>, MigrateError> {
    let (key, found) = (bind::key_of::<B>(), engine.settings().url.backend());
    let expected = B::Connection::KIND;
    engine.downcast().ok_or(MigrateError::WrongBackend(WrongBackend { key, expected, found }))
}

/// A connection of the pool. `None` if the schema does not exist.
async fn checked_out<C: Backend>(
    engine: EngineUse<TypedEngine<C>>,
    schema: Option<String>,
) -> Result<Option<MigrationConnection<C>>, AcquireError> {
    let attempt = TypedEngine::try_acquire(engine, &Handle::current(), schema.as_deref(), None)?;
    let acquiring = TypedEngine::acquire(attempt, Instant::now(), None, schema.as_deref());
    let checkout = match (acquiring.await?, schema) {
        (checkout, Some(schema)) => TypedEngine::enter_schema(checkout, schema).await?,
        (checkout, None) => Some(checkout),
    };
    Ok(checkout.map(MigrationConnection::CheckedOut))
}

fn unknown_tenant(key: BindKey, tenant: Option<String>) -> MigrateError {
    let tenant = tenant.unwrap_or_default();
    AcquireError::UnknownTenant { key, tenant, source: None }.into()
}
