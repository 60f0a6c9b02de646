//! The times that single operations took.

use std::time::Duration;

/// The times of operations, in nanoseconds.
#[derive(Default)]
pub(crate) struct Latencies(Vec<u64>);

impl Latencies {
    pub(crate) fn add(&mut self, time: Duration) {
        self.0.push(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    }

    pub(crate) fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// The median, the 99th percentile and the longest; `None` if nothing was kept.
    pub(crate) fn quantiles(&mut self) -> Option<Quantiles> {
        self.0.sort_unstable();
        let last = self.0.len().checked_sub(1)?;
        let at = |percent| self.0[last * percent / 100];
        Some(Quantiles { median: at(50), p99: at(99), longest: at(100) })
    }
}

/// Nanoseconds.
#[derive(Clone, Copy)]
pub(crate) struct Quantiles {
    pub(crate) median: u64,
    pub(crate) p99: u64,
    pub(crate) longest: u64,
}

impl Quantiles {
    pub(crate) fn parse(text: &str, separator: char) -> Option<Self> {
        let mut numbers = text.split(separator).map(|word| word.parse().ok());
        let mut next = || numbers.next().flatten();
        Some(Self { median: next()?, p99: next()?, longest: next()? })
    }

    /// In the order in which they are parsed.
    pub(crate) fn numbers(self) -> [u64; 3] {
        [self.median, self.p99, self.longest]
    }

    /// The 99th percentile as a multiple of the median.
    pub(crate) fn ratio(self) -> f64 {
        self.p99 as f64 / self.median as f64
    }
}
