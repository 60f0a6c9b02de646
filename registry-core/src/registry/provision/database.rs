//! Creating and dropping the database of a bind that has one database.

use std::io::{self, ErrorKind};

use tokio::time::Instant;

use super::administration::{Administration, administered};
use super::file::{CreatedFolders, TenantFiles, remove_unused};
use crate::backend::Backend;
use crate::backend::namespace::{Namespace, Presence};
use crate::cause::DriverError;
use crate::engine::AcquireError;
use crate::registry::bind_entry::BindEntry;
use crate::registry::handle::Registry;
use crate::settings::{BackendKind, BindKey, EngineSettings, UnknownBind};

/// Why the database of a bind was not created or dropped.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DatabaseError {
    #[error(transparent)]
    UnknownBind(#[from] UnknownBind),
    #[error("bind `{key}` has a database for each tenant: name one of them")]
    PerTenant { key: BindKey },
    #[error(
        "bind `{key}`: a database in memory is made when it is opened, and gone when it is closed"
    )]
    InMemory { key: BindKey },
    #[error("bind `{key}`: a registry of `test_isolation()` neither creates nor drops a database")]
    Isolated { key: BindKey },
    #[error(
        "bind `{key}`: no database can be created or dropped through its `pooler`: say `migrate_url`, the URL of \
         the server itself"
    )]
    Pooler { key: BindKey },
    #[error("bind `{key}`: its URL does not name a database in its path")]
    NoName { key: BindKey },
    #[error("bind `{key}`: the database `{name}` exists already")]
    Exists { key: BindKey, name: String },
    #[error("bind `{key}`: there is no database `{name}`")]
    Missing { key: BindKey, name: String },
    #[error(transparent)]
    Acquire(#[from] AcquireError),
    #[error("bind `{key}`: the database `{name}` could not be created")]
    Create {
        key: BindKey,
        name: String,
        #[source]
        source: DriverError,
    },
    #[error("bind `{key}`: the database `{name}` could not be dropped")]
    Drop {
        key: BindKey,
        name: String,
        #[source]
        source: DriverError,
    },
}

impl Registry {
    /// The name of a bind's database on its server, or of its file. It is what a user types to confirm that it is dropped.
    pub(crate) fn database_name(&self, key: &str) -> Result<String, DatabaseError> {
        Ok(Target::new(self, key)?.name)
    }

    /// Creates the empty database of a bind. A database that is being created can be recognised, so that of several callers
    /// one creates it, and a caller that was killed leaves nothing that looks like a database.
    pub(crate) async fn create_database(&self, key: &str) -> Result<(), DatabaseError> {
        let target = Target::new(self, key)?;
        match target.settings.url.backend() {
            #[cfg(feature = "postgres")]
            BackendKind::Postgres => target.create::<crate::backend::Postgres>().await,
            #[cfg(feature = "mysql")]
            BackendKind::Mysql => target.create::<crate::backend::Mysql>().await,
            #[cfg(feature = "sqlite")]
            BackendKind::Sqlite => target.create::<crate::backend::Sqlite>().await,
            #[cfg(not(all(feature = "postgres", feature = "mysql", feature = "sqlite")))]
            off => unreachable!("the settings refuse {off}, whose feature is off"),
        }
    }

    /// Drops the database of a bind with everything in it. The server refuses while others are connected (PostgreSQL), and
    /// so does SQLite while another connection has the file open.
    pub(crate) async fn drop_database(&self, key: &str) -> Result<(), DatabaseError> {
        let target = Target::new(self, key)?;
        match target.settings.url.backend() {
            #[cfg(feature = "postgres")]
            BackendKind::Postgres => target.drop::<crate::backend::Postgres>().await,
            #[cfg(feature = "mysql")]
            BackendKind::Mysql => target.drop::<crate::backend::Mysql>().await,
            #[cfg(feature = "sqlite")]
            BackendKind::Sqlite => target.drop::<crate::backend::Sqlite>().await,
            #[cfg(not(all(feature = "postgres", feature = "mysql", feature = "sqlite")))]
            off => unreachable!("the settings refuse {off}, whose feature is off"),
        }
    }
}

/// The database that is created or dropped.
struct Target {
    registry: Registry,
    key: BindKey,
    settings: EngineSettings,
    name: String,
}

impl Target {
    fn new(registry: &Registry, key: &str) -> Result<Self, DatabaseError> {
        let Some(entry) = registry.0.binds.key(key) else {
            return Err(registry.unknown_bind(key).into());
        };
        let key = entry.key();
        if registry.is_closed() {
            return Err(AcquireError::Closed { key }.into());
        }
        let Some(engine) = entry.engine().filter(|_| matches!(entry, BindEntry::Single(_))) else {
            return Err(DatabaseError::PerTenant { key });
        };
        let settings = engine.settings();
        if settings.is_isolated || registry.sqlite_copies().is_some() {
            return Err(DatabaseError::Isolated { key });
        }
        if settings.migrates_through_pooler() {
            return Err(DatabaseError::Pooler { key });
        }
        let settings = administered(settings.clone());
        let name = match settings.url.sqlite_file() {
            Some(file) => match file.path().map(std::path::Path::file_name) {
                None => return Err(DatabaseError::InMemory { key }),
                Some(name) => name.map(|name| name.to_string_lossy().into_owned()),
            },
            None => settings.url.database_name(),
        };
        let name = name.ok_or(DatabaseError::NoName { key })?;
        Ok(Self { registry: registry.clone(), key, settings, name })
    }

