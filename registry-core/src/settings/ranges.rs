//! What a number or a duration can be.

use std::time::Duration;

use super::BackendKind;
use super::error::Problem;
use super::honour::Layers;
use super::options::{EngineOptions, OptionLayer};

/// The longest time that an engine waits or keeps anything for: no clock or timer that it uses ends
/// before that, on any system.
pub(super) const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// What to say of a time above [`LONGEST`].
pub(super) const TOO_LONG: &str = "too long: 100 years are the most";

/// The most connections of an engine: what a Tokio semaphore counts to where a pointer has 32 bits.
const MOST_CONNECTIONS: u32 = u32::MAX >> 3;

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

/// The durations of one engine that its database cannot count.
pub(super) fn check_times(
    backend: BackendKind,
    options: &EngineOptions,
    layers: &Layers<'_>,
    problems: &mut Vec<Problem>,
) {
    check_statement_timeout(backend, options, layers, problems);
    if backend == BackendKind::Sqlite {
        check_busy_timeout(options, layers, problems);
    }
}

/// A server would refuse what it cannot count when the first connection is opened, or take it for no
/// limit at all.
fn check_statement_timeout(
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
fn check_busy_timeout(options: &EngineOptions, layers: &Layers<'_>, problems: &mut Vec<Problem>) {
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
