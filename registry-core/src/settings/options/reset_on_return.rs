//! The type of the option `reset_on_return`.

use crate::settings::from_value::{FromValue, one_of};
use crate::settings::value::Value;

/// What is undone when a connection is returned to its engine.
///
/// In settings `"auto"`, `"rollback"` and `"full"`.
///
/// ```
/// use registry_core::{BindSettings, ResetOnReturn};
///
/// let reports = BindSettings::new("sqlite://reports.db").reset_on_return(ResetOnReturn::Full);
/// # let _ = reports;
/// ```
///
/// With each of them, a connection is closed instead of lent again if a transaction that Diesel has begun is
/// open on it, or if a statement was cut short because its future was dropped. A SQLite database in memory
/// lives in its only connection: there an open transaction is rolled back, and nothing else is undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, serde::Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum ResetOnReturn {
    /// Resets the connection after every statement that is not known to be harmless. The default. If there is nothing
    /// to reset, a return costs no round trip.
    ///
    /// An open transaction is rolled back. PostgreSQL and SQLite report one themselves, whoever has begun it. After a
    /// statement that is not known to leave the session as it was, the connection is fully reset. An allowlist of
    /// harmless statements decides: queries and changes of rows that call built-in functions, plain DDL, transaction
    /// statements and PostgreSQL's `SET LOCAL`. Every other statement, and every SQL text that cannot be parsed, counts
    /// as not harmless. The effects of a trigger, a view or an operator are not noticed.
    #[default]
    Auto,
    /// Like `Auto`, and runs a `ROLLBACK` on each return, for transactions that could not be noticed.
    Rollback,
    /// The connection is fully reset on each return: in place for PostgreSQL (`DISCARD ALL`, except for the statements
    /// that Diesel has prepared), and by opening another connection for MySQL and SQLite. `on_connect` runs again.
    Full,
}

impl FromValue for ResetOnReturn {
    fn from_value(value: &Value) -> Result<Self, String> {
        one_of(value, &[("auto", Self::Auto), ("rollback", Self::Rollback), ("full", Self::Full)])
    }
}
