//! A registry for one test.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::{env, fs, process};

use super::Registry;
use super::served::{Named, Served};
use crate::engine::{self, AnyEngine};
use crate::error::IsolationError;
use crate::on_demand::OnDemand;
use crate::settings::{BackendKind, EngineSettings, OnDemandOptions};

pub(super) async fn isolate(registry: &Registry) -> Result<Registry, IsolationError> {
    let copies = Copies::new().map_err(|source| IsolationError::Folder { source })?;
    let mut binds = Vec::new();
    for served in registry.0.keys.iter().filter_map(|key| registry.0.table.by_key(key)) {
        binds.push(match served {
            Served::Engine(named) => {
                let settings = isolated(&named.current(), &copies).await?;
                Served::Engine(Named::new(engine::open(Arc::new(settings), None)))
            }
            Served::Schemas { engine: named, schema } => {
                let settings = isolated(&named.current(), &copies).await?;
                let engine = Named::new(engine::open(Arc::new(settings), None));
                Served::Schemas { engine, schema: Arc::clone(schema) }
            }
            Served::Tenants(tenants) => Served::Tenants(tenants.isolated()),
        });
    }
    // An engine that was closed would take all that was done on it along.
    let on_demand = OnDemandOptions { max_engines: u32::MAX, engine_idle_timeout: None };
    let (recipes, work) = (registry.0.recipes.isolated(), registry.0.work.clone());
    let isolated = Registry::new(binds, recipes, OnDemand::new(on_demand), work, Some(copies));
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
    let copy = copies.0.join(format!("{}.db", settings.key));
    let failed = |source| IsolationError::Copy { key: settings.key, source };
    Arc::clone(engine).copy_to(&copy).await.map_err(failed)?;
    Ok(settings.isolated(Some(settings.url.at_file(&copy))))
}

/// A folder that goes away with the registry.
pub(super) struct Copies(PathBuf);

impl Copies {
    fn new() -> std::io::Result<Self> {
        static FOLDERS: AtomicU32 = AtomicU32::new(0);
        loop {
            let number = FOLDERS.fetch_add(1, Ordering::Relaxed);
            let folder = env::temp_dir().join(format!("registry-{}-{number}", process::id()));
            match fs::create_dir(&folder) {
                Ok(()) => return Ok(Self(folder)),
                // Left behind by a process of before that had this number.
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl Drop for Copies {
    fn drop(&mut self) {
        // What is still open is removed by name, and gone when it is closed.
        let _ = fs::remove_dir_all(&self.0);
    }
}
