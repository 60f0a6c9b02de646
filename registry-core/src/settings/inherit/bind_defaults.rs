//! The settings of one bind, from its own settings and those for all binds.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::engine_settings::EngineSettings;
use super::replica::BindOfReplicas;
use super::{migrate_url, tls, url};
use crate::settings::bind_settings::BindSettings;
use crate::settings::connector::Connector;
use crate::settings::credentials::CredentialSource;
use crate::settings::error::{Problem, SettingsError};
use crate::settings::keys::{BackendKind, BindKey};
use crate::settings::options::{EngineOptions, OptionLayer, OptionLayers};
use crate::settings::parse::draft::{BindDraft, Written};
use crate::settings::role::Role;
use crate::settings::url::DatabaseUrl;
use crate::settings::url::tls::TlsMaterial;
use crate::settings::validate::{self, connector, pooler, ranges, replica, tenants};

/// The settings that binds inherit. The settings of an engine are made from them when a registry is built, and later
/// for each engine that is opened on demand or replaced.
#[derive(Clone)]
pub(crate) struct BindDefaults {
    /// Each bind's own settings except for its URL. Engines of the bind at another URL inherit them.
    pub(super) own: BTreeMap<BindKey, OwnSettings>,
    /// The table `options` of the settings.
    pub(super) general: OptionLayer,
    /// The options of the registry's builder.
    pub(super) builder: OptionLayer,
    pub(super) credentials: BTreeMap<BindKey, CredentialSource>,
    pub(super) connectors: BTreeMap<BindKey, Connector>,
    pub(super) is_enabled: fn(BackendKind) -> bool,
    pub(super) check_url: validate::url::CheckUrl,
    /// Whether the engines belong to a registry in test isolation, on which nothing is ever committed.
    pub(super) is_isolated: bool,
    pub(super) has_metrics_by_tenant: bool,
}

/// A bind's own settings, except for its URL.
#[derive(Debug, Default, Clone)]
pub(super) struct OwnSettings {
    pub(super) options: OptionLayer,
    pub(super) required: Option<Written<bool>>,
    /// Whether the bind has a database or schema for each tenant.
    pub(super) has_tenants: bool,
}

impl BindDefaults {
    /// The settings of an engine for the bind `key` at the URL of `bind`. Options that `bind` leaves out are inherited
    /// from the bind `key`.
    pub(crate) fn engine_settings(
        &self,
        key: BindKey,
        bind: BindSettings,
    ) -> Result<EngineSettings, SettingsError> {
        match self.inherited(key, bind, false)? {
            engine if self.is_isolated && engine.url.backend() == BackendKind::Sqlite => {
                let message = "in test isolation, only the binds of the settings have copies";
                Err(SettingsError::from_problem(&call_place(key), message))
            }
            engine => Ok(engine),
        }
    }

    /// Like [`engine_settings`](Self::engine_settings), for a tenant. In test isolation a SQLite tenant is not refused,
    /// because a copy is made of its database. The result has the URL of the original.
    pub(crate) fn tenant_engine_settings(
        &self,
        key: BindKey,
        bind: BindSettings,
    ) -> Result<EngineSettings, SettingsError> {
        self.inherited(key, bind, true)
    }

    fn inherited(
        &self,
        key: BindKey,
        bind: BindSettings,
        is_of_tenant: bool,
    ) -> Result<EngineSettings, SettingsError> {
        let mut draft = BindDraft::from_code(bind, &call_place(key));
        let own = self.own.get(&key).cloned().unwrap_or_default();
        let upper = std::mem::replace(&mut draft.options, own.options);
        draft.options.overlay(upper.clone());
        draft.required = draft.required.or(own.required);
        let mut problems = Vec::new();
        let engine = self.inherit(key, &draft, Path::new(""), &mut problems);
        if let Some(engine) = &engine {
            let has_tenants = is_of_tenant || own.has_tenants || engine.has_tenants();
            tenants::check_migrations(&upper, &engine.options, has_tenants, &mut problems);
        }
        match engine {
            Some(engine) if problems.is_empty() => {
                let is_in_transaction =
                    self.is_isolated && engine.url.backend() != BackendKind::Sqlite;
                Ok(if is_in_transaction { engine.isolated(None) } else { engine })
            }
            _ => Err(SettingsError::from_problems(problems)),
        }
    }

