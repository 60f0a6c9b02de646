//! A slot of the pool, with at most one connection.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use tokio::runtime::{self, Handle};

use super::observe::watch::ConnectionWatch;
use crate::backend::Canceller;

/// An open connection with its watch and its canceller.
pub(super) struct WatchedConnection<C> {
    pub(super) connection: C,
    pub(super) watch: Arc<ConnectionWatch>,
    pub(super) cancel: Option<Canceller>,
}

/// A slot of the pool. The slot lives as long as its connection.
pub(super) struct Slot<C: Send + 'static> {
    /// Boxed, because each acquire moves a slot.
    live: Option<Box<LiveConnection<C>>>,
    fate: Fate,
}

/// What happens to a slot when its lease is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// The slot becomes idle if it has a connection.
    Kept,
    /// The slot is removed and its connection closed, unless [`Slot::keep`] is called first.
    Discarded,
    /// The slot is being removed from the pool.
    Retired,
}

/// An open connection.
struct LiveConnection<C> {
    connection: C,
    /// When the connection reaches `max_lifetime`.
    expires: Option<Instant>,
    /// When the connection was last known to work.
    used: Instant,
    /// The runtime that drives the connection. When the runtime ends, the connection ends.
    runtime: Handle,
    /// The engine's observations of the connection.
    watch: Arc<ConnectionWatch>,
    /// Asks the server to cancel the running statement, if the backend supports that.
    cancel: Option<Canceller>,
    /// The schema to which the connection was last switched.
    schema: Option<String>,
}

impl<C: Send + 'static> Slot<C> {
    pub(super) fn empty() -> Self {
        Self { live: None, fate: Fate::Kept }
    }

    /// Puts a connection into the slot. The connection was just opened in the runtime of this task.
    pub(super) fn fill(
        &mut self,
        WatchedConnection { connection, watch, cancel }: WatchedConnection<C>,
        max_lifetime: Option<Duration>,
    ) {
        let runtime = Handle::current();
        let used = Instant::now();
        let expires = max_lifetime.and_then(|lifetime| used.checked_add(lifetime));
        let schema = None;
        self.live = Some(Box::new(LiveConnection {
            connection,
            expires,
            used,
            runtime,
            watch,
            cancel,
            schema,
        }));
        self.keep();
    }

    /// Asks the server to cancel the running statement. `None` if the backend does not support that.
    pub(super) fn cancel(&self) -> Option<BoxFuture<'static, ()>> {
        self.live.as_ref()?.cancel.as_ref().map(|cancel| cancel())
    }

    /// The schema to which the connection was last switched.
    pub(super) fn schema(&self) -> Option<&str> {
        self.live.as_ref()?.schema.as_deref()
    }

    pub(super) fn set_schema(&mut self, schema: &str) {
        if let Some(live) = &mut self.live
            && live.schema.as_deref() != Some(schema)
        {
            live.schema = Some(schema.to_owned());
        }
    }

    /// Closes the connection.
    pub(super) fn clear(&mut self) {
        if let Some(live) = self.live.take() {
            live.close();
        }
    }

    /// Takes the connection out of the slot, without closing it.
    pub(super) fn take_connection(&mut self) -> Option<C> {
        self.live.take().map(|live| live.connection)
    }

    pub(super) fn connection(&self) -> Option<&C> {
        self.live.as_ref().map(|live| &live.connection)
    }

    pub(super) fn connection_mut(&mut self) -> Option<&mut C> {
        self.live.as_mut().map(|live| &mut live.connection)
    }

    pub(super) fn watch(&self) -> Option<&Arc<ConnectionWatch>> {
        self.live.as_ref().map(|live| &live.watch)
    }

    pub(super) fn set_watch(&mut self, watch: Arc<ConnectionWatch>) {
        if let Some(live) = &mut self.live {
            live.watch = watch;
        }
    }

    /// Passes the connection to `work` by value. `work` returns the connection.
    pub(super) fn with_owned_connection<R>(&mut self, work: impl FnOnce(C) -> (C, R)) -> Option<R> {
        let LiveConnection { connection, expires, used, runtime, watch, cancel, schema } =
            *self.live.take()?;
        let (connection, result) = work(connection);
        self.live = Some(Box::new(LiveConnection {
            connection,
            expires,
            used,
            runtime,
            watch,
            cancel,
            schema,
        }));
        Some(result)
    }

    /// Records that the connection has just worked.
    pub(super) fn note_alive(&mut self) {
        if let Some(live) = &mut self.live {
            live.used = Instant::now();
        }
    }

    /// Marks the slot as discarded: the connection is not lent again, unless [`Slot::keep`] is called.
    pub(super) fn discard(&mut self) {
        if self.fate == Fate::Kept {
            self.fate = Fate::Discarded;
        }
    }

    pub(super) fn keep(&mut self) {
        if self.fate == Fate::Discarded {
            self.fate = Fate::Kept;
        }
    }

    /// Marks the slot for removal from the pool, with its connection.
    pub(super) fn retire(&mut self) {
        self.fate = Fate::Retired;
    }

    pub(super) fn is_retired(&self) -> bool {
        self.fate == Fate::Retired
    }

    /// Whether the slot has a connection that can be lent again.
    pub(super) fn is_kept(&self) -> bool {
        self.live.is_some() && self.fate == Fate::Kept
    }

    pub(super) fn is_expired(&self, now: Instant) -> bool {
        let expires = self.live.as_ref().and_then(|live| live.expires);
        expires.is_some_and(|expires| expires <= now)
    }

    /// The time since the connection last worked. `Duration::MAX` for an empty slot.
    pub(super) fn idle_for(&self, now: Instant) -> Duration {
        self.live.as_ref().map_or(Duration::MAX, |live| now.saturating_duration_since(live.used))
    }

    /// Whether the runtime with this id drives the connection.
    pub(super) fn is_of(&self, runtime: runtime::Id) -> bool {
        self.live.as_ref().is_some_and(|live| live.runtime.id() == runtime)
    }
}

impl<C: Send + 'static> Drop for Slot<C> {
    fn drop(&mut self) {
        self.clear();
    }
}

impl<C: Send + 'static> LiveConnection<C> {
    /// Drops the connection where its driver can send the server its termination message. The driver sends the message in
    /// a task, so a runtime is needed. mysql_async sends no message during a panic's unwinding.
    fn close(self: Box<Self>) {
        let runtime = self.runtime.clone();
        if std::thread::panicking() {
            runtime.spawn(async move { drop(self) });
            return;
        }
        match Handle::try_current() {
            Err(error) if error.is_missing_context() => {
                let _entered = runtime.enter();
                drop(self);
            }
            // Either this thread has a runtime, or the thread is about to end and cannot enter one.
            _ => drop(self),
        }
    }
}