    fn administration(&self) -> Administration<'_> {
        Administration { registry: &self.registry, key: self.key, started: Instant::now() }
    }

    async fn create<C: Backend>(&self) -> Result<(), DatabaseError> {
        match self.settings.url.sqlite_file() {
            Some(_) => self.create_file::<C>().await,
            None => self.create_namespace::<C>().await,
        }
    }

    async fn drop<C: Backend>(&self) -> Result<(), DatabaseError> {
        match self.settings.url.sqlite_file() {
            Some(_) => self.drop_file::<C>().await,
            None => self.drop_namespace::<C>().await,
        }
    }

    async fn create_namespace<C: Backend>(&self) -> Result<(), DatabaseError> {
        let namespace = Namespace::Database(self.name.clone());
        let failed = |error: diesel::result::Error| self.create_error(error.into());
        let admin = self.administration().administer::<C>(&self.settings, &namespace).await;
        let mut admin = admin.map_err(|error| error.of_operation(failed))?;
        let admin = admin.connection();
        if admin.find_namespace(&namespace).await.map_err(failed)? == Presence::There {
            return Err(self.exists_error());
        }
        let created = match admin.begin_namespace(&namespace).await {
            Ok(begun) => admin.finish_namespace(&begun, &namespace).await,
            Err(error) => Err(error),
        };
        match created {
            Ok(()) => Ok(()),
            // It was created meanwhile by a program that does not take the lock.
            Err(error) => match admin.find_namespace(&namespace).await {
                Ok(Presence::There) => Err(self.exists_error()),
                _ => Err(failed(error)),
            },
        }
    }

    async fn drop_namespace<C: Backend>(&self) -> Result<(), DatabaseError> {
        let namespace = Namespace::Database(self.name.clone());
        let failed = |error: diesel::result::Error| self.drop_error(error.into());
        let admin = self.administration().administer::<C>(&self.settings, &namespace).await;
        let mut admin = admin.map_err(|error| error.of_operation(failed))?;
        let admin = admin.connection();
        if admin.find_namespace(&namespace).await.map_err(failed)? == Presence::Missing {
            return Err(self.missing_error());
        }
        admin.remove_namespace(&namespace).await.map_err(failed)
    }

    async fn create_file<C: Backend>(&self) -> Result<(), DatabaseError> {
        let failed = |error: io::Error| self.create_error(error.into());
        let files = self.files().map_err(failed)?;
        if files.is_there().map_err(failed)? {
            return Err(self.exists_error());
        }
        files.check_folder().map_err(failed)?;
        let folders = CreatedFolders::make(files.folder_to_create()).map_err(failed)?;
        let created = async {
            let lock = self.administration().lock(&files.lock).await.map_err(failed)?;
            let created = self.create_file_locked::<C>(&files).await;
            // Nothing is locked by it any more: the next migration makes it anew.
            lock.remove();
            created
        };
        let created = created.await;
        if created.is_err() {
            folders.remove();
        }
        created
    }

    async fn create_file_locked<C: Backend>(
        &self,
        files: &TenantFiles,
    ) -> Result<(), DatabaseError> {
        let failed = |error: io::Error| self.create_error(error.into());
        if files.is_there().map_err(failed)? {
            return Err(self.exists_error());
        }
        files.check_stale_logs().map_err(failed)?;
        files.remove_unfinished().map_err(failed)?;
        let mut settings = self.settings.clone();
        settings.url = files.unfinished_url.clone();
        // The statements of `on_connect` are meant for a database that has been migrated.
        settings.options.on_connect.clear();
        drop(self.administration().connect::<C>(&settings, None).await?);
        C::wait_until_closed(&settings.url).await;
        let published = files.publish();
        // A file that could not be removed does no harm: the next call removes it.
        let _ = files.remove_unfinished();
        published.map_err(|error| match error.kind() {
            ErrorKind::AlreadyExists => self.exists_error(),
            _ => failed(error),
        })
    }

    async fn drop_file<C: Backend>(&self) -> Result<(), DatabaseError> {
        let failed = |error: io::Error| self.drop_error(error.into());
        let files = self.files().map_err(failed)?;
        // Checked before the lock is taken, so that no lock file is created for a database that does not exist.
        if !files.is_there().map_err(failed)? && !files.has_leftovers().map_err(failed)? {
            return Err(self.missing_error());
        }
        let administration = self.administration();
        let lock = administration.lock(&files.lock).await.map_err(failed)?;
        if files.is_there().map_err(failed)? {
            files.refuse_symlink().map_err(failed)?;
            let mut settings = self.settings.clone();
            settings.options.on_connect.clear();
            let connected = administration.connect::<C>(&settings, None).await?;
            let Some(connected) = connected else { unreachable!("no schema was asked for") };
            let removed = remove_unused(connected, &files, &settings.url).await;
            removed.map_err(|error| self.drop_error(error))?;
        }
        files.remove_logs().map_err(failed)?;
        files.remove_unfinished().map_err(failed)?;
        lock.remove();
        Ok(())
    }

    fn files(&self) -> io::Result<TenantFiles> {
        TenantFiles::at(&self.settings.url).ok_or_else(|| ErrorKind::InvalidFilename.into())
    }

    fn exists_error(&self) -> DatabaseError {
        DatabaseError::Exists { key: self.key, name: self.name.clone() }
    }

    fn missing_error(&self) -> DatabaseError {
        DatabaseError::Missing { key: self.key, name: self.name.clone() }
    }

    fn create_error(&self, source: DriverError) -> DatabaseError {
        DatabaseError::Create { key: self.key, name: self.name.clone(), source }
    }

    fn drop_error(&self, source: DriverError) -> DatabaseError {
        DatabaseError::Drop { key: self.key, name: self.name.clone(), source }
    }
}
