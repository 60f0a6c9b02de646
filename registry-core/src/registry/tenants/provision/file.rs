//! A tenant in a SQLite file.
//!
//! The file is made beside its place, and linked there when its migrations have been run: no other file is
//! overwritten, and whoever asks for the tenant finds all of it or nothing.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::iter;
use std::path::{Path, PathBuf};

use diesel::migration::MigrationSource;
use diesel_async::SimpleAsyncConnection;

use super::error::{CreateTenantError, DropTenantError};
use super::operation::TenantOperation;
use crate::backend::driver::Driver;
use crate::backend::namespace::LOCK_PAUSE;
use crate::backend::resource_exhaustion::is_exhausted;
use crate::bind::Bind;
use crate::registry::migrate::{DieselBackend, MigrateReport, run_migrations};
use crate::settings::url::SqliteFile;
use crate::settings::{DatabaseUrl, EngineSettings};

/// Fails while another connection, of whatever process, has the database open, and keeps others from opening it.
const KEEP_OTHERS_OUT: &str =
    "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = DELETE; BEGIN EXCLUSIVE";

pub(super) async fn create<B: Bind>(
    operation: &TenantOperation<B>,
    settings: EngineSettings,
    migrations: impl MigrationSource<DieselBackend<B>> + Send + 'static,
) -> Result<MigrateReport, CreateTenantError> {
    let refused = |error: io::Error| operation.create_error(error.into());
    let files =
        TenantFiles::at(&settings.url).ok_or_else(|| refused(ErrorKind::InvalidFilename.into()))?;
    if files.is_there().map_err(refused)? {
        return Err(operation.exists_error());
    }
    let folders = CreatedFolders::make(files.folder_to_create()).map_err(refused)?;
    let created = async {
        let lock = operation.lock(&files.lock).await.map_err(refused)?;
        let created = create_locked(operation, &settings, &files, migrations).await;
        if !files.is_there().map_err(refused)? {
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

/// Where a tenant is in the middle of being made, nobody else makes or drops it.
async fn create_locked<B: Bind>(
    operation: &TenantOperation<B>,
    settings: &EngineSettings,
    files: &TenantFiles,
    migrations: impl MigrationSource<DieselBackend<B>> + Send + 'static,
) -> Result<MigrateReport, CreateTenantError> {
    let refused = |error: io::Error| operation.create_error(error.into());
    if files.is_there().map_err(refused)? {
        return Err(operation.exists_error());
    }
    files.check_stale_logs().map_err(refused)?;
    // Of a process that was killed.
    files.remove_unfinished().map_err(refused)?;
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
            )
            .await
        }
        Err(error) => Err(error.into()),
    };
    // The write-ahead log is moved into the file then.
    B::Connection::wait_until_closed(&settings.url).await;
    let placed = match migrated {
        Ok(report) => match files.publish() {
            Ok(()) => {
                // What may be left is in nobody's way.
                let _ = files.remove_unfinished();
                return Ok(report);
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => operation.exists_error(),
            Err(error) => refused(error),
        },
        Err(source) => operation.migrate_error(source),
    };
    match files.remove_unfinished() {
        Ok(()) => Err(placed),
        Err(source) => Err(operation.not_undone_error(placed, source.into())),
    }
}

pub(super) async fn remove<B: Bind>(
    operation: &TenantOperation<B>,
    settings: EngineSettings,
) -> Result<(), DropTenantError> {
    let refused = |error: io::Error| operation.drop_error(error.into());
    let files =
        TenantFiles::at(&settings.url).ok_or_else(|| refused(ErrorKind::InvalidFilename.into()))?;
    // Nothing is made for a tenant that there is not, not even a lock.
    if !files.is_there().map_err(refused)? && !files.has_leftovers().map_err(refused)? {
        return Err(operation.unknown_tenant_error());
    }
    let lock = operation.lock(&files.lock).await.map_err(refused)?;
    if files.is_there().map_err(refused)? {
        files.refuse_symlink().map_err(refused)?;
        operation.close_engines().await?;
        let (engine, mut connected) = operation.connect(&settings, None).await?;
        let connection = connected.connection();
        let kept = connection.batch_execute(KEEP_OTHERS_OUT).await;
        kept.map_err(|error| operation.drop_error(error.into()))?;
        let removed = files.remove();
        drop((connected, engine));
        B::Connection::wait_until_closed(&settings.url).await;
        removed.map_err(refused)?;
    } else if !files.has_leftovers().map_err(refused)? {
        // Somebody else has dropped it while this waited for the lock.
        lock.remove();
        return Err(operation.unknown_tenant_error());
    }
    files.remove_logs().map_err(refused)?;
    files.remove_unfinished().map_err(refused)?;
    lock.remove();
    Ok(())
}

impl<B: Bind> TenantOperation<B> {
    /// Takes the lock, for which files may be short.
    async fn lock(&self, path: &Path) -> io::Result<TenantLock> {
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

/// The files of a tenant.
struct TenantFiles {
    database: SqliteFile,
    path: PathBuf,
    unfinished: SqliteFile,
    unfinished_path: PathBuf,
    unfinished_url: DatabaseUrl,
    lock: PathBuf,
}

impl TenantFiles {
    /// `None` for a database in memory, which has none.
    fn at(url: &DatabaseUrl) -> Option<Self> {
        let database = url.sqlite_file()?.clone();
        let unfinished_url = url.at_unfinished()?;
        let unfinished = unfinished_url.sqlite_file()?.clone();
        let (path, unfinished_path) = (database.path()?.to_owned(), unfinished.path()?.to_owned());
        let lock = database.migration_lock()?;
        Some(Self { database, path, unfinished, unfinished_path, unfinished_url, lock })
    }

    /// Whether the database is there, or anything else of that name.
    fn is_there(&self) -> io::Result<bool> {
        is_there(&self.path)
    }

    /// Whether anything is left of it where the database is not there.
    fn has_leftovers(&self) -> io::Result<bool> {
        let logs = self.database.logs();
        let mut remains = iter::once(&self.unfinished_path).chain(&logs);
        remains.try_fold(false, |found, path| Ok(found || is_there(path)?))
    }

    /// Refuses logs of a database that is not there any more, as SQLite would take them for those of the new one
    /// and write what they have over it. They are not removed, since they have the last changes of a database that
    /// may only have been moved. Those with nothing in them are.
    fn check_stale_logs(&self) -> io::Result<()> {
        for log in self.database.logs() {
            let is_empty = match fs::symlink_metadata(&log) {
                // An index of the write-ahead log, which SQLite makes anew.
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

    /// Refuses a symbolic link: what has the data would stay where that is removed, and what it points to may be
    /// of others as well.
    fn refuse_symlink(&self) -> io::Result<()> {
        if fs::symlink_metadata(&self.path)?.is_symlink() {
            let message = format!(
                "{} is a symbolic link: remove what it points to and the link yourself",
                self.path.display()
            );
            return Err(io::Error::other(message));
        }
        Ok(())
    }

    /// The folder that is made for it: that of a path which was written relative.
    fn folder_to_create(&self) -> Option<&Path> {
        self.unfinished.created_parent()
    }

    fn publish(&self) -> io::Result<()> {
        if let Some(log) = self.unfinished.logs().into_iter().find(|file| file.exists()) {
            let message = format!("{} was not moved into the database", log.display());
            return Err(io::Error::other(message));
        }
        self.check_stale_logs()?;
        match fs::hard_link(&self.unfinished_path, &self.path) {
            Ok(()) => fs::remove_file(&self.unfinished_path)?,
            Err(error) if error.kind() == ErrorKind::AlreadyExists => return Err(error),
            // Not every file system has links. Those who create tenants have seen that there is none.
            Err(_) if !self.is_there()? => fs::rename(&self.unfinished_path, &self.path)?,
            Err(_) => return Err(ErrorKind::AlreadyExists.into()),
        }
        // Its name is to be on the disk as well. Not every system opens folders.
        if let Some(folder) = self.path.parent()
            && let Ok(folder) = File::open(folder)
        {
            let _ = folder.sync_all();
        }
        Ok(())
    }

    /// Nobody has it open any more, so all is in the database, and the logs go first: without it they would be in
    /// the way of the next one.
    fn remove(&self) -> io::Result<()> {
        self.remove_logs()?;
        remove_if_there(&self.path)
    }

    fn remove_logs(&self) -> io::Result<()> {
        self.database.logs().iter().try_for_each(|file| remove_if_there(file))
    }

    fn remove_unfinished(&self) -> io::Result<()> {
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

/// CreatedFolders that were made.
struct CreatedFolders(Vec<PathBuf>);

impl CreatedFolders {
    fn make(folder: Option<&Path>) -> io::Result<Self> {
        let Some(folder) = folder else { return Ok(Self(Vec::new())) };
        let missing = folder.ancestors().take_while(|folder| {
            !folder.as_os_str().is_empty() && matches!(is_there(folder), Ok(false))
        });
        let made = Self(missing.map(Path::to_owned).collect());
        fs::create_dir_all(folder).inspect_err(|_| made.remove())?;
        Ok(made)
    }

    /// As far as nobody else has put anything there.
    fn remove(&self) {
        for folder in &self.0 {
            if fs::remove_dir(folder).is_err() {
                return;
            }
        }
    }
}

/// Keeps others from making, migrating or dropping the same tenant. It is the lock of migrations.
struct TenantLock {
    file: File,
    path: PathBuf,
}

impl TenantLock {
    async fn take(path: &Path) -> io::Result<Self> {
        loop {
            let file = OpenOptions::new().create(true).append(true).open(path)?;
            match file.try_lock() {
                // Whoever had it may have removed it, and somebody else may have another one by now.
                Ok(()) if is_same_file(&file, path)? => {
                    return Ok(Self { file, path: path.to_owned() });
                }
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => tokio::time::sleep(LOCK_PAUSE).await,
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
    }

    /// Removes it before others get it. If that fails it stays, as it does where there is a database.
    fn remove(self) {
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

/// A file that is open cannot be removed there.
#[cfg(not(unix))]
fn is_same_file(_: &File, path: &Path) -> io::Result<bool> {
    is_there(path)
}
