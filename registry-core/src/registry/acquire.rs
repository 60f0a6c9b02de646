//! Acquiring a session.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::runtime::Handle;
use tokio::time::Instant;

use super::Registry;
use super::open::identity_for_settings;
use super::route::{FoundEngine, Route};
use crate::backend::Backend;
use crate::bind::{Bind, Bound, ByKey};
use crate::engine::{AcquireAttempt, AcquireError, AnyEngine, Checkout, TypedEngine};
use crate::session::Session;
use crate::settings::{BindKey, BindSettings};

impl Registry {
    /// Acquires a session of the database that the model, table or query type `M` is bound to.
    ///
    /// It waits for a free connection, for `acquire_timeout` at most (30 s by default). Dropping the future gives up
    /// the place in the queue.
    ///
    /// # Errors
    ///
    /// The future resolves to an [`AcquireError`], see [`Acquire`].
    ///
    /// ```
    /// use diesel::prelude::*;
    /// use registry_core::{Registry, RunQueryDsl, bind_tables};
    ///
    /// diesel::table! { events (id) { id -> Integer, } }
    /// bind_tables!(db = "analytics", backend = Sqlite; events);
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), registry_core::Error> {
    /// let registry = Registry::builder().bind("analytics", "sqlite::memory:").build()?;
    /// let mut session = registry.session_for::<events::table>().await?;
    /// # diesel::sql_query("CREATE TABLE events (id INTEGER PRIMARY KEY)").execute(&mut session).await?;
    /// let count: i64 = events::table.count().get_result(&mut session).await?;
    /// assert_eq!(count, 0);
    /// # Ok(())
    /// # }
    /// ```
    pub fn session_for<M: Bound>(&self) -> Acquire<'_, M::Bind> {
        self.session::<M::Bind>()
    }

    /// Acquires a session of the bind `B`, a type that [`binds!`](crate::binds) has declared.
    ///
    /// It waits for a free connection, for `acquire_timeout` at most (30 s by default). Dropping the future gives up
    /// the place in the queue.
    ///
    /// # Errors
    ///
    /// The future resolves to an [`AcquireError`], see [`Acquire`].
    ///
    /// ```
    /// use std::time::Duration;
    /// use registry_core::{Registry, binds};
    ///
    /// binds! { pub Analytics: Sqlite = "analytics"; }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), registry_core::Error> {
    /// let registry = Registry::builder().bind("analytics", "sqlite::memory:").build()?;
    /// let session = registry.session::<Analytics>().within(Duration::from_secs(2)).await?;
    /// assert_eq!(session.key(), "analytics");
    /// # Ok(())
    /// # }
    /// ```
    pub fn session<B: Bind>(&self) -> Acquire<'_, B> {
        Acquire::new(self, Route::Bind)
    }

    /// Acquires a session of the bind with that key, which need only be known at run time. `C` is the connection type
    /// that its URL is expected to need.
    ///
    /// The compiler cannot check which models are used on such a session, so prefer [`session`](Self::session) or
    /// [`session_for`](Self::session_for) where the bind is known. It waits for a free connection, for
    /// `acquire_timeout` at most (30 s by default). Dropping the future gives up the place in the queue.
    ///
    /// # Errors
    ///
    /// The future resolves to an [`AcquireError`], see [`Acquire`].
    ///
    /// ```
    /// use registry_core::{Registry, Sqlite};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), registry_core::Error> {
    /// let registry = Registry::builder().bind("analytics", "sqlite::memory:").build()?;
    /// for key in registry.keys() {
    ///     let session = registry.session_by_key::<Sqlite>(key).await?;
    ///     assert_eq!(session.key(), key);
    /// }
    ///
    /// let error = registry.session_by_key::<Sqlite>("analytic").await.unwrap_err();
    /// assert_eq!(error.to_string(), "UNKNOWN_TEXT");
    /// # Ok(())
    /// # }
    /// ```
    pub fn session_by_key<C: Backend>(&self, key: &str) -> Acquire<'_, ByKey<C>> {
        match BindKey::new(key) {
            Ok(key) => Acquire::new(self, Route::Key(key)),
            Err(_) => Acquire::failed(self, self.unknown_bind(key).into()),
        }
    }

    /// Acquires a session for the model, table or query type `M` of another database than its bind's: one of the same
    /// backend at `settings`, which is a URL, or a [`BindSettings`] with options.
    ///
    /// The engine is opened on demand. There is one for each distinct URL (with user and password) and options,
    /// however many callers ask at once. Options that `settings` leave out are those of the bind. A URL in a string is
    /// parsed each time: keep a [`DatabaseUrl`](crate::DatabaseUrl) where that matters.
    ///
    /// At most `max_engines` (64 by default) are open on demand. One more evicts the least recently used that has no
    /// session lent; if all have one, the caller waits until one is returned, first come, first served. An engine that
    /// could not connect is not kept. A SQLite database in memory lives as long as its engine, so it is lost when that
    /// is evicted, or closed after `engine_idle_timeout`.
    ///
    /// It waits for an engine and a free connection, for `acquire_timeout` at most (30 s by default). Dropping the
    /// future gives up the place in the queue.
    ///
    /// # Errors
    ///
    /// The future resolves to an [`AcquireError`], see [`Acquire`].
    ///
    /// ```
    /// use registry_core::{BindSettings, Registry, bind_tables};
    ///
    /// diesel::table! { events (id) { id -> Integer, } }
    /// bind_tables!(db = "analytics", backend = Sqlite; events);
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), registry_core::Error> {
    /// let registry = Registry::builder().bind("analytics", "sqlite::memory:").build()?;
    /// let url = "sqlite::memory:";
    /// let session = registry.session_by_url::<events::table>(url).await?;
    /// # drop(session);
    ///
    /// let with_options = BindSettings::new(url).max_connections(2);
    /// let session = registry.session_by_url::<events::table>(with_options).await?;
    /// assert_eq!(registry.status().on_demand.engines.len(), 2);
    /// # drop(session);
    /// # Ok(())
    /// # }
    /// ```
    pub fn session_by_url<M: Bound>(
        &self,
        settings: impl Into<BindSettings>,
    ) -> Acquire<'_, M::Bind> {
        let settings = settings.into();
        if let Some(url) = settings.as_url() {
            return Acquire::new(self, Route::Url(url.clone()));
        }
        match identity_for_settings::<M::Bind>(self, settings) {
            Ok(identity) => Acquire::new(self, Route::Settings(Box::new(identity))),
            Err(error) => Acquire::failed(self, error),
        }
    }
}

