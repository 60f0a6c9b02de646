//! The possible effects of a statement on a transaction, and the corrections to Diesel's transaction status.

use diesel::QueryResult;
use diesel::connection::{TransactionDepthChange, TransactionManagerStatus};

use crate::backend::transactions::transaction_depth;
use crate::sql::{self, Dialect, TransactionEffect};

/// Copies the number of transactions that Diesel's own connection counts after `spawn_blocking`.
pub(super) fn set_depth(status: &mut TransactionManagerStatus, wanted: QueryResult<u32>) {
    let (Ok(mut now), Ok(wanted)) = (transaction_depth(status), wanted) else {
        return status.set_in_error();
    };
    // Step by step, as a test transaction has to stay one.
    while now != wanted
        && let TransactionManagerStatus::Valid(status) = &mut *status
    {
        let (change, next) = if now < wanted {
            (TransactionDepthChange::IncreaseDepth, now + 1)
        } else {
            (TransactionDepthChange::DecreaseDepth, now - 1)
        };
        // Only a decrease below zero can fail.
        let _ = status.change_transaction_depth(change);
        now = next;
    }
}

/// Corrects Diesel's transaction status after a failed batch.
pub(super) fn note_failed_batch(
    status: &mut TransactionManagerStatus,
    sql: &str,
    has_transaction: bool,
) {
    match sql {
        // diesel-async takes a failed `COMMIT` for the end of the transaction, as it is in PostgreSQL. In SQLite, the
        // transaction may stay open, for example with a deferred foreign key that is broken.
        "COMMIT" => status.set_requires_rollback_maybe_up_to_top_level(has_transaction),
        // The end of an outer transaction shows whether the transaction is still open.
        _ if sql.starts_with("RELEASE SAVEPOINT") => {}
        // Some failures end the transaction, and an ended transaction cannot be rolled back.
        _ if !has_transaction => *status = TransactionManagerStatus::default(),
        _ => {}
    }
}

/// The possible effect of a statement on the open transaction. In SQLite's grammar, no other statement ends a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TransactionEffects {
    /// No transaction begins or ends, unless the statement fails.
    None,
    /// A transaction may begin, or end with the savepoint that has begun it.
    MayBegin,
    /// The transaction ends if the statement succeeds, and no other transaction begins.
    Ends,
    /// The transaction may end, and another transaction may be open afterwards.
    MayEnd,
}

impl TransactionEffects {
    /// Whether a transaction may end by the statement.
    pub(super) fn may_end(self) -> bool {
        matches!(self, Self::Ends | Self::MayEnd)
    }
}

/// The possible effect of SQL text on a transaction.
pub(super) fn effects(sql: &str) -> TransactionEffects {
    let effects = sql::effects(Dialect::Sqlite, sql);
    match effects.transaction {
        TransactionEffect::Ends => TransactionEffects::Ends,
        _ if effects.may_end => TransactionEffects::MayEnd,
        TransactionEffect::None => TransactionEffects::None,
        TransactionEffect::Begins | TransactionEffect::Unknown => TransactionEffects::MayBegin,
    }
}
