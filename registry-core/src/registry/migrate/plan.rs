//! The pending migrations with their SQL, which is recorded and run nowhere.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use diesel::QueryResult;
use diesel::backend::Backend;
use diesel::connection::{BoxableConnection, SimpleConnection};
use diesel::migration::Migration;
use serde::Serialize;

use crate::settings::BindKey;

/// The pending migrations of a bind with their SQL, see [`Migrations::plan`](super::Migrations::plan).
///
/// Its `Display` is a script: the SQL of each migration below a comment with its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct MigrationPlan {
    /// The bind key.
    pub key: BindKey,
    /// The name of the tenant, if it is the database of one.
    pub tenant: Option<String>,
    /// The pending migrations, in the order in which they will be run.
    pub migrations: Vec<PlannedMigration>,
}

/// A pending migration in a [`MigrationPlan`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PlannedMigration {
    /// The version.
    pub version: String,
    /// The name.
    pub name: String,
    /// Whether it will be run in a transaction.
    pub run_in_transaction: bool,
    /// The SQL that it will run. `None` if it is not known before, as for a migration in Rust.
    pub sql: Option<String>,
}

impl PlannedMigration {
    pub(super) fn of<DB: Backend + 'static>(migration: &dyn Migration<DB>) -> Self {
        Self {
            version: migration.name().version().to_string(),
            name: migration.name().to_string(),
            run_in_transaction: migration.metadata().run_in_transaction(),
            sql: recorded_sql(migration),
        }
    }
}

impl fmt::Display for MigrationPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "-- bind `{}`", self.key)?;
        if let Some(tenant) = &self.tenant {
            write!(f, ", tenant `{tenant}`")?;
        }
        write!(f, ": pending migrations: {}", self.migrations.len())?;
        for PlannedMigration { name, run_in_transaction, sql, .. } in &self.migrations {
            write!(f, "\n\n-- {name}")?;
            if !run_in_transaction {
                f.write_str(" (not in a transaction)")?;
            }
            match sql {
                Some(sql) => write!(f, "\n{}", sql.trim_end())?,
                None => f.write_str("\n-- its SQL is not known before it is run")?,
            }
        }
        Ok(())
    }
}

/// The SQL of a migration. `None` if it needs a real connection.
fn recorded_sql<DB: Backend + 'static>(migration: &dyn Migration<DB>) -> Option<String> {
    let mut recorder = Recorder { batches: Vec::new() };
    let run = catch_unwind(AssertUnwindSafe(|| migration.run(&mut recorder)));
    matches!(run, Ok(Ok(()))).then(|| recorder.batches.join("\n"))
}

/// A connection that runs nothing, and keeps the text of what it should have run.
struct Recorder {
    batches: Vec<String>,
}

impl SimpleConnection for Recorder {
    fn batch_execute(&mut self, query: &str) -> QueryResult<()> {
        self.batches.push(query.to_owned());
        Ok(())
    }
}

impl<DB: Backend> BoxableConnection<DB> for Recorder {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
}
