//! The metrics that a collector has got.

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::metrics::v1::Metric;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use prost::Message;

use crate::collector::Received;

/// The metrics of the last request: each request has all of them.
pub(crate) fn of(received: &Received) -> Vec<Metric> {
    let last = received.metrics.last().expect("metrics were sent");
    ExportMetricsServiceRequest::decode(&last[..])
        .expect("a request of OTLP")
        .resource_metrics
        .into_iter()
        .flat_map(|resource| resource.scope_metrics)
        .flat_map(|scope| scope.metrics)
        .collect()
}

/// The values of the label `bind`, sorted.
pub(crate) fn binds(metric: &Metric) -> Vec<String> {
    let labels: Vec<&Vec<KeyValue>> = match metric.data.as_ref().expect("data") {
        Data::Gauge(gauge) => gauge.data_points.iter().map(|point| &point.attributes).collect(),
        Data::Sum(sum) => sum.data_points.iter().map(|point| &point.attributes).collect(),
        Data::Histogram(of) => of.data_points.iter().map(|point| &point.attributes).collect(),
        other => panic!("{other:?}"),
    };
    let mut binds: Vec<String> = labels.into_iter().flatten().filter_map(bind).collect();
    binds.sort();
    binds
}

fn bind(label: &KeyValue) -> Option<String> {
    if label.key != "bind" {
        return None;
    }
    match label.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => Some(text.clone()),
        other => panic!("{other:?}"),
    }
}
