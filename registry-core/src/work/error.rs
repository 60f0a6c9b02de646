//! Why a unit of work cannot go on.

use std::panic::Location;
use std::time::Duration;

use diesel::result::Error as DieselError;

use crate::backend::error_class::is_transient;
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
