//! The real exporter for Prometheus, for one test alone.

use std::collections::BTreeMap;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};

/// The buckets that `docs/guide/watching.md` recommends.
pub(crate) const BUCKETS: [f64; 14] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

pub(crate) struct Exporter(PrometheusHandle);

/// A line of the exporter's text.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sample {
    pub(crate) name: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) value: f64,
}

impl Sample {
    pub(crate) fn label(&self, name: &str) -> &str {
        self.labels.get(name).map_or("", String::as_str)
    }
}

/// Runs a test on one thread, whose metrics go to an exporter of their own.
pub(crate) fn with_exporter<T>(test: impl AsyncFnOnce(&Exporter) -> T) -> T {
    let builder = PrometheusBuilder::new().set_buckets(&BUCKETS).expect("there are some");
    // Leaked, so that no other recorder ever has its address: handles are kept by it.
    let recorder: &'static PrometheusRecorder = Box::leak(Box::new(builder.build_recorder()));
    let exporter = Exporter(recorder.handle());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    metrics::with_local_recorder(recorder, || runtime.block_on(test(&exporter)))
}

impl Exporter {
    pub(crate) fn text(&self) -> String {
        self.0.render()
    }

    pub(crate) fn samples(&self) -> Vec<Sample> {
        samples(&self.text())
    }

    /// The sum of the samples of a metric with these labels.
    pub(crate) fn value(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let samples = self.samples();
        let is_meant = |sample: &&Sample| {
            sample.name == name && labels.iter().all(|(name, value)| sample.label(name) == *value)
        };
        samples.iter().filter(is_meant).map(|sample| sample.value).sum()
    }
}

/// The samples in the exporter's text.
pub(crate) fn samples(text: &str) -> Vec<Sample> {
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let (series, value) = line.rsplit_once(' ').expect("a value");
            let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
            let labels =
                labels.trim_end_matches('}').split("\",").filter(|label| !label.is_empty());
            let labels = labels.map(|label| {
                let (name, value) = label.split_once("=\"").expect("a label");
                (name.to_owned(), value.trim_end_matches('"').to_owned())
            });
            Sample {
                name: name.to_owned(),
                labels: labels.collect(),
                value: value.parse().expect("a number"),
            }
        })
        .collect()
}
