//! Statements that have been checked and were right.

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::sync::{Mutex, PoisonError};

use super::hidden_table::HiddenTable;
use super::type_cache::QueryType;
use crate::sql::Dialect;

/// How many statements are remembered, and up to which length: that is four megabytes.
const STATEMENTS: usize = 1024;
const LONGEST: usize = 4096;

/// A statement of a type of queries, of which its SQL said that it is right.
#[derive(Debug)]
struct Statement {
    kind: QueryType,
    dialect: Dialect,
    sql: Box<str>,
}

static SEEN: [Mutex<Option<Statement>>; STATEMENTS] = [const { Mutex::new(None) }; STATEMENTS];

/// Looks at a statement with `look`, unless it was looked at before and was right.
pub(super) fn check_statement_once(
    kind: QueryType,
    dialect: Dialect,
    sql: String,
    look: impl FnOnce(&str) -> Result<(), HiddenTable>,
) -> Result<(), HiddenTable> {
    if sql.len() > LONGEST {
        return look(&sql);
    }
    let hash = BuildHasherDefault::<DefaultHasher>::new().hash_one((sql.as_str(), kind.key));
    let place = &SEEN[hash as usize % STATEMENTS];
    let mut seen = place.lock().unwrap_or_else(PoisonError::into_inner);
    let is_same =
        |seen: &Statement| seen.kind.is(kind) && seen.dialect == dialect && *seen.sql == *sql;
    if !seen.as_ref().is_some_and(is_same) {
        look(&sql)?;
        *seen = Some(Statement { kind, dialect, sql: sql.into() });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::settings::BindKey;

    fn kind(type_name: &'static str, code: usize) -> QueryType {
        QueryType { type_name, code, key: "default" }
    }

    fn wrong() -> HiddenTable {
        HiddenTable {
            key: String::new(),
            noun: "table",
            name: String::new(),
            other: BindKey::DEFAULT,
            path: None,
        }
    }

    #[test]
    fn a_statement_that_is_right_is_looked_at_once() {
        let looks = Cell::new(0);
        let look = |kind, sql: &str, is_right: bool| {
            check_statement_once(kind, Dialect::Sqlite, sql.to_owned(), |_| {
                looks.set(looks.get() + 1);
                if is_right { Ok(()) } else { Err(wrong()) }
            })
        };
        let one = kind("looked at", 0);
        assert!(look(one, "SELECT 1", true).is_ok());
        assert!(look(one, "SELECT 1", true).is_ok());
        assert_eq!(looks.get(), 1);
        // Of another type, or another text.
        assert!(look(kind("looked at", 1), "SELECT 1", false).is_err());
        assert!(look(one, "SELECT 2", false).is_err());
        assert!(look(one, "SELECT 2", false).is_err());
        assert_eq!(looks.get(), 4);
        // What is long is not remembered.
        let long = "x".repeat(LONGEST + 1);
        assert!(look(one, &long, true).is_ok());
        assert!(look(one, &long, false).is_err());
    }
}