    /// The same defaults for a registry in test isolation.
    pub(crate) fn isolated(&self) -> Self {
        Self { is_isolated: true, ..self.clone() }
    }

    /// How long a caller waits for a session of the bind `key`, before the settings of its engine are known.
    pub(crate) fn acquire_timeout(&self, key: BindKey) -> Duration {
        let own = self.own.get(&key).and_then(|own| own.options.options.acquire_timeout);
        own.unwrap_or_else(|| self.general_acquire_timeout())
    }

    /// The same for a bind that has no `acquire_timeout` of its own.
    pub(crate) fn general_acquire_timeout(&self) -> Duration {
        let timeout = self.general.options.acquire_timeout.or(self.builder.options.acquire_timeout);
        timeout.unwrap_or_else(|| EngineOptions::default().acquire_timeout)
    }

    /// The settings of the bind `key`: inherited, then validated. `None` if its URL cannot be used, which is a problem.
    ///
    /// `folder` is where relative paths begin.
    pub(super) fn inherit(
        &self,
        key: BindKey,
        draft: &BindDraft,
        folder: &Path,
        problems: &mut Vec<Problem>,
    ) -> Option<EngineSettings> {
        let layers = OptionLayers {
            own: &draft.options,
            bind: None,
            general: &self.general,
            builder: &self.builder,
        };
        let material = tls::material(&layers).unwrap_or_else(|problem| {
            problems.push(problem);
            TlsMaterial::default()
        });
        let url = url::read(draft, None, folder, &material, self.is_enabled, self.check_url)
            .map_err(|problem| problems.extend(problem))
            .ok();
        let mut options = layers.merged();
        if url.as_ref().is_some_and(DatabaseUrl::is_memory) {
            fit_to_memory(&mut options, &draft.options);
        }

        ranges::check(&draft.options, problems);
        validate::check_options(key, url.as_ref(), &options, &layers, problems);
        problems.extend(replica::check_weight(draft));
        let replicas =
            BindOfReplicas { key, defaults: self, draft, url: url.as_ref(), folder }.read(problems);
        let url = url?;
        let tenant_schema = draft.tenant_schema.as_ref();
        if let Some(Written { place, layer, .. }) = &draft.url {
            let written = Written { value: &url, place: place.clone(), layer: *layer };
            pooler::check(&written, tenant_schema, &options, &layers, problems);
        }
        if let Some(own) = self.connectors.get(&key) {
            problems.extend(connector::check(key, own, &url, &options));
        }
        let migrate_url = migrate_url::read(draft, &url, folder, &material, self.check_url)
            .map_err(|problem| problems.push(problem))
            .unwrap_or_default();
        problems.extend(tenant_schema.and_then(|schema| tenants::check_schema(schema, &url)));
        let settings = EngineSettings {
            key,
            url: url.resolved_against(folder),
            migrate_url,
            options,
            required: draft.required.as_ref().is_none_or(|required| required.value),
            tenant_schema: tenant_schema.map(|schema| schema.value.clone()),
            tenant: None,
            credentials: self.credentials.get(&key).cloned(),
            connector: self.connectors.get(&key).cloned(),
            is_isolated: false,
            is_one_off: false,
            role: Role::Primary,
            replicas: Arc::default(),
            endpoint: None,
            requires_primary: false,
            has_metrics_by_tenant: self.has_metrics_by_tenant,
        };
        Some(settings.with_replicas(replicas))
    }
}

impl fmt::Debug for BindDefaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BindDefaults").finish_non_exhaustive()
    }
}

/// The place that a problem names if the settings were given when an engine was opened or replaced.
fn call_place(key: BindKey) -> String {
    format!("settings of {:?}", key.as_str())
}

/// Fits options to a SQLite database in memory: each connection would be a database of its own, and the end of the last
/// one is the end of the database. Options that are written for every engine are adjusted to this. A bind's own options
/// that contradict it are reported by [`validate::memory`].
fn fit_to_memory(options: &mut EngineOptions, own: &OptionLayer) {
    options.max_connections = 1;
    options.idle_timeout = None;
    options.max_lifetime = None;
    if own.options.min_idle.is_none() {
        options.min_idle = options.min_idle.min(1);
    }
}
