//! What the guide promises in tables, and where its links lead.

use registry_core::{EngineOptions, Registry, Settings};
use serde_json::Value;

fn read(path: &str) -> String {
    let text = std::fs::read_to_string(crate::support::workspace().join(path));
    text.unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The cells of each row of the first table in that section of a chapter, without its headings.
fn table(chapter: &str, section: &str) -> Vec<Vec<String>> {
    let chapter = read(&format!("docs/guide/{chapter}.md"));
    let (_, section) = chapter.split_once(&format!("# {section}\n")).expect("that section");
    let rows = section.lines().skip_while(|line| !line.starts_with('|'));
    let rows = rows.take_while(|line| line.starts_with('|')).skip(2);
    rows.map(|row| row.trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned()).collect())
        .collect()
}

fn code(cell: &str) -> &str {
    cell.trim_matches('`')
}

/// A default as the guide writes it.
fn written(default: &Value) -> String {
    match default {
        Value::Null => "none".to_owned(),
        Value::Array(items) if items.is_empty() => "none".to_owned(),
        Value::String(word)
            if ["auto", "full", "primary", "fail", "warn"].contains(&word.as_str()) =>
        {
            format!("`\"{word}\"`")
        }
        Value::String(duration) => {
            let minutes = duration.strip_suffix('m').map(|number| format!("{number}min"));
            minutes.unwrap_or_else(|| duration.clone())
        }
        other => other.to_string(),
    }
}

#[test]
fn every_option_is_in_the_table_with_its_default() {
    let rows = table("settings", "Options");
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
    for row in table("settings", "Options") {
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
    let rows = table("settings", "URLs");
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
    let rows = table("getting-started", "Backends");
    let told: Vec<&str> = rows.iter().map(|row| code(&row[0])).collect();
    assert_eq!(told, ["postgres", "mysql", "sqlite"]);
    fn is_the_type<T: 'static, U: 'static>() -> bool {
        std::any::TypeId::of::<T>() == std::any::TypeId::of::<U>()
    }
    assert!(is_the_type::<registry_core::Postgres, diesel_async::AsyncPgConnection>());
    assert!(is_the_type::<registry_core::Mysql, diesel_async::AsyncMysqlConnection>());
    assert!(is_the_type::<registry_core::Sqlite, registry_core::AsyncSqliteConnection>());
}

/// The chapters of the guide, by the names of their files.
fn chapters() -> Vec<String> {
    let folder = crate::support::workspace().join("docs/guide");
    let files = std::fs::read_dir(folder).expect("the guide").map(|file| file.expect("a file"));
    let names = files.filter_map(|file| file.file_name().into_string().ok());
    names.filter_map(|name| name.strip_suffix(".md").map(str::to_owned)).collect()
}

#[test]
fn every_chapter_is_in_the_index_in_the_readme_and_in_the_documentation() {
    let (index, readme) = (read("docs/guide/README.md"), read("README.md"));
    let (module, links) = (read("registry-core/src/guide.rs"), read("registry-core/docs/links.md"));
    for chapter in chapters() {
        assert!(module.contains(&format!("docs/guide/{chapter}.md\"")), "{chapter}");
        if chapter == "README" {
            continue;
        }
        let path = chapter.replace('-', "_");
        assert!(index.contains(&format!("[{chapter}]: {chapter}.md\n")), "{chapter}");
        assert!(readme.contains(&format!("]: docs/guide/{chapter}.md\n")), "{chapter}");
        assert!(links.contains(&format!("[{chapter}]: crate::guide::{path}\n")), "{chapter}");
    }
}

#[test]
fn every_link_of_a_chapter_to_another_is_defined_and_leads_there() {
    let chapters = chapters();
    for chapter in &chapters {
        let text = read(&format!("docs/guide/{chapter}.md"));
        let used = text.split("][").skip(1).filter_map(|rest| Some(rest.split_once(']')?.0));
        // Other brackets stand in programs.
        for name in used.filter(|name| !name.starts_with('"')) {
            let file = format!("{name}.md");
            assert!(text.contains(&format!("\n[{name}]: {file}\n")), "{chapter}: {name}");
            assert!(chapters.iter().any(|other| other == name), "{chapter}: {file}");
        }
    }
}

/// A reader copies what is there, and rustdoc's hidden lines are there for readers of the file.
#[test]
fn programs_of_the_guide_have_no_lines_that_only_rustdoc_hides() {
    let mut texts = vec![("README".to_owned(), read("README.md"))];
    texts.extend(chapters().into_iter().map(|chapter| {
        let text = read(&format!("docs/guide/{chapter}.md"));
        (chapter, text)
    }));
    for (chapter, text) in texts {
        for program in text.split("```rust").skip(1).filter_map(|rest| rest.split("```").next()) {
            let hidden = program.lines().find(|line| line.trim_start().starts_with("# "));
            assert_eq!(hidden, None, "{chapter}");
        }
    }
}
