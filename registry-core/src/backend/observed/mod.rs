//! What is known of one connection from watching it.
//!
//! PostgreSQL says after each statement whether a transaction is open, gives each error a code, and reports
//! the role of the server. Neither the driver nor diesel-async passes that on, so it is read from the stream
//! ([`postgres::wire`](super::postgres)) and kept here. Where no stream can be read, which is so for
//! MySQL, SQLite and Unix sockets, the text of each statement is judged when it has been run, and what it
//! may have done to a transaction counts as a change that has to be undone.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use tokio::sync::Notify;

use super::error_class::Said;
use crate::latch::Latch;
use crate::sql::{Effects, SessionEffect, TransactionEffect};

/// What is known of one connection. Shared by its stream, its instrumentation and its slot.
///
/// Each side writes before the answer to a statement reaches whoever waits for it, through a channel of
/// the driver, so `Relaxed` is enough: the channel orders the accesses.
#[derive(Debug, Default)]
pub struct Observed {
    /// Whether the stream of the connection is read: then the server tells of transactions.
    is_read: AtomicBool,
    /// The status of the last `ReadyForQuery`: `I`, `T` or `E`. Zero before the first.
    status: AtomicU8,
    /// Statements that were sent and whose end the server has not reported yet.
    in_flight: AtomicU32,
    /// How many statements the server has prepared and not closed.
    prepared: AtomicU64,
    /// Whether each statement outside a transaction begins one.
    begins_by_itself: AtomicBool,
    /// What the statements since [`Observed::forget_effects`] may have left behind.
    left: AtomicU8,
    /// How often statements have ended a transaction, as far as the server or the driver tells.
    ends: AtomicU32,
    /// Statements that may end a transaction, and whose end is not reported yet.
    endings: AtomicU32,
    /// How often the database has rolled a transaction back by itself, as far as the driver tells.
    rollbacks: AtomicU32,
    /// Whether statements are to be refused that follow such a rollback, and whether there was one.
    guard: AtomicU8,
    /// What is to be asked of the transaction, see [`TransactionDoubts`].
    questions: AtomicU8,
    /// What the server has reported of its role.
    role: AtomicU8,
    /// Whether a statement may have dropped those that the driver has prepared, since it was last asked.
    may_have_dropped: AtomicBool,
    /// What the last errors said and meant, for those who have them.
    said: Mutex<VecDeque<Said>>,
    /// What the last error means. Zero if there was none.
    error: AtomicU8,
    /// What errors have meant that nobody has drawn the consequences of, one bit each.
    unheard: AtomicU8,
    /// What the server said when it ended the connection.
    farewell: Mutex<Option<String>>,
    /// The host that it is connected to, by the name that failures are remembered by.
    place: OnceLock<String>,
    /// Wakes [`Observed::settled`].
    answered: Notify,
    /// Set when the stream is gone.
    is_gone: AtomicBool,
    /// Whether somebody tells when the server was told good-bye, and that it was.
    has_parting: AtomicBool,
    parted: Latch,
}

/// Kept with a stream until the server was told good-bye, and the stream is closed. It says so when it is dropped.
#[derive(Debug)]
pub(super) struct Parting(Arc<Observed>);

impl Parting {
    pub(super) fn of(observed: &Arc<Observed>) -> Self {
        observed.has_parting.store(true, Ordering::Relaxed);
        Self(Arc::clone(observed))
    }
}

impl Drop for Parting {
    fn drop(&mut self) {
        self.0.parted.set();
    }
}

/// What statements of a borrower may have left behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct SessionEffects(u8);

impl SessionEffects {
    /// A transaction was begun, and is not known to have ended.
    const IN_TRANSACTION: u8 = 1;
    /// Something in the session may have changed.
    const CHANGED: u8 = 2;
    /// Something has changed that only another connection is without.
    const IRREVERSIBLE: u8 = 4;
}

/// What the statements since the last question may have done to a transaction, where neither the server nor the
/// driver tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct TransactionDoubts(u8);

