//! What a number or a duration can be.

use std::time::Duration;

use crate::settings::error::Problem;
use crate::settings::keys::BackendKind;
use crate::settings::options::{EngineOptions, OptionLayer};
use crate::settings::validate::backend_support::Layers;

/// The longest time that an engine waits or keeps anything for: no clock or timer that it uses ends
/// before that, on any system.
pub(in crate::settings) const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// What to say of a time above [`LONGEST`].
pub(in crate::settings) const TOO_LONG: &str = "too long: 100 years are the most";

/// The most connections of an engine: what a Tokio semaphore counts to where a pointer has 32 bits.
const MOST_CONNECTIONS: u32 = u32::MAX >> 3;

/// The values that no engine can have.
pub(in crate::settings) fn check_ranges(layer: &OptionLayer, problems: &mut Vec<Problem>) {
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
pub(in crate::settings) fn check_times(
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
mod tests;
