//! The end of an engine: nobody waits any longer, everything comes back, and the server is told good-bye.

use std::future::Future;
use std::sync::{Arc, PoisonError, Weak};

use futures_util::future::join_all;
use tokio::time::timeout;

use super::error::AcquireError;
use super::typed::TypedEngine;
use crate::backend::Backend;
use crate::backend::observed::Observed;

impl<C: Backend> TypedEngine<C> {
    /// What comes of `work`, unless the engine is closed meanwhile: whatever it waits for, it is dropped then.
    pub(super) async fn unless_closed<T>(
        &self,
        work: impl Future<Output = T>,
    ) -> Result<T, AcquireError> {
        self.closing.unless_set(work).await.ok_or_else(|| self.closed_error())
    }

    /// Waits until no session is lent.
    pub(super) async fn all_returned(&self) {
        loop {
            let returned = self.returned.notified();
            tokio::pin!(returned);
            // Registered before the look, so that a return in between is not missed.
            returned.as_mut().enable();
            if self.checkout_count() == 0 {
                return;
            }
            returned.await;
        }
    }

    /// Waits until the streams of the connections that were dropped are closed. A driver says good-bye in a
    /// task of its own, and a server that is gone, or a runtime that stands still, must not hold that up for
    /// ever: it has as much time as a server has to answer.
    pub(super) async fn all_streams_closed(&self) {
        let streams: Vec<Arc<Observed>> = {
            let streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
            streams.iter().filter_map(Weak::upgrade).collect()
        };
        let all = join_all(streams.iter().map(|stream| stream.stream.terminated()));
        let _ = timeout(self.settings.options.check_timeout, all).await;
    }

    /// Keeps the stream of a connection in view.
    pub(super) fn track_stream(&self, stream: &Arc<Observed>) {
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        streams.retain(|stream| stream.strong_count() > 0);
        streams.push(Arc::downgrade(stream));
    }
}
