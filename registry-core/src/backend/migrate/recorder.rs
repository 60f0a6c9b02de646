//! What a migration would do, found out without running it.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use diesel::QueryResult;
use diesel::backend::Backend;
use diesel::connection::{BoxableConnection, SimpleConnection};
use diesel::migration::{Migration, MigrationMetadata, MigrationName, Result};
use diesel_migrations::MigrationError;

/// A connection that runs nothing, and keeps the text of what it should have run.
#[derive(Debug, Default)]
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

/// The SQL that a migration runs. `None` if it is not known before it runs, or cannot be read.
pub(crate) fn recorded_sql<DB: Backend>(migration: &dyn Migration<DB>) -> Option<String> {
    let mut recorder = Recorder::default();
    // A migration in files may be of a type that is not Diesel's, and panic.
    let run = catch_unwind(AssertUnwindSafe(|| migration.run(&mut recorder)));
    matches!(run, Ok(Ok(()))).then(|| recorder.batches.join("\n"))
}

/// Whether it is known that a migration cannot be reverted.
pub(crate) fn is_irreversible<DB: Backend>(migration: &dyn Migration<DB>) -> bool {
    let mut recorder = Recorder::default();
    let reverted = catch_unwind(AssertUnwindSafe(|| migration.revert(&mut recorder)));
    let Ok(Err(error)) = reverted else { return false };
    let is_without_file = matches!(
        error.downcast_ref::<MigrationError>(),
        Some(MigrationError::NoMigrationRevertFile)
    );
    is_without_file || error.is::<NoDown>()
}

/// The error of reverting a migration in Rust that has no function for it.
#[derive(Debug, thiserror::Error)]
#[error("it has no `down`")]
pub(crate) struct NoDown;

/// A migration whose code is the program's own, and may do something else than running SQL on its connection. So it is not
/// called to record its SQL.
pub(crate) struct ProgramsOwn<DB: Backend>(pub(crate) Box<dyn Migration<DB>>);

#[derive(Debug, thiserror::Error)]
#[error("its SQL is not known before it is run")]
struct NotRecorded;

impl<DB: Backend + 'static> ProgramsOwn<DB> {
    fn refuse_recorder(connection: &dyn BoxableConnection<DB>) -> Result<()> {
        match connection.as_any().is::<Recorder>() {
            true => Err(NotRecorded.into()),
            false => Ok(()),
        }
    }
}

impl<DB: Backend + 'static> Migration<DB> for ProgramsOwn<DB> {
    fn run(&self, connection: &mut dyn BoxableConnection<DB>) -> Result<()> {
        Self::refuse_recorder(connection)?;
        self.0.run(connection)
    }

    fn revert(&self, connection: &mut dyn BoxableConnection<DB>) -> Result<()> {
        Self::refuse_recorder(connection)?;
        self.0.revert(connection)
    }

    fn metadata(&self) -> &dyn MigrationMetadata {
        self.0.metadata()
    }

    fn name(&self) -> &dyn MigrationName {
        self.0.name()
    }
}
