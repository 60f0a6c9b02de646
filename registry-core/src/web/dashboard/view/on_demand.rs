//! The engines of tenants and URLs, which are opened on demand.

use askama::Template;

use super::binds::Usage;
use super::{Snapshot, text};
use crate::on_demand::OnDemandEngine;

#[derive(Template)]
#[template(path = "dashboard/on_demand.html")]
pub(super) struct OnDemand {
    open: usize,
    max_engines: u32,
    closing: usize,
    waiting: usize,
    hits: String,
    misses: String,
    evictions: String,
    expired: String,
    engines: Vec<OpenEngine>,
}

struct OpenEngine {
    key: String,
    /// The names of tenants, or nothing for an engine that was opened by its URL.
    tenants: String,
    place: String,
    usage: Usage,
    waiting: u32,
    per_second: String,
    p95: String,
    acquired: String,
    waited: String,
    timed_out: String,
    error: Option<String>,
}

impl OnDemand {
    pub(super) fn new(snapshot: &Snapshot<'_>) -> Self {
        let status = &snapshot.status.on_demand;
        let mut engines: Vec<OpenEngine> =
            status.engines.iter().map(|open| OpenEngine::new(open, snapshot)).collect();
        // Not by their last use, as rows that change places cannot be read.
        engines.sort_by(|a, b| (&a.key, &a.tenants, &a.place).cmp(&(&b.key, &b.tenants, &b.place)));
        Self {
            open: status.engines.len(),
            max_engines: status.max_engines,
            closing: status.closing,
            waiting: status.waiting,
            hits: text::count(status.hits),
            misses: text::count(status.misses),
            evictions: text::count(status.evictions),
            expired: text::count(status.expired),
            engines,
        }
    }
}

impl OpenEngine {
    fn new(open: &OnDemandEngine, snapshot: &Snapshot<'_>) -> Self {
        let engine = &open.engine;
        let activities = &snapshot.known.activities;
        // One engine may serve several tenants. The page then says nothing of each.
        let activity = match open.tenants.as_slice() {
            [tenant] => activities.of_tenant(engine.key, tenant),
            _ => None,
        };
        let or_dash = |figure: Option<String>| figure.unwrap_or_else(|| "–".to_owned());
        Self {
            key: engine.key.to_string(),
            tenants: open.tenants.join(", "),
            place: engine.url.place(),
            usage: Usage::new(engine.in_use, engine.idle, engine.max),
            waiting: engine.waiting,
            per_second: or_dash(activity.map(|activity| text::digits(activity.per_second))),
            p95: or_dash(activity.and_then(|activity| activity.p95).map(text::duration)),
            acquired: text::count(engine.direct + engine.waited),
            waited: text::count(engine.waited),
            timed_out: text::count(engine.timed_out),
            error: engine.last_error.as_ref().map(|error| snapshot.without_users(&error.message)),
        }
    }
}
