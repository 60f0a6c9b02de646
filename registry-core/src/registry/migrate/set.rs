//! Migrations of several sources as one source.

use std::fmt;

use diesel::migration::{Migration, MigrationSource, Result};
use diesel_async::AsyncConnectionCore;

use super::source::SharedSource;
use crate::backend::Backend;

type BackendOf<C> = <C as AsyncConnectionCore>::Backend;

/// Migrations of several sources as one source, for a connection type: those in SQL beside those in Rust, or those of a
/// library beside those of the program.
///
/// They run in the order of their versions, whatever source they are from. Two of one version are refused before anything
/// runs. It is cheap to clone.
///
/// ```
/// # use diesel::migration::{Migration, MigrationSource};
/// # struct Embedded;
/// # impl MigrationSource<diesel::sqlite::Sqlite> for Embedded {
/// #     fn migrations(&self) -> diesel::migration::Result<Vec<Box<dyn Migration<diesel::sqlite::Sqlite>>>> {
/// #         Ok(Vec::new())
/// #     }
/// # }
/// # const MIGRATIONS: Embedded = Embedded;
/// use diesel::connection::SimpleConnection;
/// use registry_core::migrations::{MigrationSet, RustMigration};
/// use registry_core::{Registry, Sqlite, binds};
///
/// binds! { Analytics: Sqlite = "analytics"; }
/// // const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations/analytics");
///
/// fn migrations() -> MigrationSet<Sqlite> {
///     let notes = RustMigration::<Sqlite>::new("20260101000000_notes", |connection| {
///         Ok(connection.batch_execute("CREATE TABLE notes (text TEXT)")?)
///     });
///     MigrationSet::new().and(MIGRATIONS).and(notes)
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), registry_core::Error> {
/// let registry = Registry::builder().bind("analytics", "sqlite::memory:").build()?;
/// let report = registry.migrate::<Analytics>(migrations()).await?;
/// assert_eq!(report.applied, ["20260101000000_notes"]);
/// # Ok(())
/// # }
/// ```
pub struct MigrationSet<C: Backend> {
    shared: SharedSource<C>,
}

impl<C: Backend> MigrationSet<C> {
    /// A set without migrations.
    #[must_use]
    pub fn new() -> Self {
        Self { shared: SharedSource::empty() }
    }

    /// Adds the migrations of a source: `EmbeddedMigrations`, `FileBasedMigrations`,
    /// [`RustMigration`](super::RustMigration), another set, or a source of the program's own.
    #[must_use]
    pub fn and(mut self, source: impl MigrationSource<BackendOf<C>> + Send + 'static) -> Self {
        self.shared.extend(SharedSource::new(source));
        self
    }

    pub(super) fn shared(&self) -> &SharedSource<C> {
        &self.shared
    }
}

impl<C: Backend> Default for MigrationSet<C> {
    fn default() -> Self {
        Self::new()
    }
}

impl<C: Backend> Clone for MigrationSet<C> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

impl<C: Backend> fmt::Debug for MigrationSet<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MigrationSet").finish_non_exhaustive()
    }
}

impl<C: Backend> MigrationSource<BackendOf<C>> for MigrationSet<C> {
    fn migrations(&self) -> Result<Vec<Box<dyn Migration<BackendOf<C>>>>> {
        self.shared.migrations()
    }
}
