//! The list of metrics, as the library describes it to a recorder.

use std::sync::Mutex;

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};

/// A metric as it is described.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Described {
    pub(crate) name: String,
    pub(crate) kind: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) help: String,
}

/// Every metric, in the order in which they are described.
pub(crate) fn metrics() -> Vec<Described> {
    let list = List::default();
    metrics::with_local_recorder(&list, registry_core::describe_metrics);
    list.0.into_inner().expect("nothing panicked")
}

#[derive(Default)]
struct List(Mutex<Vec<Described>>);

impl List {
    fn add(&self, name: &KeyName, kind: &'static str, unit: Option<Unit>, help: &SharedString) {
        let unit = unit.expect("each has one").as_str();
        let (name, help) = (name.as_str().to_owned(), help.to_string());
        self.0.lock().expect("nothing panicked").push(Described { name, kind, unit, help });
    }
}

impl Recorder for List {
    fn describe_counter(&self, name: KeyName, unit: Option<Unit>, help: SharedString) {
        self.add(&name, "counter", unit, &help);
    }

    fn describe_gauge(&self, name: KeyName, unit: Option<Unit>, help: SharedString) {
        self.add(&name, "gauge", unit, &help);
    }

    fn describe_histogram(&self, name: KeyName, unit: Option<Unit>, help: SharedString) {
        self.add(&name, "histogram", unit, &help);
    }

    fn register_counter(&self, _: &Key, _: &Metadata<'_>) -> Counter {
        Counter::noop()
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}
