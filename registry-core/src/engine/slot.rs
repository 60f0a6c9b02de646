//! A place for one connection.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use tokio::runtime::{self, Handle};

use super::observe::watch::ConnectionWatch;
use crate::backend::Canceller;

/// A connection that was opened, and is watched.
pub(super) struct WatchedConnection<C> {
    pub(super) connection: C,
    pub(super) watch: Arc<ConnectionWatch>,
    pub(super) cancel: Option<Canceller>,
}

/// A place for one connection. It lives as long as the connection that is put into it.
///
/// SlotFactory are moved about at each acquire, so what is in one stays in its box.
pub(super) struct Slot<C: Send + 'static> {
    live: Option<Box<LiveConnection<C>>>,
    is_discarded: bool,
    is_retired: bool,
}

/// An open connection.
struct LiveConnection<C> {
    connection: C,
    /// When it has reached its `max_lifetime`.
    expires: Option<Instant>,
    /// When it was last known to work.
    used: Instant,
    /// The runtime that drives it: it dies with it.
    runtime: Handle,
    /// What is known of it from its instrumentation.
    watch: Arc<ConnectionWatch>,
    /// Tells the server to end the statement that runs.
    cancel: Option<Canceller>,
    /// The schema that it was last put into.
    schema: Option<String>,
}

impl<C: Send + 'static> Slot<C> {
    pub(super) fn empty() -> Self {
        Self { live: None, is_discarded: false, is_retired: false }
    }

    /// Puts a connection in that was just made, in the runtime of this task.
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
        self.is_discarded = false;
    }

    pub(super) fn cancel(&self) -> Option<BoxFuture<'static, ()>> {
        self.live.as_ref()?.cancel.as_ref().map(|cancel| cancel())
    }

    /// The schema that the connection was last put into.
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

    /// Hands the connection itself to `work`, which gives it back.
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

    /// Notes that the connection was seen to work.
    pub(super) fn note_alive(&mut self) {
        if let Some(live) = &mut self.live {
            live.used = Instant::now();
        }
    }

    /// The connection will not be lent again, unless [`Slot::keep`] is called.
    pub(super) fn discard(&mut self) {
        self.is_discarded = true;
    }

    pub(super) fn keep(&mut self) {
        self.is_discarded = false;
    }

    /// Says that this slot is to go, with whatever is in it.
    pub(super) fn retire(&mut self) {
        self.is_retired = true;
    }

    pub(super) fn is_retired(&self) -> bool {
        self.is_retired
    }

    /// Whether there is a connection that can be lent again.
    pub(super) fn is_kept(&self) -> bool {
        self.live.is_some() && !self.is_discarded
    }

    pub(super) fn is_expired(&self, now: Instant) -> bool {
        let expires = self.live.as_ref().and_then(|live| live.expires);
        expires.is_some_and(|expires| expires <= now)
    }

    /// For how long the connection has not been seen to work. An empty slot has none.
    pub(super) fn idle_for(&self, now: Instant) -> Duration {
        self.live.as_ref().map_or(Duration::MAX, |live| now.saturating_duration_since(live.used))
    }

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
    /// Drops the connection where its driver can say good-bye to the server: that is done in a task, for which
    /// there must be a runtime, and mysql_async does not do it while a panic unwinds.
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
            // There is one, or this thread is about to end.
            _ => drop(self),
        }
    }
}
