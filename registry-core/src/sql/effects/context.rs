//! The context of a token in its statement. The context tells the call of a function from another name before a
//! parenthesis.

use super::grammar;
use crate::sql::dialect::Dialect;
use crate::sql::keyword::{self as word, Keyword};
use crate::sql::lexer::{Kind, Token};

/// The kind of the body of a statement.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum BodyKind {
    /// A query, or a change of rows.
    Query,
    /// A definition, in which a name before a parenthesis need not be a function.
    Definition,
    Copy,
}

/// A token and its keyword.
#[derive(Clone, Copy)]
pub(super) struct Lexeme {
    pub(super) token: Token,
    pub(super) keyword: Keyword,
}

impl Lexeme {
    pub(super) fn is(self, kind: Kind) -> bool {
        self.token.kind == kind
    }
}

/// The context of a token in its statement.
pub(super) struct Context {
    /// The token before the last name and its qualifiers.
    pub(super) before_name: Lexeme,
    /// The last name's qualifier, if it has exactly one.
    pub(super) qualifier: Option<Keyword>,
    /// The number of parts of the last name, minus one.
    pub(super) dots: u32,
    pub(super) depth: u32,
    /// One bit for each depth of parentheses: whether a comma there is followed by the name of a common table expression.
    pub(super) is_with: u64,
    /// One bit for each depth: whether the parenthesis belongs to `DISTINCT ON (..)`, which is followed by an expression.
    pub(super) is_distinct_on: u64,
}

impl Context {
    pub(super) fn new(first: Lexeme) -> Self {
        let is_with = u64::from(first.keyword == word::WITH);
        Self { before_name: first, qualifier: None, dots: 0, depth: 0, is_with, is_distinct_on: 0 }
    }

    pub(super) fn bit(&self) -> u64 {
        1_u64.checked_shl(self.depth).unwrap_or(0)
    }

    pub(super) fn is_qualified(&self) -> bool {
        self.dots > 0
    }

    /// Records a word. True if a query begins with the word: in the query, a name before a parenthesis is a function again.
    pub(super) fn note_word(&mut self, mode: BodyKind, prev: Lexeme, keyword: Keyword) -> bool {
        match keyword {
            word::WITH if prev.is(Kind::Open) || prev.keyword == word::AS => {
                self.is_with |= self.bit();
                false
            }
            word::SELECT | word::VALUES => {
                self.is_with &= !self.bit();
                mode == BodyKind::Definition
            }
            word::INSERT
            | word::UPDATE
            | word::DELETE
            | word::MERGE
            | word::REPLACE
            | word::TABLE => {
                self.is_with &= !self.bit();
                mode == BodyKind::Definition && prev.is(Kind::Open)
            }
            _ => false,
        }
    }

    pub(super) fn open(&mut self, prev: Lexeme) {
        if prev.is(Kind::Close) {
            // `WITH t AS (..) (SELECT ..)`
            self.is_with &= !self.bit();
        }
        let is_distinct_on = prev.keyword == word::ON && self.before_name.keyword == word::DISTINCT;
        self.depth += 1;
        self.is_with &= !self.bit();
        if is_distinct_on {
            self.is_distinct_on |= self.bit();
        } else {
            self.is_distinct_on &= !self.bit();
        }
    }

    pub(super) fn close(&mut self) {
        self.is_with &= !self.bit();
    }

    /// Advances past `seen`, and returns the token that counts as the previous token from now on.
    pub(super) fn advance(&mut self, prev: Lexeme, mut seen: Lexeme) -> Lexeme {
        match seen.token.kind {
            Kind::Dot => {
                self.dots += 1;
                self.qualifier = (self.dots == 1 && prev.is(Kind::Word)).then_some(prev.keyword);
            }
            _ if prev.is(Kind::Dot) => {}
            Kind::Close => {
                if self.depth >= u64::BITS || self.is_distinct_on & self.bit() != 0 {
                    // Not the end of an operand, or too deep to be known.
                    seen.token.kind = Kind::Operator;
                }
                self.depth = self.depth.saturating_sub(1);
                (self.before_name, self.dots, self.qualifier) = (prev, 0, None);
            }
            _ => (self.before_name, self.dots, self.qualifier) = (prev, 0, None),
        }
        seen
    }

    /// Whether the tokens before the last name show that it is not the name of a function.
    pub(super) fn names_follow(&self, mode: BodyKind, dialect: Dialect) -> bool {
        match self.before_name.token.kind {
            Kind::Word => grammar::precedes_name(
                self.before_name.keyword,
                dialect,
                mode == BodyKind::Definition,
                mode == BodyKind::Copy && self.depth == 0,
            ),
            // `FROM (VALUES (1)) t (a)`
            Kind::Close => !self.is_qualified(),
            Kind::Comma => self.is_with & self.bit() != 0,
            _ => false,
        }
    }

    pub(super) fn is_behind_operand(&self, dialect: Dialect) -> bool {
        match self.before_name.token.kind {
            Kind::Quoted | Kind::Text | Kind::Number | Kind::Parameter | Kind::Close => true,
            Kind::Word => !grammar::is_reserved(dialect, self.before_name.keyword),
            _ => false,
        }
    }
}
