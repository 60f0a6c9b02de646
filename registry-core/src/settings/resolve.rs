use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::bind_defaults::{BindDefaults, Own};
use super::credentials::CredentialSource;
use super::draft::{BindDraft, Draft, OnDemandDraft, Said, UrlFrom};
use super::error::Problem;
use super::honour::check_general;
use super::options::{OptionLayer, SaidOptions};
use super::ranges::{LONGEST, TOO_LONG, check_ranges};
use super::{BackendKind, BindSettings, DatabaseUrl, EngineOptions, Settings};
use crate::settings::BindKey;

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

fn resolve_with(
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

/// What other files of this module test with.
#[cfg(test)]
pub(super) mod testing {
    use super::*;

    /// As if every feature were on.
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
        urls.map(|engine| format!("{} {}", engine.key, engine.url.expose())).collect()
    }

    pub(in crate::settings) fn problems(settings: &Settings) -> Vec<String> {
        let (_, problems) = resolve(settings, Vec::new(), &EngineOptions::default());
        problems.iter().map(Problem::to_string).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use super::testing::{engines, problems, resolve, urls};
    use super::*;

    fn toml(text: &str) -> Settings {
        Settings::from_toml(text).unwrap()
    }

    fn code(binds: &[(&str, BindSettings)]) -> Vec<(String, BindSettings)> {
        let binds = binds.iter();
        binds.map(|(key, bind)| ((*key).to_owned(), bind.clone())).collect()
    }

    #[test]
    fn own_options_win_over_general_ones_and_those_over_the_builders() {
        let settings = toml(
            "
            [options]
            max_connections = 20
            min_idle = 2
            [binds.a]
            url = 'sqlite://a.db'
            max_connections = 4
            ",
        );
        let base = EngineOptions {
            max_connections: 99,
            min_idle: 98,
            check_timeout: Duration::from_secs(7),
            ..Default::default()
        };
        let (engines, problems) = resolve(&settings, Vec::new(), &base);
        assert_eq!(problems, []);
        assert_eq!(
            engines[0].options,
            EngineOptions {
                max_connections: 4,
                min_idle: 2,
                check_timeout: Duration::from_secs(7),
                ..Default::default()
            }
        );
    }

    #[test]
    fn a_bind_in_code_replaces_one_in_the_settings() {
        let settings = toml(
            "
            [options]
            min_idle = 1
            [binds.a]
            max_connections = 4
            statement_timeout = '1s'
            ",
        );
        let code = code(&[
            ("a", BindSettings::new("sqlite:///a.db").required(false)),
            ("b", "sqlite:///b.db".into()),
        ]);
        let (engines, problems) = resolve(&settings, code, &EngineOptions::default());
        assert_eq!(problems, []);
        assert_eq!(engines[0].key, "a");
        assert!(!engines[0].required);
        assert_eq!(engines[0].options.max_connections, 10);
        assert_eq!(engines[0].options.min_idle, 1);
        assert_eq!(engines[1].url.to_string(), "sqlite:///b.db");
    }

    #[test]
    fn problems_in_code_name_the_call() {
        let code = code(&[
            ("Logs", "sqlite::memory:".into()),
            ("a", "postgres://u:zauber/x@h".into()),
            ("b", "sqlite::memory:".into()),
            ("b", "sqlite::memory:".into()),
            ("c", BindSettings::new("postgres://u:zauber@h/db").password("zauber")),
        ]);
        let (_, problems) = resolve(&Settings::default(), code, &EngineOptions::default());
        let problems: Vec<String> = problems.iter().map(Problem::to_string).collect();
        assert_eq!(
            problems,
            [
                "bind(\"Logs\"): a bind key has only a-z, 0-9 and _, and begins with a letter: \
                 look at byte 0",
                "bind(\"b\"): said twice: one key is one database",
                "bind(\"a\"): it is unclear where the host begins: elsewhere than before it, write \
                 `%40` for `@`, and in a password also `%2F` for `/`, `%3F` for `?` and `%23` for \
                 `#`",
                "bind(\"c\").password: said twice: the URL of `bind(\"c\")` has a password as well",
            ]
        );
    }

    #[test]
    fn no_database_at_all_is_a_problem() {
        assert_eq!(
            problems(&Settings::default()),
            [
                "database: no database at all: say `url` or `binds` in the settings, or DATABASE_URL \
              in the environment"
            ]
        );
        let stray = Settings::default().overlaid_with([("TEST_DATABASE_URL", "sqlite::memory:")]);
        assert_eq!(
            problems(&stray),
            [
                "database: no database at all: say `url` or `binds` in the settings, or DATABASE_URL \
              in the environment; TEST_DATABASE_URL overrides the URL of a bind `test` in the \
              settings, and makes none"
            ]
        );
    }

    #[test]
    fn options_without_a_url_make_no_phantom_default() {
        let settings = toml("options.max_connections = 4\nbinds.a = 'sqlite:///a.db'");
        assert_eq!(urls(&settings), ["a sqlite:///a.db"]);
    }

    #[test]
    fn a_bind_needs_a_url() {
        assert_eq!(
            problems(&toml("[database.binds.a]\n[database.binds.b]\nmin_idle = 0")),
            [
                "database.binds.a: a bind without a URL: write `url` or `url_file`",
                "database.binds.b: a bind without a URL: write `url` or `url_file`",
            ]
        );
        assert_eq!(
            problems(&toml("[database]\npassword = 'x'")),
            ["database.url: a bind without a URL: write `url` or `url_file`"]
        );
    }

    #[test]
    fn every_problem_is_reported_at_once() {
        let problems = problems(&toml(
            "
            [database]
            url = 'postgre://localhost/app'
            [database.options]
            min_idel = 1
            [database.binds]
            Bad = 'sqlite::memory:'
            a = 'sqlite://'
            [database.binds.b]
            max_connections = 0
            ",
        ));
        let places: Vec<&str> =
            problems.iter().map(|problem| problem.split(": ").next().unwrap()).collect();
        assert_eq!(
            places,
            [
                "database.binds.Bad",
                "database.options.min_idel",
                "database.binds.a",
                "database.binds.b",
                "database.binds.b.max_connections",
                "database.url",
            ]
        );
    }

    #[test]
    fn secrets_are_read_from_files_beside_the_settings() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("password"), "n w\r\n").unwrap();
        fs::write(folder.path().join("url"), "postgres://app@h/db\n").unwrap();
        let settings = toml(
            "
            [binds.a]
            url = 'postgres://app@h/db'
            password_file = 'password'
            [binds.b]
            url_file = 'url'
            password = 'x/y'
            ",
        );
        assert_eq!(
            urls(&settings.relative_to(folder.path())),
            ["a postgres://app:n%20w@h/db", "b postgres://app:x%2Fy@h/db"]
        );
    }

    #[test]
    fn a_secret_that_cannot_be_read_is_a_problem_with_its_place() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("empty"), "\n").unwrap();
        let settings = toml(
            "
            [binds.a]
            url = 'postgres://app@h/db'
            password_file = 'missing'
            [binds.b]
            url_file = 'empty'
            ",
        );
        let folder = folder.path();
        let reason = fs::read(folder.join("missing")).unwrap_err();
        assert_eq!(
            problems(&settings.relative_to(folder)),
            [
                format!(
                    "binds.a.password_file: cannot read the file that is named here: {reason}; it is \
                     a relative path, which begins in {}",
                    folder.display()
                ),
                format!(
                    "binds.b.url_file: cannot read the file that is named here: the file is empty; it \
                     is a relative path, which begins in {}",
                    folder.display()
                ),
            ]
        );
    }

    #[test]
    fn a_secret_that_stands_for_a_path_is_not_repeated() {
        let reason = fs::read("/no/such/file").unwrap_err();
        let settings = toml(
            "
            [binds.a]
            url_file = 'postgres://app:zauber@db/app'
            [binds.b]
            url = 'postgres://app@db/app'
            password_file = '/zauber'
            ",
        )
        .overlaid_with([("DATABASE__URL_FILE", "sqlite:zauber.db")])
        .relative_to("/base");
        let shown = format!("{settings:?} {settings:#?}");
        assert!(!shown.contains("zauber"), "{shown}");
        let cannot = format!("cannot read the file that is named here: {reason}");
        let url = "what stands here looks like a URL, and should be the path of a file with a \
                   secret in it";
        assert_eq!(
            problems(&settings),
            [
                format!(
                    "binds.a.url_file: {cannot}; it is a relative path, which begins in /base; {url}"
                ),
                format!("binds.b.password_file: {cannot}; it is an absolute path"),
                format!(
                    "DATABASE__URL_FILE: {cannot}; it is a relative path, which begins in /base; \
                     {url}"
                ),
            ]
        );
    }

    #[test]
    fn of_two_passwords_that_of_the_upper_layer_wins() {
        let file = "[database]\nurl = 'postgres://app:file@h/db'";
        let beside = "[database]\nurl = 'postgres://app@h/db'\npassword = 'beside'";
        let url = |file, name, value| urls(&toml(file).overlaid_with([(name, value)]));

        assert_eq!(url(file, "DATABASE__PASSWORD", "env"), ["default postgres://app:env@h/db"]);
        assert_eq!(
            url(beside, "DATABASE_URL", "postgres://app:env@h/db"),
            ["default postgres://app:env@h/db"]
        );
        assert_eq!(
            url(beside, "DATABASE_URL", "postgres://other@h/db"),
            ["default postgres://other:beside@h/db"]
        );
        assert_eq!(url(beside, "DATABASE_URL", "sqlite:///app.db"), ["default sqlite:///app.db"]);
        assert_eq!(
            url("[database]\nurl_file = 'missing'", "DATABASE_URL", "sqlite:///app.db"),
            ["default sqlite:///app.db"]
        );
    }

    #[test]
    fn a_password_that_cannot_count_is_a_problem() {
        assert_eq!(
            problems(&toml("url = 'sqlite:///a.db'\npassword = 'zauber'")),
            ["password: SQLite has no passwords"]
        );
        assert_eq!(
            problems(&toml("url = 'postgres://u:a@h/db'\npassword = 'zauber'")),
            ["password: said twice: the URL of `url` has a password as well"]
        );
    }

    #[cfg(unix)]
    #[test]
    fn relative_paths_begin_in_the_settings_folder_and_those_of_code_do_not() {
        let settings = toml("url = 'sqlite://data/app.db'")
            .overlaid_with([("DATABASE__BINDS__ENV", "sqlite://env.db")])
            .relative_to("/srv/app");
        let code = code(&[("code", "sqlite://code.db".into())]);
        let (engines, problems) = resolve(&settings, code, &EngineOptions::default());
        assert_eq!(problems, []);
        let current = std::env::current_dir().unwrap();
        let urls: Vec<String> = engines.iter().map(|engine| engine.url.to_string()).collect();
        assert_eq!(
            urls,
            [
                format!("sqlite://{}/code.db", current.display()),
                "sqlite:///srv/app/data/app.db".to_owned(),
                "sqlite:///srv/app/env.db".to_owned(),
            ]
        );
        let file = engines[1].url.sqlite_file().unwrap();
        assert_eq!(file.created_parent(), Some(Path::new("/srv/app/data")));
    }

    #[test]
    fn a_backend_whose_feature_is_off_names_the_feature() {
        let settings = toml("binds.a = 'sqlite:///a.db'\nurl = 'mysql://localhost/app'");
        let Resolved { engines, problems, .. } = resolve_with(
            &settings,
            BuilderSettings::default(),
            |backend| backend == BackendKind::Sqlite,
            |_| Ok(()),
        );
        assert_eq!(engines.len(), 1);
        let problems: Vec<String> = problems.iter().map(Problem::to_string).collect();
        assert_eq!(
            problems,
            [
                "url: MySQL needs the feature `mysql` of registry-core, which is off: add it to that \
              dependency's `features` in Cargo.toml"
            ]
        );
    }

    #[test]
    fn required_is_the_default() {
        let settings = toml(
            "binds.a = 'sqlite:///a.db'\nbinds.b = { url = 'sqlite:///b.db', required = false }",
        );
        let required: Vec<bool> = engines(&settings).iter().map(|engine| engine.required).collect();
        assert_eq!(required, [true, false]);
    }
}
