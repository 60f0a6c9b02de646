//! Which hosts of an engine have failed lately.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::backend::ConnectError;

/// For how long a host that has failed is tried after the others.
const PENALTY: Duration = Duration::from_secs(30);

/// The hosts of one engine that could not be reached, or refused, a moment ago.
///
/// Nothing is left out for that: they are tried after the others.
#[derive(Debug, Default)]
pub struct Hosts(Mutex<HashMap<String, Instant>>);

impl Hosts {
    /// Moves those that have failed lately to the end, and leaves the order as it is otherwise.
    pub(super) fn failed_last<T>(&self, candidates: &mut [T], name: impl Fn(&T) -> String) {
        let failed = self.failed_lately();
        if !failed.is_empty() {
            candidates.sort_by_key(|candidate| failed.contains_key(&name(candidate)));
        }
    }

    pub(crate) fn failed(&self, name: String) {
        self.failed_lately().insert(name, Instant::now());
    }

    pub(super) fn reached(&self, name: &str) {
        self.failed_lately().remove(name);
    }

    fn failed_lately(&self) -> MutexGuard<'_, HashMap<String, Instant>> {
        let mut failed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        failed.retain(|_, at| at.elapsed() < PENALTY);
        failed
    }
}

/// The host was silent. The time that it had is put in by whoever has given it.
pub(super) fn silent() -> ConnectError {
    ConnectError::TimedOut { after: Duration::ZERO }
}

/// Of two failures, the one that says more: what a server has said, before that a host cannot be reached. That one
/// was silent says least.
pub(super) fn more_telling(before: Option<ConnectError>, now: ConnectError) -> ConnectError {
    let says = |error: &ConnectError| match error {
        ConnectError::TimedOut { .. } => 0,
        ConnectError::Unreachable(_) => 1,
        _ => 2,
    };
    match before {
        Some(before) if says(&before) > says(&now) => before,
        _ => now,
    }
}

/// When the next one of that many has had its share of the time.
pub(super) fn share(deadline: Instant, of: usize) -> Instant {
    let now = Instant::now();
    let left = deadline.saturating_duration_since(now);
    now + left / u32::try_from(of.max(1)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_host_that_has_failed_is_tried_last_for_a_while() {
        let hosts = Hosts::default();
        let order = || {
            let mut names = ["one", "two", "three"];
            hosts.failed_last(&mut names, |name| (*name).to_owned());
            names
        };
        assert_eq!(order(), ["one", "two", "three"]);
        hosts.failed("one".to_owned());
        assert_eq!(order(), ["two", "three", "one"]);
        hosts.failed("two".to_owned());
        assert_eq!(order(), ["three", "one", "two"]);
        hosts.reached("one");
        assert_eq!(order(), ["one", "three", "two"]);
        tokio::time::advance(PENALTY).await;
        assert_eq!(order(), ["one", "two", "three"]);
    }
}
