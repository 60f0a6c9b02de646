//! What `Registry::verify` has said last.

use std::time::{Duration, SystemTime};

use crate::cause::Chain;
use crate::registry::{Registry, VerifyFailure};

/// How long a result is good enough for those who ask again.
const GOOD_FOR: Duration = Duration::from_secs(10);

/// What is known of the verification of a registry.
#[derive(Debug, Clone, Default)]
pub(super) struct Verification {
    pub(super) is_running: bool,
    pub(super) last: Option<Verdict>,
}

impl Verification {
    /// Whether the last result is so young that another one would say the same.
    pub(super) fn is_recent(&self, now: SystemTime) -> bool {
        self.last.as_ref().is_some_and(|last| {
            // A clock that was set back must not keep the button from working.
            now.duration_since(last.at).is_ok_and(|age| age < GOOD_FOR)
        })
    }
}

/// The result of one verification.
#[derive(Debug, Clone)]
pub(super) struct Verdict {
    pub(super) at: SystemTime,
    pub(super) took: Duration,
    pub(super) failures: Vec<String>,
    pub(super) warnings: Vec<String>,
    /// How many binds answered, and how many models and tables were compared. Only known if there were no failures.
    pub(super) counts: Option<(usize, usize)>,
}

/// Runs `verify`.
pub(super) async fn verify(registry: &Registry) -> Verdict {
    let (at, started) = (SystemTime::now(), std::time::Instant::now());
    let outcome = registry.verify().await;
    let took = started.elapsed();
    let texts = |failures: &[VerifyFailure]| {
        failures.iter().map(|failure| Chain(failure).to_string()).collect()
    };
    match outcome {
        Ok(report) => {
            let counts = Some((report.answered.len(), report.bound));
            let warnings = texts(&report.warnings);
            Verdict { at, took, failures: Vec::new(), warnings, counts }
        }
        Err(error) => {
            let failures = texts(error.failures());
            Verdict { at, took, failures, warnings: Vec::new(), counts: None }
        }
    }
}
