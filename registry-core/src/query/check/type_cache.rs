//! The result of the check for each type of query, computed once.
//!
//! The compiler has generated code for each type of query, so a program has a limited number of them and nothing is
//! evicted. The cache is a hash table of append-only lists: a lookup takes no lock, because it happens before each
//! query (8 to 14 ns).

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use super::diesel_types::is_bound_to;
use super::hidden_table::HiddenTable;
use super::only_reads::QueryEffect;
use crate::query::erased::TypeIdentity;
use crate::sql::Names;

/// The key of the cache: a type of query, and the key of the bind on which its queries are run.
#[derive(Debug, Clone, Copy)]
pub(super) struct QueryType {
    /// Compared by address.
    pub(super) type_name: &'static str,
    /// See [`TypeIdentity::writer`].
    writer: usize,
    pub(super) key: &'static str,
    /// Whether a query with `.bound_to()` is sent as queries of this type, which does not show it.
    comes_from_bound_to: bool,
}

/// Stands in for the address of the function, for a type whose SQL is never written.
const NO_WRITER: usize = 0;

/// The result of the check for a type of query.
#[derive(Debug)]
pub(super) struct TypeCheck {
    pub(super) tables: TableCheck,
    /// Whether queries of the type lose their row locks on an executor that returns the connection at the end of the
    /// call.
    pub(super) loses_lock: bool,
    /// Whether it only reads.
    pub(super) effect: QueryEffect,
}

/// The result of the check of tables for all queries of a type.
#[derive(Debug)]
pub(super) enum TableCheck {
    /// All tables belong to the bind of the query.
    Passed,
    /// A table belongs to another bind.
    Failed(HiddenTable),
    /// The type does not show all tables, but the hidden tables are the same in every query of the type: the SQL of one
    /// query decides for all.
    OneStatement {
        part: SqlPart,
        /// Whether a statement has been checked, and has passed.
        has_passed: AtomicBool,
    },
    /// Queries of the type can differ in their tables: the SQL of each query is checked.
    EveryStatement(SqlReading),
}

/// How the tables of a statement are read.
#[derive(Debug, Clone, Copy)]
pub(super) struct SqlReading {
    pub(super) part: SqlPart,
    pub(super) names: Names,
    /// Whether the statement may have a subquery on a table of the query around it, which Diesel does not write.
    pub(super) may_nest_tables: bool,
}

impl SqlReading {
    /// The reading of SQL that Diesel has written.
    pub(super) const fn of_diesel(part: SqlPart) -> Self {
        Self { part, names: Names::Quoted, may_nest_tables: false }
    }
}

/// The part of a statement whose tables are checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SqlPart {
    WholeStatement,
    /// The `SELECT` list or `RETURNING` clause of the statement.
    Selection,
}

/// The result for `query_type`: from the cache, or else from `check_type`.
pub(super) fn cached_check(
    query_type: QueryType,
    check_type: impl Fn() -> TypeCheck,
) -> &'static TypeCheck {
    static BUCKETS: [OnceLock<Box<Node>>; 1 << BUCKET_BITS] =
        [const { OnceLock::new() }; 1 << BUCKET_BITS];

    let mut place = &BUCKETS[query_type.bucket()];
    loop {
        let new = || Box::new(Node { query_type, check: check_type(), next: OnceLock::new() });
        let node = place.get_or_init(new);
        if node.query_type.is_same(query_type) {
            return &node.check;
        }
        place = &node.next;
    }
}

/// 1024 buckets.
const BUCKET_BITS: u32 = 10;

/// 2^64 divided by the golden ratio, for Fibonacci hashing: the upper bits of a product depend on all
/// bits of the factor.
const HASH_MULTIPLIER: usize = 0x9e37_79b9_7f4a_7c15_u64 as usize;

#[derive(Debug)]
struct Node {
    query_type: QueryType,
    check: TypeCheck,
    next: OnceLock<Box<Node>>,
}

