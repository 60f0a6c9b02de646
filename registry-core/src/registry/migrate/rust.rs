//! Migrations in Rust.

use std::fmt;
use std::sync::Arc;

use diesel::connection::BoxableConnection;
use diesel::migration::{
    Migration, MigrationMetadata, MigrationName, MigrationSource, MigrationVersion, Result,
};
use diesel_async::AsyncConnectionCore;
use diesel_async::async_connection_wrapper::AsyncConnectionWrapper;

use crate::backend::Backend;
use crate::backend::migrate::NoDown;

type BackendOf<C> = <C as AsyncConnectionCore>::Backend;

/// The connection of a [`RustMigration`]: a blocking connection of Diesel, on which its `RunQueryDsl` works.
pub type BlockingConnection<C> = AsyncConnectionWrapper<C>;

type Work<C> = Arc<dyn Fn(&mut BlockingConnection<C>) -> Result<()> + Send + Sync>;

/// A migration in Rust, for what SQL alone cannot do, such as filling a new column with what a function computes.
///
/// Its functions get a blocking connection of Diesel, on which everything of `diesel::prelude` works. They run in a thread
/// where they may block. It is a source of one migration, and [`MigrationSet`](super::MigrationSet) puts it beside others.
/// It runs in a transaction, unless [`run_in_transaction(false)`](Self::run_in_transaction) was said.
///
/// Diesel's command-line tool does not know it: it has the SQL files alone. A version that was run is in its table, though.
///
/// ```
/// use diesel::prelude::*;
/// use registry_core::migrations::{MigrationSet, RustMigration};
/// use registry_core::{Registry, Sqlite, binds};
///
/// diesel::table! { users (id) { id -> Integer, name -> Text, } }
/// binds! { Main: Sqlite = "default"; }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), registry_core::Error> {
/// let create = RustMigration::<Sqlite>::new("20260101000000_users", |connection| {
///     let create = "CREATE TABLE users (id INTEGER PRIMARY KEY NOT NULL, name TEXT NOT NULL)";
///     diesel::sql_query(create).execute(connection)?;
///     diesel::insert_into(users::table).values(users::name.eq(" Ada ")).execute(connection)?;
///     Ok(())
/// });
/// let trim = RustMigration::<Sqlite>::new("20260102000000_trim_names", |connection| {
///     for (id, name) in users::table.load::<(i32, String)>(connection)? {
///         let user = users::table.find(id);
///         diesel::update(user).set(users::name.eq(name.trim())).execute(connection)?;
///     }
///     Ok(())
/// })
/// .down(|_| Ok(()));
///
/// let registry = Registry::builder().bind("default", "sqlite::memory:").build()?;
/// let migrations = registry.migrations::<Main>(MigrationSet::<Sqlite>::new().and(create).and(trim));
/// assert_eq!(migrations.run().await?.applied.len(), 2);
/// assert_eq!(migrations.revert(1).await?.reverted, ["20260102000000_trim_names"]);
/// # Ok(())
/// # }
/// ```
pub struct RustMigration<C: Backend> {
    name: Arc<str>,
    up: Work<C>,
    down: Option<Work<C>>,
    run_in_transaction: bool,
}

impl<C: Backend> RustMigration<C> {
    /// A migration of this name, which runs `up`. Its version is the part before the first `_`, without `-`.
    ///
    /// An empty version is an error when the migrations are listed.
    #[must_use]
    pub fn new(
        name: impl Into<String>,
        up: impl Fn(&mut BlockingConnection<C>) -> Result<()> + Send + Sync + 'static,
    ) -> Self {
        let name: String = name.into();
        Self { name: name.into(), up: Arc::new(up), down: None, run_in_transaction: true }
    }

    /// What reverts it. Without this, it cannot be reverted.
    #[must_use]
    pub fn down(
        self,
        down: impl Fn(&mut BlockingConnection<C>) -> Result<()> + Send + Sync + 'static,
    ) -> Self {
        Self { down: Some(Arc::new(down)), ..self }
    }

    /// Whether it runs in a transaction: true by default, as in Diesel's `metadata.toml`.
    #[must_use]
    pub fn run_in_transaction(self, run_in_transaction: bool) -> Self {
        Self { run_in_transaction, ..self }
    }

    fn version(&self) -> String {
        self.name.split('_').next().unwrap_or_default().replace('-', "")
    }
}

impl<C: Backend> Clone for RustMigration<C> {
    fn clone(&self) -> Self {
        Self {
            name: Arc::clone(&self.name),
            up: Arc::clone(&self.up),
            down: self.down.clone(),
            run_in_transaction: self.run_in_transaction,
        }
    }
}

impl<C: Backend> fmt::Debug for RustMigration<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RustMigration")
            .field("name", &self.name)
            .field("has_down", &self.down.is_some())
            .field("run_in_transaction", &self.run_in_transaction)
            .finish()
    }
}

impl<C: Backend> fmt::Display for RustMigration<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// The error of a name that begins with `_`, or is empty.
#[derive(Debug, thiserror::Error)]
#[error(
    "the migration `{0}` in Rust has no version: its name begins with it, as in `20260101000000_users`"
)]
struct NoVersion(Arc<str>);

/// The error of running it on a connection that the registry has not opened.
#[derive(Debug, thiserror::Error)]
#[error("a migration in Rust needs a connection of the registry")]
struct NotOfRegistry;

impl<C: Backend> MigrationSource<BackendOf<C>> for RustMigration<C> {
    fn migrations(&self) -> Result<Vec<Box<dyn Migration<BackendOf<C>>>>> {
        match self.version().is_empty() {
            true => Err(NoVersion(Arc::clone(&self.name)).into()),
            false => Ok(vec![Box::new(self.clone())]),
        }
    }
}

impl<C: Backend> Migration<BackendOf<C>> for RustMigration<C> {
    fn run(&self, connection: &mut dyn BoxableConnection<BackendOf<C>>) -> Result<()> {
        let connection = connection.downcast_mut::<BlockingConnection<C>>().ok_or(NotOfRegistry)?;
        (self.up)(connection)
    }

    fn revert(&self, connection: &mut dyn BoxableConnection<BackendOf<C>>) -> Result<()> {
        let down = self.down.as_ref().ok_or(NoDown)?;
        let connection = connection.downcast_mut::<BlockingConnection<C>>().ok_or(NotOfRegistry)?;
        down(connection)
    }

    fn metadata(&self) -> &dyn MigrationMetadata {
        self
    }

    fn name(&self) -> &dyn MigrationName {
        self
    }
}

impl<C: Backend> MigrationMetadata for RustMigration<C> {
    fn run_in_transaction(&self) -> bool {
        self.run_in_transaction
    }
}

impl<C: Backend> MigrationName for RustMigration<C> {
    fn version(&self) -> MigrationVersion<'_> {
        self.version().into()
    }
}
