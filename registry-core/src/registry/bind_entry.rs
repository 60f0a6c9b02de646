//! What stands behind a bind key.

use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use super::tenants::{TenantBind, TenantSource};
use crate::engine::AnyEngine;
use crate::settings::{BackendKind, BindKey};

/// What stands behind a bind key.
pub(crate) enum BindEntry {
    /// One engine.
    Engine(ReplaceableEngine),
    /// One engine, with a schema for each tenant.
    Schemas {
        engine: ReplaceableEngine,
        /// With `{tenant}` in it.
        schema: Arc<str>,
    },
    /// An engine for each tenant, opened on demand.
    Tenants(TenantBind),
}

impl BindEntry {
    pub(super) fn key(&self) -> BindKey {
        match self {
            Self::Engine(engine) | Self::Schemas { engine, .. } => engine.first.settings().key,
            Self::Tenants(tenants) => tenants.key(),
        }
    }

    /// The engine that is the bind's own.
    pub(super) fn engine(&self) -> Option<Arc<dyn AnyEngine>> {
        match self {
            Self::Engine(engine) | Self::Schemas { engine, .. } => Some(engine.current()),
            Self::Tenants(_) => None,
        }
    }

    /// The kind of its databases, as far as it is known without asking for a tenant's.
    pub(super) fn backend(&self) -> Option<BackendKind> {
        match self {
            Self::Engine(engine) | Self::Schemas { engine, .. } => {
                Some(engine.current().settings().url.backend())
            }
            Self::Tenants(tenants) => match tenants.source() {
                TenantSource::Template(settings) => Some(settings.url.backend()),
                TenantSource::Resolver(_) => None,
            },
        }
    }
}

/// The engine of a bind, which can be replaced.
///
/// Few ever are. So the first one is found without a lock, and stays, closed, beside its replacement.
pub(crate) struct ReplaceableEngine {
    first: Arc<dyn AnyEngine>,
    later: OnceLock<RwLock<Arc<dyn AnyEngine>>>,
}

impl ReplaceableEngine {
    pub(super) fn new(engine: Arc<dyn AnyEngine>) -> Self {
        Self { first: engine, later: OnceLock::new() }
    }

    pub(super) fn current(&self) -> Arc<dyn AnyEngine> {
        match self.later.get() {
            None => Arc::clone(&self.first),
            Some(later) => Arc::clone(&later.read().unwrap_or_else(PoisonError::into_inner)),
        }
    }

    /// Puts another engine in its place, and returns the one that was there.
    pub(super) fn replace(&self, engine: Arc<dyn AnyEngine>) -> Arc<dyn AnyEngine> {
        let later = self.later.get_or_init(|| RwLock::new(Arc::clone(&self.first)));
        std::mem::replace(&mut later.write().unwrap_or_else(PoisonError::into_inner), engine)
    }
}
