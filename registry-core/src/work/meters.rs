//! The count of the ends of units of work, for each bind that they have touched.

use super::outcome::Outcome;
use super::participant::RollbackOutcome;
use crate::meters::{Counter, list};
use crate::settings::BindKey;

/// How the transaction of a unit of work on one bind has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WorkEnd {
    Committed,
    RolledBack,
    /// The `COMMIT` was sent and not answered.
    InDoubt,
    /// A statement of the program had ended the transaction, by a commit or a rollback.
    Ended,
    /// The rollback was not confirmed: the server rolls back when it notices the disconnect.
    NotConfirmed,
    /// The unit of work was dropped before its end. If that was during a commit, it may be committed.
    Abandoned,
}

impl WorkEnd {
    pub(super) fn of(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Committed => Self::Committed,
            Outcome::InDoubt(_) => Self::InDoubt,
            Outcome::Ended => Self::Ended,
            Outcome::RolledBack | Outcome::Failed(_) => Self::RolledBack,
        }
    }

    pub(super) fn after_rollback(outcome: RollbackOutcome) -> Self {
        match outcome {
            RollbackOutcome::RolledBack => Self::RolledBack,
            RollbackOutcome::AlreadyEnded => Self::Ended,
            RollbackOutcome::NotConfirmed => Self::NotConfirmed,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Committed => "committed",
            Self::RolledBack => "rolled back",
            Self::InDoubt => "in doubt",
            Self::Ended => "ended",
            Self::NotConfirmed => "not confirmed",
            Self::Abandoned => "abandoned",
        }
    }
}

pub(super) fn note_unit_of_work(key: BindKey, end: WorkEnd) {
    let labels: [(_, &dyn std::fmt::Display); 2] = [("bind", &key), ("outcome", &end.as_str())];
    Counter::new(&list::UNITS_OF_WORK, &labels).add_one();
}
