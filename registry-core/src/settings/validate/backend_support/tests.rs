use std::time::Duration;

use super::*;
use crate::settings::bind_settings::BindSettings;
use crate::settings::sources::Settings;
use crate::settings::testing::{engines, problems, resolve};

fn toml(text: &str) -> Settings {
    Settings::from_toml(text).unwrap()
}

#[test]
fn tenant_setting_is_for_postgresql_and_has_a_dot_in_its_name() {
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
            "binds.files.tenant_setting: `tenant_setting` is for PostgreSQL, and this is SQLite",
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
fn more_idle_connections_than_connections_are_reported_once() {
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
            synchronous = 'normal'
            "
        )),
        [
            "binds.files.statement_timeout: SQLite has no statement timeout",
            "binds.my.busy_timeout: MySQL has no busy timeout: it is for SQLite",
            "binds.pg.busy_timeout: PostgreSQL has no busy timeout: it is for SQLite",
            "binds.pg.synchronous: `synchronous` is for SQLite, and this is PostgreSQL",
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
        ["options.busy_timeout: no database here is SQLite, and the others have no busy timeout"]
    );
    for key in ["a", "z"] {
        let both = format!("{postgres}\nbinds.{key} = 'sqlite://files.db'");
        assert_eq!(engines(&toml(&both)).len(), 2);
    }
}

#[test]
fn a_database_in_memory_has_one_connection_that_never_expires() {
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
fn own_options_that_contradict_a_database_in_memory_are_problems() {
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
fn options_from_code_are_checked_too() {
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
