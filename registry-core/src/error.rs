//! Every public error, and [`Error`], which unites them.
//!
//! # How to use them
//!
//! Each operation has an error of its own, so a program that wants to tell failures apart matches on its variants:
//! [`AcquireError`] for sessions, [`QueryError`] for queries, [`CommitError`] for units of work, and
//! so on. A program that need not tell them apart returns [`Error`], into which all of them and
//! [`diesel::result::Error`] convert with `?`.
//!
//! - **Retry?** [`Error::is_transient`], and the methods of that name on single errors, say whether the same call may
//!   succeed a little later.
//! - **Time?** [`Error::is_timeout`] says whether a wait for a session or a connection has timed out.
//! - **Connection?** [`Error::is_connection_lost`] says whether the connection was lost while it was used.
//! - **Constraint?** [`Error::database_kind`] returns the kind of the database's error, such as a unique violation, and
//!   [`Error::constraint_name`], [`Error::table_name`] and [`Error::column_name`] return the names that it reports.
//! - **Why?** `Display` says what happened at the layer of the error, and `source()` returns the cause: print the whole
//!   chain. An error that collects several failures ([`SettingsError`], [`VerifyError`]) lists them all, since it has
//!   no single source.
//!
//! No message contains a password.
//!
//! ```
//! use std::error::Error as _;
//! use diesel::prelude::*;
//! use diesel::result::{DatabaseErrorInformation, DatabaseErrorKind};
//! use registry_core::{BindDsl, Error, Registry, RunQueryDsl, bind_tables};
//!
//! diesel::table! { events (id) { id -> Integer, } }
//! bind_tables!(db = "analytics", backend = Sqlite; events);
//!
//! async fn insert(registry: &Registry, id: i32) -> Result<(), Error> {
//!     diesel::insert_into(events::table).values(events::id.eq(id)).execute(registry).await?;
//!     Ok(())
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Error> {
//! let registry = Registry::builder().bind("analytics", "sqlite::memory:").build()?;
//! # let create = "CREATE TABLE events (id INTEGER PRIMARY KEY)";
//! # diesel::sql_query(create).bound_to::<events::table>().execute(&registry).await?;
//! insert(&registry, 1).await?;
//! let error = insert(&registry, 1).await.unwrap_err();
//! assert!(matches!(error.database_kind(), Some(DatabaseErrorKind::UniqueViolation)));
//! assert!(!error.is_transient());
//!
//! registry.close().await;
//! match insert(&registry, 2).await.unwrap_err() {
//!     Error::Acquire(error) => println!("no session: {error}"),
//!     error => println!("{error}: {:?}", error.source()),
//! }
//! # Ok(())
//! # }
//! ```

use diesel::result::{DatabaseErrorInformation, DatabaseErrorKind};

#[doc(no_inline)]
pub use crate::backend::ConnectError;
pub use crate::cause::DriverError;
#[doc(no_inline)]
pub use crate::engine::AcquireError;
#[doc(no_inline)]
pub use crate::query::QueryError;
#[doc(no_inline)]
pub use crate::registry::{
    CreateTenantError, DropTenantError, IsolationError, MigrateError, ReplaceError, VerifyError,
    VerifyFailure,
};
#[doc(no_inline)]
pub use crate::session::IntoInnerError;
use crate::settings::{InvalidBindKey, InvalidUrl, SettingsError, TenantError, WrongKeys};
#[doc(no_inline)]
pub use crate::settings::{UnknownBind, WrongBackend};
use crate::work::{CommitError, WorkError, WorkFailure};

/// Anything that can go wrong with a registry, for programs that need not tell errors apart.
///
/// Every error of this crate converts into it, and so does [`diesel::result::Error`], so that one function can acquire,
/// query and migrate with `?`. The [module](self) has an example.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The settings are invalid.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// A text is not the URL of a database.
    #[error(transparent)]
    Url(#[from] InvalidUrl),
    /// A text is not a bind key.
    #[error(transparent)]
    BindKey(#[from] InvalidBindKey),
    /// The settings have no bind with that key.
    #[error(transparent)]
    UnknownBind(#[from] UnknownBind),
    /// No session could be acquired.
    #[error(transparent)]
    Acquire(#[from] AcquireError),
    /// A database does not answer, or a model does not fit the settings: `verify` has failed.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// A tenant cannot have that name.
    #[error(transparent)]
    Tenant(#[from] TenantError),
    /// An engine could not be replaced.
    #[error(transparent)]
    Replace(#[from] ReplaceError),
    /// A unit of work cannot go on.
    #[error(transparent)]
    Work(WorkError),
    /// A unit of work was not committed, or not all of it.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// A connection could not be taken out of its engine.
    #[error(transparent)]
    IntoInner(#[from] IntoInnerError),
    /// No registry for a test could be made.
    #[error(transparent)]
    Isolation(#[from] IsolationError),
    /// A migration could not be run.
    #[error(transparent)]
    Migrate(#[from] MigrateError),
    /// A tenant could not be created.
    #[error(transparent)]
    CreateTenant(#[from] CreateTenantError),
    /// A tenant could not be dropped.
    #[error(transparent)]
    DropTenant(#[from] DropTenantError),
    /// A query failed on the session that was acquired for it.
    #[error(transparent)]
    Query(#[from] QueryError),
}

/// The result has no bind key, because Diesel's error has none. A query on a registry, tenant or unit of work returns
/// [`QueryError`] with the bind key.
impl From<diesel::result::Error> for Error {
    fn from(error: diesel::result::Error) -> Self {
        Self::Query(error.into())
    }
}

/// A part of a [`CommitError`], which has no bind key by itself.
impl From<WorkFailure> for Error {
    fn from(failure: WorkFailure) -> Self {
        match failure {
            WorkFailure::Database(error) => error.into(),
            WorkFailure::Work(error) => error.into(),
        }
    }
}

impl From<WrongBackend> for Error {
    fn from(error: WrongBackend) -> Self {
        Self::Acquire(error.into())
    }
}

impl From<WrongKeys> for Error {
    fn from(error: WrongKeys) -> Self {
        Self::Work(error.into())
    }
}

impl From<WorkError> for Error {
    fn from(error: WorkError) -> Self {
        match error {
            // A failed acquire is the same variant with and without a unit of work.
            WorkError::Acquire(error) => Self::Acquire(error),
            error => Self::Work(error),
        }
    }
}

impl Error {
    /// Diesel's error, if the database or Diesel has reported one: for a query, for the beginning of a transaction, for a
    /// savepoint, and for a commit, which checks deferred constraints.
    #[must_use]
    pub fn as_diesel(&self) -> Option<&diesel::result::Error> {
        match self {
            Self::Query(error) => Some(error.as_diesel()),
            Self::Work(error) => error.as_diesel(),
            Self::Commit(error) => error.as_diesel(),
            _ => None,
        }
    }

    /// The kind of the database's error, such as a unique violation, if a query or a commit failed with one.
    #[must_use]
    pub fn database_kind(&self) -> Option<&DatabaseErrorKind> {
        match self.as_diesel()? {
            diesel::result::Error::DatabaseError(kind, _) => Some(kind),
            _ => None,
        }
    }

    /// The name of the violated constraint or unique index, if a query or a commit failed with it. Only PostgreSQL reports
    /// it: see [`QueryError::constraint_name`].
    #[must_use]
    pub fn constraint_name(&self) -> Option<&str> {
        self.information()?.constraint_name()
    }

    /// The name of the table that the database's error is about. Only PostgreSQL reports it: see
    /// [`QueryError::table_name`].
    #[must_use]
    pub fn table_name(&self) -> Option<&str> {
        self.information()?.table_name()
    }

    /// The name of the column that the database's error is about. Only PostgreSQL reports it, for a violated `NOT NULL`:
    /// see [`QueryError::column_name`].
    #[must_use]
    pub fn column_name(&self) -> Option<&str> {
        self.information()?.column_name()
    }

    fn information(&self) -> Option<&(dyn DatabaseErrorInformation + Send + Sync)> {
        match self.as_diesel()? {
            diesel::result::Error::DatabaseError(_, information) => Some(&**information),
            _ => None,
        }
    }

    /// Whether a connection was lost while a query, a savepoint or a commit was run on it: see
    /// [`QueryError::is_connection_lost`]. A connection that could not be opened is [`Error::Acquire`].
    #[must_use]
    pub fn is_connection_lost(&self) -> bool {
        match self {
            Self::Query(error) => error.is_connection_lost(),
            Self::Work(error) => error.is_connection_lost(),
            Self::Commit(error) => error.is_connection_lost(),
            _ => false,
        }
    }

    /// Whether a wait for a session or a connection has timed out.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        matches!(self, Self::Acquire(error) if error.is_timeout())
    }

    /// Whether the same call may succeed a little later, with nothing changed: after a timeout, a deadlock, a lost
    /// connection.
    ///
    /// For a query, see [`QueryError::is_transient`]. It is unknown whether the query had its effect before it failed,
    /// so retry only operations that can safely run twice.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Acquire(error) => error.is_transient(),
            Self::Work(error) => error.is_transient(),
            Self::Commit(error) => error.is_transient(),
            Self::Query(error) => error.is_transient(),
            Self::CreateTenant(CreateTenantError::Acquire(error))
            | Self::DropTenant(DropTenantError::Acquire(error)) => error.is_transient(),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error as StdError;

    use super::*;

    /// A function that returns [`Error`] can use `?` on a result with the error `E`.
    fn converts<E: Into<Error>>() {}

    #[test]
    fn every_error_of_an_operation_converts_into_the_common_one() {
        converts::<AcquireError>();
        converts::<CommitError>();
        converts::<CreateTenantError>();
        converts::<DropTenantError>();
        converts::<InvalidBindKey>();
        converts::<InvalidUrl>();
        converts::<IsolationError>();
        converts::<MigrateError>();
        converts::<QueryError>();
        converts::<ReplaceError>();
        converts::<SettingsError>();
        converts::<TenantError>();
        converts::<UnknownBind>();
        converts::<VerifyError>();
        converts::<WorkError>();
        converts::<WorkFailure>();
        converts::<WrongBackend>();
        converts::<WrongKeys>();
        converts::<diesel::result::Error>();
    }

    #[test]
    fn common_error_converts_into_boxes_and_across_threads() {
        fn is_portable<E: StdError + Send + Sync + 'static>() {}

        is_portable::<Error>();
        let parse = || -> Result<(), Error> {
            "nothing".parse::<crate::DatabaseUrl>()?;
            Ok(())
        };
        let boxed: Box<dyn StdError + Send + Sync> = parse().unwrap_err().into();
        assert!(matches!(boxed.downcast_ref(), Some(Error::Url(InvalidUrl::NoScheme))));
    }
}
