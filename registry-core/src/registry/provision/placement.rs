//! The place of a tenant's data.

use crate::backend::namespace::Namespace;
use crate::engine::AcquireError;
use crate::settings::{EngineSettings, TenantError};

/// The place of a tenant's data, and the settings to connect there.
pub(super) struct Placement {
    /// The settings of the tenant's engine, except that every connection goes to the URL for migrations.
    pub(super) settings: EngineSettings,
    pub(super) location: TenantLocation,
}

pub(super) enum TenantLocation {
    /// The SQLite file of the URL.
    SqliteFile,
    /// A database or schema on a server.
    Namespace(Namespace),
}

/// Why a tenant has no placement. Both `CreateTenantError` and `DropTenantError` have a variant for each.
pub(super) enum PlacementError {
    Isolated,
    NotPerTenant,
    InMemory,
    Pooler,
    NoRuntime,
    Tenant(TenantError),
    Acquire(Box<AcquireError>),
}

impl From<AcquireError> for PlacementError {
    fn from(error: AcquireError) -> Self {
        Self::Acquire(Box::new(error))
    }
}
