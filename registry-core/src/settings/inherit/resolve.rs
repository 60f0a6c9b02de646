use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::settings::bind_settings::BindSettings;
use crate::settings::credentials::CredentialSource;
use crate::settings::error::Problem;
use crate::settings::inherit::bind_defaults::{BindDefaults, Own};
use crate::settings::keys::BackendKind;
use crate::settings::keys::BindKey;
use crate::settings::options::EngineOptions;
use crate::settings::options::{OptionLayer, SaidOptions};
use crate::settings::parse::draft::{BindDraft, Draft, OnDemandDraft, Said, UrlFrom};
use crate::settings::sources::Settings;
use crate::settings::url::DatabaseUrl;
use crate::settings::validate::backend_support::check_general;
use crate::settings::validate::ranges::{LONGEST, TOO_LONG, check_ranges};

/// Everything that an engine needs to know, checked.
#[derive(Debug, Clone)]
pub(crate) struct EngineSettings {
    pub(crate) key: BindKey,
    /// With its password, and with an absolute path if it is a file.
    pub(crate) url: DatabaseUrl,
    /// Where migrations connect instead, in the same form.
    pub(crate) migrate_url: Option<DatabaseUrl>,
    pub(crate) options: EngineOptions,
    pub(crate) required: bool,
    /// The schema of each tenant, with `{tenant}` in it.
    pub(crate) tenant_schema: Option<String>,
    /// The tenant whose database it is, by the URL's `{tenant}`.
    pub(crate) tenant: Option<Arc<str>>,
    pub(crate) credentials: Option<CredentialSource>,
    /// Whether nothing is ever committed: one connection, in a transaction.
    pub(crate) is_isolated: bool,
}

impl EngineSettings {
    /// Where migrations connect.
    pub(crate) fn url_to_migrate(&self) -> &DatabaseUrl {
        self.migrate_url.as_ref().unwrap_or(&self.url)
    }

    /// The same in test isolation. SQLite has a database of its own instead, at `copy`.
    pub(crate) fn isolated(&self, copy: Option<DatabaseUrl>) -> Self {
        let mut settings = self.clone();
        match copy {
            Some(copy) => {
                settings.url = copy;
                settings.migrate_url = None;
            }
            None => {
                settings.is_isolated = true;
                settings.options.max_connections = 1;
                settings.options.min_idle = 0;
                // Of a queue that is for more connections.
                settings.options.queue_limit = None;
                settings.options.idle_timeout = None;
                settings.options.max_lifetime = None;
            }
        }
        settings
    }
}

/// Bounds for the engines that are opened on demand, all together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OnDemandOptions {
    pub(crate) max_engines: u32,
    pub(crate) engine_idle_timeout: Option<Duration>,
}

impl Default for OnDemandOptions {
    fn default() -> Self {
        Self { max_engines: 64, engine_idle_timeout: Some(Duration::from_secs(10 * 60)) }
    }
}

/// What code says beside the settings.
#[derive(Debug, Clone, Default)]
pub(crate) struct BuilderSettings {
    pub(crate) binds: Vec<(String, BindSettings)>,
    /// Options for every engine, under those of the settings.
    pub(crate) options: EngineOptions,
    pub(crate) on_demand: OnDemandOptions,
    pub(crate) credentials: Vec<(String, CredentialSource)>,
    /// The binds whose settings are found for each tenant by code.
    pub(crate) resolver_binds: Vec<String>,
}

/// What settings come to.
#[derive(Debug)]
pub(crate) struct Resolved {
    pub(crate) engines: Vec<EngineSettings>,
    /// The binds whose settings are found for each tenant by code.
    pub(crate) resolver_binds: Vec<BindKey>,
    pub(crate) bind_defaults: BindDefaults,
    pub(crate) on_demand: OnDemandOptions,
    pub(crate) problems: Vec<Problem>,
}

/// Turns all that was said into engines, by key, and lists every problem on the way.
///
/// A bind in `code` replaces one of the same key in `settings`. A bind's own options win over those
/// for every engine. `check_url` is what the driver has to say. Reads the files that hold secrets, and
/// connects to nothing.
pub(crate) fn resolve(
    settings: &Settings,
    code: BuilderSettings,
    check_url: fn(&DatabaseUrl) -> Result<(), String>,
) -> Resolved {
    resolve_with(settings, code, BackendKind::is_enabled, check_url)
}

