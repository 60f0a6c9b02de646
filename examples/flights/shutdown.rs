//! How a server ends: a first Ctrl-C or SIGTERM drains it, and a second one ends it at once.

use std::future::Future;
use std::io;
use std::time::Duration;

use registry_core::Registry;
use tokio::sync::watch;

/// How long requests that are in flight may take once the server is asked to end.
const DRAIN: Duration = Duration::from_secs(5);
/// How long the registry waits after that for its sessions.
const CLOSE: Duration = Duration::from_secs(2);
/// The exit code of a program that was interrupted, by the convention of shells.
const INTERRUPTED: i32 = 130;

/// Whether the program has been asked to end. Clones are asked at once.
#[derive(Clone)]
pub(crate) struct Shutdown(watch::Receiver<bool>);

impl Shutdown {
    /// Listens for signals from now on, which then do not have their usual effect.
    pub(crate) fn listen() -> io::Result<Self> {
        let mut signals = Signals::new()?;
        let (ask, asked) = watch::channel(false);
        tokio::spawn(async move {
            signals.next().await;
            eprintln!(
                "stopping: requests in flight have {DRAIN:?}; another signal ends it at once"
            );
            ask.send_replace(true);
            signals.next().await;
            std::process::exit(INTERRUPTED);
        });
        Ok(Self(asked))
    }

    /// Resolves when the program is asked to end.
    pub(crate) async fn asked(mut self) {
        // An error means that nobody listens any more, and so nobody will ask.
        if self.0.wait_for(|asked| *asked).await.is_err() {
            std::future::pending().await
        }
    }

    /// Runs `server` to its end, which has to come soon after the program is asked to end, and closes the registry. Prints
    /// what was late.
    pub(crate) async fn drain(
        self,
        server: impl Future<Output = io::Result<()>>,
        registry: &Registry,
    ) -> io::Result<()> {
        let limit = async {
            self.asked().await;
            tokio::time::sleep(DRAIN).await;
        };
        let served = tokio::select! {
            served = server => served,
            () = limit => {
                eprintln!("late: requests were still in flight after {DRAIN:?}");
                Ok(())
            }
        };
        let report = registry.close_within(CLOSE).await;
        if !report.is_complete() {
            eprintln!("late: {report}");
        }
        served
    }
}

#[cfg(unix)]
struct Signals([tokio::signal::unix::Signal; 2]);

#[cfg(unix)]
impl Signals {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self([signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?]))
    }

    async fn next(&mut self) {
        let [interrupt, terminate] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    }
}

/// Elsewhere, there is Ctrl-C alone.
#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) {
        // Where no handler can be installed, the server runs until it is killed.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending().await
        }
    }
}
