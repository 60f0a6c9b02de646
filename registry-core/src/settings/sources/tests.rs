use std::error::Error;

use super::*;
use crate::settings::options::EngineOptions;
use crate::settings::testing::{engines, problems, resolve, urls};

#[derive(Deserialize)]
struct AppSettings {
    #[serde(default)]
    database: Settings,
}

#[test]
fn any_serde_loader_can_produce_settings() {
    let toml = "
        [database]
        url = 'sqlite:///app.db'
        [database.options]
        max_connections = 4
        read_only = true
        [database.binds]
        analytics = 'sqlite:///analytics.db'
    ";
    let json = r#"{ "database": {
        "url": "sqlite:///app.db",
        "password": null,
        "options": { "max_connections": "4", "read_only": "true", "queue_limit": null },
        "binds": { "analytics": { "url": "sqlite:///analytics.db" }, "gone": null }
    } }"#;
    let from_toml: AppSettings = toml::from_str(toml).unwrap();
    let from_json: AppSettings = serde_json::from_str(json).unwrap();
    for settings in [from_toml.database, from_json.database] {
        let engines = engines(&settings);
        assert_eq!(
            urls(&settings),
            ["analytics sqlite:///analytics.db", "default sqlite:///app.db"]
        );
        assert_eq!(engines[0].options.max_connections, 4);
        assert!(engines[1].options.read_only);
    }
}

#[test]
fn a_url_alone_is_the_default_bind() {
    let app: AppSettings = serde_json::from_str(r#"{ "database": "sqlite:///app.db" }"#).unwrap();
    assert_eq!(urls(&app.database), ["default sqlite:///app.db"]);
}

#[test]
fn a_field_of_the_application_can_be_left_out() {
    let app: AppSettings = toml::from_str("").unwrap();
    assert_eq!(problems(&app.database).len(), 1);
    let app: AppSettings = serde_json::from_str(r#"{ "database": null }"#).unwrap();
    assert_eq!(problems(&app.database).len(), 1);
}

#[test]
fn values_of_wrong_types_are_all_reported() {
    let app: AppSettings = serde_json::from_str(
        r#"{ "database": { "url": 1, "options": [], "binds": { "a": 2.5 } } }"#,
    )
    .unwrap();
    assert_eq!(
        problems(&app.database),
        [
            "binds.a: expected a URL, or a table with one, found a decimal number",
            "options: expected a table, found a list",
            "url: expected the URL of a database, found a number",
        ]
    );
}

#[cfg(unix)]
#[test]
fn a_file_makes_relative_paths_begin_in_its_folder() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("settings.toml");
    fs::write(&file, "[database]\nurl = 'sqlite://data/app.db'").unwrap();
    let settings = Settings::from_file(&file).unwrap();
    assert_eq!(
        urls(&settings),
        [format!("default sqlite://{}/data/app.db", folder.path().display())]
    );
    assert_eq!(
        urls(&settings.relative_to("/elsewhere")),
        ["default sqlite:///elsewhere/data/app.db"]
    );
}

#[test]
fn a_missing_file_is_named_and_the_source_says_why() {
    let error = Settings::load("no/such/settings.toml").unwrap_err();
    assert_eq!(error.to_string(), "cannot read the settings file no/such/settings.toml");
    let source = fs::read("no/such/settings.toml").unwrap_err();
    assert_eq!(error.source().unwrap().to_string(), source.to_string());
    assert_eq!(error.problems().count(), 0);
}

#[test]
fn a_url_in_place_of_the_file_is_not_repeated() {
    for url in ["postgres://app:zauber@db/app", "sqlite:zauber.db", "odd://zauber"] {
        let error = Settings::from_file(url).unwrap_err();
        assert_eq!(
            error.to_string(),
            "settings file: the path of a file is expected, and what stands there looks like a URL"
        );
        assert!(!format!("{error:?}").contains("zauber"), "{error:?}");
    }
}

#[test]
fn a_toml_syntax_error_has_a_line_and_a_column() {
    let error = Settings::from_toml("[database]\nurl = 'sqlite::memory:' x\n").unwrap_err();
    assert!(error.to_string().starts_with("line 2, column 25: "), "{error}");

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("settings.toml");
    fs::write(&file, "a = 'ä' x").unwrap();
    let error = Settings::from_file(&file).unwrap_err();
    let expected = format!("{}: line 1, column 9: ", file.display());
    assert!(error.to_string().starts_with(&expected), "{error}");
}

#[test]
fn a_syntax_error_does_not_repeat_the_password() {
    for text in [
        "password = 'zauber",
        "password = zauber",
        "password = \"zauber\\q\"",
        "password = 'x' zauber",
        "zauber",
        "zauber = 1\nzauber = 2",
        "url = postgres://u:zauber@h/db",
    ] {
        let error = Settings::from_toml(text).unwrap_err();
        for shown in [format!("{error}"), format!("{error:?}")] {
            // A key is no secret, and may be named.
            assert!(
                !shown.contains("zauber") || text.starts_with("zauber"),
                "{text} is shown as {shown}"
            );
        }
    }
}

#[test]
fn no_password_is_shown() {
    for text in [
        "url = 'postgres://u:zauber@h/db'",
        "url = 'postgres://u:x@zauber@h/db'",
        "url = 'zauber'",
        "url = 'postgres://u@h/db'\npassword = 'zauber'",
        "binds.a = 'mysql://u:zauber/x@h'",
        "binds.a.max_connections = 'zauber'",
        "binds.a.acquire_timeout = 'zauber'",
        "binds.a.reset_on_return = 'zauber'",
        "binds.a.required = 'zauber'",
        "binds.a.on_connect = [\"PRAGMA key = 'zauber'\"]\nbinds.a.url = 'sqlite:a.db'",
        "options.on_connect = 'zauber'\nbinds.a = 'sqlite:a.db'",
        "binds.a.url_file = 'zauber'",
        "binds.a.url = 'postgres://u@h/db'\nbinds.a.password_file = 'zauber'",
        "options = 'zauber'",
        "binds = 'zauber'",
        "database = ['zauber']",
    ] {
        let settings = Settings::from_toml(text).unwrap().overlaid_with([
            ("DATABASE__OPTIONS__MIN_IDLE", "zauber"),
            ("X_DATABASE_URL", "zauber"),
        ]);
        let (engines, problems) = resolve(&settings, Vec::new(), &EngineOptions::default());
        let error = SettingsError::from_problems(problems);
        let shown = format!("{settings:?} {settings:#?} {engines:?} {error} {error:?}");
        assert!(!shown.contains("zauber"), "{text} is shown as {shown}");
    }
}
