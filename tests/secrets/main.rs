//! No password and no value is in anything that the library tells, whatever is turned on.

use std::sync::OnceLock;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::fmt::format::FmtSpan;

#[path = "../support/mount.rs"]
mod mount;
#[path = "../dashboard/rig.rs"]
mod rig;
#[path = "../support/mod.rs"]
mod support;

mount::mount!(secrets);

/// Everything that this binary logs at any level and from any target, with the fields of spans, and its metrics.
fn listeners() -> &'static (support::log::Log, PrometheusHandle) {
    static LISTENERS: OnceLock<(support::log::Log, PrometheusHandle)> = OnceLock::new();
    LISTENERS.get_or_init(|| {
        let log = support::log::Log::default();
        tracing_subscriber::fmt()
            .with_ansi(false)
            .with_max_level(tracing::Level::TRACE)
            .with_span_events(FmtSpan::FULL)
            .with_writer(log.clone())
            .init();
        let recorder = PrometheusBuilder::new().build_recorder();
        let handle = recorder.handle();
        metrics::set_global_recorder(recorder).expect("the first one");
        (log, handle)
    })
}
