//! All binds of a registry at once.

use std::collections::BTreeMap;
use std::path::Path;

use secrecy::SecretString;

use super::bind_defaults::{BindDefaults, OwnSettings};
use super::engine_settings::EngineSettings;
use super::on_demand::{self, OnDemandOptions};
use super::token_key;
use crate::settings::bind_settings::BindSettings;
use crate::settings::connector::Connector;
use crate::settings::credentials::CredentialSource;
use crate::settings::error::Problem;
use crate::settings::keys::{BackendKind, BindKey};
use crate::settings::options::{EngineOptions, OptionLayer, PartialOptions};
use crate::settings::parse::draft::{BindDraft, Draft, UrlSource, Written};
use crate::settings::parse::near_miss;
use crate::settings::sources::Settings;
use crate::settings::validate::ranges;
use crate::settings::validate::url::CheckUrl;
use crate::settings::validate::{backend_support, connector, tenants};

/// Everything that the registry's builder was given, except for the settings.
#[derive(Debug, Clone, Default)]
pub(crate) struct BuilderSettings {
    pub(crate) binds: Vec<(String, BindSettings)>,
    /// Options for every engine. The settings win over them.
    pub(crate) options: EngineOptions,
    pub(crate) on_demand: OnDemandOptions,
    /// The secret that signs tokens.
    pub(crate) token_key: Option<SecretString>,
    pub(crate) credentials: Vec<(String, CredentialSource)>,
    pub(crate) connectors: Vec<(String, Connector)>,
    /// The binds that have a resolver, which finds the settings of each tenant.
    pub(crate) resolver_binds: Vec<String>,
    /// Whether the metrics of queries have the label `tenant`.
    pub(crate) has_metrics_by_tenant: bool,
}

/// The resolved settings of a registry.
#[derive(Debug)]
pub(crate) struct Resolved {
    /// The settings of the engine of each bind, in the order of the bind keys.
    pub(crate) engines: Vec<EngineSettings>,
    /// The binds that have a resolver, in the order in which the builder was given them.
    pub(crate) resolver_binds: Vec<BindKey>,
    pub(crate) bind_defaults: BindDefaults,
    pub(crate) on_demand: OnDemandOptions,
    /// The secret that signs tokens.
    pub(crate) token_key: Option<SecretString>,
    pub(crate) problems: Vec<Problem>,
}

/// Turns the settings and the calls of the builder into the settings of engines, and collects every problem.
///
/// A bind of the builder replaces one of the same key in `settings`. `check_url` returns why the driver would reject a
/// URL. Reads the files that contain secrets. Opens no connection.
pub(crate) fn resolve(
    settings: &Settings,
    builder: BuilderSettings,
    check_url: CheckUrl,
) -> Resolved {
    resolve_with(settings, builder, BackendKind::is_enabled, check_url)
}

