//! A source of migrations that can be shared.

use std::any::Any;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use diesel::migration::{Migration, MigrationSource, Result};
use diesel_async::AsyncConnectionCore;
use diesel_migrations::{EmbeddedMigrations, FileBasedMigrations};

use super::rust::RustMigration;
use super::set::MigrationSet;
use crate::backend::Backend;
use crate::backend::migrate::ProgramsOwn;

type BackendOf<C> = <C as AsyncConnectionCore>::Backend;
type Boxed<C> = Box<dyn MigrationSource<BackendOf<C>> + Send>;

/// Sources of migrations behind a pointer, so that they can be asked more than once, and from every thread.
pub(crate) struct SharedSource<C: Backend> {
    parts: Vec<Arc<Part<C>>>,
}

struct Part<C: Backend> {
    source: Mutex<Boxed<C>>,
    kind: Kind,
}

/// What is known of the migrations of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// SQL in the program, or a [`RustMigration`], which does nothing on a connection that is not a real one.
    Known,
    /// SQL in files, which are read each time.
    Files,
    /// The program's own code.
    ProgramsOwn,
}

impl<C: Backend> SharedSource<C> {
    pub(crate) fn new(source: impl MigrationSource<BackendOf<C>> + Send + 'static) -> Self {
        let any = &source as &dyn Any;
        if let Some(shared) = any.downcast_ref::<Self>() {
            return shared.clone();
        }
        if let Some(set) = any.downcast_ref::<MigrationSet<C>>() {
            return set.shared().clone();
        }
        let kind = if any.is::<FileBasedMigrations>() {
            Kind::Files
        } else if any.is::<EmbeddedMigrations>() || any.is::<RustMigration<C>>() {
            Kind::Known
        } else {
            Kind::ProgramsOwn
        };
        Self { parts: vec![Arc::new(Part { source: Mutex::new(Box::new(source)), kind })] }
    }

    pub(super) fn empty() -> Self {
        Self { parts: Vec::new() }
    }

    pub(super) fn extend(&mut self, more: Self) {
        self.parts.extend(more.parts);
    }

    /// Whether migrations are read from files each time.
    pub(crate) fn are_in_files(&self) -> bool {
        self.parts.iter().any(|part| part.kind == Kind::Files)
    }
}

impl<C: Backend> Clone for SharedSource<C> {
    fn clone(&self) -> Self {
        Self { parts: self.parts.clone() }
    }
}

impl<C: Backend> fmt::Debug for SharedSource<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds: Vec<_> = self.parts.iter().map(|part| part.kind).collect();
        f.debug_tuple("SharedSource").field(&kinds).finish()
    }
}

impl<C: Backend> MigrationSource<BackendOf<C>> for SharedSource<C> {
    fn migrations(&self) -> Result<Vec<Box<dyn Migration<BackendOf<C>>>>> {
        let mut migrations = Vec::new();
        for part in &self.parts {
            // A source that has panicked before is asked again.
            let source = part.source.lock().unwrap_or_else(PoisonError::into_inner);
            let listed = source.migrations()?;
            if part.kind != Kind::ProgramsOwn {
                migrations.extend(listed);
                continue;
            }
            let own = listed.into_iter().map(|migration| {
                Box::new(ProgramsOwn(migration)) as Box<dyn Migration<BackendOf<C>>>
            });
            migrations.extend(own);
        }
        Ok(migrations)
    }
}
