//! Which databases a command is for.

use std::fmt;
use std::sync::Arc;

use super::databases::Databases;
use super::exit::Failure;
use crate::registry::{KnownMigrations, Tenancy, Tenant};
use crate::settings::BindKey;

/// One database with the migrations that belong to it.
pub(super) struct Target {
    pub(super) known: Arc<dyn KnownMigrations>,
    pub(super) tenant: Option<Tenant>,
}

impl Target {
    pub(super) fn key(&self) -> BindKey {
        self.known.key()
    }

    pub(super) fn tenant_name(&self) -> Option<&str> {
        self.tenant.as_ref().map(Tenant::name)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.tenant_name() {
            None => write!(f, "{}", self.key()),
            Some(tenant) => write!(f, "{}, tenant `{tenant}`", self.key()),
        }
    }
}

/// The binds that a command is for: those that its arguments name, or else all that have migrations.
pub(super) struct Chosen {
    /// Whether the arguments name them.
    pub(super) are_named: bool,
    pub(super) single: Vec<Arc<dyn KnownMigrations>>,
    pub(super) per_tenant: Vec<Arc<dyn KnownMigrations>>,
}

impl Chosen {
    pub(super) fn new(databases: &Databases, keys: &[String]) -> Result<Self, Failure> {
        let are_named = !keys.is_empty();
        let known = if are_named {
            let mut known: Vec<Arc<dyn KnownMigrations>> = Vec::new();
            for key in keys {
                let migrations = databases.known(key)?;
                if known.iter().all(|before| before.key() != migrations.key()) {
                    known.push(Arc::clone(migrations));
                }
            }
            known
        } else {
            databases.all_known()?.to_vec()
        };
        let (mut single, mut per_tenant) = (Vec::new(), Vec::new());
        for migrations in known {
            match databases.tenancy(&migrations.key())? {
                Tenancy::Single => single.push(migrations),
                _ => per_tenant.push(migrations),
            }
        }
        Ok(Self { are_named, single, per_tenant })
    }

    /// The databases of the binds that have one, or else those of the tenants that the arguments name.
    pub(super) fn targets(
        &self,
        databases: &Databases,
        tenants: &[String],
    ) -> Result<Vec<Target>, Failure> {
        if tenants.is_empty() {
            let targets = self.single.iter();
            let targets = targets.map(|known| Target { known: Arc::clone(known), tenant: None });
            return Ok(targets.collect());
        }
        if let (true, Some(known)) = (self.are_named, self.single.first()) {
            return Err(databases.one_for_all_tenants(&known.key()));
        }
        if self.per_tenant.is_empty() {
            return Err(Failure::usage("no bind with migrations has a database for each tenant"));
        }
        let mut targets: Vec<Target> = Vec::new();
        for known in &self.per_tenant {
            for name in tenants {
                let tenant = databases.tenant(name)?;
                let is_known = targets.iter().any(|target| {
                    target.key() == known.key() && target.tenant_name() == Some(tenant.name())
                });
                if !is_known {
                    targets.push(Target { known: Arc::clone(known), tenant: Some(tenant) });
                }
            }
        }
        Ok(targets)
    }
}
