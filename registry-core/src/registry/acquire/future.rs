//! The future of a session.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::runtime::Handle;

use super::recipe::{StartFrom, is_replaced, wait};
use crate::bind::Bind;
use crate::engine::{AcquireAttempt, AcquireError, Checkout, TypedEngine, WriteRequest};
use crate::registry::handle::Registry;
use crate::registry::reader::count_writes_for_scopes;
use crate::registry::route::Route;
use crate::session::Session;
use crate::telemetry::Listeners;

/// The future of a [`Session`], which [`Registry::session_for`](crate::Registry::session_for) and its siblings return.
///
/// It waits for a free connection, first come, first served, for `acquire_timeout` at most (30 s by default;
/// [`within`](Self::within) sets another limit), and opens a connection if there may be one more. A connection that was
/// used within `check_idle_after` is lent without a round trip to the server, and without an allocation.
///
/// Dropping it gives up the place in the queue. Nothing is lost: a connection that was about to be lent goes to the
/// next caller.
///
/// # Errors
///
/// [`AcquireError`] has a variant for each failure: an unknown bind, a wrong backend, a full queue, a timeout, a
/// connection that cannot be opened (refused, rejected, timed out), a closed registry. Outside a Tokio runtime it is
/// [`AcquireError::NoRuntime`].
///
/// # Panics
///
/// If it is polled again after it has completed.
#[must_use = "a session is only acquired once this is awaited"]
pub struct Acquire<'r, B: Bind> {
    registry: &'r Registry,
    state: AcquireState<'r, B>,
    within: Option<Duration>,
    is_for_query: bool,
    /// Takes a turn to write first, if the database has one writer at a time.
    write: Option<WriteRequest>,
    /// The name of the tenant, if the session is for one.
    tenant: Option<Arc<str>>,
}

enum AcquireState<'r, B: Bind> {
    NotPolled(Route<'r>),
    Failed(AcquireError),
    Waiting(BoxFuture<'r, Result<Checkout<B::Connection>, AcquireError>>),
    Completed,
}

impl<'r, B: Bind> Acquire<'r, B> {
    pub(crate) fn new(registry: &'r Registry, route: Route<'r>) -> Self {
        Self::in_state(registry, AcquireState::NotPolled(route))
    }

    pub(super) fn failed(registry: &'r Registry, error: AcquireError) -> Self {
        Self::in_state(registry, AcquireState::Failed(error))
    }

    fn in_state(registry: &'r Registry, state: AcquireState<'r, B>) -> Self {
        Self { registry, state, within: None, is_for_query: false, write: None, tenant: None }
    }

    /// Acquires the session for a single query.
    pub(crate) fn for_query(mut self) -> Self {
        self.is_for_query = true;
        self
    }

    /// Acquires the session for a writer, who takes a turn first if the database has one writer at a time.
    pub(crate) fn for_write(mut self, write: Option<WriteRequest>) -> Self {
        self.write = write;
        self
    }

    /// Waits for `limit` at most, instead of the engine's `acquire_timeout`.
    ///
    /// It has no effect after the future was polled for the first time.
    ///
    /// ```
    /// use std::time::Duration;
    /// use registry_core::{Error, Registry, binds};
    ///
    /// binds! { Analytics: Sqlite = "analytics"; }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Error> {
    /// let registry = Registry::builder().bind("analytics", "sqlite::memory:").build()?;
    /// let _session = registry.session::<Analytics>().await?; // a database in memory has one connection
    /// let error = registry.session::<Analytics>().within(Duration::from_millis(50)).await.unwrap_err();
    /// assert!(error.is_timeout());
    /// # Ok(())
    /// # }
    /// ```
    pub fn within(mut self, limit: Duration) -> Self {
        self.within = Some(limit);
        self
    }

    /// Lends a session at once if possible, and otherwise boxes the future that waits for a session, so that the common
    /// case does not allocate.
    fn start(&mut self, route: Route<'r>) -> Result<Poll<Checkout<B::Connection>>, AcquireError> {
        let Ok(runtime) = Handle::try_current() else {
            return Err(AcquireError::NoRuntime { key: route.bind_key::<B>() });
        };
        self.tenant = route.tenant();
        let start_from = match route.find::<B>(self.registry)? {
            Some(found) if found.schema.is_none() => {
                match found.engine.engine().try_take_turn(self.write) {
                    Err(()) => StartFrom::Engine(Some(found)),
                    Ok(turn) => {
                        match TypedEngine::try_acquire(found.engine, &runtime, None, turn) {
                            Ok(AcquireAttempt::Ready(checkout)) => {
                                return Ok(Poll::Ready(checkout));
                            }
                            Ok(attempt) => StartFrom::Attempt(attempt),
                            Err(error) if is_replaced(&error, self.registry) => {
                                StartFrom::Engine(None)
                            }
                            Err(error) => return Err(route.error_for_caller::<B>(error)),
                        }
                    }
                }
            }
            found => StartFrom::Engine(found),
        };
        let waiting = wait::<B>(self.registry, route, start_from, self.within, self.write);
        self.state = AcquireState::Waiting(Box::pin(waiting));
        Ok(Poll::Pending)
    }

    fn session(&mut self, checkout: Checkout<B::Connection>) -> Session<B> {
        count_writes_for_scopes::<B>(self.registry, &checkout, self.tenant.as_ref());
        if let Some(listeners) = Listeners::current(self.registry.telemetry()) {
            checkout.set_listeners(listeners);
        }
        if let Some(tenant) = self.tenant.take() {
            checkout.set_tenant(tenant);
        }
        if self.is_for_query {
            checkout.mark_for_query();
        }
        Session::new(checkout)
    }
}

// No field is structurally pinned: the waiting future is boxed.
impl<B: Bind> Unpin for Acquire<'_, B> {}

impl<B: Bind> Future for Acquire<'_, B> {
    type Output = Result<Session<B>, AcquireError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        loop {
            match std::mem::replace(&mut this.state, AcquireState::Completed) {
                AcquireState::NotPolled(route) => {
                    if let Poll::Ready(checkout) = this.start(route)? {
                        return Poll::Ready(Ok(this.session(checkout)));
                    }
                }
                AcquireState::Failed(error) => return Poll::Ready(Err(error)),
                AcquireState::Waiting(mut waiting) => match waiting.as_mut().poll(cx) {
                    Poll::Ready(checkout) => {
                        return Poll::Ready(checkout.map(|checkout| this.session(checkout)));
                    }
                    Poll::Pending => {
                        this.state = AcquireState::Waiting(waiting);
                        return Poll::Pending;
                    }
                },
                AcquireState::Completed => panic!("`Acquire` was polled after it had completed"),
            }
        }
    }
}

impl<B: Bind> fmt::Debug for Acquire<'_, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acquire").field("within", &self.within).finish_non_exhaustive()
    }
}
