use registry_core::tenant::tenant_names;
use registry_core::{Registry, binds};

binds! { Crm: Sqlite = "crm"; }

async fn migrate(registry: &Registry) {
    let migrations = diesel_migrations::FileBasedMigrations::find_migrations_directory().unwrap();
    let _ = registry.migrate_tenants::<Crm>(tenant_names([1, 2]), migrations).await;
}

fn main() {}