pub(in crate::settings) fn resolve_with(
    settings: &Settings,
    code: BuilderSettings,
    is_enabled: fn(BackendKind) -> bool,
    check_url: fn(&DatabaseUrl) -> Result<(), String>,
) -> Resolved {
    let Draft { binds, options: general, on_demand, overrides, mut problems } = settings.merged();
    let in_settings = binds.into_iter().map(|(key, draft)| (key, (draft, settings.base())));
    let mut binds: BTreeMap<BindKey, (BindDraft, &Path)> = in_settings.collect();
    let nothing_said = binds.is_empty() && code.binds.is_empty() && code.resolver_binds.is_empty();
    binds.extend(read_code(code.binds, &mut problems));
    let resolver_binds = read_keys(code.resolver_binds, "tenants", &mut problems);
    for key in &resolver_binds {
        if binds.contains_key(key) {
            let message = "said twice: the settings of this bind's databases come from code";
            problems.push(Problem::new(format!("tenants({:?})", key.as_str()), message));
        }
    }

    let base_layer =
        OptionLayer::new(SaidOptions::from(&code.options), |name| format!("options(..).{name}"));
    check_ranges(&base_layer, &mut problems);
    check_ranges(&general, &mut problems);
    let mut bind_defaults = BindDefaults {
        own: BTreeMap::new(),
        general,
        base_layer,
        base: code.options,
        credentials: BTreeMap::new(),
        is_enabled,
        check_url,
        is_isolated: false,
    };
    for (key, source) in code.credentials {
        match BindKey::new(&key) {
            Ok(key) if binds.contains_key(&key) || resolver_binds.contains(&key) => {
                bind_defaults.credentials.insert(key, source);
            }
            _ => problems
                .push(Problem::new(format!("credentials({key:?})"), "there is no such bind")),
        }
    }

    let mut engines = Vec::new();
    let mut urls = Vec::new();
    for (key, (draft, folder)) in binds {
        if let Some(engine) = bind_defaults.read(key, &draft, folder, &mut problems) {
            urls.push(engine.url.clone());
            engines.push(engine);
        }
        bind_defaults.own.insert(key, Own { options: draft.options, required: draft.required });
    }
    check_general(&bind_defaults.general, &urls, &mut problems);
    if nothing_said {
        problems.push(no_database(&overrides));
    }
    let on_demand = bounds(on_demand, code.on_demand, &mut problems);
    Resolved {
        engines,
        resolver_binds,
        bind_defaults,
        on_demand,
        problems: without_repetition(problems),
    }
}

fn bounds(
    said: OnDemandDraft,
    code: OnDemandOptions,
    problems: &mut Vec<Problem>,
) -> OnDemandOptions {
    let (max, max_place) = said.max_engines.map_or_else(
        || (code.max_engines, "max_engines(..)".to_owned()),
        |said| (said.value, said.place),
    );
    if max == 0 {
        problems.push(Problem::new(max_place, "at least 1 engine can be open"));
    }
    let (idle, idle_place) = said.engine_idle_timeout.map_or_else(
        || (code.engine_idle_timeout, "engine_idle_timeout(..)".to_owned()),
        |said| (said.value, said.place),
    );
    if idle == Some(Duration::ZERO) {
        problems.push(Problem::new(idle_place, "zero is no duration here; \"none\" sets no limit"));
    } else if idle.is_some_and(|idle| idle > LONGEST) {
        problems.push(Problem::new(idle_place, format!("{TOO_LONG}; \"none\" sets no limit")));
    }
    OnDemandOptions { max_engines: max, engine_idle_timeout: idle }
}

fn read_keys(keys: Vec<String>, method: &str, problems: &mut Vec<Problem>) -> Vec<BindKey> {
    let mut read = Vec::new();
    for key in keys {
        let place = format!("{method}({key:?})");
        match BindKey::new(&key) {
            Err(invalid) => problems.push(Problem::new(place, invalid)),
            Ok(key) if read.contains(&key) => {
                problems.push(Problem::new(place, "said twice: one key is one database"));
            }
            Ok(key) => read.push(key),
        }
    }
    read
}

fn read_code(
    code: Vec<(String, BindSettings)>,
    problems: &mut Vec<Problem>,
) -> BTreeMap<BindKey, (BindDraft, &'static Path)> {
    let mut binds = BTreeMap::new();
    for (key, bind) in code {
        let place = format!("bind({key:?})");
        match BindKey::new(&key) {
            Err(invalid) => problems.push(Problem::new(place, invalid)),
            Ok(key) => {
                // Code has no folder of its own: its relative paths begin in the current directory.
                let draft = (BindDraft::from_code(bind, &place), Path::new(""));
                if binds.insert(key, draft).is_some() {
                    problems.push(Problem::new(place, "said twice: one key is one database"));
                }
            }
        }
    }
    binds
}

fn no_database(overrides: &BTreeMap<BindKey, Said<UrlFrom>>) -> Problem {
    let mut message =
        "no database at all: say `url` or `binds` in the settings, or DATABASE_URL in \
                       the environment"
            .to_owned();
    for (key, said) in overrides {
        message += &format!(
            "; {} overrides the URL of a bind `{key}` in the settings, and makes none",
            said.place
        );
    }
    Problem::new("database", message)
}

/// What is wrong for every engine is found with each of them.
fn without_repetition(problems: Vec<Problem>) -> Vec<Problem> {
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
