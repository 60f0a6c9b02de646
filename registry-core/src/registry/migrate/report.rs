//! The result of a run of migrations.

use std::fmt;

use serde::Serialize;

use crate::settings::BindKey;

/// The result of a change to the migrations of a database, see [`Registry::migrate`](crate::Registry::migrate) and
/// [`Migrations`](crate::Migrations).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct MigrateReport {
    /// The bind key.
    pub key: BindKey,
    /// The name of the tenant, if it is the database of one.
    pub tenant: Option<String>,
    /// The names of the migrations that were reverted, in order: the newest first. If migrations were run as well, they were
    /// run after that.
    pub reverted: Vec<String>,
    /// The names of the migrations that were run, in order.
    pub applied: Vec<String>,
    /// How many migrations had been run before, and were left as they are.
    pub skipped: usize,
}

impl fmt::Display for MigrateReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, tenant, reverted, applied, skipped } = self;
        write!(f, "bind `{key}`")?;
        if let Some(tenant) = tenant {
            write!(f, ", tenant `{tenant}`")?;
        }
        f.write_str(": migrations ")?;
        if !reverted.is_empty() {
            write!(f, "reverted: {}, ", reverted.len())?;
        }
        write!(f, "run now: {}, before: {skipped}", applied.len())?;
        for name in reverted {
            write!(f, "\n  {name} (reverted)")?;
        }
        for name in applied {
            write!(f, "\n  {name}")?;
        }
        Ok(())
    }
}