impl QueryType {
    #[inline]
    pub(super) fn of_query(
        identity: TypeIdentity,
        key: &'static str,
        comes_from_bound_to: bool,
    ) -> Self {
        let TypeIdentity { type_name, writer } = identity;
        Self { type_name, writer, key, comes_from_bound_to }
    }

    pub(super) fn of_type_name(type_name: &'static str, key: &'static str) -> Self {
        Self { type_name, writer: NO_WRITER, key, comes_from_bound_to: false }
    }

    /// Whether queries of the type have `.bound_to()`.
    pub(super) fn is_bound_to(self) -> bool {
        self.comes_from_bound_to || is_bound_to(self.type_name)
    }

    pub(super) fn is_same(self, other: Self) -> bool {
        std::ptr::eq(self.type_name, other.type_name)
            && self.writer == other.writer
            && std::ptr::eq(self.key, other.key)
            && self.comes_from_bound_to == other.comes_from_bound_to
    }

    fn bucket(self) -> usize {
        let addresses = [self.type_name.as_ptr().addr(), self.writer, self.key.as_ptr().addr()];
        let mixed = addresses
            .iter()
            .fold(self.type_name.len(), |mixed, part| (mixed ^ part).wrapping_mul(HASH_MULTIPLIER));
        mixed >> (usize::BITS - BUCKET_BITS)
    }
}

impl TableCheck {
    pub(super) const fn one_statement(part: SqlPart) -> Self {
        Self::OneStatement { part, has_passed: AtomicBool::new(false) }
    }
}

/// Runs `check` unless it has succeeded before.
///
/// The flag guards no other data, so `Relaxed` suffices: a thread that does not see it yet checks once more.
pub(super) fn succeed_once<E>(
    has_passed: &AtomicBool,
    check: impl FnOnce() -> Result<(), E>,
) -> Result<(), E> {
    if !has_passed.load(Ordering::Relaxed) {
        check()?;
        has_passed.store(true, Ordering::Relaxed);
    }
    Ok(())
}

#[cfg(test)]
pub(super) mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::settings::BindKey;

    pub(in super::super) fn query_type(type_name: &'static str, writer: usize) -> QueryType {
        QueryType { type_name, writer, key: "default", comes_from_bound_to: false }
    }

    pub(in super::super) fn hidden_table() -> HiddenTable {
        HiddenTable {
            key: String::new(),
            noun: "table",
            name: String::new(),
            other: BindKey::DEFAULT,
            path: None,
            is_in_text: false,
        }
    }

    #[test]
    fn each_type_is_checked_once() {
        let checks = Cell::new(0);
        let check = |passes: bool| {
            checks.set(checks.get() + 1);
            let tables =
                if passes { TableCheck::Passed } else { TableCheck::Failed(hidden_table()) };
            TypeCheck { tables, loses_lock: false, effect: QueryEffect::Reads }
        };
        let has_passed = |query_type, passes| {
            matches!(cached_check(query_type, || check(passes)).tables, TableCheck::Passed)
        };
        // Types with the same name differ in the function that writes their SQL. Binds differ in their keys.
        let types: Vec<QueryType> =
            (0..5000).map(|writer| query_type("checked once", writer)).collect();
        for (at, query_type) in types.iter().enumerate() {
            assert_eq!(has_passed(*query_type, at % 2 == 0), at % 2 == 0);
        }
        assert_eq!(checks.get(), 5000);
        for (at, query_type) in types.iter().enumerate() {
            assert_eq!(has_passed(*query_type, false), at % 2 == 0);
        }
        assert_eq!(checks.get(), 5000);
        assert!(!has_passed(QueryType { key: "other", ..types[0] }, false));
    }

    #[test]
    fn a_failed_check_is_repeated() {
        let has_passed = AtomicBool::new(false);
        assert!(succeed_once(&has_passed, || Err(())).is_err());
        assert!(succeed_once(&has_passed, || Ok::<_, ()>(())).is_ok());
        assert!(succeed_once(&has_passed, || Err(())).is_ok());
    }
}
