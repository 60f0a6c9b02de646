//! The type of the option `when_pending`.

use crate::settings::from_value::{FromValue, one_of};
use crate::settings::value::Value;

/// What happens to a database with pending migrations: migrations of the program that were not run on it yet.
///
/// In settings `"fail"`, `"migrate"` and `"serve"`. It counts for binds whose migrations
/// [`RegistryBuilder::migrations`](crate::RegistryBuilder::migrations) was told. [`verify`](crate::Registry::verify)
/// checks the binds with one database. The database or schema of a tenant is checked when it is first used in this
/// process, and again when its engine was closed in between.
///
/// ```
/// use registry_core::{BindSettings, Registry, WhenPending};
///
/// let crm = BindSettings::new("sqlite:///srv/tenants/{tenant}.db").when_pending(WhenPending::Migrate);
/// let registry = Registry::builder().bind("crm", crm).build()?;
/// # let _ = registry;
/// # Ok::<(), registry_core::SettingsError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, serde::Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum WhenPending {
    /// `verify` fails, and a tenant is refused with
    /// [`AcquireError::PendingMigrations`](crate::AcquireError::PendingMigrations) until the migrations were run. The
    /// default, because a program fails in stranger ways on tables that are older than its models.
    #[default]
    Fail,
    /// The migrations of a tenant are run before it is served, under the migration lock. However many callers ask, they
    /// are run once. Each caller waits for `acquire_timeout` at most, and the run goes on if a caller leaves.
    ///
    /// Only for binds with a database or schema for each tenant. A bind with one database is migrated by
    /// [`Registry::migrate`](crate::Registry::migrate): on such a bind, this is an error when the registry is built. If
    /// it is written for every engine, such a bind takes it as `Fail`.
    Migrate,
    /// `verify` only warns, and a tenant is not checked: there is no query for it.
    Serve,
}

impl FromValue for WhenPending {
    fn from_value(value: &Value) -> Result<Self, String> {
        let words = [("fail", Self::Fail), ("migrate", Self::Migrate), ("serve", Self::Serve)];
        one_of(value, &words)
    }
}
