//! The connection that migrations run on.

use tokio::runtime::Handle;
use tokio::time::Instant;

use crate::backend::Backend;
use crate::engine::{AcquireError, AnyEngine, Checkout, EngineUse, TypedEngine};

/// A connection to migrate on.
pub(crate) enum MigrationConnection<C: Backend> {
    /// One beside the pool, so that neither a full pool nor a statement timeout is in the way. The use keeps the engine
    /// from being evicted meanwhile.
    Dedicated(C, EngineUse<TypedEngine<C>>),
    /// The only connection that an in-memory database has.
    CheckedOut(Checkout<C>),
}

impl<C: Backend> MigrationConnection<C> {
    /// `None` if there is no such schema.
    pub(crate) async fn open(
        engine: EngineUse<TypedEngine<C>>,
        schema: Option<&str>,
    ) -> Result<Option<Self>, AcquireError> {
        if engine.settings().url.is_memory() {
            let attempt = TypedEngine::try_acquire(engine, &Handle::current(), None)?;
            let checkout = TypedEngine::acquire(attempt, Instant::now(), None, None).await?;
            return Ok(Some(Self::CheckedOut(checkout)));
        }
        let connection = engine.connect_to_migrate(schema).await?;
        // The engine could connect, so an engine that was opened on demand is not one that failed, and is kept.
        engine.use_count().note_checkout();
        Ok(connection.map(|connection| Self::Dedicated(connection, engine)))
    }

    pub(crate) fn connection(&mut self) -> &mut C {
        match self {
            Self::Dedicated(connection, _) => connection,
            Self::CheckedOut(checkout) => checkout.connection_mut(),
        }
    }

    /// Hands the connection to `work`, which gives it back, and returns or closes it after that.
    pub(super) fn run<R>(self, work: impl FnOnce(C) -> (C, R)) -> R {
        match self {
            // The connection is dropped, and its end releases the locks that the server keeps for it.
            Self::Dedicated(connection, _engine_use) => work(connection).1,
            Self::CheckedOut(mut checkout) => checkout.with_owned_connection(work),
        }
    }
}
