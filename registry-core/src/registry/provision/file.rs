//! Creating and dropping a tenant's SQLite file.
//!
//! The file is created under another name in the same folder. When its migrations have been run, a hard link gives it
//! its final name. So no other file is overwritten, and callers for the tenant find the finished database or none.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::iter;
use std::path::{Path, PathBuf};

use diesel::migration::MigrationSource;

use super::administration::{Administration, Connected};
use super::error::{CreateTenantError, DropTenantError};
use super::operation::TenantOperation;
use crate::backend::Backend;
use crate::backend::driver::Driver;
use crate::backend::namespace::LOCK_PAUSE;
use crate::backend::resource_exhaustion::is_exhausted;
use crate::bind::Bind;
use crate::cause::DriverError;
use crate::registry::migrate::{DieselBackend, MigrateReport, run_migrations};
use crate::settings::url::SqliteFile;
use crate::settings::{DatabaseUrl, EngineSettings};

/// These statements fail while another connection of any process uses the database. Afterwards no other connection can
/// use it.
const KEEP_OTHERS_OUT: &str =
    "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = DELETE; BEGIN EXCLUSIVE";

pub(super) async fn create<B: Bind>(
    operation: &TenantOperation<B>,
    settings: EngineSettings,
    migrations: impl MigrationSource<DieselBackend<B>> + Send + 'static,
) -> Result<MigrateReport, CreateTenantError> {
    let failed = |error: io::Error| operation.create_error(error.into());
    let files =
        TenantFiles::at(&settings.url).ok_or_else(|| failed(ErrorKind::InvalidFilename.into()))?;
    if files.is_there().map_err(failed)? {
        return Err(operation.exists_error());
    }
    files.check_folder().map_err(failed)?;
    let folders = CreatedFolders::make(files.folder_to_create()).map_err(failed)?;
    let created = async {
        let lock = operation.administration().lock(&files.lock).await.map_err(failed)?;
        let created = create_locked(operation, &settings, &files, migrations).await;
        if !files.is_there().map_err(failed)? {
            lock.remove();
        }
        created
    };
    let created = created.await;
    if created.is_err() {
        folders.remove();
    }
    created
}

/// The steps under the lock. The lock keeps other processes from creating or dropping the same tenant.
async fn create_locked<B: Bind>(
    operation: &TenantOperation<B>,
    settings: &EngineSettings,
    files: &TenantFiles,
    migrations: impl MigrationSource<DieselBackend<B>> + Send + 'static,
) -> Result<MigrateReport, CreateTenantError> {
    let failed = |error: io::Error| operation.create_error(error.into());
    if files.is_there().map_err(failed)? {
        return Err(operation.exists_error());
    }
    files.check_stale_logs().map_err(failed)?;
    // The files were left by a process that was killed.
    files.remove_unfinished().map_err(failed)?;
    let mut settings = settings.clone();
    settings.url = files.unfinished_url.clone();
    let migrated = match operation.connect(&settings, None).await {
        Ok((engine, connected)) => {
            run_migrations(
                &operation.registry,
                operation.runtime.clone(),
                engine,
                connected,
                migrations,
                operation.tenant.name(),
            )
            .await
        }
        Err(error) => Err(error.into()),
    };
    // When its last connection is closed, SQLite moves the write-ahead log into the file.
    B::Connection::wait_until_closed(&settings.url).await;
    let failure = match migrated {
        Ok(report) => match files.publish() {
            Ok(()) => {
                // A file that could not be removed does no harm: the next call removes it.
                let _ = files.remove_unfinished();
                return Ok(report);
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => operation.exists_error(),
            Err(error) => failed(error),
        },
        Err(source) => operation.migrate_error(source),
    };
    match files.remove_unfinished() {
        Ok(()) => Err(failure),
        Err(source) => Err(operation.not_undone_error(failure, source.into())),
    }
}

pub(super) async fn remove<B: Bind>(
    operation: &TenantOperation<B>,
    settings: EngineSettings,
) -> Result<(), DropTenantError> {
    let failed = |error: io::Error| operation.drop_error(error.into());
    let files =
        TenantFiles::at(&settings.url).ok_or_else(|| failed(ErrorKind::InvalidFilename.into()))?;
    // Checked before the lock is taken, so that no lock file is created for an unknown tenant.
    if !files.is_there().map_err(failed)? && !files.has_leftovers().map_err(failed)? {
        return Err(operation.unknown_tenant_error());
    }
    let lock = operation.administration().lock(&files.lock).await.map_err(failed)?;
    if files.is_there().map_err(failed)? {
        files.refuse_symlink().map_err(failed)?;
        operation.close_engines().await?;
        let connected = operation.connect(&settings, None).await?;
        let removed = remove_unused(connected, &files, &settings.url).await;
        removed.map_err(|error| operation.drop_error(error))?;
    } else if !files.has_leftovers().map_err(failed)? {
        // Another process has dropped the tenant while this one waited for the lock.
        lock.remove();
        return Err(operation.unknown_tenant_error());
    }
    files.remove_logs().map_err(failed)?;
    files.remove_unfinished().map_err(failed)?;
    lock.remove();
    Ok(())
}

/// Removes the database, which no other connection may have open: theirs would go on writing to a file without a name.
pub(super) async fn remove_unused<C: Backend>(
    (engine, mut connected): Connected<C>,
    files: &TenantFiles,
    url: &DatabaseUrl,
) -> Result<(), DriverError> {
    connected.connection().batch_execute(KEEP_OTHERS_OUT).await?;
    let removed = files.remove();
    drop((connected, engine));
    C::wait_until_closed(url).await;
    Ok(removed?)
}

impl Administration<'_> {
    /// Takes the lock. If the process has no file descriptor left for the lock file, unused engines are closed to free
    /// some.
    pub(super) async fn lock(&self, path: &Path) -> io::Result<TenantLock> {
        let limit = self.registry.0.bind_defaults.acquire_timeout(self.key);
        loop {
            match TenantLock::take(path).await {
                Err(error)
                    if is_exhausted(&error)
                        && self.registry.free_resources(self.started, limit).await => {}
                taken => return taken,
            }
        }
    }
}