impl TransactionDoubts {
    /// A statement may have ended it.
    pub(crate) const ENDED: Self = Self(1);
    /// A statement of savepoints was run, which was not Diesel's.
    pub(crate) const SAVEPOINT: Self = Self(2);
    /// A statement has failed, and nobody said what it was.
    pub(crate) const FAILED: Self = Self(4);
    /// A statement has rows, which may have ended in an error.
    pub(crate) const ROWS: Self = Self(8);

    pub(crate) fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    pub(crate) fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// Whether a transaction is open, in the words of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TransactionStatus {
    /// None is open.
    Idle,
    /// One is open, or has failed and is not rolled back.
    Open,
    /// The server has not been heard.
    Unknown,
}

/// What an error of the server means, by its code and not by its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ErrorClass {
    /// The same statement fails again.
    Permanent = 1,
    /// The same statement may succeed a little later: a deadlock, a serialization failure, a lock that
    /// could not be had in time, resources that are used up.
    Transient,
    /// The server takes no writes, or the transaction does not.
    ReadOnly,
    /// A prepared statement no longer fits its table.
    StalePlan,
    /// A prepared statement is gone from the server.
    StatementGone,
    /// The number by which the client knows a type is no longer one.
    StaleType,
    /// The server has ended the connection with it.
    Fatal,
}

impl ErrorClass {
    const ALL: [Self; 7] = [
        Self::Permanent,
        Self::Transient,
        Self::ReadOnly,
        Self::StalePlan,
        Self::StatementGone,
        Self::StaleType,
        Self::Fatal,
    ];

    fn bit(self) -> u8 {
        1 << (self as u8 - 1)
    }

    /// Whether the same statement may succeed a little later, or on another connection.
    pub(crate) fn is_transient(self) -> bool {
        self != Self::Permanent
    }
}

/// How many errors of a connection are kept in mind: a rollback to a savepoint may fail after the error that led to it.
pub(crate) const ERRORS_KEPT: usize = 4;

const GUARDED: u8 = 1;
#[cfg(feature = "sqlite")]
const LOST: u8 = 2;

const ROLE_REPORTED: u8 = 1;
const IN_HOT_STANDBY: u8 = 2;
const READ_ONLY_BY_DEFAULT: u8 = 4;

impl Observed {
    /// What is known of a connection whose stream is read.
    pub(crate) fn of_stream() -> Self {
        Self { is_read: AtomicBool::new(true), ..Self::default() }
    }

    pub(crate) fn is_read(&self) -> bool {
        self.is_read.load(Ordering::Relaxed)
    }

    pub(crate) fn transaction(&self) -> TransactionStatus {
        match self.status.load(Ordering::Relaxed) {
            b'I' => TransactionStatus::Idle,
            b'T' | b'E' => TransactionStatus::Open,
            _ => TransactionStatus::Unknown,
        }
    }

    /// Whether the server has not yet reported the end of a statement.
    pub(crate) fn is_in_flight(&self) -> bool {
        self.in_flight.load(Ordering::Relaxed) > 0
    }

    /// Waits until the end of each statement that was sent is reported, or the stream is gone.
    pub(crate) async fn settled(&self) {
        loop {
            let answered = self.answered.notified();
            tokio::pin!(answered);
            answered.as_mut().enable();
            if !self.is_in_flight() || self.is_gone.load(Ordering::Acquire) {
                return;
            }
            answered.await;
        }
    }

    /// Waits until the server was told good-bye. Where nobody tells when, there is nothing to wait for.
    pub(crate) async fn parted(&self) {
        if self.has_parting.load(Ordering::Relaxed) {
            self.parted.wait().await;
        }
    }

    /// Whether a transaction may be open, by the statements that were run.
    pub(crate) fn is_in_transaction(&self) -> bool {
        self.left.load(Ordering::Relaxed) & SessionEffects::IN_TRANSACTION != 0
            || self.begins_by_itself.load(Ordering::Relaxed)
    }

    pub(crate) fn note_begins_by_itself(&self, begins: bool) {
        self.begins_by_itself.store(begins, Ordering::Relaxed);
    }

    pub(crate) fn is_changed(&self) -> bool {
        self.left.load(Ordering::Relaxed) & (SessionEffects::CHANGED | SessionEffects::IRREVERSIBLE)
            != 0
    }

