//! The effects of SQL text on the session and on the transaction.
//!
//! Judged by two allowlists: of statements and of functions. The listed statements and functions are known to leave the
//! session unchanged. Every other statement or function counts as a change. The effects of a trigger, a view or an operator
//! of the database are not visible in the text, and are not seen.
//!
//! | file | contents |
//! |---|---|
//! | [`reader`] | reads one statement after the other; the first word decides how the rest is read |
//! | [`transaction`] | `BEGIN`, `COMMIT`, `ROLLBACK`, and other statements that may end a transaction |
//! | [`definition`] | `CREATE`, `ALTER`, `DROP`, `EXPLAIN` |
//! | [`postgres`] | PostgreSQL only: `SET LOCAL`, `DECLARE`, temporary tables, search paths |
//! | [`calls`] | the body of a statement: the functions that it calls, and whether it creates or sets something |
//! | [`context`] | the tokens around a token, which tell a function call from another name before a parenthesis |
//! | [`grammar`] | the meaning of keywords by their position |
//! | [`functions`] | the allowlist of functions |
//! | [`plain_select`] | whether a statement is a `SELECT` that writes nothing |

mod calls;
mod context;
mod definition;
mod effect;
mod functions;
mod grammar;
mod plain_select;
mod postgres;
mod reader;
mod transaction;

pub(crate) use self::effect::{Effects, SessionEffect, TransactionEffect};
pub(crate) use self::plain_select::is_plain_select;
use self::reader::{Reader, Statement};
use self::transaction::may_end;
use super::dialect::Dialect;

/// The effects of `sql`, which may contain several statements.
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
            (_, effect) if is_first => effect,
            (TransactionEffect::None, TransactionEffect::None) => TransactionEffect::None,
            (TransactionEffect::Begins, TransactionEffect::None) if is_savepoint => {
                TransactionEffect::Begins
            }
            // The combined effect of any other sequence is not derived. `Unknown` is the safe answer.
            _ => TransactionEffect::Unknown,
        };
        is_first = false;
        if reader.has_unknown_token {
            return Effects::NOT_UNDERSTOOD;
        }
    }
    all
}
