//! Seeing what a borrower does to a connection, through Diesel's own instrumentation.
//!
//! Each statement is an event when it begins, and one with its text when it has ended. So a statement that was
//! cut short shows, as its future was dropped; and where the stream of the connection is not read
//! ([`Observed`]), the text of each statement shows what it may have left behind.

use std::collections::VecDeque;
use std::fmt::{self, Write};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use diesel::connection::{Instrumentation, InstrumentationEvent, get_default_instrumentation};
use diesel::result::{DatabaseErrorKind, Error};

use super::doubts::{Doubts, Heard, Open};
use super::stats::slow_query;
use crate::backend::error_class::{Diagnosis, ErrorClass, LastError, is_transient};
use crate::backend::observed::{ERRORS_KEPT, Observed, SessionEffects, TransactionDoubts};
use crate::engine::caller::Caller;
use crate::settings::BindKey;
use crate::sql::{self, Dialect, Effects, TransactionEffect};

/// What is known of a connection from watching it. Shared by its slot and its instrumentation.
#[derive(Debug, Default)]
pub(super) struct Watch {
    started: AtomicU32,
    finished: AtomicU32,
    /// Whether rows of the last statement were left that are still to come.
    is_abandoned: AtomicBool,
    /// Whether the last statement may have rows of which nobody knows if they were read.
    may_have_rows: AtomicBool,
    /// What its stream shows, and what is known from texts.
    pub(super) observed: Arc<Observed>,
    doubts: Arc<Doubts>,
    heard: Heard,
    is_broken: AtomicBool,
    /// Whether a statement failed for a reason that the driver does not pass on.
    has_unknown_error: AtomicBool,
    /// The last errors that were returned, for whoever has them.
    last_errors: Mutex<VecDeque<LastError>>,
    /// Whether the last statement has failed.
    has_just_failed: AtomicBool,
    /// Whether a statement failed for a reason that may be gone a little later, since [`Watch::forget_failures`].
    has_failed_in_passing: AtomicBool,
    /// Whether somebody looks after a transaction on it, see [`TransactionState`](super::TransactionState).
    pub(super) is_questioned: AtomicBool,
    /// The [`Caller`] that has it. Zero if none does.
    pub(super) holder: AtomicU64,
    /// Whether it is lent for one query, in which there is no transaction of the task's.
    pub(super) is_for_query: AtomicBool,
    /// Whether its rows are handed out one by one, for as long as somebody wants them.
    pub(super) is_for_rows: AtomicBool,
    /// Whether it has the transaction of a unit of work.
    pub(super) is_in_work: AtomicBool,
    /// The tenant that it is lent for.
    tenant: Mutex<Option<Arc<str>>>,
    _open: Open,
}

/// What a backend tells of its errors and statements.
#[derive(Clone, Copy)]
pub(super) struct Judge {
    pub(super) dialect: Dialect,
    /// Whether the driver knows of transactions by itself.
    pub(super) knows_transactions: bool,
    pub(super) is_fatal: fn(&Error) -> bool,
    /// Whether the engine is meant to write, so that a server that refuses is not what it should be.
    pub(super) is_to_write: bool,
}

impl Watch {
    pub(super) fn new(doubts: Arc<Doubts>, observed: Arc<Observed>) -> Self {
        let _open = Open::new(&doubts);
        Self { heard: Heard::all(&doubts), doubts, observed, _open, ..Self::default() }
    }

    /// Whether an instrumentation of the borrower's own has taken the place of ours, so that nothing is seen.
    pub(super) fn is_blind(self: &Arc<Self>) -> bool {
        // The slot has one, and the instrumentation the other.
        Arc::strong_count(self) == 1
    }

    /// Whether a statement was cut short: the server may still be at it, and its answer is to come.
    pub(super) fn is_cut_short(&self) -> bool {
        self.started.load(Ordering::Relaxed) != self.finished.load(Ordering::Relaxed)
    }

    /// Whether rows of the last statement were left. The next one finds them in front of its own answer,
    /// however many there are.
    pub(super) fn has_abandoned_rows(&self) -> bool {
        self.is_abandoned.load(Ordering::Relaxed)
    }

    pub(super) fn is_held_by(&self, caller: Caller) {
        self.holder.store(caller.number(), Ordering::Relaxed);
    }

    /// How many statements were begun.
    pub(super) fn started(&self) -> u64 {
        self.started.load(Ordering::Relaxed).into()
    }

