//! A tenant: the handle to its database.

use std::fmt;

use crate::engine::AcquireError;
use crate::registry::handle::Registry;
use crate::settings::{BindKey, TENANT_PLACEHOLDER, TenantError, TenantName};

/// The longest name of a schema, in bytes: PostgreSQL's NAMEDATALEN less one.
const LONGEST_SCHEMA: usize = 63;

/// A tenant: one of many customers, each with a database of its own. [`Registry::tenant`] returns it.
///
/// For a bind with a database or a schema for each tenant, every session through a `Tenant` is in the database or
/// schema of this tenant. For any other bind it is the same as a session of the registry. A `Tenant` is owned and cheap
/// to clone: pass it on, so that spawned or queued work cannot end up with another tenant. There is no current tenant
/// that a task could inherit.
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
    /// The tenant with this name. It checks only the name: whether the tenant has a database is checked when a session
    /// is acquired.
    ///
    /// # Errors
    ///
    /// [`TenantError`] if `name` is not 1 to 63 ASCII letters, digits, `-`, `_` and `.`, or begins or ends with `.`. A
    /// valid name can be inserted into any URL or path without changing another part of it.
    ///
    /// ```
    /// use registry_core::Registry;
    ///
    /// let registry = Registry::builder().bind("default", "sqlite::memory:").build()?;
    /// assert_eq!(registry.tenant("acme")?.name(), "acme");
    /// assert!(registry.tenant("../acme").is_err());
    /// # Ok::<(), registry_core::Error>(())
    /// ```
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

    /// The registry of the tenant.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    pub(crate) fn checked_name(&self) -> &TenantName {
        &self.name
    }

    /// The name of the tenant's schema in the bind `key`.
    pub(crate) fn schema_name(&self, key: BindKey, template: &str) -> Result<String, AcquireError> {
        let schema = template.replace(TENANT_PLACEHOLDER, self.name());
        // PostgreSQL would truncate the name, and the truncated name could be the name of another tenant's schema.
        if schema.len() > LONGEST_SCHEMA {
            let source =
                format!("the name of the schema is longer than {LONGEST_SCHEMA} bytes").into();
            return Err(AcquireError::Resolve { key, tenant: self.name().to_owned(), source });
        }
        Ok(schema)
    }
}

impl fmt::Debug for Tenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tenant").field(&self.name()).finish()
    }
}
