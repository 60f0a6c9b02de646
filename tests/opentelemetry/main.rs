//! What a collector gets from `examples/opentelemetry.rs`.

use std::process::{Command, Output};
use std::sync::OnceLock;

use opentelemetry_proto::tonic::metrics::v1::Metric;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use tokio::net::TcpSocket;

use collector::{Collector, Received};
use spans::{Spans, attribute};

mod collector;
mod metrics;
mod spans;
#[path = "../support/mod.rs"]
mod support;

/// The example, with a collector at `endpoint`.
fn example(endpoint: &str) -> Output {
    let mut program = Command::new(support::examples::example("opentelemetry"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("OTEL_") {
            program.env_remove(name);
        }
    }
    program.env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint).output().expect("the example")
}

/// What a collector has got from the example. It is run once.
fn received() -> &'static Received {
    static RECEIVED: OnceLock<Received> = OnceLock::new();
    RECEIVED.get_or_init(|| {
        let collector = Collector::start();
        let output = example(collector.endpoint());
        let log = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{log}");
        collector.stop(log)
    })
}

#[test]
fn each_query_is_a_client_span_below_the_span_of_the_program() {
    let spans = Spans::of(received());
    let import = spans.named("import");
    assert_eq!(import.len(), 1);
    assert!(import[0].parent_span_id.is_empty());
    let queries: Vec<_> = spans.all().filter(|span| span.name != "import").collect();
    assert_eq!(queries.len(), 8);
    for query in queries {
        assert_eq!(query.parent_span_id, import[0].span_id, "{query:?}");
        assert_eq!(query.trace_id, import[0].trace_id);
        assert_eq!(query.kind(), SpanKind::Client);
        assert!(query.start_time_unix_nano <= query.end_time_unix_nano);
        assert_eq!(attribute(query, "db.system.name").as_deref(), Some("sqlite"));
        assert_eq!(attribute(query, "db.query.summary").as_deref(), Some(&*query.name));
        assert_eq!(attribute(query, "role").as_deref(), Some("primary"));
        // They are the name, the kind and the status of the span.
        assert!(query.attributes.iter().all(|has| !has.key.starts_with("otel.")), "{query:?}");
    }
}

#[test]
fn a_span_says_bind_table_operation_text_and_rows() {
    let spans = Spans::of(received());
    let [select] = spans.named("SELECT people")[..] else { panic!("one query has the name") };
    for (key, value) in [
        ("bind", "default"),
        ("db.collection.name", "people"),
        ("db.operation.name", "SELECT"),
        (
            "db.query.text",
            "SELECT `people`.`id`, `people`.`mail` FROM `people` WHERE (`people`.`mail` = ?)",
        ),
        ("rows", "1"),
    ] {
        assert_eq!(attribute(select, key).as_deref(), Some(value), "{key}");
    }
    let [visit] = spans.named("INSERT visits")[..] else { panic!("one query has the name") };
    assert_eq!(attribute(visit, "bind").as_deref(), Some("analytics"));
}

#[test]
fn a_query_that_fails_has_the_status_error_and_the_kind_of_its_error() {
    let spans = Spans::of(received());
    let failed: Vec<_> = spans
        .all()
        .filter(|span| {
            span.status.as_ref().is_some_and(|status| status.code() != StatusCode::Unset)
        })
        .collect();
    let [failed] = failed[..] else { panic!("one query has failed: {failed:?}") };
    assert_eq!(failed.name, "INSERT people");
    let status = failed.status.as_ref().expect("a status");
    // The words of the database may have values in them.
    assert_eq!((status.code(), &*status.message), (StatusCode::Error, ""));
    assert_eq!(attribute(failed, "error.type").as_deref(), Some("unique_violation"));
    assert_eq!(attribute(failed, "rows"), None);
    let others = spans.all().filter(|span| span.span_id != failed.span_id);
    assert!(others.into_iter().all(|span| attribute(span, "error.type").is_none()));
}

#[test]
fn no_value_of_a_query_leaves_the_program() {
    let received = received();
    for value in ["ada@", "ada.lovelace", "grace", "example.org"] {
        for body in received.traces.iter().chain(&received.metrics) {
            assert!(!String::from_utf8_lossy(body).contains(value), "{value}");
        }
        assert!(!received.log.contains(value), "{value}: {}", received.log);
    }
    // The bytes are text where there is text.
    let sent = |word: &str| {
        received.traces.iter().any(|body| String::from_utf8_lossy(body).contains(word))
    };
    assert!(sent("UPDATE people SET mail = ?") && sent("unique_violation"));
}

#[test]
fn the_metrics_arrive_with_their_kinds_units_and_labels() {
    let metrics = metrics::of(received());
    let named = |name: &str| -> &Metric {
        let mut found = metrics.iter().filter(|metric| metric.name == name);
        let first = found.next().unwrap_or_else(|| panic!("no {name} in {metrics:?}"));
        assert!(found.next().is_none(), "{name} came twice");
        first
    };
    for name in ["active", "idle", "max", "pending"] {
        let gauge = named(&format!("registry_connections_{name}"));
        assert!(matches!(gauge.data, Some(Data::Gauge(_))), "{gauge:?}");
        assert_eq!(metrics::binds(gauge), ["analytics", "default"]);
    }
    for name in ["acquire", "creation", "usage"] {
        let histogram = named(&format!("registry_connections_{name}_seconds"));
        assert_eq!(histogram.unit, "s");
        assert_eq!(metrics::binds(histogram), ["analytics", "default"]);
        let Some(Data::Histogram(data)) = &histogram.data else { panic!("{histogram:?}") };
        for point in &data.data_points {
            assert!(point.count > 0, "{histogram:?}");
            assert!(point.explicit_bounds.contains(&0.001), "bounds in seconds: {point:?}");
        }
    }
    for name in ["timeout", "failed"] {
        let counter = named(&format!("registry_connections_{name}_total"));
        let Some(Data::Sum(sum)) = &counter.data else { panic!("{counter:?}") };
        assert!(sum.is_monotonic);
        assert_eq!(metrics::binds(counter), ["analytics", "default"]);
    }
}

#[test]
fn the_trace_in_the_guide_is_the_one_of_the_example() {
    let chapter = std::fs::read_to_string(support::workspace().join("docs/guide/watching.md"));
    let tree = Spans::of(received()).tree();
    println!("{tree}");
    let chapter = chapter.expect("the chapter");
    assert!(
        chapter.contains(&format!("```text\n{tree}```")),
        "the guide has another trace:\n{tree}"
    );
}

#[test]
fn a_collector_that_is_not_there_fails_the_flush_and_no_query() {
    // Its port is taken, and nobody listens there.
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind("127.0.0.1:0".parse().expect("an address")).expect("a free port");
    let address = socket.local_addr().expect("an address");
    let output = example(&format!("http://{address}"));
    let log = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{log}");
    assert!(log.contains("HTTP export failed") && log.contains("COMMIT"), "{log}");
}
