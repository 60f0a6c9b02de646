//! Replacing the engine of a bind.

use std::sync::{Arc, PoisonError};

use super::Registry;
use super::bind_entry::{BindEntry, ReplaceableEngine};
use super::tenants::{TenantBind, TenantSource};
use crate::engine;
use crate::settings::{
    BackendKind, BindKey, BindSettings, EngineSettings, SettingsError, UnknownBind, WrongBackend,
};

pub(super) fn replace(
    registry: &Registry,
    key: &str,
    settings: BindSettings,
) -> Result<(), ReplaceError> {
    let Some(entry) = registry.0.table.by_key(key) else {
        return Err(registry.unknown(key).into());
    };
    let key = entry.key();
    if registry.is_closed() {
        return Err(ReplaceError::Closed { key });
    }
    let settings = registry.0.bind_defaults.engine_settings(key, settings);
    let settings = settings.map_err(|source| ReplaceError::Settings { key, source })?;
    let is_per_tenant = matches!(entry, BindEntry::Tenants(_));
    if settings.url.is_per_tenant() != is_per_tenant {
        return Err(ReplaceError::Tenants { key, is_per_tenant });
    }
    let own_schema = match entry {
        BindEntry::Schemas { schema, .. } => Some(&**schema),
        _ => None,
    };
    if settings.tenant_schema.as_deref().is_some_and(|schema| Some(schema) != own_schema) {
        let source = SettingsError::from_problem(
            "tenant_schema",
            "it is not changed while the registry is used",
        );
        return Err(ReplaceError::Settings { key, source });
    }
    match entry {
        BindEntry::Engine(named) | BindEntry::Schemas { engine: named, .. } => {
            check_backend(&settings, named.current().settings().url.backend())?;
            replace_named(registry, named, settings);
        }
        BindEntry::Tenants(tenants) => {
            if let TenantSource::Template(before) = tenants.source() {
                check_backend(&settings, before.url.backend())?;
            }
            replace_tenants(registry, tenants, settings);
        }
    }
    Ok(())
}

fn check_backend(settings: &EngineSettings, expected: BackendKind) -> Result<(), WrongBackend> {
    let (key, found) = (settings.key, settings.url.backend());
    if found == expected { Ok(()) } else { Err(WrongBackend { key, expected, found }) }
}

fn replace_named(registry: &Registry, named: &ReplaceableEngine, settings: EngineSettings) {
    let old = named.replace(engine::open(Arc::new(settings), None));
    {
        let mut replaced = registry.0.replaced.lock().unwrap_or_else(PoisonError::into_inner);
        replaced.retain(|engine| engine.checkout_count() > 0);
        replaced.push(Arc::clone(&old));
    }
    // When nobody finds it any more: those who wait for it look again, and find the other.
    old.begin_close();
    if registry.is_closed() {
        // Closed meanwhile, perhaps without having seen the new one.
        named.current().begin_close();
    }
}

fn replace_tenants(registry: &Registry, tenants: &TenantBind, settings: EngineSettings) {
    let key = settings.key;
    tenants.replace(TenantSource::Template(Arc::new(settings)));
    // By their names as well: an engine has the key of the bind that has opened it first.
    let named = registry.0.on_demand.identities_of(key);
    registry.0.on_demand.close(|own| own.settings().key == key || named.contains(own));
}

/// Why an engine was not replaced. It goes on as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplaceError {
    /// No settings name that bind.
    #[error(transparent)]
    UnknownBind(#[from] UnknownBind),
    /// The new settings name another backend.
    #[error(transparent)]
    WrongBackend(#[from] WrongBackend),
    /// The new settings are not usable.
    #[error("bind `{key}`: the engine cannot be replaced with these settings")]
    Settings {
        /// The bind key.
        key: BindKey,
        /// Every problem that they have.
        #[source]
        source: SettingsError,
    },
    /// The bind has one database and the new settings one for each tenant, or the other way round.
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
