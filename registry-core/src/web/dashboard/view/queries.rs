//! Slow and recent queries, if they are recorded.

use askama::Template;

use super::Snapshot;

#[derive(Template)]
#[template(path = "dashboard/queries.html")]
pub(super) struct Queries {
    recorded: Option<Recorded>,
}

struct Recorded {
    total: String,
    dropped: String,
    slowest: Vec<Query>,
    recent: Vec<Query>,
}

/// One query that was run.
struct Query {
    timestamp: String,
    clock: String,
    elapsed: String,
    bind: String,
    tenant: Option<String>,
    statement: String,
    rows: Option<String>,
    place: Option<String>,
    error: Option<&'static str>,
}

impl Queries {
    pub(super) fn new(_snapshot: &Snapshot<'_>) -> Self {
        Self { recorded: None }
    }
}
