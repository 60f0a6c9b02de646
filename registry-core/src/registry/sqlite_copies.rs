//! Copies of SQLite databases for one test, and the error if they cannot be made.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::{env, fs, process};

use tokio::sync::OnceCell;

use crate::cause::DriverError;
use crate::engine::{self, AnyEngine, CheckFailure};
use crate::on_demand::{EngineIdentity, OnDemandEngines};
use crate::settings::{BindKey, EngineSettings};

/// The copies of SQLite databases for one test, in a temporary folder that is removed when this is dropped.
///
/// The databases of binds are copied at once, and the databases of tenants when they are first used.
pub(crate) struct SqliteCopies {
    folder: PathBuf,
    /// The engines that the application has opened on demand. A database in memory exists only in such an engine.
    application: OnDemandEngines,
    copies: Mutex<HashMap<CopySource, Arc<SharedCopy>>>,
    last_number: AtomicU32,
}

/// The path of a copy, which is made once for all callers that want it (single flight).
type SharedCopy = OnceCell<PathBuf>;

/// The database that is copied. Binds and tenants that share a database in the application share its copy in the test.
#[derive(PartialEq, Eq, Hash)]
enum CopySource {
    File(PathBuf),
    /// In the memory of an engine that was opened on demand.
    Memory(EngineIdentity),
}

impl SqliteCopies {
    pub(super) fn new(application: OnDemandEngines) -> std::io::Result<Self> {
        static FOLDERS: AtomicU32 = AtomicU32::new(0);
        loop {
            let number = FOLDERS.fetch_add(1, Ordering::Relaxed);
            let folder = env::temp_dir().join(format!("registry-{}-{number}", process::id()));
            match fs::create_dir(&folder) {
                Ok(()) => {
                    return Ok(Self {
                        folder,
                        application,
                        copies: Mutex::default(),
                        last_number: AtomicU32::new(0),
                    });
                }
                // The folder was left by an earlier process with the same process ID.
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// The copy of the database of a bind.
    pub(super) async fn of_engine(
        &self,
        engine: &Arc<dyn AnyEngine>,
    ) -> Result<PathBuf, CheckFailure> {
        match file_of(engine.settings()) {
            Some(file) => {
                let copy = self.shared_copy(CopySource::File(file.to_owned()));
                copy.get_or_try_init(|| self.copy(Arc::clone(engine))).await.cloned()
            }
            None => self.copy(Arc::clone(engine)).await,
        }
    }

    /// The copy of a database that the application opens on demand. If there is no such database, it fails and creates
    /// nothing.
    pub(crate) async fn of_identity(
        &self,
        identity: &EngineIdentity,
    ) -> Result<PathBuf, CheckFailure> {
        let source = match file_of(identity.settings()) {
            Some(file) => CopySource::File(file.to_owned()),
            None => CopySource::Memory(identity.clone()),
        };
        let make = async || match self.application.find(identity) {
            // The use lives until the copy is made, so that the engine is not closed meanwhile.
            Some(open) => self.copy(Arc::clone(open.engine())).await,
            None => self.copy(engine::open(Arc::clone(identity.settings()), None)).await,
        };
        self.shared_copy(source).get_or_try_init(make).await.cloned()
    }

    fn shared_copy(&self, source: CopySource) -> Arc<SharedCopy> {
        let mut copies = self.copies.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(copies.entry(source).or_default())
    }

    async fn copy(&self, engine: Arc<dyn AnyEngine>) -> Result<PathBuf, CheckFailure> {
        // A new name each time: a copy whose future was dropped may go on in its thread.
        let number = self.last_number.fetch_add(1, Ordering::Relaxed);
        let copy = self.folder.join(format!("{}-{number}.db", engine.settings().key));
        engine.copy_to(&copy).await?;
        Ok(copy)
    }
}

fn file_of(settings: &EngineSettings) -> Option<&Path> {
    settings.url.sqlite_file().and_then(|file| file.path())
}

impl Drop for SqliteCopies {
    fn drop(&mut self) {
        // A file that is still open is removed by name, and its space is freed when it is closed.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Why a registry for a test could not be created, see [`Registry::test_isolation`](crate::Registry::test_isolation).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IsolationError {
    /// The folder for the copies of SQLite databases could not be created.
    #[error("no folder could be made for copies of databases")]
    Folder {
        /// What the operating system reported.
        source: std::io::Error,
    },
    /// A SQLite database could not be copied.
    #[error("bind `{key}`: the database could not be copied")]
    Copy {
        /// The bind key.
        key: BindKey,
        /// Why not.
        #[source]
        source: DriverError,
    },
}
