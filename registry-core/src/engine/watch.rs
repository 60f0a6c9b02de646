//! Seeing what a borrower does to a connection, through Diesel's own instrumentation.
//!
//! Diesel knows of the transactions that it has begun. A `BEGIN`, `SET` or `LISTEN` of the borrower's
//! own it does not, and neither that a statement was cut short when its future was dropped. Both show
//! in the events of the connection: each statement is an event when it begins, and one with its text
//! when it has ended.

use std::fmt::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use diesel::connection::{Instrumentation, InstrumentationEvent, get_default_instrumentation};
use diesel::result::Error;

use super::stats::slow_query;
use crate::bind_key::BindKey;

/// What is known of a connection from watching it. Shared by its slot and its instrumentation.
#[derive(Debug, Default)]
pub(super) struct Watch {
    started: AtomicU32,
    finished: AtomicU32,
    left: AtomicU8,
    /// How often a connection of the engine found its prepared statements stale, and how often this one
    /// has forgotten its own.
    stale_plans: Arc<AtomicU32>,
    forgotten_plans: AtomicU32,
    is_broken: AtomicBool,
    /// Whether a failure has ended the transaction, since [`Watch::expect_no_failure`].
    has_lost_transaction: AtomicBool,
    /// The task that has it, see [`caller`]. Zero if none does.
    pub(super) holder: AtomicU64,
    /// Whether it is lent for one query, in which there is no transaction of the task's.
    pub(super) is_for_query: AtomicBool,
}

/// What a borrower has left behind.
#[derive(Clone, Copy)]
pub(crate) struct Left(u8);

/// What errors mean to a backend.
#[derive(Clone, Copy)]
pub(super) struct Judge {
    pub(super) is_fatal: fn(&Error) -> bool,
    pub(super) ends_transaction: fn(&Error) -> bool,
}

/// A transaction was begun, and neither committed nor rolled back.
const IN_TRANSACTION: u8 = 1;
/// Something was changed that outlives a transaction: a setting, a lock, a subscription.
const CHANGED: u8 = 2;

impl Watch {
    /// Whether a statement was cut short: the server may still be at it, and its answer is to come.
    pub(super) fn is_cut_short(&self) -> bool {
        self.started.load(Ordering::Relaxed) != self.finished.load(Ordering::Relaxed)
    }

    pub(super) fn is_in_transaction(&self) -> bool {
        self.left.load(Ordering::Relaxed) & IN_TRANSACTION != 0
    }

    pub(super) fn is_changed(&self) -> bool {
        self.left.load(Ordering::Relaxed) & CHANGED != 0
    }

    /// `stale_plans` is the same for all connections of an engine.
    pub(super) fn new(stale_plans: Arc<AtomicU32>) -> Self {
        let forgotten_plans = AtomicU32::new(stale_plans.load(Ordering::Relaxed));
        Self { stale_plans, forgotten_plans, ..Self::default() }
    }

    /// Whether prepared statements no longer fit their tables, on this connection or on another of the
    /// engine; asks once.
    pub(super) fn take_stale_plans(&self) -> bool {
        let stale = self.stale_plans.load(Ordering::Relaxed);
        stale != self.forgotten_plans.load(Ordering::Relaxed)
            && stale != self.forgotten_plans.swap(stale, Ordering::Relaxed)
    }

    /// Whether a statement failed because the connection did.
    pub(super) fn is_broken(&self) -> bool {
        self.is_broken.load(Ordering::Relaxed)
    }

    /// Forgets what has failed before.
    pub(super) fn expect_no_failure(&self) {
        self.has_lost_transaction.store(false, Ordering::Relaxed);
    }

    pub(super) fn has_lost_transaction(&self) -> bool {
        self.has_lost_transaction.load(Ordering::Relaxed)
    }

    /// What was left behind so far, to be restored after statements that are not the borrower's.
    pub(super) fn left(&self) -> Left {
        Left(self.left.load(Ordering::Relaxed))
    }

    pub(super) fn restore(&self, left: Left) {
        self.left.store(left.0, Ordering::Relaxed);
    }

