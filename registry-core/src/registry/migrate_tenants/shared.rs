//! A source of migrations that the migrations of all tenants share.

use std::sync::{Arc, Mutex, PoisonError};

use diesel::backend::Backend;
use diesel::migration::{Migration, MigrationSource, Result};

/// A source behind a lock, so that it need not be `Sync`.
pub(super) struct SharedSource<DB: Backend>(Arc<Mutex<Box<dyn MigrationSource<DB> + Send>>>);

impl<DB: Backend> SharedSource<DB> {
    pub(super) fn new(source: impl MigrationSource<DB> + Send + 'static) -> Self {
        Self(Arc::new(Mutex::new(Box::new(source))))
    }
}

impl<DB: Backend> Clone for SharedSource<DB> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<DB: Backend> MigrationSource<DB> for SharedSource<DB> {
    fn migrations(&self) -> Result<Vec<Box<dyn Migration<DB>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).migrations()
    }
}
