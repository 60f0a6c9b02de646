//! A run of migrations, in a thread where it may block.

use std::any::Any;
use std::collections::HashMap;
use std::sync::Arc;

use diesel::migration::MigrationSource;
use diesel_migrations::FileBasedMigrations;
use tokio::runtime::Handle;
use tokio::time::Instant;

use super::connection::MigrationConnection;
use super::error::MigrateError;
use super::files::FileDescriptors;
use super::report::MigrateReport;
use crate::backend::Backend;
use crate::backend::migrate::{Migrated, MigrationFailure, Migrations, Run};
use crate::engine::{AnyEngine, TypedEngine, WriteRequest};
use crate::registry::handle::Registry;
use crate::settings::BindKey;

/// Runs the pending migrations of `source` on this connection of this engine, under the lock that keeps other processes from
/// migrating the database. Takes a turn for `write`, if the database has one writer at a time.
///
/// Cancellation: it can be dropped while it waits for the lock or for the turn. The migrations run in a thread of their own, to
/// their end, even if this future is dropped.
pub(crate) async fn run_migrations<C: Backend>(
    registry: &Registry,
    runtime: Handle,
    engine: Arc<TypedEngine<C>>,
    mut connection: MigrationConnection<C>,
    source: impl MigrationSource<C::Backend> + Send + 'static,
    write: Option<WriteRequest>,
) -> Result<MigrateReport, MigrateError> {
    let key = engine.settings().key;
    let limit = engine.settings().options.acquire_timeout;
    let are_in_files = (&source as &dyn Any).is::<FileBasedMigrations>();
    let files = FileDescriptors::new(registry.clone(), limit, are_in_files);
    let panicked = |_| MigrateError::Panicked { key, migration: None, applied: Vec::new() };
    // Diesel's migrations and the lock block, so they run in a thread for blocking work. That works in every kind of
    // runtime.
    let locked_engine = Arc::clone(&engine);
    let locking = move || {
        let url = locked_engine.settings().url_to_migrate();
        let lock = files.with_files(|| connection.connection().lock_migrations(url));
        (connection, files, lock)
    };
    let (connection, files, lock) = runtime.spawn_blocking(locking).await.map_err(panicked)?;
    let lock = lock.map_err(|source| MigrateError::Lock { key, source })?;
    // After the lock, so that the writers of this process do not wait for the migrations of another one.
    let turn = engine.wait_for_turn(write, Instant::now(), None).await?;
    let work = move || {
        let _held = (turn, lock);
        connection.run(|connection| run(connection, &engine, &source, &files))
    };
    runtime.spawn_blocking(work).await.map_err(panicked)?
}

/// Runs the pending migrations of `source`. The caller has locked the migrations.
fn run<C: Backend>(
    connection: C,
    engine: &TypedEngine<C>,
    source: &impl MigrationSource<C::Backend>,
    files: &FileDescriptors,
) -> (C, Result<MigrateReport, MigrateError>) {
    let key = engine.settings().key;
    let migrations = match files.with_files(|| source.migrations()) {
        Ok(migrations) => migrations,
        Err(source) => return (connection, Err(MigrateError::List { key, source })),
    };
    if let Err(error) = check_versions::<C>(key, &migrations) {
        return (connection, Err(error));
    }
    let (connection, migrated) = connection.migrate(Run {
        migrations,
        bind: key,
        on_connect: &engine.settings().options.on_connect,
        files,
    });
    let Migrated { applied, skipped, failure } = migrated;
    let result = match failure {
        None => Ok(MigrateReport { key, applied, skipped }),
        Some(failure) => Err(failed(key, applied, failure)),
    };
    (connection, result)
}

/// Checks the versions before anything runs. If two migrations have the same version, only one of them would ever be
/// run. A version that is too long for the table of versions would cause an error only after the migration, which MySQL
/// does not undo.
pub(crate) fn check_versions<C: Backend>(
    key: BindKey,
    migrations: &Migrations<C::Backend>,
) -> Result<(), MigrateError> {
    let mut names = HashMap::new();
    for migration in migrations {
        let (version, name) = (migration.name().version(), migration.name().to_string());
        let version = version.to_string();
        if let Some(limit) = C::MAX_VERSION_LENGTH.filter(|limit| version.chars().count() > *limit)
        {
            let (version, migration) = (version.into(), name.into());
            return Err(MigrateError::VersionTooLong { key, migration, version, limit });
        }
        if let Some(other) = names.insert(C::version_key(&version), name.clone()) {
            let mut migrations = [other, name];
            migrations.sort();
            return Err(MigrateError::SameVersion { key, version, migrations });
        }
    }
    Ok(())
}

fn failed(key: BindKey, applied: Vec<String>, failure: MigrationFailure) -> MigrateError {
    match failure {
        MigrationFailure::List(source) => MigrateError::List { key, source },
        MigrationFailure::Taken { version, migration, applied, by } => MigrateError::VersionTaken {
            key,
            version: version.into(),
            migration: migration.into(),
            applied_as: applied.into(),
            applied_by: by.into(),
        },
        MigrationFailure::Run { migration, source, in_part } => {
            MigrateError::Migration { key, migration, applied, in_part, source }
        }
        MigrationFailure::Panicked { migration } => {
            MigrateError::Panicked { key, migration: Some(migration), applied }
        }
    }
}
