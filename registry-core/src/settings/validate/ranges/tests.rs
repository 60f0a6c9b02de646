use super::*;
use crate::settings::bind_settings::BindSettings;
use crate::settings::sources::Settings;
use crate::settings::testing::{engines, problems, resolve};

fn toml(text: &str) -> Settings {
    Settings::from_toml(text).unwrap()
}

#[test]
fn values_that_no_engine_can_have_are_problems() {
    assert_eq!(
        problems(&toml(
            "
            [database]
            url = 'sqlite://app.db'
            [database.options]
            max_connections = 0
            acquire_timeout = '0s'
            connect_timeout = '0s'
            check_timeout = '0ms'
            idle_timeout = '0s'
            max_lifetime = '0s'
            statement_timeout = '0s'
            [database.binds.pg]
            url = 'postgres://localhost/app'
            statement_timeout = '0s'
            "
        )),
        [
            "database.options.max_connections: an engine has at least 1 connection",
            "database.options.acquire_timeout: a time-out of zero would leave no time for \
             anything",
            "database.options.connect_timeout: a time-out of zero would leave no time for \
             anything",
            "database.options.check_timeout: a time-out of zero would leave no time for \
             anything",
            "database.options.idle_timeout: zero is no duration here; \"none\" sets no limit",
            "database.options.max_lifetime: zero is no duration here; \"none\" sets no limit",
            "database.options.statement_timeout: zero is no duration here; \"none\" sets no \
             limit",
            "database.options.statement_timeout: the bind `default` is SQLite, which has no \
             statement timeout; say \"none\" for it",
            "database.binds.pg.statement_timeout: zero is no duration here; \"none\" sets no \
             limit",
        ]
    );
}

#[test]
fn zero_is_accepted_where_it_has_a_meaning() {
    let engines = engines(&toml(
        "
        url = 'sqlite://app.db'
        [options]
        check_idle_after = '0s'
        queue_limit = 0
        busy_timeout = '0s'
        log_slow_queries = '0s'
        ",
    ));
    assert_eq!(engines[0].options.queue_limit, Some(0));
}

#[test]
fn values_beyond_what_an_engine_can_count_are_problems() {
    assert_eq!(
        problems(&toml(
            "
            url = 'sqlite://app.db'
            engine_idle_timeout = '1000y'
            [options]
            max_connections = 4294967295
            acquire_timeout = '1000y'
            connect_timeout = '1000y'
            check_idle_after = '1000y'
            check_timeout = '1000y'
            idle_timeout = '1000y'
            max_lifetime = '1000y'
            log_slow_queries = '1000y'
            "
        )),
        [
            "options.max_connections: an engine has at most 536870911 connections",
            "options.acquire_timeout: too long: 100 years are the most",
            "options.connect_timeout: too long: 100 years are the most",
            "options.check_idle_after: too long: 100 years are the most",
            "options.check_timeout: too long: 100 years are the most",
            "options.idle_timeout: too long: 100 years are the most; \"none\" sets no limit",
            "options.max_lifetime: too long: 100 years are the most; \"none\" sets no limit",
            "options.log_slow_queries: too long: 100 years are the most; \"none\" sets no limit",
            "engine_idle_timeout: too long: 100 years are the most; \"none\" sets no limit",
        ]
    );
}

#[test]
fn a_duration_that_the_database_cannot_count_is_a_problem() {
    assert_eq!(
        problems(&toml(
            "
            [options]
            statement_timeout = '1000y'
            [binds]
            pg = 'postgres://localhost/pg'
            [binds.files]
            url = 'sqlite://files.db'
            statement_timeout = 'none'
            busy_timeout = '1month'
            [binds.more]
            url = 'sqlite://more.db'
            statement_timeout = 'none'
            busy_timeout = '500us'
            [binds.my]
            url = 'mysql://localhost/my'
            statement_timeout = '50days'
            [binds.other]
            url = 'mysql://localhost/my'
            statement_timeout = '1ns'
            [binds.pg2]
            url = 'postgres://localhost/pg'
            statement_timeout = '1500us'
            "
        )),
        [
            "binds.files.busy_timeout: too long: the busy timeout of SQLite is 2147483647ms \
             at the most",
            "binds.more.busy_timeout: SQLite counts its busy timeout in whole milliseconds",
            "binds.my.statement_timeout: too long: the statement timeout of MySQL is 4294967295ms \
             at the most; \"none\" sets no limit",
            "binds.other.statement_timeout: MySQL counts its statement timeout in whole \
             milliseconds",
            "options.statement_timeout: too long: the statement timeout of PostgreSQL is \
             2147483647ms at the most; \"none\" sets no limit",
            "binds.pg2.statement_timeout: PostgreSQL counts its statement timeout in whole \
             milliseconds",
        ]
    );
}

#[test]
fn durations_from_code_are_checked_too() {
    let files = BindSettings::new("sqlite://files.db")
        .busy_timeout(Duration::MAX)
        .max_lifetime(Duration::MAX)
        .acquire_timeout(Duration::MAX);
    let base = EngineOptions { max_connections: u32::MAX, ..Default::default() };
    let (_, problems) = resolve(&Settings::default(), vec![("files".to_owned(), files)], &base);
    let paths: Vec<&str> = problems.iter().map(Problem::path).collect();
    assert_eq!(
        paths,
        [
            "options(..).max_connections",
            "bind(\"files\").acquire_timeout",
            "bind(\"files\").max_lifetime",
            "bind(\"files\").busy_timeout",
        ]
    );
}
