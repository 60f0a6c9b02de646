//! Handles of metrics, and timers. Without the feature `metrics`, they are empty and do nothing.

use std::fmt::Display;
use std::time::Duration;
#[cfg(feature = "metrics")]
use std::time::Instant;

use super::list::Metric;

/// The names and values of labels. The values are formatted only with the feature.
pub(crate) type Labels<'a> = &'a [(&'static str, &'a dyn Display)];

#[cfg(feature = "metrics")]
fn owned(labels: Labels<'_>) -> Vec<metrics::Label> {
    labels.iter().map(|(name, value)| metrics::Label::new(*name, value.to_string())).collect()
}

/// A number that goes up and down. Engines with the same labels share it, so each only changes it by its own part.
pub(crate) struct Gauge(#[cfg(feature = "metrics")] metrics::Gauge);

/// A number that only goes up.
pub(crate) struct Counter(#[cfg(feature = "metrics")] metrics::Counter);

/// Recorded durations.
#[derive(Clone)]
pub(crate) struct Histogram(#[cfg(feature = "metrics")] metrics::Histogram);

#[cfg(feature = "metrics")]
impl Gauge {
    pub(crate) fn new(metric: &Metric, labels: Labels<'_>) -> Self {
        Self(metrics::gauge!(metric.name, owned(labels)))
    }

    /// One that reaches no recorder.
    pub(crate) fn unseen() -> Self {
        Self(metrics::Gauge::noop())
    }

    pub(crate) fn add(&self, change: i64) {
        match change {
            0 => {}
            // Some recorders take no negative increment.
            ..0 => self.0.decrement(change.unsigned_abs() as f64),
            _ => self.0.increment(change as f64),
        }
    }

    pub(crate) fn set(&self, value: f64) {
        self.0.set(value);
    }
}

#[cfg(feature = "metrics")]
impl Counter {
    pub(crate) fn new(metric: &Metric, labels: Labels<'_>) -> Self {
        Self(metrics::counter!(metric.name, owned(labels)))
    }

    pub(crate) fn add_one(&self) {
        self.0.increment(1);
    }
}

#[cfg(feature = "metrics")]
impl Histogram {
    pub(crate) fn new(metric: &Metric, labels: Labels<'_>) -> Self {
        Self(metrics::histogram!(metric.name, owned(labels)))
    }

    pub(crate) fn record(&self, time: Duration) {
        self.0.record(time);
    }

    pub(crate) fn record_since(&self, began: Timer) {
        self.0.record(began.0.elapsed());
    }
}

#[cfg(not(feature = "metrics"))]
impl Gauge {
    pub(crate) fn new(_: &Metric, _: Labels<'_>) -> Self {
        Self()
    }

    pub(crate) fn unseen() -> Self {
        Self()
    }

    pub(crate) fn add(&self, _: i64) {}

    pub(crate) fn set(&self, _: f64) {}
}

#[cfg(not(feature = "metrics"))]
impl Counter {
    pub(crate) fn new(_: &Metric, _: Labels<'_>) -> Self {
        Self()
    }

    pub(crate) fn add_one(&self) {}
}

#[cfg(not(feature = "metrics"))]
impl Histogram {
    pub(crate) fn new(_: &Metric, _: Labels<'_>) -> Self {
        Self()
    }

    pub(crate) fn record(&self, _: Duration) {}

    pub(crate) fn record_since(&self, _: Timer) {}
}

/// When a measured time began. Without the feature, the clock is not read.
#[derive(Clone, Copy)]
pub(crate) struct Timer(#[cfg(feature = "metrics")] Instant);

impl Timer {
    pub(crate) fn start() -> Self {
        Self(
            #[cfg(feature = "metrics")]
            Instant::now(),
        )
    }
}

/// Whether a recorder is installed. The one of the facade that stands for none has no size. Nor has a recorder that keeps
/// everything in statics: it counts as none here.
#[cfg(feature = "metrics")]
pub(crate) fn has_recorder() -> bool {
    metrics::with_recorder(|recorder| size_of_val(recorder) > 0)
}

/// Tells the recorders of a thread apart: its address. Handles that are kept belong to the recorder that was there when
/// they were made, and a program may install its own later.
#[cfg(feature = "metrics")]
pub(crate) fn recorder_id() -> usize {
    metrics::with_recorder(|recorder| (&raw const *recorder).cast::<()>().addr())
}
