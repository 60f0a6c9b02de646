//! Where a tenant has its data.

use crate::backend::namespace::Namespace;
use crate::engine::AcquireError;
use crate::settings::{EngineSettings, TenantError};

/// Where a tenant has its data, and how to get there.
pub(super) struct Placement {
    /// Those of the tenant's engine, except that every connection goes where migrations go.
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
