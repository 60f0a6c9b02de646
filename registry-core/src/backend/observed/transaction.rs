//! Whether a transaction is open, and whether one has ended without Diesel's transaction manager.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering::Relaxed};

/// The observed transaction of one connection.
#[derive(Debug, Default)]
pub(crate) struct ObservedTransaction {
    /// The status byte of the last `ReadyForQuery`, or [`NO_STATUS`].
    status: AtomicU8,
    is_autocommit_off: AtomicBool,
    ended_by_statement: AtomicU32,
    rolled_back_by_database: AtomicU32,
    /// The number of statements that may end a transaction, and whose end has not been reported.
    may_end_in_flight: AtomicU32,
    /// A [`RollbackGuard`].
    rollback_guard: AtomicU8,
    /// A [`TransactionDoubts`].
    doubts: AtomicU8,
}

/// The status before the first `ReadyForQuery`, and if the stream is not read.
const NO_STATUS: u8 = 0;

/// The status bytes of `ReadyForQuery`
/// (<https://www.postgresql.org/docs/current/protocol-message-formats.html>).
const IDLE: u8 = b'I';
const IN_TRANSACTION: u8 = b'T';
const IN_ABORTED_TRANSACTION: u8 = b'E';

const _: () = assert!(NO_STATUS != IDLE, "an atomic begins with zero");

/// Whether a transaction is open, as reported by the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TransactionStatus {
    /// No transaction is open.
    Idle,
    /// A transaction is open, or has failed and is not rolled back yet.
    Open,
    /// The server has not reported the status.
    Unknown,
}

/// Whether statements are refused once the database has rolled a transaction back by itself.
///
/// Without the guard, such statements would run outside of any transaction, and each would be committed at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum RollbackGuard {
    Off = 0,
    /// The database has not rolled back.
    Armed = 1,
    /// The database has rolled back: statements are refused.
    #[cfg(feature = "sqlite")]
    Tripped = 2,
}

/// The set of doubts about the transaction: the possible effects of statements since the last probe, where neither the
/// server nor the driver reports them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct TransactionDoubts(u8);

impl TransactionDoubts {
    /// A statement may have ended the transaction.
    pub(crate) const ENDED: Self = Self(1);
    /// A savepoint that is not Diesel's was set, released or rolled back to.
    pub(crate) const SAVEPOINT: Self = Self(2);
    /// A statement has failed, and its error has no code.
    pub(crate) const FAILED: Self = Self(4);
    /// A statement has rows, which may have ended in an error.
    pub(crate) const ROWS: Self = Self(8);

    /// Whether this set contains one of `others`.
    pub(crate) fn has(self, others: Self) -> bool {
        self.0 & others.0 != 0
    }

    /// The union of this set and `others`.
    pub(crate) fn and(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }
}

impl ObservedTransaction {
    /// Whether a transaction is open, as the server has last reported.
    pub(crate) fn status(&self) -> TransactionStatus {
        match self.status.load(Relaxed) {
            IDLE => TransactionStatus::Idle,
            IN_TRANSACTION | IN_ABORTED_TRANSACTION => TransactionStatus::Open,
            _ => TransactionStatus::Unknown,
        }
    }

    /// Whether the server has reported that the transaction has failed, so that it accepts only the end of the transaction.
    pub(crate) fn is_aborted(&self) -> bool {
        self.status.load(Relaxed) == IN_ABORTED_TRANSACTION
    }

    #[cfg(feature = "postgres")]
    pub(in crate::backend) fn note_status(&self, status: u8) {
        self.status.store(status, Relaxed);
    }

    /// Whether each statement outside of a transaction begins a transaction.
    pub(crate) fn is_autocommit_off(&self) -> bool {
        self.is_autocommit_off.load(Relaxed)
    }

    pub(crate) fn note_autocommit_off(&self, is_off: bool) {
        self.is_autocommit_off.store(is_off, Relaxed);
    }

    /// How many transactions were ended by statements, and how many the database has rolled back by itself, as far as
    /// the server or the driver reports it.
    pub(crate) fn end_counts(&self) -> (u32, u32) {
        (self.ended_by_statement.load(Relaxed), self.rolled_back_by_database.load(Relaxed))
    }

    #[cfg(any(feature = "postgres", feature = "sqlite"))]
    pub(in crate::backend) fn note_ended_by_statement(&self) {
        self.ended_by_statement.fetch_add(1, Relaxed);
    }

    /// Whether a statement that may end a transaction was sent, and its end has not been reported.
    pub(crate) fn may_be_ending(&self) -> bool {
        self.may_end_in_flight.load(Relaxed) > 0
    }

    /// A statement that may end a transaction is sent.
    #[cfg(any(feature = "postgres", feature = "sqlite"))]
    pub(in crate::backend) fn note_may_end_sent(&self) {
        self.may_end_in_flight.fetch_add(1, Relaxed);
    }

    /// The end of such a statement is reported.
    #[cfg(any(feature = "postgres", feature = "sqlite"))]
    pub(in crate::backend) fn note_may_end_answered(&self) {
        self.may_end_in_flight.fetch_sub(1, Relaxed);
    }

    /// Switches on or off that statements are refused after the database has rolled the transaction back by itself.
    pub(crate) fn refuse_after_rollback(&self, is_armed: bool) {
        let guard = if is_armed { RollbackGuard::Armed } else { RollbackGuard::Off };
        self.rollback_guard.store(guard as u8, Relaxed);
    }

    #[cfg(feature = "sqlite")]
    pub(in crate::backend) fn note_rolled_back_by_database(&self) {
        self.rolled_back_by_database.fetch_add(1, Relaxed);
        let (armed, tripped) = (RollbackGuard::Armed as u8, RollbackGuard::Tripped as u8);
        // Fails if the guard is off, and leaves it off.
        let _ = self.rollback_guard.compare_exchange(armed, tripped, Relaxed, Relaxed);
    }

    /// Whether statements are refused, because their transaction was rolled back.
    #[cfg(feature = "sqlite")]
    pub(in crate::backend) fn refuses_statements(&self) -> bool {
        self.rollback_guard.load(Relaxed) == RollbackGuard::Tripped as u8
    }

    pub(crate) fn raise_doubts(&self, doubts: TransactionDoubts) {
        // Most statements raise no new doubt, and a load is cheaper than a read-modify-write.
        if doubts.0 & !self.doubts.load(Relaxed) != 0 {
            self.doubts.fetch_or(doubts.0, Relaxed);
        }
    }

    pub(crate) fn doubts(&self) -> TransactionDoubts {
        TransactionDoubts(self.doubts.load(Relaxed))
    }

    /// Takes the doubts, which the caller settles.
    pub(crate) fn take_doubts(&self) -> TransactionDoubts {
        match self.doubts() {
            TransactionDoubts(0) => TransactionDoubts(0),
            _ => TransactionDoubts(self.doubts.swap(0, Relaxed)),
        }
    }
}
