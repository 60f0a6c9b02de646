//! A query that failed.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use diesel::result::Error as DieselError;

use crate::backend::error_class::{self, Diagnosis, ErrorClass};
use crate::settings::BindKey;

/// A query failed on a session that was to be had.
///
/// `Display` names the bind, and the tenant where the bind has a database or a schema for each; what the
/// database reported is the [`source`](StdError::source).
#[derive(Debug)]
#[non_exhaustive]
pub struct QueryError {
    origin: Origin,
    /// What the database's own code says, where it is known.
    class: Option<ErrorClass>,
    /// What is going to be known of that.
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

    /// The key of the bind. `None` if it is not known, as for an error of Diesel's that `?` has converted.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        self.origin.key.as_ref().map(BindKey::as_str)
    }

    /// The name of the tenant, if the bind has a database or a schema for each.
    #[must_use]
    pub fn tenant(&self) -> Option<&str> {
        self.origin.tenant.as_deref()
    }

    /// What Diesel reported.
    #[must_use]
    pub fn as_diesel(&self) -> &DieselError {
        &self.source
    }

    /// What Diesel reported, without the bind.
    #[must_use]
    pub fn into_diesel(self) -> DieselError {
        self.source
    }

    pub(crate) fn class(&self) -> Option<ErrorClass> {
        let diagnosed = || self.diagnosis.as_ref().and_then(Diagnosis::class);
        self.class.or_else(diagnosed).or_else(|| error_class::class_by_text(&self.source))
    }

    /// Whether the same query may succeed a little later, with nothing changed: a deadlock, a serialization
    /// failure, a lock that could not be had in time, a server that takes no writes now, or a connection
    /// that has ended. Whether the query did its work before that is not known.
    ///
    /// The code of the database decides, where it is known: PostgreSQL's over TCP, and MySQL's. Elsewhere
    /// it is Diesel's [`DatabaseErrorKind`], or SQLite's text.
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
