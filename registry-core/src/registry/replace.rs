//! Replacing the engine of a bind.

use std::sync::{Arc, PoisonError};

use super::bind_entry::{BindEntry, ReplaceableEngine};
use super::handle::Registry;
use super::route::check_backend;
use super::tenants::{TenantBind, TenantSource};
use crate::engine;
use crate::settings::{
    BindKey, BindSettings, EngineSettings, SettingsError, UnknownBind, WrongBackend,
};

impl Registry {
    /// Replaces the settings of a bind at run time, such as a password that was changed.
    ///
    /// From now on, sessions are acquired from a new engine, also by callers that already wait. The old engine lends no
    /// more sessions; its lent sessions stay usable until they are returned. Options that `settings` leave out are
    /// those with which the registry was built. For a bind with a database for each tenant, the engines of all tenants
    /// are replaced.
    ///
    /// It does not wait: the new engine connects when it is first used. [`Engine`](crate::Engine) handles of the old
    /// engine still point to the old engine.
    ///
    /// The options of the bind stay. Its replicas and its `migrate_url` lead to the old database, so they do not: give those
    /// of the new one.
    ///
    /// For a bind with a [`TenantResolver`](crate::TenantResolver), the new settings take the resolver's place for good:
    /// [`close_tenant`](Registry::close_tenant) closes the engine of one tenant, and also forgets the resolver's answer.
    ///
    /// # Errors
    ///
    /// [`ReplaceError`]. In this case the bind keeps its engine.
    ///
    /// ```
    /// use registry_core::Registry;
    ///
    /// let registry = Registry::builder().bind("analytics", "sqlite:a.db").build()?;
    /// registry.replace_engine("analytics", "sqlite:b.db")?;
    /// assert!(registry.engine("analytics")?.url().to_string().ends_with("b.db"));
    ///
    /// let error = registry.replace_engine("analytics", "postgres://localhost/b").unwrap_err();
    /// # let _ = error;
    /// # Ok::<(), registry_core::Error>(())
    /// ```
    pub fn replace_engine(
        &self,
        key: &str,
        settings: impl Into<BindSettings>,
    ) -> Result<(), ReplaceError> {
        let Some(entry) = self.0.binds.key(key) else {
            return Err(self.unknown_bind(key).into());
        };
        let key = entry.key();
        if self.is_closed() {
            return Err(ReplaceError::Closed { key });
        }
        let settings = self.0.bind_defaults.engine_settings(key, settings.into());
        let settings = settings.map_err(|source| ReplaceError::Settings { key, source })?;
        check_same_kind(entry, &settings)?;
        match entry {
            BindEntry::Single(named) | BindEntry::SchemaPerTenant { engine: named, .. } => {
                let expected = named.current().settings().url.backend();
                check_backend(key, expected, settings.url.backend())?;
                replace_engine(self, named, settings);
            }
            BindEntry::DatabasePerTenant(tenants) => {
                if let TenantSource::Template(before) = tenants.source() {
                    check_backend(key, before.url.backend(), settings.url.backend())?;
                }
                replace_template(self, tenants, settings);
            }
        }
        Ok(())
    }
}

/// Fails if the new settings would change whether tenants have databases or schemas, or the names of the schemas. That
/// is not possible at run time.
fn check_same_kind(entry: &BindEntry, settings: &EngineSettings) -> Result<(), ReplaceError> {
    let key = entry.key();
    let is_per_tenant = matches!(entry, BindEntry::DatabasePerTenant(_));
    if settings.url.is_per_tenant() != is_per_tenant {
        return Err(ReplaceError::Tenants { key, is_per_tenant });
    }
    let own_schema = match entry {
        BindEntry::SchemaPerTenant { schema, .. } => Some(&**schema),
        _ => None,
    };
    if settings.tenant_schema.as_deref().is_some_and(|schema| Some(schema) != own_schema) {
        let source = SettingsError::from_problem(
            "tenant_schema",
            "it is not changed while the registry is used",
        );
        return Err(ReplaceError::Settings { key, source });
    }
    Ok(())
}

fn replace_engine(registry: &Registry, named: &ReplaceableEngine, settings: EngineSettings) {
    let old = named.replace(engine::open(Arc::new(settings), None));
    {
        let mut replaced = registry.0.replaced.lock().unwrap_or_else(PoisonError::into_inner);
        replaced.retain(|engine| engine.checkout_count() > 0);
        replaced.push(Arc::clone(&old));
    }
    // Closed after the replacement, so that callers that waited for the old engine look again and find the new one.
    old.begin_close();
    if registry.is_closed() {
        // The registry was closed meanwhile, and `close` may not have seen the new engine.
        named.current().begin_close();
    }
}

fn replace_template(registry: &Registry, tenants: &TenantBind, settings: EngineSettings) {
    let key = settings.key;
    tenants.replace(TenantSource::Template(Arc::new(settings)));
    // Engines are also found by their aliases, because an engine that several binds share has the key of the bind that
    // opened it first.
    let identities = registry.0.on_demand.identities_of_tenants(key);
    registry.0.on_demand.close(|other| other.settings().key == key || identities.contains(other));
}

/// Why the engine of a bind was not replaced. The bind keeps its old engine.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplaceError {
    /// The settings have no bind of that key.
    #[error(transparent)]
    UnknownBind(#[from] UnknownBind),
    /// The new settings name another backend.
    #[error(transparent)]
    WrongBackend(#[from] WrongBackend),
    /// The new settings are invalid.
    #[error("bind `{key}`: the engine cannot be replaced with these settings")]
    Settings {
        /// The bind key.
        key: BindKey,
        /// Every problem of the new settings.
        #[source]
        source: SettingsError,
    },
    /// The bind has one database and the new settings have a database for each tenant, or the other way round.
    #[error("bind `{key}`: {}", if *is_per_tenant {
        "it has a database for each tenant, and the new settings name none: write `{tenant}`"
    } else {
        "it has one database, and the new settings one for each tenant"
    })]
    Tenants {
        /// The bind key.
        key: BindKey,
        /// Whether the bind has a database for each tenant.
        is_per_tenant: bool,
    },
    /// The registry was closed.
    #[error("bind `{key}`: the registry is closed")]
    Closed {
        /// The bind key.
        key: BindKey,
    },
}
