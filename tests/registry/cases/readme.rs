//! What the README promises in tables.

use registry_core::{EngineOptions, Registry, Settings};
use serde_json::Value;

/// The cells of each row of the first table in that section, without its headings.
fn table(section: &str) -> Vec<Vec<String>> {
    let readme = std::fs::read_to_string(crate::support::workspace().join("README.md"));
    let readme = readme.expect("the README");
    let (_, section) = readme.split_once(&format!("# {section}\n")).expect("that section");
    let rows = section.lines().skip_while(|line| !line.starts_with('|'));
    let rows = rows.take_while(|line| line.starts_with('|')).skip(2);
    rows.map(|row| row.trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned()).collect())
        .collect()
}

fn code(cell: &str) -> &str {
    cell.trim_matches('`')
}

/// A default as the README writes it.
fn written(default: &Value) -> String {
    match default {
        Value::Null => "none".to_owned(),
        Value::Array(items) if items.is_empty() => "none".to_owned(),
        Value::String(word) if word == "auto" => "`\"auto\"`".to_owned(),
        Value::String(duration) => {
            let minutes = duration.strip_suffix('m').map(|number| format!("{number}min"));
            minutes.unwrap_or_else(|| duration.clone())
        }
        other => other.to_string(),
    }
}

#[test]
fn every_option_is_in_the_table_with_its_default() {
    let rows = table("Options");
    let mut told: Vec<(String, String)> =
        rows.iter().map(|row| (code(&row[0]).to_owned(), row[1].clone())).collect();
    told.sort();
    let defaults = serde_json::to_value(EngineOptions::default()).expect("it serializes");
    let mut expected: Vec<(String, String)> = defaults
        .as_object()
        .expect("a map")
        .iter()
        .map(|(name, default)| (name.clone(), written(default)))
        .collect();
    expected.sort();
    assert_eq!(told, expected);
}

#[test]
fn every_option_can_be_set_to_the_default_that_is_told() {
    for row in table("Options") {
        let (name, default) = (code(&row[0]), code(&row[1]).trim_matches('"'));
        // There are no statements to switch off, and SQLite has no statement_timeout.
        if name == "on_connect" {
            continue;
        }
        let text = format!("url = 'sqlite:///app.db'\noptions.{name} = '{default}'");
        let settings = Settings::from_toml(&text).expect("TOML");
        let registry = Registry::from_settings(settings).expect(name);
        let options = registry.engine("default").expect("it is there").options().clone();
        assert_eq!(options, EngineOptions::default(), "{name}");
    }
}

#[test]
fn every_url_in_the_table_is_one() {
    // Below the examples of settings, and above the options.
    let rows = table("Settings");
    assert!(rows.len() >= 7, "{rows:?}");
    for row in rows {
        for url in row[0].split(", ").map(code).map(|url| url.replace("..", "app@localhost/app")) {
            let built = Registry::builder().bind("default", url.as_str()).build();
            built.unwrap_or_else(|error| panic!("{url}: {error}"));
        }
    }
}

#[test]
fn every_backend_is_in_the_table_with_its_connection_type() {
    let rows = table("Backends");
    let told: Vec<&str> = rows.iter().map(|row| code(&row[0])).collect();
    assert_eq!(told, ["postgres", "mysql", "sqlite"]);
    fn is_the_type<T: 'static, U: 'static>() -> bool {
        std::any::TypeId::of::<T>() == std::any::TypeId::of::<U>()
    }
    assert!(is_the_type::<registry_core::Postgres, diesel_async::AsyncPgConnection>());
    assert!(is_the_type::<registry_core::Mysql, diesel_async::AsyncMysqlConnection>());
    assert!(is_the_type::<registry_core::Sqlite, registry_core::AsyncSqliteConnection>());
}
