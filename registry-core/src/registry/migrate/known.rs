//! The migrations of a bind for callers that do not know its type.

use std::fmt;
use std::panic::Location;
use std::sync::Arc;

use diesel::backend::Backend as DieselDatabase;
use diesel::migration::MigrationSource;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use sha2::{Digest, Sha256};

use super::error::MigrateError;
use super::migrations::Migrations;
use super::on_engine::{OpenDatabase, run_on, status_on};
use super::options::MigrateOptions;
#[cfg(feature = "cli")]
use super::plan::MigrationPlan;
use super::report::MigrateReport;
use super::run::check_versions;
use super::source::SharedSource;
use super::status::MigrationStatus;
use super::{Change, DieselBackend};
use crate::backend::Backend;
use crate::backend::migrate::Migrations as MigrationList;
use crate::backend_kind::BackendKind;
use crate::bind::{self, Bind};
use crate::engine::WriteRequest;
use crate::registry::handle::Registry;
#[cfg(feature = "cli")]
use crate::registry::provision::{CreateTenantError, DropTenantError};
use crate::registry::tenants::Tenant;
use crate::settings::BindKey;

/// A hash of a set of migrations: SHA-256 over their versions, names and transactions, shown in hexadecimal. Two sets with
/// equal hashes run the same migrations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct MigrationsDigest([u8; 32]);

impl MigrationsDigest {
    pub(super) fn of_list<DB: DieselDatabase>(migrations: &MigrationList<DB>) -> Self {
        let described = migrations.iter().map(|migration| {
            let (version, name) =
                (migration.name().version().to_string(), migration.name().to_string());
            (version, name, migration.metadata().run_in_transaction())
        });
        Self::of(described.collect())
    }

    fn of(mut migrations: Vec<(String, String, bool)>) -> Self {
        migrations.sort();
        let mut hasher = Sha256::new();
        for (version, name, run_in_transaction) in migrations {
            // Each text with its length, so that no other set has the same bytes.
            for text in [&version, &name] {
                hasher.update((text.len() as u64).to_be_bytes());
                hasher.update(text);
            }
            hasher.update([u8::from(run_in_transaction)]);
        }
        Self(hasher.finalize().into())
    }
}

impl fmt::Display for MigrationsDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The migrations of a program for a bind.
pub(crate) trait KnownMigrations: fmt::Debug + Send + Sync {
    /// The bind.
    fn key(&self) -> BindKey;

    /// The backend that they are written for.
    fn backend(&self) -> BackendKind;

    /// The hash of the migrations. It reads them, and asks no database.
    fn digest(&self) -> Result<MigrationsDigest, MigrateError>;

    /// See [`Migrations::status`].
    #[cfg(feature = "cli")]
    fn status(
        &self,
        registry: &Registry,
        tenant: Option<&Tenant>,
    ) -> BoxFuture<'static, Result<MigrationStatus, MigrateError>>;

    /// Makes a change, see [`Migrations`].
    fn change(
        &self,
        registry: &Registry,
        tenant: Option<&Tenant>,
        change: Change,
        options: MigrateOptions,
    ) -> BoxFuture<'static, Result<MigrateReport, MigrateError>>;

    /// See [`Migrations::plan`].
    #[cfg(feature = "cli")]
    fn plan(
        &self,
        registry: &Registry,
        tenant: Option<&Tenant>,
    ) -> BoxFuture<'static, Result<MigrationPlan, MigrateError>>;

    /// What [`Migrations::status`] returns, on an engine that is open already.
    fn status_on(
        &self,
        registry: &Registry,
        database: OpenDatabase,
    ) -> BoxFuture<'static, Result<MigrationStatus, MigrateError>>;

    /// What [`Migrations::run`] does, on an engine that is open already.
    fn run_on(
        &self,
        registry: &Registry,
        database: OpenDatabase,
    ) -> BoxFuture<'static, Result<MigrateReport, MigrateError>>;

    /// As [`Registry::create_tenant`].
    #[cfg(feature = "cli")]
    fn create_tenant(
        &self,
        registry: &Registry,
        tenant: &str,
    ) -> BoxFuture<'static, Result<MigrateReport, CreateTenantError>>;

