//! Statements that define something, and `EXPLAIN`.

use super::context::{BodyKind, Lexeme};
use super::effect::Effects;
use super::grammar;
use super::reader::Reader;
use crate::sql::dialect::Dialect::{Mysql, Postgres, Sqlite};
use crate::sql::keyword as word;
use crate::sql::lexer::Kind;

impl Reader<'_> {
    /// `EXPLAIN` with its options, before a query. The query counts as run, which `EXPLAIN ANALYZE` does.
    pub(super) fn explain(&mut self, first: Lexeme) -> Effects {
        let mut depth = 0_u32;
        let mut last = first;
        while !self.is_at_end {
            let next = self.next();
            match (next.token.kind, next.keyword) {
                (Kind::Open, _) if last.keyword == word::EXPLAIN || depth > 0 => depth += 1,
                (Kind::Open, _) => return self.read_body(BodyKind::Query, next),
                (Kind::Close, _) if depth > 0 => depth -= 1,
                _ if depth > 0 => {}
                (Kind::Word, word::SELECT | word::INSERT | word::UPDATE | word::DELETE)
                | (Kind::Word, word::WITH | word::VALUES | word::TABLE | word::REPLACE)
                | (Kind::Word, word::MERGE) => return self.read_body(BodyKind::Query, next),
                (Kind::Word, word::CREATE) if self.dialect == Postgres => return self.create(),
                (Kind::Word, word::ANALYZE | word::ANALYSE | word::VERBOSE) => {}
                (Kind::Word, word::QUERY | word::PLAN | word::EXTENDED | word::PARTITIONS) => {}
                (Kind::Word, word::FORMAT) => {}
                (Kind::Operator, _) if last.keyword == word::FORMAT => {
                    self.next();
                }
                // `DESCRIBE t`
                (Kind::Word | Kind::Quoted, _)
                    if last.keyword == first.keyword && first.keyword != word::EXPLAIN =>
                {
                    return self.read_body(BodyKind::Query, next);
                }
                _ => break,
            }
            last = next;
        }
        Effects::UNKNOWN
    }

    pub(super) fn create(&mut self) -> Effects {
        let mut next = self.next();
        while matches!(
            next.keyword,
            word::OR
                | word::REPLACE
                | word::UNIQUE
                | word::UNLOGGED
                | word::MATERIALIZED
                | word::RECURSIVE
                | word::FULLTEXT
                | word::SPATIAL
                | word::VIRTUAL
        ) {
            next = self.next();
        }
        let is_known = match (next.keyword, self.dialect) {
            (word::TABLE | word::INDEX | word::VIEW, _) => true,
            (word::DATABASE | word::SCHEMA | word::SEQUENCE, Mysql) => true,
            // The bodies of routines are literals.
            (word::FUNCTION | word::PROCEDURE | word::TRIGGER | word::RULE, Postgres) => true,
            (keyword, Postgres) => grammar::is_harmless_to_define(keyword),
            _ => false,
        };
        if is_known {
            return self.read_body(BodyKind::Definition, next);
        }
        match (next.keyword, self.dialect) {
            (keyword, Postgres) if grammar::is_temporary(keyword) => self.create_temporary(),
            _ => Effects::UNKNOWN,
        }
    }

    /// `ALTER` and `DROP`.
    pub(super) fn alter(&mut self) -> Effects {
        let next = self.next();
        let is_known = match (next.keyword, self.dialect) {
            (word::TABLE | word::INDEX | word::VIEW, _) => true,
            (word::TRIGGER, Postgres | Sqlite) => true,
            (word::FUNCTION | word::PROCEDURE | word::ROUTINE | word::RULE, Postgres)
            | (word::AGGREGATE | word::MATERIALIZED, Postgres) => true,
            (keyword, Postgres) => grammar::is_harmless_to_define(keyword),
            // `DROP DATABASE` changes the session if it is in that database, which is then in none.
            _ => false,
        };
        if is_known { self.read_body(BodyKind::Definition, next) } else { Effects::UNKNOWN }
    }
}
