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
        Self {
            is_running: known.is_running,
            last: known.last.as_ref().map(|last| Said::new(last, snapshot)),
        }
    }
}

impl Said {
    fn new(verdict: &Verdict, snapshot: &Snapshot<'_>) -> Self {
        let texts =
            |texts: &[String]| texts.iter().map(|text| snapshot.without_users(text)).collect();
        Self {
            timestamp: text::timestamp(verdict.at),
            clock: text::moment(verdict.at, snapshot.at),
            took: text::duration(verdict.took),
            failures: texts(&verdict.failures),
            warnings: texts(&verdict.warnings),
            counts: verdict.counts,
        }
    }
}
