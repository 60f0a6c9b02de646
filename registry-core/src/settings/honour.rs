//! What an option can be, and which backend can honour it.

use std::time::Duration;

use super::error::Problem;
use super::options::{EngineOptions, OptionLayer};
use super::{BackendKind, DatabaseUrl};
use crate::bind_key::BindKey;

/// The longest time that an engine waits or keeps anything for: no clock or timer that it uses ends
/// before that, on any system.
pub(super) const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// The most connections of an engine: what a Tokio semaphore counts to where a pointer has 32 bits.
const MOST_CONNECTIONS: u32 = u32::MAX >> 3;

/// Where an engine's options come from, the strongest first.
pub(super) struct Layers<'a> {
    pub(super) own: &'a OptionLayer,
    pub(super) general: &'a OptionLayer,
    pub(super) base: &'a OptionLayer,
}

/// The values that no engine can have.
pub(super) fn check_ranges(layer: &OptionLayer, problems: &mut Vec<Problem>) {
    let said = &layer.said;
    let mut problem = |name: &str, message: &str| {
        let place = layer.place(name).unwrap_or(name);
        problems.push(Problem::new(place, message));
    };
    if said.max_connections == Some(0) {
        problem("max_connections", "an engine has at least 1 connection");
    }
    if said.max_connections.is_some_and(|number| number > MOST_CONNECTIONS) {
        problem(
            "max_connections",
            &format!("an engine has at most {MOST_CONNECTIONS} connections"),
        );
    }
    let zero = Some(Duration::ZERO);
    for (name, value) in [
        ("acquire_timeout", said.acquire_timeout),
        ("connect_timeout", said.connect_timeout),
        ("check_timeout", said.check_timeout),
    ] {
        if value == zero {
            problem(name, "a time-out of zero would leave no time for anything");
        }
    }
    for (name, value) in [
        ("idle_timeout", said.idle_timeout),
        ("max_lifetime", said.max_lifetime),
        ("statement_timeout", said.statement_timeout),
    ] {
        if value == Some(zero) {
            problem(name, "zero is no duration here; \"none\" sets no limit");
        }
    }
    for (name, value) in [
        ("acquire_timeout", said.acquire_timeout),
        ("connect_timeout", said.connect_timeout),
        ("check_idle_after", said.check_idle_after),
        ("check_timeout", said.check_timeout),
    ] {
        if value.is_some_and(|value| value > LONGEST) {
            problem(name, TOO_LONG);
        }
    }
    for (name, value) in [
        ("idle_timeout", said.idle_timeout),
        ("max_lifetime", said.max_lifetime),
        ("log_slow_queries", said.log_slow_queries),
    ] {
        if value.flatten().is_some_and(|value| value > LONGEST) {
            problem(name, &format!("{TOO_LONG}; \"none\" sets no limit"));
        }
    }
}

/// What to say of a time above [`LONGEST`].
pub(super) const TOO_LONG: &str = "too long: 100 years are the most";

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
        fit_statement_timeout(url.backend(), &options, layers, problems);
        match url.sqlite_file() {
            Some(file) => {
                fit_sqlite(key, &options, layers, problems);
                fit_busy_timeout(&options, layers, problems);
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
    check_min_idle(&options, layers, problems);
    options
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

/// A server would refuse what it cannot count when the first connection is opened, or take it for no
/// limit at all.
fn fit_statement_timeout(
    backend: BackendKind,
    options: &EngineOptions,
    layers: &Layers<'_>,
    problems: &mut Vec<Problem>,
) {
    let longest = match backend {
        // An `int` of milliseconds.
        BackendKind::Postgres => Duration::from_millis(i32::MAX as u64),
        // `max_execution_time` has 32 bits of milliseconds. MariaDB's `max_statement_time` ends later, after
        // a year, but which of the two answers is not known yet.
        BackendKind::Mysql => Duration::from_millis(u32::MAX.into()),
        // Has none, which is told elsewhere.
        BackendKind::Sqlite => return,
    };
    // Zero is a problem already.
    let Some(limit) = options.statement_timeout.filter(|limit| !limit.is_zero()) else { return };
    let message = if limit > longest {
        format!(
            "too long: the statement timeout of {backend} is {}ms at the most; \"none\" sets no limit",
            longest.as_millis()
        )
    } else if !is_whole_milliseconds(limit) {
        format!("{backend} counts its statement timeout in whole milliseconds")
    } else {
        return;
    };
    problems.push(Problem::new(layers.place("statement_timeout"), message));
}

/// SQLite takes a number that it cannot read for zero.
fn fit_busy_timeout(options: &EngineOptions, layers: &Layers<'_>, problems: &mut Vec<Problem>) {
    let longest = Duration::from_millis(i32::MAX as u64);
    let message = if options.busy_timeout > longest {
        format!("too long: the busy timeout of SQLite is {}ms at the most", longest.as_millis())
    } else if !is_whole_milliseconds(options.busy_timeout) {
        "SQLite counts its busy timeout in whole milliseconds".to_owned()
    } else {
        return;
    };
    problems.push(Problem::new(layers.place("busy_timeout"), message));
}

fn is_whole_milliseconds(duration: Duration) -> bool {
    duration.subsec_nanos().is_multiple_of(1_000_000)
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
    use super::*;
    use crate::settings::resolve::testing::{engines, problems, resolve};
    use crate::settings::{BindSettings, Settings};

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
    fn zero_is_fine_where_it_means_something() {
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

    #[test]
    fn what_no_engine_can_count_is_a_problem() {
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
    fn a_time_that_the_database_cannot_count_is_a_problem() {
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
    fn what_code_says_is_counted_as_well() {
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
}
