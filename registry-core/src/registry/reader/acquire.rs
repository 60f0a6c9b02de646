//! The future of a session that only reads.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use super::{ReadOptions, Reader};
use crate::bind::Bind;
use crate::engine::AcquireError;
use crate::registry::acquire::Acquire;
use crate::registry::route::Route;
use crate::session::ReadSession;

/// Waits for a session that only reads, made by [`Reader::session_for`] and its sibling.
///
/// Dropping it gives up the place in the queue.
#[must_use = "a session is only acquired once this is awaited"]
pub struct AcquireRead<'r, B: Bind> {
    acquire: Acquire<'r, B>,
    options: &'r ReadOptions,
}

impl<'r, B: Bind> AcquireRead<'r, B> {
    pub(super) fn new(reader: &'r Reader) -> Self {
        let route = reader.tenant().map_or(Route::Bind, Route::Tenant);
        Self { acquire: Acquire::new(reader.registry(), route), options: reader.options() }
    }

    /// The session is for one query, and returned after it.
    pub(crate) fn for_query(mut self) -> Self {
        self.acquire = self.acquire.for_query();
        self
    }

    /// Waits for `limit` at most, and not for `acquire_timeout`.
    pub fn within(mut self, limit: Duration) -> Self {
        self.acquire = self.acquire.within(limit);
        self
    }
}

impl<B: Bind> Future for AcquireRead<'_, B> {
    type Output = Result<ReadSession<B>, AcquireError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let session = ready!(Pin::new(&mut self.acquire).poll(cx))?;
        Poll::Ready(Ok(ReadSession::new(session)))
    }
}

impl<B: Bind> fmt::Debug for AcquireRead<'_, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AcquireRead").field("options", self.options).finish_non_exhaustive()
    }
}