    /// As [`Registry::drop_tenant`].
    #[cfg(feature = "cli")]
    fn drop_tenant(
        &self,
        registry: &Registry,
        tenant: &str,
    ) -> BoxFuture<'static, Result<(), DropTenantError>>;
}

/// The migrations of a program for the bind `B`.
#[track_caller]
pub(crate) fn known<B: Bind>(
    source: impl MigrationSource<DieselBackend<B>> + Send + 'static,
) -> Arc<dyn KnownMigrations> {
    Arc::new(Known::<B> { source: SharedSource::new(source), place: Location::caller() })
}

struct Known<B: Bind> {
    source: SharedSource<B::Connection>,
    /// The place in the program that gave them.
    place: &'static Location<'static>,
}

impl<B: Bind> Known<B> {
    fn migrations(&self, registry: &Registry, tenant: Option<&Tenant>) -> Migrations<B> {
        Migrations::new(registry.clone(), tenant.cloned(), self.source.clone()).given_at(self.place)
    }
}

impl<B: Bind> KnownMigrations for Known<B> {
    fn key(&self) -> BindKey {
        bind::key_of::<B>()
    }

    fn backend(&self) -> BackendKind {
        B::Connection::KIND
    }

    fn digest(&self) -> Result<MigrationsDigest, MigrateError> {
        let key = self.key();
        let migrations = self.source.migrations();
        let migrations = migrations.map_err(|source| MigrateError::List { key, source })?;
        check_versions::<B::Connection>(key, &migrations)?;
        Ok(MigrationsDigest::of_list(&migrations))
    }

    #[cfg(feature = "cli")]
    fn status(
        &self,
        registry: &Registry,
        tenant: Option<&Tenant>,
    ) -> BoxFuture<'static, Result<MigrationStatus, MigrateError>> {
        let migrations = self.migrations(registry, tenant);
        async move { migrations.status().await }.boxed()
    }

    fn change(
        &self,
        registry: &Registry,
        tenant: Option<&Tenant>,
        change: Change,
        options: MigrateOptions,
    ) -> BoxFuture<'static, Result<MigrateReport, MigrateError>> {
        let migrations = self.migrations(registry, tenant).with_options(options);
        async move { migrations.change(change).await }.boxed()
    }

    #[cfg(feature = "cli")]
    fn plan(
        &self,
        registry: &Registry,
        tenant: Option<&Tenant>,
    ) -> BoxFuture<'static, Result<MigrationPlan, MigrateError>> {
        let migrations = self.migrations(registry, tenant);
        async move { migrations.plan().await }.boxed()
    }

    fn status_on(
        &self,
        registry: &Registry,
        database: OpenDatabase,
    ) -> BoxFuture<'static, Result<MigrationStatus, MigrateError>> {
        status_on::<B>(registry, database, self.source.clone())
    }

    fn run_on(
        &self,
        registry: &Registry,
        database: OpenDatabase,
    ) -> BoxFuture<'static, Result<MigrateReport, MigrateError>> {
        let write = WriteRequest { unit: None, place: self.place };
        run_on::<B>(registry, database, self.source.clone(), write)
    }

    #[cfg(feature = "cli")]
    fn create_tenant(
        &self,
        registry: &Registry,
        tenant: &str,
    ) -> BoxFuture<'static, Result<MigrateReport, CreateTenantError>> {
        let (registry, tenant) = (registry.clone(), tenant.to_owned());
        let source = self.source.clone();
        async move { registry.create_tenant::<B>(&tenant, source).await }.boxed()
    }

    #[cfg(feature = "cli")]
    fn drop_tenant(
        &self,
        registry: &Registry,
        tenant: &str,
    ) -> BoxFuture<'static, Result<(), DropTenantError>> {
        let (registry, tenant) = (registry.clone(), tenant.to_owned());
        async move { registry.drop_tenant::<B>(&tenant, &tenant).await }.boxed()
    }
}

impl<B: Bind> fmt::Debug for Known<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KnownMigrations").field("bind", &self.key()).finish_non_exhaustive()
    }
}