    /// Whether it comes back when a query is over, whatever its borrower does.
    pub(super) fn lets_go_by_itself(&self) -> bool {
        self.is_for_query.load(Ordering::Relaxed) && !self.is_for_rows.load(Ordering::Relaxed)
    }

    pub(super) fn set_tenant(&self, tenant: Option<Arc<str>>) {
        *self.tenant.lock().unwrap_or_else(PoisonError::into_inner) = tenant;
    }

    pub(super) fn tenant(&self) -> Option<Arc<str>> {
        self.tenant.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes that rows were left that are still to come.
    pub(super) fn abandon_rows(&self) {
        // A stream that is read shows it by itself, and also when they have come after all.
        if !self.observed.reads_stream() {
            self.is_abandoned.store(true, Ordering::Relaxed);
        }
    }

    /// Notes that all rows of the last statement have come.
    pub(super) fn rows_are_read(&self) {
        self.may_have_rows.store(false, Ordering::Relaxed);
    }

    /// Whether the last statement may have rows of which nobody knows if they were read: the drivers report the end
    /// of a statement before its rows come.
    pub(super) fn may_have_rows(&self) -> bool {
        self.may_have_rows.load(Ordering::Relaxed)
    }

    /// Whether prepared statements no longer fit their tables, on this connection or on another of the
    /// engine; asks once.
    pub(super) fn take_stale_plans(&self) -> bool {
        self.observed.session.take_may_have_deallocated()
            | self.heard.take_stale_plans(&self.doubts)
    }

    /// Whether nothing but another connection will do, by what others of the engine have found out.
    pub(super) fn is_outdated(&self) -> bool {
        self.heard.has_stale_types(&self.doubts)
    }

    /// Whether the server has to be asked if it takes writes.
    pub(super) fn has_doubtful_role(&self) -> bool {
        self.heard.has_doubtful_role(&self.doubts)
    }

    pub(super) fn role_is_known(&self) {
        self.heard.role_is_known(&self.doubts);
    }

    /// Notes that the server takes no writes, though it should.
    pub(super) fn note_read_only_server(&self) {
        self.is_broken.store(true, Ordering::Relaxed);
        self.doubts.roles.fetch_add(1, Ordering::Relaxed);
        if let Some(place) = self.observed.stream.host() {
            self.doubts.hosts.add(place.to_owned());
        }
    }

    /// Whether a statement failed because the connection did, or nothing good can come of it any more.
    pub(super) fn is_broken(&self) -> bool {
        self.is_broken.load(Ordering::Relaxed)
    }

    /// Whether the server has to be asked what was wrong with a statement.
    pub(super) fn has_unknown_error(&self) -> bool {
        self.has_unknown_error.load(Ordering::Relaxed)
    }

    /// Forgets whether a statement has failed in passing.
    pub(super) fn forget_failures(&self) {
        self.has_failed_in_passing.store(false, Ordering::Relaxed);
    }

    /// Notes what the error of a statement means.
    pub(super) fn note_class(&self, class: ErrorClass) {
        if class.is_transient() {
            self.has_failed_in_passing.store(true, Ordering::Relaxed);
        }
    }

    /// Whether a statement has failed for a reason that may be gone a little later, as far as is known.
    pub(super) fn has_failed_in_passing(&self) -> bool {
        self.has_failed_in_passing.load(Ordering::Relaxed) || self.is_broken()
    }

    /// What is known, or can be found out, of the error of the last statement, if it has failed.
    pub(super) fn diagnosis(&self) -> Option<Diagnosis> {
        if !self.has_just_failed.load(Ordering::Relaxed) {
            return None;
        }
        self.last_errors().back().map(|last| last.diagnosis().clone())
    }

    /// What is known, or can be found out, of an error, if it is the last one.
    pub(super) fn diagnosis_of(&self, error: &Error) -> Option<Diagnosis> {
        let last_errors = self.last_errors();
        last_errors.back().filter(|last| last.is(error)).map(|last| last.diagnosis().clone())
    }

    fn last_errors(&self) -> MutexGuard<'_, VecDeque<LastError>> {
        self.last_errors.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note_last_error(&self, error: &Error, judge: Judge) {
        let Some(last) = LastError::new(error) else { return };
        match self.observed.errors.last() {
            // The same code is that of a transaction which only reads, and will refuse a write for ever.
            Some(ErrorClass::ReadOnly)
                if !judge.is_to_write || self.observed.role.is_read_only() == Some(false) =>
            {
                last.diagnosis().set(ErrorClass::Permanent);
            }
            Some(class) => last.diagnosis().set(class),
            None if matches!(error, Error::DatabaseError(DatabaseErrorKind::Unknown, _)) => {
                self.observed.transaction.raise_doubts(TransactionDoubts::FAILED);
            }
            None => {}
        }
        let mut last_errors = self.last_errors();
        if last_errors.len() == ERRORS_KEPT {
            last_errors.pop_front();
        }
        last_errors.push_back(last);
    }

    /// What was left behind so far, to be restored after statements that are not the borrower's.
    pub(super) fn left(&self) -> SessionEffects {
        self.observed.session.effects()
    }

    pub(super) fn restore(&self, left: SessionEffects) {
        self.observed.session.restore_effects(left);
    }

    fn note_error(&self, error: &Error, judge: Judge) {
        self.note_last_error(error, judge);
        // The code of the server says it better than a text.
        if self.observed.errors.last().is_none() && (judge.is_fatal)(error) {
            self.is_broken.store(true, Ordering::Relaxed);
        }
        self.hear_errors(judge.is_to_write);
        if self.observed.errors.last().is_none() && is_transient(None, error) {
            self.has_failed_in_passing.store(true, Ordering::Relaxed);
        }
        let (None, Error::DatabaseError(kind, _)) = (self.observed.errors.last(), error) else {
            return;
        };
        match kind {
            // Nobody says what it was.
            DatabaseErrorKind::Unknown => {
                self.has_unknown_error.store(true, Ordering::Relaxed);
                self.heard.doubt_own_plans(&self.doubts);
            }
            // It may be the transaction alone that only reads: the server is asked before it is lent again.
            DatabaseErrorKind::ReadOnlyTransaction if judge.is_to_write => {
                self.doubts.roles.fetch_add(1, Ordering::Relaxed);
            }
            _ => {}
        }
    }

    /// Draws the consequences of the errors that the server has sent.
    pub(super) fn hear_errors(&self, is_to_write: bool) {
        for class in self.observed.errors.take_new() {
            match class {
                ErrorClass::StalePlan => {
                    self.note_class(class);
                    self.doubts.plans.fetch_add(1, Ordering::Relaxed);
                }
                ErrorClass::StaleType => {
                    self.note_class(class);
                    self.doubts.types.fetch_add(1, Ordering::Relaxed);
                }
                ErrorClass::Fatal => self.is_broken.store(true, Ordering::Relaxed),
                ErrorClass::StatementGone => {
                    // The borrower can go on, and nobody after it.
                    self.is_broken.store(true, Ordering::Relaxed);
                    self.heard.doubt_own_plans(&self.doubts);
                }
                // A transaction of the borrower's that only reads is refused with the same code, while the
                // server says of itself that it takes writes.
                ErrorClass::ReadOnly
                    if is_to_write && self.observed.role.is_read_only() != Some(false) =>
                {
                    self.note_read_only_server();
                }
                ErrorClass::Transient => self.note_class(class),
                ErrorClass::ReadOnly | ErrorClass::Permanent => {}
            }
        }
    }
}

/// The instrumentation of a connection: watches, reports slow queries, and passes every event on to the
/// program's own default instrumentation, if it has set one.
pub(super) struct Watcher {
    watch: Arc<Watch>,
    key: BindKey,
    slow: Option<Duration>,
    judge: Judge,
    judged: Judged,
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
        Self { watch, key, slow, judge, judged: Judged::default(), started: None, next }
    }
}

