//! What a text leaves behind in the session that runs it, and in its transaction.
//!
//! By allowlists: of statements, and of the functions that they call, that are known to leave nothing behind. Everything else
//! counts as a change. What a trigger, a view or an operator of the database does is not in the text, and not seen.
//!
//! | file | what it reads |
//! |---|---|
//! | [`reader`] | one statement after the other; the first word says how the rest is read |
//! | [`transaction`] | `BEGIN`, `COMMIT`, `ROLLBACK`, and what else may end a transaction |
//! | [`definition`] | `CREATE`, `ALTER`, `DROP`, `EXPLAIN` |
//! | [`postgres`] | what only PostgreSQL has: `SET LOCAL`, `DECLARE`, temporary tables, search paths |
//! | [`calls`] | the rest of a statement: which functions it calls, and whether it makes or sets something |
//! | [`context`] | what stands around a token, by which a call is told from a name before a parenthesis |
//! | [`grammar`] | what words mean by where they stand |
//! | [`functions`] | the allowlist of functions |

mod calls;
mod context;
mod definition;
mod effect;
mod functions;
mod grammar;
mod postgres;
mod reader;
mod transaction;

pub(crate) use self::effect::{Effects, SessionEffect, TransactionEffect};
use self::reader::{Reader, Statement};
use self::transaction::may_end;
use super::dialect::Dialect;

/// What `sql` leaves behind, which may be many statements.
pub(crate) fn effects(dialect: Dialect, sql: &str) -> Effects {
    let mut reader = Reader::new(dialect, sql);
    let mut all = Effects::NONE;
    let mut is_first = true;
    while let Some(Statement { effects, is_savepoint, first }) = reader.statement() {
        all.session = all.session.max(effects.session);
        all.is_certain |= effects.is_certain;
        all.has_savepoint |= is_savepoint;
        all.may_end |= !is_savepoint && may_end(dialect, first, effects.transaction);
        all.transaction = match (all.transaction, effects.transaction) {
            (_, only) if is_first => only,
            (TransactionEffect::None, TransactionEffect::None) => TransactionEffect::None,
            (TransactionEffect::Begins, TransactionEffect::None) if is_savepoint => {
                TransactionEffect::Begins
            }
            _ => TransactionEffect::Unknown,
        };
        is_first = false;
        if reader.is_lost {
            return Effects::NOT_UNDERSTOOD;
        }
    }
    all
}
