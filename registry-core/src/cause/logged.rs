//! An error in an event: with its causes, and without values.

use std::error::Error as StdError;
use std::fmt;

use diesel::result::Error as DieselError;

use super::kind::error_kind;

/// Shows an error with all its sources, as [`Chain`](super::Chain) does, and without the values that a database repeats in its
/// words.
///
/// Of an error of the database it shows the kind, and the constraint, table and column that the database names. The words of
/// the database follow if they begin like one of its own messages, with what is in quotes and each number masked. A message
/// that is not known, such as one that a procedure of the program raises, is left out.
pub(crate) struct Logged<'a>(pub(crate) &'a (dyn StdError + 'static));

impl fmt::Display for Logged<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut error = self.0;
        loop {
            if let Some(error) = error.downcast_ref::<DieselError>() {
                return write_database_error(f, error);
            }
            write!(f, "{error}")?;
            match error.source() {
                Some(source) => error = source,
                None => return Ok(()),
            }
            f.write_str(": ")?;
        }
    }
}

fn write_database_error(f: &mut fmt::Formatter<'_>, error: &DieselError) -> fmt::Result {
    f.write_str(error_kind(error))?;
    let DieselError::DatabaseError(_, information) = error else { return Ok(()) };
    let names = [
        ("constraint", information.constraint_name()),
        ("table", information.table_name()),
        ("column", information.column_name()),
    ];
    for (what, name) in names {
        if let Some(name) = name {
            write!(f, ", {what} `{name}`")?;
        }
    }
    let message = information.message();
    if is_known(message) {
        write!(f, ": {}", masked(message))?;
    }
    Ok(())
}

/// How messages of PostgreSQL, MySQL, MariaDB and SQLite begin that say what is wrong with a statement or a connection.
const KNOWN_BEGINNINGS: [&str; 40] = [
    "CHECK constraint failed",
    "Cannot add or update a child row",
    "Cannot delete or update a parent row",
    "Column ",
    "Data too long for column",
    "Data truncated for column",
    "Deadlock found",
    "Duplicate entry",
    "FOREIGN KEY constraint failed",
    "Field ",
    "Incorrect ",
    "Lock wait timeout exceeded",
    "NOT NULL constraint failed",
    "Out of range value for column",
    "Query execution was interrupted",
    "Table ",
    "UNIQUE constraint failed",
    "Unknown column",
    "Unknown table",
    "You have an error in your SQL syntax",
    "attempt to write a readonly database",
    "canceling statement due to",
    "cannot execute ",
    "column ",
    "connection ",
    "could not obtain lock",
    "could not serialize access",
    "database is locked",
    "deadlock detected",
    "duplicate key value violates",
    "function ",
    "insert or update on table",
    "invalid input syntax for type",
    "no such ",
    "null value in column",
    "permission denied",
    "relation ",
    "syntax error at",
    "terminating connection",
    "update or delete on table",
];

fn is_known(message: &str) -> bool {
    KNOWN_BEGINNINGS.iter().any(|beginning| message.starts_with(beginning))
}

/// The first line of a message, with `?` in place of each number and of everything from the first quote to the last one: a value
/// in quotes may have a quote in it.
fn masked(message: &str) -> String {
    const QUOTES: [char; 7] = ['"', '\'', '`', '«', '»', '“', '”'];
    let line = message.lines().next().unwrap_or_default();
    let mut shown = match (line.find(QUOTES), line.rfind(QUOTES)) {
        (Some(first), Some(last)) => {
            let after = line[last..].chars().skip(1);
            line[..first].chars().chain(['?']).chain(after).collect()
        }
        _ => line.to_owned(),
    };
    shown = shown.replace(char::is_numeric, "?");
    while shown.contains("??") {
        shown = shown.replace("??", "?");
    }
    shown
}

#[cfg(test)]
mod tests {
    use diesel::result::DatabaseErrorKind;

    use super::*;

    fn logged(message: &str) -> String {
        let message = Box::new(message.to_owned());
        let error = DieselError::DatabaseError(DatabaseErrorKind::Unknown, message);
        Logged(&error).to_string()
    }

    #[test]
    fn known_messages_are_shown_without_values() {
        assert_eq!(logged("no such table: events"), "database_error: no such table: events");
        let message = "invalid input syntax for type integer: \"hunter2\"";
        assert_eq!(logged(message), "database_error: invalid input syntax for type integer: ?");
        let message = "Duplicate entry 'hunt'er2' for key 'users.email'";
        assert_eq!(logged(message), "database_error: Duplicate entry ?");
        let message = "Incorrect integer 4711";
        assert_eq!(logged(message), "database_error: Incorrect integer ?");
    }

    #[test]
    fn messages_that_are_not_known_are_left_out() {
        assert_eq!(logged("the balance of hunter2 is too low"), "database_error");
        let error = DieselError::DeserializationError("hunter2".into());
        assert_eq!(Logged(&error).to_string(), "deserialization_error");
    }

    #[test]
    fn causes_are_shown_in_order() {
        #[derive(Debug, thiserror::Error)]
        #[error("the query failed")]
        struct Outer(#[source] DieselError);

        let error = Outer(DieselError::DatabaseError(
            DatabaseErrorKind::UniqueViolation,
            Box::new("UNIQUE constraint failed: users.email".to_owned()),
        ));
        assert_eq!(
            Logged(&error).to_string(),
            "the query failed: unique_violation: UNIQUE constraint failed: users.email"
        );
    }
}
