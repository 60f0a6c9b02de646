//! The positions that the primary had, by which the lag of a replica is measured.
//!
//! A replica's own clock tells little: PostgreSQL's `pg_last_xact_replay_timestamp()` and MariaDB's
//! `Seconds_Behind_Master` are ages of the last change, so they grow while nobody writes. Here, the primary is asked for
//! its position again and again. A replica that has reached the position that the primary had at some moment shows all
//! that was committed by that moment. So its lag is at most the time since then, whether anybody writes or not, and
//! whatever the clocks of the servers say.

use std::collections::VecDeque;

use tokio::time::Instant;

use crate::backend::position::Position;

/// How many different positions are kept: over a quarter of an hour, if the primary is asked each second.
const MAX_SAMPLES: usize = 1024;

/// The positions that the primary had, and when.
#[derive(Debug, Default)]
pub(super) struct History(VecDeque<Sample>);

#[derive(Debug)]
struct Sample {
    /// When the primary was asked: its answer covers everything that was committed before.
    asked: Instant,
    position: Position,
}

impl History {
    /// Adds the answer of the primary. The positions of another server, or of another timeline, are forgotten.
    pub(super) fn push(&mut self, asked: Instant, position: Position) {
        if let Some(last) = self.0.back_mut() {
            if last.position == position {
                // What else it has reached may be known by now.
                *last = Sample { asked, position };
                return;
            }
            if !position.has_reached(&last.position) {
                self.0.clear();
            }
        }
        if self.0.len() == MAX_SAMPLES {
            self.0.pop_front();
        }
        self.0.push_back(Sample { asked, position });
    }

    fn newest_reached(&self, position: &Position) -> Option<&Sample> {
        self.0.iter().rev().find(|sample| position.has_reached(&sample.position))
    }

    /// Whether a replica that has answered by `answered` has something that the primary did not have later.
    pub(super) fn lacks(&self, position: &Position, answered: Instant) -> bool {
        self.0.back().is_some_and(|newest| {
            newest.asked >= answered && position.is_ahead_of(&newest.position)
        })
    }

    /// The last known position of the primary.
    pub(super) fn newest(&self) -> Option<&Position> {
        self.0.back().map(|sample| &sample.position)
    }

    /// The latest moment of which a server with this position shows everything. `None` if it is before all samples.
    pub(super) fn fresh_until(&self, position: &Position) -> Option<Instant> {
        // Whoever has reached a sample has reached those before it, although that is not always known (MariaDB, after another
        // server has become the primary).
        self.newest_reached(position).map(|sample| sample.asked)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn position(lsn: u64) -> Position {
        Position::Postgres { system: 1, timeline: 1, lsn }
    }

    #[test]
    fn a_replica_is_as_fresh_as_the_newest_position_that_it_has_reached() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut history = History::default();
        assert_eq!(history.fresh_until(&position(5)), None);
        history.push(at(1), position(10));
        history.push(at(2), position(20));
        history.push(at(3), position(30));
        assert_eq!(history.fresh_until(&position(9)), None);
        assert_eq!(history.fresh_until(&position(10)), Some(at(1)));
        assert_eq!(history.fresh_until(&position(29)), Some(at(2)));
        assert_eq!(history.fresh_until(&position(99)), Some(at(3)));
    }

    #[test]
    fn on_an_idle_primary_a_replica_stays_fresh() {
        let start = Instant::now();
        let mut history = History::default();
        history.push(start, position(10));
        let later = start + Duration::from_secs(60);
        history.push(later, position(10));
        assert_eq!(history.fresh_until(&position(10)), Some(later));
    }

    #[test]
    fn another_timeline_begins_the_history_anew() {
        let start = Instant::now();
        let mut history = History::default();
        history.push(start, position(50));
        let promoted = Position::Postgres { system: 1, timeline: 2, lsn: 60 };
        history.push(start, promoted.clone());
        assert_eq!(history.fresh_until(&position(99)), None);
        assert_eq!(history.fresh_until(&promoted), Some(start));
    }

    #[test]
    fn old_positions_are_forgotten() {
        let start = Instant::now();
        let mut history = History::default();
        for lsn in 0..2 * MAX_SAMPLES as u64 {
            history.push(start, position(lsn));
        }
        assert_eq!(history.0.len(), MAX_SAMPLES);
        assert_eq!(history.fresh_until(&position(1)), None);
    }
}
