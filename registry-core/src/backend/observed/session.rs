//! The changes that statements may have left in the session.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::Relaxed};

use crate::sql::{SessionEffect, TransactionEffect};

/// The observed session of one connection.
#[derive(Debug, Default)]
pub(crate) struct ObservedSession {
    /// A [`SessionEffects`]: the effects of the statements since [`ObservedSession::forget_effects`].
    effects: AtomicU8,
    /// Whether a statement may have deallocated the driver's prepared statements, since this was last asked.
    may_have_deallocated: AtomicBool,
    /// The number of named statements that the server has prepared and not closed.
    prepared_count: AtomicU64,
}

/// The set of possible effects of a borrower's statements on the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct SessionEffects(u8);

impl SessionEffects {
    /// A transaction was begun, and is not known to have ended.
    const IN_TRANSACTION: u8 = 1;
    /// The session may have changed.
    const CHANGED: u8 = 2;
    /// The session has a change that cannot be undone, so the connection must be replaced.
    const IRREVERSIBLE: u8 = 4;

    fn has(self, others: u8) -> bool {
        self.0 & others != 0
    }

    /// Whether a transaction was begun, and is not known to have ended.
    pub(super) fn has_transaction(self) -> bool {
        self.has(Self::IN_TRANSACTION)
    }

    /// The union of these effects and another statement's effects.
    fn after(self, session: SessionEffect, transaction: TransactionEffect) -> Self {
        let mut after = self.0;
        match session {
            SessionEffect::None => {}
            SessionEffect::Changed => after |= Self::CHANGED,
            SessionEffect::Replace => after |= Self::IRREVERSIBLE,
        }
        match transaction {
            TransactionEffect::None => {}
            TransactionEffect::Begins => after |= Self::IN_TRANSACTION,
            TransactionEffect::Ends => after &= !Self::IN_TRANSACTION,
            TransactionEffect::Unknown => after |= Self::IN_TRANSACTION | Self::CHANGED,
        }
        Self(after)
    }
}

impl ObservedSession {
    /// The effects so far.
    pub(crate) fn effects(&self) -> SessionEffects {
        SessionEffects(self.effects.load(Relaxed))
    }

    /// Restores `effects`, after statements that are not the borrower's.
    pub(crate) fn restore_effects(&self, effects: SessionEffects) {
        self.effects.store(effects.0, Relaxed);
    }

    pub(crate) fn forget_effects(&self) {
        self.restore_effects(SessionEffects::default());
    }

    /// Whether the session may have changed.
    pub(crate) fn is_changed(&self) -> bool {
        self.effects().has(SessionEffects::CHANGED | SessionEffects::IRREVERSIBLE)
    }

    /// Whether something has changed that only another connection is without.
    pub(crate) fn is_irreversible(&self) -> bool {
        self.effects().has(SessionEffects::IRREVERSIBLE)
    }

    /// Records a change that was not visible in the text of a statement.
    #[cfg(any(feature = "postgres", feature = "sqlite"))]
    pub(in crate::backend) fn note_change(&self) {
        self.effects.fetch_or(SessionEffects::CHANGED, Relaxed);
    }

    pub(super) fn note_effects(&self, session: SessionEffect, transaction: TransactionEffect) {
        if session == SessionEffect::Replace {
            self.may_have_deallocated.store(true, Relaxed);
        }
        let before = self.effects();
        let after = before.after(session, transaction);
        if after != before {
            self.restore_effects(after);
        }
    }

    /// Whether a statement may have deallocated the driver's prepared statements. True once.
    pub(crate) fn take_may_have_deallocated(&self) -> bool {
        self.may_have_deallocated.load(Relaxed) && self.may_have_deallocated.swap(false, Relaxed)
    }

    /// As [`take_may_have_deallocated`](Self::take_may_have_deallocated), and stays true.
    pub(crate) fn may_have_deallocated(&self) -> bool {
        self.may_have_deallocated.load(Relaxed)
    }

    /// The number of named statements that the server has prepared and not closed. Zero if the stream is not read.
    pub(crate) fn prepared_count(&self) -> u64 {
        self.prepared_count.load(Relaxed)
    }

    #[cfg(feature = "postgres")]
    pub(in crate::backend) fn note_prepared_count(&self, count: u64) {
        self.prepared_count.store(count, Relaxed);
    }
}
