//! The result of a run of migrations.

use std::fmt;

use serde::Serialize;

use crate::settings::BindKey;

/// The result of a run of migrations, see [`Registry::migrate`](crate::Registry::migrate).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct MigrateReport {
    /// The bind key.
    pub key: BindKey,
    /// The names of the migrations that were run, in order.
    pub applied: Vec<String>,
    /// How many migrations had been run before.
    pub skipped: usize,
}

impl fmt::Display for MigrateReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, applied, skipped } = self;
        let run = applied.len();
        write!(f, "bind `{key}`: migrations run now: {run}, before: {skipped}")?;
        for name in applied {
            write!(f, "\n  {name}")?;
        }
        Ok(())
    }
}
