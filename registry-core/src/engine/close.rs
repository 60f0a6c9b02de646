//! Closing an engine.
//!
//! 1. [`begin_close`](TypedEngine::begin_close) closes the semaphore, so that no permit is handed out any more, and the
//!    idle connections. Callers that wait for a permit or connect get [`AcquireError::Closed`].
//! 2. [`all_returned`](TypedEngine::all_returned) waits until every permit is back. Connections that are returned now
//!    are closed.
//! 3. [`all_streams_closed`](TypedEngine::all_streams_closed) waits until the drivers have sent the termination messages
//!    to the servers.

use std::future::Future;
use std::sync::{Arc, PoisonError, Weak};

use futures_util::future::join_all;
use tokio::time::timeout;

use super::error::AcquireError;
use super::typed::TypedEngine;
use crate::backend::Backend;
use crate::backend::observed::Observed;

impl<C: Backend> TypedEngine<C> {
    /// Refuses all callers from now on, including callers that already wait, and closes the idle connections.
    pub(super) fn begin_close(&self) {
        // First the semaphore, then the pool: see the handshake in the drop of `Permit`.
        self.permits.close();
        self.closing.set();
        self.maintenance_wake.notify_one();
        self.pool.retain(|_| false);
        self.begin_close_of_reading();
    }

    /// Runs `work`, and drops it as soon as the engine is closed.
    pub(super) async fn unless_closed<T>(
        &self,
        work: impl Future<Output = T>,
    ) -> Result<T, AcquireError> {
        self.closing.unless_set(work).await.ok_or_else(|| self.closed_error())
    }

    /// Waits until every permit is back.
    pub(super) async fn all_returned(&self) {
        loop {
            let returned = self.returned.notified();
            tokio::pin!(returned);
            // Registered before the permits are counted: see the handshake in the drop of `Permit`.
            returned.as_mut().enable();
            if self.checkout_count() == 0 {
                return;
            }
            returned.await;
        }
    }

    /// Waits until the streams of the dropped connections are closed, for at most `check_timeout`. A driver closes a stream
    /// in a task of its own. The limit is needed because the server may be gone, or the runtime of that task may be
    /// blocked.
    pub(super) async fn all_streams_closed(&self) {
        let streams: Vec<Arc<Observed>> = {
            let streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
            streams.iter().filter_map(Weak::upgrade).collect()
        };
        let all = join_all(streams.iter().map(|stream| stream.stream.terminated()));
        let _ = timeout(self.settings.options.check_timeout, all).await;
    }

    /// Registers the stream of a connection with [`all_streams_closed`](Self::all_streams_closed).
    pub(super) fn track_stream(&self, stream: &Arc<Observed>) {
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        streams.retain(|stream| stream.strong_count() > 0);
        streams.push(Arc::downgrade(stream));
    }

    /// Stops waiting for the end of a stream, because its connection is the engine's no longer.
    pub(super) fn forget_stream(&self, stream: &Arc<Observed>) {
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        streams.retain(|tracked| !std::ptr::eq(tracked.as_ptr(), Arc::as_ptr(stream)));
    }
}
