//! The way from a route to a session that is not there at once.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::Instant;

use crate::backend::Backend;
use crate::bind::Bind;
use crate::engine::{AcquireAttempt, AcquireError, AnyEngine, Checkout, TypedEngine};
use crate::registry::handle::Registry;
use crate::registry::route::{FoundEngine, Route};

/// Where the wait starts, when a session cannot be lent at once.
pub(super) enum StartFrom<C: Backend> {
    /// With an engine that was found, and has no idle connection that can be lent unchecked.
    Attempt(AcquireAttempt<C>),
    /// With an engine on which nothing was tried yet, or with `None`: it has to be opened first.
    Engine(Option<FoundEngine<C>>),
}

/// Whether the engine was closed because another took its place, so that the caller should look again.
pub(super) fn is_replaced(error: &AcquireError, registry: &Registry) -> bool {
    matches!(error, AcquireError::Closed { .. }) && !registry.is_closed()
}

/// Waits for a session, from wherever [`Acquire`](super::Acquire) got at its first poll.
pub(super) async fn wait<B: Bind>(
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
