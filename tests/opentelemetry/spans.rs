//! The spans that a collector has got.

use std::fmt::Write;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;

use crate::collector::Received;

/// All spans, in the order in which they began.
pub(crate) struct Spans(Vec<Span>);

/// The value of an attribute, as text. Rows are a number, and all others are texts.
pub(crate) fn attribute(span: &Span, key: &str) -> Option<String> {
    let found = span.attributes.iter().find(|attribute| attribute.key == key)?;
    Some(match (key, found.value.as_ref()?.value.as_ref()?) {
        ("rows", Value::IntValue(number)) => number.to_string(),
        (_, Value::StringValue(text)) if key != "rows" => text.clone(),
        (_, other) => panic!("{key} is {other:?}"),
    })
}

impl Spans {
    pub(crate) fn of(received: &Received) -> Self {
        let mut spans: Vec<Span> = received
            .traces
            .iter()
            .map(|body| ExportTraceServiceRequest::decode(&body[..]).expect("a request of OTLP"))
            .flat_map(|request| request.resource_spans)
            .flat_map(|resource| resource.scope_spans)
            .flat_map(|scope| scope.spans)
            .collect();
        spans.sort_by_key(|span| span.start_time_unix_nano);
        Self(spans)
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Span> {
        self.0.iter()
    }

    pub(crate) fn named(&self, name: &str) -> Vec<&Span> {
        self.all().filter(|span| span.name == name).collect()
    }

    /// The spans as a tree, without times, as the guide shows them.
    pub(crate) fn tree(&self) -> String {
        let mut tree = String::new();
        self.write_below(&[], 0, &mut tree);
        tree
    }

    fn write_below(&self, parent: &[u8], depth: usize, to: &mut String) {
        for span in self.all().filter(|span| span.parent_span_id == parent) {
            write!(to, "{:indent$}{}", "", span.name, indent = 2 * depth).expect("a line");
            for key in ["bind", "rows", "error.type"] {
                if let Some(value) = attribute(span, key) {
                    write!(to, "  {key}={value}").expect("a line");
                }
            }
            to.push('\n');
            if let Some(text) = attribute(span, "db.query.text") {
                writeln!(to, "{:indent$}{text}", "", indent = 2 * depth + 4).expect("a line");
            }
            self.write_below(&span.span_id, depth + 1, to);
        }
    }
}
