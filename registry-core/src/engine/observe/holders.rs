//! The tasks that hold the connections of an engine.
//!
//! Three features need this: the error of a time-out names the sessions that the waiting task holds itself, a close does
//! not wait for sessions that the closing task will never drop, and the registry warns of a query while the same task
//! holds a session.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::caller::Caller;
use super::watch::ConnectionWatch;

/// The connections of an engine, and the tasks that are about to hold one.
///
/// The two locks are never held at once. Under the lock of `watches`, a watch may be dropped. Its drop records the time of
/// the connection's end under a lock of its own ([`invalidation`](super::invalidation)); no other lock is taken.
#[derive(Default)]
pub(in crate::engine) struct Holders {
    /// Every open connection. Weak, because a connection ends when its slot drops it.
    watches: Mutex<Vec<Weak<ConnectionWatch>>>,
    /// The tasks that hold a permit and wait until a connection is opened or checked. A task may be listed more than once.
    filling: Mutex<Vec<Caller>>,
}

impl Holders {
    /// Adds a connection.
    pub(in crate::engine) fn add(&self, watch: &Arc<ConnectionWatch>) {
        let mut watches = self.watches();
        watches.retain(|watch| watch.strong_count() > 0);
        watches.push(Arc::downgrade(watch));
    }

    /// Whether any connection is open.
    pub(in crate::engine) fn have_connection(&self) -> bool {
        self.watches().iter().any(|watch| watch.strong_count() > 0)
    }

    /// The number of connections that the calling task holds and `counts` accepts.
    pub(in crate::engine) fn count_of_caller(
        &self,
        counts: impl FnMut(&ConnectionWatch) -> bool,
    ) -> u32 {
        self.count_of(Caller::current().number(), counts)
    }

    /// The number of connections that the [`Caller`] with this number holds and `counts` accepts.
    pub(in crate::engine) fn count_of(
        &self,
        caller: u64,
        mut counts: impl FnMut(&ConnectionWatch) -> bool,
    ) -> u32 {
        let watches = self.watches();
        let open = watches.iter().filter_map(Weak::upgrade);
        let own = open.filter(|watch| watch.is_held_by(caller) && counts(watch));
        u32::try_from(own.count()).unwrap_or(u32::MAX)
    }

    /// The number of connections that are being opened or checked for the calling task.
    pub(in crate::engine) fn count_filling_of_caller(&self) -> u32 {
        let caller = Caller::current();
        let filling = self.filling();
        let own = filling.iter().filter(|other| **other == caller).count();
        u32::try_from(own).unwrap_or(u32::MAX)
    }

    /// Lists the calling task as waiting for a connection to be opened or checked, until the guard is dropped.
    pub(in crate::engine) fn note_filling(&self) -> FillingGuard<'_> {
        let caller = Caller::current();
        self.filling().push(caller);
        FillingGuard { holders: self, caller }
    }

    fn watches(&self) -> MutexGuard<'_, Vec<Weak<ConnectionWatch>>> {
        self.watches.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn filling(&self) -> MutexGuard<'_, Vec<Caller>> {
        self.filling.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(in crate::engine) struct FillingGuard<'a> {
    holders: &'a Holders,
    caller: Caller,
}

impl Drop for FillingGuard<'_> {
    fn drop(&mut self) {
        let mut filling = self.holders.filling();
        if let Some(at) = filling.iter().position(|other| *other == self.caller) {
            filling.swap_remove(at);
        }
    }
}
