//! The connection that migrations run on.

use tokio::runtime::Handle;
use tokio::time::Instant;

use crate::backend::Backend;
use crate::engine::{AcquireError, AnyEngine, Checkout, EngineUse, TypedEngine};

/// A connection to migrate on.
pub(crate) enum MigrationConnection<C: Backend> {
    /// A connection outside of the pool, so that migrations do not depend on a full pool or a statement timeout. The
    /// use keeps the engine from being evicted meanwhile.
    Dedicated(C, EngineUse<TypedEngine<C>>),
    /// The only connection that an in-memory database has.
    CheckedOut(Checkout<C>),
}

impl<C: Backend> MigrationConnection<C> {
    /// `None` if the schema does not exist.
    pub(crate) async fn open(
        engine: EngineUse<TypedEngine<C>>,
        schema: Option<&str>,
    ) -> Result<Option<Self>, AcquireError> {
        if engine.settings().url.is_memory() {
            let attempt = TypedEngine::try_acquire(engine, &Handle::current(), None, None)?;
            let checkout = TypedEngine::acquire(attempt, Instant::now(), None, None).await?;
            return Ok(Some(Self::CheckedOut(checkout)));
        }
        let connection = engine.connect_to_migrate(schema).await?;
        // The engine could connect. This is noted, so that an engine that was opened on demand does not count as
        // failed.
        engine.use_count().note_checkout();
        Ok(connection.map(|connection| Self::Dedicated(connection, engine)))
    }

    pub(crate) fn connection(&mut self) -> &mut C {
        match self {
            Self::Dedicated(connection, _) => connection,
            Self::CheckedOut(checkout) => checkout.connection_mut(),
        }
    }

    /// Passes the connection to `work`, which gives it back. Afterwards the connection is returned to the pool or
    /// closed.
    pub(super) fn run<R>(self, work: impl FnOnce(C) -> (C, R)) -> R {
        match self {
            // The connection is dropped, and its end releases the locks that the server keeps for it.
            Self::Dedicated(connection, _engine_use) => work(connection).1,
            Self::CheckedOut(mut checkout) => checkout.with_owned_connection(work),
        }
    }
}
