//! The type of the option `pooler`.

use crate::settings::from_value::{FromValue, one_of};
use crate::settings::value::Value;

/// A connection pooler, such as PgBouncer, between an engine and its PostgreSQL server.
///
/// In settings `"none"` and `"transaction"`.
///
#[cfg_attr(not(feature = "postgres"), doc = "```ignore")]
#[cfg_attr(feature = "postgres", doc = "```")]
/// use registry_core::{BindSettings, Pooler, Registry};
///
/// let shop = BindSettings::new("postgres://app@pgbouncer:6432/shop")
///     .pooler(Pooler::Transaction)
///     .migrate_url("postgres://app@postgres/shop");
/// let registry = Registry::builder().bind("shop", shop).build()?;
/// # let _ = registry;
/// # Ok::<(), registry_core::SettingsError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, serde::Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Pooler {
    /// No pooler, or a pooler that gives each client connection a server connection of its own: PgBouncer with
    /// `pool_mode = session`. The default.
    #[default]
    None,
    /// A pooler that may give each transaction another server connection: PgBouncer with `pool_mode = transaction`.
    ///
    /// A setting of a session would reach other clients. Therefore `tenant_schema`, `statement_timeout`, `read_only`,
    /// `on_connect`, `reset_on_return = "full"` and the URL's parameter `options` are errors when the registry is
    /// built. Migrations need `migrate_url`, the URL of the server itself.
    Transaction,
}

impl FromValue for Pooler {
    fn from_value(value: &Value) -> Result<Self, String> {
        one_of(value, &[("none", Self::None), ("transaction", Self::Transaction)])
    }
}
