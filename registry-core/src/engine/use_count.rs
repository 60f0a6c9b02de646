//! The use count of an engine that was opened on demand.
//!
//! A model checker runs this file with its own atomics: the tests of `on_demand` mount it beside a `sync` of their own.

use std::sync::{Arc, Weak};

use super::sync::{AtomicBool, AtomicUsize, Ordering};

/// The number of uses of an engine, and the owner to notify when it drops to zero.
///
/// A use is a session, a caller that waits for one, or a caller that has found the engine and is about to ask. It begins
/// under the lock of the owner, under which the owner also decides which engine is evicted. So no engine is evicted
/// between being found and being used. A use ends without that lock.
pub(crate) struct UseCount {
    count: AtomicUsize,
    had_checkout: AtomicBool,
    /// `None` for the engines of the settings, which are never evicted.
    owner: Option<Weak<dyn EngineOwner>>,
}

/// The owner of engines that are opened on demand.
pub(crate) trait EngineOwner: Send + Sync {
    /// Whether a caller waits for an engine to be unused.
    fn is_waited_for(&self) -> bool;

    /// Called when an engine has lost its last use, if a caller waits for that, or the engine has never had a session.
    fn unused(self: Arc<Self>);
}

impl UseCount {
    pub(crate) fn new(owner: Option<Weak<dyn EngineOwner>>) -> Self {
        Self { count: AtomicUsize::new(0), had_checkout: AtomicBool::new(false), owner }
    }
    /// Whether it was opened on demand.
    pub(crate) fn has_owner(&self) -> bool {
        self.owner.is_some()
    }

    pub(crate) fn begin(&self) {
        if self.owner.is_some() {
            self.count.fetch_add(1, Ordering::SeqCst);
        }
    }

    pub(crate) fn end(&self) {
        // Dekker handshake with a caller that waits for an engine: the waiter publishes itself and then reads `count`,
        // while this code decrements `count` and then reads whether a caller waits. With `SeqCst`, at least one of the two
        // sees the other, so no engine stays unused while a caller waits for one.
        if let Some(owner) = &self.owner
            && self.count.fetch_sub(1, Ordering::SeqCst) == 1
            && let Some(owner) = owner.upgrade()
            && (owner.is_waited_for() || !self.had_checkout())
        {
            owner.unused();
        }
    }

    pub(crate) fn is_used(&self) -> bool {
        self.count.load(Ordering::SeqCst) > 0
    }

    /// Records that a session was checked out.
    pub(crate) fn note_checkout(&self) {
        if !self.had_checkout() {
            self.had_checkout.store(true, Ordering::SeqCst);
        }
    }

    /// Whether a session was ever checked out. An unused engine without any session could not connect, and is not kept.
    pub(crate) fn had_checkout(&self) -> bool {
        self.had_checkout.load(Ordering::SeqCst)
    }
}