/// The files of a database: a tenant's, or a bind's own.
pub(super) struct TenantFiles {
    database: SqliteFile,
    path: PathBuf,
    unfinished: SqliteFile,
    unfinished_path: PathBuf,
    pub(super) unfinished_url: DatabaseUrl,
    pub(super) lock: PathBuf,
}

impl TenantFiles {
    /// `None` for a database in memory, which has no files.
    pub(super) fn at(url: &DatabaseUrl) -> Option<Self> {
        let database = url.sqlite_file()?.clone();
        let unfinished_url = url.at_unfinished()?;
        let unfinished = unfinished_url.sqlite_file()?.clone();
        let (path, unfinished_path) = (database.path()?.to_owned(), unfinished.path()?.to_owned());
        let lock = database.migration_lock()?;
        Some(Self { database, path, unfinished, unfinished_path, unfinished_url, lock })
    }

    /// Whether the database exists, or anything else of that name.
    pub(super) fn is_there(&self) -> io::Result<bool> {
        is_there(&self.path)
    }

    /// Whether a database that does not exist has left any other files.
    pub(super) fn has_leftovers(&self) -> io::Result<bool> {
        let logs = self.database.logs();
        let mut remains = iter::once(&self.unfinished_path).chain(&logs);
        remains.try_fold(false, |found, path| Ok(found || is_there(path)?))
    }

    /// Refuses logs of a database that does not exist any more: SQLite would treat them as logs of the new database,
    /// and apply their changes to it. They are not removed, because they contain the last changes of a database that
    /// may only have been moved. Empty logs are removed.
    pub(super) fn check_stale_logs(&self) -> io::Result<()> {
        for log in self.database.logs() {
            let is_empty = match fs::symlink_metadata(&log) {
                // The index of the write-ahead log has no data of its own: SQLite recreates it.
                Ok(_) if log.as_os_str().as_encoded_bytes().ends_with(b"-shm") => true,
                Ok(found) => found.is_file() && found.len() == 0,
                Err(error) if error.kind() == ErrorKind::NotFound => true,
                Err(error) => return Err(error),
            };
            if !is_empty {
                let message = format!(
                    "{} is left of a database that is not there any more: move it to where that database is, or \
                     drop the tenant, which removes it",
                    log.display()
                );
                return Err(io::Error::other(message));
            }
            remove_if_there(&log)?;
        }
        Ok(())
    }

    /// Refuses a symbolic link: removing the link would leave the data, and its target may also belong to others.
    pub(super) fn refuse_symlink(&self) -> io::Result<()> {
        if fs::symlink_metadata(&self.path)?.is_symlink() {
            let message = format!(
                "{} is a symbolic link: remove what it points to and the link yourself",
                self.path.display()
            );
            return Err(io::Error::other(message));
        }
        Ok(())
    }

    /// The folder that is created for the file. `None` unless the path was relative.
    pub(super) fn folder_to_create(&self) -> Option<&Path> {
        self.unfinished.created_parent()
    }

