//! The result of reading settings: all settings of one engine.

use std::sync::Arc;

use super::replica::ReplicaSettings;
use crate::settings::connector::Connector;
use crate::settings::credentials::CredentialSource;
use crate::settings::endpoint::Endpoint;
use crate::settings::keys::BindKey;
use crate::settings::options::{EngineOptions, Pooler};
use crate::settings::role::Role;
use crate::settings::url::{DatabaseUrl, TenantUrlError};

/// All settings of one engine, validated.
#[derive(Debug, Clone)]
pub(crate) struct EngineSettings {
    pub(crate) key: BindKey,
    /// The URL with its password. The path of a SQLite file is absolute.
    pub(crate) url: DatabaseUrl,
    /// The URL that migrations connect to, if it is another one. It has its password, too.
    pub(crate) migrate_url: Option<DatabaseUrl>,
    pub(crate) options: EngineOptions,
    pub(crate) required: bool,
    /// The schema of each tenant, with `{tenant}` in it.
    pub(crate) tenant_schema: Option<String>,
    /// The tenant whose database it is, where the URL of the bind has `{tenant}` in it.
    pub(crate) tenant: Option<Arc<str>>,
    pub(crate) credentials: Option<CredentialSource>,
    /// The program's own way to connect, if it has one for this bind.
    pub(crate) connector: Option<Connector>,
    /// Whether nothing is ever committed, as in test isolation: there is one connection, and it stays in one
    /// transaction.
    pub(crate) is_isolated: bool,
    /// Whether the engine is for one session alone, and ends with it.
    pub(crate) is_one_off: bool,
    /// Whether it is the bind's own server, or one of its replicas.
    pub(crate) role: Role,
    /// The replicas of the bind, if this is its own server.
    pub(crate) replicas: Arc<[ReplicaSettings]>,
    /// The one server to connect to, of those that the URL leads to.
    pub(crate) endpoint: Option<Endpoint>,
    /// Whether connections are to the primary only, although they only read.
    pub(crate) requires_primary: bool,
    /// Whether the metrics of queries have the label `tenant`.
    pub(crate) has_metrics_by_tenant: bool,
}

impl EngineSettings {
    /// Where migrations connect.
    pub(crate) fn url_to_migrate(&self) -> &DatabaseUrl {
        self.migrate_url.as_ref().unwrap_or(&self.url)
    }

    /// Whether migrations would go through a pooler, which shares the connections that they need for themselves.
    pub(crate) fn migrates_through_pooler(&self) -> bool {
        self.migrate_url.is_none() && self.options.pooler != Pooler::None
    }

    /// Whether the events of queries have the bound values. Never in a build without debug assertions, in which the option is
    /// refused.
    pub(crate) fn tells_values(&self) -> bool {
        cfg!(debug_assertions) && self.options.log_values
    }

    /// Whether there is a database or schema for each tenant.
    pub(crate) fn has_tenants(&self) -> bool {
        self.url.is_per_tenant() || self.tenant_schema.is_some()
    }

    /// The settings with the name of a tenant in place of `{tenant}` in each URL, of the replicas, too.
    pub(crate) fn for_tenant(&self, name: &str) -> Result<Self, TenantUrlError> {
        let replicas = self.replicas.iter().map(|ReplicaSettings { settings, weight }| {
            let named = Self { tenant: self.tenant.clone(), ..settings.for_tenant(name)? };
            Ok(ReplicaSettings { settings: Arc::new(named), weight: *weight })
        });
        Ok(Self {
            replicas: replicas.collect::<Result<_, _>>()?,
            url: self.url.for_tenant(name)?,
            migrate_url: self.migrate_url.as_ref().map(|url| url.for_tenant(name)).transpose()?,
            ..self.clone()
        })
    }

    /// The settings of the engine that readers use on the primary.
    ///
    /// With replicas it has `max_reads_on_primary` of the connections, which is 0 if readers never read there. The
    /// server refuses writes, except through a transaction pooler, which other clients share.
    pub(crate) fn for_reads_on_primary(&self) -> Self {
        let mut settings = self.clone();
        settings.role = Role::Primary;
        let options = &mut settings.options;
        options.read_only = options.read_only || options.pooler == Pooler::None;
        options.min_idle = 0;
        if !self.replicas.is_empty() {
            options.max_connections = options.max_reads_on_primary.of(options.max_connections);
        }
        settings.requires_primary = !self.replicas.is_empty();
        settings.replicas = Arc::default();
        settings
    }

    /// These settings for one session, with which the engine ends.
    pub(crate) fn one_off(mut self) -> Self {
        self.is_one_off = true;
        self.replicas = Arc::default();
        self.options.max_connections = 1;
        self.options.min_idle = 0;
        self.options.idle_timeout = None;
        self.options.max_lifetime = None;
        self
    }

    /// The settings for a connection that the program has opened itself: the defaults. No connection is ever opened with
    /// them, and `url` says only which backend it is.
    pub(crate) fn of_own_connection(key: BindKey, url: DatabaseUrl) -> Self {
        let settings = Self {
            key,
            url,
            migrate_url: None,
            options: EngineOptions::default(),
            required: true,
            tenant_schema: None,
            tenant: None,
            credentials: None,
            connector: None,
            is_isolated: false,
            is_one_off: true,
            role: Role::Primary,
            replicas: Arc::default(),
            endpoint: None,
            requires_primary: false,
            has_metrics_by_tenant: false,
        };
        settings.one_off()
    }

    /// These settings in test isolation: a SQLite database is replaced by its `copy`; any other database is used
    /// through one connection that stays in one transaction.
    pub(crate) fn isolated(&self, copy: Option<DatabaseUrl>) -> Self {
        let mut settings = self.clone();
        // Nothing is committed, so a replica would never see it.
        settings.replicas = Arc::default();
        match copy {
            Some(copy) => {
                settings.url = copy;
                settings.migrate_url = None;
            }
            None => {
                settings.is_isolated = true;
                settings.options.max_connections = 1;
                settings.options.min_idle = 0;
                // The limit was chosen for a queue behind more connections.
                settings.options.queue_limit = None;
                settings.options.idle_timeout = None;
                settings.options.max_lifetime = None;
            }
        }
        settings
    }
}
