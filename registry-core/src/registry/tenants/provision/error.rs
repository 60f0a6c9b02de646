//! Why tenants were not created or dropped.

use super::placement::PlacementError;
use crate::cause::DriverError;
use crate::engine::AcquireError;
use crate::registry::migrate::MigrateError;

use crate::settings::{BindKey, TenantError};

/// Why a tenant was not created, see [`Registry::create_tenant`](crate::Registry::create_tenant).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CreateTenantError {
    /// That is not the name of a tenant.
    #[error(transparent)]
    Tenant(#[from] TenantError),
    /// The tenant is there already. Nothing was changed.
    #[error("bind `{key}`: the tenant `{tenant}` exists already")]
    Exists {
        /// The bind key.
        key: BindKey,
        /// The name of the tenant.
        tenant: String,
    },
    /// The bind has one database for all.
    #[error("bind `{key}` has no database or schema for each tenant")]
    NotPerTenant {
        /// The bind key.
        key: BindKey,
    },
    /// A SQLite database in memory is made when it is opened, and gone with its last connection.
    #[error(
        "bind `{key}`: the databases of its tenants are in memory, and made when they are opened"
    )]
    InMemory {
        /// The bind key.
        key: BindKey,
    },
    /// In test isolation nothing is committed.
    #[error(
        "bind `{key}`: no tenant can be created on a registry of `test_isolation()`, which commits nothing: create it on the registry itself before"
    )]
    Isolated {
        /// The bind key.
        key: BindKey,
    },
    /// Tenants are created and migrated past a pooler.
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
    /// The bind, its settings or a connection could not be had.
    #[error(transparent)]
    Acquire(#[from] AcquireError),
    /// The server or the file system refused. Nothing was made.
    #[error("bind `{key}`: the tenant `{tenant}` could not be created")]
    Create {
        /// The bind key.
        key: BindKey,
        /// The name of the tenant.
        tenant: String,
        /// What it said.
        #[source]
        source: DriverError,
    },
    /// Not all of its migrations were run. Nothing is left of it.
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
    /// It failed, and it is not known whether what had been made of it is gone. What is there by that name may be
    /// somebody else's: after the connection was lost, another process can have created the same tenant. So look at
    /// it before it is dropped. Creating it again removes what is unfinished, and nothing else.
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
        /// Why that could not be removed, or not for certain.
        #[source]
        source: DriverError,
    },
    /// The runtime ended meanwhile. What had been made of it is removed when it is created or dropped again.
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
    /// That is not the name of a tenant.
    #[error(transparent)]
    Tenant(#[from] TenantError),
    /// The name was not said twice.
    #[error(
        "bind `{key}`: nothing was dropped: the tenant's name has to be given twice, and the two names differ"
    )]
    NamesDiffer {
        /// The bind key.
        key: BindKey,
    },
    /// Sessions of the tenant are lent.
    #[error("bind `{key}`: the tenant `{tenant}` is in use: {lent} of its sessions are lent")]
    InUse {
        /// The bind key.
        key: BindKey,
        /// The name of the tenant.
        tenant: String,
        /// How many sessions of this process.
        lent: u32,
    },
    /// The bind has one database for all.
    #[error("bind `{key}` has no database or schema for each tenant")]
    NotPerTenant {
        /// The bind key.
        key: BindKey,
    },
    /// A SQLite database in memory is gone with its last connection: close the tenant.
    #[error(
        "bind `{key}`: the databases of its tenants are in memory, and gone when they are closed"
    )]
    InMemory {
        /// The bind key.
        key: BindKey,
    },
    /// In test isolation nothing is committed.
    #[error(
        "bind `{key}`: no tenant can be dropped on a registry of `test_isolation()`, which commits nothing"
    )]
    Isolated {
        /// The bind key.
        key: BindKey,
    },
    /// Tenants are dropped past a pooler.
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
    /// There is no such tenant ([`AcquireError::UnknownTenant`]), or its bind, its settings or a connection could not
    /// be had.
    #[error(transparent)]
    Acquire(#[from] AcquireError),
    /// The server or the file system refused: others may have it open.
    #[error("bind `{key}`: the tenant `{tenant}` could not be dropped")]
    Drop {
        /// The bind key.
        key: BindKey,
        /// The name of the tenant.
        tenant: String,
        /// What it said.
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

/// Gives an error what both operations can say of where a tenant should be.
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
