//! The rest of a statement: which functions it calls, and whether it makes or sets something.

use super::context::{BodyKind, Context, Lexeme};
use super::effect::Effects;
use super::functions;
use super::grammar::{self, Call};
use super::reader::Reader;
use crate::sql::dialect::Dialect::{Postgres, Sqlite};
use crate::sql::keyword as word;
use crate::sql::lexer::Kind;

impl Reader<'_> {
    /// Everything from `first` to the end of the statement.
    pub(super) fn body(&mut self, mut mode: BodyKind, first: Lexeme) -> Effects {
        let mut prev = first;
        let mut body = Context::new(first);
        let (mut is_changed, mut may_be_changed, mut is_made) = (false, false, false);
        let mut outlives_reset = false;
        // An `UPDATE` of that view calls `set_config`.
        let (mut has_settings, mut has_update) = (false, first.keyword == word::UPDATE);
        if first.is(Kind::Open) {
            body.open(first);
        }
        while !self.is_at_end {
            let seen = self.next_inline();
            match seen.token.kind {
                Kind::Word => {
                    if body.word(mode, prev, seen.keyword) {
                        mode = BodyKind::Query;
                    }
                    // `SELECT .. INTO TEMP t`
                    is_changed |= is_made
                        && prev.keyword == word::INTO
                        && self.dialect == Postgres
                        && grammar::is_temporary(seen.keyword);
                    has_settings |= seen.keyword == word::PG_SETTINGS;
                    has_update |= seen.keyword == word::UPDATE;
                    is_made |= seen.keyword == word::INTO
                        && !grammar::may_precede_into(prev.keyword, self.dialect);
                }
                Kind::Open => {
                    // `VACUUM (FULL)`: with a keyword does a statement begin.
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
                    is_changed |=
                        (mode == BodyKind::Definition || is_made) && self.is_temporary_schema(prev);
                }
                Kind::Quoted => has_settings |= self.lexer.bytes(seen.token) == b"\"pg_settings\"",
                Kind::UserVariable => is_changed = true,
                _ => {}
            }
            prev = body.advance(prev, seen);
        }
        is_changed |= has_settings && has_update && self.dialect == Postgres;
        match (is_changed, may_be_changed || is_made) {
            (is_certain, _) if outlives_reset => Effects { is_certain, ..Effects::REPLACES },
            (true, _) => Effects::CHANGES,
            (false, true) => Effects::MAY_CHANGE,
            (false, false) => Effects::NONE,
        }
    }

    /// Whether what a parenthesis is opened behind is a function that may change the session.
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
            match grammar::call(self.dialect, name.keyword, body.before.keyword, text) {
                Call::None => return false,
                // What stands behind an operand calls nothing, such as `OVER` and `JOIN`.
                Call::NoneBehindOperand if body.is_behind_operand(self.dialect) => return false,
                Call::NoneBehindOperand | Call::Other => {}
                Call::Harmless => return false,
                Call::IfLocal => return !self.is_local(),
                Call::IfEmpty => {
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
                grammar::call(self.dialect, name.keyword, word::NONE, text),
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
