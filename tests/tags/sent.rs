//! What the drivers of this test binary send, and which statements they keep.

use std::sync::{Mutex, Once, PoisonError};

use diesel::connection::{Instrumentation, InstrumentationEvent, set_default_instrumentation};

static SENT: Mutex<Vec<String>> = Mutex::new(Vec::new());
static KEPT: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Notes the statements of all connections that are opened from now on.
pub(crate) fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let listener = || -> Option<Box<dyn Instrumentation>> { Some(Box::new(note)) };
        set_default_instrumentation(listener).expect("no connection panics");
    });
}

fn note(event: InstrumentationEvent<'_>) {
    match event {
        InstrumentationEvent::StartQuery { query, .. } => {
            let shown = query.to_string();
            let sql = shown.split(" -- binds:").next().unwrap_or_default();
            push(&SENT, sql.trim_end());
        }
        InstrumentationEvent::CacheQuery { sql, .. } => push(&KEPT, sql),
        _ => {}
    }
}

fn push(list: &Mutex<Vec<String>>, sql: &str) {
    list.lock().unwrap_or_else(PoisonError::into_inner).push(sql.to_owned());
}

fn with(list: &Mutex<Vec<String>>, text: &str) -> Vec<String> {
    let all = list.lock().unwrap_or_else(PoisonError::into_inner);
    all.iter().filter(|sql| sql.contains(text)).cloned().collect()
}

/// The statements with `text` in them that were sent so far.
pub(crate) fn sent_with(text: &str) -> Vec<String> {
    with(&SENT, text)
}

/// The statements with `text` in them that a driver has put into its cache so far.
pub(crate) fn kept_with(text: &str) -> Vec<String> {
    with(&KEPT, text)
}