    pub(crate) fn is_irreversible(&self) -> bool {
        self.left.load(Ordering::Relaxed) & SessionEffects::IRREVERSIBLE != 0
    }

    /// What was left behind so far, to be restored after statements that are not the borrower's.
    pub(crate) fn left(&self) -> SessionEffects {
        SessionEffects(self.left.load(Ordering::Relaxed))
    }

    pub(crate) fn restore(&self, left: SessionEffects) {
        self.left.store(left.0, Ordering::Relaxed);
    }

    pub(crate) fn forget_effects(&self) {
        self.restore(SessionEffects::default());
    }

    /// Notes what a statement may leave behind.
    pub(crate) fn note_effects(&self, effects: Effects) {
        let before = self.left.load(Ordering::Relaxed);
        let mut after = before;
        match effects.session {
            SessionEffect::None => {}
            SessionEffect::Changed => after |= SessionEffects::CHANGED,
            SessionEffect::Replace => {
                after |= SessionEffects::IRREVERSIBLE;
                self.may_have_dropped.store(true, Ordering::Relaxed);
            }
        }
        // Where the server tells of transactions, texts do not.
        if !self.is_read() {
            match effects.transaction {
                TransactionEffect::None => {}
                TransactionEffect::Begins => after |= SessionEffects::IN_TRANSACTION,
                TransactionEffect::Ends => after &= !SessionEffects::IN_TRANSACTION,
                TransactionEffect::Unknown => {
                    after |= SessionEffects::IN_TRANSACTION | SessionEffects::CHANGED
                }
            }
        }
        if after != before {
            self.left.store(after, Ordering::Relaxed);
        }
    }

    /// Notes a change that did not show in a text.
    pub(crate) fn note_change(&self) {
        self.left.fetch_or(SessionEffects::CHANGED, Ordering::Relaxed);
    }

    /// How often statements have ended a transaction, and how often the database has rolled one back by itself.
    pub(crate) fn ends(&self) -> (u32, u32) {
        (self.ends.load(Ordering::Relaxed), self.rollbacks.load(Ordering::Relaxed))
    }

