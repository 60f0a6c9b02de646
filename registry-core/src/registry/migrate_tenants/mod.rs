//! Migrating the databases of all tenants of a bind.
//!
//! | file | what it has |
//! |---|---|
//! | this file | [`MigrateTenants`], the options of a run, and its future |
//! | `names` | [`TenantNames`]: the stream of names |
//! | `run` | the run: which tenant is migrated when, and when it stops |
//! | `ledger` | the tables in which a run notes what it has done, and the lease that keeps two runs apart |
//! | `digest`, `shared` | the digest of a set of migrations; a source that all tenants share |
//! | `report`, `error` | the outcomes |
//!
//! # Order of the steps
//!
//! A tenant's migrations are committed in its own database before its row is written to the ledger. So the ledger may miss
//! a tenant that was migrated, and never has one that was not. A run that was killed is simply begun again: the tenants
//! that the ledger misses are asked for their own tables of versions.

use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use diesel::migration::MigrationSource;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Either, pending, select};
use tokio::runtime::Handle;

use super::bind_entry::BindEntry;
use super::handle::Registry;
use super::migrate::{DieselBackend, MigrateError, check_versions};
use super::route::{Route, check_backend};
use super::tenants::{TenantBind, TenantSource};
use crate::backend::Backend;
use crate::backend::ledger::LedgerScope;
use crate::bind::{self, Bind};
use crate::latch::Latch;
use crate::panicked::caught;
use crate::settings::BindKey;

mod digest;
mod error;
mod ledger;
mod names;
mod report;
mod run;
mod shared;

pub use error::MigrateTenantsError;
pub(crate) use ledger::{LedgerBind, ledger_in};
use names::{Intake, NameStream};
pub use names::{TenantNameItem, TenantNames, tenant_names};
pub use report::{MigrateTenantsReport, TenantFailure, TenantOutcome, TenantResult};
use run::{LedgerTask, OnOutcome, Run, StopSignal, Task};
use shared::SharedSource;

/// How many tenants are migrated at once by default.
const JOBS: usize = 4;

impl Registry {
    /// Runs the pending migrations of the bind `B` in the database of each tenant that `names` gives.
    ///
    /// It returns the options of the run, and the run begins when they are awaited.
    ///
    /// ```rust,standalone_crate
    /// # use diesel::migration::{Migration, MigrationSource};
    /// # struct CrmMigrations;
    /// # impl MigrationSource<diesel::sqlite::Sqlite> for CrmMigrations {
    /// #     fn migrations(&self) -> diesel::migration::Result<Vec<Box<dyn Migration<diesel::sqlite::Sqlite>>>> {
    /// #         Ok(Vec::new())
    /// #     }
    /// # }
    /// # const MIGRATIONS: CrmMigrations = CrmMigrations;
    /// use registry_core::tenant::tenant_names;
    /// use registry_core::{Registry, binds};
    ///
    /// binds! { pub Main: Sqlite = "default"; pub Crm: Sqlite = "crm"; }
    /// // const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations/crm");
    ///
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let folder = folder.path().display();
    /// let registry = Registry::builder()
    ///     .bind("default", format!("sqlite://{folder}/main.db"))
    ///     .bind("crm", format!("sqlite://{folder}/{{tenant}}.db"))
    ///     .build()?;
    /// # for name in ["acme", "globex"] {
    /// #     registry.create_tenant::<Crm>(name, MIGRATIONS).await?;
    /// # }
    /// let report = registry
    ///     .migrate_tenants::<Crm>(tenant_names(["acme", "globex"]), MIGRATIONS)
    ///     .ledger::<Main>() // the second run asks this database alone
    ///     .canary(1) // one tenant first
    ///     .keep_going() // a tenant that fails does not stop the others
    ///     .on_outcome(|outcome| println!("{outcome}")) // acme: 2 migrations run: ..
    ///     .await?;
    /// assert_eq!(report.tenants(), 2);
    /// # assert_eq!(report.up_to_date, 2);
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn migrate_tenants<B: Bind>(
        &self,
        names: impl TenantNames,
        migrations: impl MigrationSource<DieselBackend<B>> + Send + 'static,
    ) -> MigrateTenants<B> {
        MigrateTenants {
            registry: self.clone(),
            names: names.into_names(),
            source: SharedSource::new(migrations),
            options: Options::default(),
            place: Location::caller(),
        }
    }
}

