//! [`Databases`]: what a program tells the command line, and the start of each command.

use std::fmt;
use std::panic::Location;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use diesel::migration::MigrationSource;
use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::runtime::Handle;

use super::command::{DatabaseArgs, DatabaseCommand, DatabaseSubcommand};
use super::exit::{Caused, Exit, Failure, Outcome};
use super::output::Output;
use super::{check, completions, create, drop, migrate, revert, shell, status, url, verify};
use crate::backend::ConnectError;
use crate::bind::Bind;
use crate::cause::DriverError;
use crate::engine::AcquireError;
use crate::registry::{
    DieselBackend, HeldLedger, KnownMigrations, LedgerBind, Located, MigrateError,
    MigrateTenantsError, NameStream, Registry, Tenancy, Tenant, TenantNames, known, ledger_in,
};
use crate::settings::BindKey;
use crate::settings::url::SqliteFile;

/// The databases of a program, on which a [`DatabaseCommand`] is run.
///
/// See the [module](super) for a whole program.
#[must_use = "nothing is done until `run` is awaited"]
pub struct Databases {
    pub(super) registry: Registry,
    /// In the order in which the program names them.
    migrations: Vec<Arc<dyn KnownMigrations>>,
    /// Taken by the command that reads them.
    tenants: Mutex<Option<NameStream>>,
    pub(super) ledger: Option<Arc<dyn LedgerBind>>,
    /// Where the program has made this value. It is named where a write waits for another one.
    pub(super) place: &'static Location<'static>,
    program: Option<fn() -> clap::Command>,
}

impl Databases {
    /// The databases of a registry, with the migrations that its builder was told
    /// ([`RegistryBuilder::migrations`](crate::RegistryBuilder::migrations)).
    #[track_caller]
    pub fn new(registry: &Registry) -> Self {
        Self {
            registry: registry.clone(),
            migrations: Vec::new(),
            tenants: Mutex::new(None),
            ledger: None,
            place: Location::caller(),
            program: None,
        }
    }

    /// The migrations of a bind. Binds are migrated in the order in which their migrations are named here, and after them
    /// those whose migrations only the registry's builder was told, in the order of their keys.
    ///
    /// If they are named twice for one bind, the last ones count, and those that are named here before those of the builder.
    #[track_caller]
    pub fn migrations<B: Bind>(
        mut self,
        migrations: impl MigrationSource<DieselBackend<B>> + Send + 'static,
    ) -> Self {
        let migrations = known::<B>(migrations);
        match self.migrations.iter_mut().find(|known| known.key() == migrations.key()) {
            Some(before) => *before = migrations,
            None => self.migrations.push(migrations),
        }
        self
    }

    /// The names of all tenants, for `--all-tenants`. A list becomes a stream by
    /// [`tenant_names`](crate::tenant::tenant_names).
    ///
    /// The stream is polled once the binds that have one database are migrated, so it can read the names from one of
    /// them. If several binds have a database or schema for each tenant, all names are kept in memory meanwhile; with one
    /// such bind, only those that are at work are.
    pub fn tenants(self, names: impl TenantNames) -> Self {
        Self { tenants: Mutex::new(Some(names.into_names())), ..self }
    }

    /// Notes in a table of the bind `L` which tenants are up to date, so that `migrate --all-tenants` connects to the
    /// others only, and no two such runs are at work at a time. See [`MigrateTenants::ledger`](crate::MigrateTenants::ledger).
    ///
    /// `revert`, `redo` and `drop` delete what it has noted of the tenants that they change.
    pub fn ledger<L: Bind>(self) -> Self {
        Self { ledger: Some(ledger_in::<L>()), ..self }
    }

    /// Names the program's own arguments, of which `completions` prints the completions. Without it, they are those of the
    /// commands alone, as subcommands of the program.
    pub fn program<P: clap::CommandFactory>(mut self) -> Self {
        self.program = Some(P::command);
        self
    }

    /// Runs a command and returns its exit code, whose meaning is in the table of the [module](super).
    ///
    /// Results go to standard output; progress, questions and errors to standard error. The future has to be polled in a
    /// Tokio runtime with all drivers (`enable_all`, as `#[tokio::main]` does).
    ///
    /// Ctrl-C and SIGTERM do not end a run of migrations at once: the migration that is being run comes to its end (with
    /// `--all-tenants`, all migrations of the tenants that are at work), nothing new begins, and what was done is printed. `create`
    /// and `drop` end in the same way. A second Ctrl-C ends the process. Dropping the future drops the
    /// operation: see there what goes on ([`Registry::migrate`], [`Registry::create_tenant`]).
    pub async fn run(self, command: DatabaseCommand) -> ExitCode {
        let output = Output::of_process(command.0.wants_json());
        let outcome = match Handle::try_current() {
            Ok(_) => self.dispatch(&output, command.0).await,
            Err(_) => Err(Failure::usage("commands can only be run inside a Tokio runtime")),
        };
        let exit = match outcome {
            Ok(exit) => exit,
            Err(failure) => {
                output.failure(&failure);
                failure.exit
            }
        };
        output.finish(exit).into()
    }

