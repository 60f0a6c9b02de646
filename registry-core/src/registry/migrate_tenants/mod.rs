//! Migrating the databases of all tenants of a bind.
//!
//! | file | what it has |
//! |---|---|
//! | this file | [`MigrateTenants`], a run as users see it |
//! | `all` | the run and its options without the type of the bind, for the command line too; what is checked before it |
//! | `names` | [`TenantNames`]: the stream of names |
//! | `run` | the run: which tenant is migrated when, and when it stops |
//! | `ledger` | the tables in which a run notes what it has done, and the lease that keeps two runs apart |
//! | `held` | the lease for a change to a single tenant |
//! | `report`, `error` | the outcomes |
//!
//! # Order of the steps
//!
//! A tenant's migrations are committed in its own database before its row is written to the ledger. So the ledger may miss
//! a tenant that was migrated, and never has one that was not. A run that was killed is simply begun again: the tenants
//! that the ledger misses are asked for their own tables of versions.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::panic::Location;
use std::pin::Pin;
use std::time::Duration;

use diesel::migration::MigrationSource;
use futures_util::FutureExt;

use super::handle::Registry;
use super::migrate::{DieselBackend, known};
use crate::bind::Bind;

mod all;
mod error;
#[cfg(feature = "cli")]
mod held;
mod ledger;
mod names;
mod report;
mod run;

pub(crate) use all::{AllTenants, AllTenantsOptions};
pub use error::MigrateTenantsError;
#[cfg(feature = "cli")]
pub(crate) use held::HeldLedger;
#[cfg(feature = "cli")]
pub(crate) use ledger::LedgerBind;
pub(crate) use ledger::ledger_in;
#[cfg(feature = "cli")]
pub(crate) use names::NameStream;
pub use names::{TenantNameItem, TenantNames, tenant_names};
pub use report::{MigrateTenantsReport, TenantFailure, TenantOutcome, TenantResult};

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
        let run = AllTenants {
            registry: self.clone(),
            names: names.into_names(),
            migrations: known::<B>(migrations),
            options: AllTenantsOptions::default(),
            place: Location::caller(),
        };
        MigrateTenants { run, bind: PhantomData }
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
    run: AllTenants,
    bind: PhantomData<fn() -> B>,
}

impl<B: Bind> MigrateTenants<B> {
    /// How many tenants are migrated at once. 4 by default, and at least 1. It is never more than `max_engines` of the
    /// registry. With a schema for each tenant it is always 1, because the migration lock is that of the database.
    pub fn jobs(mut self, jobs: usize) -> Self {
        self.run.options.jobs = jobs.max(1);
        self
    }

    /// How many tenants are migrated first, one at a time. 0 by default. If one of them fails, nothing else is begun, even
    /// if the run is to [`keep_going`](Self::keep_going).
    ///
    /// Only tenants that had something to run count. Without a ledger, tenants are asked one at a time until so many are
    /// found.
    pub fn canary(mut self, tenants: usize) -> Self {
        self.run.options.canaries = tenants;
        self
    }

    /// Goes on after a tenant has failed. By default, nothing new is begun then.
    pub fn keep_going(mut self) -> Self {
        self.run.options.keep_going = true;
        self
    }

    /// How long the migrations of one tenant may take, from the connection on. There is no limit by default. At its end they
    /// are ended as by [`Migrations::time_limit`](crate::Migrations::time_limit), and the tenant has failed.
    pub fn limit_each(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.run.options.each.time_limit = limit.into();
        self
    }

    /// How long a migration waits for a lock of the database, as
    /// [`Migrations::lock_timeout`](crate::Migrations::lock_timeout).
    pub fn lock_timeout(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.run.options.each.lock_timeout = limit.into();
        self
    }

    /// How often a migration is tried again after that time, as
    /// [`Migrations::lock_retries`](crate::Migrations::lock_retries).
    pub fn lock_retries(mut self, retries: u32) -> Self {
        self.run.options.each.lock_retries = Some(retries);
        self
    }

    /// Keeps a ledger in the database of the bind `L`, which has no tenants: see [the ledger](Self#the-ledger). None by
    /// default. Its tables are created if they are missing. The connection goes to the `migrate_url` of that bind, if it has
    /// one.
    pub fn ledger<L: Bind>(mut self) -> Self {
        self.run.options.ledger = Some(ledger_in::<L>());
        self
    }

    /// Connects to each tenant, whatever the ledger says, and writes its row again.
    pub fn recheck(mut self) -> Self {
        self.run.options.rechecks = true;
        self
    }

    /// How long to wait while another run has the lease. By default the `acquire_timeout` of the ledger's bind. Then the
    /// run ends with [`LeaseHeld`](MigrateTenantsError::LeaseHeld).
    pub fn wait_for_lease(mut self, limit: Duration) -> Self {
        self.run.options.wait_for_lease = Some(limit);
        self
    }

    /// Calls `closure` with the outcome of each tenant as it ends, including those that are not reached, for a progress bar
    /// or a log. It blocks the run, and must not wait.
    pub fn on_outcome(mut self, closure: impl FnMut(&TenantOutcome) + Send + 'static) -> Self {
        self.run.options.on_outcome = Some(Box::new(closure));
        self
    }

    /// Begins nothing new once `signal` has resolved, such as `tokio::signal::ctrl_c()`. What runs comes to its end, and
    /// the rest is reported as not reached. Names that the stream has not given two seconds after that are not waited for:
    /// the report has [`has_unread_names`](MigrateTenantsReport::has_unread_names).
    pub fn stop_when(mut self, signal: impl Future<Output = ()> + Send + 'static) -> Self {
        self.run.options.stop = signal.boxed();
        self
    }
}

impl<B: Bind> IntoFuture for MigrateTenants<B> {
    type Output = Result<MigrateTenantsReport, MigrateTenantsError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        self.run.run().boxed()
    }
}

impl<B: Bind> fmt::Debug for MigrateTenants<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MigrateTenants").field("key", &B::KEY).field("run", &self.run).finish()
    }
}
