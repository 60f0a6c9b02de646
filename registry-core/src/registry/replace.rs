//! Replacing the engine of a bind.

use std::sync::{Arc, PoisonError};

use super::Registry;
use super::served::{Named, Served};
use crate::engine;
use crate::error::{ReplaceError, WrongBackend};
use crate::settings::{BackendKind, BindSettings, EngineSettings, SettingsError};
use crate::tenant::{Source, TenantBind};

pub(super) fn replace(
    registry: &Registry,
    key: &str,
    settings: BindSettings,
) -> Result<(), ReplaceError> {
    let Some(served) = registry.0.table.by_key(key) else {
        return Err(registry.unknown(key).into());
    };
    let key = served.key();
    if registry.is_closed() {
        return Err(ReplaceError::Closed { key });
    }
    let settings = registry.0.recipes.engine(key, settings);
    let settings = settings.map_err(|source| ReplaceError::Settings { key, source })?;
    let is_per_tenant = matches!(served, Served::Tenants(_));
    if settings.url.is_per_tenant() != is_per_tenant {
        return Err(ReplaceError::Tenants { key, is_per_tenant });
    }
    let own_schema = match served {
        Served::Schemas { schema, .. } => Some(&**schema),
        _ => None,
    };
    if settings.tenant_schema.as_deref().is_some_and(|schema| Some(schema) != own_schema) {
        let source =
            SettingsError::of("tenant_schema", "it is not changed while the registry is used");
        return Err(ReplaceError::Settings { key, source });
    }
    match served {
        Served::Engine(named) | Served::Schemas { engine: named, .. } => {
            check_backend(&settings, named.current().settings().url.backend())?;
            replace_named(registry, named, settings);
        }
        Served::Tenants(tenants) => {
            if let Source::Template(before) = tenants.source() {
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

fn replace_named(registry: &Registry, named: &Named, settings: EngineSettings) {
    let old = named.replace(engine::open(Arc::new(settings), None));
    {
        let mut replaced = registry.0.replaced.lock().unwrap_or_else(PoisonError::into_inner);
        replaced.retain(|engine| engine.lent() > 0);
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
    tenants.replace(Source::Template(Arc::new(settings)));
    // By their names as well: an engine has the key of the bind that has opened it first.
    let named = registry.0.on_demand.identities_of(key);
    registry.0.on_demand.close(|own| own.settings().key == key || named.contains(own));
}
