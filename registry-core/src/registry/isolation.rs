//! A registry for one test.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::{env, fs, process};

use tokio::sync::OnceCell;

use super::Registry;
use super::bind_entry::{BindEntry, ReplaceableEngine};
use crate::cause::DriverError;
use crate::engine::{self, AnyEngine, CheckFailure};
use crate::on_demand::{EngineIdentity, OnDemandEngines};
use crate::settings::{BackendKind, BindKey, EngineSettings, OnDemandOptions};

pub(super) async fn isolate(registry: &Registry) -> Result<Registry, IsolationError> {
    let on_demand = registry.0.on_demand.clone();
    let copies = Copies::new(on_demand).map_err(|source| IsolationError::Folder { source })?;
    let mut binds = Vec::new();
    for entry in registry.0.keys.iter().filter_map(|key| registry.0.table.by_key(key)) {
        binds.push(match entry {
            BindEntry::Engine(named) => {
                let settings = isolated(&named.current(), &copies).await?;
                BindEntry::Engine(ReplaceableEngine::new(engine::open(Arc::new(settings), None)))
            }
            BindEntry::Schemas { engine: named, schema } => {
                let settings = isolated(&named.current(), &copies).await?;
                let engine = ReplaceableEngine::new(engine::open(Arc::new(settings), None));
                BindEntry::Schemas { engine, schema: Arc::clone(schema) }
            }
            BindEntry::Tenants(tenants) => BindEntry::Tenants(tenants.isolated()),
        });
    }
    // An engine that was closed would take all that was done on it along.
    let on_demand = OnDemandOptions { max_engines: u32::MAX, engine_idle_timeout: None };
    let (bind_defaults, work) = (registry.0.bind_defaults.isolated(), registry.0.work.clone());
    let isolated =
        Registry::new(binds, bind_defaults, OnDemandEngines::new(on_demand), work, Some(copies));
    Ok(isolated)
}

async fn isolated(
    engine: &Arc<dyn AnyEngine>,
    copies: &Copies,
) -> Result<EngineSettings, IsolationError> {
    let settings = engine.settings();
    if settings.url.backend() != BackendKind::Sqlite {
        return Ok(settings.isolated(None));
    }
    let copy = copies.of_engine(engine).await;
    let copy = copy.map_err(|failure| IsolationError::Copy {
        key: settings.key,
        source: match failure {
            CheckFailure::Acquire(error) => error.into(),
            CheckFailure::Check(error) => error,
        },
    })?;
    Ok(settings.isolated(Some(settings.url.at_file(&copy))))
}

/// The copies of SQLite databases for one test, in a folder that goes away with the registry.
///
/// Those of the binds are made at once, and those of tenants when they are first asked for.
pub(crate) struct Copies {
    folder: PathBuf,
    /// The engines that the application has open on demand. A database in memory is nowhere else.
    application: OnDemandEngines,
    made: Mutex<HashMap<Original, Arc<Copy>>>,
    begun: AtomicU32,
}

/// A copy that may still be made, for all who want it.
type Copy = OnceCell<PathBuf>;

/// What is copied: who shares a database in the application shares it in the test.
#[derive(PartialEq, Eq, Hash)]
enum Original {
    File(PathBuf),
    /// Of an engine that was opened on demand.
    Memory(EngineIdentity),
}

impl Copies {
    fn new(application: OnDemandEngines) -> std::io::Result<Self> {
        static FOLDERS: AtomicU32 = AtomicU32::new(0);
        loop {
            let number = FOLDERS.fetch_add(1, Ordering::Relaxed);
            let folder = env::temp_dir().join(format!("registry-{}-{number}", process::id()));
            match fs::create_dir(&folder) {
                Ok(()) => {
                    let (made, begun) = (Mutex::default(), AtomicU32::new(0));
                    return Ok(Self { folder, application, made, begun });
                }
                // Left behind by a process of before that had this number.
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// The copy of the database of a bind.
    async fn of_engine(&self, engine: &Arc<dyn AnyEngine>) -> Result<PathBuf, CheckFailure> {
        match file_of(engine.settings()) {
            Some(file) => {
                let made = self.made(Original::File(file.to_owned()));
                made.get_or_try_init(|| self.make(Arc::clone(engine))).await.cloned()
            }
            None => self.make(Arc::clone(engine)).await,
        }
    }

    /// The copy of a database that the application opens on demand. Nothing is made where there is none.
    pub(crate) async fn of_identity(
        &self,
        identity: &EngineIdentity,
    ) -> Result<PathBuf, CheckFailure> {
        let original = match file_of(identity.settings()) {
            Some(file) => Original::File(file.to_owned()),
            None => Original::Memory(identity.clone()),
        };
        let making = async || match self.application.find(identity) {
            // In use until it is copied, so that it is not closed meanwhile.
            Some(open) => self.make(Arc::clone(open.engine())).await,
            None => self.make(engine::open(Arc::clone(identity.settings()), None)).await,
        };
        self.made(original).get_or_try_init(making).await.cloned()
    }

    fn made(&self, original: Original) -> Arc<Copy> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(made.entry(original).or_default())
    }

    async fn make(&self, engine: Arc<dyn AnyEngine>) -> Result<PathBuf, CheckFailure> {
        // Another name each time: what was begun may go on when nobody waits for it any more.
        let number = self.begun.fetch_add(1, Ordering::Relaxed);
        let copy = self.folder.join(format!("{}-{number}.db", engine.settings().key));
        engine.copy_to(&copy).await?;
        Ok(copy)
    }
}

fn file_of(settings: &EngineSettings) -> Option<&Path> {
    settings.url.sqlite_file().and_then(|file| file.path())
}

impl Drop for Copies {
    fn drop(&mut self) {
        // What is still open is removed by name, and gone when it is closed.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Why there is no registry for a test, see
/// [`Registry::test_isolation`](crate::Registry::test_isolation).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IsolationError {
    /// There is no folder for the copies of SQLite databases.
    #[error("no folder could be made for copies of databases")]
    Folder {
        /// What the operating system said.
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
