//! Noticing rows that a query leaves unread.

use std::sync::Weak;

use super::checkout::Checkout;
use super::observe::watch::ConnectionWatch;
use crate::backend::Backend;

/// A guard for the rows of one statement. If it is dropped between [`begin`](Self::begin) and [`end`](Self::end), rows
/// were left unread, and the connection is closed when it is returned: its next statement would have to wait until all
/// of them had arrived.
///
/// It must be dropped before the checkout is.
pub(crate) struct OpenRows {
    /// Dangling if no record is needed.
    watch: Weak<ConnectionWatch>,
    is_open: bool,
}

impl OpenRows {
    /// The guard for the next statement.
    pub(crate) fn new<C: Backend>(checkout: Option<&Checkout<C>>) -> Self {
        // If the stream is read, it shows unread rows by itself, and also that the rows have arrived after all.
        let is_noticed = |watch: &&std::sync::Arc<ConnectionWatch>| {
            C::LEAVES_UNREAD_ROWS && !watch.observed.reads_stream()
        };
        let watch = checkout.and_then(|checkout| checkout.watch()).filter(is_noticed);
        Self { watch: watch.map(std::sync::Arc::downgrade).unwrap_or_default(), is_open: false }
    }

    /// Whether unread rows are recorded. They are not if the connection shows them by itself, or leaves no unread rows.
    pub(crate) fn are_tracked(&self) -> bool {
        self.watch.strong_count() > 0
    }

    /// The statement was sent.
    pub(crate) fn begin(&mut self) {
        self.is_open = true;
    }

    /// The last row was read.
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
            watch.note_rows_abandoned();
        }
    }
}
