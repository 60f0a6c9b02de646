//! The engines of a bind key.

use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use super::tenants::{Tenant, TenantBind, TenantSource};
use crate::engine::AnyEngine;
use crate::settings::{BackendKind, BindKey};

/// The engines of a bind key: one engine, or an engine for each tenant.
pub(crate) enum BindEntry {
    /// One engine, with one database.
    Single(ReplaceableEngine),
    /// One engine, whose database has a schema for each tenant.
    SchemaPerTenant {
        engine: ReplaceableEngine,
        /// The template for the names of the schemas, which contains `{tenant}`.
        schema: Arc<str>,
    },
    /// An engine for each tenant, opened on demand.
    DatabasePerTenant(TenantBind),
}

impl BindEntry {
    pub(super) fn key(&self) -> BindKey {
        match self {
            Self::Single(engine) | Self::SchemaPerTenant { engine, .. } => {
                engine.first.settings().key
            }
            Self::DatabasePerTenant(tenants) => tenants.key(),
        }
    }

    /// The engine of the bind. `None` if there is an engine for each tenant.
    pub(super) fn engine(&self) -> Option<Arc<dyn AnyEngine>> {
        match self {
            Self::Single(engine) | Self::SchemaPerTenant { engine, .. } => Some(engine.current()),
            Self::DatabasePerTenant(_) => None,
        }
    }

    /// Forgets that the migrations in the schema of a tenant were complete, so that they are checked again.
    pub(super) fn forget_checked_migrations(&self, tenant: &Tenant) {
        if let Self::SchemaPerTenant { engine, schema } = self
            && let Ok(schema) = tenant.schema_name(self.key(), schema)
        {
            engine.current().checked_migrations().forget_schema(&schema);
        }
    }

    /// The backend of its databases. `None` if it is unknown until a resolver is asked.
    pub(super) fn backend(&self) -> Option<BackendKind> {
        match self {
            Self::Single(engine) | Self::SchemaPerTenant { engine, .. } => {
                Some(engine.current().settings().url.backend())
            }
            Self::DatabasePerTenant(tenants) => match tenants.source() {
                TenantSource::Template(settings) => Some(settings.url.backend()),
                TenantSource::Resolver(_) => None,
            },
        }
    }
}

/// The engine of a bind, which [`Registry::replace_engine`](crate::Registry::replace_engine) can replace.
///
/// Engines are rarely replaced, so the first engine is found without a lock. After a replacement, the first engine is
/// closed and kept.
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

    /// Replaces the engine, and returns the previous one.
    pub(super) fn replace(&self, engine: Arc<dyn AnyEngine>) -> Arc<dyn AnyEngine> {
        let later = self.later.get_or_init(|| RwLock::new(Arc::clone(&self.first)));
        std::mem::replace(&mut later.write().unwrap_or_else(PoisonError::into_inner), engine)
    }
}
