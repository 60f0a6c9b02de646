//! Ctrl-C and SIGTERM while something runs that is better brought to its end.

use std::future::Future;
use std::{io, process};

#[cfg(unix)]
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::exit::Exit;

/// Listens for the signals as long as it lives. Meanwhile, the first one does not end the process.
pub(super) struct Interrupts {
    listener: JoinHandle<()>,
    count: watch::Receiver<u32>,
}

impl Interrupts {
    /// Begins to listen. The second signal ends the process, with the code of an interrupted one.
    pub(super) fn listen() -> Self {
        let (sender, count) = watch::channel(0);
        let signals = Signals::new();
        let listener = tokio::spawn(async move {
            // Without signals, they keep their usual effect, and whoever waits for one waits for ever.
            let Ok(mut signals) = signals else { return std::future::pending().await };
            loop {
                signals.next().await;
                sender.send_modify(|count| *count += 1);
                if *sender.borrow() > 1 {
                    eprintln!("ended by a second signal: what was running may be done in part");
                    process::exit(Exit::Interrupted.code().into());
                }
            }
        });
        Self { listener, count }
    }

    /// Whether a signal has come.
    pub(super) fn has_come(&self) -> bool {
        *self.count.borrow() > 0
    }

    /// Waits for the first signal. Returns at once if it has come.
    pub(super) fn first(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut count = self.count.clone();
        async move {
            if count.wait_for(|count| *count > 0).await.is_err() {
                std::future::pending().await
            }
        }
    }
}

impl Drop for Interrupts {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

/// The signals that ask a program to end.
#[cfg(unix)]
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) {
        let come = tokio::select! {
            come = self.interrupt.recv() => come,
            come = self.terminate.recv() => come,
        };
        if come.is_none() {
            std::future::pending().await
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending().await
        }
    }
}
