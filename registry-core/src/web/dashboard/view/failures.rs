//! The last errors of all engines, the newest first.

use std::time::SystemTime;

use askama::Template;

use super::{Snapshot, text};

/// How many are shown.
const SHOWN: usize = 20;

#[derive(Template)]
#[template(path = "dashboard/errors.html")]
pub(super) struct Failures {
    failures: Vec<Failure>,
}

struct Failure {
    at: SystemTime,
    timestamp: String,
    /// Filled when it is shown.
    clock: String,
    bind: String,
    tenant: Option<String>,
    what: &'static str,
    message: String,
    place: Option<String>,
    is_good: bool,
    /// Whether the message is a statement.
    is_statement: bool,
}

impl Failure {
    fn new(at: SystemTime, bind: String, what: &'static str, message: String) -> Self {
        Self {
            at,
            timestamp: text::timestamp(at),
            clock: String::new(),
            bind,
            tenant: None,
            what,
            message,
            place: None,
            is_good: false,
            is_statement: false,
        }
    }
}

impl Failures {
    pub(super) fn new(snapshot: &Snapshot<'_>) -> Self {
        let mut failures = Vec::new();
        for change in snapshot.known.health.changes() {
            let bind = change.key.to_string();
            failures.push(match &change.failure {
                Some(message) => Failure::new(change.at, bind, "ceased to answer", message.clone()),
                None => Failure {
                    is_good: true,
                    ..Failure::new(change.at, bind, "answers again", String::new())
                },
            });
        }
        for engine in &snapshot.status.engines {
            if let Some(error) = &engine.last_error {
                let bind = engine.key.to_string();
                failures.push(Failure::new(error.at, bind, "no connection", error.message.clone()));
            }
        }
        for open in &snapshot.status.on_demand.engines {
            if let Some(error) = &open.engine.last_error {
                let bind = open.engine.key.to_string();
                let failure = Failure::new(error.at, bind, "no connection", error.message.clone());
                let tenants = open.tenants.join(", ");
                let tenant = Some(tenants).filter(|tenants| !tenants.is_empty());
                failures.push(Failure { tenant, ..failure });
            }
        }
        for query in &snapshot.failed {
            let at = query.started + query.elapsed;
            let what = query.error.unwrap_or("failed");
            let statement = query.statement.to_string();
            failures.push(Failure {
                tenant: query.tenant.as_ref().map(ToString::to_string),
                place: query.place.map(ToString::to_string),
                is_statement: true,
                ..Failure::new(at, query.bind.to_string(), what, statement)
            });
        }
        failures.sort_by_key(|failure| std::cmp::Reverse(failure.at));
        failures.truncate(SHOWN);
        for failure in &mut failures {
            failure.message = snapshot.without_users(&failure.message);
            failure.clock = text::moment(failure.at, snapshot.at);
        }
        Self { failures }
    }
}
