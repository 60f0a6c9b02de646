//! The future of a session that only reads.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::runtime::Handle;
use tokio::time::Instant;

use super::Reader;
use crate::backend::Backend;
use crate::bind::Bind;
use crate::engine::{AcquireError, AnyEngine, Checkout, ReadAttempt, ReadStart, TypedEngine};
use crate::registry::handle::Registry;
use crate::registry::route::{FoundEngine, Route};
use crate::session::{ReadSession, Session};
use crate::telemetry::Listeners;

/// The future of a [`ReadSession`], which [`Reader::session_for`](super::Reader::session_for) and
/// [`Reader::session`](super::Reader::session) return.
///
/// It chooses a replica that is fit for the read, by what the last probes have found, and waits for a free connection to
/// it, for `acquire_timeout` at most (30 s by default; [`within`](Self::within) sets another limit). If no replica is fit,
/// the session is of the primary, or the future waits for a replica, or fails, as
/// [`when_behind`](super::Reader::when_behind) says.
///
/// Dropping it gives up the place in the queue, and ends the wait for a replica. Nothing is lost.
///
/// # Errors
///
/// Those of [`Acquire`](crate::Acquire), and [`AcquireError::ReplicasBehind`] with `when_behind = "error"`.
///
/// # Panics
///
/// If it is polled again after it has completed.
#[must_use = "a session is only acquired once this is awaited"]
pub struct AcquireRead<'r, B: Bind> {
    reader: &'r Reader,
    state: AcquireState<'r, B>,
    within: Option<Duration>,
    is_for_query: bool,
    /// The name of the tenant, if the session is for one.
    tenant: Option<Arc<str>>,
}

enum AcquireState<'r, B: Bind> {
    NotPolled,
    Waiting(BoxFuture<'r, Result<Checkout<B::Connection>, AcquireError>>),
    Completed,
}

impl<'r, B: Bind> AcquireRead<'r, B> {
    pub(super) fn new(reader: &'r Reader) -> Self {
        Self {
            reader,
            state: AcquireState::NotPolled,
            within: None,
            is_for_query: false,
            tenant: None,
        }
    }

