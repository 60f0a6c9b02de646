//! Engines that are opened on demand, by URL and for tenants.

#[path = "../support/mount.rs"]
mod mount;
#[path = "../support/mod.rs"]
mod support;

mount::mount!(
    all_tenants,
    by_url,
    created,
    evictions,
    isolated_tenants,
    own_sessions,
    pending,
    replacing,
    tenants
);
mount::mount!(@ postgres_schemas pending);

mod closing;
mod connectors;
mod created_apart;
mod credentials;
mod isolation;
mod ledgers;
mod names;
mod pending_apart;
mod pending_settings;
mod row_security;
mod schemas;
mod schemas_apart;
#[cfg(target_os = "linux")]
mod system;
