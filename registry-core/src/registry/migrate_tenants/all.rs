//! A run over all tenants and its options, without the type of the bind.

use std::fmt;
use std::future::pending;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Either, select};
use secrecy::SecretString;
use sha2::{Digest, Sha256};
use tokio::runtime::Handle;

use super::error::MigrateTenantsError;
use super::ledger::LedgerBind;
use super::names::{Intake, NameStream};
use super::report::{MigrateTenantsReport, TenantFailure, TenantResult};
use super::run::{LedgerTask, OnOutcome, Run, StopSignal, Task};
use crate::backend::ledger::LedgerScope;
use crate::latch::Latch;
use crate::panicked::caught;
use crate::registry::bind_entry::BindEntry;
use crate::registry::handle::Registry;
use crate::registry::migrate::{
    Change, KnownMigrations, MigrateError, MigrateOptions, MigrationsDigest, panicked,
};
use crate::registry::route::check_backend;
use crate::registry::tenants::{TenantBind, TenantSource};
use crate::settings::{DatabaseUrl, EngineSettings};

/// How many tenants are migrated at once by default.
const JOBS: usize = 4;

/// A run over all tenants that `names` gives. See [`MigrateTenants`](super::MigrateTenants).
pub(crate) struct AllTenants {
    pub(crate) registry: Registry,
    pub(crate) names: NameStream,
    pub(crate) migrations: Arc<dyn KnownMigrations>,
    pub(crate) options: AllTenantsOptions,
    /// Where the program begins it.
    pub(crate) place: &'static Location<'static>,
}

/// The options of a run.
pub(crate) struct AllTenantsOptions {
    pub(crate) jobs: usize,
    pub(crate) canaries: usize,
    pub(crate) keep_going: bool,
    /// How the migrations of each tenant wait, and how long they may take.
    pub(crate) each: MigrateOptions,
    pub(crate) ledger: Option<Arc<dyn LedgerBind>>,
    /// Whether a row of the ledger is never believed.
    pub(crate) rechecks: bool,
    /// By default the `acquire_timeout` of the ledger's bind.
    pub(crate) wait_for_lease: Option<Duration>,
    pub(crate) on_outcome: Option<OnOutcome>,
    /// Resolves when nothing new is to be begun.
    pub(crate) stop: BoxFuture<'static, ()>,
}

