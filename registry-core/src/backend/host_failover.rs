//! The order in which the hosts of a URL are tried, and how the time is shared among them.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::error::ConnectError;

/// The time for which a failed host is tried after the other hosts.
const PENALTY: Duration = Duration::from_secs(30);

/// The hosts of one engine that could not be reached, or refused a connection, in the last 30 seconds.
///
/// Failed hosts are not skipped: they are tried after the other hosts.
#[derive(Debug, Default)]
pub struct FailedHosts(Mutex<HashMap<String, Instant>>);

impl FailedHosts {
    /// Moves the recently failed hosts to the end. The sort is stable, so the order is otherwise unchanged.
    pub(super) fn sort_last<T>(&self, candidates: &mut [T], name: impl Fn(&T) -> String) {
        let failed = self.recent();
        if !failed.is_empty() {
            candidates.sort_by_key(|candidate| failed.contains_key(&name(candidate)));
        }
    }

    /// Records that a host has failed.
    pub(crate) fn add(&self, name: String) {
        self.recent().insert(name, Instant::now());
    }

    /// Records that a host was reached.
    pub(super) fn remove(&self, name: &str) {
        self.recent().remove(name);
    }

    fn recent(&self) -> MutexGuard<'_, HashMap<String, Instant>> {
        let mut failed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        failed.retain(|_, at| at.elapsed() < PENALTY);
        failed
    }
}

/// The failure of a host that has not answered in its share of the time. The engine, which knows how long that was,
/// fills in the duration.
pub(super) fn host_timed_out() -> ConnectError {
    ConnectError::TimedOut { after: Duration::ZERO }
}

/// The more informative of two failures: the answer of a server ranks before "unreachable", and "unreachable" before a
/// time-out.
pub(super) fn more_informative(before: Option<ConnectError>, now: ConnectError) -> ConnectError {
    let rank = |error: &ConnectError| match error {
        ConnectError::TimedOut { .. } => 0,
        ConnectError::Unreachable(_) => 1,
        _ => 2,
    };
    match before {
        Some(before) if rank(&before) > rank(&now) => before,
        _ => now,
    }
}

/// The deadline of the next host. `remaining` hosts, including the next one, share the time until `deadline` equally.
pub(super) fn share_deadline(deadline: Instant, remaining: usize) -> Instant {
    let now = Instant::now();
    let time = deadline.saturating_duration_since(now);
    now + time / u32::try_from(remaining.max(1)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_host_that_has_failed_is_tried_last_for_a_while() {
        let hosts = FailedHosts::default();
        let order = || {
            let mut names = ["one", "two", "three"];
            hosts.sort_last(&mut names, |name| (*name).to_owned());
            names
        };
        assert_eq!(order(), ["one", "two", "three"]);
        hosts.add("one".to_owned());
        assert_eq!(order(), ["two", "three", "one"]);
        hosts.add("two".to_owned());
        assert_eq!(order(), ["three", "one", "two"]);
        hosts.remove("one");
        assert_eq!(order(), ["one", "three", "two"]);
        tokio::time::advance(PENALTY).await;
        assert_eq!(order(), ["one", "two", "three"]);
    }
}