    /// An error if the folder does not exist and is not created, as that of an absolute path.
    pub(super) fn check_folder(&self) -> io::Result<()> {
        match self.path.parent() {
            Some(folder) if self.folder_to_create().is_none() && !folder.try_exists()? => {
                let folder = folder.display();
                let message = format!(
                    "the folder {folder} does not exist; it is only created if the path in the settings is relative"
                );
                Err(io::Error::new(ErrorKind::NotFound, message))
            }
            _ => Ok(()),
        }
    }

    /// Gives the finished file its final name, unless a file with that name exists.
    pub(super) fn publish(&self) -> io::Result<()> {
        if let Some(log) = self.unfinished.logs().into_iter().find(|file| file.exists()) {
            let message = format!("{} was not moved into the database", log.display());
            return Err(io::Error::other(message));
        }
        self.check_stale_logs()?;
        match fs::hard_link(&self.unfinished_path, &self.path) {
            Ok(()) => fs::remove_file(&self.unfinished_path)?,
            Err(error) if error.kind() == ErrorKind::AlreadyExists => return Err(error),
            // Not every file system has hard links. The lock keeps other processes from creating a file between the check
            // and the rename.
            Err(_) if !self.is_there()? => fs::rename(&self.unfinished_path, &self.path)?,
            Err(_) => return Err(ErrorKind::AlreadyExists.into()),
        }
        // The folder is synced, so that the new name survives a power failure. Not every system can open folders.
        if let Some(folder) = self.path.parent()
            && let Ok(folder) = File::open(folder)
        {
            let _ = folder.sync_all();
        }
        Ok(())
    }

    /// Removes the logs first, because logs without their database would block the creation of the next one. No
    /// connection has the database open any more, so the logs contain no changes that are missing in the database.
    pub(super) fn remove(&self) -> io::Result<()> {
        self.remove_logs()?;
        remove_if_there(&self.path)
    }

    pub(super) fn remove_logs(&self) -> io::Result<()> {
        self.database.logs().iter().try_for_each(|file| remove_if_there(file))
    }

    pub(super) fn remove_unfinished(&self) -> io::Result<()> {
        remove_if_there(&self.unfinished_path)?;
        let beside = self.unfinished.logs().into_iter().chain(self.unfinished.migration_lock());
        beside.into_iter().try_for_each(|file| remove_if_there(&file))
    }
}

fn is_there(path: &Path) -> io::Result<bool> {
    match fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Folders that this call has created, the innermost first.
pub(super) struct CreatedFolders(Vec<PathBuf>);

impl CreatedFolders {
    pub(super) fn make(folder: Option<&Path>) -> io::Result<Self> {
        let Some(folder) = folder else { return Ok(Self(Vec::new())) };
        let missing = folder.ancestors().take_while(|folder| {
            !folder.as_os_str().is_empty() && matches!(is_there(folder), Ok(false))
        });
        let made = Self(missing.map(Path::to_owned).collect());
        fs::create_dir_all(folder).inspect_err(|_| made.remove())?;
        Ok(made)
    }

    /// Removes the folders that are empty.
    pub(super) fn remove(&self) {
        for folder in &self.0 {
            if fs::remove_dir(folder).is_err() {
                return;
            }
        }
    }
}

/// The lock that keeps other processes from creating, migrating or dropping the same tenant. Its file is also the lock
/// file of migrations.
pub(super) struct TenantLock {
    file: File,
    path: PathBuf,
}

impl TenantLock {
    async fn take(path: &Path) -> io::Result<Self> {
        loop {
            let file = OpenOptions::new().create(true).append(true).open(path)?;
            match file.try_lock() {
                // The previous owner may have removed the file, and another process may have locked a new one.
                Ok(()) if is_same_file(&file, path)? => {
                    return Ok(Self { file, path: path.to_owned() });
                }
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => tokio::time::sleep(LOCK_PAUSE).await,
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
    }

    /// Removes the lock file before it is unlocked. A lock file that cannot be removed does no harm: each existing
    /// database has one beside it, too.
    pub(super) fn remove(self) {
        let _ = fs::remove_file(&self.path);
        drop(self.file);
    }
}

#[cfg(unix)]
fn is_same_file(file: &File, path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;

    let own = file.metadata()?;
    match fs::metadata(path) {
        Ok(found) => Ok((own.dev(), own.ino()) == (found.dev(), found.ino())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// On other systems, an open file cannot be removed.
#[cfg(not(unix))]
fn is_same_file(_: &File, path: &Path) -> io::Result<bool> {
    is_there(path)
}
