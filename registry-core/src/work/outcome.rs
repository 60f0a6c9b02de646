//! The outcome of a commit of a unit of work.

use std::error::Error as StdError;
use std::fmt;

use diesel::result::Error as DieselError;

use super::error::WorkError;
use crate::backend::error_class::{ErrorClass, is_connection_lost, is_transient};
use crate::settings::{BindKey, WrongKeys};
use crate::token::Token;

/// The binds that a unit of work has committed: returned by [`UnitOfWork::commit`](super::UnitOfWork::commit).
///
/// ```
/// # use diesel::prelude::*;
/// # use registry_core::{BindDsl, Error, Registry, RunQueryDsl, bind_tables};
/// # diesel::table! { users (id) { id -> Integer, } }
/// # diesel::table! { events (id) { id -> Integer, } }
/// # bind_tables!(db = "default", backend = Sqlite; users);
/// # bind_tables!(db = "analytics", backend = Sqlite; events);
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Error> {
/// # let registry = Registry::builder()
/// #     .bind("default", "sqlite::memory:").bind("analytics", "sqlite::memory:").build()?;
/// # let create = "CREATE TABLE users (id INTEGER PRIMARY KEY)";
/// # diesel::sql_query(create).bound_to::<users::table>().execute(&registry).await?;
/// # let create = "CREATE TABLE events (id INTEGER PRIMARY KEY)";
/// # diesel::sql_query(create).bound_to::<events::table>().execute(&registry).await?;
/// let mut work = registry.begin();
/// diesel::insert_into(events::table).values(events::id.eq(1)).execute(&mut work).await?;
/// diesel::insert_into(users::table).values(users::id.eq(1)).execute(&mut work).await?;
/// assert_eq!(work.commit().await?.keys, ["analytics", "default"]);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Committed {
    /// The keys of the binds that the unit of work had touched, in the order of their commits.
    pub keys: Vec<BindKey>,
    pub(super) token: Token,
}

impl Committed {
    /// Where the commits are in the logs of their databases: reads [after](crate::Reader::after) the token see what the
    /// unit of work has written.
    ///
    /// It is asked for together with the commit, of the binds that have replicas (MariaDB takes one more round trip for
    /// that), unless the unit of work is read-only. A bind without replicas has no part in it.
    ///
    /// ```
    /// # use registry_core::{Error, Registry};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Error> {
    /// # let registry = Registry::builder().bind("default", "sqlite::memory:").build()?;
    /// let token = registry.begin().commit().await?.token();
    /// let reader = registry.reader().after(&token);
    /// # let _ = reader;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn token(&self) -> Token {
        self.token.clone()
    }
}

/// A unit of work was not committed, or only a part of its binds was. Has the outcome of each bind, as data.
///
/// Its [`source`](StdError::source) is the error of the bind that failed or is in doubt.
///
/// ```
/// # use diesel::prelude::*;
/// # use registry_core::{BindDsl, CommitError, Error, Registry, RunQueryDsl, bind_tables};
/// # diesel::table! { users (id) { id -> Integer, } }
/// # diesel::table! { events (id) { id -> Integer, } }
/// # bind_tables!(db = "default", backend = Sqlite; users);
/// # bind_tables!(db = "analytics", backend = Sqlite; events);
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Error> {
/// # let registry = Registry::builder()
/// #     .bind("default", "sqlite::memory:").bind("analytics", "sqlite::memory:").build()?;
/// # let create = "CREATE TABLE users (id INTEGER PRIMARY KEY)";
/// # diesel::sql_query(create).bound_to::<users::table>().execute(&registry).await?;
/// # let create = "CREATE TABLE events (id INTEGER PRIMARY KEY)";
/// # diesel::sql_query(create).bound_to::<events::table>().execute(&registry).await?;
/// let mut work = registry.begin();
/// diesel::insert_into(users::table).values(users::id.eq(1)).execute(&mut work).await?;
/// let session = work.session_for::<events::table>().await?;
/// diesel::insert_into(events::table).values(events::id.eq(1)).execute(&mut *session).await?;
/// diesel::sql_query("ROLLBACK").bound_to::<events::table>().execute(session).await?; // behind the back of `work`
///
/// let error: CommitError = work.commit().await.unwrap_err();
/// assert_eq!(error.committed().count(), 0);
/// assert!(error.rolled_back().eq(["default"]));
/// assert!(error.ended().eq(["analytics"]));
/// assert!(!error.is_rolled_back(), "a COMMIT would look the same");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct CommitError {
    pub(super) binds: Vec<(BindKey, Outcome)>,
    /// The class of the error that failed the commit, or of the error after which the database has rolled back by itself.
    pub(super) class: Option<ErrorClass>,
    /// The wrong keys in the order of commits. If there are any, no commit was tried.
    pub(super) wrong_keys: Option<WrongKeys>,
}