/// A run of migrations over all tenants, to be awaited: see [`Registry::migrate_tenants`].
///
/// # Which tenants, and how many at once
///
/// The names come from a [stream](TenantNames), which is read only as far as names are needed, so memory does not grow with
/// the number of tenants. [`jobs`](Self::jobs) tenants are migrated at once.
///
/// Each tenant is migrated as by [`Tenant::migrate`](crate::Tenant::migrate), under the lock of its own database.
///
/// # When it stops
///
/// After a tenant has failed, no other one is begun, unless the run is to [`keep_going`](Self::keep_going); those that run
/// come to their end. The rest of the stream is read, so that each of its names is reported as
/// [`NotReached`](TenantResult::NotReached). An error in the stream ends it.
///
/// Dropping the future does the same, without reading the rest: what runs comes to its end in the background, as long as
/// the runtime lives, and nothing new is begun.
///
/// # The ledger
///
/// Without a [`ledger`](Self::ledger), each tenant is connected to and asked for its table of versions, which takes long
/// with many tenants even if there is nothing to do. With one, a table in a database of your choice,
/// `__registry_tenant_migrations`, has a row for each tenant. It says by which set of migrations (a digest of their
/// versions, names and `run_in_transaction`), at which URL, and when. Tenants with the same set and URL are not connected
/// to: 10,000 names are one query.
///
/// The ledger is a cache, and the truth is in each tenant's own table of versions. A row is written after the tenant's
/// migrations are committed. A run that was killed is simply begun again, and runs no migration twice.
///
/// What the ledger does not see: a tenant that was migrated or reverted by other means, dropped and created again, or
/// restored from a backup; and, with a [`TenantResolver`](crate::TenantResolver), a tenant that was moved to another
/// database. After that, run with [`recheck`](Self::recheck).
///
/// # Two runs at once
///
/// With a ledger, a run that has something to do holds a lease, and another run over the same bind waits for it. The lease
/// is an advisory lock of PostgreSQL, `GET_LOCK` of MySQL and MariaDB, or a locked file beside a SQLite database
/// (`app.db-tenants-crm.lock`, which stays). It is in the ledger's database, and ends with the process that holds it, also
/// by a kill. The row in `__registry_migration_leases` only names the holder for messages. While a run holds the lease,
/// its connection is checked every few seconds, and used for the ledger's rows. If it is lost, nothing new is begun.
/// Without a ledger, two runs share the work: the lock of each tenant's database keeps them apart.
#[must_use = "nothing is migrated before it is awaited"]
pub struct MigrateTenants<B: Bind> {
    registry: Registry,
    names: NameStream,
    source: SharedSource<DieselBackend<B>>,
    options: Options,
    place: &'static Location<'static>,
}

/// The options of a run.
struct Options {
    jobs: usize,
    canaries: usize,
    keep_going: bool,
    ledger: Option<Arc<dyn LedgerBind>>,
    rechecks: bool,
    wait_for_lease: Option<Duration>,
    on_outcome: Option<OnOutcome>,
    stop: BoxFuture<'static, ()>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            jobs: JOBS,
            canaries: 0,
            keep_going: false,
            ledger: None,
            rechecks: false,
            wait_for_lease: None,
            on_outcome: None,
            stop: pending().boxed(),
        }
    }
}

impl<B: Bind> MigrateTenants<B> {
    /// How many tenants are migrated at once. 4 by default, and at least 1. It is never more than `max_engines` of the
    /// registry, or, with a schema for each tenant, than `max_connections` of the bind.
    pub fn jobs(mut self, jobs: usize) -> Self {
        self.options.jobs = jobs.max(1);
        self
    }

    /// How many tenants are migrated first, one at a time. 0 by default. If one of them fails, nothing else is begun, even
    /// if the run is to [`keep_going`](Self::keep_going).
    ///
    /// Only tenants that had something to run count. Without a ledger, tenants are asked one at a time until so many are
    /// found.
    pub fn canary(mut self, tenants: usize) -> Self {
        self.options.canaries = tenants;
        self
    }

