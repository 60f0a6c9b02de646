//! A histogram of latencies.

use std::time::Duration;

/// Four buckets for each doubling, so a quantile is right within a fifth.
const PER_DOUBLING: f64 = 4.0;

/// Up to 2^30 microseconds, 18 minutes. Longer ones are in the last bucket.
const BUCKETS: usize = 4 * 30;

/// A histogram of latencies, from a microsecond to 18 minutes.
#[derive(Debug, Clone)]
pub(crate) struct Latencies {
    buckets: Box<[u64; BUCKETS]>,
    count: u64,
}

impl Default for Latencies {
    fn default() -> Self {
        Self { buckets: Box::new([0; BUCKETS]), count: 0 }
    }
}

impl Latencies {
    pub(super) fn record(&mut self, latency: Duration) {
        let micros = (latency.as_secs_f64() * 1e6).max(1.0);
        let bucket = (micros.log2() * PER_DOUBLING) as usize;
        self.buckets[bucket.min(BUCKETS - 1)] += 1;
        self.count += 1;
    }

    /// Those that were recorded since `earlier`, which is an earlier state of the same histogram.
    pub(crate) fn since(&self, earlier: &Self) -> Self {
        let mut since = self.clone();
        for (bucket, before) in since.buckets.iter_mut().zip(&*earlier.buckets) {
            *bucket = bucket.saturating_sub(*before);
        }
        since.count = since.buckets.iter().sum();
        since
    }

    /// The latency that this share of the queries has not exceeded: 0.95 for the 95th percentile. `None` without queries. It
    /// is the middle of a bucket, and so right within a tenth.
    pub(crate) fn quantile(&self, share: f64) -> Option<Duration> {
        if self.count == 0 {
            return None;
        }
        let wanted = ((self.count as f64 * share).ceil() as u64).clamp(1, self.count);
        let mut seen = 0;
        let bucket = self.buckets.iter().position(|count| {
            seen += count;
            seen >= wanted
        })?;
        let micros = ((bucket as f64 + 0.5) / PER_DOUBLING).exp2();
        Some(Duration::from_secs_f64(micros / 1e6))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_about(found: Option<Duration>, expected: Duration) {
        let found = found.expect("there are queries").as_secs_f64();
        let ratio = found / expected.as_secs_f64();
        assert!((0.9..1.1).contains(&ratio), "{found}s is not about {expected:?}");
    }

    #[test]
    fn quantiles_are_right_within_a_tenth() {
        let mut latencies = Latencies::default();
        assert_eq!(latencies.quantile(0.5), None);
        for micros in 1..=1000 {
            latencies.record(Duration::from_micros(micros));
        }
        assert_about(latencies.quantile(0.5), Duration::from_micros(500));
        assert_about(latencies.quantile(0.95), Duration::from_micros(950));

        let earlier = latencies.clone();
        latencies.record(Duration::from_secs(3));
        assert_about(latencies.since(&earlier).quantile(0.5), Duration::from_secs(3));
        latencies.record(Duration::MAX);
        latencies.record(Duration::ZERO);
        assert_eq!(latencies.since(&earlier).count, 3);
    }
}
