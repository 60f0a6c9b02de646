//! When the statements under way on a connection began.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Instant;

/// When the statements under way began, in the order of their beginnings.
///
/// Diesel reports the end of a statement with its SQL, and not with what tells it from another statement of the same SQL.
/// Two statements of the same SQL may be taken for each other, as may a slow query be logged with the shorter time of the
/// two, and the other one with the longer.
#[derive(Debug, Default)]
pub(super) struct StartTimes(VecDeque<Start>);

#[derive(Debug)]
struct Start {
    /// The hash of the SQL. `None` for a statement that began when no other one was under way: mostly no other one follows
    /// before its end, and then its SQL need not be written.
    sql: Option<u64>,
    at: Instant,
}

/// The maximum number of statements under way whose beginnings are kept. A statement that was cut short has no end, so it
/// stays until the connection is closed.
const LIMIT: usize = 256;

impl StartTimes {
    /// Records the beginning of a statement.
    pub(super) fn push(&mut self, sql: impl FnOnce() -> String) {
        if self.0.len() == LIMIT {
            self.0.pop_front();
        }
        let sql = (!self.0.is_empty()).then(|| hash(&sql()));
        self.0.push_back(Start { sql, at: Instant::now() });
    }

    /// When the statement began that has ended now.
    pub(super) fn pop(&mut self, sql: impl FnOnce() -> String) -> Option<Instant> {
        if self.0.len() <= 1 {
            return self.0.pop_front().map(|start| start.at);
        }
        let ended = hash(&sql());
        let place = self.0.iter().position(|start| start.sql == Some(ended));
        let place = place.or_else(|| self.0.iter().position(|start| start.sql.is_none()))?;
        self.0.remove(place).map(|start| start.at)
    }
}

fn hash(sql: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    sql.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(sql: &'static str) -> impl FnOnce() -> String {
        move || sql.to_owned()
    }

    #[test]
    fn statements_of_a_pipeline_keep_their_own_times() {
        let mut starts = StartTimes::default();
        let mut begun = Vec::new();
        for sql in ["SELECT 1", "SELECT 2", "SELECT 3"] {
            starts.push(text(sql));
            begun.push(starts.0.back().expect("it was pushed").at);
        }
        assert_eq!(starts.pop(text("SELECT 2")), Some(begun[1]));
        assert_eq!(starts.pop(text("SELECT 1")), Some(begun[0]));
        assert_eq!(starts.pop(text("SELECT 3")), Some(begun[2]));
        assert_eq!(starts.pop(text("SELECT 4")), None);
    }

    #[test]
    fn statement_that_was_cut_short_does_not_lend_its_time_to_others() {
        let mut starts = StartTimes::default();
        starts.push(text("SELECT 'cut short'"));
        for _ in 0..2 * LIMIT {
            starts.push(text("SELECT 1"));
            let begun = starts.0.back().expect("it was pushed").at;
            assert_eq!(starts.pop(text("SELECT 1")), Some(begun));
        }
        assert_eq!(starts.0.len(), 1);
    }
}
