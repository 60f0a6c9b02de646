//! Migrations that are written inside a test.

use std::fmt;

use diesel::backend::Backend;
use diesel::connection::BoxableConnection;
use diesel::migration::{
    Migration, MigrationMetadata, MigrationName, MigrationSource, MigrationVersion, Result,
};

/// A migration: a name that begins with its version, and SQL. The SQL `panic` makes it panic when it runs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Step {
    pub(crate) name: &'static str,
    pub(crate) sql: &'static str,
    /// The SQL that reverts it. Without it, reverting changes nothing.
    down: &'static str,
    in_transaction: bool,
}

impl Step {
    /// The same migration, with SQL that reverts it.
    pub(crate) const fn down(self, down: &'static str) -> Self {
        Self { down, ..self }
    }
}

/// A migration that runs in a transaction.
pub(crate) const fn step(name: &'static str, sql: &'static str) -> Step {
    Step { name, sql, down: "", in_transaction: true }
}

/// A migration that runs outside a transaction.
pub(crate) const fn alone(name: &'static str, sql: &'static str) -> Step {
    Step { name, sql, down: "", in_transaction: false }
}

/// A source of migrations. They may be listed in any order.
#[derive(Debug, Clone)]
pub(crate) struct Steps(pub(crate) Vec<Step>);

impl<DB: Backend> MigrationSource<DB> for Steps {
    fn migrations(&self) -> Result<Vec<Box<dyn Migration<DB>>>> {
        Ok(self.0.iter().map(|step| Box::new(*step) as Box<dyn Migration<DB>>).collect())
    }
}

impl<DB: Backend> Migration<DB> for Step {
    fn run(&self, connection: &mut dyn BoxableConnection<DB>) -> Result<()> {
        execute(connection, self.sql)
    }

    fn revert(&self, connection: &mut dyn BoxableConnection<DB>) -> Result<()> {
        execute(connection, self.down)
    }

    fn metadata(&self) -> &dyn MigrationMetadata {
        self
    }

    fn name(&self) -> &dyn MigrationName {
        self
    }
}

fn execute<DB: Backend>(connection: &mut dyn BoxableConnection<DB>, sql: &str) -> Result<()> {
    let (sql, panics) = match sql.strip_suffix("panic") {
        Some(sql) => (sql, true),
        None => (sql, false),
    };
    connection.batch_execute(if sql.is_empty() { "SELECT 1" } else { sql })?;
    assert!(!panics, "the migration panics");
    Ok(())
}

impl MigrationMetadata for Step {
    fn run_in_transaction(&self) -> bool {
        self.in_transaction
    }
}

impl MigrationName for Step {
    fn version(&self) -> MigrationVersion<'_> {
        self.name.split('_').next().unwrap_or_default().into()
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}
