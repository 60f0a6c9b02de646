//! The source of the sessions of a unit of work.

use crate::bind::Bind;
use crate::registry::{Acquire, Registry, Tenant};

/// Acquires the sessions of a unit of work, from a registry or for one of its tenants.
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
