//! What is remembered of queries that have been looked at, so that each is looked at once.
//!
//! A program has as many types of queries as the compiler has written code for, so what is known of those is
//! kept, and read without a lock. Statements can be any number: some of them are kept, in places that are
//! given by their text.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use super::hidden_table::HiddenTable;

/// A type of queries, and for which bind they are run.
#[derive(Debug, Clone, Copy)]
pub(in crate::query) struct QueryType {
    /// Its name, by the address of that.
    pub(in crate::query) type_name: &'static str,
    /// The address of the code that writes its SQL: types that are declared in two blocks of a function have
    /// the same name, but write what they write by code of their own.
    pub(in crate::query) code: usize,
    pub(in crate::query) key: &'static str,
}

/// What is known of a type of queries.
#[derive(Debug)]
pub(super) struct TypeCheck {
    pub(super) tables: TableCheck,
    /// Whether its queries lock rows, and the lock is gone where it does not outlive the call.
    pub(super) loses_lock: bool,
}

/// What is known of the tables of a type of queries.
#[derive(Debug)]
pub(super) enum TableCheck {
    /// There is nothing in them that should not be.
    Passed,
    /// A table of another bind.
    Failed(HiddenTable),
    /// The SQL of one of them says it of all, by the tables that are there.
    OneStatement {
        place: SqlScope,
        /// True once it has been looked at, and was right.
        has_passed: AtomicBool,
    },
    /// The SQL of each of them says it.
    EveryStatement,
}

/// Where in a statement tables are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SqlScope {
    Statement,
    /// In what it selects or returns.
    Selection,
}

/// The check of queries of `kind`, which `check_type` makes.
pub(super) fn cached_check(
    kind: QueryType,
    check_type: impl Fn() -> TypeCheck,
) -> &'static TypeCheck {
    static KINDS: [OnceLock<Box<Node>>; 1 << KIND_BITS] =
        [const { OnceLock::new() }; 1 << KIND_BITS];

    let mut place = &KINDS[kind.place()];
    loop {
        let new = || Box::new(Node { kind, check: check_type(), next: OnceLock::new() });
        let node = place.get_or_init(new);
        if node.kind.is(kind) {
            return &node.check;
        }
        place = &node.next;
    }
}

const KIND_BITS: u32 = 10;

/// An odd number whose bits look like those of a random one.
const SPREAD: usize = 0x9e37_79b9_7f4a_7c15_u64 as usize;

#[derive(Debug)]
struct Node {
    kind: QueryType,
    check: TypeCheck,
    next: OnceLock<Box<Node>>,
}

impl QueryType {
    pub(super) fn is(self, other: Self) -> bool {
        std::ptr::eq(self.type_name, other.type_name)
            && self.code == other.code
            && std::ptr::eq(self.key, other.key)
    }

    fn place(self) -> usize {
        let addresses = [self.type_name.as_ptr().addr(), self.code, self.key.as_ptr().addr()];
        let mixed = addresses
            .iter()
            .fold(self.type_name.len(), |mixed, part| (mixed ^ part).wrapping_mul(SPREAD));
        mixed >> (usize::BITS - KIND_BITS)
    }
}

impl TableCheck {
    /// For those whose verdict is of one for all.
    pub(super) const fn one_statement(place: SqlScope) -> Self {
        Self::OneStatement { place, has_passed: AtomicBool::new(false) }
    }
}

/// Runs `look` unless it has succeeded before.
pub(super) fn succeed_once<E>(
    done: &AtomicBool,
    look: impl FnOnce() -> Result<(), E>,
) -> Result<(), E> {
    if !done.load(Ordering::Relaxed) {
        look()?;
        done.store(true, Ordering::Relaxed);
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
    fn a_type_is_judged_once() {
        let judged = Cell::new(0);
        let check_type = |is_right: bool| {
            judged.set(judged.get() + 1);
            let tables = if is_right { TableCheck::Passed } else { TableCheck::Failed(wrong()) };
            TypeCheck { tables, loses_lock: false }
        };
        let is_right = |kind, is_right| {
            matches!(cached_check(kind, || check_type(is_right)).tables, TableCheck::Passed)
        };
        // Types of one name are apart by their code, and binds by their keys.
        let kinds: Vec<QueryType> = (0..5000).map(|code| kind("judged", code)).collect();
        for (at, kind) in kinds.iter().enumerate() {
            assert_eq!(is_right(*kind, at % 2 == 0), at % 2 == 0);
        }
        assert_eq!(judged.get(), 5000);
        for (at, kind) in kinds.iter().enumerate() {
            assert_eq!(is_right(*kind, false), at % 2 == 0);
        }
        assert_eq!(judged.get(), 5000);
        assert!(!is_right(QueryType { key: "other", ..kinds[0] }, false));
    }

    #[test]
    fn what_failed_is_tried_again() {
        let done = AtomicBool::new(false);
        assert!(succeed_once(&done, || Err(())).is_err());
        assert!(succeed_once(&done, || Ok::<_, ()>(())).is_ok());
        assert!(succeed_once(&done, || Err(())).is_ok());
    }
}