    async fn dispatch(mut self, output: &Output, command: DatabaseSubcommand) -> Outcome {
        for known in self.registry.known_migrations() {
            if self.migrations.iter().all(|named| named.key() != known.key()) {
                self.migrations.push(Arc::clone(known));
            }
        }
        match command {
            DatabaseSubcommand::Status(arguments) => status::run(&self, output, &arguments).await,
            DatabaseSubcommand::Migrate(arguments) => migrate::run(&self, output, &arguments).await,
            DatabaseSubcommand::Revert(arguments) => {
                revert::revert(&self, output, &arguments).await
            }
            DatabaseSubcommand::Redo(arguments) => revert::redo(&self, output, &arguments).await,
            DatabaseSubcommand::Create(arguments) => create::run(&self, output, &arguments).await,
            DatabaseSubcommand::Drop(arguments) => drop::run(&self, output, &arguments).await,
            DatabaseSubcommand::Verify(_) => verify::run(&self, output).await,
            DatabaseSubcommand::Check(arguments) => check::run(&self, output, &arguments).await,
            DatabaseSubcommand::Url(arguments) => url::run(&self, output, &arguments).await,
            DatabaseSubcommand::Shell(arguments) => shell::run(&self, output, arguments).await,
            DatabaseSubcommand::Completions(arguments) => {
                completions::run(self.program, arguments.shell)
            }
        }
    }

    /// The database that the arguments name.
    pub(super) async fn locate(&self, arguments: &DatabaseArgs) -> Result<Located, Failure> {
        let tenancy = self.tenancy(&arguments.bind)?;
        let tenant = self.checked_tenant(&arguments.bind, tenancy, arguments.tenant.as_deref())?;
        Ok(self.registry.locate(&arguments.bind, tenant.as_ref()).await?)
    }

    /// Whether the bind has one database, or one for each tenant.
    pub(super) fn tenancy(&self, key: &str) -> Result<Tenancy, Failure> {
        let overview = self.registry.overview();
        match overview.iter().find(|bind| bind.key == *key) {
            Some(bind) => Ok(bind.tenancy),
            None => Err(Failure::with_exit(Exit::Usage, self.registry.unknown_bind(key))),
        }
    }

    /// The tenant that the arguments name, if the bind has tenants, and `None` if it has none.
    pub(super) fn checked_tenant(
        &self,
        key: &str,
        tenancy: Tenancy,
        name: Option<&str>,
    ) -> Result<Option<Tenant>, Failure> {
        match (tenancy, name) {
            (Tenancy::Single, None) => Ok(None),
            (Tenancy::Single, Some(_)) => Err(self.one_for_all_tenants(key)),
            (_, None) => Err(self.needs_tenant(key)),
            (_, Some(name)) => Ok(Some(self.tenant(name)?)),
        }
    }

    pub(super) fn tenant(&self, name: &str) -> Result<Tenant, Failure> {
        self.registry.tenant(name).map_err(|error| Failure::with_exit(Exit::Usage, error))
    }

    pub(super) fn needs_tenant(&self, key: &str) -> Failure {
        Failure::usage(format!(
            "bind `{key}` has a database or schema for each tenant: add --tenant NAME"
        ))
    }

    pub(super) fn one_for_all_tenants(&self, key: &str) -> Failure {
        Failure::usage(format!("bind `{key}` has one database for all tenants: leave out --tenant"))
    }

    /// The names of all tenants, as a stream for each of `binds` binds.
    pub(super) async fn names(&self, binds: usize) -> Result<Vec<NameStream>, Failure> {
        let names = self.tenants.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(names) = names else { return Err(no_names()) };
        if binds <= 1 {
            return Ok(vec![names]);
        }
        let read: Result<Vec<Box<str>>, DriverError> = names.try_collect().await;
        let read =
            read.map_err(|error| Caused::new("the names of the tenants could not be read", error))?;
        let stream = || Box::pin(stream::iter(read.clone()).map(Ok)) as NameStream;
        Ok((0..binds).map(|_| stream()).collect())
    }

