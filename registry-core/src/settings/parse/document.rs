//! Tables of a file or of a serde loader, to a draft.

use crate::settings::error::Problem;
use crate::settings::from_value::{expected, expected_table};
use crate::settings::keys::BindKey;
use crate::settings::keys::{did_you_mean, nearest};
use crate::settings::options::PartialOptions;
use crate::settings::parse::draft::{BindDraft, Draft};
use crate::settings::parse::near_miss::{NearTable, is_nearly_table};
use crate::settings::parse::replicas;
use crate::settings::value::{Table, Value};

/// The name of the table with the settings of databases.
const TABLE: &str = "database";

/// Reads the output of a serde loader as one layer: the table `database`, or the top level if there is no such table.
pub(in crate::settings) fn from_loader(value: Value, layer: usize) -> Draft {
    let mut reader = DocumentReader { draft: Draft::default(), layer };
    match value {
        Value::Unset => {}
        Value::Table(mut table) => match table.remove(TABLE) {
            Some(value @ (Value::Table(_) | Value::Text(_))) => {
                let near = table.iter().filter(|(key, value)| {
                    matches!(value, Value::Table(_)) && is_nearly_table(key, TABLE)
                });
                let near = near.map(|(key, _)| NearTable(key.clone()));
                reader.draft.near_tables.extend(near);
                reader.read_root(TABLE, &value);
            }
            None | Some(Value::Unset) => reader.read_root("", &Value::Table(table)),
            Some(value) => reader.add_problem(TABLE, expected_table(&value)),
        },
        value => reader.read_root("", &value),
    }
    reader.draft
}

/// Like [`from_loader`], for a file. A file may have no settings of databases, but only the application's other
/// settings.
pub(in crate::settings) fn from_file(value: Value, layer: usize) -> Draft {
    if let Value::Table(table) = &value {
        let is_about_databases = |key: &String| {
            key == TABLE
                || root_names().any(|known| known == key)
                || PartialOptions::NAMES.contains(&key.as_str())
                || nearest(key, root_names().chain([TABLE])).is_some()
        };
        if !table.keys().any(is_about_databases) {
            return Draft::default();
        }
    }
    from_loader(value, layer)
}

fn root_names() -> impl Iterator<Item = &'static str> {
    BindDraft::FIELDS.into_iter().chain(["options", "binds"]).chain(Draft::FIELDS)
}

struct DocumentReader {
    draft: Draft,
    layer: usize,
}

impl DocumentReader {
    fn add_problem(&mut self, place: &str, message: impl std::fmt::Display) {
        self.draft.problems.push(Problem::new(place, message));
    }

    fn read_root(&mut self, root: &str, value: &Value) {
        let table = match value {
            Value::Table(table) => table,
            Value::Text(_) => {
                let place = if root.is_empty() { "url" } else { root };
                return self.read_bind_field(BindKey::DEFAULT, place, "url", value, place);
            }
            value => {
                let place = if root.is_empty() { "settings" } else { root };
                return self.add_problem(place, expected_table(value));
            }
        };
        for (key, value) in table {
            let place = join(root, key);
            match (key.as_str(), value) {
                (_, Value::Unset) => {}
                ("options", Value::Table(table)) => self.read_options(&place, table),
                ("binds", Value::Table(table)) => self.read_binds(&place, table),
                ("options" | "binds", value) => self.add_problem(&place, expected_table(value)),
                (key, value) if Draft::FIELDS.contains(&key) => {
                    let read = self.draft.read(key, value, &place, self.layer);
                    if let Err(message) = read {
                        self.add_problem(&place, message);
                    }
                }
                (key, value) if BindDraft::is_field(key) => {
                    let bind = join(root, "url");
                    self.read_bind_field(BindKey::DEFAULT, &bind, key, value, &place);
                }
                (key, _) if PartialOptions::NAMES.contains(&key) => {
                    let options = join(root, "options");
                    let default = join(root, "binds.default");
                    self.add_problem(
                        &place,
                        format!("an option stands in `{options}` for every engine, or in `{default}` for this one"),
                    );
                }
                (key, Value::Table(_)) if root.is_empty() && is_nearly_table(key, TABLE) => {
                    let message = unknown_key(key, root_names());
                    self.add_problem(
                        &place,
                        message.replacen(
                            "unknown",
                            "unknown; did you mean the table `database`?",
                            1,
                        ),
                    );
                }
                (key, _) => self.unknown_key(&place, key, root_names()),
            }
        }
    }

