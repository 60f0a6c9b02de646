//! URLs with `{tenant}`, which give each tenant a database.

use std::path::Path;

use super::database_url::{DatabaseUrl, Target};
use super::error::TenantUrlError;
use crate::settings::keys::nearest;

/// The placeholder for the name of a tenant.
pub(crate) const TENANT_PLACEHOLDER: &str = "{tenant}";

impl DatabaseUrl {
    /// Whether the URL gives each tenant a database: `{tenant}` is in the name or path of the database.
    pub(crate) fn is_per_tenant(&self) -> bool {
        match self.target() {
            Target::Server(server) => server.database().contains(TENANT_PLACEHOLDER),
            Target::Sqlite(file) => file.path_or_name().contains(TENANT_PLACEHOLDER),
        }
    }

    /// Fails if `{tenant}` is in another part of the URL, or is misspelt.
    pub(in crate::settings) fn check_braces(&self) -> Result<(), String> {
        if self.is_per_tenant()
            && let Target::Server(server) = self.target()
        {
            server.check_template()?;
        }
        let (database, is_elsewhere) = match self.target() {
            Target::Server(server) => {
                (server.database().into(), server.has_outside_database(TENANT_PLACEHOLDER))
            }
            Target::Sqlite(file) => (file.path_or_name(), false),
        };
        if is_elsewhere {
            return Err(format!(
                "`{TENANT_PLACEHOLDER}` stands for a part of the database's name, and for nothing else: where \
                 tenants differ in more, give the bind a resolver"
            ));
        }
        let mut words = database.split('{').skip(1).filter_map(|rest| rest.split_once('}'));
        match words.find(|(word, _)| *word != "tenant" && nearest(word, ["tenant"]).is_some()) {
            Some((word, _)) => {
                Err(format!("unknown `{{{word}}}`; did you mean `{TENANT_PLACEHOLDER}`?"))
            }
            None => Ok(()),
        }
    }

    /// The URL with the name of a tenant in place of `{tenant}`. A SQLite file must exist already, whatever the `mode`
    /// in the URL.
    ///
    /// Fails if the result could be the database of another tenant.
    pub(crate) fn for_tenant(&self, tenant: &str) -> Result<Self, TenantUrlError> {
        Ok(Self::new(match self.target() {
            Target::Server(server) => {
                Target::Server(server.for_tenant(TENANT_PLACEHOLDER, tenant)?)
            }
            Target::Sqlite(file) => Target::Sqlite(file.for_tenant(TENANT_PLACEHOLDER, tenant)?),
        }))
    }

    /// Whether an engine at `other` is an engine for this URL. The URL of a tenant's engine can differ by the
    /// parameters that [`for_tenant`](Self::for_tenant) adds.
    pub(crate) fn is_opened_as(&self, other: &Self) -> bool {
        let resolved = self.resolved_against(Path::new(""));
        match (resolved.target(), other.target()) {
            (Target::Sqlite(file), Target::Sqlite(opened)) => file.is_opened_as(opened),
            _ => resolved == *other,
        }
    }

    /// The URL with the temporary name of a SQLite tenant's file, until its migrations have been run.
    pub(crate) fn at_unfinished(&self) -> Option<Self> {
        let file = self.sqlite_file()?.unfinished()?;
        Some(Self::new(Target::Sqlite(file)))
    }
}
