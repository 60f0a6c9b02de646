//! The answer: what a text leaves behind.

/// What a text leaves behind if all of it is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Effects {
    /// What outlives the transaction in which it is run.
    pub(crate) session: SessionEffect,
    pub(crate) transaction: TransactionEffect,
    /// Whether it is known to change the session. Otherwise, it is only not known to leave the session as it is.
    pub(crate) is_certain: bool,
    /// Whether a transaction that was open may have ended, without an error, and even if another one is open afterwards. In
    /// MySQL that is so for everything that is not known to cause no implicit commit.
    pub(crate) may_end: bool,
    /// Whether a savepoint is set, released or rolled back to.
    pub(crate) has_savepoint: bool,
}

/// What in a session outlives a transaction: settings, locks, temporary tables, subscriptions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum SessionEffect {
    None,
    /// Something may be changed.
    Changed,
    /// Something may be changed that no statement undoes, or the statements that the driver has prepared may be deallocated:
    /// only another connection is as new.
    Replace,
}

/// What a text does to the transaction of its session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TransactionEffect {
    /// It neither begins one nor ends one, unless it fails, or the database commits implicitly, as MySQL does before a
    /// `CREATE TABLE`.
    None,
    /// One is open afterwards.
    Begins,
    /// None is open afterwards.
    Ends,
    /// Nothing is known.
    Unknown,
}

impl Effects {
    pub(super) const NONE: Self = Self::new(SessionEffect::None, TransactionEffect::None);
    pub(super) const CHANGES: Self =
        Self::new(SessionEffect::Changed, TransactionEffect::None).certain();
    pub(super) const MAY_CHANGE: Self = Self::new(SessionEffect::Changed, TransactionEffect::None);
    /// What may do anything, except for what [`SessionEffect::Replace`] is for.
    pub(super) const UNKNOWN: Self = Self::new(SessionEffect::Changed, TransactionEffect::Unknown);
    pub(super) const REPLACES: Self =
        Self::new(SessionEffect::Replace, TransactionEffect::None).certain();
    pub(super) const NOT_UNDERSTOOD: Self =
        Self { may_end: true, ..Self::new(SessionEffect::Replace, TransactionEffect::Unknown) };

    const fn new(session: SessionEffect, transaction: TransactionEffect) -> Self {
        Self { session, transaction, is_certain: false, may_end: false, has_savepoint: false }
    }

    /// What may do anything, as it cannot be read.
    #[cfg(feature = "postgres")]
    pub(crate) const fn of_the_unreadable() -> Self {
        Self::NOT_UNDERSTOOD
    }

    pub(super) const fn certain(mut self) -> Self {
        self.is_certain = true;
        self
    }

    pub(super) const fn on_transaction(transaction: TransactionEffect) -> Self {
        Self::new(SessionEffect::None, transaction)
    }
}
