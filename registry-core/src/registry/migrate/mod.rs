//! Running migrations.

use std::any::Any;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use diesel::migration::MigrationSource;
use diesel_async::AsyncConnectionCore;
use diesel_migrations::FileBasedMigrations;
use serde::Serialize;
use tokio::runtime::Handle;
use tokio::time::Instant;

use super::{Registry, Route};
use crate::backend::Backend;
use crate::backend::migrate::{MakesRoom, Migrated, MigrationFailure, Migrations, Run};
use crate::backend::resource_exhaustion::{can_read_files, lacks_files};
use crate::bind::Bind;
use crate::cause::DriverError;
use crate::engine::{AcquireError, AnyEngine, Checkout, EngineUse, TypedEngine};
use crate::settings::{BindKey, Pooler};

mod error;

pub use error::MigrateError;

/// What a run of migrations did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct MigrateReport {
    /// The bind key.
    pub key: BindKey,
    /// The names of the migrations that were run, in order.
    pub applied: Vec<String>,
    /// How many had been run before.
    pub skipped: usize,
}

impl fmt::Display for MigrateReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, applied, skipped } = self;
        let run = applied.len();
        write!(f, "bind `{key}`: migrations run now: {run}, before: {skipped}")?;
        for name in applied {
            write!(f, "\n  {name}")?;
        }
        Ok(())
    }
}

/// The backend of a bind, as Diesel knows it.
pub(super) type BackendOf<B> = <<B as Bind>::Connection as AsyncConnectionCore>::Backend;

/// Runs the pending ones of `source` on the engine that `route` leads to.
pub(super) async fn migrate<B: Bind>(
    registry: &Registry,
    route: Route<'_>,
    source: impl MigrationSource<BackendOf<B>> + Send + 'static,
) -> Result<MigrateReport, MigrateError> {
    let key = route.bind_key::<B>();
    let Ok(runtime) = Handle::try_current() else {
        return Err(MigrateError::NoRuntime { key });
    };
    let started = Instant::now();
    let (engine, connected) = loop {
        let found = route.open::<B>(registry, started, None).await.map_err(not_found)?;
        let (used, schema) = (found.engine, found.schema);
        let engine = Arc::clone(used.engine());
        if engine.settings().is_isolated {
            return Err(MigrateError::Isolated { key });
        }
        let settings = engine.settings();
        if settings.options.pooler != Pooler::None && settings.migrate_url.is_none() {
            return Err(MigrateError::Pooler { key });
        }
        match Connected::open(used, schema.as_deref()).await {
            Err(error) if error.lacks_resources() => {
                let limit = engine.settings().options.acquire_timeout;
                drop(engine);
                if !registry.gives_way(started, limit).await {
                    return Err(route.told::<B>(error).into());
                }
            }
            connected => break (engine, connected.map_err(|error| route.told::<B>(error))?),
        }
    };
    let Some(connected) = connected else {
        return Err(route.unknown_schema::<B>().into());
    };
    run_on(registry, runtime, engine, connected, source).await
}

/// Runs the pending ones of `source` on that connection of that engine.
pub(super) async fn run_on<C: Backend>(
    registry: &Registry,
    runtime: Handle,
    engine: Arc<TypedEngine<C>>,
    connected: Connected<C>,
    source: impl MigrationSource<C::Backend> + Send + 'static,
) -> Result<MigrateReport, MigrateError> {
    let key = engine.settings().key;
    let files = Files {
        registry: registry.clone(),
        started: Instant::now(),
        limit: engine.settings().options.acquire_timeout,
        are_read: (&source as &dyn Any).is::<FileBasedMigrations>(),
    };
    let work = move || connected.run(|connection| run(connection, &engine, &source, &files));
    // Diesel's migrations block. On a thread where that is allowed they run under any kind of runtime,
    // and come to their end even if the caller goes away.
    match runtime.spawn_blocking(work).await {
        Ok(result) => result,
        Err(_) => Err(MigrateError::Panicked { key, migration: None, applied: Vec::new() }),
    }
}

