//! SQLite databases in memory, which live in their only connection.

use crate::settings::error::Problem;
use crate::settings::options::OptionLayer;

/// Reports the bind's own options that contradict a database in memory. Options for every engine are not reported,
/// because they are adjusted to it.
pub(super) fn check(own: &OptionLayer, problems: &mut Vec<Problem>) {
    if own.options.max_connections.is_some_and(|number| number > 1) {
        problems.push(Problem::new(
            own.place("max_connections").unwrap_or_default(),
            "a SQLite database in memory has 1 connection: each would be a database of its own",
        ));
    }
    for (name, value) in
        [("idle_timeout", own.options.idle_timeout), ("max_lifetime", own.options.max_lifetime)]
    {
        if matches!(value, Some(Some(_))) {
            problems.push(Problem::new(
                own.place(name).unwrap_or_default(),
                "the connection of a SQLite database in memory never expires: its data would be lost",
            ));
        }
    }
}
