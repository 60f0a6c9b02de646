//! Sessions without a pool: an engine for one session, and a connection that leaves its engine.

use std::sync::Arc;

use diesel::connection::get_default_instrumentation;
use tokio::runtime::Handle;
use tokio::time::{Instant, timeout};

use super::checkout::Checkout;
use super::engine_use::EngineUse;
use super::error::AcquireError;
use super::permit::Permit;
use super::setup::setup_error;
use super::slot::WatchedConnection;
use super::typed::TypedEngine;
use crate::backend::{Backend, ConnectError, OpenedConnection};
use crate::meters::Timer;
use crate::settings::{BindKey, EngineSettings};

impl<C: Backend> TypedEngine<C> {
    /// Opens a connection with an engine of its own, which ends with the checkout.
    pub(crate) async fn open_one_off(
        settings: EngineSettings,
    ) -> Result<Checkout<C>, AcquireError> {
        let key = settings.key;
        let runtime = Handle::try_current().map_err(|_| AcquireError::NoRuntime { key })?;
        let engine = Arc::new(Self::new(Arc::new(settings.one_off()), None));
        let attempt = Self::try_acquire(EngineUse::new(engine), &runtime, None, None)?;
        Self::acquire(attempt, Instant::now(), None, None).await
    }

    /// Gives a connection that the program has opened an engine of its own, which ends with the checkout.
    pub(crate) async fn adopt(
        settings: EngineSettings,
        connection: C,
    ) -> Result<Checkout<C>, AcquireError> {
        let (key, url) = (settings.key, settings.url.to_string());
        Handle::try_current().map_err(|_| AcquireError::NoRuntime { key })?;
        let engine = Arc::new(Self::new(Arc::new(settings), None));
        let OpenedConnection { mut connection, observed, cancel } = connection.adopt();
        let limit = engine.settings.options.connect_timeout;
        let asked = match timeout(limit, connection.is_autocommit_off()).await {
            Ok(answer) => answer.map_err(|error| setup_error::<C>("SELECT @@autocommit", error)),
            Err(_) => Err(ConnectError::TimedOut { after: limit }),
        };
        let is_autocommit_off =
            asked.map_err(|error| AcquireError::Connect { key, url, source: Arc::new(error) })?;
        observed.transaction.note_autocommit_off(is_autocommit_off);
        let watch = engine.watch(&mut connection, observed);

        let taken = engine.permits.try_acquire().map(|permit| permit.forget());
        // The engine is new, so its one permit and its one slot are free.
        taken.map_err(|_| AcquireError::Closed { key })?;
        let mut permit = Permit::new(EngineUse::new(Arc::clone(&engine)), Timer::start());
        permit.set_lease(engine.pool.take(None));
        let Some(lease) = permit.lease_mut() else { return Err(AcquireError::Closed { key }) };
        lease.fill(WatchedConnection { connection, watch, cancel }, None);
        Ok(Checkout::new(permit))
    }
}

/// Why a connection stays with its engine, see [`Session::into_inner`](crate::Session::into_inner).
///
/// ```
/// use registry_core::{IntoInnerError, Registry, binds};
///
/// binds! { Analytics: Sqlite = "analytics"; }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), registry_core::Error> {
/// let registry = Registry::builder().bind("analytics", "sqlite::memory:").build()?;
/// let error = registry.session::<Analytics>().await?.into_inner().err();
/// assert!(matches!(error, Some(IntoInnerError::InMemory { .. })));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IntoInnerError {
    /// A SQLite database in memory lives in its connection, so the bind would be left with an empty database.
    #[error(
        "bind `{key}`: the connection cannot be taken out of its engine: the database is in memory, and lives in this \
         connection"
    )]
    InMemory {
        /// The bind key.
        key: BindKey,
    },
    /// In test isolation, the one connection of the bind holds the transaction that is rolled back at the end.
    #[error(
        "bind `{key}`: the connection cannot be taken out of its engine: in test isolation it holds the transaction of \
         the test"
    )]
    Isolated {
        /// The bind key.
        key: BindKey,
    },
}

impl<C: Backend> Checkout<C> {
    /// Takes the connection out of its engine. The slot and the permit go back, so the engine can open another connection
    /// in its place.
    pub(crate) fn into_connection(mut self, key: BindKey) -> Result<C, IntoInnerError> {
        let settings = &self.engine().settings;
        if settings.is_isolated {
            return Err(IntoInnerError::Isolated { key });
        }
        if settings.url.is_memory() && !settings.is_one_off {
            return Err(IntoInnerError::InMemory { key });
        }
        // Empties Diesel's cache of prepared statements, if they no longer fit their tables.
        self.connection_mut();
        let watch = self.watch().map(Arc::clone);
        let (mut permit, checked_out) = self.into_permit();
        let engine = Arc::clone(permit.engine());
        engine.stats.note_return(checked_out);
        let Some(mut connection) = permit.lease_mut().and_then(|lease| lease.take_connection())
        else {
            unreachable!("a checkout has a connection until it is dropped");
        };
        if let Some(watch) = watch {
            watch.end_checkout();
            engine.forget_stream(&watch.observed);
            if !watch.is_instrumentation_replaced() {
                connection.set_instrumentation(get_default_instrumentation());
            }
        }
        if !engine.settings.is_one_off {
            engine.stats.note_taken();
        }
        Ok(connection)
    }
}
