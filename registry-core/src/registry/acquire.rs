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
use super::route::{FoundEngine, Route, identity_of};
use crate::backend::Backend;
use crate::bind::{Bind, Bound, ByKey};
use crate::engine::{AcquireAttempt, AcquireError, AnyEngine, Checkout, TypedEngine};
use crate::session::Session;
use crate::settings::{BindKey, BindSettings};

impl Registry {
    /// Acquires a session of the database that the model, table or query type `M` is bound to.
    ///
    /// See [`Acquire`] for what it waits for and how it fails.
    pub fn session_for<M: Bound>(&self) -> Acquire<'_, M::Bind> {
        self.session::<M::Bind>()
    }

    /// Acquires a session of the bind `B`.
    ///
    /// See [`Acquire`] for what it waits for and how it fails.
    pub fn session<B: Bind>(&self) -> Acquire<'_, B> {
        Acquire::new(self, Route::Bind)
    }

    /// Acquires a session of the bind whose key is only known at run time, with the connection type
    /// that its URL is expected to need.
    ///
    /// Nothing then checks which models are used on it: it is the way out where types cannot follow.
    ///
    /// See [`Acquire`] for what it waits for and how it fails.
    pub fn session_by_key<C: Backend>(&self, key: &str) -> Acquire<'_, ByKey<C>> {
        match BindKey::new(key) {
            Ok(key) => Acquire::new(self, Route::Key(key)),
            Err(_) => Acquire::failed(self, self.unknown(key).into()),
        }
    }

    /// Acquires a session for the model, table or query type `M` of another database than its
    /// bind's: of the same backend, at `settings`, which is a URL, or a [`BindSettings`] with
    /// options.
    ///
    /// The engine is opened on demand and is one for each distinct URL and options, whoever asks
    /// and however many at once. User and password are a part of that. What `settings` do not say
    /// is as the bind has it. A URL is read each time: keep a [`DatabaseUrl`](crate::DatabaseUrl)
    /// where that matters.
    ///
    /// As many engines can be open as `max_engines` says; one more takes the place of the least
    /// recently used that has no session lent. If all have one, it is waited for, first come first
    /// served. An engine that could not connect is not kept.
    ///
    /// A SQLite database in memory lives as long as its engine, and goes when that is closed to make
    /// room, or for want of use.
    ///
    /// See [`Acquire`] for what it waits for and how it fails.
    pub fn session_by_url<M: Bound>(
        &self,
        settings: impl Into<BindSettings>,
    ) -> Acquire<'_, M::Bind> {
        let settings = settings.into();
        if let Some(url) = settings.as_url() {
            return Acquire::new(self, Route::Url(url.clone()));
        }
        match identity_of::<M::Bind>(self, settings) {
            Ok(identity) => Acquire::new(self, Route::Settings(Box::new(identity))),
            Err(error) => Acquire::failed(self, error),
        }
    }
}

/// A session on its way: the future that [`Registry::session_for`](crate::Registry::session_for)
/// returns.
///
/// It waits for a free connection behind those who came before, for `acquire_timeout` at most, and
/// connects if there is none yet. A connection that was used within `check_idle_after` is lent
/// without asking the server anything, and without allocating.
///
/// Dropping it gives up the place in the queue; nothing is lost.
///
/// # Errors
///
/// [`AcquireError`] tells apart what can go wrong: an unknown bind, a wrong backend, a full queue, a
/// wait that came to its end, a connection that cannot be made (refused, rejected, timed out), a
/// closed registry.
#[must_use = "a session is only acquired once this is awaited"]
pub struct Acquire<'r, B: Bind> {
    registry: &'r Registry,
    state: State<'r, B>,
    within: Option<Duration>,
    is_for_query: bool,
    /// The tenant that it is for.
    tenant: Option<Arc<str>>,
}