    /// Goes on after a tenant has failed. By default, nothing new is begun then.
    pub fn keep_going(mut self) -> Self {
        self.options.keep_going = true;
        self
    }

    /// Keeps a ledger in the database of the bind `L`, which has no tenants: see [the ledger](Self#the-ledger). None by
    /// default. Its tables are created if they are missing. The connection goes to the `migrate_url` of that bind, if it has
    /// one.
    pub fn ledger<L: Bind>(self) -> Self {
        self.ledger_at(ledger_in::<L>())
    }

    pub(crate) fn ledger_at(mut self, ledger: Arc<dyn LedgerBind>) -> Self {
        self.options.ledger = Some(ledger);
        self
    }

    /// Connects to each tenant, whatever the ledger says, and writes its row again.
    pub fn recheck(mut self) -> Self {
        self.options.rechecks = true;
        self
    }

    /// How long to wait while another run has the lease. By default the `acquire_timeout` of the ledger's bind. Then the
    /// run ends with [`LeaseHeld`](MigrateTenantsError::LeaseHeld).
    pub fn wait_for_lease(mut self, limit: Duration) -> Self {
        self.options.wait_for_lease = Some(limit);
        self
    }

    /// Calls `closure` with the outcome of each tenant as it ends, including those that are not reached, for a progress bar
    /// or a log. It blocks the run, and must not wait.
    pub fn on_outcome(mut self, closure: impl FnMut(&TenantOutcome) + Send + 'static) -> Self {
        self.options.on_outcome = Some(Box::new(closure));
        self
    }

    /// Begins nothing new once `signal` has resolved, such as `tokio::signal::ctrl_c()`. What runs comes to its end, and
    /// the rest is reported as not reached.
    pub fn stop_when(mut self, signal: impl Future<Output = ()> + Send + 'static) -> Self {
        self.options.stop = signal.boxed();
        self
    }
}

impl<B: Bind> IntoFuture for MigrateTenants<B> {
    type Output = Result<MigrateTenantsReport, MigrateTenantsError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        let is_dropped = Arc::new(Latch::default());
        // Set when the caller drops the future. After the end of the run, it has no effect.
        let on_drop = SetOnDrop(Arc::clone(&is_dropped));
        async move {
            let on_drop = on_drop;
            let key = bind::key_of::<B>();
            let Ok(runtime) = Handle::try_current() else {
                return Err(MigrateTenantsError::NoRuntime { key });
            };
            let run =
                runtime.spawn(async move { Run::new(self.prepare(is_dropped).await?).run().await });
            let outcome = run.await.unwrap_or(Err(MigrateTenantsError::Interrupted { key }));
            drop(on_drop);
            outcome
        }
        .boxed()
    }
}

struct SetOnDrop(Arc<Latch>);

impl Drop for SetOnDrop {
    fn drop(&mut self) {
        self.0.set();
    }
}

/// What the settings say of a bind with tenants.
struct Tenants {
    /// How many tenants can be migrated at once.
    max_jobs: u32,
    /// The digest of the place of their databases. Empty if a resolver finds them. `None` if a ledger cannot know what is
    /// in them.
    place: Option<String>,
}

impl<B: Bind> MigrateTenants<B> {
    /// Checks what can be checked before a name is read.
    async fn prepare(self, is_dropped: Arc<Latch>) -> Result<Task, MigrateTenantsError> {
        let Self { registry, names, source, options, place } = self;
        let key = bind::key_of::<B>();
        let tenants = tenants_of::<B>(&registry, key)?;
        let digest = digest_of::<B>(key, source.clone()).await;
        let digest = digest.map_err(|error| MigrateTenantsError::Migrations(Box::new(error)))?;
        let jobs = options.jobs.min(usize::try_from(tenants.max_jobs).unwrap_or(usize::MAX)).max(1);
        let ledger = options.ledger.map(|bind| {
            let (ledger, registry) = (Arc::clone(&bind), registry.clone());
            LedgerTask {
                bind,
                open: Box::new(move || ledger.open(registry.clone(), place)),
                scope: LedgerScope {
                    bind: B::KEY,
                    digest,
                    place: tenants.place.clone().unwrap_or_default(),
                },
                rechecks: options.rechecks || tenants.place.is_none(),
                wait_for_lease: options.wait_for_lease,
            }
        });
        let signal = options.stop;
        let stop = async move {
            let dropped = std::pin::pin!(is_dropped.wait());
            match select(dropped, std::pin::pin!(caught(signal))).await {
                Either::Left(_) => StopSignal::Dropped,
                Either::Right(_) => StopSignal::Requested,
            }
        };
        Ok(Task {
            key,
            names: Intake::new(names),
            migrate: Box::new(move |tenant| {
                migrate_one::<B>(registry.clone(), tenant, source.clone(), place).boxed()
            }),
            jobs,
            canaries: options.canaries,
            keep_going: options.keep_going,
            ledger,
            on_outcome: options.on_outcome,
            stop: stop.boxed(),
        })
    }
}

