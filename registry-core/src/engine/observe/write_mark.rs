//! Whether something may have been written on behalf of a scope.

use std::sync::atomic::{AtomicBool, Ordering};

/// Whether something may have been written since the last [`take`](Self::take).
///
/// The connections that a scope has acquired set it with each statement that may write, and with each end of a
/// transaction, both when it begins and when it has ended: a position that is asked for in between may be before it.
#[derive(Debug, Default)]
pub(crate) struct WriteMark(AtomicBool);

impl WriteMark {
    pub(crate) fn set(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    pub(crate) fn is_set(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }

    /// Whether it was set. It is not set afterwards.
    pub(crate) fn take(&self) -> bool {
        self.0.swap(false, Ordering::SeqCst)
    }
}