enum State<'r, B: Bind> {
    Start(Route<'r>),
    Failed(AcquireError),
    Waiting(BoxFuture<'r, Result<Checkout<B::Connection>, AcquireError>>),
    Done,
}

/// What there is to begin with, when a session cannot be had at once.
enum First<C: Backend> {
    AcquireAttempt(AcquireAttempt<C>),
    /// An engine, or none if it is to be opened.
    Engine(Option<FoundEngine<C>>),
}

impl<'r, B: Bind> Acquire<'r, B> {
    pub(crate) fn new(registry: &'r Registry, route: Route<'r>) -> Self {
        let state = State::Start(route);
        Self { registry, state, within: None, is_for_query: false, tenant: None }
    }

    fn failed(registry: &'r Registry, error: AcquireError) -> Self {
        let state = State::Failed(error);
        Self { registry, state, within: None, is_for_query: false, tenant: None }
    }

    /// Acquires it for one query.
    pub(crate) fn for_query(mut self) -> Self {
        self.is_for_query = true;
        self
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

    /// Waits for `limit` at most, instead of the engine's `acquire_timeout`.
    ///
    /// It has no effect once the future was polled.
    pub fn within(mut self, limit: Duration) -> Self {
        self.within = Some(limit);
        self
    }

    /// A session at once, or what to wait for.
    fn start(&mut self, route: Route<'r>) -> Result<Poll<Checkout<B::Connection>>, AcquireError> {
        let Ok(runtime) = Handle::try_current() else {
            return Err(AcquireError::NoRuntime { key: route.bind_key::<B>() });
        };
        self.tenant = route.tenant();
        let first = match route.find::<B>(self.registry)? {
            Some(found) if found.schema.is_none() => {
                match TypedEngine::try_acquire(found.engine, &runtime, None) {
                    Ok(AcquireAttempt::Ready(checkout)) => return Ok(Poll::Ready(checkout)),
                    Ok(attempt) => First::AcquireAttempt(attempt),
                    Err(error) if is_replaced(&error, self.registry) => First::Engine(None),
                    Err(error) => return Err(route.told::<B>(error)),
                }
            }
            found => First::Engine(found),
        };
        let waiting = wait::<B>(self.registry, route, first, self.within);
        self.state = State::Waiting(Box::pin(waiting));
        Ok(Poll::Pending)
    }
}

/// Whether an engine was closed, and there is another in its place.
fn is_replaced(error: &AcquireError, registry: &Registry) -> bool {
    matches!(error, AcquireError::Closed { .. }) && !registry.is_closed()
}

async fn wait<B: Bind>(
    registry: &Registry,
    route: Route<'_>,
    first: First<B::Connection>,
    within: Option<Duration>,
) -> Result<Checkout<B::Connection>, AcquireError> {
    let started = Instant::now();
    let found = match first {
        First::Engine(found) => found,
        First::AcquireAttempt(attempt) => {
            match TypedEngine::acquire(attempt, started, within, None).await {
                Err(error) if is_replaced(&error, registry) || error.lacks_resources() => None,
                outcome => return outcome.map_err(|error| route.told::<B>(error)),
            }
        }
    };
    // Boxed: it is large and rare, and each caller that waits would make room for it.
    Box::pin(wait_for_engine::<B>(registry, route, found, started, within)).await
}

/// Finds or opens the engine, and acquires a session of it. If the engine is closed meanwhile and
/// another is in its place, goes on there. If the operating system has no resources left, has engines that
/// nobody uses closed, for as long as the caller has time.
async fn wait_for_engine<B: Bind>(
    registry: &Registry,
    route: Route<'_>,
    mut found: Option<FoundEngine<B::Connection>>,
    started: Instant,
    within: Option<Duration>,
) -> Result<Checkout<B::Connection>, AcquireError> {
    let runtime = Handle::current();
    let told = |error| route.told::<B>(error);
    let mut lacked = None;
    loop {
        let FoundEngine { engine, schema } = match found.take() {
            Some(found) => found,
            None => route.open::<B>(registry, started, within).await.map_err(told)?,
        };
        let core = Arc::clone(engine.engine());
        let wanted = schema.as_deref();
        let lent = match TypedEngine::try_acquire(engine, &runtime, wanted) {
            Ok(attempt) => TypedEngine::acquire(attempt, started, within, wanted).await,
            Err(error) => Err(error),
        };
        let checkout = match lent {
            Err(error) if is_replaced(&error, registry) => continue,
            Err(error) if error.lacks_resources() => {
                let limit = within.unwrap_or(core.settings().options.acquire_timeout);
                drop(core);
                if !registry.gives_way(started, limit).await {
                    return Err(told(error));
                }
                lacked = Some(error);
                continue;
            }
            // What was left of the time says less than why it was short.
            Err(error) if error.is_timeout() => return Err(told(lacked.unwrap_or(error))),
            lent => lent.map_err(told)?,
        };
        let Some(schema) = schema else { return Ok(checkout) };
        return match TypedEngine::enter_schema(checkout, schema).await {
            Ok(Some(checkout)) => Ok(checkout),
            Ok(None) => Err(route.unknown_schema::<B>()),
            Err(error) if is_replaced(&error, registry) => continue,
            Err(error) => Err(told(error)),
        };
    }
}

// Nothing in it is pinned in place: the future that waits has a box of its own.
impl<B: Bind> Unpin for Acquire<'_, B> {}

impl<B: Bind> Future for Acquire<'_, B> {
    type Output = Result<Session<B>, AcquireError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        loop {
            match std::mem::replace(&mut this.state, State::Done) {
                State::Start(route) => {
                    if let Poll::Ready(checkout) = this.start(route)? {
                        return Poll::Ready(Ok(this.session(checkout)));
                    }
                }
                State::Failed(error) => return Poll::Ready(Err(error)),
                State::Waiting(mut waiting) => match waiting.as_mut().poll(cx) {
                    Poll::Ready(checkout) => {
                        return Poll::Ready(checkout.map(|checkout| this.session(checkout)));
                    }
                    Poll::Pending => {
                        this.state = State::Waiting(waiting);
                        return Poll::Pending;
                    }
                },
                State::Done => panic!("`Acquire` was polled after it had completed"),
            }
        }
    }
}

impl<B: Bind> fmt::Debug for Acquire<'_, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acquire").field("within", &self.within).finish_non_exhaustive()
    }
}
