//! The body of a statement: the functions that it calls, and whether it creates or sets something.

use super::context::{BodyKind, Context, Lexeme};
use super::effect::Effects;
use super::functions;
use super::grammar::{self, Call};
use super::reader::Reader;
use crate::sql::dialect::Dialect::{Postgres, Sqlite};
use crate::sql::keyword as word;
use crate::sql::lexer::Kind;

impl Reader<'_> {
    /// Reads from `first` to the end of the statement.
    pub(super) fn read_body(&mut self, mut mode: BodyKind, first: Lexeme) -> Effects {
        let mut prev = first;
        let mut body = Context::new(first);
        let (mut is_changed, mut may_be_changed, mut makes_table) = (false, false, false);
        let mut outlives_reset = false;
        // In PostgreSQL, an `UPDATE` of the view `pg_settings` calls `set_config`.
        let (mut has_settings, mut has_update) = (false, first.keyword == word::UPDATE);
        if first.is(Kind::Open) {
            body.open(first);
        }
        while !self.is_at_end {
            let seen = self.next_inline();
            match seen.token.kind {
                Kind::Word => {
                    if body.note_word(mode, prev, seen.keyword) {
                        mode = BodyKind::Query;
                    }
                    // `SELECT .. INTO TEMP t`
                    is_changed |= makes_table
                        && prev.keyword == word::INTO
                        && self.dialect == Postgres
                        && grammar::is_temporary(seen.keyword);
                    has_settings |= seen.keyword == word::PG_SETTINGS;
                    has_update |= seen.keyword == word::UPDATE;
                    makes_table |= seen.keyword == word::INTO
                        && !grammar::may_precede_into(prev.keyword, self.dialect);
                }
                Kind::Open => {
                    // Not `VACUUM (FULL)`: the first word is a keyword.
                    if prev.token.start != first.token.start
                        && self.calls_unknown(mode, prev, &body)
                    {
                        may_be_changed = true;
                        if self.dialect == Postgres {
                            let name = self.lexer.bytes(prev.token);
                            is_changed |= functions::needs_session(name);
                            outlives_reset |= functions::outlives_reset(name);
                        }
                    }
                    body.open(prev);
                }
                Kind::Close => body.close(),
                Kind::Dot => {
                    is_changed |= (mode == BodyKind::Definition || makes_table)
                        && self.is_temporary_schema(prev);
                }
                Kind::Quoted => has_settings |= self.lexer.bytes(seen.token) == b"\"pg_settings\"",
                Kind::UserVariable => is_changed = true,
                _ => {}
            }
            prev = body.advance(prev, seen);
        }
        is_changed |= has_settings && has_update && self.dialect == Postgres;
        match (is_changed, may_be_changed || makes_table) {
            (is_certain, _) if outlives_reset => Effects { is_certain, ..Effects::REPLACES },
            (true, _) => Effects::CHANGES,
            (false, true) => Effects::MAY_CHANGE,
            (false, false) => Effects::NONE,
        }
    }

    /// Whether the name before an opening parenthesis is the name of a function that may change the session.
    fn calls_unknown(&mut self, mode: BodyKind, name: Lexeme, body: &Context) -> bool {
        match name.token.kind {
            Kind::Word | Kind::Quoted => {}
            Kind::Text => {
                return self.dialect != Postgres && !body.names_follow(mode, self.dialect);
            }
            _ => return false,
        }
        let text = self.lexer.bytes(name.token);
        if name.is(Kind::Word) && !body.is_qualified() {
            match grammar::classify_call(self.dialect, name.keyword, body.before_name.keyword, text)
            {
                Call::Keyword => return false,
                // After an operand, words such as `OVER` and `JOIN` are no function calls.
                Call::KeywordBehindOperand if body.is_behind_operand(self.dialect) => return false,
                Call::KeywordBehindOperand | Call::Unknown => {}
                Call::Harmless => return false,
                Call::SetConfig => return !self.sets_locally(),
                Call::LastInsertId => {
                    return self.lexer.clone().next().kind != Kind::Close
                        && !body.names_follow(mode, self.dialect);
                }
            }
        }
        if body.names_follow(mode, self.dialect) {
            return false;
        }
        let is_built_in = self.dialect == Postgres
            && name.is(Kind::Word)
            && body.qualifier == Some(word::PG_CATALOG)
            && matches!(
                grammar::classify_call(self.dialect, name.keyword, word::NONE, text),
                Call::Harmless
            );
        !is_built_in
    }

    fn is_temporary_schema(&self, name: Lexeme) -> bool {
        let text = self.lexer.bytes(name.token);
        match (self.dialect, name.token.kind) {
            (Postgres, Kind::Word | Kind::Quoted) => grammar::begins_with_temporary_schema(text),
            (Sqlite, Kind::Word) => name.keyword == word::TEMP,
            (Sqlite, Kind::Quoted | Kind::Text) => {
                text.len() == 6 && text[1..5].eq_ignore_ascii_case(b"temp")
            }
            _ => false,
        }
    }
}
