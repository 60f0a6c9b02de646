//! A source of migrations that can be shared.

use std::any::Any;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use diesel::backend::Backend;
use diesel::migration::{Migration, MigrationSource, Result};
use diesel_migrations::FileBasedMigrations;

/// A source of migrations behind a pointer, so that it can be asked more than once, and from every thread.
pub(crate) struct SharedSource<DB> {
    source: Arc<Mutex<Box<dyn MigrationSource<DB> + Send>>>,
    are_in_files: bool,
}

impl<DB: Backend + 'static> SharedSource<DB> {
    pub(crate) fn new(source: impl MigrationSource<DB> + Send + 'static) -> Self {
        let any = &source as &dyn Any;
        if let Some(shared) = any.downcast_ref::<Self>() {
            return shared.clone();
        }
        let are_in_files = any.is::<FileBasedMigrations>();
        Self { source: Arc::new(Mutex::new(Box::new(source))), are_in_files }
    }

    /// Whether the migrations are read from files each time.
    pub(crate) fn are_in_files(&self) -> bool {
        self.are_in_files
    }
}

impl<DB> Clone for SharedSource<DB> {
    fn clone(&self) -> Self {
        Self { source: Arc::clone(&self.source), are_in_files: self.are_in_files }
    }
}

impl<DB> fmt::Debug for SharedSource<DB> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedSource").finish_non_exhaustive()
    }
}

impl<DB: Backend + 'static> MigrationSource<DB> for SharedSource<DB> {
    fn migrations(&self) -> Result<Vec<Box<dyn Migration<DB>>>> {
        // A source that has panicked before is asked again.
        self.source.lock().unwrap_or_else(PoisonError::into_inner).migrations()
    }
}
