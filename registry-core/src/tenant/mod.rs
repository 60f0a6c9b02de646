//! A database per tenant.
//!
//! # Settings
//!
//! A bind whose URL has `{tenant}` in the name of its database, or in the path of its file, has a
//! database for each tenant:
//!
//! ```toml
//! [database]
//! max_engines = 64                        # how many can be open on demand at once
//! engine_idle_timeout = "10min"           # after how long without use one is closed; or "none"
//!
//! [database.binds.crm]
//! url = "postgres://app@db/crm_{tenant}"  # or "sqlite:///srv/crm/{tenant}.db"
//! max_connections = 4                     # for each tenant
//!
//! [database.binds.files]                  # or a schema for each tenant, in one PostgreSQL database
//! url = "postgres://app@db/files"
//! tenant_schema = "tenant_{tenant}"
//! ```
//!
//! In code, [`BindSettings`](crate::BindSettings) takes the same. Where tenants differ in more than
//! a name, a [`TenantResolver`] finds the settings of each.
//! [`RegistryBuilder::credentials`](crate::RegistryBuilder::credentials) serves all of them with
//! passwords.
//!
//! # Guarantees
//!
//! - Whatever is acquired or run through a [`Tenant`] for such a bind is in that tenant's database.
//!   Without a tenant it is an error ([`AcquireError::NoTenant`](crate::AcquireError::NoTenant)).
//!   There is no current tenant that a task could inherit.
//! - The name of a tenant is 1 to 63 letters, digits, `-`, `_` and `.`, neither begins nor ends
//!   with `.`, and is percent-encoded where it is put. It cannot change the host, user, options or
//!   path of a URL. `{tenant}` anywhere but in the name of the database is an error when the
//!   registry is built. A database name that its server would cut is refused: it could be another
//!   tenant's.
//! - An unknown tenant is an error of its own
//!   ([`AcquireError::UnknownTenant`](crate::AcquireError::UnknownTenant)). Nothing is made, and no
//!   engine stays open, also where the URL of a SQLite file says `mode=rwc`: tenants are made by
//!   [`create_tenant`](crate::Registry::create_tenant), and by nothing else. (A SQLite database in memory is made
//!   when it is opened.)
//! - There is one engine for each URL and options, user and password included, however many ask at
//!   once and by whatever way: tenants and [`session_by_url`](crate::Registry::session_by_url)
//!   alike. What could not be opened is not remembered.
//! - No more than `max_engines` are open or being closed. Past that, the least recently used idle engine
//!   makes room: its connections are closed before another engine opens. (PostgreSQL and MySQL take a moment to see that a connection is closed.)
//! - An engine that has a session lent, or for whose session somebody waits, is never closed for
//!   another. If all are like that, callers wait, first come first served, for `acquire_timeout`,
//!   and then hear [`AcquireError::TooManyEngines`](crate::AcquireError::TooManyEngines).
//! - Opening an engine holds up nobody who uses another.
//! - A session of a schema is put into it before it is lent, and into no other, not even `public`, in one
//!   round trip. A connection that was another tenant's is made as new in it, and forgets its prepared
//!   statements. `pg_temp` stands last in `search_path`. Diesel looks custom types up once a connection:
//!   define them in a schema of their own.
//!
//! [`Registry::status`](crate::Registry::status) shows the engines with their tenants, and how often one was found, opened and closed.
//! [`close_tenant`](crate::Registry::close_tenant), [`close_engine`](crate::Registry::close_engine) and [`replace_engine`](crate::Registry::replace_engine) close engines while they are
//! used: lent sessions stay usable until they are returned.
//!
//! # Row-level security
//!
//! Tenants can share their tables, with policies of PostgreSQL's that go by a setting.
//! `tenant_setting = "app.tenant"` puts the tenant's name into that setting in each transaction of a unit of
//! work that is begun through a [`Tenant`], from the beginning to the end of the transaction and no longer. It is
//! not set outside of units of work, where a policy such as
//! `USING (tenant = current_setting('app.tenant', true))` shows no rows.
//!
//! # Behind a connection pooler
//!
//! Give PgBouncer's `[databases]` an entry `*`, so that it takes any name, and bound what it opens itself
//! with `max_db_connections` (<https://www.pgbouncer.org/config.html>). With `pool_mode = transaction`, say
//! `pooler = "transaction"`: see [`Pooler`](crate::Pooler). A schema per tenant is refused there, since the schema
//! would be set for a server connection that the next transaction need not have. A database per tenant and
//! row-level security are safe.

use std::fmt;

use diesel::migration::MigrationSource;
use diesel_async::AsyncConnectionCore;

use crate::bind::{Bind, Bound};
use crate::error::MigrateError;
use crate::registry::{MigrateReport, Registry, Route};
use crate::session::Acquire;

mod name;
mod source;

pub use name::TenantError;
pub(crate) use name::TenantName;
pub use source::TenantResolver;
pub(crate) use source::{Source, TenantBind};

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
