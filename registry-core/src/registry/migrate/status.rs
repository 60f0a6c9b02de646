//! Which migrations were run, and which are pending.

use std::collections::HashMap;
use std::fmt;

use serde::Serialize;

use super::error::MigrateError;
use crate::backend::driver::Driver;
use crate::backend::migrate::{AppliedVersion, Migrations};
use crate::registry::table::{Cell, write_table};
use crate::settings::BindKey;

/// Which migrations of a bind were run and which are pending, see [`Migrations::status`](super::Migrations::status).
///
/// Its `Display` is a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct MigrationStatus {
    /// The bind key.
    pub key: BindKey,
    /// The name of the tenant, if it is the database of one.
    pub tenant: Option<String>,
    /// The migrations of the program, and those that were run and the program does not have, in the order of their
    /// versions.
    pub migrations: Vec<MigrationEntry>,
}

/// A migration in a [`MigrationStatus`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct MigrationEntry {
    /// The version.
    pub version: String,
    /// The name in the program, or else the name that is recorded in the database. `None` if neither has one.
    pub name: Option<String>,
    /// Whether it was run, and whether the program has it.
    pub state: MigrationState,
    /// When it was run, as the database has it: to the second, in UTC on SQLite, and else in the time zone of the session.
    /// `None` if it was not run.
    pub run_on: Option<String>,
}

/// Whether a migration was run, and whether the program has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum MigrationState {
    /// It was run.
    Applied,
    /// It was not run yet.
    Pending,
    /// It was run, and the program does not have it: an older program is running on the database of a newer one, or the
    /// migration was removed. A migration of another bind that shares the database is not unknown.
    Unknown,
}

impl fmt::Display for MigrationState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Applied => "applied",
            Self::Pending => "pending",
            Self::Unknown => "unknown",
        })
    }
}

impl MigrationStatus {
    /// The migrations that were not run yet, in the order in which they will be.
    pub fn pending(&self) -> impl Iterator<Item = &MigrationEntry> {
        self.of_state(MigrationState::Pending)
    }

    /// The migrations that were run and the program does not have.
    pub fn unknown(&self) -> impl Iterator<Item = &MigrationEntry> {
        self.of_state(MigrationState::Unknown)
    }

    fn of_state(&self, state: MigrationState) -> impl Iterator<Item = &MigrationEntry> {
        self.migrations.iter().filter(move |migration| migration.state == state)
    }

    /// Compares the migrations of a program with what a database has run.
    pub(super) fn compare<C: Driver>(
        key: BindKey,
        tenant: Option<String>,
        migrations: &Migrations<C::Backend>,
        applied: Vec<AppliedVersion>,
    ) -> Result<Self, MigrateError> {
        let mut applied: HashMap<String, AppliedVersion> = applied
            .into_iter()
            .map(|applied| (C::version_key(&applied.version), applied))
            .collect();
        let mut entries = Vec::new();
        for migration in migrations {
            let (version, name) =
                (migration.name().version().to_string(), migration.name().to_string());
            let (state, run_on) = match applied.remove(&C::version_key(&version)) {
                None => (MigrationState::Pending, None),
                Some(AppliedVersion { record: Some((applied_as, by)), .. })
                    if applied_as != name =>
                {
                    return Err(MigrateError::VersionTaken {
                        key,
                        version: version.into(),
                        migration: name.into(),
                        applied_as: applied_as.into(),
                        applied_by: by.into(),
                    });
                }
                Some(AppliedVersion { run_on, .. }) => (MigrationState::Applied, run_on),
            };
            entries.push(MigrationEntry { version, name: Some(name), state, run_on });
        }
        for AppliedVersion { version, run_on, record } in applied.into_values() {
            let (name, by) = record.unzip();
            if by.is_none_or(|by| key == *by) {
                let state = MigrationState::Unknown;
                entries.push(MigrationEntry { version, name, state, run_on });
            }
        }
        entries.sort_by(|a, b| a.version.cmp(&b.version));
        Ok(Self { key, tenant, migrations: entries })
    }
}

impl fmt::Display for MigrationStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "bind `{}`", self.key)?;
        if let Some(tenant) = &self.tenant {
            write!(f, ", tenant `{tenant}`")?;
        }
        if self.migrations.is_empty() {
            return f.write_str(": no migrations");
        }
        let (pending, unknown) = (self.pending().count(), self.unknown().count());
        let applied = self.migrations.len() - pending - unknown;
        write!(f, ": {applied} applied, {pending} pending")?;
        if unknown > 0 {
            write!(f, ", {unknown} unknown")?;
        }
        writeln!(f)?;
        let rows = self.migrations.iter().map(|entry| {
            let name = entry.name.clone().unwrap_or_else(|| entry.version.clone());
            let run_on = entry.run_on.as_deref().unwrap_or_default();
            [Cell::new(name), Cell::new(entry.state), Cell::new(run_on)]
        });
        let headings = ["migration", "state", "run on"].map(Cell::new);
        write_table(f, &std::iter::once(headings).chain(rows).collect::<Vec<_>>(), false)
    }
}