    /// Refuses `--all-tenants` if the program has not said which they are.
    pub(super) fn check_names(&self) -> Result<(), Failure> {
        match &*self.tenants.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(_) => Ok(()),
            None => Err(no_names()),
        }
    }

    /// Makes a change after which a tenant may lack migrations that the ledger has noted, and deletes its row. Meanwhile, no
    /// run over all tenants notes anything: it would note the tenant as it was before.
    pub(super) async fn forgetting<T>(
        &self,
        key: BindKey,
        tenant: &str,
        change: impl Future<Output = T>,
    ) -> Result<T, Failure> {
        let Some(mut ledger) = self.held_ledger(key).await? else { return Ok(change.await) };
        // Before the change, in case that this process is killed.
        ledger.forget(tenant).await.map_err(|error| self.unusable_ledger(key, error))?;
        let changed = change.await;
        // And after it, in case that the lease was lost.
        let forgotten = ledger.forget(tenant).await;
        ledger.release().await;
        forgotten.map_err(|error| self.unusable_ledger(key, error))?;
        Ok(changed)
    }

    /// The ledger, if there is one, with its lease.
    async fn held_ledger(&self, key: BindKey) -> Result<Option<HeldLedger>, Failure> {
        let Some(ledger) = &self.ledger else { return Ok(None) };
        // Connecting would create an empty file.
        if let Ok(Located { settings, .. }) = self.registry.locate(&ledger.key(), None).await
            && let Some(path) = settings.url_to_migrate().sqlite_file().and_then(SqliteFile::path)
            && !path.exists()
        {
            return Ok(None);
        }
        match HeldLedger::take(&self.registry, &**ledger, key, self.place).await {
            Ok(ledger) => Ok(Some(ledger)),
            Err(MigrateTenantsError::Ledger { source, .. }) if lacks_database(&source) => Ok(None),
            Err(MigrateTenantsError::Ledger { source, .. }) => {
                Err(self.unusable_ledger(key, source))
            }
            Err(error @ MigrateTenantsError::LeaseHeld { .. }) => {
                Err(Failure::with_exit(Exit::LeaseHeld, error))
            }
            Err(error) => Err(error.into()),
        }
    }

    fn unusable_ledger(&self, key: BindKey, source: DriverError) -> Failure {
        let ledger = self.ledger.as_ref().map_or(key, |ledger| ledger.key());
        let message = format!("bind `{key}`: the ledger in bind `{ledger}` cannot be used");
        Caused::new(message, source).into()
    }

    /// The migrations of a bind.
    pub(super) fn known(&self, key: &str) -> Result<&Arc<dyn KnownMigrations>, Failure> {
        self.tenancy(key)?;
        self.migrations_of(key).ok_or_else(|| {
            Failure::usage(format!("the program does not say which migrations bind `{key}` has"))
        })
    }

    /// The migrations of a bind, if the program has named them.
    pub(super) fn migrations_of(&self, key: &str) -> Option<&Arc<dyn KnownMigrations>> {
        self.migrations.iter().find(|known| known.key() == *key)
    }

    pub(super) fn has_migrations(&self) -> bool {
        !self.migrations.is_empty()
    }

    /// The place of a bind in the order in which the program names the migrations.
    pub(super) fn place_of(&self, key: &str) -> Option<usize> {
        self.migrations.iter().position(|known| known.key() == *key)
    }

    /// The migrations of all binds.
    pub(super) fn all_known(&self) -> Result<&[Arc<dyn KnownMigrations>], Failure> {
        if self.migrations.is_empty() {
            return Err(Failure::usage("the program does not say which migrations its binds have"));
        }
        // The settings may have no bind of that key, which is a mistake of the program.
        for known in &self.migrations {
            self.tenancy(&known.key())?;
        }
        Ok(&self.migrations)
    }
}

/// Whether the ledger's database does not exist, so that there is nothing in it.
fn lacks_database(error: &DriverError) -> bool {
    let error = match error.downcast_ref() {
        Some(MigrateError::Acquire(error)) => Some(error),
        _ => error.downcast_ref::<AcquireError>(),
    };
    matches!(error, Some(AcquireError::Connect { source, .. })
        if matches!(**source, ConnectError::UnknownDatabase(_)))
}

impl fmt::Debug for Databases {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Databases")
            .field("registry", &self.registry)
            .field("migrations", &self.migrations)
            .field("ledger", &self.ledger)
            .finish_non_exhaustive()
    }
}

fn no_names() -> Failure {
    Failure::usage("the program does not say which tenants there are: name them by --tenant")
}
