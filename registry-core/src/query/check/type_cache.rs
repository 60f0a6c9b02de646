//! What is remembered of queries that have been looked at, so that each is looked at once.
//!
//! A program has as many types of queries as the compiler has written code for, so what is known of those is
//! kept, and read without a lock. Statements can be any number: some of them are kept, in places that are
//! given by their text.

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use super::query_check::HiddenTable;
use crate::sql::Dialect;

/// A type of queries, and for which bind they are run.
#[derive(Debug, Clone, Copy)]
pub(in crate::query) struct Kind {
    /// Its name, by the address of that.
    pub(in crate::query) type_name: &'static str,
    /// The address of the code that writes its SQL: types that are declared in two blocks of a function have
    /// the same name, but write what they write by code of their own.
    pub(in crate::query) code: usize,
    pub(in crate::query) key: &'static str,
}

/// What is known of a type of queries.
#[derive(Debug)]
pub(super) struct Judgement {
    pub(super) tables: Verdict,
    /// Whether its queries lock rows, and the lock is gone where it does not outlive the call.
    pub(super) loses_lock: bool,
}

/// What is known of the tables of a type of queries.
#[derive(Debug)]
pub(super) enum Verdict {
    /// There is nothing in them that should not be.
    Right,
    /// A table of another bind.
    Wrong(HiddenTable),
    /// The SQL of one of them says it of all, by the tables that are there.
    AsOne {
        place: Place,
        /// True once it has been looked at, and was right.
        was_right: AtomicBool,
    },
    /// The SQL of each of them says it.
    Each,
}

/// Where in a statement tables are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    All,
    /// In what it selects or returns.
    Selection,
}

/// The judgement of queries of `kind`, which `judge` makes.
pub(super) fn judgement_of(kind: Kind, judge: impl Fn() -> Judgement) -> &'static Judgement {
    static KINDS: [OnceLock<Box<Node>>; 1 << KIND_BITS] =
        [const { OnceLock::new() }; 1 << KIND_BITS];

    let mut place = &KINDS[kind.place()];
    loop {
        let new = || Box::new(Node { kind, judgement: judge(), next: OnceLock::new() });
        let node = place.get_or_init(new);
        if node.kind.is(kind) {
            return &node.judgement;
        }
        place = &node.next;
    }
}

const KIND_BITS: u32 = 10;

/// An odd number whose bits look like those of a random one.
const SPREAD: usize = 0x9e37_79b9_7f4a_7c15_u64 as usize;

#[derive(Debug)]
struct Node {
    kind: Kind,
    judgement: Judgement,
    next: OnceLock<Box<Node>>,
}

impl Kind {
    fn is(self, other: Self) -> bool {
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

/// How many statements are remembered, and up to which length: that is four megabytes.
const STATEMENTS: usize = 1024;
const LONGEST: usize = 4096;

/// A statement of a type of queries, of which its SQL said that it is right.
#[derive(Debug)]
struct Statement {
    kind: Kind,
    dialect: Dialect,
    sql: Box<str>,
}

static SEEN: [Mutex<Option<Statement>>; STATEMENTS] = [const { Mutex::new(None) }; STATEMENTS];

/// Looks at a statement with `look`, unless it was looked at before and was right.
pub(super) fn look_once(
    kind: Kind,
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

impl Verdict {
    /// For those whose verdict is of one for all.
    pub(super) const fn as_one(place: Place) -> Self {
        Self::AsOne { place, was_right: AtomicBool::new(false) }
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

    fn kind(type_name: &'static str, code: usize) -> Kind {
        Kind { type_name, code, key: "default" }
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
        let judge = |is_right: bool| {
            judged.set(judged.get() + 1);
            let tables = if is_right { Verdict::Right } else { Verdict::Wrong(wrong()) };
            Judgement { tables, loses_lock: false }
        };
        let is_right = |kind, is_right| {
            matches!(judgement_of(kind, || judge(is_right)).tables, Verdict::Right)
        };
        // Types of one name are apart by their code, and binds by their keys.
        let kinds: Vec<Kind> = (0..5000).map(|code| kind("judged", code)).collect();
        for (at, kind) in kinds.iter().enumerate() {
            assert_eq!(is_right(*kind, at % 2 == 0), at % 2 == 0);
        }
        assert_eq!(judged.get(), 5000);
        for (at, kind) in kinds.iter().enumerate() {
            assert_eq!(is_right(*kind, false), at % 2 == 0);
        }
        assert_eq!(judged.get(), 5000);
        assert!(!is_right(Kind { key: "other", ..kinds[0] }, false));
    }

    #[test]
    fn a_statement_that_is_right_is_looked_at_once() {
        let looks = Cell::new(0);
        let look = |kind, sql: &str, is_right: bool| {
            look_once(kind, Dialect::Sqlite, sql.to_owned(), |_| {
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

    #[test]
    fn what_failed_is_tried_again() {
        let done = AtomicBool::new(false);
        assert!(succeed_once(&done, || Err(())).is_err());
        assert!(succeed_once(&done, || Ok::<_, ()>(())).is_ok());
        assert!(succeed_once(&done, || Err(())).is_ok());
    }
}
