//! The errors of a unit of work.

use std::panic::Location;
use std::time::Duration;

use diesel::result::Error as DieselError;

use crate::backend::error_class::{is_connection_lost, is_transient};
use crate::engine::AcquireError;
use crate::settings::{BackendKind, BindKey, WrongKeys};

/// An error after which a unit of work cannot continue.
///
/// The variants with a `key` name the bind. [`is_transient`](Self::is_transient) returns whether a retry may succeed.
///
/// ```
/// # use registry_core::{Error, Registry, UnitOfWork, WorkError};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Error> {
/// match UnitOfWork::current().await {
///     Ok(_) => println!("in a scope"),
///     Err(WorkError::NoScope) => println!("in no scope"),
///     Err(error) if error.is_transient() => println!("try again: {error}"),
///     Err(error) => return Err(error.into()),
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WorkError {
    /// No session could be acquired. The transactions on other binds are unchanged.
    #[error(transparent)]
    Acquire(#[from] AcquireError),
    /// The transaction could not be begun. The transactions on other binds are unchanged.
    #[error("bind `{key}`: could not begin a transaction")]
    Begin {
        /// The bind key.
        key: BindKey,
        /// What the database answered.
        #[source]
        source: DieselError,
    },
    /// The backend does not support the kind of transaction that the options request.
    #[error("bind `{key}`: {backend} has no {what}")]
    Unsupported {
        /// The bind key.
        key: BindKey,
        /// The backend.
        backend: BackendKind,
        /// The kind of transaction that the backend does not support.
        what: String,
    },
    /// The database has rolled the transaction back by itself, as MySQL does after a deadlock: statements that follow
    /// would be committed one by one.
    #[error("bind `{key}`: the database has rolled the transaction back, after an error")]
    RolledBack {
        /// The bind key.
        key: BindKey,
    },
    /// A statement of the program has ended the transaction: a `COMMIT` or `ROLLBACK` of its own, and on MySQL and
    /// MariaDB every statement that commits implicitly, such as DDL
    /// (<https://mariadb.com/kb/en/sql-statements-that-cause-an-implicit-commit/>). The changes before that statement may
    /// be committed. The unit of work cannot continue.
    #[error(
        "bind `{key}`: a statement of the program has ended the transaction (a COMMIT or ROLLBACK, or on MySQL \
         DDL and other statements that commit implicitly): what was done before it may be committed"
    )]
    Ended {
        /// The bind key.
        key: BindKey,
    },
    /// The future of a statement was dropped before its end, or the connection was lost: the effect of the statement is
    /// unknown. The unit of work can only be rolled back.
    #[error(
        "bind `{key}`: a statement was cut short (its future was dropped, or the connection was lost), so the \
         transaction can only be rolled back"
    )]
    CutShort {
        /// The bind key.
        key: BindKey,
    },
    /// The database did not confirm the rollback, because its connection is lost or does not answer. The connection was
    /// closed, and the server rolls back when it notices the disconnect.
    #[error(
        "bind `{key}`: the rollback was not confirmed, since the connection is lost or does not answer; the \
         connection was closed"
    )]
    NotTold {
        /// The bind key.
        key: BindKey,
    },
    /// A savepoint could not be set, released or rolled back to.
    #[error("bind `{key}`: could not set, release or roll back to a savepoint")]
    Savepoint {
        /// The bind key.
        key: BindKey,
        /// What the database answered.
        #[source]
        source: DieselError,
    },
    /// A savepoint was interrupted before its end: its future was dropped, or it failed or panicked. The unit of work can
    /// only be rolled back.
    #[error(
        "a savepoint was interrupted before its end, so the unit of work can only be rolled back"
    )]
    Abandoned,
    /// The task is in no scope, so it has no current unit of work: run it in
    /// [`Registry::scope`](crate::Registry::scope), or hand it one by
    /// [`Scope::enter`](super::Scope::enter).
    #[error("this task is in no scope, and has no current unit of work")]
    NoScope,
    /// The scope belongs to no tenant: enter one of a tenant, by [`Tenant::scope`](crate::Tenant::scope) or
    /// `ScopeLayer::per_tenant`.
    #[error("this scope belongs to no tenant")]
    NoTenant,
    /// The scope has ended, and its unit of work was rolled back.
    #[error("the scope has ended, and its unit of work was rolled back")]
    ScopeEnded,
    /// Another user in the scope held the unit of work for the whole wait. If the calling task holds it itself, the wait
    /// is a self-deadlock: see [`UnitOfWork::current`](super::UnitOfWork::current).
    #[error("{}", in_use(*after, *held_by_caller, *is_kept, *taken_at))]
    InUse {
        /// The length of the wait: `acquire_timeout`, or less for a deadlock.
        after: Duration,
        /// Whether the calling task holds the unit of work itself, and has not used it during the wait.
        held_by_caller: bool,
        /// Whether the future that the scope runs holds the unit of work in another task, and has not used it during the
        /// wait: that future may be awaiting the calling task.
        is_kept: bool,
        /// The call site that took the unit of work. `None` if it was taken as an argument of an axum handler.
        taken_at: Option<&'static Location<'static>>,
    },
    /// The options name keys without a bind. No transaction was begun with these options.
    #[error(transparent)]
    Keys(#[from] WrongKeys),
    /// The program requested two sessions of one bind at once. A unit of work has one session of each bind.
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
            "this task has the unit of work of this scope already, taken {taken}, and would wait for itself: a \
             deadlock, detected after {after}. Pass the unit of work on as an argument, or drop it before the next \
             request for it (a future or task that was given the unit of work has not used it during the wait)"
        )
    } else if is_kept {
        format!(
            "the unit of work of this scope was kept for {after} by the future that the scope runs, which has done \
             nothing with it, taken {taken}: pass it on, or drop it before awaiting another task that requests it"
        )
    } else {
        format!(
            "timed out waiting for the unit of work of this scope, which was in use for {after}, taken {taken}"
        )
    }
}

impl WorkError {
    /// Diesel's error, if the database has refused to begin the transaction, or a savepoint.
    #[must_use]
    pub fn as_diesel(&self) -> Option<&DieselError> {
        match self {
            Self::Begin { source, .. } | Self::Savepoint { source, .. } => Some(source),
            _ => None,
        }
    }

    /// Whether the connection was lost while the transaction was begun, or at a savepoint.
    #[must_use]
    pub fn is_connection_lost(&self) -> bool {
        self.as_diesel().is_some_and(|error| is_connection_lost(None, error))
    }

    /// Whether the same unit of work may succeed a little later, unchanged.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Acquire(error) => error.is_transient(),
            // A deadlock does not resolve by waiting, also if it goes through another task.
            Self::InUse { held_by_caller, is_kept, .. } => !held_by_caller && !is_kept,
            Self::RolledBack { .. } => true,
            Self::Begin { source, .. } | Self::Savepoint { source, .. } => {
                is_transient(None, source)
            }
            _ => false,
        }
    }
}
