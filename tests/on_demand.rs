//! Engines that are opened on demand: by URL, and for tenants.

#[path = "support/mount.rs"]
mod mount;
mod support;

mount::mount!(by_url, created, evictions, isolated_tenants, own_sessions, replacing, tenants);

#[path = "on_demand/closing.rs"]
mod closing;
#[path = "on_demand/created_apart.rs"]
mod created_apart;
#[path = "on_demand/credentials.rs"]
mod credentials;
#[path = "on_demand/isolation.rs"]
mod isolation;
#[path = "on_demand/names.rs"]
mod names;
#[path = "on_demand/row_security.rs"]
mod row_security;
#[path = "on_demand/schemas.rs"]
mod schemas;
#[path = "on_demand/schemas_apart.rs"]
mod schemas_apart;
#[cfg(target_os = "linux")]
#[path = "on_demand/system.rs"]
mod system;
