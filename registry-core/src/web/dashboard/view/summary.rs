//! One sentence: which databases do not answer.

use askama::Template;

use super::Snapshot;
use crate::registry::Answer;

#[derive(Template)]
#[template(path = "dashboard/summary.html")]
pub(super) struct Summary {
    is_closed: bool,
    /// The binds whose databases do not answer.
    down: Vec<String>,
    /// The binds whose databases were not asked, as all of their connections are in use.
    full: Vec<String>,
    answering: usize,
    asked: usize,
}

impl Summary {
    pub(super) fn new(snapshot: &Snapshot<'_>) -> Self {
        let mut summary = Self {
            is_closed: snapshot.is_closed,
            down: Vec::new(),
            full: Vec::new(),
            answering: 0,
            asked: 0,
        };
        for engine in &snapshot.status.engines {
            let Some(health) = snapshot.known.health.of(engine.key) else { continue };
            match health.answer {
                Answer::Yes { .. } => summary.answering += 1,
                Answer::No(_) => summary.down.push(engine.key.to_string()),
                Answer::NotAsked => {
                    summary.full.push(engine.key.to_string());
                    continue;
                }
            }
            summary.asked += 1;
        }
        summary
    }
}
