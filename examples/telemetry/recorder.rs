//! The `metrics` facade, to which the registry reports, on OpenTelemetry's metrics.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use metrics::{
    Counter, Gauge, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder, SharedString, Unit,
};
use opentelemetry::KeyValue;
use opentelemetry::metrics::Meter;

/// The bounds of the buckets of durations in seconds. Those of the SDK are for milliseconds.
const SECONDS: [f64; 12] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];

/// A recorder whose metrics a [`Meter`] sends.
///
/// Counters and gauges are plain numbers, which are read when there is something to send. A gauge that several threads
/// change is right then; if each change was told to the meter, the last one that is told need not be the last one made.
pub(crate) struct OtlpRecorder {
    meter: Meter,
    described: Mutex<HashMap<KeyName, Description>>,
    counters: Mutex<HashMap<Key, Counter>>,
    gauges: Mutex<HashMap<Key, Gauge>>,
    histograms: Mutex<HashMap<Key, Histogram>>,
}

#[derive(Clone, Default)]
struct Description {
    unit: Option<Unit>,
    text: SharedString,
}

struct Recorded {
    histogram: opentelemetry::metrics::Histogram<f64>,
    labels: Vec<KeyValue>,
}

impl HistogramFn for Recorded {
    fn record(&self, value: f64) {
        self.histogram.record(value, &self.labels);
    }
}

impl OtlpRecorder {
    pub(crate) fn new(meter: Meter) -> Self {
        Self {
            meter,
            described: Mutex::default(),
            counters: Mutex::default(),
            gauges: Mutex::default(),
            histograms: Mutex::default(),
        }
    }

    fn describe(&self, name: KeyName, unit: Option<Unit>, text: SharedString) {
        let mut described = self.described.lock().unwrap_or_else(PoisonError::into_inner);
        described.insert(name, Description { unit, text });
    }

    /// What is known of a metric. A name says its unit where nobody has described it.
    fn description(&self, key: &Key) -> Description {
        let described = self.described.lock().unwrap_or_else(PoisonError::into_inner);
        let mut description = described.get(key.name()).cloned().unwrap_or_default();
        if key.name().ends_with("_seconds") {
            description.unit.get_or_insert(Unit::Seconds);
        }
        description
    }
}

impl Recorder for OtlpRecorder {
    fn describe_counter(&self, name: KeyName, unit: Option<Unit>, text: SharedString) {
        self.describe(name, unit, text);
    }

    fn describe_gauge(&self, name: KeyName, unit: Option<Unit>, text: SharedString) {
        self.describe(name, unit, text);
    }

    fn describe_histogram(&self, name: KeyName, unit: Option<Unit>, text: SharedString) {
        self.describe(name, unit, text);
    }

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        cached(&self.counters, key, || {
            let (value, described, labels) = (number(), self.description(key), labels(key));
            let read = Arc::clone(&value);
            self.meter
                .u64_observable_counter(key.name().to_owned())
                .with_description(described.text)
                .with_unit(unit_text(described.unit))
                .with_callback(move |to| to.observe(read.load(Ordering::Relaxed), &labels))
                .build();
            Counter::from_arc(value)
        })
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        cached(&self.gauges, key, || {
            // A gauge keeps its number as the bits of a float.
            let (value, described, labels) = (number(), self.description(key), labels(key));
            let read = Arc::clone(&value);
            let read = move || f64::from_bits(read.load(Ordering::Relaxed));
            self.meter
                .f64_observable_gauge(key.name().to_owned())
                .with_description(described.text)
                .with_unit(unit_text(described.unit))
                .with_callback(move |to| to.observe(read(), &labels))
                .build();
            Gauge::from_arc(value)
        })
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        cached(&self.histograms, key, || {
            let described = self.description(key);
            let mut histogram = self
                .meter
                .f64_histogram(key.name().to_owned())
                .with_description(described.text)
                .with_unit(unit_text(described.unit));
            if described.unit == Some(Unit::Seconds) {
                histogram = histogram.with_boundaries(SECONDS.to_vec());
            }
            let histogram = histogram.build();
            Histogram::from_arc(Arc::new(Recorded { histogram, labels: labels(key) }))
        })
    }
}

fn number() -> Arc<AtomicU64> {
    Arc::default()
}

/// The handle that is there for `key`, or a new one: whoever asks for a metric again gets the same one.
fn cached<T: Clone>(handles: &Mutex<HashMap<Key, T>>, key: &Key, new: impl FnOnce() -> T) -> T {
    let mut handles = handles.lock().unwrap_or_else(PoisonError::into_inner);
    handles.entry(key.clone()).or_insert_with(new).clone()
}

fn labels(key: &Key) -> Vec<KeyValue> {
    key.labels()
        .map(|label| KeyValue::new(label.key().to_owned(), label.value().to_owned()))
        .collect()
}

/// The unit as OpenTelemetry writes it, in UCUM's words. The registry has counts and seconds.
fn unit_text(unit: Option<Unit>) -> &'static str {
    match unit {
        None => "",
        Some(Unit::Count) => "1",
        Some(Unit::Bytes) => "By",
        Some(unit) => unit.as_canonical_label(),
    }
}
