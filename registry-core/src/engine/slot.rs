//! A place for one connection.

use std::time::{Duration, Instant};

use tokio::runtime;

/// A place for one connection. It lives as long as the connection that is put into it.
pub(super) struct Slot<C> {
    connection: Option<C>,
    discarded: bool,
    /// When the connection has reached its `max_lifetime`.
    expires: Option<Instant>,
    /// When the connection was last known to work.
    used: Instant,
    /// The runtime that drives the connection: it dies with it.
    runtime: Option<runtime::Id>,
}

impl<C> Slot<C> {
    pub(super) fn empty() -> Self {
        Self {
            connection: None,
            discarded: false,
            expires: None,
            used: Instant::now(),
            runtime: None,
        }
    }

    /// Puts a connection in that was just made, in `runtime`.
    pub(super) fn fill(
        &mut self,
        connection: C,
        max_lifetime: Option<Duration>,
        runtime: runtime::Id,
    ) {
        let now = Instant::now();
        *self = Self {
            connection: Some(connection),
            discarded: false,
            expires: max_lifetime.and_then(|lifetime| now.checked_add(lifetime)),
            used: now,
            runtime: Some(runtime),
        };
    }

    pub(super) fn connection(&self) -> Option<&C> {
        self.connection.as_ref()
    }

    pub(super) fn connection_mut(&mut self) -> Option<&mut C> {
        self.connection.as_mut()
    }

    /// Takes the connection out, for good or until it is put back by [`Slot::put_back`].
    pub(super) fn take(&mut self) -> Option<C> {
        self.connection.take()
    }

    pub(super) fn put_back(&mut self, connection: C) {
        self.connection = Some(connection);
    }

    /// Notes that the connection was seen to work.
    pub(super) fn touch(&mut self) {
        self.used = Instant::now();
    }

    /// The connection will not be lent again.
    pub(super) fn discard(&mut self) {
        self.discarded = true;
    }

    pub(super) fn keep(&mut self) {
        self.discarded = false;
    }

    pub(super) fn is_kept(&self) -> bool {
        self.connection.is_some() && !self.discarded
    }

    pub(super) fn is_expired(&self, now: Instant) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }

    pub(super) fn idle_for(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.used)
    }

    pub(super) fn is_of(&self, runtime: runtime::Id) -> bool {
        self.runtime == Some(runtime)
    }
}