    fn read_options(&mut self, root: &str, table: &Table) {
        for (key, value) in table {
            let place = join(root, key);
            if matches!(value, Value::Unset) {
                continue;
            }
            match self.draft.options.read(key, value, &place) {
                Some(Ok(())) => {}
                Some(Err(message)) => self.add_problem(&place, message),
                None => self.unknown_key(&place, key, PartialOptions::NAMES.iter().copied()),
            }
        }
    }

    fn read_binds(&mut self, root: &str, table: &Table) {
        for (key, value) in table {
            let place = join(root, key);
            match (BindKey::new(key), value) {
                (_, Value::Unset) => {}
                (Err(invalid), _) => self.add_problem(&place, invalid),
                (Ok(key), Value::Text(_)) => {
                    self.read_bind_field(key, &place, "url", value, &place)
                }
                (Ok(key), Value::Table(table)) => {
                    // An empty table is a bind, too: its URL comes from another layer, or is missing.
                    let draft = self.draft.binds.entry(key);
                    draft.or_insert_with(|| BindDraft::new(&place));
                    for (field, value) in table {
                        if !matches!(value, Value::Unset) {
                            self.read_bind_field(key, &place, field, value, &join(&place, field));
                        }
                    }
                }
                (Ok(_), value) => {
                    self.add_problem(&place, expected("a URL, or a table with one", value));
                }
            }
        }
    }

    fn read_bind_field(
        &mut self,
        key: BindKey,
        bind: &str,
        field: &str,
        value: &Value,
        place: &str,
    ) {
        let draft = self.draft.binds.entry(key);
        let draft = draft.or_insert_with(|| BindDraft::new(bind));
        if field == "replicas" {
            return replicas::read(draft, value, place, self.layer, &mut self.draft.problems);
        }
        match draft.read(field, value, place, self.layer) {
            Some(Ok(())) => {}
            Some(Err(message)) => self.add_problem(place, message),
            None => self.unknown_key(place, field, BindDraft::field_and_option_names()),
        }
    }

    fn unknown_key(&mut self, place: &str, key: &str, known: impl Iterator<Item = &'static str>) {
        self.add_problem(place, unknown_key(key, known));
    }
}

/// The message for an unknown `key`: it lists the known keys, and suggests the nearest.
pub(in crate::settings) fn unknown_key<'a>(
    key: &str,
    known: impl Iterator<Item = &'a str>,
) -> String {
    let known: Vec<&str> = known.collect();
    let nearest = did_you_mean(key, known.iter().copied());
    format!("unknown{nearest}; known are {}", known.join(", "))
}

