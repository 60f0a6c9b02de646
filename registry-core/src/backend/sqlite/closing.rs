//! Callers can wait until the connections to a file that were dropped are closed.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

/// Ends when the database of a connection is closed: the database holds the sender, and sends nothing.
type Ended = watch::Receiver<()>;

/// The URLs of dropped connections whose databases may still be open.
static CLOSING: Mutex<Vec<(String, Ended)>> = Mutex::new(Vec::new());

/// Held by a connection. Dropping it announces that the connection's database is about to be closed.
pub(super) struct Closing {
    url: String,
    ended: Ended,
}

/// The two halves for a new connection. The second half is for the database, which is closed when it is dropped.
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
    CLOSING.lock().unwrap_or_else(PoisonError::into_inner)
}