    /// Acquires the session for a single query.
    pub(crate) fn for_query(mut self) -> Self {
        self.is_for_query = true;
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
    /// let reader = registry.reader();
    /// let session = reader.session::<Analytics>().within(Duration::from_secs(2)).await?;
    /// assert_eq!(session.key(), "analytics");
    /// # Ok(())
    /// # }
    /// ```
    pub fn within(mut self, limit: Duration) -> Self {
        self.within = Some(limit);
        self
    }

    /// Lends a session at once if possible, and otherwise boxes the future that waits for a session, so that the common
    /// case does not allocate.
    fn start(&mut self) -> Result<Poll<Checkout<B::Connection>>, AcquireError> {
        let route = self.reader.route();
        let Ok(runtime) = Handle::try_current() else {
            return Err(AcquireError::NoRuntime { key: route.bind_key::<B>() });
        };
        self.tenant = route.tenant();
        let registry = self.reader.registry();
        let start_from = match route.find::<B>(registry)? {
            Some(found)
                if found.schema.is_none()
                    && !self.reader.has_unplaced_writes::<B>(&found.engine) =>
            {
                let request = self.reader.request::<B>(&found.engine);
                match TypedEngine::try_acquire_read(found.engine, &runtime, &request, None) {
                    Ok(ReadAttempt::Ready(checkout)) => return Ok(Poll::Ready(checkout)),
                    Ok(ReadAttempt::Started(start)) => StartFrom::Attempt(start),
                    Err(error) if is_replaced(&error, registry) => StartFrom::Engine(None),
                    Err(error) => return Err(route.error_for_caller::<B>(error)),
                }
            }
            found => StartFrom::Engine(found),
        };
        let waiting = wait::<B>(self.reader, route, start_from, self.within);
        self.state = AcquireState::Waiting(Box::pin(waiting));
        Ok(Poll::Pending)
    }

    fn session(&mut self, checkout: Checkout<B::Connection>) -> ReadSession<B> {
        if let Some(listeners) = Listeners::current(self.reader.registry().telemetry()) {
            checkout.set_listeners(listeners);
        }
        if let Some(tenant) = self.tenant.take() {
            checkout.set_tenant(tenant);
        }
        if self.is_for_query {
            checkout.mark_for_query();
        }
        ReadSession::new(Session::new(checkout))
    }
}

/// What there is already when a caller begins to wait.
enum StartFrom<C: Backend> {
    Attempt(ReadStart<C>),
    Engine(Option<FoundEngine<C>>),
}

/// Whether the engine is closed because another one has taken its place, or because it was evicted.
fn is_replaced(error: &AcquireError, registry: &Registry) -> bool {
    matches!(error, AcquireError::Closed { .. }) && !registry.is_closed()
}

async fn wait<B: Bind>(
    reader: &Reader,
    route: Route<'_>,
    mut start_from: StartFrom<B::Connection>,
    within: Option<Duration>,
) -> Result<Checkout<B::Connection>, AcquireError> {
    let (registry, started) = (reader.registry(), Instant::now());
    let for_caller = |error| route.error_for_caller::<B>(error);
    let mut lacked_resources = None;
    let mut has_lost_connection = false;
    loop {
        let (start, schema) = match std::mem::replace(&mut start_from, StartFrom::Engine(None)) {
            StartFrom::Attempt(start) => (start, None),
            StartFrom::Engine(found) => {
                let FoundEngine { engine, schema } = match found {
                    Some(found) => found,
                    None => route.open::<B>(registry, started, within).await.map_err(for_caller)?,
                };
                (ReadStart::new(engine), schema)
            }
        };
        reader.place_writes::<B>(start.engine(), started, within).await;
        let request = reader.request::<B>(start.engine());
        let limit = within.unwrap_or(start.engine().settings().options.acquire_timeout);
        let acquiring =
            TypedEngine::acquire_read(start, started, within, &request, schema.as_deref());
        let checkout = match Box::pin(acquiring).await {
            Err(error) if is_replaced(&error, registry) => continue,
            Err(error) if error.lacks_resources() => {
                if !registry.free_resources(started, limit).await {
                    return Err(for_caller(error));
                }
                lacked_resources = Some(error);
                continue;
            }
            Err(error) if error.is_timeout() => {
                return Err(for_caller(lacked_resources.unwrap_or(error)));
            }
            acquired => acquired.map_err(for_caller)?,
        };
        let Some(schema) = schema else { return Ok(checkout) };
        return match TypedEngine::enter_schema(checkout, schema).await {
            Ok(Some(checkout)) => Ok(checkout),
            Ok(None) => Err(route.unknown_tenant::<B>()),
            Err(error) if is_replaced(&error, registry) => continue,
            // The connection was lost since its last use. The engine checks the next one before it lends it.
            Err(error) if error.is_unreachable() && !has_lost_connection => {
                has_lost_connection = true;
                continue;
            }
            Err(error) => Err(for_caller(error)),
        };
    }
}

// No field is structurally pinned: the waiting future is boxed.
impl<B: Bind> Unpin for AcquireRead<'_, B> {}

impl<B: Bind> Future for AcquireRead<'_, B> {
    type Output = Result<ReadSession<B>, AcquireError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        loop {
            match std::mem::replace(&mut this.state, AcquireState::Completed) {
                AcquireState::NotPolled => {
                    if let Poll::Ready(checkout) = this.start()? {
                        return Poll::Ready(Ok(this.session(checkout)));
                    }
                }
                AcquireState::Waiting(mut waiting) => match waiting.as_mut().poll(cx) {
                    Poll::Ready(checkout) => {
                        return Poll::Ready(checkout.map(|checkout| this.session(checkout)));
                    }
                    Poll::Pending => {
                        this.state = AcquireState::Waiting(waiting);
                        return Poll::Pending;
                    }
                },
                AcquireState::Completed => {
                    panic!("`AcquireRead` was polled after it had completed")
                }
            }
        }
    }
}

impl<B: Bind> fmt::Debug for AcquireRead<'_, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AcquireRead")
            .field("options", self.reader.options())
            .field("within", &self.within)
            .finish_non_exhaustive()
    }
}