/// Like [`resolve`], for tests: `is_enabled` says which backends count as enabled, whichever features are on.
pub(in crate::settings) fn resolve_with(
    settings: &Settings,
    builder: BuilderSettings,
    is_enabled: fn(BackendKind) -> bool,
    check_url: CheckUrl,
) -> Resolved {
    let Draft {
        binds,
        options: general,
        on_demand,
        token_key,
        overrides,
        near_tables,
        near_variables,
        mut problems,
    } = settings.merged();
    let in_settings = binds.into_iter().map(|(key, draft)| (key, (draft, settings.base())));
    let mut binds: BTreeMap<BindKey, (BindDraft, &Path)> = in_settings.collect();
    let has_no_bind =
        binds.is_empty() && builder.binds.is_empty() && builder.resolver_binds.is_empty();
    binds.extend(read_binds(builder.binds, &mut problems));
    let resolver_binds = read_resolver_binds(builder.resolver_binds, &mut problems);
    for key in &resolver_binds {
        if binds.contains_key(key) {
            let message = "this bind is in the settings, or was added by `bind(..)`, and also has a resolver: \
                           remove one of them";
            problems.push(Problem::new(resolver_place(key), message));
        }
    }

    for (key, url) in &overrides {
        let known = || binds.keys().chain(&resolver_binds);
        if !known().any(|bind| bind == key)
            && let Some(bind) = near_miss::bind_nearly_named(key, known())
        {
            near_miss::warn_variable(&url.place, bind);
        }
    }
    near_tables.iter().for_each(near_miss::warn_table);
    for variable in &near_variables {
        // The name of an unknown bind may be a word of another program.
        let known = |bind| binds.contains_key(bind) || resolver_binds.contains(bind);
        if variable.bind.as_ref().is_none_or(known) {
            near_miss::warn_underscore(variable);
        }
    }

    let builder_options = OptionLayer::from_code(PartialOptions::from(&builder.options), |name| {
        format!("options(..).{name}")
    });
    ranges::check(&builder_options, &mut problems);
    ranges::check(&general, &mut problems);
    let mut bind_defaults = BindDefaults {
        own: BTreeMap::new(),
        general,
        builder: builder_options,
        credentials: BTreeMap::new(),
        connectors: BTreeMap::new(),
        is_enabled,
        check_url,
        is_isolated: false,
        has_metrics_by_tenant: builder.has_metrics_by_tenant,
    };
    for (key, source) in builder.credentials {
        match BindKey::new(&key) {
            Ok(key) if binds.contains_key(&key) || resolver_binds.contains(&key) => {
                bind_defaults.credentials.insert(key, source);
            }
            _ => problems
                .push(Problem::new(format!("credentials({key:?})"), "there is no such bind")),
        }
    }

    for (key, connector) in builder.connectors {
        let place = connector::place(&key);
        match BindKey::new(&key) {
            Ok(key) if binds.contains_key(&key) || resolver_binds.contains(&key) => {
                if bind_defaults.connectors.insert(key, connector).is_some() {
                    problems
                        .push(Problem::new(place, "given twice: a bind has one way to connect"));
                }
            }
            _ => problems.push(Problem::new(place, "there is no such bind")),
        }
    }

    let mut engines = Vec::new();
    let mut urls = Vec::new();
    for (key, (draft, folder)) in binds {
        let engine = bind_defaults.inherit(key, &draft, folder, &mut problems);
        let has_tenants = engine.as_ref().is_some_and(EngineSettings::has_tenants);
        if let Some(engine) = engine {
            tenants::check_migrations(&draft.options, &engine.options, has_tenants, &mut problems);
            urls.push(engine.url.clone());
            engines.push(engine);
        }
        let own = OwnSettings { options: draft.options, required: draft.required, has_tenants };
        bind_defaults.own.insert(key, own);
    }
    backend_support::check_general(&bind_defaults.general, &urls, &mut problems);
    if has_no_bind {
        problems.push(no_database(&overrides));
    }
    let on_demand = on_demand::inherited(on_demand, builder.on_demand, &mut problems);
    let token_key =
        token_key::inherited(token_key.as_ref(), settings.base(), builder.token_key, &mut problems);
    let problems = deduplicated(problems);
    Resolved { engines, resolver_binds, bind_defaults, on_demand, token_key, problems }
}

fn read_resolver_binds(keys: Vec<String>, problems: &mut Vec<Problem>) -> Vec<BindKey> {
    let mut read = Vec::new();
    for key in keys {
        match BindKey::new(&key) {
            Err(invalid) => problems.push(Problem::new(resolver_place(&key), invalid)),
            Ok(key) if read.contains(&key) => {
                let message = "given twice: each bind key names one database";
                problems.push(Problem::new(resolver_place(&key), message));
            }
            Ok(key) => read.push(key),
        }
    }
    read
}

/// The place that a problem with a resolver names: the call of the builder.
fn resolver_place(key: &str) -> String {
    format!("tenants({key:?})")
}

fn read_binds(
    binds: Vec<(String, BindSettings)>,
    problems: &mut Vec<Problem>,
) -> BTreeMap<BindKey, (BindDraft, &'static Path)> {
    let mut read = BTreeMap::new();
    for (key, bind) in binds {
        let place = format!("bind({key:?})");
        match BindKey::new(&key) {
            Err(invalid) => problems.push(Problem::new(place, invalid)),
            Ok(key) => {
                // Settings from code have no folder: their relative paths are relative to the current directory.
                let draft = (BindDraft::from_code(bind, &place), Path::new(""));
                if read.insert(key, draft).is_some() {
                    problems
                        .push(Problem::new(place, "given twice: each bind key names one database"));
                }
            }
        }
    }
    read
}

fn no_database(overrides: &BTreeMap<BindKey, Written<UrlSource>>) -> Problem {
    let mut message =
        "no database is configured: set `url` or `binds` in the settings, or DATABASE_URL in \
         the environment"
            .to_owned();
    for (key, url) in overrides {
        message += &format!(
            "; {} only changes the URL of an existing bind `{key}`, and there is none",
            url.place
        );
    }
    Problem::new("database", message)
}

/// Removes duplicates: a problem with an option that is written for every engine is found once for each engine.
fn deduplicated(problems: Vec<Problem>) -> Vec<Problem> {
    let mut once: Vec<Problem> = Vec::with_capacity(problems.len());
    for problem in problems {
        if !once.contains(&problem) {
            once.push(problem);
        }
    }
    once
}

#[cfg(test)]
mod tests;
