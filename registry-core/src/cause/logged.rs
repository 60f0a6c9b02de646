//! An error in an event: with its causes, and without values.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use diesel::result::Error as DieselError;

use super::kind::error_kind;

/// Shows an error with all its sources, as [`Chain`](super::Chain) does, and without the values that a database repeats in its
/// words.
///
/// Of an error of the database it shows the kind, and the constraint, table and column that the database names. Its message
/// follows if it is one of the database's own, with `?` in place of everything that the database has put into it. A message
/// that is not known, such as one that a procedure of the program raises, is left out.
pub(crate) struct Logged<'a> {
    error: &'a (dyn StdError + 'static),
    may_repeat_values: fn(&(dyn StdError + 'static)) -> bool,
}

impl<'a> Logged<'a> {
    /// `may_repeat_values` picks the errors whose source may be of any type, and may have the database's words in its own
    /// text. Such a source is shown as a message of the database is.
    pub(crate) fn new(
        error: &'a (dyn StdError + 'static),
        may_repeat_values: fn(&(dyn StdError + 'static)) -> bool,
    ) -> Self {
        Self { error, may_repeat_values }
    }
}

impl fmt::Display for Logged<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut error = self.error;
        loop {
            error = unshared(error);
            if let Some(error) = error.downcast_ref::<DieselError>() {
                return write_database_error(f, error);
            }
            write!(f, "{error}")?;
            let Some(source) = error.source().map(unshared) else { return Ok(()) };
            if (self.may_repeat_values)(error) && !source.is::<DieselError>() {
                return write_words(f, &source.to_string());
            }
            error = source;
            f.write_str(": ")?;
        }
    }
}

/// The error itself, of one that several callers share.
fn unshared<'a>(error: &'a (dyn StdError + 'static)) -> &'a (dyn StdError + 'static) {
    match error.downcast_ref::<Arc<dyn StdError + Send + Sync>>() {
        Some(shared) => &**shared,
        None => error,
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
    if let Some(message) = shown(information.message()) {
        write!(f, ": {message}")?;
    }
    Ok(())
}

/// Shows a text in which the database's words may be, as in that of an error of `diesel_migrations`.
fn write_words(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    let words = text.split_once(" with: ").map_or(text, |(_, words)| words);
    shown(words).map_or(Ok(()), |message| write!(f, ": {message}"))
}

/// The message without what the database has put into it, if it is known.
fn shown(message: &str) -> Option<Cow<'static, str>> {
    let named =
        BEFORE_NAMES.iter().find_map(|before| Some((before, message.strip_prefix(before)?)));
    if let Some((before, name)) = named {
        return Some(
            if is_name(name) { format!("{before}{name}") } else { format!("{before}?") }.into(),
        );
    }
    MESSAGES.iter().find(|known| is_like(message, known)).map(|known| (*known).into())
}

/// Whether this may be shown as names of tables and columns, `users.email, users.name`. SQLite shows a `CHECK` without a name
/// by its text, in which there may be literals.
fn is_name(text: &str) -> bool {
    text.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '.' | ',' | ' '))
        && !text.split([' ', '.', ',']).any(|word| word.starts_with(char::is_numeric))
}

