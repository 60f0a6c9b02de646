//! Subscribers that look at the registry in the middle of an event, or panic.

use std::io;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex};

use diesel::prelude::*;
use futures_util::FutureExt;
use registry_core::{
    BindDsl, BindSettings, RecordOptions, Registry, RunQueryDsl, Scope, bind_tables,
};
use tracing_subscriber::fmt::MakeWriter;

use crate::support::is_at_rest;

diesel::table! { events (id) { id -> Integer, what -> Text, } }
bind_tables!(db = "default", backend = Sqlite; events);

async fn registry() -> Registry {
    let bind = BindSettings::new("sqlite::memory:").log_slow_queries(std::time::Duration::ZERO);
    let registry = Registry::builder().bind("default", bind).record_queries(true);
    let registry = registry.build().expect("good settings");
    let create = "CREATE TABLE events (id INTEGER PRIMARY KEY, what TEXT NOT NULL)";
    diesel::sql_query(create).bound_to::<events::table>().execute(&registry).await.expect("new");
    registry
}

type OnEvent = Arc<dyn Fn(&str) + Send + Sync>;

#[derive(Clone)]
struct Calls(OnEvent);

impl io::Write for Calls {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (self.0)(&String::from_utf8_lossy(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Calls {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

fn listen(on_event: OnEvent) -> tracing::subscriber::DefaultGuard {
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_max_level(tracing::Level::TRACE)
        .with_writer(Calls(on_event))
        .finish();
    tracing::subscriber::set_default(subscriber)
}

async fn count(registry: &Registry) -> i64 {
    events::table.count().get_result(registry).await.expect("a count")
}

#[tokio::test]
async fn subscriber_may_look_at_the_records_in_an_event() {
    let registry = registry().await;
    let scope = registry.new_scope();
    scope.record_queries(RecordOptions::new().warn_repeated(2));
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (looking, noting) = (registry.clone(), Arc::clone(&seen));
    let guard = listen(Arc::new(move |line| {
        let of_scope = Scope::current().map(|scope| scope.queries().total()).ok();
        let _ = (looking.status().to_string(), looking.queries().to_string());
        noting.lock().expect("no panic").push((line.to_owned(), of_scope));
    }));
    scope
        .enter(async {
            for _ in 0..3 {
                count(&registry).await;
            }
        })
        .await;
    drop(guard);
    let seen = seen.lock().expect("no panic");
    let with = |part: &str| seen.iter().filter(|(line, _)| line.contains(part)).count();
    assert_eq!(
        (with("registry::query: query"), with("slow query"), with("many times")),
        (3, 3, 1),
        "{seen:#?}"
    );
}

#[tokio::test]
async fn subscriber_that_panics_harms_no_connection() {
    let registry = registry().await;
    let guard = listen(Arc::new(|line| {
        if line.contains("registry::query") {
            panic!("by the subscriber");
        }
    }));
    for _ in 0..3 {
        let counting = AssertUnwindSafe(events::table.count().get_result::<i64>(&registry));
        counting.catch_unwind().await.expect_err("it panics");
    }
    drop(guard);
    assert_eq!(count(&registry).await, 0);
    is_at_rest(&registry).await;
}