impl Default for AllTenantsOptions {
    fn default() -> Self {
        Self {
            jobs: JOBS,
            canaries: 0,
            keep_going: false,
            each: MigrateOptions::default(),
            ledger: None,
            rechecks: false,
            wait_for_lease: None,
            on_outcome: None,
            stop: pending().boxed(),
        }
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

impl AllTenants {
    /// Cancellation: nothing new is begun after the future was dropped, and what runs comes to its end.
    pub(crate) async fn run(self) -> Result<MigrateTenantsReport, MigrateTenantsError> {
        let key = self.migrations.key();
        let Ok(runtime) = Handle::try_current() else {
            return Err(MigrateTenantsError::NoRuntime { key });
        };
        let is_dropped = Arc::new(Latch::default());
        // Set when the caller drops the future. After the end of the run, it has no effect.
        let _on_drop = SetOnDrop(Arc::clone(&is_dropped));
        let run =
            runtime.spawn(async move { Run::new(self.prepare(is_dropped).await?).run().await });
        run.await.unwrap_or(Err(MigrateTenantsError::Interrupted { key }))
    }

    /// Checks what can be checked before a name is read.
    async fn prepare(self, is_dropped: Arc<Latch>) -> Result<Task, MigrateTenantsError> {
        let Self { registry, names, migrations, options, place } = self;
        let key = migrations.key();
        let tenants = tenants_of(&registry, &*migrations)?;
        let digest = digest_of(Arc::clone(&migrations)).await;
        let digest = digest.map_err(|error| MigrateTenantsError::Migrations(Box::new(error)))?;
        let max_jobs = usize::try_from(tenants.max_jobs).unwrap_or(usize::MAX);
        let ledger = options.ledger.map(|bind| LedgerTask {
            bind,
            registry: registry.clone(),
            place,
            scope: LedgerScope {
                bind: key,
                digest: digest.to_string(),
                place: tenants.place.clone().unwrap_or_default(),
            },
            rechecks: options.rechecks || tenants.place.is_none(),
            wait_for_lease: options.wait_for_lease,
        });
        let signal = options.stop;
        let stop = async move {
            let dropped = std::pin::pin!(is_dropped.wait());
            match select(dropped, std::pin::pin!(caught(signal))).await {
                Either::Left(_) => StopSignal::Dropped,
                Either::Right(_) => StopSignal::Requested,
            }
        };
        let each = MigrateOptions { expected: Some(digest), ..options.each };
        Ok(Task {
            key,
            names: Intake::new(names),
            migrate: Box::new(move |tenant| {
                migrate_one(&registry, &tenant, &*migrations, each.clone())
            }),
            jobs: options.jobs.min(max_jobs).max(1),
            canaries: options.canaries,
            keep_going: options.keep_going,
            ledger,
            on_outcome: options.on_outcome,
            stop: stop.boxed(),
        })
    }
}

impl fmt::Debug for AllTenants {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AllTenants")
            .field("migrations", &self.migrations)
            .field("jobs", &self.options.jobs)
            .field("canary", &self.options.canaries)
            .field("keep_going", &self.options.keep_going)
            .field("each", &self.options.each)
            .field("ledger", &self.options.ledger)
            .finish_non_exhaustive()
    }
}

struct SetOnDrop(Arc<Latch>);

impl Drop for SetOnDrop {
    fn drop(&mut self) {
        self.0.set();
    }
}

fn tenants_of(
    registry: &Registry,
    migrations: &dyn KnownMigrations,
) -> Result<Tenants, MigrateTenantsError> {
    let key = migrations.key();
    if registry.sqlite_copies().is_some() {
        return Err(MigrateTenantsError::Isolated { key });
    }
    let Some(entry) = registry.0.binds.key(&key) else {
        return Err(registry.unknown_bind(&key).into());
    };
    if let Some(found) = entry.backend() {
        check_backend(key, migrations.backend(), found)?;
    }
    match entry {
        BindEntry::Single(_) => Err(MigrateTenantsError::NotPerTenant { key }),
        BindEntry::SchemaPerTenant { engine, schema } => {
            let engine = engine.current();
            let settings = engine.settings();
            let place = Some(place_digest(settings, settings.url_to_migrate(), Some(schema)));
            // They wait for one lock, which is that of the database. Those that waited would only use up their time limits.
            Ok(Tenants { max_jobs: 1, place })
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
            let url = settings.url_to_migrate();
            // A relative path is another file in another working directory.
            let folder = url.sqlite_file().and_then(|_| std::env::current_dir().ok());
            let url = folder.map_or_else(|| url.clone(), |folder| url.resolved_against(&folder));
            Some(place_digest(&settings, &url, None))
        }
    }
}

/// The hexadecimal SHA-256 of what decides on the database and the schema that migrations are run in: the URL without its
/// password, with all its parameters, and the statements of `on_connect`, such as a `SET search_path`. Those of SQLite
/// cannot choose another database, and may contain the key of an encrypted one.
fn place_digest(settings: &EngineSettings, url: &DatabaseUrl, schema: Option<&str>) -> String {
    let password = SecretString::from("");
    let url = match url.has_password() {
        true => url.with_password(&password).for_driver(),
        false => url.for_driver(),
    };
    let on_connect = &settings.options.on_connect;
    let on_connect = on_connect.iter().filter(|_| settings.url.sqlite_file().is_none());
    let mut digest = Sha256::new();
    for text in [&*url, schema.unwrap_or("")].into_iter().chain(on_connect.map(String::as_str)) {
        // Each is followed by a zero byte, so that two lists of texts are never one.
        digest.update(text.as_bytes());
        digest.update([0]);
    }
    digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The digest of the migrations. It reads files, if they are in files.
async fn digest_of(migrations: Arc<dyn KnownMigrations>) -> Result<MigrationsDigest, MigrateError> {
    let key = migrations.key();
    let reading = tokio::task::spawn_blocking(move || migrations.digest());
    reading.await.unwrap_or_else(|_| Err(panicked(key)))
}

fn migrate_one(
    registry: &Registry,
    tenant: &str,
    migrations: &dyn KnownMigrations,
    options: MigrateOptions,
) -> BoxFuture<'static, TenantResult> {
    let tenant = match registry.tenant(tenant) {
        Ok(tenant) => tenant,
        Err(error) => return std::future::ready(TenantResult::Failed(error.into())).boxed(),
    };
    let change = migrations.change(registry, Some(&tenant), Change::Run, options);
    let outcome = async move {
        match change.await {
            Ok(report) if report.applied.is_empty() => TenantResult::UpToDate,
            Ok(report) => TenantResult::Applied(report.applied),
            Err(error) => TenantResult::Failed(TenantFailure::Migrate(Box::new(error))),
        }
    };
    outcome.boxed()
}
