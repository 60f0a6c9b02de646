//! No password and no value is in anything that the library tells, whatever is turned on.

use std::sync::OnceLock;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::fmt::format::FmtSpan;

#[path = "../support/mount.rs"]
mod mount;
#[expect(dead_code, reason = "the tests of the page use the rest of it")]
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

#[tokio::test]
async fn urls_that_are_wrong_are_told_without_their_password() {
    listeners();
    for url in [
        "postgres://user:zebrapass@host:port/db",
        "postgres://user:zebrapass@[::1/db",
        "postgres://user:zebrapass @host/db",
        "postgres://user:zebrapass@host/db?sslmode=wrong",
        "postgres://user:zebrapass@host/db?wrong=1",
        "postgres://user:zebrapass%zz@host/db",
        "postgres://user:zebra#zebrapass@host/db",
        "postgres://user:zebra/zebrapass@host/db",
        "postgres://user:zebra?zebrapass@host/db",
        "postgres://user@host/db?password=zebrapass",
        "postgres://host/db?user=a&password=zebrapass",
        "postgres:user:zebrapass@host/db",
        "postgres//user:zebrapass@host/db",
        "user:zebrapass@host/db",
        "oracle://user:zebrapass@host/db",
        "mysql://user:zebrapass@host:port/db",
        "mysql://user:zebrapass@/db",
        "mysql://user:zebrapass@host/db?password=zebrapass",
        "mysql://user@host/db?wrong=1&password=zebrapass",
        "host=a user=b password=zebrapass",
    ] {
        let told = match registry_core::Registry::builder().bind("shop", url).build() {
            Ok(registry) => format!("{registry:?} {} {:?}", registry.status(), registry.status()),
            Err(error) => format!("{error} {error:?} {:?}", support::causes(&error)),
        };
        assert!(!told.contains("zebrapass"), "{url}: {told}");
    }
}
