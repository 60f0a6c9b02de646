//! A slot of the pool, which holds one connection or none.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use tokio::runtime::{self, Handle};

use super::observe::watch::ConnectionWatch;
use crate::backend::Canceller;

/// A connection that was opened, with what watches it.
pub(super) struct WatchedConnection<C> {
    pub(super) connection: C,
    pub(super) watch: Arc<ConnectionWatch>,
    pub(super) cancel: Option<Canceller>,
}

/// A slot of the pool. It lives as long as the connection that is put into it.
pub(super) struct Slot<C: Send + 'static> {
    /// Boxed, as slots are moved at each acquire.
    live: Option<Box<LiveConnection<C>>>,
    fate: Fate,
}

/// What happens to a slot when its lease is given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It becomes idle, if it has a connection.
    Kept,
    /// It is removed and its connection closed, unless [`Slot::keep`] is called before that.
    Discarded,
    /// It is being removed.
    Retired,
}

/// An open connection.
struct LiveConnection<C> {
    connection: C,
    /// When it reaches `max_lifetime`.
    expires: Option<Instant>,
    /// When it was last known to work.
    used: Instant,
    /// The runtime that drives it, and whose end is its end.
    runtime: Handle,
    /// What is known of it.
    watch: Arc<ConnectionWatch>,
    /// Tells the server to end the statement that runs, where the backend can.
    cancel: Option<Canceller>,
    /// The schema that it was last switched to.
    schema: Option<String>,
}

impl<C: Send + 'static> Slot<C> {
    pub(super) fn empty() -> Self {
        Self { live: None, fate: Fate::Kept }
    }

    /// Puts in a connection that was just opened in the runtime of this task.
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

    /// Tells the server to end the statement that runs. `None` if the backend cannot.
    pub(super) fn cancel(&self) -> Option<BoxFuture<'static, ()>> {
        self.live.as_ref()?.cancel.as_ref().map(|cancel| cancel())
    }

    /// The schema that the connection was last switched to.
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

    /// Runs `work` with the connection by value. `work` gives it back.
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

    /// Notes that the connection works.
    pub(super) fn note_alive(&mut self) {
        if let Some(live) = &mut self.live {
            live.used = Instant::now();
        }
    }

    /// The connection will not be lent again, unless [`Slot::keep`] is called.
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

    /// Has the pool remove the slot, with its connection.
    pub(super) fn retire(&mut self) {
        self.fate = Fate::Retired;
    }

    pub(super) fn is_retired(&self) -> bool {
        self.fate == Fate::Retired
    }

    /// Whether there is a connection that can be lent again.
    pub(super) fn is_kept(&self) -> bool {
        self.live.is_some() && self.fate == Fate::Kept
    }

    pub(super) fn is_expired(&self, now: Instant) -> bool {
        let expires = self.live.as_ref().and_then(|live| live.expires);
        expires.is_some_and(|expires| expires <= now)
    }

    /// How long ago the connection last worked. `Duration::MAX` for an empty slot.
    pub(super) fn idle_for(&self, now: Instant) -> Duration {
        self.live.as_ref().map_or(Duration::MAX, |live| now.saturating_duration_since(live.used))
    }

    /// Whether the connection belongs to that runtime.
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
    /// Drops the connection where its driver can tell the server good-bye. The driver does that in a task, so there must
    /// be a runtime, and mysql_async does not do it while a panic unwinds.
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
            // There is a runtime, or this thread is about to end.
            _ => drop(self),
        }
    }
}
