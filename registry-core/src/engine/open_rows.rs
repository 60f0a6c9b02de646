//! Rows that are still to come.

use std::sync::Weak;

use super::checkout::Checkout;
use super::observe::watch::ConnectionWatch;
use crate::backend::Backend;

/// Rows of a statement that are being read. If this is dropped before [`OpenRows::end`], the connection
/// is not lent again: whoever had it next would wait until all of them had come.
///
/// It goes before the loan does, and notes nothing where nothing has to be noted.
pub(crate) struct OpenRows {
    /// Weak, as the engine sees by the count who else has it.
    watch: Weak<ConnectionWatch>,
    is_open: bool,
}

impl OpenRows {
    /// Those of the next statement.
    pub(crate) fn new<C: Backend>(checkout: Option<&mut Checkout<C>>) -> Self {
        // A stream that is read shows by itself what is to come, and also when it has come after all.
        let is_noticed = |watch: &&std::sync::Arc<ConnectionWatch>| {
            C::LEAVES_UNREAD_ROWS && !watch.observed.reads_stream()
        };
        let watch = checkout.as_ref().and_then(|checkout| checkout.watch()).filter(is_noticed);
        Self { watch: watch.map(std::sync::Arc::downgrade).unwrap_or_default(), is_open: false }
    }

    /// Whether anything has to be noted.
    pub(crate) fn are_tracked(&self) -> bool {
        self.watch.strong_count() > 0
    }

    /// The statement was sent.
    pub(crate) fn begin(&mut self) {
        self.is_open = true;
    }

    /// The last row has come.
    pub(crate) fn end(&mut self) {
        self.is_open = false;
        if let Some(watch) = self.watch.upgrade() {
            watch.note_rows_read();
        }
    }
}

impl Drop for OpenRows {
    fn drop(&mut self) {
        if let Some(watch) = self.watch.upgrade().filter(|_| self.is_open) {
            watch.abandon_rows();
        }
    }
}
