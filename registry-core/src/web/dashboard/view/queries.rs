//! Slow and recent queries, if they are recorded.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::SystemTime;

use askama::Template;

use super::{Snapshot, text};
use crate::telemetry::RecordedQuery;

/// How many are shown of each kind.
const SHOWN: usize = 12;

#[derive(Template)]
#[template(path = "dashboard/queries.html")]
pub(super) struct Queries {
    recorded: Option<Recorded>,
}

struct Recorded {
    total: String,
    dropped: Option<String>,
    lists: [List; 2],
}

struct List {
    /// In the ids of its elements.
    kind: &'static str,
    title: &'static str,
    queries: Vec<Query>,
}

/// One query that was run.
struct Query {
    /// The same for the same query in each frame, so that a reader's open details stay its own.
    id: String,
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
    pub(super) fn new(snapshot: &Snapshot<'_>) -> Self {
        let queries = &snapshot.queries;
        if !queries.is_recording() {
            return Self { recorded: None };
        }
        let query = |query| Query::new(query, snapshot.at);
        let slowest = queries.slowest().iter().take(SHOWN).map(query).collect();
        let latest = queries.iter().rev().take(SHOWN).map(query).collect();
        let dropped = Some(queries.dropped()).filter(|dropped| *dropped > 0);
        Self {
            recorded: Some(Recorded {
                total: text::count(queries.total()),
                dropped: dropped.map(text::count),
                lists: [
                    List { kind: "slowest", title: "Slowest", queries: slowest },
                    List { kind: "latest", title: "Latest", queries: latest },
                ],
            }),
        }
    }
}

impl Query {
    fn new(query: &RecordedQuery, now: SystemTime) -> Self {
        let mut id = DefaultHasher::new();
        (query.started, query.elapsed, &query.statement).hash(&mut id);
        Self {
            id: format!("{:x}", id.finish()),
            timestamp: text::timestamp(query.started),
            clock: text::moment(query.started, now),
            elapsed: text::duration(query.elapsed),
            bind: query.bind.to_string(),
            tenant: query.tenant.as_ref().map(ToString::to_string),
            statement: query.statement.to_string(),
            rows: query.rows.map(text::count),
            place: query.place.map(ToString::to_string),
            error: query.error,
        }
    }
}
