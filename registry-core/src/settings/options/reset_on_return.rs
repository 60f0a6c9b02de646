//! What is undone when a connection comes back.

use crate::settings::keys::did_you_mean;
use crate::settings::value::{FromValue, Value, expected};

/// What is undone when a connection comes back to its engine.
///
/// In settings `"auto"`, `"rollback"` and `"full"`.
///
/// In each of them, a connection is closed instead of lent again that has a transaction open which
/// Diesel has begun, or in which a statement was cut short because its future was dropped. An in-memory
/// SQLite database lives in its only connection, so there an open transaction is rolled back, and
/// nothing else is undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, serde::Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum ResetOnReturn {
    /// Whatever is not known to be harmless. The default; it costs a return in good order nothing.
    ///
    /// A transaction that is open is rolled back: by the word of PostgreSQL and SQLite, whoever has begun it. After
    /// a statement that is not known to leave the session as it was, the connection is made as new. Known are
    /// queries and changes of rows that call built-in functions, plain DDL, transaction statements and
    /// PostgreSQL's `SET LOCAL`; not known are all others, and every text that is not understood. Not noticed is
    /// what a trigger, a view or an operator does inside.
    #[default]
    Auto,
    /// The same, and a `ROLLBACK` on each return, for transactions that could not be noticed.
    Rollback,
    /// The connection is made as new on each return: in place for PostgreSQL (`DISCARD ALL`, but for the statements
    /// that Diesel has prepared), by opening another for MySQL and SQLite. `on_connect` runs again.
    Full,
}

impl FromValue for ResetOnReturn {
    fn from_value(value: &Value) -> Result<Self, String> {
        const WORDS: [&str; 3] = ["auto", "rollback", "full"];
        let Value::Text(text) = value else {
            return Err(expected("\"auto\", \"rollback\" or \"full\"", value));
        };
        match text.trim().to_ascii_lowercase().as_str() {
            "auto" => Ok(Self::Auto),
            "rollback" => Ok(Self::Rollback),
            "full" => Ok(Self::Full),
            other => {
                Err(expected("\"auto\", \"rollback\" or \"full\"", value)
                    + &did_you_mean(other, WORDS))
            }
        }
    }
}
