//! Connections to one file are closed one after another. Callers can wait until they are closed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::watch;

/// Ends when the thread of a connection ends: the thread holds the sender, and sends nothing.
type Ended = watch::Receiver<()>;

/// The URLs of dropped connections whose threads may still run.
static CLOSING: Mutex<Vec<(String, Ended)>> = Mutex::new(Vec::new());

/// By URL, the locks under which connections are closed.
///
/// The last connection to a file moves the write-ahead log into the file and removes the log. If two connections are closed
/// at the same time, SQLite treats neither as the last one, and the log stays.
static CLOSE_LOCKS: Mutex<Option<HashMap<String, Weak<Mutex<()>>>>> = Mutex::new(None);

/// The lock under which the connections to one URL are closed.
pub(super) struct CloseLock(Arc<Mutex<()>>);

impl CloseLock {
    pub(super) fn of(url: &str) -> Self {
        let mut locks = lock(&CLOSE_LOCKS);
        let locks = locks.get_or_insert_default();
        if let Some(lock) = locks.get(url).and_then(Weak::upgrade) {
            return Self(lock);
        }
        locks.retain(|_, lock| lock.strong_count() > 0);
        let fresh = Arc::default();
        locks.insert(url.to_owned(), Arc::downgrade(&fresh));
        Self(fresh)
    }

    /// Waits until no other connection is being closed.
    pub(super) fn take(&self) -> MutexGuard<'_, ()> {
        lock(&self.0)
    }
}

/// Held by a connection. Dropping it announces that the connection's thread is about to end.
pub(super) struct Closing {
    url: String,
    ended: Ended,
}

/// The two halves for a new connection. The second half is for the thread, which drops it last.
pub(super) fn new(url: &str) -> (Closing, watch::Sender<()>) {
    let (running, ended) = watch::channel(());
    (Closing { url: url.to_owned(), ended }, running)
}

impl Drop for Closing {
    fn drop(&mut self) {
        let mut closing = closing();
        closing.retain(|(_, ended)| is_running(ended));
        if is_running(&self.ended) {
            closing.push((std::mem::take(&mut self.url), self.ended.clone()));
        }
    }
}

/// Waits until all connections to `url` that were dropped before are closed.
pub(super) async fn wait_until_closed(url: &str) {
    let ended: Vec<Ended> = {
        let closing = closing();
        closing.iter().filter(|(of, _)| of == url).map(|(_, ended)| ended.clone()).collect()
    };
    for mut ended in ended {
        while ended.changed().await.is_ok() {}
    }
}

fn is_running(ended: &Ended) -> bool {
    ended.has_changed().is_ok()
}

fn closing() -> MutexGuard<'static, Vec<(String, Ended)>> {
    lock(&CLOSING)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