    fn note_error(&self, error: &Error, judge: Judge) {
        if (judge.ends_transaction)(error) {
            self.has_lost_transaction.store(true, Ordering::Relaxed);
        }
        if (judge.is_fatal)(error) {
            self.is_broken.store(true, Ordering::Relaxed);
        }
        // PostgreSQL has no code of its own for this (it is FEATURE_NOT_SUPPORTED).
        if let Error::DatabaseError(_, information) = error
            && information.message() == "cached plan must not change result type"
        {
            self.stale_plans.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn note(&self, sql: &str) {
        let before = self.left.load(Ordering::Relaxed);
        let after = left_by_all(before, sql);
        if after != before {
            self.left.store(after, Ordering::Relaxed);
        }
    }
}

/// What statements in a row leave behind on top of `left`.
///
/// One search through the text, as every query is looked at: a query has few parentheses, and no
/// semicolon.
fn left_by_all(mut left: u8, sql: &str) -> u8 {
    let (mut begin, mut calls_changer) = (0, false);
    for at in memchr::memchr2_iter(b'(', b';', sql.as_bytes()) {
        let statement = &sql[begin..at];
        if sql.as_bytes()[at] == b'(' {
            let changers = ["_lock", "_LOCK", "_lock_shared", "set_config"];
            calls_changer |= changers.iter().any(|name| statement.ends_with(name));
        } else {
            // A semicolon in a literal makes a statement that is none. At worst, a reset too many.
            left = left_by(left, statement, calls_changer);
            (begin, calls_changer) = (at + 1, false);
        }
    }
    left_by(left, &sql[begin..], calls_changer)
}

/// What a statement leaves behind on top of `left`, given whether it calls a function that changes the
/// session.
fn left_by(left: u8, statement: &str, calls_changer: bool) -> u8 {
    let mut words = statement.split_ascii_whitespace();
    let first = words.next().unwrap_or_default();
    let is = |words: &[&str]| words.iter().any(|word| word.eq_ignore_ascii_case(first));
    let mut next_is = |expected: &[&str]| {
        let next = words.next().unwrap_or_default();
        expected.iter().any(|word| word.eq_ignore_ascii_case(next))
    };
    if is(&["SELECT", "INSERT", "UPDATE", "DELETE", "WITH", "DO", "CALL"]) {
        return if calls_changer { left | CHANGED } else { left };
    }
    if is(&["BEGIN", "START"]) {
        left | IN_TRANSACTION
    } else if is(&["COMMIT", "END", "ABORT"]) || is(&["ROLLBACK"]) && !next_is(&["TO"]) {
        left & !IN_TRANSACTION
    } else if is(&["SET"]) {
        // These end with the transaction.
        let is_local = next_is(&["LOCAL", "TRANSACTION", "CONSTRAINTS"]);
        if is_local { left } else { left | CHANGED }
    } else if is(&["CREATE"]) {
        if next_is(&["TEMP", "TEMPORARY"]) { left | CHANGED } else { left }
    } else if is(&[
        "RESET", "LISTEN", "LOCK", "PREPARE", "DECLARE", "USE", "PRAGMA", "ATTACH", "DETACH",
        "LOAD", "HANDLER", "FLUSH",
    ]) {
        left | CHANGED
    } else {
        left
    }
}

/// The instrumentation of a connection: watches, reports slow queries, and passes every event on to the
/// program's own default instrumentation, if it has set one.
pub(super) struct Watcher {
    watch: Arc<Watch>,
    key: BindKey,
    slow: Option<Duration>,
    judge: Judge,
    started: Option<Instant>,
    next: Option<Box<dyn Instrumentation>>,
}

impl Watcher {
    pub(super) fn new(
        watch: Arc<Watch>,
        key: BindKey,
        slow: Option<Duration>,
        judge: Judge,
    ) -> Self {
        let next = get_default_instrumentation();
        Self { watch, key, slow, judge, started: None, next }
    }
}

impl Instrumentation for Watcher {
    fn on_connection_event(&mut self, event: InstrumentationEvent<'_>) {
        match &event {
            InstrumentationEvent::StartQuery { .. } => {
                self.watch.started.fetch_add(1, Ordering::Relaxed);
                if self.slow.is_some() {
                    self.started = Some(Instant::now());
                }
            }
            InstrumentationEvent::FinishQuery { query, error, .. } => {
                self.watch.finished.fetch_add(1, Ordering::Relaxed);
                if let Some(error) = error {
                    self.watch.note_error(error, self.judge);
                }
                // The drivers write the statement in one piece, which is looked at in place.
                let _ = write!(Statements(|sql: &str| self.watch.note(sql)), "{query}");
                if let (Some(slow), Some(started)) = (self.slow, self.started.take())
                    && started.elapsed() >= slow
                {
                    slow_query(self.key, &query.to_string(), started.elapsed());
                }
            }
            _ => {}
        }
        if let Some(next) = &mut self.next {
            next.on_connection_event(event);
        }
    }
}

struct Statements<F>(F);

impl<F: FnMut(&str)> Write for Statements<F> {
    fn write_str(&mut self, sql: &str) -> fmt::Result {
        (self.0)(sql);
        Ok(())
    }
}

/// A number for the task that calls, or for the thread where there is no task. Never zero.
pub(super) fn caller() -> u64 {
    match tokio::task::try_id() {
        Some(id) => number(id) << 1,
        None => number(std::thread::current().id()) << 1 | 1,
    }
}

/// The number inside an id, which neither Tokio nor the standard library hands out, but hash.
fn number(id: impl std::hash::Hash) -> u64 {
    struct Number(u64);

    impl std::hash::Hasher for Number {
        fn finish(&self) -> u64 {
            self.0
        }

        fn write(&mut self, bytes: &[u8]) {
            for byte in bytes {
                self.0 = self.0 << 8 ^ u64::from(*byte);
            }
        }

        fn write_u64(&mut self, number: u64) {
            self.0 = number;
        }
    }

    let mut hasher = Number(0);
    id.hash(&mut hasher);
    std::hash::Hasher::finish(&hasher)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is left behind by statements in a row.
    fn left(statements: &[&str]) -> u8 {
        let watch = Watch::default();
        statements.iter().for_each(|statement| watch.note(statement));
        watch.left.load(Ordering::Relaxed)
    }

    #[test]
    fn transactions_are_followed_to_their_end() {
        assert_eq!(left(&["BEGIN"]), IN_TRANSACTION);
        assert_eq!(left(&["  start transaction READ ONLY"]), IN_TRANSACTION);
        assert_eq!(left(&["SELECT 1; begin; SELECT 2"]), IN_TRANSACTION);
        for end in ["COMMIT", "commit", "END", "ABORT", "ROLLBACK", "SELECT 1; ROLLBACK;"] {
            assert_eq!(left(&["BEGIN", end]), 0, "{end}");
        }
        let savepoints = ["SAVEPOINT a", "ROLLBACK TO SAVEPOINT a", "RELEASE SAVEPOINT a"];
        assert_eq!(left(&savepoints), 0);
        assert_eq!(left(&["BEGIN", "ROLLBACK TO a"]), IN_TRANSACTION);
    }

    #[test]
    fn what_outlives_a_transaction_is_noticed() {
        for statement in [
            "SET search_path = other",
            "set SESSION statement_timeout = 0",
            "SELECT set_config('a.b', 'c', false)",
            "LISTEN news",
            "LOCK TABLES t WRITE",
            "SELECT pg_advisory_lock(1)",
            "SELECT pg_advisory_lock_shared(1)",
            "DO GET_LOCK('a', 1)",
            "CREATE TEMPORARY TABLE t (i INTEGER)",
            "PREPARE p AS SELECT 1",
            "PRAGMA foreign_keys = OFF",
            "USE other",
        ] {
            assert_eq!(left(&[statement]), CHANGED, "{statement}");
            assert_eq!(left(&["BEGIN", statement, "COMMIT"]), CHANGED, "{statement}");
        }
    }

    #[test]
    fn what_ends_by_itself_is_no_change() {
        for statement in [
            "",
            "SELECT 1",
            "INSERT INTO locks VALUES (1)",
            "UPDATE t SET a = 1",
            "SET LOCAL search_path = other",
            "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE",
            "CREATE TABLE t (i INTEGER)",
            "SELECT * FROM t FOR UPDATE",
        ] {
            assert_eq!(left(&[statement]), 0, "{statement}");
        }
    }

    #[test]
    fn callers_are_told_apart() {
        let here = caller();
        assert_eq!(here, caller());
        assert_ne!(here, 0);
        assert_ne!(here, std::thread::spawn(caller).join().unwrap());
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let tasks = runtime.block_on(async {
            let (one, two) = (tokio::spawn(async { caller() }), tokio::spawn(async { caller() }));
            (one.await.unwrap(), two.await.unwrap())
        });
        assert_ne!(tasks.0, tasks.1);
        assert_ne!(tasks.0, here);
    }
}