/// Runs the pending ones of `source` on `connection`, with no other process in between.
fn run<C: Backend>(
    mut connection: C,
    engine: &TypedEngine<C>,
    source: &impl MigrationSource<C::Backend>,
    files: &Files,
) -> (C, Result<MigrateReport, MigrateError>) {
    let key = engine.settings().key;
    let url = engine.settings().url_to_migrate();
    let _lock = match files.with_files(|| connection.lock_migrations(url)) {
        Ok(lock) => lock,
        Err(source) => return (connection, Err(MigrateError::Lock { key, source })),
    };
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

/// Of two migrations of one version, only one would ever be run; and what the table of versions does not take is found
/// out when the migration has run, which MySQL does not undo.
fn check_versions<C: Backend>(
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

/// The open files of this process, of which engines that nobody uses may give some back.
struct Files {
    registry: Registry,
    started: Instant,
    limit: Duration,
    /// Whether the migrations are in files.
    are_read: bool,
}

impl Files {
    /// False if nobody has any to give, or no time is left.
    fn gives_way(&self) -> bool {
        Handle::current().block_on(self.registry.gives_way(self.started, self.limit))
    }

    /// Runs `read`, which opens files before it does anything else, and again when there are some.
    fn with_files<T>(
        &self,
        mut read: impl FnMut() -> Result<T, DriverError>,
    ) -> Result<T, DriverError> {
        loop {
            self.make_room();
            match read() {
                Err(error) if self.makes_room_for(&error) => {}
                outcome => return outcome,
            }
        }
    }
}

impl MakesRoom for Files {
    fn make_room(&self) {
        // Diesel takes a `metadata.toml` that cannot be opened for one that is not there.
        while self.are_read && !can_read_files() && self.gives_way() {}
    }

    fn makes_room_for(&self, error: &DriverError) -> bool {
        lacks_files(error) && self.gives_way()
    }
}

/// Why there is no engine to migrate.
fn not_found(error: AcquireError) -> MigrateError {
    match error {
        AcquireError::UnknownBind(error) => MigrateError::UnknownBind(error),
        AcquireError::WrongBackend(error) => MigrateError::WrongBackend(error),
        AcquireError::NoTenant { key } => MigrateError::NoTenant { key },
        error => MigrateError::Acquire(error),
    }
}

/// A connection to migrate on.
pub(super) enum Connected<C: Backend> {
    /// One of its own, so that neither a full pool nor a limit on statements is in the way. The
    /// engine is not closed meanwhile.
    Own(C, EngineUse<TypedEngine<C>>),
    /// The only one that an in-memory database has.
    Lent(Checkout<C>),
}

impl<C: Backend> Connected<C> {
    /// `None` if there is no such schema.
    pub(super) async fn open(
        engine: EngineUse<TypedEngine<C>>,
        schema: Option<&str>,
    ) -> Result<Option<Self>, AcquireError> {
        if engine.settings().url.is_memory() {
            let attempt = TypedEngine::try_acquire(engine, &Handle::current(), None)?;
            return Ok(Some(Self::Lent(
                TypedEngine::acquire(attempt, Instant::now(), None, None).await?,
            )));
        }
        let connection = engine.connect_to_migrate(schema).await?;
        // It could be opened, so it is kept.
        engine.use_count().note_checkout();
        Ok(connection.map(|connection| Self::Own(connection, engine)))
    }

    pub(super) fn connection(&mut self) -> &mut C {
        match self {
            Self::Own(connection, _) => connection,
            Self::Lent(checkout) => checkout.connection_mut(),
        }
    }

    /// Hands the connection to `work`, which gives it back.
    fn run<R>(self, work: impl FnOnce(C) -> (C, R)) -> R {
        match self {
            // Closing the connection lets go of the locks that the server keeps for it.
            Self::Own(connection, _engine) => work(connection).1,
            Self::Lent(mut checkout) => checkout.with_owned_connection(work),
        }
    }
}
