//! A run of migrations, in a thread where it may block.

use std::collections::HashMap;
use std::sync::Arc;

use diesel::migration::MigrationSource;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::connection::MigrationConnection;
use super::error::MigrateError;
use super::files::FileDescriptors;
use super::known::MigrationsDigest;
use super::options::MigrateOptions;
use super::report::MigrateReport;
use super::source::SharedSource;
use super::status::MigrationStatus;
use crate::backend::Backend;
use crate::backend::migrate::{
    Change, Direction, Limits, Migrated, MigrationFailure, Migrations, Run,
};
use crate::engine::{AnyEngine, TypedEngine, WriteRequest, wait_until};
use crate::registry::handle::Registry;
use crate::settings::BindKey;

/// The bind whose migrations they are, and the tenant whose database it is. Several binds can share an engine, so the engine
/// does not know the bind.
#[derive(Debug, Clone)]
pub(crate) struct Subject {
    pub(crate) key: BindKey,
    pub(crate) tenant: Option<String>,
}

/// A change to make on a connection.
pub(crate) struct ChangeTask<C: Backend> {
    pub(crate) subject: Subject,
    pub(crate) source: SharedSource<C>,
    pub(crate) change: Change,
    pub(crate) options: MigrateOptions,
    /// When the change has to end.
    pub(super) end: Option<Instant>,
}

impl<C: Backend> ChangeTask<C> {
    /// A change whose time begins now.
    pub(crate) fn new(
        subject: Subject,
        source: SharedSource<C>,
        change: Change,
        options: MigrateOptions,
    ) -> Self {
        let end = options.end();
        Self { subject, source, change, options, end }
    }
}

/// Runs the pending migrations of `source` on this connection of this engine, for the first time in a new database.
pub(crate) async fn run_migrations<C: Backend>(
    registry: &Registry,
    runtime: Handle,
    engine: Arc<TypedEngine<C>>,
    connection: MigrationConnection<C>,
    source: impl MigrationSource<C::Backend> + Send + 'static,
    tenant: &str,
) -> Result<MigrateReport, MigrateError> {
    // The engine is the tenant's alone.
    let key = engine.settings().key;
    let subject = Subject { key, tenant: Some(tenant.to_owned()) };
    let task =
        ChangeTask::new(subject, SharedSource::new(source), Change::Run, MigrateOptions::default());
    make_change(registry, runtime, engine, connection, task, None).await
}

/// Makes a change on this connection of this engine, under the lock that keeps other processes from migrating the database.
/// Takes a turn for `write`, if the database has one writer at a time.
///
/// It returns when the connection is closed: SQLite locks the file while the last connection to it is being closed, and a
/// program that does not wait for locks, such as Diesel's command-line tool, would fail right after this.
///
/// Cancellation: it can be dropped while it waits for the lock or for the turn. The migrations run in a thread of their own, to
/// their end, even if this future is dropped.
pub(super) async fn make_change<C: Backend>(
    registry: &Registry,
    runtime: Handle,
    engine: Arc<TypedEngine<C>>,
    connection: MigrationConnection<C>,
    task: ChangeTask<C>,
    write: Option<WriteRequest>,
) -> Result<MigrateReport, MigrateError> {
    let settings = Arc::clone(&engine);
    let changed = change_on(registry, runtime, engine, connection, task, write).await;
    C::wait_until_closed(settings.settings().url_to_migrate()).await;
    changed
}

