//! Reads one statement after the other. The first word decides how the rest is read.

use super::context::{BodyKind, Lexeme};
use super::effect::{Effects, TransactionEffect};
use crate::sql::dialect::Dialect::{self, Mysql, Postgres, Sqlite};
use crate::sql::keyword::{self as word, keyword};
use crate::sql::lexer::{Kind, Lexer};

/// A statement with its effects.
pub(super) struct Statement {
    pub(super) effects: Effects,
    /// Whether the statement sets, releases or rolls back to a savepoint.
    pub(super) is_savepoint: bool,
    pub(super) first: Lexeme,
}

pub(super) struct Reader<'a> {
    pub(super) lexer: Lexer<'a>,
    pub(super) dialect: Dialect,
    /// Whether an unknown token was read. The meaning of the text after it is uncertain.
    pub(super) has_unknown_token: bool,
    /// Whether the statement's last token has been read.
    pub(super) is_at_end: bool,
}

impl<'a> Reader<'a> {
    pub(super) fn new(dialect: Dialect, sql: &'a str) -> Self {
        Self { lexer: Lexer::new(dialect, sql), dialect, has_unknown_token: false, is_at_end: true }
    }

    pub(super) fn next(&mut self) -> Lexeme {
        self.next_inline()
    }

    #[inline(always)]
    pub(super) fn next_inline(&mut self) -> Lexeme {
        let token = self.lexer.next_inline();
        let keyword = match token.kind {
            Kind::Word => keyword(self.lexer.bytes(token)),
            Kind::Unknown => {
                self.has_unknown_token = true;
                self.is_at_end = true;
                word::NONE
            }
            Kind::Semicolon | Kind::End => {
                self.is_at_end = true;
                word::NONE
            }
            _ => word::NONE,
        };
        Lexeme { token, keyword }
    }

    /// Reads the next statement that is not empty.
    pub(super) fn statement(&mut self) -> Option<Statement> {
        let mut first = self.next();
        while first.is(Kind::Semicolon) {
            first = self.next();
        }
        if first.is(Kind::End) {
            return None;
        }
        self.is_at_end = self.has_unknown_token;
        let mut is_savepoint = false;
        let effects = if first.is(Kind::Word) {
            self.by_first_word(first, &mut is_savepoint)
        } else if first.is(Kind::Open) {
            // `(SELECT ..) UNION (SELECT ..)`. No other statement begins like this.
            self.read_body(BodyKind::Query, first)
        } else {
            Effects::UNKNOWN
        };
        self.skip_statement();
        Some(Statement { effects, is_savepoint, first })
    }

    fn skip_statement(&mut self) {
        while !self.is_at_end {
            self.next();
        }
    }

    fn by_first_word(&mut self, first: Lexeme, is_savepoint: &mut bool) -> Effects {
        match (first.keyword, self.dialect) {
            (word::SELECT | word::INSERT | word::UPDATE | word::DELETE, _)
            | (word::WITH | word::VALUES, _)
            | (word::REPLACE, Mysql | Sqlite)
            | (word::TABLE, Mysql | Postgres)
            | (word::MERGE, Postgres) => self.read_body(BodyKind::Query, first),

            (word::BEGIN, _) => self.begin(),
            (word::START, Postgres | Mysql) => match self.next().keyword {
                word::TRANSACTION => self.begin(),
                _ => Effects::UNKNOWN,
            },
            (word::COMMIT | word::ROLLBACK, _)
            | (word::END, Postgres | Sqlite)
            | (word::ABORT, Postgres) => self.end(first.keyword, is_savepoint),
            (word::SAVEPOINT | word::RELEASE, dialect) => {
                *is_savepoint = true;
                // Outside of a transaction, SQLite begins one with the savepoint, and ends it with its release.
                match (self.read_body(BodyKind::Query, first), dialect) {
                    (Effects::NONE, Sqlite) => Effects::on_transaction(TransactionEffect::Unknown),
                    (effects, _) => effects,
                }
            }

            (word::EXPLAIN, _) | (word::DESCRIBE | word::DESC, Mysql) => self.explain(first),
            (word::CREATE, _) => self.create(),
            (word::ALTER | word::DROP, _) => self.alter(),
            (word::TRUNCATE, Mysql | Postgres)
            | (word::ANALYZE, Postgres | Sqlite)
            | (word::VACUUM | word::REINDEX, Postgres | Sqlite)
            | (
                word::ANALYSE
                | word::COMMENT
                | word::NOTIFY
                | word::LOCK
                | word::CLUSTER
                | word::REFRESH
                | word::GRANT
                | word::REVOKE,
                Postgres,
            ) => self.read_body(BodyKind::Definition, first),
            (word::ANALYZE | word::OPTIMIZE | word::RENAME, Mysql) => match self.next() {
                table if table.keyword == word::TABLE => {
                    self.read_body(BodyKind::Definition, table)
                }
                _ => Effects::UNKNOWN,
            },
            (word::SHOW, Mysql | Postgres) => self.read_body(BodyKind::Query, first),
            (word::COPY, Postgres) => self.read_body(BodyKind::Copy, first),
            (word::SET, Postgres) => self.set(),

            (word::DISCARD | word::DEALLOCATE | word::LOAD, Postgres) => Effects::REPLACES,
            (word::RESET | word::LISTEN | word::UNLISTEN, Postgres) => Effects::CHANGES,
            (word::EXECUTE, Postgres) => Effects::UNKNOWN.certain(),
            (word::PREPARE, Postgres) => match self.next().keyword {
                word::TRANSACTION => Effects::UNKNOWN,
                _ => Effects::CHANGES,
            },
            (word::DECLARE, Postgres) => self.declare(),
            (word::FETCH | word::MOVE | word::CLOSE, Postgres) => {
                self.read_body(BodyKind::Query, first)
            }
            _ => Effects::UNKNOWN,
        }
    }
}
