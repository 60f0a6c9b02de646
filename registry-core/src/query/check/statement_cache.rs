//! Statements that have passed the check, for types of query whose result depends on the SQL.
//!
//! There can be any number of statements, so the cache has a fixed size. It is direct-mapped: a statement has one
//! slot, given by its hash, and replaces the statement in there.

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::sync::{Mutex, PoisonError};

use super::hidden_table::HiddenTable;
use super::type_cache::QueryType;
use crate::sql::Dialect;

/// The number of statements in the cache.
const SLOTS: usize = 1024;

/// The maximal length in bytes of a cached statement. With [`SLOTS`], the cache has at most four megabytes of
/// SQL.
const MAX_LENGTH: usize = 4096;

/// A statement that has passed the check.
#[derive(Debug)]
struct PassedStatement {
    query_type: QueryType,
    dialect: Dialect,
    sql: Box<str>,
}

static PASSED: [Mutex<Option<PassedStatement>>; SLOTS] = [const { Mutex::new(None) }; SLOTS];

/// Checks a statement with `check`, unless the cache has it as a statement that has passed.
///
/// The slot is locked during the check. A second thread with the same statement waits for the result and does not
/// check it again.
pub(super) fn check_statement_once(
    query_type: QueryType,
    dialect: Dialect,
    sql: &str,
    check: impl FnOnce(&str) -> Result<(), HiddenTable>,
) -> Result<(), HiddenTable> {
    if sql.len() > MAX_LENGTH {
        return check(sql);
    }
    let hash = BuildHasherDefault::<DefaultHasher>::new().hash_one((sql, query_type.key));
    let slot = &PASSED[hash as usize % SLOTS];
    let mut passed = slot.lock().unwrap_or_else(PoisonError::into_inner);
    let is_same = |passed: &PassedStatement| {
        passed.query_type.is_same(query_type) && passed.dialect == dialect && *passed.sql == *sql
    };
    if !passed.as_ref().is_some_and(is_same) {
        check(sql)?;
        *passed = Some(PassedStatement { query_type, dialect, sql: sql.into() });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::super::type_cache::tests::{hidden_table, query_type};
    use super::*;

    #[test]
    fn a_statement_that_has_passed_is_not_checked_again() {
        let checks = Cell::new(0);
        let check = |query_type, sql: &str, passes: bool| {
            check_statement_once(query_type, Dialect::Sqlite, sql, |_| {
                checks.set(checks.get() + 1);
                if passes { Ok(()) } else { Err(hidden_table()) }
            })
        };
        let one = query_type("checked statements", 0);
        assert!(check(one, "SELECT 1", true).is_ok());
        assert!(check(one, "SELECT 1", true).is_ok());
        assert_eq!(checks.get(), 1);
        // Of another type, or with another text.
        assert!(check(query_type("checked statements", 1), "SELECT 1", false).is_err());
        assert!(check(one, "SELECT 2", false).is_err());
        assert!(check(one, "SELECT 2", false).is_err());
        assert_eq!(checks.get(), 4);
        // A long statement is not remembered.
        let long = "x".repeat(MAX_LENGTH + 1);
        assert!(check(one, &long, true).is_ok());
        assert!(check(one, &long, false).is_err());
    }
}
