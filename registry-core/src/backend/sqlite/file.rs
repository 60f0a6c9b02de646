//! What the connections to one file share in this process.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::run_queue::RunQueue;

/// The files with an open connection, by URL.
static FILES: Mutex<Option<HashMap<String, Weak<File>>>> = Mutex::new(None);

/// What the connections to one file share.
#[derive(Default)]
pub(super) struct File {
    pub(super) run_queue: Arc<RunQueue>,
    /// Connections are set up and closed under this lock.
    ///
    /// A connection that is being closed may lock the whole file, and SQLite then does not always wait for `busy_timeout`.
    ///
    /// The last connection to a file moves the write-ahead log into the file and removes the log. If two connections are
    /// closed at the same time, SQLite treats neither as the last one, and the log stays.
    closing: Mutex<()>,
}

impl File {
    /// The file of a URL. A database in memory is the only one of its connection, even if others have the same URL.
    pub(super) fn of(url: &str) -> Arc<Self> {
        if url.is_empty() || url.contains(":memory:") || url.contains("mode=memory") {
            return Arc::default();
        }
        let mut files = FILES.lock().unwrap_or_else(PoisonError::into_inner);
        let files = files.get_or_insert_default();
        if let Some(file) = files.get(url).and_then(Weak::upgrade) {
            return file;
        }
        files.retain(|_, file| file.strong_count() > 0);
        let fresh = Arc::default();
        files.insert(url.to_owned(), Arc::downgrade(&fresh));
        fresh
    }

    /// Waits until no other connection to the file is being set up or closed.
    pub(super) fn exclusive_turn(&self) -> MutexGuard<'_, ()> {
        self.closing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