impl<B: Bind> fmt::Debug for MigrateTenants<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MigrateTenants")
            .field("key", &B::KEY)
            .field("jobs", &self.options.jobs)
            .field("canary", &self.options.canaries)
            .field("keep_going", &self.options.keep_going)
            .field("ledger", &self.options.ledger)
            .finish_non_exhaustive()
    }
}

fn tenants_of<B: Bind>(registry: &Registry, key: BindKey) -> Result<Tenants, MigrateTenantsError> {
    if registry.sqlite_copies().is_some() {
        return Err(MigrateTenantsError::Isolated { key });
    }
    let Some(entry) = registry.0.binds.bind::<B>() else {
        return Err(registry.unknown_bind(&key).into());
    };
    if let Some(found) = entry.backend() {
        check_backend(key, B::Connection::KIND, found)?;
    }
    match entry {
        BindEntry::Single(_) => Err(MigrateTenantsError::NotPerTenant { key }),
        BindEntry::SchemaPerTenant { engine, schema } => {
            let engine = engine.current();
            let settings = engine.settings();
            let url = settings.url_to_migrate().to_string();
            let place = Some(digest::digest([url.as_str(), schema]));
            Ok(Tenants { max_jobs: settings.options.max_connections, place })
        }
        BindEntry::DatabasePerTenant(bind) => {
            Ok(Tenants { max_jobs: registry.0.on_demand.max_engines(), place: place_of(bind) })
        }
    }
}

fn place_of(bind: &TenantBind) -> Option<String> {
    match bind.source() {
        TenantSource::Resolver(_) => Some(String::new()),
        // What is in memory is gone when its engine is closed.
        TenantSource::Template(settings) if settings.url_to_migrate().is_memory() => None,
        TenantSource::Template(settings) => {
            Some(digest::digest([settings.url_to_migrate().to_string().as_str()]))
        }
    }
}

/// The digest of the set of migrations. It reads files, if the migrations are in files.
async fn digest_of<B: Bind>(
    key: BindKey,
    source: SharedSource<DieselBackend<B>>,
) -> Result<String, MigrateError> {
    let reading = tokio::task::spawn_blocking(move || {
        let migrations =
            source.migrations().map_err(|source| MigrateError::List { key, source })?;
        check_versions::<B::Connection>(key, &migrations)?;
        let mut texts: Vec<[String; 3]> = migrations
            .iter()
            .map(|migration| {
                let name = migration.name();
                let runs_in_transaction = migration.metadata().run_in_transaction();
                [name.version().to_string(), name.to_string(), runs_in_transaction.to_string()]
            })
            .collect();
        texts.sort();
        Ok(digest::digest(texts.iter().flatten().map(String::as_str)))
    });
    let panicked = |_| MigrateError::Panicked { key, migration: None, applied: Vec::new() };
    reading.await.map_err(panicked)?
}

async fn migrate_one<B: Bind>(
    registry: Registry,
    tenant: Arc<str>,
    source: SharedSource<DieselBackend<B>>,
    place: &'static Location<'static>,
) -> TenantResult {
    let tenant = match registry.tenant(&tenant) {
        Ok(tenant) => tenant,
        Err(error) => return TenantResult::Failed(error.into()),
    };
    match registry.migrate_along::<B>(Route::Tenant(&tenant), source, place).await {
        Ok(report) if report.applied.is_empty() => TenantResult::UpToDate,
        Ok(report) => TenantResult::Applied(report.applied),
        Err(error) => TenantResult::Failed(TenantFailure::Migrate(Box::new(error))),
    }
}
