//! The error of a query.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use diesel::result::{DatabaseErrorInformation, DatabaseErrorKind, Error as DieselError};

use crate::backend::error_class::{self, Diagnosis, ErrorClass};
use crate::settings::BindKey;

/// A query failed, on a session that could be acquired.
///
/// `Display` names the bind, and the tenant if the bind has a database or a schema for each tenant. What the database
/// reported is the [`source`](StdError::source).
///
/// ```
/// use registry_core::{BindDsl, Error, Registry, RunQueryDsl, binds};
///
/// binds! { Files: Sqlite = "files"; }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), registry_core::Error> {
/// let registry = Registry::builder().bind("files", "sqlite::memory:").build()?;
/// let query = diesel::sql_query("DELETE FROM missing").bound_to::<Files>();
/// let Err(Error::Query(error)) = query.execute(&registry).await else { panic!("no such table") };
/// assert_eq!(error.key(), Some("files"));
/// assert!(!error.is_transient());
/// assert_eq!(error.to_string(), "bind `files`: the query failed");
/// assert_eq!(error.as_diesel().to_string(), "no such table: missing");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct QueryError {
    origin: Origin,
    /// The class of the database's error code, if it is known.
    class: Option<ErrorClass>,
    /// Determines the class later, if it is not known yet.
    diagnosis: Option<Diagnosis>,
    source: DieselError,
}

/// The database that a query was run in.
#[derive(Debug, Clone, Default)]
pub(crate) struct Origin {
    pub(crate) key: Option<BindKey>,
    pub(crate) tenant: Option<Arc<str>>,
}

impl QueryError {
    pub(crate) fn new(origin: Origin, class: Option<ErrorClass>, source: DieselError) -> Self {
        let diagnosis = if class.is_none() { error_class::diagnosis_of(&source) } else { None };
        Self { origin, class, diagnosis, source }
    }

    /// The key of the bind. `None` if it is not known, as in an error that `?` has converted from Diesel's.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        self.origin.key.as_ref().map(BindKey::as_str)
    }

    /// The name of the tenant, if the bind has a database or a schema for each tenant.
    #[must_use]
    pub fn tenant(&self) -> Option<&str> {
        self.origin.tenant.as_deref()
    }

    /// Diesel's error.
    #[must_use]
    pub fn as_diesel(&self) -> &DieselError {
        &self.source
    }

    /// Diesel's error, without the bind.
    #[must_use]
    pub fn into_diesel(self) -> DieselError {
        self.source
    }

    /// The kind of the database's error, such as a unique violation. `None` if the error is not the database's.
    ///
    /// A violated `CHECK` of MariaDB is [`Unknown`](DatabaseErrorKind::Unknown), because diesel-async knows only MySQL's
    /// code for it.
    #[must_use]
    pub fn database_kind(&self) -> Option<&DatabaseErrorKind> {
        match &self.source {
            DieselError::DatabaseError(kind, _) => Some(kind),
            _ => None,
        }
    }

    /// The name of the violated constraint, as PostgreSQL reports it. `None` on the other backends: their drivers have it
    /// in the text of the message alone, in words that depend on the version and the language of the server.
    ///
    /// For a violated unique index, it is the name of the index.
    #[must_use]
    pub fn constraint_name(&self) -> Option<&str> {
        self.information()?.constraint_name()
    }

    /// The name of the table that the error is about, without its schema, as PostgreSQL reports it. `None` on the other
    /// backends.
    #[must_use]
    pub fn table_name(&self) -> Option<&str> {
        self.information()?.table_name()
    }

    /// The name of the column that the error is about, as PostgreSQL reports it for a violated `NOT NULL`. `None` on the
    /// other backends, and for other constraints, which may concern several columns.
    #[must_use]
    pub fn column_name(&self) -> Option<&str> {
        self.information()?.column_name()
    }

    fn information(&self) -> Option<&(dyn DatabaseErrorInformation + Send + Sync)> {
        match &self.source {
            DieselError::DatabaseError(_, information) => Some(&**information),
            _ => None,
        }
    }

    /// Whether the connection was lost: the server has ended it, or nothing could be sent or received any more.
    ///
    /// The statement may or may not have taken effect. A plain `SELECT` on a registry or a tenant is run once more before
    /// the program gets this error, and so is each query of which nothing was sent.
    #[must_use]
    pub fn is_connection_lost(&self) -> bool {
        error_class::is_connection_lost(self.class(), &self.source)
    }

    pub(crate) fn class(&self) -> Option<ErrorClass> {
        let diagnosed = || self.diagnosis.as_ref().and_then(Diagnosis::class);
        self.class.or_else(diagnosed).or_else(|| error_class::class_by_text(&self.source))
    }

    /// Whether the same query may succeed a little later: after a deadlock, a serialization failure, a lock that was
    /// not granted in time, on a server that accepts no writes at the moment, or after the loss of the connection.
    /// The query may or may not have taken effect before the failure.
    ///
    /// The error code of the database decides, if it is known: for MySQL, and for PostgreSQL over TCP. Otherwise Diesel's [`DatabaseErrorKind`](diesel::result::DatabaseErrorKind), or the text of SQLite's error,
    /// decides.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        error_class::is_transient(self.class(), &self.source)
    }
}

impl fmt::Display for QueryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(key) = self.key() {
            write!(f, "bind `{key}`")?;
            if let Some(tenant) = self.tenant() {
                write!(f, ", tenant `{tenant}`")?;
            }
            f.write_str(": ")?;
        }
        f.write_str("the query failed")
    }
}

impl StdError for QueryError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&self.source)
    }
}

impl From<DieselError> for QueryError {
    fn from(source: DieselError) -> Self {
        Self::new(Origin::default(), None, source)
    }
}

impl From<QueryError> for DieselError {
    fn from(error: QueryError) -> Self {
        error.source
    }
}
