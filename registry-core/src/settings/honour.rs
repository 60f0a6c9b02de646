//! Which backend can honour an option.

use super::error::Problem;
use super::options::{EngineOptions, OptionLayer};
use super::ranges::check_times;
use super::{BackendKind, DatabaseUrl};
use crate::settings::BindKey;

/// Where an engine's options come from, the strongest first.
pub(super) struct Layers<'a> {
    pub(super) own: &'a OptionLayer,
    pub(super) general: &'a OptionLayer,
    pub(super) base: &'a OptionLayer,
}

/// The options of one engine, fitted to its database.
pub(super) fn fitted(
    key: BindKey,
    url: Option<&DatabaseUrl>,
    base: &EngineOptions,
    layers: &Layers<'_>,
    problems: &mut Vec<Problem>,
) -> EngineOptions {
    let mut options = base.clone();
    layers.general.said.apply(&mut options);
    layers.own.said.apply(&mut options);

    if let Some(url) = url {
        check_times(url.backend(), &options, layers, problems);
        match url.sqlite_file() {
            Some(file) => {
                fit_sqlite(key, &options, layers, problems);
                if file.is_memory() {
                    fit_memory(&mut options, layers, problems);
                }
            }
            None => {
                if let Some(place) = layers.own.place("busy_timeout") {
                    problems.push(Problem::new(
                        place,
                        format!("{} has no busy timeout: it is for SQLite", url.backend()),
                    ));
                }
            }
        }
    }
    if let (Some(url), Some(name)) = (url, &options.tenant_setting)
        && let Err(message) = check_tenant_setting(key, url, name)
    {
        problems.push(Problem::new(layers.place("tenant_setting"), message));
    }
    check_min_idle(&options, layers, problems);
    options
}

/// A setting of a program's own has a dot in its name, and is written into statements.
fn check_tenant_setting(key: BindKey, url: &DatabaseUrl, name: &str) -> Result<(), String> {
    if url.backend() != BackendKind::Postgres {
        return Err(format!(
            "the bind `{key}` is {}, and `tenant_setting` is for PostgreSQL; say \"none\" for it",
            url.backend()
        ));
    }
    let is_word = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    match name.split_once('.') {
        Some((class, name)) if is_word(class) && is_word(name) => Ok(()),
        _ => {
            Err("the name of a setting of your own is two words with a dot between them, such as \
                  \"app.tenant\""
                .to_owned())
        }
    }
}

fn fit_sqlite(
    key: BindKey,
    options: &EngineOptions,
    layers: &Layers<'_>,
    problems: &mut Vec<Problem>,
) {
    if options.statement_timeout.is_none() {
        return;
    }
    let name = "statement_timeout";
    problems.push(match layers.own.place(name) {
        Some(place) => Problem::new(place, "SQLite has no statement timeout"),
        None => Problem::new(
            layers.place(name),
            format!(
                "the bind `{key}` is SQLite, which has no statement timeout; say \"none\" for it"
            ),
        ),
    });
}

/// Each connection to a database in memory would be a database of its own, and the end of the last
/// one is the end of the database. What is said for every engine gives way to that.
fn fit_memory(options: &mut EngineOptions, layers: &Layers<'_>, problems: &mut Vec<Problem>) {
    let own = layers.own;
    if own.said.max_connections.is_some_and(|number| number > 1) {
        problems.push(Problem::new(
            own.place("max_connections").unwrap_or_default(),
            "a SQLite database in memory has 1 connection: each would be a database of its own",
        ));
    }
    for (name, value) in
        [("idle_timeout", own.said.idle_timeout), ("max_lifetime", own.said.max_lifetime)]
    {
        if matches!(value, Some(Some(_))) {
            problems.push(Problem::new(
                own.place(name).unwrap_or_default(),
                "the connection of a SQLite database in memory never expires: its data would be lost",
            ));
        }
    }
    options.max_connections = 1;
    options.idle_timeout = None;
    options.max_lifetime = None;
    if own.said.min_idle.is_none() {
        options.min_idle = options.min_idle.min(1);
    }
}

