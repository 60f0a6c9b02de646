//! What a statement may do to a transaction, and what Diesel knows of that.

use diesel::QueryResult;
use diesel::connection::{TransactionDepthChange, TransactionManagerStatus};

use crate::backend::transactions::transaction_depth;
use crate::sql::{self, Dialect, TransactionEffect};

/// Takes over the number of transactions that Diesel's own connection counts after `spawn_blocking`.
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

/// Corrects the status that Diesel is about to have after a batch that has failed.
pub(super) fn note_failed_batch(
    status: &mut TransactionManagerStatus,
    sql: &str,
    has_transaction: bool,
) {
    match sql {
        // diesel-async takes a failed `COMMIT` for the end of the transaction, as it is in PostgreSQL. In SQLite, the
        // transaction may stay open, for example with a deferred foreign key that is broken.
        "COMMIT" => status.set_requires_rollback_maybe_up_to_top_level(has_transaction),
        // What is left of the transaction shows when an outer one ends.
        _ if sql.starts_with("RELEASE SAVEPOINT") => {}
        // Some failures end the transaction, and one that is gone cannot be rolled back.
        _ if !has_transaction => *status = TransactionManagerStatus::default(),
        _ => {}
    }
}

/// What a statement may do to the open transaction. SQLite's grammar has no others that end one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TransactionEffects {
    /// None begins or ends, unless the statement fails.
    None,
    /// One may begin, or end with the savepoint that has begun it.
    MayBegin,
    /// One ends if the statement succeeds, and no other begins.
    Ends,
    /// One may end, and another one may be open afterwards.
    MayEnd,
}

impl TransactionEffects {
    /// Whether a transaction may end.
    pub(super) fn may_end(self) -> bool {
        matches!(self, Self::Ends | Self::MayEnd)
    }
}

/// What a text may do to a transaction.
pub(super) fn effects(sql: &str) -> TransactionEffects {
    let effects = sql::effects(Dialect::Sqlite, sql);
    match effects.transaction {
        TransactionEffect::Ends => TransactionEffects::Ends,
        _ if effects.may_end => TransactionEffects::MayEnd,
        TransactionEffect::None => TransactionEffects::None,
        TransactionEffect::Begins | TransactionEffect::Unknown => TransactionEffects::MayBegin,
    }
}
