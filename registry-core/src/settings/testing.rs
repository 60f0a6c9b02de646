//! Helpers for the tests of every stage: settings that have passed through all stages.

use super::bind_settings::BindSettings;
use super::error::Problem;
use super::inherit::resolve::resolve_with;
use super::inherit::{BuilderSettings, EngineSettings};
use super::options::EngineOptions;
use super::sources::Settings;

/// Every backend counts as enabled, whichever features are on.
pub(in crate::settings) fn resolve(
    settings: &Settings,
    binds: Vec<(String, BindSettings)>,
    options: &EngineOptions,
) -> (Vec<EngineSettings>, Vec<Problem>) {
    let code = BuilderSettings { binds, options: options.clone(), ..Default::default() };
    let resolved = resolve_with(settings, code, |_| true, |_| Ok(()));
    (resolved.engines, resolved.problems)
}

pub(in crate::settings) fn engines(settings: &Settings) -> Vec<EngineSettings> {
    let (engines, problems) = resolve(settings, Vec::new(), &EngineOptions::default());
    assert_eq!(problems, []);
    engines
}

/// Each engine as `key url`, the URL with its password.
pub(in crate::settings) fn urls(settings: &Settings) -> Vec<String> {
    let engines = engines(settings);
    let urls = engines.iter();
    urls.map(|engine| format!("{} {}", engine.key, engine.url.for_driver())).collect()
}

pub(in crate::settings) fn problems(settings: &Settings) -> Vec<String> {
    let (_, problems) = resolve(settings, Vec::new(), &EngineOptions::default());
    problems.iter().map(Problem::to_string).collect()
}
