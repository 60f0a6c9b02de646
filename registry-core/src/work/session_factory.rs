//! Where a unit of work acquires its sessions.

use crate::bind::Bind;
use crate::registry::{Acquire, Registry, Tenant};

/// A registry, or the databases of one of its tenants.
#[derive(Clone)]
pub(super) enum SessionFactory {
    Registry(Registry),
    Tenant(Tenant),
}

impl SessionFactory {
    pub(super) fn registry(&self) -> &Registry {
        match self {
            Self::Registry(registry) => registry,
            Self::Tenant(tenant) => tenant.registry(),
        }
    }

    pub(super) fn tenant(&self) -> Option<&Tenant> {
        match self {
            Self::Registry(_) => None,
            Self::Tenant(tenant) => Some(tenant),
        }
    }

    pub(super) fn session<B: Bind>(&self) -> Acquire<'_, B> {
        match self {
            Self::Registry(registry) => registry.session::<B>(),
            Self::Tenant(tenant) => tenant.session::<B>(),
        }
    }
}
