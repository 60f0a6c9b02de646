//! Statements that begin and end transactions.

use super::context::Lexeme;
use super::effect::{Effects, TransactionEffect};
use super::grammar;
use super::reader::Reader;
use crate::sql::dialect::Dialect::{self, Mysql, Postgres, Sqlite};
use crate::sql::keyword::{self as word, Keyword};
use crate::sql::lexer::Kind;

/// Whether a statement may end the open transaction. The statement is not about savepoints.
pub(super) fn may_end(dialect: Dialect, first: Lexeme, transaction: TransactionEffect) -> bool {
    match dialect {
        // The grammar has no others, and no procedure can end a transaction that was begun by a statement:
        // https://www.postgresql.org/docs/current/plpgsql-transactions.html
        Postgres => match first.keyword {
            word::COMMIT | word::END | word::ROLLBACK | word::ABORT => true,
            word::PREPARE => transaction == TransactionEffect::Unknown,
            _ => false,
        },
        // These commit nothing: the server refuses a stored function or a trigger with a commit. Every other statement may
        // commit implicitly: https://mariadb.com/kb/en/sql-statements-that-cause-an-implicit-commit/
        Mysql => {
            transaction != TransactionEffect::None
                || !(first.is(Kind::Open)
                    || matches!(
                        first.keyword,
                        word::SELECT
                            | word::INSERT
                            | word::UPDATE
                            | word::DELETE
                            | word::REPLACE
                            | word::WITH
                            | word::VALUES
                            | word::TABLE
                            | word::SHOW
                            | word::EXPLAIN
                            | word::DESCRIBE
                            | word::DESC
                    ))
        }
        // The grammar has no others: https://www.sqlite.org/lang_transaction.html
        Sqlite => matches!(first.keyword, word::COMMIT | word::END | word::ROLLBACK),
    }
}

impl Reader<'_> {
    pub(super) fn begin(&mut self) -> Effects {
        // Modes of the transaction follow, or it is another statement: `BEGIN NOT ATOMIC`.
        while !self.is_at_end {
            let next = self.next();
            let is_mode = match next.token.kind {
                Kind::Word => grammar::is_transaction_mode(next.keyword),
                kind => matches!(kind, Kind::Comma | Kind::Semicolon | Kind::End),
            };
            if !is_mode {
                return Effects::UNKNOWN;
            }
        }
        Effects::on_transaction(TransactionEffect::Begins)
    }

    /// Reads the rest of `COMMIT`, `ROLLBACK` and similar statements.
    pub(super) fn end(&mut self, first: Keyword, is_savepoint: &mut bool) -> Effects {
        let mut rest = [word::NONE; 6];
        let mut len = 0;
        loop {
            let next = self.next();
            if self.is_at_end {
                break;
            }
            if len == rest.len() || !matches!(next.token.kind, Kind::Word | Kind::Quoted) {
                return Effects::UNKNOWN;
            }
            rest[len] = next.keyword;
            len += 1;
        }
        let mut rest = &rest[..len];
        if let [word::WORK | word::TRANSACTION, after @ ..] = rest {
            rest = after;
        }
        match rest {
            [] | [word::AND, word::NO, word::CHAIN] => {
                Effects::on_transaction(TransactionEffect::Ends)
            }
            [word::AND, word::CHAIN] => Effects::on_transaction(TransactionEffect::Unknown),
            [word::TO, word::SAVEPOINT, _] | [word::TO, _] if first == word::ROLLBACK => {
                *is_savepoint = true;
                Effects::NONE
            }
            _ => Effects::UNKNOWN,
        }
    }
}
