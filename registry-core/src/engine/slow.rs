//! Reporting slow queries.

use std::time::{Duration, Instant};

use diesel::connection::{Instrumentation, InstrumentationEvent};

use crate::bind::BindKey;

/// Reports each query that takes longer than a threshold: its SQL without the values bound to it.
pub(super) struct SlowQueries {
    key: BindKey,
    threshold: Duration,
    started: Option<Instant>,
}

impl SlowQueries {
    pub(super) fn new(key: BindKey, threshold: Duration) -> Self {
        Self { key, threshold, started: None }
    }
}

impl Instrumentation for SlowQueries {
    fn on_connection_event(&mut self, event: InstrumentationEvent<'_>) {
        match event {
            InstrumentationEvent::StartQuery { .. } => self.started = Some(Instant::now()),
            InstrumentationEvent::FinishQuery { query, .. } => {
                let Some(elapsed) = self.started.take().map(|started| started.elapsed()) else {
                    return;
                };
                if elapsed >= self.threshold {
                    let text = query.to_string();
                    // Diesel writes the values behind the SQL, after this mark.
                    let sql = text.split("-- binds:").next().unwrap_or_default().trim_end();
                    let elapsed = elapsed.as_secs_f64();
                    tracing::warn!(target: "registry", bind = %self.key, elapsed, sql, "slow query");
                }
            }
            _ => {}
        }
    }
}
