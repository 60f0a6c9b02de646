//! The connections by which databases are created, migrated and dropped.

use std::sync::Arc;

use tokio::time::Instant;

use crate::backend::namespace::Namespace;
use crate::backend::{Backend, ConnectError};
use crate::engine::{self, AcquireError, EngineUse, TypedEngine};
use crate::registry::handle::Registry;
use crate::registry::migrate::{MigrationConnection, Purpose};
use crate::registry::route::FoundEngine;
use crate::settings::{BindKey, EngineSettings, Pooler};

/// A connection, and the engine that it belongs to.
pub(super) type Connected<C> = (Arc<TypedEngine<C>>, MigrationConnection<C>);

/// Connects for an operation on the databases of one bind.
pub(super) struct Administration<'r> {
    pub(super) registry: &'r Registry,
    pub(super) key: BindKey,
    pub(super) started: Instant,
}

pub(super) enum AdministerError {
    Acquire(AcquireError),
    Lock(diesel::result::Error),
}

impl AdministerError {
    /// The error of an operation, which says by `failed` that the lock could not be taken.
    pub(super) fn of_operation<E: From<AcquireError>>(
        self,
        failed: impl FnOnce(diesel::result::Error) -> E,
    ) -> E {
        match self {
            Self::Acquire(error) => error.into(),
            Self::Lock(error) => failed(error),
        }
    }
}

/// The settings by which a database is administered: at the server itself, with no connection ahead of need.
pub(super) fn administered(mut settings: EngineSettings) -> EngineSettings {
    settings.url = settings.url_to_migrate().clone();
    settings.migrate_url = None;
    settings.options.pooler = Pooler::None;
    settings.options.min_idle = 0;
    settings.tenant_schema = None;
    settings
}

impl Administration<'_> {
    /// A connection with these settings, or `None` if the schema does not exist. It has an engine of its own, which no
    /// other caller shares.
    pub(super) async fn connect<C: Backend>(
        &self,
        settings: &EngineSettings,
        schema: Option<&str>,
    ) -> Result<Option<Connected<C>>, AcquireError> {
        loop {
            let engine = engine::open(Arc::new(settings.clone()), None);
            let engine = FoundEngine::new(EngineUse::new(engine))?.engine;
            let typed_engine = Arc::clone(engine.engine());
            match MigrationConnection::open(engine, schema, Purpose::Change).await {
                Ok(opened) => return Ok(opened.map(|connection| (typed_engine, connection))),
                Err(error) if error.lacks_resources() => {
                    let limit = settings.options.acquire_timeout;
                    if !self.registry.free_resources(self.started, limit).await {
                        return Err(error.of_bind(self.key));
                    }
                }
                Err(error) => return Err(error.of_bind(self.key)),
            }
        }
    }

    /// A connection from which the namespace can be created and dropped, with the namespace's lock.
    pub(super) async fn administer<C: Backend>(
        &self,
        settings: &EngineSettings,
        namespace: &Namespace,
    ) -> Result<MigrationConnection<C>, AdministerError> {
        let mut settings = settings.clone();
        // The statements of `on_connect` are meant for the database itself, so they are not run here.
        settings.options.on_connect.clear();
        let databases: &[&str] = match namespace {
            Namespace::Schema(_) => &[],
            Namespace::Database(_) => C::MAINTENANCE_DATABASES,
        };
        let mut urls: Vec<_> =
            databases.iter().map(|name| settings.url.at_database(name)).collect();
        if urls.is_empty() {
            urls.push(settings.url.clone());
        }
        let mut connected = None;
        for url in urls {
            settings.url = url;
            match self.connect::<C>(&settings, None).await {
                Err(error) if is_unknown_database(&error) && connected.is_none() => {
                    connected = Some(Err(error));
                }
                outcome => {
                    connected = Some(outcome);
                    break;
                }
            }
        }
        let Some(connected) = connected else { unreachable!("there is a URL") };
        let connected = connected.map_err(AdministerError::Acquire)?;
        let Some((_, mut admin)) = connected else { unreachable!("no schema was asked for") };
        admin.connection().lock_namespace(namespace).await.map_err(AdministerError::Lock)?;
        Ok(admin)
    }
}

fn is_unknown_database(error: &AcquireError) -> bool {
    matches!(error, AcquireError::Connect { source, .. }
        if matches!(**source, ConnectError::UnknownDatabase(_)))
}
