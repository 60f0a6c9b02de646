//! A tenant on a server.

use std::sync::Arc;

use diesel::migration::MigrationSource;

use super::Asked;
use crate::backend::ConnectError;
use crate::backend::driver::Driver;
use crate::backend::namespace::{Namespace, Presence};
use crate::bind::Bind;
use crate::cause::DriverError;
use crate::engine::AcquireError;
use crate::registry::migrate::{BackendOf, Connected, MigrateReport, run_on};
use crate::registry::{CreateTenantError, DropTenantError, MigrateError};
use crate::settings::EngineSettings;

pub(super) async fn create<B: Bind>(
    asked: &Asked<B>,
    settings: EngineSettings,
    namespace: Namespace,
    migrations: impl MigrationSource<BackendOf<B>> + Send + 'static,
) -> Result<MigrateReport, CreateTenantError> {
    let mut admin =
        administer(asked, &settings, &namespace).await.map_err(|error| match error {
            NotAdministered::Acquire(error) => CreateTenantError::Acquire(error),
            NotAdministered::Lock(error) => asked.not_created(error.into()),
        })?;
    let refused = |error: diesel::result::Error| asked.not_created(error.into());
    match admin.connection().find_namespace(&namespace).await {
        Ok(Presence::There) => return Err(asked.exists()),
        Ok(Presence::Missing | Presence::Unfinished) => {}
        Err(error) => return Err(refused(error)),
    }
    let begun = match admin.connection().begin_namespace(&namespace).await {
        Ok(begun) => begun,
        // Made meanwhile by somebody who does not wait for others.
        Err(error) => match admin.connection().find_namespace(&namespace).await {
            Ok(Presence::There) => return Err(asked.exists()),
            _ => return Err(refused(error)),
        },
    };
    let finished = match migrate(asked, &settings, &begun, migrations).await {
        Ok(report) => match admin.connection().finish_namespace(&begun, &namespace).await {
            Ok(()) => return Ok(report),
            Err(error) => match admin.connection().find_namespace(&namespace).await {
                Ok(Presence::There) if begun != namespace => asked.exists(),
                _ => refused(error),
            },
        },
        Err(source) => asked.not_migrated(source),
    };
    match undo(asked, &settings, &namespace, &begun, admin).await {
        Ok(Undone::Removed) => Err(finished),
        Ok(Undone::OfAnother) => Err(asked.exists()),
        Err(source) => Err(asked.not_undone(finished, source)),
    }
}

pub(super) async fn remove<B: Bind>(
    asked: &Asked<B>,
    settings: EngineSettings,
    namespace: Namespace,
) -> Result<(), DropTenantError> {
    let mut admin =
        administer(asked, &settings, &namespace).await.map_err(|error| match error {
            NotAdministered::Acquire(error) => DropTenantError::Acquire(error),
            NotAdministered::Lock(error) => asked.not_dropped(error.into()),
        })?;
    let refused = |error: diesel::result::Error| asked.not_dropped(error.into());
    if admin.connection().find_namespace(&namespace).await.map_err(refused)? == Presence::Missing {
        return Err(asked.unknown());
    }
    asked.close_engines().await?;
    admin.connection().remove_namespace(&namespace).await.map_err(refused)
}

/// What there is when nothing of what was begun is left.
enum Undone {
    Removed,
    /// Somebody else has created the tenant since.
    OfAnother,
}

/// Removes what was begun, with another connection if the first one is gone.
async fn undo<B: Bind>(
    asked: &Asked<B>,
    settings: &EngineSettings,
    namespace: &Namespace,
    begun: &Namespace,
    mut admin: Connected<B::Connection>,
) -> Result<Undone, DriverError> {
    let Err(error) = admin.connection().remove_namespace(begun).await else {
        return Ok(Undone::Removed);
    };
    // Its lock goes with it, so others may have created the tenant before this has the lock again.
    drop(admin);
    let Ok(mut admin) = administer(asked, settings, namespace).await else {
        return Err(error.into());
    };
    match admin.connection().find_namespace(namespace).await? {
        Presence::Missing => Ok(Undone::Removed),
        Presence::Unfinished => {
            admin.connection().remove_namespace(begun).await?;
            Ok(Undone::Removed)
        }
        Presence::There if begun != namespace => {
            admin.connection().remove_namespace(begun).await?;
            Ok(Undone::OfAnother)
        }
        // What was begun has the same name, so it cannot be told whose that is.
        Presence::There => Err(error.into()),
    }
}

async fn migrate<B: Bind>(
    asked: &Asked<B>,
    settings: &EngineSettings,
    begun: &Namespace,
    migrations: impl MigrationSource<BackendOf<B>> + Send + 'static,
) -> Result<MigrateReport, MigrateError> {
    let mut settings = settings.clone();
    let schema = match begun {
        Namespace::Database(name) => {
            settings.url = settings.url.at_database(name);
            None
        }
        Namespace::Schema(name) => Some(name.as_str()),
    };
    let (engine, connected) = asked.connect(&settings, schema).await?;
    let runtime = asked.runtime.clone();
    run_on(&asked.registry, runtime, Arc::clone(&engine), connected, migrations).await
}

/// Why a server cannot be administered.
enum NotAdministered {
    Acquire(AcquireError),
    Lock(diesel::result::Error),
}

/// A connection from which that namespace can be made and dropped, which nobody else does meanwhile.
async fn administer<B: Bind>(
    asked: &Asked<B>,
    settings: &EngineSettings,
    namespace: &Namespace,
) -> Result<Connected<B::Connection>, NotAdministered> {
    let mut settings = settings.clone();
    // They are for the databases of tenants.
    settings.options.on_connect.clear();
    let databases: &[&str] = match namespace {
        Namespace::Schema(_) => &[],
        Namespace::Database(_) => B::Connection::MAINTENANCE_DATABASES,
    };
    let mut urls: Vec<_> = databases.iter().map(|name| settings.url.at_database(name)).collect();
    if urls.is_empty() {
        urls.push(settings.url.clone());
    }
    let mut connected = None;
    for url in urls {
        settings.url = url;
        match asked.connect(&settings, None).await {
            Err(error) if is_unknown_database(&error) && connected.is_none() => {
                connected = Some(Err(error));
            }
            outcome => {
                connected = Some(outcome);
                break;
            }
        }
    }
    let Some(connected) = connected else { unreachable!("there is a URL") };
    let (_, mut admin) = connected.map_err(NotAdministered::Acquire)?;
    admin.connection().lock_namespace(namespace).await.map_err(NotAdministered::Lock)?;
    Ok(admin)
}

fn is_unknown_database(error: &AcquireError) -> bool {
    matches!(error, AcquireError::Connect { source, .. }
        if matches!(**source, ConnectError::UnknownDatabase(_)))
}