fn check_min_idle(options: &EngineOptions, layers: &Layers<'_>, problems: &mut Vec<Problem>) {
    let EngineOptions { min_idle, max_connections, .. } = options;
    // Zero connections are a problem already.
    if min_idle <= max_connections || *max_connections == 0 {
        return;
    }
    let places = [layers.own, layers.general, layers.base];
    let place =
        places.iter().find_map(|layer| layer.place("min_idle").or(layer.place("max_connections")));
    problems.push(Problem::new(
        place.unwrap_or("min_idle"),
        format!("min_idle is {min_idle}, which is more than max_connections, {max_connections}"),
    ));
}

/// An option for every engine must be one that at least one of them has.
pub(super) fn check_general(
    general: &OptionLayer,
    urls: &[DatabaseUrl],
    problems: &mut Vec<Problem>,
) {
    let is_sqlite = |url: &DatabaseUrl| url.backend() == BackendKind::Sqlite;
    // Where no URL could be read, nobody knows.
    if let Some(place) = general.place("busy_timeout")
        && !urls.is_empty()
        && !urls.iter().any(is_sqlite)
    {
        problems.push(Problem::new(
            place,
            "no database here is SQLite, and the others have no busy timeout",
        ));
    }
}

impl<'a> Layers<'a> {
    pub(super) fn place(&self, name: &'a str) -> &'a str {
        let layers = [self.own, self.general, self.base];
        let place = layers.iter().find_map(|layer| layer.place(name));
        place.unwrap_or(name)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::settings::resolve::testing::{engines, problems, resolve};
    use crate::settings::{BindSettings, Settings};

    fn toml(text: &str) -> Settings {
        Settings::from_toml(text).unwrap()
    }

    #[test]
    fn the_setting_of_a_tenant_is_one_of_postgresql_and_of_the_program() {
        assert_eq!(
            problems(&toml(
                "
                [binds.files]
                url = 'sqlite://files.db'
                tenant_setting = 'app.tenant'
                [binds.odd]
                url = 'postgres://localhost/pg'
                tenant_setting = \"a.b', 'x'); --\"
                [binds.pg]
                url = 'postgres://localhost/pg'
                tenant_setting = 'search_path'
                "
            )),
            [
                "binds.files.tenant_setting: the bind `files` is SQLite, and `tenant_setting` is for \
                 PostgreSQL; say \"none\" for it",
                "binds.odd.tenant_setting: the name of a setting of your own is two words with a dot \
                 between them, such as \"app.tenant\"",
                "binds.pg.tenant_setting: the name of a setting of your own is two words with a dot \
                 between them, such as \"app.tenant\"",
            ]
        );
        let settings = "url = 'postgres://localhost/pg'\noptions.tenant_setting = 'app.tenant'";
        let engines = engines(&toml(settings));
        assert_eq!(engines[0].options.tenant_setting.as_deref(), Some("app.tenant"));
    }

    #[test]
    fn more_idle_connections_than_connections_are_a_problem_said_once() {
        assert_eq!(
            problems(&toml(
                "
                [options]
                max_connections = 4
                min_idle = 5
                [binds]
                a = 'sqlite://a.db'
                b = 'sqlite://b.db'
                [binds.c]
                url = 'sqlite://c.db'
                max_connections = 3
                "
            )),
            [
                "options.min_idle: min_idle is 5, which is more than max_connections, 4",
                "binds.c.max_connections: min_idle is 5, which is more than max_connections, 3",
            ]
        );
    }

    #[test]
    fn an_option_of_another_backend_is_a_problem_in_a_bind() {
        assert_eq!(
            problems(&toml(
                "
                [binds.files]
                url = 'sqlite://files.db'
                statement_timeout = '1s'
                [binds.my]
                url = 'mysql://localhost/my'
                busy_timeout = '1s'
                [binds.pg]
                url = 'postgres://localhost/pg'
                busy_timeout = '1s'
                "
            )),
            [
                "binds.files.statement_timeout: SQLite has no statement timeout",
                "binds.my.busy_timeout: MySQL has no busy timeout: it is for SQLite",
                "binds.pg.busy_timeout: PostgreSQL has no busy timeout: it is for SQLite",
            ]
        );
    }

    #[test]
    fn a_general_statement_timeout_names_the_binds_that_cannot_honour_it() {
        let settings = |files: &str| {
            toml(&format!(
                "
                [options]
                statement_timeout = '1s'
                [binds]
                pg = 'postgres://localhost/pg'
                [binds.files]
                url = 'sqlite://files.db'
                {files}
                "
            ))
        };
        assert_eq!(
            problems(&settings("")),
            ["options.statement_timeout: the bind `files` is SQLite, which has no statement \
              timeout; say \"none\" for it"]
        );
        let engines = engines(&settings("statement_timeout = 'none'"));
        assert_eq!(engines[0].options.statement_timeout, None);
        assert_eq!(engines[1].options.statement_timeout, Some(Duration::from_secs(1)));
    }

    #[test]
    fn a_general_busy_timeout_needs_one_sqlite() {
        let postgres = "options.busy_timeout = '1s'\nbinds.pg = 'postgres://localhost/pg'";
        assert_eq!(
            problems(&toml(postgres)),
            [
                "options.busy_timeout: no database here is SQLite, and the others have no busy timeout"
            ]
        );
        for key in ["a", "z"] {
            let both = format!("{postgres}\nbinds.{key} = 'sqlite://files.db'");
            assert_eq!(engines(&toml(&both)).len(), 2);
        }
    }

    #[test]
    fn memory_has_one_connection_that_never_expires() {
        let engines = engines(&toml(
            "
            url = 'sqlite::memory:'
            [options]
            max_connections = 20
            min_idle = 5
            idle_timeout = '1min'
            max_lifetime = '1min'
            ",
        ));
        let options = &engines[0].options;
        assert_eq!(options.max_connections, 1);
        assert_eq!(options.min_idle, 1);
        assert_eq!(options.idle_timeout, None);
        assert_eq!(options.max_lifetime, None);
    }

    #[test]
    fn memory_cannot_be_told_otherwise() {
        assert_eq!(
            problems(&toml(
                "
                [binds.cache]
                url = 'sqlite:file:cache?mode=memory'
                max_connections = 2
                idle_timeout = '1min'
                max_lifetime = '1min'
                [binds.fine]
                url = 'sqlite::memory:'
                max_connections = 1
                idle_timeout = 'none'
                max_lifetime = 'none'
                "
            )),
            [
                "binds.cache.max_connections: a SQLite database in memory has 1 connection: each \
                 would be a database of its own",
                "binds.cache.idle_timeout: the connection of a SQLite database in memory never \
                 expires: its data would be lost",
                "binds.cache.max_lifetime: the connection of a SQLite database in memory never \
                 expires: its data would be lost",
            ]
        );
    }

    #[test]
    fn what_code_says_is_checked_as_well() {
        let base = EngineOptions {
            connect_timeout: Duration::ZERO,
            statement_timeout: Some(Duration::from_secs(1)),
            ..Default::default()
        };
        let files = BindSettings::new("sqlite://files.db").max_connections(0);
        let (_, problems) = resolve(&Settings::default(), vec![("files".to_owned(), files)], &base);
        let problems: Vec<String> = problems.iter().map(Problem::to_string).collect();
        assert_eq!(
            problems,
            [
                "options(..).connect_timeout: a time-out of zero would leave no time for anything",
                "bind(\"files\").max_connections: an engine has at least 1 connection",
                "options(..).statement_timeout: the bind `files` is SQLite, which has no \
                 statement timeout; say \"none\" for it",
            ]
        );
    }
}
