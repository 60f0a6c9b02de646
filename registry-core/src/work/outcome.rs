//! What became of a unit of work that was to be committed.

use std::error::Error as StdError;
use std::fmt;

use diesel::result::Error as DieselError;

use super::error::WorkError;
use crate::backend::error_class::{ErrorClass, is_transient};
use crate::settings::{BindKey, WrongKeys};

/// What a unit of work has committed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Committed {
    /// The keys of the binds that it had touched, in the order in which they were committed.
    pub keys: Vec<BindKey>,
}

/// A unit of work was not committed, or not all of it: what became of each bind.
#[derive(Debug)]
pub struct CommitError {
    pub(super) binds: Vec<(BindKey, Outcome)>,
    /// What the database said of the commit that failed, or of the statement after which it has rolled back by itself.
    pub(super) class: Option<ErrorClass>,
    /// Why nothing was tried.
    pub(super) wrong_keys: Option<WrongKeys>,
}

/// What became of one bind of a unit of work that was not all committed.
#[derive(Debug)]
#[non_exhaustive]
pub enum Outcome {
    /// It is committed, and stays so.
    Committed,
    /// It was not committed, for that reason, and is rolled back.
    Failed(WorkFailure),
    /// It was rolled back, as another had failed before it.
    RolledBack,
    /// The connection broke during the commit: it may be committed or rolled back.
    InDoubt(DieselError),
    /// A statement of the program had ended its transaction before, so that what was done until then may be committed:
    /// see [`WorkError::Ended`]. What was done after it is rolled back, unless it was committed statement by statement.
    Ended,
}

/// Why a bind was not committed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WorkFailure {
    /// What the database said.
    #[error(transparent)]
    Database(#[from] DieselError),
    /// The database had ended the transaction before, or a transaction inside of it is not ended.
    #[error(transparent)]
    Work(#[from] WorkError),
}

impl CommitError {
    /// Every bind that was touched, in the order in which they were to be committed.
    pub fn binds(&self) -> impl Iterator<Item = (&str, &Outcome)> {
        self.binds.iter().map(|(key, outcome)| (key.as_str(), outcome))
    }

    /// The keys of those that are committed.
    pub fn committed(&self) -> impl Iterator<Item = &str> {
        self.of(|outcome| matches!(outcome, Outcome::Committed))
    }

    /// The keys of those that are rolled back, as another had failed.
    pub fn rolled_back(&self) -> impl Iterator<Item = &str> {
        self.of(|outcome| matches!(outcome, Outcome::RolledBack))
    }

    /// The key of the one that failed, and why.
    #[must_use]
    pub fn failed(&self) -> Option<(&str, &WorkFailure)> {
        self.binds.iter().find_map(|(key, outcome)| match outcome {
            Outcome::Failed(failure) => Some((key.as_str(), failure)),
            _ => None,
        })
    }

    /// The key of the one that may be committed or not, and why nobody knows.
    #[must_use]
    pub fn in_doubt(&self) -> Option<(&str, &DieselError)> {
        self.binds.iter().find_map(|(key, outcome)| match outcome {
            Outcome::InDoubt(error) => Some((key.as_str(), error)),
            _ => None,
        })
    }

    /// The keys in the order of commits that no bind has, or that are there twice. Nothing was committed then.
    #[must_use]
    pub fn wrong_keys(&self) -> Option<&WrongKeys> {
        self.wrong_keys.as_ref()
    }

    /// The keys of those that may be committed, as a statement of the program had ended their transaction.
    pub fn ended(&self) -> impl Iterator<Item = &str> {
        self.of(|outcome| matches!(outcome, Outcome::Ended))
    }

    /// Whether the same unit of work may succeed a little later, with nothing changed: nothing was
    /// committed, and the reason was a conflict with others, a server that takes no writes now, or a
    /// connection that has ended before the commit.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        self.is_rolled_back()
            && self.failed().is_some_and(|(_, failure)| match failure {
                WorkFailure::Database(error) => is_transient(self.class, error),
                WorkFailure::Work(WorkError::RolledBack { .. }) => {
                    self.class.is_none_or(ErrorClass::is_transient)
                }
                WorkFailure::Work(error) => error.is_transient(),
            })
    }

    /// Whether it surely was as if nothing had been done.
    #[must_use]
    pub fn is_rolled_back(&self) -> bool {
        self.committed().next().is_none()
            && self.in_doubt().is_none()
            && self.ended().next().is_none()
    }

    fn of(&self, is: fn(&Outcome) -> bool) -> impl Iterator<Item = &str> {
        self.binds.iter().filter(move |(_, outcome)| is(outcome)).map(|(key, _)| key.as_str())
    }
}

impl fmt::Display for CommitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_in_doubt = self.in_doubt().is_some() || self.ended().next().is_some();
        if self.wrong_keys.is_some() {
            f.write_str("the order of commits has wrong keys; ")?;
        }
        f.write_str(match (self.committed().next(), is_in_doubt) {
            _ if self.binds.is_empty() => return f.write_str("nothing was committed"),
            (None, false) => "nothing was committed:",
            (None, true) => "it is not known whether it was committed:",
            (Some(_), _) => "not all was committed:",
        })?;
        for (at, (key, outcome)) in self.binds.iter().enumerate() {
            f.write_str(if at == 0 { " " } else { ", " })?;
            write!(f, "bind `{key}` ")?;
            match outcome {
                Outcome::Committed => f.write_str("is committed")?,
                Outcome::Failed(_) => f.write_str("failed and is rolled back")?,
                Outcome::RolledBack => f.write_str("is rolled back")?,
                Outcome::InDoubt(_) => f.write_str("may be committed or not")?,
                Outcome::Ended => f.write_str(
                    "may be committed, as a statement of the program has ended its transaction",
                )?,
            }
        }
        Ok(())
    }
}

impl StdError for CommitError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        let of_binds = || {
            self.binds.iter().find_map(|(_, outcome)| match outcome {
                Outcome::Failed(failure) => Some(failure as _),
                Outcome::InDoubt(error) => Some(error as _),
                _ => None,
            })
        };
        self.wrong_keys.as_ref().map(|wrong_keys| wrong_keys as _).or_else(of_binds)
    }
}