pub(in crate::settings) fn join(root: &str, key: &str) -> String {
    if root.is_empty() { key.to_owned() } else { format!("{root}.{key}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(toml: &str) -> Vec<String> {
        let draft = from_file(toml::from_str(toml).unwrap(), 0);
        draft.problems.iter().map(Problem::to_string).collect()
    }

    fn keys(toml: &str) -> Vec<String> {
        let draft = from_file(toml::from_str(toml).unwrap(), 0);
        assert_eq!(draft.problems, []);
        draft.binds.keys().map(BindKey::to_string).collect()
    }

    #[test]
    fn a_bind_is_a_url_or_a_table() {
        let toml = "
            [database]
            url = 'sqlite::memory:'
            [database.binds]
            analytics = 'sqlite::memory:'
            [database.binds.reports]
            url = 'sqlite::memory:'
            max_connections = 1
        ";
        assert_eq!(keys(toml), ["analytics", "default", "reports"]);
    }

    #[test]
    fn the_table_database_can_be_left_out() {
        assert_eq!(keys("url = 'sqlite::memory:'"), ["default"]);
        assert_eq!(keys("binds.a = 'sqlite::memory:'"), ["a"]);
        assert_eq!(keys("database = 'sqlite::memory:'"), ["default"]);
        assert_eq!(keys("port = 80\n[database]\nurl = 'sqlite::memory:'"), ["default"]);
    }

    #[test]
    fn a_file_that_mentions_no_database_is_not_a_mistake() {
        assert_eq!(keys("[server]\nport = 80").len(), 0);
        assert_eq!(
            problems("[databse]\nurl = 'sqlite::memory:'"),
            [
                "databse: unknown; did you mean the table `database`?; known are url, url_file, password, password_file, required, \
              tenant_schema, migrate_url, replicas, options, binds, max_engines, engine_idle_timeout, token_key, token_key_file"
            ]
        );
    }

    #[test]
    fn unknown_keys_list_the_known_and_the_nearest() {
        let problems = problems(
            "
            [database]
            ulr = 'sqlite::memory:'
            [database.options]
            max_conections = 4
            [database.binds.reports]
            url = 'sqlite::memory:'
            requird = false
            ",
        );
        assert_eq!(problems.len(), 3);
        assert!(problems[0].starts_with(
            "database.binds.reports.requird: unknown; did you mean `required`?; known are url, \
             url_file, password, password_file, required, tenant_schema, migrate_url, replicas, max_connections, min_idle, "
        ));
        assert!(problems[1].starts_with(
            "database.options.max_conections: unknown; did you mean `max_connections`?; known are \
             max_connections, min_idle, "
        ));
        assert_eq!(
            problems[2],
            "database.ulr: unknown; did you mean `url`?; known are url, url_file, password, \
             password_file, required, tenant_schema, migrate_url, replicas, options, binds, max_engines, engine_idle_timeout, token_key, token_key_file"
        );
    }

    #[test]
    fn wrong_types_are_named_and_never_repeated() {
        assert_eq!(
            problems(
                "
                [database]
                url = 5
                options = 'zauber'
                [database.binds]
                a = true
                [database.binds.b]
                max_connections = 'zauber'
                acquire_timeout = 30
                password = 7
                "
            ),
            [
                "database.binds.a: expected a URL, or a table with one, found a boolean",
                "database.binds.b.acquire_timeout: a duration needs a unit: write \"30s\" or \
                 \"500ms\"",
                "database.binds.b.max_connections: expected a whole number, such as 10, found \
                 another text",
                "database.binds.b.password: expected a text, found a number",
                "database.options: expected a table, found a text",
                "database.url: expected the URL of a database, found a number",
            ]
        );
        assert_eq!(problems("database = 5"), ["database: expected a table, found a number"]);
    }

    #[test]
    fn bad_keys_are_problems_with_the_reason() {
        assert_eq!(
            problems("[binds]\nLogs = 'sqlite::memory:'\n'' = 'sqlite::memory:'"),
            [
                "binds.: a bind key cannot be empty",
                "binds.Logs: a bind key has only a-z, 0-9 and _, and begins with a letter: look at \
                 byte 0",
            ]
        );
    }

    #[test]
    fn a_misplaced_option_names_where_it_belongs() {
        assert_eq!(
            problems("[database]\nurl = 'sqlite::memory:'\nmax_connections = 4"),
            ["database.max_connections: an option stands in `database.options` for every engine, \
              or in `database.binds.default` for this one"]
        );
    }

    #[test]
    fn a_setting_that_is_written_twice_in_one_layer_is_a_problem() {
        assert_eq!(
            problems(
                "
                url = 'sqlite::memory:'
                binds.default = 'sqlite::memory:'
                [binds.a]
                url = 'sqlite::memory:'
                url_file = 'a'
                password = 'b'
                password_file = 'c'
                "
            ),
            [
                "binds.a.password_file: given twice: `binds.a.password` gives it as well",
                "binds.a.url_file: given twice: `binds.a.url` gives it as well",
                "url: given twice: `binds.default` gives it as well",
            ]
        );
        assert_eq!(keys("url = 'sqlite::memory:'\nbinds.default.busy_timeout = '1s'"), ["default"]);
    }
}