    pub(super) fn note_end(&self) {
        self.ends.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether a statement that may end a transaction was sent, and its end is not reported.
    pub(crate) fn is_ending(&self) -> bool {
        self.endings.load(Ordering::Relaxed) > 0
    }

    pub(super) fn note_ending(&self) {
        self.endings.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn note_ending_answered(&self) {
        self.endings.fetch_sub(1, Ordering::Relaxed);
    }

    #[cfg(feature = "sqlite")]
    pub(super) fn note_rollback(&self) {
        self.rollbacks.fetch_add(1, Ordering::Relaxed);
        // Only if somebody has asked for it.
        let _ = self.guard.compare_exchange(GUARDED, LOST, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Has statements be refused, or not any more, once the database has rolled the transaction back by itself: each of
    /// them would be stored at once.
    pub(crate) fn guard(&self, is_guarded: bool) {
        self.guard.store(if is_guarded { GUARDED } else { 0 }, Ordering::Relaxed);
    }

    /// Whether statements are to be refused.
    #[cfg(feature = "sqlite")]
    pub(super) fn refuses(&self) -> bool {
        self.guard.load(Ordering::Relaxed) == LOST
    }

    /// Whether the server has said that the transaction has failed, and takes nothing but its end.
    pub(crate) fn has_failed(&self) -> bool {
        self.status.load(Ordering::Relaxed) == b'E'
    }

    pub(crate) fn raise(&self, questions: TransactionDoubts) {
        if questions.0 & !self.questions.load(Ordering::Relaxed) != 0 {
            self.questions.fetch_or(questions.0, Ordering::Relaxed);
        }
    }

    pub(crate) fn questions(&self) -> TransactionDoubts {
        TransactionDoubts(self.questions.load(Ordering::Relaxed))
    }

    pub(crate) fn take_questions(&self) -> TransactionDoubts {
        match self.questions() {
            TransactionDoubts(0) => TransactionDoubts(0),
            _ => TransactionDoubts(self.questions.swap(0, Ordering::Relaxed)),
        }
    }

    /// What the last error means that the server has sent.
    pub(crate) fn last_error(&self) -> Option<ErrorClass> {
        let error = self.error.load(Ordering::Relaxed);
        ErrorClass::ALL.into_iter().find(|class| *class as u8 == error)
    }

    pub(crate) fn forget_error(&self) {
        self.error.store(0, Ordering::Relaxed);
    }

    pub(crate) fn note_error(&self, error: ErrorClass) {
        self.error.store(error as u8, Ordering::Relaxed);
        self.unheard.fetch_or(error.bit(), Ordering::Relaxed);
    }

    /// Notes what the server said with the code of an error.
    pub(crate) fn note_said(&self, message: &str, class: ErrorClass) {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.len() == ERRORS_KEPT {
            said.pop_front();
        }
        said.push_back(Said::new(message, class));
    }

    /// What errors have meant since this was last asked. An error among the rows of a statement comes after the
    /// driver has reported the end of that.
    pub(crate) fn take_unheard(&self) -> impl Iterator<Item = ErrorClass> + use<> {
        let unheard = match self.unheard.load(Ordering::Relaxed) {
            0 => 0,
            _ => self.unheard.swap(0, Ordering::Relaxed),
        };
        ErrorClass::ALL.into_iter().filter(move |class| unheard & class.bit() != 0)
    }

    /// What the server said when it ended the connection.
    pub(crate) fn farewell(&self) -> Option<String> {
        self.farewell.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn note_farewell(&self, words: String) {
        *self.farewell.lock().unwrap_or_else(PoisonError::into_inner) = Some(words);
    }

    /// Whether the server takes no writes. `None` if it has not said so: PostgreSQL does from version 14.
    pub(crate) fn is_read_only_server(&self) -> Option<bool> {
        let role = self.role.load(Ordering::Relaxed);
        (role & ROLE_REPORTED != 0).then_some(role & (IN_HOT_STANDBY | READ_ONLY_BY_DEFAULT) != 0)
    }

    /// The host that it is connected to.
    pub(crate) fn place(&self) -> Option<&str> {
        self.place.get().map(String::as_str)
    }

    pub(super) fn note_place(&self, place: String) {
        // It is opened once.
        let _ = self.place.set(place);
    }

    /// Whether a statement may have dropped those that the driver has prepared; asks once.
    pub(crate) fn take_dropped(&self) -> bool {
        self.may_have_dropped.load(Ordering::Relaxed)
            && self.may_have_dropped.swap(false, Ordering::Relaxed)
    }

    /// How many statements the server has prepared and not closed.
    pub(crate) fn prepared(&self) -> u64 {
        self.prepared.load(Ordering::Relaxed)
    }

    pub(super) fn note_prepared(&self, prepared: u64) {
        self.prepared.store(prepared, Ordering::Relaxed);
    }

    pub(super) fn note_sent(&self) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn note_answered(&self) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
        self.answered.notify_waiters();
    }

    pub(super) fn note_status(&self, status: u8) {
        self.status.store(status, Ordering::Relaxed);
    }

    /// Notes that the server reports the value of a parameter. True if it is one of its role.
    pub(super) fn note_parameter(&self, name: &[u8], value: &[u8]) -> bool {
        let flag = match name {
            b"in_hot_standby" => IN_HOT_STANDBY,
            b"default_transaction_read_only" => READ_ONLY_BY_DEFAULT,
            _ => return false,
        };
        self.role.fetch_or(ROLE_REPORTED, Ordering::Relaxed);
        if value == b"on" {
            self.role.fetch_or(flag, Ordering::Relaxed);
        } else {
            self.role.fetch_and(!flag, Ordering::Relaxed);
        }
        true
    }

    /// Whether the stream of the connection is gone.
    pub(crate) fn is_gone(&self) -> bool {
        self.is_gone.load(Ordering::Acquire)
    }

    pub(super) fn note_gone(&self) {
        self.is_gone.store(true, Ordering::Release);
        self.answered.notify_waiters();
    }
}