async fn change_on<C: Backend>(
    registry: &Registry,
    runtime: Handle,
    engine: Arc<TypedEngine<C>>,
    mut connection: MigrationConnection<C>,
    task: ChangeTask<C>,
    write: Option<WriteRequest>,
) -> Result<MigrateReport, MigrateError> {
    let key = task.subject.key;
    let limit = engine.settings().options.acquire_timeout;
    let files = FileDescriptors::new(registry.clone(), limit, task.source.are_in_files());
    let panicked = |_| panicked(key);
    // Diesel's migrations and the lock block, so they run in a thread for blocking work. That works in every kind of
    // runtime.
    let locked_engine = Arc::clone(&engine);
    // Dropped with this future.
    let caller = Arc::new(());
    let waiting = Arc::downgrade(&caller);
    let stop = task.options.stop.clone();
    let locking = move || {
        let url = locked_engine.settings().url_to_migrate();
        let is_awaited = || waiting.strong_count() > 0 && !stop.is_requested();
        let lock = files.with_files(|| connection.connection().lock_migrations(url, &is_awaited));
        (connection, files, lock)
    };
    let too_late = |_| too_late(key, &task.options);
    let locking = runtime.spawn_blocking(locking);
    let locked = wait_until(task.end, locking).await.map_err(too_late)?;
    drop(caller);
    let (connection, files, lock) = locked.map_err(panicked)?;
    if task.options.stop.is_requested() {
        return Err(MigrateError::Stopped {
            key,
            reverted: Box::default(),
            applied: Box::default(),
        });
    }
    let lock = lock.map_err(|source| MigrateError::Lock { key, source })?;
    // After the lock, so that the writers of this process do not wait for the migrations of another one.
    let turn = engine.wait_for_turn(write, Instant::now(), None);
    let turn =
        wait_until(task.end, turn).await.map_err(too_late)?.map_err(|error| error.of_bind(key))?;
    let limits = connection.limits(&task.options, task.end);
    let enforcing = limits
        .time_limit
        .clone()
        .map(|limit| AbortOnDrop(runtime.spawn(async move { limit.enforce().await })));
    let work = move || {
        // Released in this order, after the change.
        let _held = (enforcing, turn, lock);
        let reverts = matches!(task.change, Change::Revert(_) | Change::Redo);
        let changed = connection.run(|connection| run(connection, &engine, task, limits, &files));
        if reverts {
            engine.checked_migrations().forget_all();
        }
        changed
    };
    runtime.spawn_blocking(work).await.map_err(panicked)?
}

/// A task that ends when this is dropped.
struct AbortOnDrop(JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The error of a time limit that was reached before the first migration.
pub(super) fn too_late(key: BindKey, options: &MigrateOptions) -> MigrateError {
    MigrateError::TimeLimit {
        key,
        limit: options.time_limit.unwrap_or_default(),
        migration: None,
        reverted: Box::default(),
        applied: Box::default(),
        in_part: false,
        source: None,
    }
}

pub(crate) fn panicked(key: BindKey) -> MigrateError {
    MigrateError::Panicked { key, migration: None, reverted: Box::default(), applied: Vec::new() }
}

/// Makes a change. The caller has locked the migrations.
fn run<C: Backend>(
    connection: C,
    engine: &TypedEngine<C>,
    task: ChangeTask<C>,
    limits: Limits,
    files: &FileDescriptors,
) -> (C, Result<MigrateReport, MigrateError>) {
    let ChangeTask { subject: Subject { key, tenant }, source, change, options, .. } = task;
    let migrations = match list::<C>(key, &source, files) {
        Ok(migrations) => migrations,
        Err(error) => return (connection, Err(error)),
    };
    if options.expected.is_some_and(|expected| expected != MigrationsDigest::of_list(&migrations)) {
        let source = "the source lists other migrations than when the run over all tenants began";
        return (connection, Err(MigrateError::List { key, source: source.into() }));
    }
    let (connection, migrated) = connection.migrate(Run {
        change: &change,
        migrations,
        bind: key,
        limits,
        on_connect: &engine.settings().options.on_connect,
        files,
    });
    let Migrated { applied, reverted, skipped, failure } = migrated;
    let result = match failure {
        None => Ok(MigrateReport { key, tenant, reverted, applied, skipped }),
        Some(failure) => Err(failed(key, &options, applied, reverted, failure)),
    };
    (connection, result)
}

/// Compares the migrations of the program with what the database has run, and passes both to `read`. Writes nothing.
///
/// Cancellation: it can be dropped. It then ends in a thread.
pub(super) async fn read_status<C: Backend, R: Send + 'static>(
    registry: &Registry,
    runtime: Handle,
    engine: Arc<TypedEngine<C>>,
    connection: MigrationConnection<C>,
    source: SharedSource<C>,
    subject: Subject,
    read: impl FnOnce(MigrationStatus, &Migrations<C::Backend>) -> R + Send + 'static,
) -> Result<R, MigrateError> {
    let Subject { key, tenant } = subject;
    let limit = engine.settings().options.acquire_timeout;
    let files = FileDescriptors::new(registry.clone(), limit, source.are_in_files());
    let closes = connection.is_dedicated();
    let settings = Arc::clone(&engine);
    let work = move || {
        let mut migrations = list::<C>(key, &source, &files)?;
        migrations.sort_by(|a, b| a.name().version().cmp(&b.name().version()));
        let applied = connection.run(C::read_applied);
        let applied = applied.map_err(|source| MigrateError::List { key, source })?;
        let status = MigrationStatus::compare::<C>(key, tenant, &migrations, applied)?;
        Ok(read(status, &migrations))
    };
    let read = runtime.spawn_blocking(work).await.map_err(|_| panicked(key));
    // As after a change.
    if closes {
        C::wait_until_closed(settings.settings().url_to_migrate()).await;
    }
    read?
}

