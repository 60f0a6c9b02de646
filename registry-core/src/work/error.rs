//! What became of a unit of work.

use std::error::Error as StdError;
use std::fmt;
use std::panic::Location;
use std::time::Duration;

use diesel::result::Error as DieselError;

use crate::backend::error_class::{ErrorClass, is_transient};
use crate::engine::AcquireError;
use crate::settings::{BackendKind, BindKey, WrongKeys};

/// Why a unit of work cannot go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WorkError {
    /// No session could be had. The other transactions are as they were.
    #[error(transparent)]
    Acquire(#[from] AcquireError),
    /// The transaction could not be begun. The other transactions are as they were.
    #[error("bind `{key}`: no transaction could be begun")]
    Begin {
        /// The bind key.
        key: BindKey,
        /// What the database said.
        #[source]
        source: DieselError,
    },
    /// The backend has no such transactions.
    #[error("bind `{key}`: {backend} has no {what}")]
    Unsupported {
        /// The bind key.
        key: BindKey,
        /// The backend.
        backend: BackendKind,
        /// What it has not.
        what: String,
    },
    /// The database has ended the transaction by itself, as a deadlock does on MySQL: statements
    /// after it would be committed one by one.
    #[error("bind `{key}`: the database has rolled the transaction back, after an error")]
    RolledBack {
        /// The bind key.
        key: BindKey,
    },
    /// A statement of the program has ended the transaction: a `COMMIT` or `ROLLBACK` of its own, and on MySQL and
    /// MariaDB every statement that commits implicitly, as those do that define something
    /// (<https://mariadb.com/kb/en/sql-statements-that-cause-an-implicit-commit/>). What was done before that may be
    /// committed. The unit of work cannot go on.
    #[error(
        "bind `{key}`: a statement of the program has ended the transaction (a COMMIT or ROLLBACK, or on MySQL \
         DDL and other statements that commit implicitly): what was done before it may be committed"
    )]
    Ended {
        /// The bind key.
        key: BindKey,
    },
    /// The future of a statement was dropped before its end, or the connection is gone: nobody knows what it did.
    /// The unit of work can only be rolled back.
    #[error("bind `{key}`: a statement was cut short, and nobody knows what it did")]
    CutShort {
        /// The bind key.
        key: BindKey,
    },
    /// The database could not be told to roll back: its connection is gone, or silent. It was closed, and the
    /// server rolls back when it notices.
    #[error(
        "bind `{key}`: the database could not be told to roll back, and its connection was closed"
    )]
    NotTold {
        /// The bind key.
        key: BindKey,
    },
    /// A savepoint could not be set, released or rolled back to.
    #[error("bind `{key}`: a savepoint failed")]
    Savepoint {
        /// The bind key.
        key: BindKey,
        /// What the database said.
        #[source]
        source: DieselError,
    },
    /// The future of a savepoint was dropped before its end. The unit of work can only be rolled back.
    #[error("a savepoint was abandoned, and nobody knows what is left of it")]
    Abandoned,
    /// The task is in no scope, so it has no current unit of work: run it in
    /// [`Registry::scope`](crate::Registry::scope), or hand it one by
    /// [`Scope::enter`](super::Scope::enter).
    #[error("this task is in no scope, and has no current unit of work")]
    NoScope,
    /// The scope is of no tenant: enter one of a tenant, by [`Tenant::scope`](crate::Tenant::scope) or
    /// `ScopeLayer::per_tenant`.
    #[error("this scope is of no tenant")]
    NoTenant,
    /// The scope has ended, and its unit of work was rolled back.
    #[error("the scope has ended")]
    ScopeEnded,
    /// Somebody in the scope had the unit of work for the whole time that was waited for it. If that is the task that
    /// asks, it would wait for itself: see [`UnitOfWork::current`](super::UnitOfWork::current).
    #[error("{}", in_use(*after, *held_by_caller, *is_kept, *taken_at))]
    InUse {
        /// How long was waited: `acquire_timeout`, or less if it is known to be in vain.
        after: Duration,
        /// Whether the task that asks has it, and has not used it meanwhile.
        held_by_caller: bool,
        /// Whether the future that the scope runs has it in another task, and has not used it meanwhile: it may wait for
        /// the task that asks.
        is_kept: bool,
        /// Where in the program it was taken. `None` for an argument of a handler.
        taken_at: Option<&'static Location<'static>>,
    },
    /// The options name keys that no bind has. Nothing was begun with them.
    #[error(transparent)]
    Keys(#[from] WrongKeys),
    /// Two sessions of one bind were asked for at once. A unit of work has one for each.
    #[error("bind `{key}`: a unit of work has one session of each bind, and two were asked for")]
    Twice {
        /// The bind key.
        key: BindKey,
    },
}

fn in_use(
    after: Duration,
    held_by_caller: bool,
    is_kept: bool,
    taken_at: Option<&Location<'_>>,
) -> String {
    let after = humantime::format_duration(Duration::from_millis(after.as_millis() as u64));
    let taken = match taken_at {
        Some(place) => format!("at {place}"),
        None => "as an argument of a handler".to_owned(),
    };
    if held_by_caller {
        format!(
            "this task has the unit of work of this scope already, taken {taken}, and waited {after} for itself: \
             hand it on, or drop it before it is asked for again (whatever it was handed to has not used it meanwhile)"
        )
    } else if is_kept {
        format!(
            "the unit of work of this scope was kept for {after} by what the scope runs, which has done nothing with it, \
             taken {taken}: hand it on, or drop it before another task that asks for it is waited for"
        )
    } else {
        format!("the unit of work of this scope was in use for {after}, taken {taken}")
    }
}

impl WorkError {
    /// Whether the same unit of work may succeed a little later, with nothing changed.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Acquire(error) => error.is_transient(),
            // Waiting does not help who waits for itself, be it by way of another task.
            Self::InUse { held_by_caller, is_kept, .. } => !held_by_caller && !is_kept,
            Self::RolledBack { .. } => true,
            Self::Begin { source, .. } | Self::Savepoint { source, .. } => {
                is_transient(None, source)
            }
            _ => false,
        }
    }
}

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