/// The future of a [`Session`], which [`Registry::session_for`](crate::Registry::session_for) and its siblings return.
///
/// It waits for a free connection, first come, first served, for `acquire_timeout` at most (30 s by default;
/// [`within`](Self::within) sets another limit), and opens a connection if there may be one more. A connection that was
/// used within `check_idle_after` is lent without a question to the server, and without an allocation.
///
/// Dropping it gives up the place in the queue. Nothing is lost: a connection that was about to be lent goes to the
/// next caller.
///
/// # Errors
///
/// [`AcquireError`] tells the failures apart: an unknown bind, a wrong backend, a full queue, a timeout, a connection
/// that cannot be opened (refused, rejected, timed out), a closed registry. Outside a Tokio runtime it is
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
    /// The name of the tenant that the session is for.
    tenant: Option<Arc<str>>,
}

enum AcquireState<'r, B: Bind> {
    NotPolled(Route<'r>),
    Failed(AcquireError),
    Waiting(BoxFuture<'r, Result<Checkout<B::Connection>, AcquireError>>),
    Completed,
}

/// Where the wait starts, when a session cannot be lent at once.
enum StartFrom<C: Backend> {
    /// With an engine that was found, and has no idle connection that can be lent unchecked.
    Attempt(AcquireAttempt<C>),
    /// With an engine on which nothing was tried yet, or with `None`: it has to be opened first.
    Engine(Option<FoundEngine<C>>),
}

impl<'r, B: Bind> Acquire<'r, B> {
    pub(crate) fn new(registry: &'r Registry, route: Route<'r>) -> Self {
        Self::in_state(registry, AcquireState::NotPolled(route))
    }

    fn failed(registry: &'r Registry, error: AcquireError) -> Self {
        Self::in_state(registry, AcquireState::Failed(error))
    }

    fn in_state(registry: &'r Registry, state: AcquireState<'r, B>) -> Self {
        Self { registry, state, within: None, is_for_query: false, tenant: None }
    }

    /// Acquires the session for a single query.
    pub(crate) fn for_query(mut self) -> Self {
        self.is_for_query = true;
        self
    }

    /// Waits for `limit` at most, instead of the engine's `acquire_timeout`.
    ///
    /// It has no effect once the future was polled.
    pub fn within(mut self, limit: Duration) -> Self {
        self.within = Some(limit);
        self
    }

    /// Lends a session at once if it can, and otherwise boxes the future that waits for one. (So the common case does
    /// not allocate.)
    fn start(&mut self, route: Route<'r>) -> Result<Poll<Checkout<B::Connection>>, AcquireError> {
        let Ok(runtime) = Handle::try_current() else {
            return Err(AcquireError::NoRuntime { key: route.bind_key::<B>() });
        };
        self.tenant = route.tenant();
        let start_from = match route.find::<B>(self.registry)? {
            Some(found) if found.schema.is_none() => {
                match TypedEngine::try_acquire(found.engine, &runtime, None) {
                    Ok(AcquireAttempt::Ready(checkout)) => return Ok(Poll::Ready(checkout)),
                    Ok(attempt) => StartFrom::Attempt(attempt),
                    Err(error) if is_replaced(&error, self.registry) => StartFrom::Engine(None),
                    Err(error) => return Err(route.error_for_caller::<B>(error)),
                }
            }
            found => StartFrom::Engine(found),
        };
        let waiting = wait::<B>(self.registry, route, start_from, self.within);
        self.state = AcquireState::Waiting(Box::pin(waiting));
        Ok(Poll::Pending)
    }

    fn session(&mut self, checkout: Checkout<B::Connection>) -> Session<B> {
        if let Some(tenant) = self.tenant.take() {
            checkout.set_tenant(tenant);
        }
        if self.is_for_query {
            checkout.mark_for_query();
        }
        Session::new(checkout)
    }
}

/// Whether the engine was closed because another took its place, so that the caller should look again.
fn is_replaced(error: &AcquireError, registry: &Registry) -> bool {
    matches!(error, AcquireError::Closed { .. }) && !registry.is_closed()
}

/// Waits for a session, from wherever [`Acquire::start`] got.
async fn wait<B: Bind>(
    registry: &Registry,
    route: Route<'_>,
    start_from: StartFrom<B::Connection>,
    within: Option<Duration>,
) -> Result<Checkout<B::Connection>, AcquireError> {
    let started = Instant::now();
    let found = match start_from {
        StartFrom::Engine(found) => found,
        StartFrom::Attempt(attempt) => {
            match TypedEngine::acquire(attempt, started, within, None).await {
                Err(error) if is_replaced(&error, registry) || error.lacks_resources() => None,
                outcome => return outcome.map_err(|error| route.error_for_caller::<B>(error)),
            }
        }
    };
    // Boxed because it is large and rarely needed, and would make the future of each waiting caller as large.
    Box::pin(acquire_from_route::<B>(registry, route, found, started, within)).await
}

/// The whole recipe, from the route to a session.
///
/// It starts again when the engine is closed while another takes its place, and when the operating system has run out
/// of resources (such as file descriptors) and an unused engine could be evicted to free some, as long as the caller
/// has time.
///
/// Cancellation: it can be dropped at each await. What it has got so far (a use of an engine, a place in a queue, a
/// connection) is given back by the destructors of these.
async fn acquire_from_route<B: Bind>(
    registry: &Registry,
    route: Route<'_>,
    mut found: Option<FoundEngine<B::Connection>>,
    started: Instant,
    within: Option<Duration>,
) -> Result<Checkout<B::Connection>, AcquireError> {
    let runtime = Handle::current();
    let for_caller = |error| route.error_for_caller::<B>(error);
    let mut lacked_resources = None;
    loop {
        // 1. Find the engine, or open it.
        let FoundEngine { engine, schema } = match found.take() {
            Some(found) => found,
            None => route.open::<B>(registry, started, within).await.map_err(for_caller)?,
        };
        // 2. Check a connection out of its pool. This waits in the pool's queue.
        let typed_engine = Arc::clone(engine.engine());
        let wanted_schema = schema.as_deref();
        let lent = match TypedEngine::try_acquire(engine, &runtime, wanted_schema) {
            Ok(attempt) => TypedEngine::acquire(attempt, started, within, wanted_schema).await,
            Err(error) => Err(error),
        };
        let checkout = match lent {
            Err(error) if is_replaced(&error, registry) => continue,
            Err(error) if error.lacks_resources() => {
                let limit = within.unwrap_or(typed_engine.settings().options.acquire_timeout);
                drop(typed_engine);
                if !registry.free_resources(started, limit).await {
                    return Err(for_caller(error));
                }
                lacked_resources = Some(error);
                continue;
            }
            // If the time went by for want of resources, that error says more than the timeout.
            Err(error) if error.is_timeout() => {
                return Err(for_caller(lacked_resources.unwrap_or(error)));
            }
            lent => lent.map_err(for_caller)?,
        };
        // 3. Put the session into the tenant's schema, if the bind has one for each tenant.
        let Some(schema) = schema else { return Ok(checkout) };
        return match TypedEngine::enter_schema(checkout, schema).await {
            Ok(Some(checkout)) => Ok(checkout),
            Ok(None) => Err(route.unknown_tenant::<B>()),
            Err(error) if is_replaced(&error, registry) => continue,
            Err(error) => Err(for_caller(error)),
        };
    }
}

// No field is pinned in place: the future that waits is in a box.
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
