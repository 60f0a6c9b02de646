//! Ctrl-C and SIGTERM while something runs that is better brought to its end.

use std::future::Future;
use std::sync::Arc;
use std::{io, process};

#[cfg(unix)]
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinHandle;

use super::exit::Exit;
use super::output::Output;
use crate::backend::migrate::Stop;
use crate::latch::Latch;

/// Listens for signals as long as it lives. Meanwhile, they do not have their usual effect.
pub(super) struct Interrupts {
    listener: JoinHandle<()>,
    stop: Stop,
    come: Arc<Latch>,
}

impl Interrupts {
    /// Listens for Ctrl-C and SIGTERM. The second one ends the process, with the code of an interrupted one.
    pub(super) fn listen(output: &Output) -> Self {
        let output = output.clone();
        Self::of(Signals::that_interrupt(), move |count| {
            if count > 1 {
                output.warning("ended at once: what was running may be done in part");
                process::exit(Exit::Interrupted.code().into());
            }
            output.warning(
                "interrupted: what is running comes to its end, and nothing new begins. Once more ends it at once",
            );
        })
    }

    /// Listens for Ctrl-C and SIGTERM, for a command that has nothing to bring to its end.
    pub(super) fn quietly() -> Self {
        Self::of(Signals::that_interrupt(), |_| {})
    }

    /// Listens for the signals that end this process. Those of the terminal (Ctrl-C, Ctrl-\) are for the child, which gets
    /// them too, and have no effect here.
    pub(super) fn left_to_child() -> Self {
        Self::of(Signals::that_terminate(), |_| {})
    }

    fn of(signals: io::Result<Signals>, on_signal: impl Fn(u32) + Send + 'static) -> Self {
        let (stop, come) = (Stop::default(), Arc::new(Latch::default()));
        let (stopping, coming) = (stop.clone(), Arc::clone(&come));
        let listener = tokio::spawn(async move {
            // Without signals, they keep their usual effect, and whoever waits for one waits for ever.
            let Ok(mut signals) = signals else { return };
            let mut count = 0;
            loop {
                signals.next().await;
                count += 1;
                stopping.request();
                coming.set();
                on_signal(count);
            }
        });
        Self { listener, stop, come }
    }

    /// Whether a signal has come.
    pub(super) fn has_come(&self) -> bool {
        self.come.is_set()
    }

    /// Stops a change of migrations at the first signal.
    pub(super) fn stop(&self) -> Stop {
        self.stop.clone()
    }

    /// Waits for the first signal. Returns at once if it has come.
    pub(super) fn first(&self) -> impl Future<Output = ()> + Send + 'static {
        let come = Arc::clone(&self.come);
        async move { come.wait().await }
    }
}

impl Drop for Interrupts {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

#[cfg(unix)]
struct Signals {
    /// Those that are waited for.
    awaited: [Signal; 2],
    /// Those that are only kept from having their usual effect.
    _ignored: Vec<Signal>,
}

#[cfg(unix)]
impl Signals {
    fn that_interrupt() -> io::Result<Self> {
        let awaited = [signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?];
        Ok(Self { awaited, _ignored: Vec::new() })
    }

    fn that_terminate() -> io::Result<Self> {
        let ignored = vec![signal(SignalKind::interrupt())?, signal(SignalKind::quit())?];
        let awaited = [signal(SignalKind::terminate())?, signal(SignalKind::hangup())?];
        Ok(Self { awaited, _ignored: ignored })
    }

    async fn next(&mut self) {
        let [one, other] = &mut self.awaited;
        let come = tokio::select! {
            come = one.recv() => come,
            come = other.recv() => come,
        };
        if come.is_none() {
            std::future::pending().await
        }
    }
}

/// Elsewhere, there is Ctrl-C alone.
#[cfg(not(unix))]
struct Signals {
    is_awaited: bool,
}

#[cfg(not(unix))]
impl Signals {
    fn that_interrupt() -> io::Result<Self> {
        Ok(Self { is_awaited: true })
    }

    fn that_terminate() -> io::Result<Self> {
        Ok(Self { is_awaited: false })
    }

    async fn next(&mut self) {
        loop {
            if tokio::signal::ctrl_c().await.is_err() {
                std::future::pending().await
            }
            if self.is_awaited {
                return;
            }
        }
    }
}