/// The outcome of one bind of a unit of work whose commit failed: see [`CommitError::binds`].
///
/// ```
/// use registry_core::CommitError;
/// use registry_core::work::Outcome;
///
/// /// The binds that have to be looked at by hand.
/// fn to_reconcile(error: &CommitError) -> Vec<&str> {
///     let may_be_committed = |outcome: &Outcome| {
///         matches!(outcome, Outcome::Committed | Outcome::InDoubt(_) | Outcome::Ended)
///     };
///     error.binds().filter(|(_, outcome)| may_be_committed(outcome)).map(|(key, _)| key).collect()
/// }
/// # let _ = to_reconcile;
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum Outcome {
    /// The bind is committed, and stays committed.
    Committed,
    /// The bind failed to commit, for this reason, and is rolled back.
    Failed(WorkFailure),
    /// The bind was rolled back, because another bind has failed or is in doubt.
    RolledBack,
    /// The commit was sent and not answered, because the connection broke: the bind may be committed or rolled back.
    InDoubt(DieselError),
    /// A statement of the program had ended the transaction before the commit, so the changes before that statement may
    /// be committed: see [`WorkError::Ended`]. The changes after that statement are rolled back, unless the database has
    /// committed each statement by itself.
    Ended,
}

/// The reason why a bind was not committed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WorkFailure {
    /// The database answered the commit with this error.
    #[error(transparent)]
    Database(#[from] DieselError),
    /// The transaction could not be committed before a commit was sent: the database had rolled it back, a statement was
    /// cut short, or a savepoint was interrupted.
    #[error(transparent)]
    Work(#[from] WorkError),
}

impl CommitError {
    /// Every bind that the unit of work had touched, with its outcome, in the order of the commits.
    pub fn binds(&self) -> impl Iterator<Item = (&str, &Outcome)> {
        self.binds.iter().map(|(key, outcome)| (key.as_str(), outcome))
    }

    /// The keys of the binds that are committed, and stay committed.
    pub fn committed(&self) -> impl Iterator<Item = &str> {
        self.keys_with(|outcome| matches!(outcome, Outcome::Committed))
    }

    /// The keys of the binds that are rolled back because another bind has failed or is in doubt.
    pub fn rolled_back(&self) -> impl Iterator<Item = &str> {
        self.keys_with(|outcome| matches!(outcome, Outcome::RolledBack))
    }

    /// The key of the bind that failed and is rolled back, and the reason.
    #[must_use]
    pub fn failed(&self) -> Option<(&str, &WorkFailure)> {
        self.binds.iter().find_map(|(key, outcome)| match outcome {
            Outcome::Failed(failure) => Some((key.as_str(), failure)),
            _ => None,
        })
    }

    /// The key of the bind that is in doubt (it may be committed or rolled back), and the error of its commit.
    #[must_use]
    pub fn in_doubt(&self) -> Option<(&str, &DieselError)> {
        self.binds.iter().find_map(|(key, outcome)| match outcome {
            Outcome::InDoubt(error) => Some((key.as_str(), error)),
            _ => None,
        })
    }

    /// The keys in the order of commits that have no bind, or that are given twice. If there are any, nothing was
    /// committed.
    #[must_use]
    pub fn wrong_keys(&self) -> Option<&WrongKeys> {
        self.wrong_keys.as_ref()
    }

    /// The keys of the binds that may be committed because a statement of the program had ended their transaction.
    pub fn ended(&self) -> impl Iterator<Item = &str> {
        self.keys_with(|outcome| matches!(outcome, Outcome::Ended))
    }

    /// Diesel's error of the commit that failed or is in doubt. A commit fails with a unique or foreign-key violation if the
    /// constraint is deferred.
    #[must_use]
    pub fn as_diesel(&self) -> Option<&DieselError> {
        let failed = self.failed().and_then(|(_, failure)| match failure {
            WorkFailure::Database(error) => Some(error),
            WorkFailure::Work(error) => error.as_diesel(),
        });
        failed.or_else(|| self.in_doubt().map(|(_, error)| error))
    }

    /// Whether a connection was lost during the commit. The unit of work may be committed then, unless
    /// [`is_rolled_back`](Self::is_rolled_back).
    #[must_use]
    pub fn is_connection_lost(&self) -> bool {
        self.as_diesel().is_some_and(|error| is_connection_lost(self.class, error))
    }

    /// Whether the same unit of work may succeed a little later, unchanged: nothing was committed, and the reason
    /// was a conflict with other transactions, a server that takes no writes now, or a connection that was lost
    /// before the commit.
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

    /// Whether it is certain that nothing is committed: no bind is committed, in doubt, or [ended](Self::ended).
    #[must_use]
    pub fn is_rolled_back(&self) -> bool {
        self.committed().next().is_none()
            && self.in_doubt().is_none()
            && self.ended().next().is_none()
    }

    fn keys_with(&self, is: fn(&Outcome) -> bool) -> impl Iterator<Item = &str> {
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
        let source_of_bind = || {
            self.binds.iter().find_map(|(_, outcome)| match outcome {
                Outcome::Failed(failure) => Some(failure as _),
                Outcome::InDoubt(error) => Some(error as _),
                _ => None,
            })
        };
        self.wrong_keys.as_ref().map(|wrong_keys| wrong_keys as _).or_else(source_of_bind)
    }
}
