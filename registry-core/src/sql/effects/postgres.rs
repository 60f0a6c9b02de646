//! Statements of PostgreSQL alone whose effects may end with the transaction.

use super::context::BodyKind;
use super::effect::Effects;
use super::grammar;
use super::reader::Reader;
use crate::sql::keyword::{self as word, keyword};
use crate::sql::lexer::Kind;

impl Reader<'_> {
    /// `CREATE TEMPORARY`: with `ON COMMIT DROP`, the table is gone with its transaction.
    pub(super) fn create_temporary(&mut self) -> Effects {
        let mut prev = self.next();
        while !self.is_at_end {
            let seen = self.next();
            if prev.keyword == word::COMMIT && seen.keyword == word::DROP {
                return Effects::MAY_CHANGE;
            }
            prev = seen;
        }
        Effects::CHANGES
    }

    /// `SET`, three forms of which end with the transaction.
    pub(super) fn set(&mut self) -> Effects {
        let first = self.next();
        if !matches!(first.keyword, word::LOCAL | word::TRANSACTION | word::CONSTRAINTS) {
            return Effects::CHANGES;
        }
        // A setting may have such a name: `SET local.tenant = 'acme'`.
        let next = self.next();
        match (next.token.kind, self.search_path_effects()) {
            (Kind::Word | Kind::Quoted, Effects::NONE) if next.keyword != word::TO => {
                self.read_body(BodyKind::Query, next)
            }
            (Kind::Word | Kind::Quoted, path) if next.keyword != word::TO => path,
            _ => Effects::CHANGES,
        }
    }

    /// The effects of the values of a `SET LOCAL`, which may be a search path. If the temporary schema comes first on the
    /// path, objects that are created later are temporary, and outlive the transaction.
    pub(super) fn search_path_effects(&self) -> Effects {
        let mut lexer = self.lexer.clone();
        let mut is_first = true;
        loop {
            let token = lexer.next();
            match token.kind {
                Kind::Semicolon | Kind::End | Kind::Unknown => return Effects::NONE,
                Kind::Word if keyword(lexer.bytes(token)) == word::TO => {}
                Kind::Word | Kind::Quoted | Kind::Text => {
                    match grammar::begins_with_temporary_schema(lexer.bytes(token)) {
                        true if is_first => return Effects::CHANGES,
                        true => return Effects::MAY_CHANGE,
                        false => is_first = false,
                    }
                }
                _ => {}
            }
        }
    }

    /// `DECLARE`: a cursor ends with its transaction, unless it is `WITH HOLD`.
    pub(super) fn declare(&mut self) -> Effects {
        let mut is_held = false;
        let mut prev = self.next();
        while !self.is_at_end {
            let seen = self.next();
            if seen.keyword == word::HOLD {
                is_held = prev.keyword != word::WITHOUT;
            }
            if matches!(seen.keyword, word::SELECT | word::VALUES) {
                let query = self.read_body(BodyKind::Query, seen);
                return if is_held { Effects::CHANGES } else { query };
            }
            prev = seen;
        }
        if is_held { Effects::CHANGES } else { Effects::MAY_CHANGE }
    }

    /// Whether the arguments of `set_config` are two simple arguments and `true`, so that the setting ends with the
    /// transaction.
    pub(super) fn sets_locally(&self) -> bool {
        let mut lexer = self.lexer.clone();
        let (mut argument, mut len, mut is_true) = (1, 0, false);
        loop {
            let token = lexer.next();
            match token.kind {
                Kind::Comma => {
                    (argument, len) = (argument + 1, 0);
                    continue;
                }
                Kind::Close => return argument == 3 && len == 1 && is_true,
                Kind::Word => is_true = keyword(lexer.bytes(token)) == word::TRUE,
                // A search path with the temporary schema: see above.
                Kind::Text if grammar::begins_with_temporary_schema(lexer.bytes(token)) => {
                    return false;
                }
                Kind::Text | Kind::Number | Kind::Parameter | Kind::Operator => is_true = false,
                _ => return false,
            }
            len += 1;
        }
    }
}
