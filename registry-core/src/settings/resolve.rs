use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use secrecy::SecretString;

use super::draft::{BindDraft, Draft, PasswordFrom, Said, UrlFrom};
use super::error::Problem;
use super::honour::{Layers, check_general, check_ranges, fitted};
use super::options::{OptionLayer, SaidOptions};
use super::{BackendKind, BindSettings, DatabaseUrl, EngineOptions, Settings};
use crate::bind_key::BindKey;

/// Everything that an engine needs to know, checked.
#[derive(Debug)]
pub(crate) struct EngineSettings {
    pub(crate) key: BindKey,
    /// With its password, and with an absolute path if it is a file.
    pub(crate) url: DatabaseUrl,
    pub(crate) options: EngineOptions,
    pub(crate) required: bool,
}

/// Turns all that was said into engines, by key, and lists every problem on the way.
///
/// A bind in `code` replaces one of the same key in `settings`. A bind's own options win over those
/// for every engine, and those over `base`. `check_url` is what the driver has to say. Reads the files that hold secrets, and connects to
/// nothing.
pub(crate) fn resolve(
    settings: &Settings,
    code: Vec<(String, BindSettings)>,
    base: &EngineOptions,
    check_url: impl Fn(&DatabaseUrl) -> Result<(), String>,
) -> (Vec<EngineSettings>, Vec<Problem>) {
    resolve_with(settings, code, base, BackendKind::is_enabled, check_url)
}

fn resolve_with(
    settings: &Settings,
    code: Vec<(String, BindSettings)>,
    base: &EngineOptions,
    is_enabled: fn(BackendKind) -> bool,
    check_url: impl Fn(&DatabaseUrl) -> Result<(), String>,
) -> (Vec<EngineSettings>, Vec<Problem>) {
    let Draft { binds, options: general, overrides, mut problems } = settings.merged();
    let in_settings = binds.into_iter().map(|(key, draft)| (key, (draft, settings.base())));
    let mut binds: BTreeMap<BindKey, (BindDraft, &Path)> = in_settings.collect();
    let nothing_said = binds.is_empty() && code.is_empty();
    binds.extend(read_code(code, &mut problems));

    let base_layer =
        OptionLayer::new(SaidOptions::from(base), |name| format!("options(..).{name}"));
    check_ranges(&base_layer, &mut problems);
    check_ranges(&general, &mut problems);

    let mut engines = Vec::new();
    let mut urls = Vec::new();
    for (key, (draft, folder)) in &binds {
        let url = read_url(draft, folder, is_enabled)
            .and_then(|url| {
                check_url(&url.value.resolved_against(folder))
                    .map_err(|message| Some(Problem::new(&url.place, message)))?;
                with_password(draft, url, folder)
            })
            .map_err(|problem| problems.extend(problem))
            .ok();
        check_ranges(&draft.options, &mut problems);
        let layers = Layers { own: &draft.options, general: &general, base: &base_layer };
        let options = fitted(*key, url.as_ref(), base, &layers, &mut problems);
        if let Some(url) = url {
            urls.push(url.clone());
            engines.push(EngineSettings {
                key: *key,
                url: url.resolved_against(folder),
                options,
                required: draft.required.unwrap_or(true),
            });
        }
    }
    check_general(&general, &urls, &mut problems);
    if nothing_said {
        problems.push(no_database(&overrides));
    }
    (engines, without_repetition(problems))
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

/// Fails without a problem where there is one already.
fn read_url(
    draft: &BindDraft,
    folder: &Path,
    is_enabled: fn(BackendKind) -> bool,
) -> Result<Said<DatabaseUrl>, Option<Problem>> {
    let Some(said) = &draft.url else {
        let message = "a bind without a URL: write `url` or `url_file`";
        return Err(Some(Problem::new(&draft.place, message)));
    };
    let url = match &said.value {
        UrlFrom::Refused => return Err(None),
        UrlFrom::Text(url) => url.clone(),
        UrlFrom::File(file) => {
            let file = folder.join(file);
            let text =
                read_secret(&file).map_err(|error| unreadable(&said.place, &file, &error))?;
            DatabaseUrl::parse(text.trim())
        }
    };
    let url = url.map_err(|invalid| Problem::new(&said.place, invalid))?;
    let backend = url.backend();
    if !is_enabled(backend) {
        return Err(Some(feature_off(&said.place, backend)));
    }
    Ok(Said { value: url, place: said.place.clone(), layer: said.layer })
}

/// The URL with the password that was said beside it.
///
/// Of a password in the URL and one beside it, that of the upper layer wins: a `DATABASE_URL` with a
/// password of its own replaces the file's password, and one without keeps it.
fn with_password(
    draft: &BindDraft,
    url: Said<DatabaseUrl>,
    folder: &Path,
) -> Result<DatabaseUrl, Option<Problem>> {
    let Some(said) = &draft.password else {
        return Ok(url.value);
    };
    let below = said.layer < url.layer;
    if url.value.backend() == BackendKind::Sqlite {
        // A URL from a variable may well be of another backend than the one that it overrides.
        return if below {
            Ok(url.value)
        } else {
            Err(Some(Problem::new(&said.place, "SQLite has no passwords")))
        };
    }
    if url.value.has_password() {
        if below {
            return Ok(url.value);
        }
        if said.layer == url.layer {
            let message = format!("said twice: the URL of `{}` has a password as well", url.place);
            return Err(Some(Problem::new(&said.place, message)));
        }
    }
    let password = match &said.value {
        PasswordFrom::Text(password) => password.clone(),
        PasswordFrom::File(file) => {
            let file = folder.join(file);
            let text =
                read_secret(&file).map_err(|error| unreadable(&said.place, &file, &error))?;
            SecretString::from(text)
        }
    };
    Ok(url.value.with_password(&password))
}

/// The content of a file without the line break that editors and `echo` leave at its end.
fn read_secret(file: &Path) -> io::Result<String> {
    let mut text = fs::read_to_string(file)?;
    text.truncate(text.trim_end_matches(['\r', '\n']).len());
    if text.is_empty() {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file is empty"));
    }
    Ok(text)
}

fn unreadable(place: &str, file: &Path, error: &io::Error) -> Problem {
    Problem::new(place, format!("cannot read {}: {error}", file.display()))
}

fn feature_off(place: &str, backend: BackendKind) -> Problem {
    Problem::new(
        place,
        format!(
            "{backend} needs the feature `{}` of registry-core, which is off: add it to that \
             dependency's `features` in Cargo.toml",
            backend.feature()
        ),
    )
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
        code: Vec<(String, BindSettings)>,
        base: &EngineOptions,
    ) -> (Vec<EngineSettings>, Vec<Problem>) {
        resolve_with(settings, code, base, |_| true, |_| Ok(()))
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
    fn a_secret_that_cannot_be_read_is_a_problem_with_its_path() {
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
        let missing = folder.join("missing");
        let reason = fs::read(&missing).unwrap_err();
        assert_eq!(
            problems(&settings.relative_to(folder)),
            [
                format!("binds.a.password_file: cannot read {}: {reason}", missing.display()),
                format!(
                    "binds.b.url_file: cannot read {}: the file is empty",
                    folder.join("empty").display()
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
        let (engines, problems) = resolve_with(
            &settings,
            Vec::new(),
            &EngineOptions::default(),
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
