//! The last minutes of each engine, a second at a time.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use super::activity::Activity;
use crate::engine::EngineStatus;
use crate::settings::BindKey;

/// How far back the charts go.
pub(super) const SPAN: Duration = Duration::from_secs(180);

/// What one engine did in one second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Sample {
    pub(super) at: Instant,
    /// The most connections that were in use at once, as far as was looked.
    pub(super) in_use: u32,
    /// The most callers that waited at once, as far as was looked.
    pub(super) waiting: u32,
    /// What is known of its queries.
    pub(super) activity: Option<Activity>,
}

/// The samples of all binds, the oldest first.
#[derive(Debug, Default)]
pub(super) struct History {
    samples: BTreeMap<BindKey, VecDeque<Sample>>,
    /// The largest figures since the last sample.
    peaks: BTreeMap<BindKey, (u32, u32)>,
}

impl History {
    /// Looks at an engine between two samples, so that what is over before the next one is seen.
    pub(super) fn look(&mut self, engine: &EngineStatus) {
        let (in_use, waiting) = self.peaks.entry(engine.key).or_default();
        *in_use = (*in_use).max(engine.in_use);
        *waiting = (*waiting).max(engine.waiting);
    }

    /// Ends the second of an engine.
    pub(super) fn sample(&mut self, key: BindKey, at: Instant, activity: Option<Activity>) {
        let (in_use, waiting) = self.peaks.remove(&key).unwrap_or_default();
        let samples = self.samples.entry(key).or_default();
        while samples.front().is_some_and(|sample| at - sample.at > SPAN) {
            samples.pop_front();
        }
        samples.push_back(Sample { at, in_use, waiting, activity });
    }

    /// The samples of an engine, the oldest first.
    pub(super) fn of(&self, key: BindKey) -> impl Iterator<Item = &Sample> {
        self.samples.get(&key).into_iter().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> BindKey {
        "default".parse().expect("a key")
    }

    #[tokio::test]
    async fn history_forgets_what_is_older_than_its_span() {
        let mut history = History::default();
        let began = Instant::now();
        for second in 0..=SPAN.as_secs() + 5 {
            history.sample(key(), began + Duration::from_secs(second), None);
        }
        let oldest = history.of(key()).next().expect("a sample");
        assert_eq!(oldest.at, began + Duration::from_secs(5));
    }
}
