use std::fs;
use std::time::Duration;

use super::*;
use crate::settings::testing::{engines, problems, resolve, urls};

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
            "bind(\"b\"): given twice: each bind key names one database",
            "bind(\"a\"): it is unclear where the host begins: elsewhere than before it, write \
             `%40` for `@`, and in a password also `%2F` for `/`, `%3F` for `?` and `%23` for \
             `#`",
            "bind(\"c\").password: given twice: the URL of `bind(\"c\")` has a password as well",
        ]
    );
}

#[test]
fn no_database_at_all_is_a_problem() {
    assert_eq!(
        problems(&Settings::default()),
        ["database: no database is configured: set `url` or `binds` in the settings, or \
          DATABASE_URL in the environment"]
    );
    let stray = Settings::default().overlaid_with([("TEST_DATABASE_URL", "sqlite::memory:")]);
    assert_eq!(
        problems(&stray),
        ["database: no database is configured: set `url` or `binds` in the settings, or \
          DATABASE_URL in the environment; TEST_DATABASE_URL only changes the URL of an existing \
          bind `test`, and there is none"]
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
fn the_password_of_the_upper_layer_wins() {
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
fn a_password_that_has_no_effect_is_a_problem() {
    assert_eq!(
        problems(&toml("url = 'sqlite:///a.db'\npassword = 'zauber'")),
        ["password: SQLite has no passwords"]
    );
    assert_eq!(
        problems(&toml("url = 'postgres://u:a@h/db'\npassword = 'zauber'")),
        ["password: given twice: the URL of `url` has a password as well"]
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
        ["url: MySQL needs the feature `mysql` of registry-core, which is off: add it to that \
          dependency's `features` in Cargo.toml"]
    );
}

#[test]
fn binds_are_required_by_default() {
    let settings =
        toml("binds.a = 'sqlite:///a.db'\nbinds.b = { url = 'sqlite:///b.db', required = false }");
    let required: Vec<bool> = engines(&settings).iter().map(|engine| engine.required).collect();
    assert_eq!(required, [true, false]);
}