/// The migrations of the program, whose versions are checked.
pub(super) fn list<C: Backend>(
    key: BindKey,
    source: &SharedSource<C>,
    files: &FileDescriptors,
) -> Result<Migrations<C::Backend>, MigrateError> {
    let migrations = files.with_files(|| source.migrations());
    let migrations = migrations.map_err(|source| MigrateError::List { key, source })?;
    check_versions::<C>(key, &migrations)?;
    Ok(migrations)
}

/// Checks the versions before anything runs. If two migrations have the same version, only one of them would ever be
/// run. A version that is too long for the table of versions would cause an error only after the migration, which MySQL
/// does not undo.
pub(super) fn check_versions<C: Backend>(
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

fn failed(
    key: BindKey,
    options: &MigrateOptions,
    applied: Vec<String>,
    reverted: Vec<String>,
    failure: MigrationFailure,
) -> MigrateError {
    let reverted = reverted.into_boxed_slice();
    match failure {
        MigrationFailure::List(source) => MigrateError::List { key, source },
        MigrationFailure::Taken { version, migration, applied, by } => MigrateError::VersionTaken {
            key,
            version: version.into(),
            migration: migration.into(),
            applied_as: applied.into(),
            applied_by: by.into(),
        },
        MigrationFailure::UnknownVersion { version, known } => {
            MigrateError::UnknownVersion { key, version, known }
        }
        MigrationFailure::Irreversible { migration } => {
            MigrateError::Irreversible { key, migration }
        }
        MigrationFailure::NotInProgram { version, name } => {
            MigrateError::NotInProgram { key, version, name }
        }
        MigrationFailure::OfAnotherBind { migration, by } => {
            MigrateError::OfAnotherBind { key, migration, applied_by: by }
        }
        MigrationFailure::Run { migration, direction, source, in_part, tries } => match direction {
            Direction::Up => MigrateError::Migration {
                key,
                migration,
                reverted,
                applied,
                in_part,
                tries,
                source,
            },
            Direction::Down => {
                MigrateError::Revert { key, migration, reverted, in_part, tries, source }
            }
        },
        MigrationFailure::TimeLimit { stopped, in_part } => {
            let limit = options.time_limit.unwrap_or_default();
            let (migration, source) = stopped.unzip();
            MigrateError::TimeLimit {
                key,
                limit,
                migration: migration.map(String::into_boxed_str),
                reverted,
                applied: applied.into(),
                in_part,
                source,
            }
        }
        MigrationFailure::Stopped => {
            MigrateError::Stopped { key, reverted, applied: applied.into() }
        }
        MigrationFailure::Panicked { migration } => {
            MigrateError::Panicked { key, migration: Some(migration), reverted, applied }
        }
    }
}
