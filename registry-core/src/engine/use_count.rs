//! How many use an engine that was opened on demand.

use std::sync::{Arc, Weak};

use super::sync::{AtomicBool, AtomicUsize, Ordering};

/// How many use an engine, and whom to tell when nobody does.
///
/// A use is a session, somebody who waits for one, or somebody who has found the engine and is about to
/// ask. It is begun by whoever may close the engine otherwise, under the lock in which that is decided,
/// and ended without one.
pub(crate) struct UseCount {
    count: AtomicUsize,
    has_lent: AtomicBool,
    /// The engines of the settings have none: they are never closed for want of use.
    owner: Option<Weak<dyn EngineOwner>>,
}

/// Whoever has opened an engine on demand.
pub(crate) trait EngineOwner: Send + Sync {
    /// Whether somebody waits for an engine to be unused.
    fn is_waited_for(&self) -> bool;

    /// An engine is not used any more, and somebody waits for that; or it has never had a connection.
    fn unused(self: Arc<Self>);
}

impl UseCount {
    pub(crate) fn new(owner: Option<Weak<dyn EngineOwner>>) -> Self {
        Self { count: AtomicUsize::new(0), has_lent: AtomicBool::new(false), owner }
    }

    pub(crate) fn begin(&self) {
        if self.owner.is_some() {
            self.count.fetch_add(1, Ordering::SeqCst);
        }
    }

    pub(crate) fn end(&self) {
        // Whoever waits says so first and looks at the count then; here it is the other way round. So one
        // of the two sees the other, and no engine stays unused while somebody waits for one.
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

    /// Notes that there was a session.
    pub(crate) fn note_checkout(&self) {
        if !self.had_checkout() {
            self.has_lent.store(true, Ordering::SeqCst);
        }
    }

    /// Whether there ever was a session. If not, the engine could not be opened.
    pub(crate) fn had_checkout(&self) -> bool {
        self.has_lent.load(Ordering::SeqCst)
    }
}
