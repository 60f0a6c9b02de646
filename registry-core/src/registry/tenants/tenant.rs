//! A tenant, through which its database is reached.

use std::fmt;

use diesel::migration::MigrationSource;
use diesel_async::AsyncConnectionCore;

use crate::bind::{Bind, Bound};
use crate::registry::{Acquire, MigrateError, MigrateReport, Registry, Route};
use crate::settings::{TenantError, TenantName};

/// One of many customers that have a database each: what [`Registry::tenant`] returns.
///
/// Whatever is acquired through it for a bind that is divided by tenants goes to this tenant's
/// database; binds that are not are the same through it as through the registry. It is owned and
/// cheap to clone: hand it on, so that work that is spawned or put off cannot end up with another
/// tenant.
///
/// ```standalone_crate
/// use diesel::prelude::*;
/// use registry_core::{Registry, RunQueryDsl, bind_tables};
///
/// diesel::table! { invoices (id) { id -> Integer, } }
/// bind_tables!(db = "crm", backend = Sqlite; invoices);
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), registry_core::Error> {
/// # let folder = tempfile::tempdir().unwrap();
/// # let url = format!("sqlite://{}/{{tenant}}.db", folder.path().display());
/// # std::fs::write(folder.path().join("acme.db"), "").unwrap();
/// // url = "sqlite:///srv/tenants/{tenant}.db"
/// let registry = Registry::builder().bind("crm", url).build()?;
/// let acme = registry.tenant("acme")?;
///
/// # use registry_core::BindDsl;
/// # let create = "CREATE TABLE invoices (id INTEGER PRIMARY KEY)";
/// # diesel::sql_query(create).bound_to::<invoices::table>().execute(&acme).await?;
/// diesel::insert_into(invoices::table).values(invoices::id.eq(1)).execute(&acme).await?;
/// let mut session = acme.session_for::<invoices::table>().await?;
/// let count: i64 = invoices::table.count().get_result(&mut session).await?;
/// assert_eq!(count, 1);
///
/// let error = registry.session_for::<invoices::table>().await.unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "bind `crm` has a database for each tenant: acquire through `registry.tenant(..)`"
/// );
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Tenant {
    registry: Registry,
    name: TenantName,
}

impl Registry {
    /// The tenant of that name, as far as a name can tell: whether it has a database shows when a
    /// session is acquired.
    ///
    /// # Errors
    ///
    /// [`TenantError`] if `name` is not 1 to 63 letters, digits, `-`, `_` and `.` of ASCII, or begins or
    /// ends with `.`: so it can be a part of any URL and path, and change nothing else in it.
    pub fn tenant(&self, name: &str) -> Result<Tenant, TenantError> {
        Ok(Tenant { registry: self.clone(), name: TenantName::new(name)? })
    }
}

impl Tenant {
    /// The name of the tenant.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The registry that it is a tenant of.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Acquires a session of the tenant's database for the model, table or query type `M`.
    ///
    /// See [`Acquire`] for what it waits for and how it fails.
    pub fn session_for<M: Bound>(&self) -> Acquire<'_, M::Bind> {
        self.session::<M::Bind>()
    }

    /// Acquires a session of the tenant's database for the bind `B`.
    ///
    /// See [`Acquire`] for what it waits for and how it fails.
    pub fn session<B: Bind>(&self) -> Acquire<'_, B> {
        Acquire::new(&self.registry, Route::Tenant(self))
    }

    /// Runs those migrations of the bind `B` that the tenant's database does not know yet, as
    /// [`Registry::migrate`] does. With a schema per tenant they run in the tenant's schema.
    ///
    /// # Errors
    ///
    /// [`MigrateError`] with the bind key and, if one failed, the migration's name.
    pub async fn migrate<B: Bind>(
        &self,
        migrations: impl MigrationSource<<B::Connection as AsyncConnectionCore>::Backend>
        + Send
        + 'static,
    ) -> Result<MigrateReport, MigrateError> {
        self.registry.migrate_along::<B>(Route::Tenant(self), migrations).await
    }

    pub(crate) fn checked_name(&self) -> &TenantName {
        &self.name
    }
}

impl fmt::Debug for Tenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tenant").field(&self.name()).finish()
    }
}