/// Whether `known` is the message, where `?` stands for any text.
fn is_like(message: &str, known: &str) -> bool {
    let mut parts = known.split('?');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = message.strip_prefix(first) else { return false };
    for part in parts {
        if part.is_empty() {
            return true;
        }
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.is_empty()
}

/// Messages of SQLite that end in names, without quotes around them.
const BEFORE_NAMES: [&str; 7] = [
    "CHECK constraint failed: ",
    "NOT NULL constraint failed: ",
    "UNIQUE constraint failed: ",
    "no such column: ",
    "no such function: ",
    "no such savepoint: ",
    "no such table: ",
];

/// Messages of PostgreSQL, MySQL, MariaDB and SQLite that say what is wrong with a statement or a connection.
const MESSAGES: [&str; 71] = [
    // PostgreSQL.
    "canceling statement due to conflict with recovery",
    "canceling statement due to lock timeout",
    "canceling statement due to statement timeout",
    "canceling statement due to user request",
    "cannot execute ? in a read-only transaction",
    "column ? does not exist",
    "column ? is of type ? but expression is of type ?",
    "column ? must appear in the GROUP BY clause or be used in an aggregate function",
    "column reference ? is ambiguous",
    "conflicting key value violates exclusion constraint ?",
    "could not obtain lock on relation ?",
    "could not obtain lock on row in relation ?",
    "could not serialize access due to concurrent delete",
    "could not serialize access due to concurrent update",
    "could not serialize access due to read/write dependencies among transactions",
    "deadlock detected",
    "division by zero",
    "duplicate key value violates unique constraint ?",
    "function ? does not exist",
    "insert or update on table ? violates foreign key constraint ?",
    "integer out of range",
    "bigint out of range",
    "smallint out of range",
    "invalid input syntax for type ?",
    "new row for relation ? violates check constraint ?",
    "new row violates row-level security policy for table ?",
    "null value in column ? violates not-null constraint",
    "numeric field overflow",
    "operator does not exist: ?",
    "permission denied for ?",
    "relation ? already exists",
    "relation ? does not exist",
    "syntax error at end of input",
    "syntax error at or near ?",
    "terminating connection because of crash of another server process",
    "terminating connection due to administrator command",
    "terminating connection due to conflict with recovery",
    "terminating connection due to idle-in-transaction timeout",
    "update or delete on table ? violates foreign key constraint ? on table ?",
    "value too long for type ?",
    // MySQL and MariaDB.
    "CONSTRAINT ? failed for ?",
    "Cannot add or update a child row: a foreign key constraint fails?",
    "Cannot delete or update a parent row: a foreign key constraint fails?",
    "Check constraint ? is violated.",
    "Column ? cannot be null",
    "Column ? in ? is ambiguous",
    "Column count doesn't match value count at row ?",
    "Data too long for column ? at row ?",
    "Data truncated for column ? at row ?",
    "Deadlock found when trying to get lock; try restarting transaction",
    "Duplicate entry ? for key ?",
    "Field ? doesn't have a default value",
    "Incorrect ? value: ? for column ? at row ?",
    "Lock wait timeout exceeded; try restarting transaction",
    "Out of range value for column ? at row ?",
    "Query execution was interrupted",
    "Query execution was interrupted (max_statement_time exceeded)",
    "Query execution was interrupted, maximum statement execution time exceeded",
    "Record has changed since last read in table ?",
    "Table ? already exists",
    "Table ? doesn't exist",
    "Truncated incorrect ? value: ?",
    "Unknown column ? in ?",
    "Unknown table ?",
    "You have an error in your SQL syntax; check the manual that corresponds to your ? server version for the right syntax to use near ?",
    // SQLite, and the drivers.
    "FOREIGN KEY constraint failed",
    "attempt to write a readonly database",
    "connection closed",
    "database is locked",
    "near ?: syntax error",
    "table ? already exists",
];

#[cfg(test)]
mod tests {
    use diesel::result::DatabaseErrorKind;

    use super::*;

    fn logged(message: &str) -> String {
        let message = Box::new(message.to_owned());
        let error = DieselError::DatabaseError(DatabaseErrorKind::Unknown, message);
        Logged::new(&error, |_| false).to_string()
    }

    #[test]
    fn known_messages_are_shown_without_values() {
        for (message, shown) in [
            ("no such table: events", "no such table: events"),
            (
                "UNIQUE constraint failed: users.email, users.name",
                "UNIQUE constraint failed: users.email, users.name",
            ),
            ("CHECK constraint failed: code <> 'hunter2'", "CHECK constraint failed: ?"),
            ("CHECK constraint failed: age < 4711", "CHECK constraint failed: ?"),
            (
                "invalid input syntax for type integer: \"hunter2\"",
                "invalid input syntax for type ?",
            ),
            ("Duplicate entry 'hunt'er2' for key 'users.email'", "Duplicate entry ? for key ?"),
            // Of more than one line, and cut by the server.
            ("Duplicate entry 'hunter2\nx' for key 'users.email'", "Duplicate entry ? for key ?"),
            (
                "invalid input syntax for type integer: \"hunter2\n\"",
                "invalid input syntax for type ?",
            ),
            ("value too long for type character varying(10)", "value too long for type ?"),
            ("column \"hunter2\" of relation \"t\" does not exist", "column ? does not exist"),
            (
                "Incorrect integer value: 'hunter2' for column `a`.`b`.`c` at row 1",
                "Incorrect ? value: ? for column ? at row ?",
            ),
        ] {
            assert_eq!(logged(message), format!("database_error: {shown}"));
        }
    }

    #[test]
    fn messages_that_are_not_known_are_left_out() {
        for message in [
            "the balance of hunter2 is too low",
            // They begin as messages of the databases do, and a procedure has raised them.
            "Incorrect password hunter2",
            "Table hunter2 is taken",
            "connection of hunter2 refused",
            "column hunter2 does not exist, says hunter2",
            "no such user: hunter2",
        ] {
            assert_eq!(logged(message), "database_error");
        }
        let error = DieselError::DeserializationError("hunter2".into());
        assert_eq!(Logged::new(&error, |_| false).to_string(), "deserialization_error");
    }

    #[derive(Debug, thiserror::Error)]
    #[error("the query failed")]
    struct Outer(#[source] Box<dyn StdError + Send + Sync>);

    #[test]
    fn causes_are_shown_in_order() {
        let error = Outer(Box::new(DieselError::DatabaseError(
            DatabaseErrorKind::UniqueViolation,
            Box::new("UNIQUE constraint failed: users.email".to_owned()),
        )));
        let none: fn(&(dyn StdError + 'static)) -> bool = |_| false;
        for is_any_type in [none, |error| error.is::<Outer>()] {
            assert_eq!(
                Logged::new(&error, is_any_type).to_string(),
                "the query failed: unique_violation: UNIQUE constraint failed: users.email"
            );
        }
    }

    #[test]
    fn source_that_may_repeat_values_is_shown_as_a_message_is() {
        let error = Outer("it failed with: hunter2".into());
        let is_any_type: fn(&(dyn StdError + 'static)) -> bool = |error| error.is::<Outer>();
        assert_eq!(Logged::new(&error, is_any_type).to_string(), "the query failed");
        let shared: Arc<dyn StdError + Send + Sync> = Arc::new(error);
        assert_eq!(Logged::new(&shared, is_any_type).to_string(), "the query failed");
        let error = Outer("Failed to run x with: Duplicate entry 'hunter2' for key 'k'".into());
        let shown = "the query failed: Duplicate entry ? for key ?";
        assert_eq!(Logged::new(&error, is_any_type).to_string(), shown);
    }
}
