//! The help and the units of the metrics, for the recorder.

/// Gives the recorder that is installed the kind, the unit and the help of each metric of this crate.
///
/// An engine does the same at its first use, so a program calls this only if it wants them earlier: to write a list of
/// the metrics, say. Describing a metric again changes nothing. Without a recorder, nothing happens.
///
/// ```
/// // `metrics_exporter_prometheus::PrometheusBuilder::new().install_recorder()`, and then:
/// registry_core::describe_metrics();
/// ```
#[cfg(feature = "metrics")]
pub fn describe_metrics() {
    use metrics::{describe_counter, describe_gauge, describe_histogram};

    use super::list::{ALL, Kind, Metric, Unit};

    for Metric { name, kind, unit, help } in ALL {
        let unit = match unit {
            Unit::Count => metrics::Unit::Count,
            Unit::Seconds => metrics::Unit::Seconds,
        };
        match kind {
            Kind::Gauge => describe_gauge!(*name, unit, *help),
            Kind::Counter => describe_counter!(*name, unit, *help),
            Kind::Histogram => describe_histogram!(*name, unit, *help),
        }
    }
}

/// Describes the metrics to the recorder that is installed by now: it may be another one than at the last call.
pub(crate) fn describe_once_more() {
    #[cfg(feature = "metrics")]
    describe_metrics();
}
