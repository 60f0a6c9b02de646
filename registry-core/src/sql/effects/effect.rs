//! The effects of SQL text on the session and on the transaction.

/// The effects of SQL text if all of it is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Effects {
    /// The effect that outlives the transaction.
    pub(crate) session: SessionEffect,
    pub(crate) transaction: TransactionEffect,
    /// Whether the text is known to change the session. If not, a `session` other than `None` only means that the text may
    /// change the session.
    pub(crate) is_certain: bool,
    /// Whether a transaction that was open may have ended, without an error, and even if another one is open afterwards. In
    /// MySQL this is true for every statement that is not known to cause no implicit commit.
    pub(crate) may_end: bool,
    /// Whether a savepoint is set, released or rolled back to.
    pub(crate) has_savepoint: bool,
}

/// The effect on session state that outlives a transaction: settings, locks, temporary tables, subscriptions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum SessionEffect {
    None,
    /// The session may have changed.
    Changed,
    /// The session may have a change that no statement undoes, or the driver's prepared statements may be deallocated: the
    /// connection must be replaced.
    Replace,
}

/// The effect of SQL text on the transaction of its session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TransactionEffect {
    /// The text neither begins nor ends a transaction, unless it fails, or the database commits implicitly, as MySQL does
    /// before a `CREATE TABLE`.
    None,
    /// A transaction is open afterwards.
    Begins,
    /// No transaction is open afterwards.
    Ends,
    /// The effect is unknown.
    Unknown,
}

impl Effects {
    pub(super) const NONE: Self = Self::new(SessionEffect::None, TransactionEffect::None);
    pub(super) const CHANGES: Self =
        Self::new(SessionEffect::Changed, TransactionEffect::None).certain();
    pub(super) const MAY_CHANGE: Self = Self::new(SessionEffect::Changed, TransactionEffect::None);
    /// Any effect except [`SessionEffect::Replace`] is possible.
    pub(super) const UNKNOWN: Self = Self::new(SessionEffect::Changed, TransactionEffect::Unknown);
    pub(super) const REPLACES: Self =
        Self::new(SessionEffect::Replace, TransactionEffect::None).certain();
    pub(super) const NOT_UNDERSTOOD: Self =
        Self { may_end: true, ..Self::new(SessionEffect::Replace, TransactionEffect::Unknown) };

    const fn new(session: SessionEffect, transaction: TransactionEffect) -> Self {
        Self { session, transaction, is_certain: false, may_end: false, has_savepoint: false }
    }

    /// Any effect is possible, because the text cannot be read.
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
