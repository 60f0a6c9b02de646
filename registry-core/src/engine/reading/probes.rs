//! Whether the probes of a bind's replicas run.
//!
//! The first read starts them as tasks of its runtime. They end with it. A runtime that nobody drives any more, such as one
//! of `block_on` that is kept for later, does not end them, and does not run them either. So they tell that they are alive,
//! and a read that finds them silent starts others in their place, on its own runtime.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::settings::EngineOptions;

/// When the probes were alive, in milliseconds after the replicas were made, plus one. 0: they do not run.
#[derive(Debug, Default)]
pub(super) struct ProbesClock {
    alive: AtomicU64,
    /// The number of the latest probes.
    latest: AtomicU64,
    /// Taken when probes begin and end.
    changing: Mutex<()>,
}

/// The probes that were started together.
pub(super) struct Probes {
    clock: Arc<ProbesClock>,
    number: u64,
}

/// After so long without a sign of life, probes count as stopped. A probe may wait for a connection and for an answer.
fn patience(options: &EngineOptions) -> Duration {
    (options.probe_interval + options.connect_timeout + options.check_timeout).saturating_mul(2)
}

fn stamp(now: Duration) -> u64 {
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX - 1) + 1
}

impl ProbesClock {
    /// Whether no probes run, as far as is known.
    pub(super) fn is_stopped(&self, now: Duration, options: &EngineOptions) -> bool {
        let alive = self.alive.load(Ordering::Relaxed);
        alive == 0 || stamp(now).saturating_sub(alive) > stamp(patience(options))
    }

    /// Lets new probes begin, unless others have just begun.
    pub(super) fn begin(
        this: &Arc<Self>,
        now: Duration,
        options: &EngineOptions,
    ) -> Option<Arc<Probes>> {
        let _changing = this.changing.lock().unwrap_or_else(PoisonError::into_inner);
        if !this.is_stopped(now, options) {
            return None;
        }
        let number = this.latest.load(Ordering::Relaxed) + 1;
        this.latest.store(number, Ordering::Relaxed);
        this.alive.store(stamp(now), Ordering::Relaxed);
        Some(Arc::new(Probes { clock: Arc::clone(this), number }))
    }
}

impl Probes {
    /// Records that they are alive. False if others have taken their place.
    pub(super) fn note_alive(&self, now: Duration) -> bool {
        let is_latest = self.clock.latest.load(Ordering::Relaxed) == self.number;
        if is_latest {
            self.clock.alive.store(stamp(now), Ordering::Relaxed);
        }
        is_latest
    }
}

impl Drop for Probes {
    fn drop(&mut self) {
        let _changing = self.clock.changing.lock().unwrap_or_else(PoisonError::into_inner);
        if self.clock.latest.load(Ordering::Relaxed) == self.number {
            self.clock.alive.store(0, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probes_that_are_silent_for_long_are_replaced_once() {
        let options = EngineOptions::default();
        let clock = Arc::new(ProbesClock::default());
        let at = Duration::from_secs;
        assert!(clock.is_stopped(at(0), &options));
        let first = ProbesClock::begin(&clock, at(0), &options).expect("none run");
        assert!(ProbesClock::begin(&clock, at(1), &options).is_none(), "they run");
        assert!(first.note_alive(at(100)));
        assert!(!clock.is_stopped(at(101), &options));

        let second = ProbesClock::begin(&clock, at(200), &options).expect("they are silent");
        assert!(!first.note_alive(at(201)), "others have taken their place");
        drop(first);
        assert!(!clock.is_stopped(at(201), &options), "the second ones run");
        drop(second);
        assert!(clock.is_stopped(at(201), &options));
    }
}
