//! What stands between an engine and its server.

use crate::settings::keys::did_you_mean;
use crate::settings::value::{FromValue, Value, expected};

/// A connection pooler, such as PgBouncer, between an engine and its PostgreSQL server.
///
/// In settings `"none"` and `"transaction"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, serde::Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Pooler {
    /// None, or one that gives each connection a server connection of its own: PgBouncer with
    /// `pool_mode = session`. The default.
    #[default]
    None,
    /// One that gives each transaction another server connection: PgBouncer with
    /// `pool_mode = transaction`.
    ///
    /// What a session sets would reach other clients, so `tenant_schema`, `statement_timeout`,
    /// `read_only`, `on_connect` and the URL's parameter `options` are errors when the registry is
    /// built. Migrations need `migrate_url`, the URL of the server itself.
    Transaction,
}

impl FromValue for Pooler {
    fn from_value(value: &Value) -> Result<Self, String> {
        const WORDS: [&str; 2] = ["none", "transaction"];
        let what = "\"none\" or \"transaction\"";
        let Value::Text(text) = value else {
            return Err(expected(what, value));
        };
        match text.trim().to_ascii_lowercase().as_str() {
            "none" => Ok(Self::None),
            "transaction" => Ok(Self::Transaction),
            other => Err(expected(what, value) + &did_you_mean(other, WORDS)),
        }
    }
}
