//! Creating and dropping a tenant's database or schema on a server.
//!
//! All steps run under a lock of the server for that namespace, on one connection ("admin") from which the namespace
//! can be created and dropped. A namespace is begun, migrated on a connection of its own, and finished. A namespace
//! that was begun and not finished can be recognised, and the next call removes it.

use std::sync::Arc;

use diesel::migration::MigrationSource;

use super::error::{CreateTenantError, DropTenantError};
use super::operation::TenantOperation;
use crate::backend::driver::Driver;
use crate::backend::namespace::{Namespace, Presence};
use crate::bind::Bind;
use crate::cause::DriverError;
use crate::registry::migrate::{
    DieselBackend, MigrateError, MigrateReport, MigrationConnection, run_migrations,
};
use crate::settings::EngineSettings;

pub(super) async fn create<B: Bind>(
    operation: &TenantOperation<B>,
    settings: EngineSettings,
    namespace: Namespace,
    migrations: impl MigrationSource<DieselBackend<B>> + Send + 'static,
) -> Result<MigrateReport, CreateTenantError> {
    let failed = |error: diesel::result::Error| operation.create_error(error.into());
    let admin = operation.administer(&settings, &namespace).await;
    let mut admin = admin.map_err(|error| error.of_operation(failed))?;
    match admin.connection().find_namespace(&namespace).await {
        Ok(Presence::There) => return Err(operation.exists_error()),
        Ok(Presence::Missing | Presence::Unfinished) => {}
        Err(error) => return Err(failed(error)),
    }
    let begun = match admin.connection().begin_namespace(&namespace).await {
        Ok(begun) => begun,
        // The namespace was created meanwhile by a program that does not take the lock.
        Err(error) => match admin.connection().find_namespace(&namespace).await {
            Ok(Presence::There) => return Err(operation.exists_error()),
            _ => return Err(failed(error)),
        },
    };
    let failure = match migrate(operation, &settings, &begun, migrations).await {
        Ok(report) => match admin.connection().finish_namespace(&begun, &namespace).await {
            Ok(()) => return Ok(report),
            Err(error) => match admin.connection().find_namespace(&namespace).await {
                Ok(Presence::There) if begun != namespace => operation.exists_error(),
                _ => failed(error),
            },
        },
        Err(source) => operation.migrate_error(source),
    };
    match undo(operation, &settings, &namespace, &begun, admin).await {
        Ok(UndoOutcome::Removed) => Err(failure),
        Ok(UndoOutcome::CreatedByAnother) => Err(operation.exists_error()),
        Err(source) => Err(operation.not_undone_error(failure, source)),
    }
}

pub(super) async fn remove<B: Bind>(
    operation: &TenantOperation<B>,
    settings: EngineSettings,
    namespace: Namespace,
) -> Result<(), DropTenantError> {
    let failed = |error: diesel::result::Error| operation.drop_error(error.into());
    let admin = operation.administer(&settings, &namespace).await;
    let mut admin = admin.map_err(|error| error.of_operation(failed))?;
    if admin.connection().find_namespace(&namespace).await.map_err(failed)? == Presence::Missing {
        return Err(operation.unknown_tenant_error());
    }
    operation.close_engines().await?;
    admin.connection().remove_namespace(&namespace).await.map_err(failed)
}

/// The state after the unfinished namespace was removed.
enum UndoOutcome {
    Removed,
    /// Another process has created the tenant meanwhile.
    CreatedByAnother,
}

/// Removes the unfinished namespace, on another connection if the first one is lost.
async fn undo<B: Bind>(
    operation: &TenantOperation<B>,
    settings: &EngineSettings,
    namespace: &Namespace,
    begun: &Namespace,
    mut admin: MigrationConnection<B::Connection>,
) -> Result<UndoOutcome, DriverError> {
    let Err(error) = admin.connection().remove_namespace(begun).await else {
        return Ok(UndoOutcome::Removed);
    };
    // The lock was lost with the connection, so another process may have created the tenant before this one has the
    // lock again.
    drop(admin);
    let Ok(mut admin) = operation.administer(settings, namespace).await else {
        return Err(error.into());
    };
    match admin.connection().find_namespace(namespace).await? {
        Presence::Missing => Ok(UndoOutcome::Removed),
        Presence::Unfinished => {
            admin.connection().remove_namespace(begun).await?;
            Ok(UndoOutcome::Removed)
        }
        Presence::There if begun != namespace => {
            admin.connection().remove_namespace(begun).await?;
            Ok(UndoOutcome::CreatedByAnother)
        }
        // The unfinished namespace has the final name, so it may be from this call or from another process.
        Presence::There => Err(error.into()),
    }
}

async fn migrate<B: Bind>(
    operation: &TenantOperation<B>,
    settings: &EngineSettings,
    begun: &Namespace,
    migrations: impl MigrationSource<DieselBackend<B>> + Send + 'static,
) -> Result<MigrateReport, MigrateError> {
    let mut settings = settings.clone();
    let schema = match begun {
        Namespace::Database(name) => {
            settings.url = settings.url.at_database(name);
            None
        }
        Namespace::Schema(name) => Some(name.as_str()),
    };
    let (engine, connected) = operation.connect(&settings, schema).await?;
    let runtime = operation.runtime.clone();
    // Backends with namespaces have many writers at a time.
    run_migrations(
        &operation.registry,
        runtime,
        Arc::clone(&engine),
        connected,
        migrations,
        operation.tenant.name(),
    )
    .await
}
