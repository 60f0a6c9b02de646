//! Waiting for connections that were dropped to be closed.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

/// What ends when a thread does. The thread holds the other end, and sends nothing.
type Ended = watch::Receiver<()>;

/// The URLs of connections that were dropped, and whose threads may still run.
static CLOSING: Mutex<Vec<(String, Ended)>> = Mutex::new(Vec::new());

/// Held by a connection: dropping it says that its thread is about to end.
pub(super) struct Closing {
    url: String,
    ended: Ended,
}

/// A pair for a new connection. The second one is for its thread, which drops it last.
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
pub(super) async fn all_closed(url: &str) {
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
    CLOSING.lock().unwrap_or_else(PoisonError::into_inner)
}
