//! The range of each number and duration.

use std::time::Duration;

use crate::settings::error::Problem;
use crate::settings::keys::BackendKind;
use crate::settings::options::{EngineOptions, OptionLayer, OptionLayers};

/// The longest duration of any option: 100 years. Every clock and timer that an engine uses can count that far, on
/// every system.
pub(in crate::settings) const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// The message for a duration above [`LONGEST`].
pub(in crate::settings) const TOO_LONG: &str = "too long: 100 years are the most";

/// The most connections that an engine can have: the largest number of permits of a Tokio semaphore on a system with
/// 32-bit pointers.
const MOST_CONNECTIONS: u32 = u32::MAX >> 3;

/// The shortest pause between two probes of a server: more of them would be a load, and no better knowledge, as a probe
/// takes some milliseconds itself.
const SHORTEST_PROBE_INTERVAL: Duration = Duration::from_millis(10);

/// Reports the values in `layer` that no engine can have, whatever its backend.
pub(in crate::settings) fn check(layer: &OptionLayer, problems: &mut Vec<Problem>) {
    let options = &layer.options;
    let mut problem = |name: &str, message: &str| {
        let place = layer.place(name).unwrap_or(name);
        problems.push(Problem::new(place, message));
    };
    if options.max_connections == Some(0) {
        problem("max_connections", "an engine has at least 1 connection");
    }
    if options.max_connections.is_some_and(|number| number > MOST_CONNECTIONS) {
        problem(
            "max_connections",
            &format!("an engine has at most {MOST_CONNECTIONS} connections"),
        );
    }
    if options.log_values == Some(true) && !cfg!(debug_assertions) {
        problem("log_values", "values are logged in debug builds only, and this is none");
    }
    let zero = Some(Duration::ZERO);
    for (name, value) in [
        ("acquire_timeout", options.acquire_timeout),
        ("connect_timeout", options.connect_timeout),
        ("check_timeout", options.check_timeout),
    ] {
        if value == zero {
            problem(name, "a time-out of zero would leave no time for anything");
        }
    }
    for (name, value) in [
        ("idle_timeout", options.idle_timeout),
        ("max_lifetime", options.max_lifetime),
        ("statement_timeout", options.statement_timeout),
    ] {
        if value == Some(zero) {
            problem(name, "zero is no duration here; \"none\" sets no limit");
        }
    }
    for (name, value) in [
        ("acquire_timeout", options.acquire_timeout),
        ("connect_timeout", options.connect_timeout),
        ("check_idle_after", options.check_idle_after),
        ("check_timeout", options.check_timeout),
        ("wait_for_replica", options.wait_for_replica),
        ("probe_interval", options.probe_interval),
    ] {
        if value.is_some_and(|value| value > LONGEST) {
            problem(name, TOO_LONG);
        }
    }
    for (name, value) in [
        ("idle_timeout", options.idle_timeout),
        ("max_lifetime", options.max_lifetime),
        ("log_slow_queries", options.log_slow_queries),
        ("max_lag", options.max_lag),
    ] {
        if value.flatten().is_some_and(|value| value > LONGEST) {
            problem(name, &format!("{TOO_LONG}; \"none\" sets no limit"));
        }
    }
    if options.probe_interval.is_some_and(|interval| interval < SHORTEST_PROBE_INTERVAL) {
        let least = SHORTEST_PROBE_INTERVAL.as_millis();
        problem("probe_interval", &format!("too short: {least}ms are the least"));
    }
    if options.max_reads_on_primary.is_some_and(|share| !share.is_valid()) {
        problem("max_reads_on_primary", "a share is from 0 to 1, or from 0 % to 100 %");
    }
}

/// Reports the durations of one engine that its database cannot count.
pub(super) fn check_durations(
    backend: BackendKind,
    options: &EngineOptions,
    layers: &OptionLayers<'_>,
    problems: &mut Vec<Problem>,
) {
    check_statement_timeout(backend, options, layers, problems);
    if backend == BackendKind::Sqlite {
        check_busy_timeout(options, layers, problems);
    }
}

/// A server would refuse a timeout that it cannot represent only when the first connection is opened, or treat it as no
/// limit.
fn check_statement_timeout(
    backend: BackendKind,
    options: &EngineOptions,
    layers: &OptionLayers<'_>,
    problems: &mut Vec<Problem>,
) {
    let longest = match backend {
        // An `int` of milliseconds.
        BackendKind::Postgres => Duration::from_millis(i32::MAX as u64),
        // MySQL's `max_execution_time` has 32 bits of milliseconds. MariaDB's `max_statement_time` can be longer, up to
        // a year, but it is not known yet which of the two servers will answer.
        BackendKind::Mysql => Duration::from_millis(u32::MAX.into()),
        // SQLite has no statement timeout. `backend_support` reports that.
        BackendKind::Sqlite => return,
    };
    // Zero has been reported already.
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

/// SQLite would treat a number that it cannot read as zero.
fn check_busy_timeout(
    options: &EngineOptions,
    layers: &OptionLayers<'_>,
    problems: &mut Vec<Problem>,
) {
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

/// Checks that no more connections are kept idle than there can be.
pub(super) fn check_min_idle(
    options: &EngineOptions,
    layers: &OptionLayers<'_>,
    problems: &mut Vec<Problem>,
) {
    let EngineOptions { min_idle, max_connections, .. } = options;
    // Zero connections have been reported already.
    if min_idle <= max_connections || *max_connections == 0 {
        return;
    }
    let place =
        layers.uppermost(|layer| layer.place("min_idle").or(layer.place("max_connections")));
    problems.push(Problem::new(
        place.unwrap_or("min_idle"),
        format!("min_idle is {min_idle}, which is more than max_connections, {max_connections}"),
    ));
}

#[cfg(test)]
mod tests;
