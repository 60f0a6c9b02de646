//! What `verify` has said.

use askama::Template;

use super::{Snapshot, text};
use crate::web::dashboard::verification::Verdict;

#[derive(Template)]
#[template(path = "dashboard/verification.html")]
pub(super) struct Verification {
    is_running: bool,
    last: Option<Said>,
}

struct Said {
    timestamp: String,
    clock: String,
    took: String,
    failures: Vec<String>,
    warnings: Vec<String>,
    counts: Option<(usize, usize)>,
}

impl Verification {
    pub(super) fn new(snapshot: &Snapshot<'_>) -> Self {
        let known = &snapshot.known.verification;
        Self { is_running: known.is_running, last: known.last.as_ref().map(Said::new) }
    }
}

impl Said {
    fn new(verdict: &Verdict) -> Self {
        Self {
            timestamp: text::timestamp(verdict.at),
            clock: text::clock(verdict.at),
            took: text::duration(verdict.took),
            failures: verdict.failures.clone(),
            warnings: verdict.warnings.clone(),
            counts: verdict.counts,
        }
    }
}
