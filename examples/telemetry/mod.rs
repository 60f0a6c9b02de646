//! The log, the traces and the metrics of a program.

use std::error::Error;

use opentelemetry::metrics::MeterProvider;
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{MetricExporter, SpanExporter, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tokio::runtime::Handle;
use tracing::Level;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use client::CollectorClient;
use recorder::OtlpRecorder;

mod client;
mod recorder;

/// What sends traces and metrics to a collector.
pub(crate) struct Telemetry {
    traces: SdkTracerProvider,
    metrics: SdkMeterProvider,
}

impl Telemetry {
    /// Begins to log to standard error, and to send traces and metrics. The SDK reads from the environment where the
    /// collector is and how often there is something to send: `OTEL_EXPORTER_OTLP_ENDPOINT`, `OTEL_TRACES_SAMPLER`,
    /// `OTEL_BSP_SCHEDULE_DELAY`, `OTEL_METRIC_EXPORT_INTERVAL` and so on.
    ///
    /// To be called before a registry is used, because engines report to the recorder that is there at their first use.
    pub(crate) fn install(service: &'static str, runtime: &Handle) -> Result<Self, Box<dyn Error>> {
        let resource = Resource::builder().with_service_name(service).build();
        let client = CollectorClient::new(runtime.clone());
        let spans = SpanExporter::builder().with_http().with_http_client(client.clone()).build()?;
        let traces = SdkTracerProvider::builder()
            .with_resource(resource.clone())
            .with_batch_exporter(spans)
            .build();
        let metrics = MetricExporter::builder().with_http().with_http_client(client).build()?;
        let metrics = SdkMeterProvider::builder()
            .with_resource(resource)
            .with_periodic_exporter(metrics)
            .build();

        // The queries are events for the log, and spans for the traces: each of the two is a target of its own.
        let log = Targets::new()
            .with_default(Level::WARN)
            .with_target("registry::query", Level::DEBUG)
            .with_target(env!("CARGO_CRATE_NAME"), Level::INFO);
        let traced = Targets::new()
            .with_target("registry::span", Level::DEBUG)
            .with_target(env!("CARGO_CRATE_NAME"), Level::INFO);
        tracing_subscriber::registry()
            .with(tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_filter(log))
            .with(
                tracing_opentelemetry::layer()
                    .with_tracer(traces.tracer(service))
                    // Where a span is in the library's code, and on which thread it began, tells nobody anything.
                    .with_location(false)
                    .with_threads(false)
                    .with_filter(traced),
            )
            .try_init()?;
        metrics::set_global_recorder(OtlpRecorder::new(metrics.meter(service)))
            .map_err(|error| error.to_string())?;
        Ok(Self { traces, metrics })
    }

    /// Sends what was not sent yet. It blocks until the collector has answered or the SDK's time is over, so it is not to
    /// be called in a task.
    ///
    /// # Errors
    ///
    /// If not everything could be sent.
    pub(crate) fn shutdown(self) -> Result<(), Box<dyn Error>> {
        let (traces, metrics) = (self.traces.shutdown(), self.metrics.shutdown());
        traces?;
        Ok(metrics?)
    }
}
