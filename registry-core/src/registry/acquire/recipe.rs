//! The steps from a route to a session, if no session can be lent at once.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::Instant;

use crate::backend::Backend;
use crate::bind::Bind;
use crate::engine::{AcquireAttempt, AcquireError, AnyEngine, Checkout, TypedEngine, WriteRequest};
use crate::registry::handle::Registry;
use crate::registry::route::{FoundEngine, Route};

/// The point at which the wait for a session starts.
pub(super) enum StartFrom<C: Backend> {
    /// The engine was found, but has no idle connection that can be lent unchecked.
    Attempt(AcquireAttempt<C>),
    /// The engine was found, and no checkout was tried yet. `None` if the engine must be found or opened first.
    Engine(Option<FoundEngine<C>>),
}

/// Whether the engine was closed while the registry is open, so that the caller should look for the engine again.
pub(super) fn is_replaced(error: &AcquireError, registry: &Registry) -> bool {
    matches!(error, AcquireError::Closed { .. }) && !registry.is_closed()
}

/// Waits for a session, from the point that the first poll of [`Acquire`](super::Acquire) reached.
pub(super) async fn wait<B: Bind>(
    registry: &Registry,
    route: Route<'_>,
    start_from: StartFrom<B::Connection>,
    within: Option<Duration>,
    write: Option<WriteRequest>,
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
    // Boxed, because this future is large and rarely needed, and would enlarge the future of each waiting caller.
    Box::pin(acquire_from_route::<B>(registry, route, found, started, within, write)).await
}

/// All steps from the route to a session.
///
/// It starts over if the engine was closed while the registry is open. It also starts over if the operating system has
/// run out of resources (such as file descriptors) and an unused engine was evicted to free some, as long as the caller
/// has time. It starts over once if the switch to the tenant's schema finds that the connection is lost.
///
/// Cancellation: it can be dropped at each await. Destructors give back everything that it has so far: a use of an
/// engine, a place in a queue, a connection.
async fn acquire_from_route<B: Bind>(
    registry: &Registry,
    route: Route<'_>,
    mut found: Option<FoundEngine<B::Connection>>,
    started: Instant,
    within: Option<Duration>,
    write: Option<WriteRequest>,
) -> Result<Checkout<B::Connection>, AcquireError> {
    let runtime = Handle::current();
    let for_caller = |error| route.error_for_caller::<B>(error);
    let mut lacked_resources = None;
    let mut has_lost_connection = false;
    loop {
        // 1. Find the engine, or open it.
        let FoundEngine { engine, schema } = match found.take() {
            Some(found) => found,
            None => route.open::<B>(registry, started, within).await.map_err(for_caller)?,
        };
        // 2. Wait for the turn of a writer, and check a connection out of its pool. This waits in the pool's queue.
        let typed_engine = Arc::clone(engine.engine());
        let wanted_schema = schema.as_deref();
        let turn = typed_engine.wait_for_turn(write, started, within).await;
        let attempt =
            turn.and_then(|turn| TypedEngine::try_acquire(engine, &runtime, wanted_schema, turn));
        let lent = match attempt {
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
            // If the time was spent on retries for lack of resources, that error is more useful than the timeout.
            Err(error) if error.is_timeout() => {
                return Err(for_caller(lacked_resources.unwrap_or(error)));
            }
            lent => lent.map_err(for_caller)?,
        };
        // 3. Switch the session to the tenant's schema, if the bind has a schema for each tenant.
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