impl Instrumentation for Watcher {
    fn on_connection_event(&mut self, event: InstrumentationEvent<'_>) {
        match &event {
            InstrumentationEvent::StartQuery { query, .. } => {
                self.watch.started.fetch_add(1, Ordering::Relaxed);
                // A session may be handed on to another task than that which has acquired it.
                if self.watch.holder.load(Ordering::Relaxed) != 0 {
                    self.watch.is_held_by(Caller::current());
                }
                self.watch.observed.errors.forget_last();
                if self.watch.is_questioned.load(Ordering::Relaxed)
                    && !self.watch.observed.reads_stream()
                    && !self.judge.knows_transactions
                {
                    // Before its end, which may never be reported.
                    let shown = query.to_string();
                    let sql = sql::without_bind_values(self.judge.dialect, &shown);
                    if self.judged.effects(self.judge.dialect, sql).may_end {
                        self.watch.observed.transaction.raise_doubts(TransactionDoubts::ENDED);
                    }
                }
                if self.slow.is_some() {
                    self.started = Some(Instant::now());
                }
            }
            InstrumentationEvent::FinishQuery { query, error, .. } => {
                self.watch.finished.fetch_add(1, Ordering::Relaxed);
                // Those of the statement before it have been read by now.
                self.watch.is_abandoned.store(false, Ordering::Relaxed);
                self.watch.has_just_failed.store(error.is_some(), Ordering::Relaxed);
                if let Some(error) = error {
                    self.watch.note_error(error, self.judge);
                }
                if !self.watch.observed.reads_stream() {
                    let (observed, judge) = (&self.watch.observed, self.judge);
                    // The drivers write the statement in one piece, which is looked at in place.
                    let note = |sql: &str| {
                        let may_have_rows =
                            error.is_none() && sql::may_return_rows(judge.dialect, sql);
                        self.watch.may_have_rows.store(may_have_rows, Ordering::Relaxed);
                        let mut effects = self.judged.effects(judge.dialect, sql);
                        if judge.knows_transactions {
                            effects.transaction = TransactionEffect::None;
                        }
                        observed.note_effects(effects);
                        observed.transaction.raise_doubts(questions(sql, effects, may_have_rows));
                    };
                    let _ = write!(Statements(note), "{query}");
                }
                if let (Some(slow), Some(started)) = (self.slow, self.started.take())
                    && started.elapsed() >= slow
                {
                    let tenant = self.watch.tenant();
                    let shown = query.to_string();
                    let sql = sql::without_bind_values(self.judge.dialect, &shown);
                    slow_query(self.key, tenant.as_deref(), sql, started.elapsed());
                }
            }
            _ => {}
        }
        if let Some(next) = &mut self.next {
            next.on_connection_event(event);
        }
    }
}

