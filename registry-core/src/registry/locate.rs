//! Where the database of a tenant is, without an engine being opened.

use tokio::time::Instant;

use super::bind_entry::BindEntry;
use super::handle::Registry;
use super::tenants::Tenant;
use crate::engine::AcquireError;
use crate::settings::EngineSettings;

/// The settings of a database, and the schema in which a tenant's tables are.
#[derive(Debug)]
pub(crate) struct Located {
    pub(crate) settings: EngineSettings,
    pub(crate) schema: Option<String>,
}

impl Registry {
    /// The database of a tenant of a bind.
    pub(super) async fn locate_tenant(
        &self,
        entry: &BindEntry,
        tenant: &Tenant,
        started: Instant,
    ) -> Result<Located, AcquireError> {
        let key = entry.key();
        match entry {
            BindEntry::Single(engine) => {
                Ok(Located { settings: engine.current().settings().clone(), schema: None })
            }
            BindEntry::SchemaPerTenant { engine, schema } => {
                let schema = tenant.schema_name(key, schema)?;
                let settings = engine.current().settings().clone();
                Ok(Located { settings, schema: Some(schema) })
            }
            BindEntry::DatabasePerTenant(bind) => {
                let defaults = &self.0.bind_defaults;
                let limit = defaults.acquire_timeout(key);
                let resolving = bind.identity_within(tenant, defaults, started, limit);
                let resolved = self.0.closing.unless_closed(key, resolving).await;
                let (identity, _) = resolved.unwrap_or(Err(AcquireError::Closed { key }))?;
                Ok(Located { settings: (**identity.settings()).clone(), schema: None })
            }
        }
    }
}
