//! The connection that migrations run on, from the bind to it.

use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::time::Instant;

use super::error::MigrateError;
use super::options::MigrateOptions;
use crate::backend::migrate::{Limits, TimeLimit};
use crate::backend::{Backend, OpenedConnection};
use crate::bind::Bind;
use crate::engine::{AcquireError, AnyEngine, Checkout, EngineUse, TypedEngine};
use crate::registry::handle::Registry;
use crate::registry::route::Route;

/// A connection to migrate on.
pub(crate) enum MigrationConnection<C: Backend> {
    /// A connection outside of the pool, so that migrations do not depend on a full pool or a statement timeout. The
    /// use keeps the engine from being evicted meanwhile.
    Dedicated(OpenedConnection<C>, EngineUse<TypedEngine<C>>),
    /// The only connection that an in-memory database has.
    CheckedOut(Checkout<C>),
}

impl<C: Backend> MigrationConnection<C> {
    /// `None` if the schema does not exist.
    pub(crate) async fn open(
        engine: EngineUse<TypedEngine<C>>,
        schema: Option<&str>,
        purpose: Purpose,
    ) -> Result<Option<Self>, AcquireError> {
        if engine.settings().url.is_memory() {
            let attempt = TypedEngine::try_acquire(engine, &Handle::current(), None, None)?;
            let checkout = TypedEngine::acquire(attempt, Instant::now(), None, None).await?;
            return Ok(Some(Self::CheckedOut(checkout)));
        }
        let connection = match purpose {
            Purpose::Change => engine.connect_to_migrate(schema).await?,
            Purpose::Read => engine.connect_to_read_migrations(schema).await?,
        };
        // The engine could connect. This is noted, so that an engine that was opened on demand does not count as
        // failed.
        engine.use_count().note_checkout();
        Ok(connection.map(|connection| Self::Dedicated(connection, engine)))
    }

    /// Whether it is closed after its use.
    pub(super) fn is_dedicated(&self) -> bool {
        matches!(self, Self::Dedicated(..))
    }

    pub(crate) fn connection(&mut self) -> &mut C {
        match self {
            Self::Dedicated(opened, _) => &mut opened.connection,
            Self::CheckedOut(checkout) => checkout.connection_mut(),
        }
    }

    /// The limits of a change on this connection.
    pub(super) fn limits(&self, options: &MigrateOptions, until: Option<Instant>) -> Limits {
        match self {
            Self::Dedicated(opened, _) => Limits {
                lock_timeout: options.lock_timeout,
                lock_retries: options.lock_retries(),
                time_limit: until
                    .map(|until| Arc::new(TimeLimit::new(until, opened.cancel.clone()))),
                stop: options.stop.clone(),
                observed: Arc::clone(&opened.observed),
            },
            // Nobody else has a lock of a database that has one connection.
            Self::CheckedOut(_) => Limits {
                time_limit: until.map(|until| Arc::new(TimeLimit::new(until, None))),
                stop: options.stop.clone(),
                ..Limits::default()
            },
        }
    }

    /// Passes the connection to `work`, which gives it back. Afterwards the connection is returned to the pool or
    /// closed.
    pub(super) fn run<R>(self, work: impl FnOnce(C) -> (C, R)) -> R {
        match self {
            // The connection is dropped, and its end releases the locks that the server keeps for it.
            Self::Dedicated(opened, _engine_use) => work(opened.connection).1,
            Self::CheckedOut(mut checkout) => checkout.with_owned_connection(work),
        }
    }
}

/// What the connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To read which migrations were run.
    Read,
    /// To run or revert migrations.
    Change,
}

/// Opens a connection to migrate on, on the engine of `route`.
pub(crate) async fn connect<B: Bind>(
    registry: &Registry,
    route: Route<'_>,
    purpose: Purpose,
) -> Result<(Arc<TypedEngine<B::Connection>>, MigrationConnection<B::Connection>), MigrateError> {
    let key = route.bind_key::<B>();
    let started = Instant::now();
    // Repeated whenever the operating system's resources ran out and an unused engine was evicted to free some.
    let (engine, connection) = loop {
        // Not through the gate, which may be closed until this has run.
        let opening = route.open_unchecked::<B>(registry, started, None);
        let found = opening.await.map_err(not_found)?;
        let engine = Arc::clone(found.engine.engine());
        let settings = engine.settings();
        if settings.is_isolated && purpose == Purpose::Change {
            return Err(MigrateError::Isolated { key });
        }
        // A schema is set for a session, and a pooler gives each transaction another one.
        let needs_session = purpose == Purpose::Change || found.schema.is_some();
        let has_pooler = settings.migrates_through_pooler();
        if has_pooler && needs_session {
            return Err(MigrateError::Pooler { key });
        }
        match MigrationConnection::open(found.engine, found.schema.as_deref(), purpose).await {
            Err(error) if error.lacks_resources() => {
                let limit = settings.options.acquire_timeout;
                drop(engine);
                if !registry.free_resources(started, limit).await {
                    return Err(route.error_for_caller::<B>(error).into());
                }
            }
            opened => break (engine, opened.map_err(|e| route.error_for_caller::<B>(e))?),
        }
    };
    match connection {
        Some(connection) => Ok((engine, connection)),
        None => Err(route.unknown_tenant::<B>().into()),
    }
}

/// Why no engine for the migrations could be acquired.
fn not_found(error: AcquireError) -> MigrateError {
    match error {
        AcquireError::UnknownBind(error) => MigrateError::UnknownBind(error),
        AcquireError::WrongBackend(error) => MigrateError::WrongBackend(error),
        AcquireError::NoTenant { key } => MigrateError::NoTenant { key },
        error => MigrateError::Acquire(error),
    }
}