/// What is to be asked of a transaction after a statement.
fn questions(sql: &str, effects: Effects, may_have_rows: bool) -> TransactionDoubts {
    let mut questions = TransactionDoubts::default();
    if effects.may_end {
        questions = questions.and(TransactionDoubts::ENDED);
    }
    // Diesel's own are gone when their transaction is over, before anything is asked.
    if effects.has_savepoint && !sql::is_diesel_savepoint(sql) {
        questions = questions.and(TransactionDoubts::SAVEPOINT);
    }
    if may_have_rows { questions.and(TransactionDoubts::ROWS) } else { questions }
}

/// The verdicts on a few statements, as most are run again and again.
///
/// A statement is known by its whole text, so that no other one can be taken for it.
#[derive(Default)]
struct Judged([Option<(Box<str>, Effects)>; JUDGED]);

const JUDGED: usize = 32;

/// Longer statements are rarely run again with the same text.
const LONGEST_JUDGED: usize = 4096;

impl Judged {
    fn effects(&mut self, dialect: Dialect, sql: &str) -> Effects {
        // Statements of one length mostly differ early or late.
        let bytes = sql.as_bytes();
        let middle = bytes.get(bytes.len() / 2).copied().unwrap_or_default();
        let near_end = bytes.iter().rev().nth(8).copied().unwrap_or_default();
        let place = (bytes.len() + usize::from(middle) * 7 + usize::from(near_end) * 13) % JUDGED;
        match &self.0[place] {
            Some((text, effects)) if **text == *sql => *effects,
            _ => {
                let effects = sql::effects(dialect, sql);
                if sql.len() <= LONGEST_JUDGED {
                    self.0[place] = Some((sql.into(), effects));
                }
                effects
            }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_is_known_by_its_whole_text() {
        let mut judged = Judged::default();
        let mut effects = |sql: &str| judged.effects(Dialect::Mysql, sql);
        for _ in 0..2 {
            let (harmless, other) = ("SELECT 'SET x = 1'  FROM t", "SET x = 1; SELECT 5 FROM t");
            assert_eq!(effects(harmless), sql::effects(Dialect::Mysql, harmless));
            assert_eq!(effects(other), sql::effects(Dialect::Mysql, other));
            assert_ne!(effects(harmless), effects(other));
        }
    }
}
