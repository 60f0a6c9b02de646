use registry_core::{Registry, binds};

binds! { Crm: Sqlite = "crm"; }

async fn migrate(registry: &Registry) {
    let migrations = diesel_migrations::FileBasedMigrations::find_migrations_directory().unwrap();
    let names = vec!["acme", "globex"];
    let _ = registry.migrate_tenants::<Crm>(names, migrations).await;
}

fn main() {}
