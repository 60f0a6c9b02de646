//! Settings as part of an application's own settings, and the environment of a real process.

use std::process::Command;

use registry_core::{Registry, Settings};
use serde::Deserialize;

/// The settings of an application, which include those of its databases.
#[derive(Deserialize)]
struct App {
    port: u16,
    storage: Settings,
}

#[test]
fn settings_deserialize_as_part_of_the_applications_own() {
    let app: App = serde_json::from_str(
        r#"{
            "port": 8080,
            "storage": {
                "url": "postgres://app@db.example/app",
                "password": "hunter2",
                "options": { "max_connections": 7, "acquire_timeout": "5s" },
                "binds": {
                    "files": "sqlite://files.db",
                    "reports": { "url": "mysql://app@db.example/r", "max_connections": 2 }
                }
            }
        }"#,
    )
    .expect("JSON");
    assert_eq!(app.port, 8080);
    let settings = app
        .storage
        .relative_to("/var/lib/app")
        .overlaid_with([("REPORTS_DATABASE_URL", "mysql://app@elsewhere/r")]);
    assert!(!format!("{settings:?}").contains("hunter2"));
    let registry = Registry::from_settings(settings).expect("good settings");
    let seen: Vec<_> = registry
        .keys()
        .map(|key| {
            let engine = registry.engine(key).expect("it is there");
            format!("{key} {} {}", engine.url(), engine.options().max_connections)
        })
        .collect();
    assert_eq!(
        seen,
        [
            "default postgres://app:***@db.example/app 7",
            "files sqlite:///var/lib/app/files.db 7",
            "reports mysql://app@elsewhere/r 2",
        ]
    );
    assert!(!format!("{registry:?}").contains("hunter2"));
    let engine = registry.engine("default").expect("it is there");
    assert!(!format!("{engine:?} {}", engine.url()).contains("hunter2"));
}

/// The variable that tells the test below that it is run in the inner process.
const INNER: &str = "REGISTRY_TEST_INNER_SETTINGS";

/// Does nothing when it is run directly: the tests below run it in an inner process with another environment.
#[test]
fn inner_process_prints_the_settings_of_its_environment() {
    let Ok(file) = std::env::var(INNER) else { return };
    let settings = match file.as_str() {
        "" => Settings::from_env(),
        file => Settings::load(file).expect("a settings file"),
    };
    match Registry::from_settings(settings) {
        Ok(registry) => registry.keys().for_each(|key| {
            let engine = registry.engine(key).expect("it is there");
            println!("\nseen {key} {} {}", engine.url(), engine.options().max_connections);
        }),
        Err(error) => error.to_string().lines().for_each(|line| println!("\nseen {line}")),
    }
}

/// The settings that the inner process sees with these variables.
fn seen(file: &str, variables: &[(&str, &str)]) -> Vec<String> {
    let output = Command::new(std::env::current_exe().expect("this test binary"))
        .args([
            "cases::environment::inner_process_prints_the_settings_of_its_environment",
            "--exact",
        ])
        .arg("--nocapture")
        .env_clear()
        .env(INNER, file)
        .envs(variables.iter().copied())
        .output()
        .expect("it can be run");
    assert!(output.status.success(), "{output:?}");
    let output = String::from_utf8(output.stdout).expect("UTF-8");
    output.lines().filter_map(|line| line.strip_prefix("seen ")).map(str::to_owned).collect()
}

#[test]
fn variables_of_the_process_are_settings() {
    assert_eq!(
        seen(
            "",
            &[
                ("DATABASE_URL", "postgres://app:hunter2@localhost/app"),
                ("DATABASE__OPTIONS__MAX_CONNECTIONS", "3"),
                ("DATABASE__BINDS__FILES", "sqlite::memory:"),
                ("OTHER_DATABASE_URL", "a stray one"),
                ("DATABASE__BINDS__EMPTY", ""),
            ]
        ),
        ["default postgres://app:***@localhost/app 3", "files sqlite::memory: 1"]
    );
    assert_eq!(
        seen("", &[]),
        ["database: no database is configured: set `url` or `binds` in the settings, or \
          DATABASE_URL in the environment"]
    );
}

#[test]
fn variables_of_the_process_override_the_file() {
    let folder = crate::support::fresh_folder();
    let file = folder.join("settings.toml");
    std::fs::write(
        &file,
        "[database]\nurl = 'sqlite:///file.db'\n[database.binds]\nanalytics = 'sqlite://a.db'",
    )
    .expect("a file");
    let file = file.to_str().expect("UTF-8");
    assert_eq!(
        seen(file, &[]),
        [
            format!("analytics sqlite://{}/a.db 10", folder.display()),
            "default sqlite:///file.db 10".to_owned()
        ]
    );
    assert_eq!(
        seen(
            file,
            &[
                ("DATABASE_URL", "mysql://app@localhost/app"),
                ("ANALYTICS_DATABASE_URL", "sqlite:///other.db"),
                ("DATABASE__BINDS__ANALYTICS__MAX_CONNECTIONS", "2"),
                ("DATABASE__NONSENSE", ""),
            ]
        ),
        ["analytics sqlite:///other.db 2", "default mysql://app@localhost/app 10"]
    );
}
