//! Who has the connections of an engine.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::caller::Caller;
use super::watch::ConnectionWatch;

/// Who has the connections of an engine, and who is about to.
#[derive(Default)]
pub(in crate::engine) struct Holders {
    /// Every connection that there is, as it is watched.
    watched: Mutex<Vec<Weak<ConnectionWatch>>>,
    /// Who has a permit, and waits for a connection that is opened or looked at.
    filling: Mutex<Vec<Caller>>,
}

impl Holders {
    /// Adds a connection.
    pub(in crate::engine) fn add(&self, watch: &Arc<ConnectionWatch>) {
        let mut watched = self.watched();
        watched.retain(|watch| watch.strong_count() > 0);
        watched.push(Arc::downgrade(watch));
    }

    /// Whether there is a connection.
    pub(in crate::engine) fn have_connection(&self) -> bool {
        self.watched().iter().any(|watch| watch.strong_count() > 0)
    }

    /// How many sessions the calling task has, of those that `counts` accepts.
    pub(in crate::engine) fn count_of_caller(
        &self,
        counts: impl FnMut(&ConnectionWatch) -> bool,
    ) -> u32 {
        self.count_of(Caller::current().number(), counts)
    }

    pub(in crate::engine) fn count_of(
        &self,
        caller: u64,
        mut counts: impl FnMut(&ConnectionWatch) -> bool,
    ) -> u32 {
        let watched = self.watched();
        let holders = watched.iter().filter_map(Weak::upgrade);
        let own =
            holders.filter(|watch| watch.holder.load(Ordering::Relaxed) == caller && counts(watch));
        u32::try_from(own.count()).unwrap_or(u32::MAX)
    }

    /// How many connections the calling task waits for, with a permit.
    pub(in crate::engine) fn count_filling_of_caller(&self) -> u32 {
        let caller = Caller::current();
        let filling = self.filling();
        let own = filling.iter().filter(|other| **other == caller).count();
        u32::try_from(own).unwrap_or(u32::MAX)
    }

    /// Counts the calling task as one that waits for a connection with a permit, until the guard is dropped.
    pub(in crate::engine) fn note_filling(&self) -> FillingGuard<'_> {
        let caller = Caller::current();
        self.filling().push(caller);
        FillingGuard { holders: self, caller }
    }

    fn watched(&self) -> MutexGuard<'_, Vec<Weak<ConnectionWatch>>> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn filling(&self) -> MutexGuard<'_, Vec<Caller>> {
        self.filling.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Somebody who waits for a connection that is opened or looked at.
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
