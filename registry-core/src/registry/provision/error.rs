//! The errors of creating and dropping tenants.

use super::placement::PlacementError;
use crate::cause::DriverError;
use crate::engine::AcquireError;
use crate::registry::migrate::MigrateError;

use crate::settings::{BindKey, TenantError};

/// Why a tenant was not created, see [`Registry::create_tenant`](crate::Registry::create_tenant).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CreateTenantError {
    /// A tenant cannot have that name.
    #[error(transparent)]
    Tenant(#[from] TenantError),
    /// The tenant exists already. Nothing was changed.
    #[error("bind `{key}`: the tenant `{tenant}` exists already")]
    Exists {
        /// The bind key.
        key: BindKey,
        /// The name of the tenant.
        tenant: String,
    },
    /// The bind has one database for all tenants.
    #[error("bind `{key}` has no database or schema for each tenant")]
    NotPerTenant {
        /// The bind key.
        key: BindKey,
    },
    /// A SQLite database in memory is created when it is opened, and lost with its last connection.
    #[error(
        "bind `{key}`: the databases of its tenants are in memory, and made when they are opened"
    )]
    InMemory {
        /// The bind key.
        key: BindKey,
    },
    /// On a registry for test isolation nothing is committed.
    #[error(
        "bind `{key}`: no tenant can be created on a registry of `test_isolation()`, which commits nothing: create it on the registry itself before"
    )]
    Isolated {
        /// The bind key.
        key: BindKey,
    },
    /// Tenants cannot be created and migrated through a pooler, and the bind has no `migrate_url` that bypasses it.
    #[error(
        "bind `{key}`: tenants cannot be created through its `pooler`: say `migrate_url`, the URL of the server \
         itself"
    )]
    Pooler {
        /// The bind key.
        key: BindKey,
    },
    /// The call was made outside a Tokio runtime.
    #[error("bind `{key}`: tenants can only be created inside a Tokio runtime")]
    NoRuntime {
        /// The bind key.
        key: BindKey,
    },
    /// The bind is unknown, its settings are invalid, or no connection could be opened.
    #[error(transparent)]
    Acquire(#[from] AcquireError),
    /// The server or the file system refused. Nothing was created.
    #[error("bind `{key}`: the tenant `{tenant}` could not be created")]
    Create {
        /// The bind key.
        key: BindKey,
        /// The name of the tenant.
        tenant: String,
        /// What it reported.
        #[source]
        source: DriverError,
    },
    /// Not all migrations of the tenant could be run. Nothing of the tenant is left.
    #[error(
        "bind `{key}`: the tenant `{tenant}` was not created, as its migrations could not all be run"
    )]
    Migrate {
        /// The bind key.
        key: BindKey,
        /// The name of the tenant.
        tenant: String,
        /// Why not.
        #[source]
        source: Box<MigrateError>,
    },
    /// Creating the tenant failed, and it is unknown whether its unfinished database was removed. A database with that
    /// name may also belong to another process, which may have created the same tenant after the connection was lost.
    /// So look at it before you drop it. Creating the tenant again removes only an unfinished database.
    #[error(
        "bind `{key}`: creating the tenant `{tenant}` failed ({cause}), and something of it may be left; what is \
         there by that name may also be somebody else's. Creating it again removes only what is unfinished"
    )]
    NotUndone {
        /// The bind key.
        key: BindKey,
        /// The name of the tenant.
        tenant: String,
        /// Why it failed.
        cause: Box<CreateTenantError>,
        /// Why it was not removed, or why that is unknown.
        #[source]
        source: DriverError,
    },
    /// The runtime ended meanwhile. An unfinished database is removed when the tenant is created or dropped again.
    #[error("bind `{key}`: the runtime ended while a tenant was created")]
    Interrupted {
        /// The bind key.
        key: BindKey,
    },
}

/// Why a tenant was not dropped, see [`Registry::drop_tenant`](crate::Registry::drop_tenant).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DropTenantError {
    /// A tenant cannot have that name.
    #[error(transparent)]
    Tenant(#[from] TenantError),
    /// The two names that were given differ.
    #[error(
        "bind `{key}`: nothing was dropped: the tenant's name has to be given twice, and the two names differ"
    )]
    NamesDiffer {
        /// The bind key.
        key: BindKey,
    },
    /// Sessions of the tenant are in use.
    #[error("bind `{key}`: the tenant `{tenant}` is in use: {lent} of its sessions are lent")]
    InUse {
        /// The bind key.
        key: BindKey,
        /// The name of the tenant.
        tenant: String,
        /// How many sessions of this process are lent.
        lent: u32,
    },
    /// The bind has one database for all tenants.
    #[error("bind `{key}` has no database or schema for each tenant")]
    NotPerTenant {
        /// The bind key.
        key: BindKey,
    },
    /// A SQLite database in memory is lost with its last connection: use `close_tenant`.
    #[error(
        "bind `{key}`: the databases of its tenants are in memory, and gone when they are closed"
    )]
    InMemory {
        /// The bind key.
        key: BindKey,
    },
    /// On a registry for test isolation nothing is committed.
    #[error(
        "bind `{key}`: no tenant can be dropped on a registry of `test_isolation()`, which commits nothing"
    )]
    Isolated {
        /// The bind key.
        key: BindKey,
    },
    /// Tenants cannot be dropped through a pooler, and the bind has no `migrate_url`.
    #[error(
        "bind `{key}`: tenants cannot be dropped through its `pooler`: say `migrate_url`, the URL of the server \
         itself"
    )]
    Pooler {
        /// The bind key.
        key: BindKey,
    },
    /// The call was made outside a Tokio runtime.
    #[error("bind `{key}`: tenants can only be dropped inside a Tokio runtime")]
    NoRuntime {
        /// The bind key.
        key: BindKey,
    },
    /// There is no such tenant ([`AcquireError::UnknownTenant`]), the bind is unknown, its settings are invalid, or no
    /// connection could be opened.
    #[error(transparent)]
    Acquire(#[from] AcquireError),
    /// The server or the file system refused: others may have the tenant open.
    #[error("bind `{key}`: the tenant `{tenant}` could not be dropped")]
    Drop {
        /// The bind key.
        key: BindKey,
        /// The name of the tenant.
        tenant: String,
        /// What it reported.
        #[source]
        source: DriverError,
    },
    /// The runtime ended meanwhile.
    #[error("bind `{key}`: the runtime ended while a tenant was dropped")]
    Interrupted {
        /// The bind key.
        key: BindKey,
    },
}

/// Implements the conversion from [`PlacementError`], for which both errors have the same variants.
macro_rules! from_placement_error {
    ($error:ty) => {
        impl From<(BindKey, PlacementError)> for $error {
            fn from((key, error): (BindKey, PlacementError)) -> Self {
                match error {
                    PlacementError::Isolated => Self::Isolated { key },
                    PlacementError::NotPerTenant => Self::NotPerTenant { key },
                    PlacementError::InMemory => Self::InMemory { key },
                    PlacementError::Pooler => Self::Pooler { key },
                    PlacementError::NoRuntime => Self::NoRuntime { key },
                    PlacementError::Tenant(error) => Self::Tenant(error),
                    PlacementError::Acquire(error) => Self::Acquire(*error),
                }
            }
        }
    };
}

from_placement_error!(CreateTenantError);
from_placement_error!(DropTenantError);
