//! What is known of the binds before anything is opened, for the command line.

use std::fmt;

use serde::Serialize;
use tokio::time::Instant;

use super::bind_entry::BindEntry;
use super::handle::Registry;
use super::locate::Located;
use super::tenants::{Tenant, TenantSource};
use crate::engine::AcquireError;
use crate::settings::{BindKey, DatabaseUrl};

/// Whether a bind has one database, or one for each tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Tenancy {
    Single,
    SchemaPerTenant,
    DatabasePerTenant,
    /// A resolver finds the database of each tenant.
    Resolved,
}

impl fmt::Display for Tenancy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Single => "one database",
            Self::SchemaPerTenant => "a schema for each tenant",
            Self::DatabasePerTenant => "a database for each tenant",
            Self::Resolved => "a database for each tenant, which a resolver finds",
        })
    }
}

/// What is known of a bind before anything is opened.
#[derive(Debug)]
pub(crate) struct BindOverview {
    pub(crate) key: BindKey,
    pub(crate) tenancy: Tenancy,
    /// The URL or its template. A resolver tells it of a tenant only.
    pub(crate) url: Option<DatabaseUrl>,
}

impl Registry {
    /// Every bind, in the order of their keys.
    pub(crate) fn overview(&self) -> Vec<BindOverview> {
        let overview = |entry: &BindEntry| {
            let (tenancy, url) = match entry {
                BindEntry::Single(engine) => {
                    (Tenancy::Single, Some(engine.current().settings().url.clone()))
                }
                BindEntry::SchemaPerTenant { engine, .. } => {
                    (Tenancy::SchemaPerTenant, Some(engine.current().settings().url.clone()))
                }
                BindEntry::DatabasePerTenant(bind) => match bind.source() {
                    TenantSource::Template(settings) => {
                        (Tenancy::DatabasePerTenant, Some(settings.url.clone()))
                    }
                    TenantSource::Resolver(_) => (Tenancy::Resolved, None),
                },
            };
            BindOverview { key: entry.key(), tenancy, url }
        };
        self.entries().map(overview).collect()
    }

    /// The database of a bind, or of a tenant of it. A resolver is asked; no connection is opened.
    pub(crate) async fn locate(
        &self,
        key: &str,
        tenant: Option<&Tenant>,
    ) -> Result<Located, AcquireError> {
        let Some(entry) = self.0.binds.key(key) else { return Err(self.unknown_bind(key).into()) };
        match (entry, tenant) {
            (BindEntry::Single(engine), _) => {
                Ok(Located { settings: engine.current().settings().clone(), schema: None })
            }
            (_, None) => Err(AcquireError::NoTenant { key: entry.key() }),
            (_, Some(tenant)) => self.locate_tenant(entry, tenant, Instant::now()).await,
        }
    }
}
