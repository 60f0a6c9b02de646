//! Every public error.
//!
//! `Display` says what happened at its own layer; the cause is in `source()`, never in both. An
//! error that collects several failures lists them all, since it has no single source.

use diesel::result::DatabaseErrorKind;

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
use crate::settings::{SettingsError, TenantError};
#[doc(no_inline)]
pub use crate::settings::{UnknownBind, WrongBackend};
use crate::work::{CommitError, WorkError};

/// Anything that can go wrong with a registry, for programs that need not tell errors apart.
///
/// Every error of this crate converts into it, and so does [`diesel::result::Error`], so that one
/// function can acquire, query and migrate with `?`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The settings are not usable.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// No engine has that key.
    #[error(transparent)]
    UnknownBind(#[from] UnknownBind),
    /// No session could be had.
    #[error(transparent)]
    Acquire(#[from] AcquireError),
    /// A bind is not usable as the program means to use it.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// The name of a tenant cannot be one.
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
    /// There is no registry for a test.
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
    /// A query failed on a session that was to be had.
    #[error(transparent)]
    Query(#[from] QueryError),
}

/// Which bind it was is not known then: a query that is run on a registry, tenant or unit of work names
/// it.
impl From<diesel::result::Error> for Error {
    fn from(error: diesel::result::Error) -> Self {
        Self::Query(error.into())
    }
}

impl From<WorkError> for Error {
    fn from(error: WorkError) -> Self {
        match error {
            // As when it is acquired without a unit of work.
            WorkError::Acquire(error) => Self::Acquire(error),
            error => Self::Work(error),
        }
    }
}

impl Error {
    /// Which constraint or rule of the database a query broke, if that is what happened.
    #[must_use]
    pub fn database_kind(&self) -> Option<&DatabaseErrorKind> {
        match self {
            Self::Query(error) => match error.as_diesel() {
                diesel::result::Error::DatabaseError(kind, _) => Some(kind),
                _ => None,
            },
            _ => None,
        }
    }

    /// Whether a wait came to its end: for a session or for a connection.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        matches!(self, Self::Acquire(error) if error.is_timeout())
    }

    /// Whether the same call may succeed a little later, with nothing changed.
    ///
    /// For a query, see [`QueryError::is_transient`]. Whether it did its work before it failed is not
    /// known.
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
