//! SQL as tokens.
//!
//! The rules come from PostgreSQL's chapter "Lexical Structure", from MySQL's and MariaDB's "Comment Syntax" and "String
//! Literals", and from SQLite's tokenizer. Where a setting of the server decides how a text is read, as `sql_mode` and
//! `standard_conforming_strings` do, the token is [`Kind::Unknown`] unless both readings agree.

mod classes;

use std::borrow::Cow;

use self::classes::{CLASSES, Class, IS_IN_WORD, is_space_or_control};
use super::dialect::Dialect;

/// The kind of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A keyword, or an identifier without quotes.
    Word,
    /// An identifier in quotes.
    Quoted,
    /// A literal in quotes. In MySQL also one in double quotes, which `ANSI_QUOTES` makes an identifier, and in SQLite one that
    /// may be an identifier.
    Text,
    Number,
    Parameter,
    /// The `@` of `@name`, in MySQL.
    UserVariable,
    /// The `@@` of `@@name`, in MySQL.
    SystemVariable,
    Open,
    Close,
    Comma,
    Dot,
    Semicolon,
    /// Any other character. An operator is one token for each of its characters.
    Operator,
    /// Not understood: the token has no end, or settings of the server decide its end or its content, or MySQL runs it
    /// although it is in a comment. The text after it may be read wrongly.
    Unknown,
    /// The end of the text.
    End,
}

/// A token, by its place in the text. Its quotes are part of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) start: usize,
    pub(super) end: usize,
}

/// Reads a text from its beginning to its end, without comments and white space.
#[derive(Clone)]
pub(super) struct Lexer<'a> {
    sql: &'a str,
    at: usize,
    dialect: Dialect,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(dialect: Dialect, sql: &'a str) -> Self {
        Self { sql, at: 0, dialect }
    }

    pub(super) fn text(&self, token: Token) -> &'a str {
        &self.sql[token.start..token.end]
    }

    #[inline]
    pub(super) fn bytes(&self, token: Token) -> &'a [u8] {
        &self.sql.as_bytes()[token.start..token.end]
    }

    /// The next token. After the end of the text, every token is [`Kind::End`].
    pub(super) fn next(&mut self) -> Token {
        self.next_inline()
    }

    /// As [`next`](Self::next), inlined for the loop that every query goes through. If a token is returned in memory, field by
    /// field, and copied at once, the processor stalls (store forwarding) for longer than reading the token takes.
    #[inline(always)]
    pub(super) fn next_inline(&mut self) -> Token {
        use Dialect::{Mysql, Postgres, Sqlite};

        let bytes = self.sql.as_bytes();
        loop {
            let start = self.at;
            let Some(&first) = bytes.get(start) else {
                return Token { kind: Kind::End, start, end: start };
            };
            self.at += 1;
            let kind = match (CLASSES[first as usize], self.dialect) {
                (Class::Space, _) => continue,
                (Class::Word, dialect) => {
                    self.skip_word();
                    if dialect == Postgres { self.prefixed(first, start) } else { Kind::Word }
                }
                (Class::DoubleQuote, Mysql) => self.literal(b'"'),
                (Class::DoubleQuote, _) => self.identifier(b'"'),
                (Class::Open, _) => Kind::Open,
                (Class::Close, _) => Kind::Close,
                (Class::Comma, _) => Kind::Comma,
                (Class::Dot, Postgres | Sqlite)
                    if self.peek().is_some_and(|next| next.is_ascii_digit()) =>
                {
                    self.skip_fraction();
                    Kind::Number
                }
                (Class::Dot, _) => Kind::Dot,
                (Class::Semicolon, _) => Kind::Semicolon,
                (Class::Quote, Sqlite) => match self.skip_quoted(b'\'') {
                    Some(_) => Kind::Text,
                    None => Kind::Unknown,
                },
                (Class::Quote, _) => self.literal(b'\''),
                (Class::Digit, Mysql) => {
                    // A name may begin with a digit, but not consist of digits alone.
                    self.skip_word();
                    if bytes[start..self.at].iter().all(u8::is_ascii_digit) {
                        if self.peek() == Some(b'.') {
                            self.at += 1;
                            self.skip_fraction();
                        }
                        Kind::Number
                    } else {
                        Kind::Word
                    }
                }
                (Class::Digit, _) => {
                    self.skip_digits();
                    if self.peek() == Some(b'.') {
                        self.at += 1;
                    }
                    self.skip_fraction();
                    Kind::Number
                }
                (Class::Backtick, Mysql | Sqlite) => self.identifier(b'`'),
                (Class::Bracket, Sqlite) => match memchr::memchr(b']', &bytes[self.at..]) {
                    Some(len) => {
                        self.at += len + 1;
                        Kind::Quoted
                    }
                    None => self.unterminated(),
                },
                (Class::Dash, dialect) if self.peek() == Some(b'-') => {
                    // `5--1` is a subtraction in MySQL: a comment needs a space or a control character after `--`.
                    let next = bytes.get(self.at + 1);
                    if dialect == Mysql && next.is_some_and(|next| !is_space_or_control(*next)) {
                        Kind::Operator
                    } else {
                        self.skip_line();
                        continue;
                    }
                }
                (Class::Hash, Mysql) => {
                    self.skip_line();
                    continue;
                }
                (Class::Slash, _) if self.peek() == Some(b'*') => {
                    self.at += 1;
                    if self.skip_comment() {
                        continue;
                    }
                    Kind::Unknown
                }
                (Class::Dollar, Postgres) => self.dollar(start),
                (Class::Dollar, Mysql) => {
                    self.skip_word();
                    Kind::Word
                }
                (Class::At, Mysql) => self.variable(),
                (Class::Dollar | Class::At | Class::Hash | Class::Colon, Sqlite) => {
                    self.skip_word();
                    match self.peek() {
                        // The name of a Tcl variable continues here, over all characters up to `)`.
                        Some(b'(') => Kind::Unknown,
                        Some(b':') if bytes.get(self.at + 1) == Some(&b':') => Kind::Unknown,
                        _ => Kind::Parameter,
                    }
                }
                (Class::Question, Mysql | Sqlite) => {
                    self.skip_digits();
                    Kind::Parameter
                }
                (Class::Control, _) => Kind::Unknown,
                _ => Kind::Operator,
            };
            return Token { kind, start, end: self.at };
        }
    }

    /// Continues after the last token, `token`, if it is a MySQL literal that was not understood because of its backslashes.
    /// The next token begins at the literal's end by the server's default, in which backslashes escape.
    pub(super) fn skip_escaped_literal(&mut self, token: Token) {
        let first = self.sql.as_bytes()[token.start];
        if self.dialect == Dialect::Mysql && matches!(first, b'\'' | b'"') {
            self.at = token.start + 1;
            self.escaped(first);
        }
    }

    fn peek(&self) -> Option<u8> {
        self.sql.as_bytes().get(self.at).copied()
    }

    fn skip_while(&mut self, is_part: impl Fn(u8) -> bool) {
        let rest = &self.sql.as_bytes()[self.at..];
        self.at += rest.iter().position(|byte| !is_part(*byte)).unwrap_or(rest.len());
    }

    fn skip_word(&mut self) {
        self.skip_while(|byte| IS_IN_WORD[byte as usize]);
    }

    fn skip_digits(&mut self) {
        self.skip_while(|byte| byte.is_ascii_digit());
    }

    /// Digits, and an exponent.
    fn skip_fraction(&mut self) {
        self.skip_digits();
        let mut rest = self.sql.as_bytes()[self.at..].iter();
        if rest.next().is_some_and(|byte| matches!(byte, b'e' | b'E')) {
            let (sign, digit) = match rest.next() {
                Some(b'+' | b'-') => (1, rest.next()),
                digit => (0, digit),
            };
            if digit.is_some_and(u8::is_ascii_digit) {
                self.at += 1 + sign;
                self.skip_digits();
            }
        }
    }

    fn skip_line(&mut self) {
        let rest = &self.sql.as_bytes()[self.at..];
        let end = match self.dialect {
            Dialect::Postgres => memchr::memchr2(b'\n', b'\r', rest),
            Dialect::Mysql | Dialect::Sqlite => memchr::memchr(b'\n', rest),
        };
        self.at += end.unwrap_or(rest.len());
    }

    /// Skips a comment that has begun with `/*`. False if it is an executable comment of MySQL, or has no end.
    fn skip_comment(&mut self) -> bool {
        let rest = &self.sql.as_bytes()[self.at..];
        if self.dialect == Dialect::Mysql && (rest.starts_with(b"!") || rest.starts_with(b"M!")) {
            // Only the opening is skipped. The content is read like ordinary text, for readers that look for names.
            self.skip_while(|byte| matches!(byte, b'M' | b'!') || byte.is_ascii_digit());
            return false;
        }
        let mut depth = 1;
        let mut from = 0;
        while let Some(at) = memchr::memchr2(b'*', b'/', &rest[from..]) {
            from += at + 1;
            match (rest[from - 1], rest.get(from)) {
                (b'*', Some(b'/')) => {
                    depth -= 1;
                    from += 1;
                    if depth == 0 {
                        self.at += from;
                        return true;
                    }
                }
                (b'/', Some(b'*')) if self.dialect == Dialect::Postgres => {
                    depth += 1;
                    from += 1;
                }
                _ => {}
            }
        }
        self.at = self.sql.len();
        self.dialect == Dialect::Sqlite
    }

    /// The kind of a PostgreSQL token that begins like a word: a literal or a quoted identifier may follow its first letter at
    /// once.
    #[inline]
    fn prefixed(&mut self, first: u8, start: usize) -> Kind {
        if self.at != start + 1 {
            return Kind::Word;
        }
        match (first, self.peek(), self.sql.as_bytes().get(self.at + 1)) {
            (b'e' | b'E', Some(b'\''), _) => {
                self.at += 1;
                self.escaped(b'\'')
            }
            (b'u' | b'U', Some(b'&'), Some(b'\'')) => {
                self.at += 2;
                self.literal(b'\'')
            }
            (b'u' | b'U', Some(b'&'), Some(b'"')) => {
                // Its Unicode escapes can spell any name.
                self.at += 2;
                let _ = self.skip_quoted(b'"');
                Kind::Unknown
            }
            _ => Kind::Word,
        }
    }

    /// A literal in which backslashes escape or not, depending on settings. It is understood if its end is the same either way.
    fn literal(&mut self, quote: u8) -> Kind {
        match self.skip_quoted(quote) {
            Some(false) => Kind::Text,
            Some(true) | None => Kind::Unknown,
        }
    }

    /// A quoted identifier, in which backslashes are ordinary characters.
    fn identifier(&mut self, quote: u8) -> Kind {
        if self.skip_quoted(quote).is_some() { Kind::Quoted } else { Kind::Unknown }
    }

    /// Skips the text up to and including the closing quote. A quote in the text is written twice. True if a backslash precedes
    /// a quote that it could escape, and `None` if there is no end.
    fn skip_quoted(&mut self, quote: u8) -> Option<bool> {
        let bytes = self.sql.as_bytes();
        let mut has_escape = false;
        loop {
            let rest = &bytes[self.at..];
            let Some(len) = rest.iter().position(|byte| *byte == quote) else {
                self.at = bytes.len();
                return None;
            };
            if len > 0 && rest[len - 1] == b'\\' {
                let run = rest[..len].iter().rev().take_while(|byte| **byte == b'\\');
                has_escape |= run.count() % 2 == 1;
            }
            self.at += len + 1;
            if self.peek() != Some(quote) {
                return Some(has_escape);
            }
            self.at += 1;
        }
    }

    /// The rest of a literal in which backslashes escape, such as `E'..'`.
    fn escaped(&mut self, quote: u8) -> Kind {
        let bytes = self.sql.as_bytes();
        while let Some(at) = memchr::memchr2(b'\\', quote, &bytes[self.at..]) {
            self.at += at + 1;
            if bytes[self.at - 1] == quote && self.peek() != Some(quote) {
                return Kind::Text;
            }
            // Skips the escaped character, after a backslash or as the second of two quotes. The byte may be the first byte of a
            // longer character, whose other bytes are neither backslash nor quote.
            self.at = bytes.len().min(self.at + 1);
        }
        self.unterminated()
    }

    /// A parameter, a literal in dollar quotes, or an operator.
    fn dollar(&mut self, start: usize) -> Kind {
        if self.peek().is_some_and(|next| next.is_ascii_digit()) {
            self.skip_digits();
            return Kind::Parameter;
        }
        self.skip_while(|byte| byte != b'$' && IS_IN_WORD[byte as usize]);
        if self.peek() != Some(b'$') {
            self.at = start + 1;
            return Kind::Unknown;
        }
        self.at += 1;
        let tag = &self.sql.as_bytes()[start..self.at];
        match memchr::memmem::find(&self.sql.as_bytes()[self.at..], tag) {
            Some(len) => {
                self.at += len + tag.len();
                Kind::Text
            }
            None => self.unterminated(),
        }
    }

    fn variable(&mut self) -> Kind {
        if self.peek() == Some(b'@') {
            self.at += 1;
            return Kind::SystemVariable;
        }
        Kind::UserVariable
    }

    fn unterminated(&mut self) -> Kind {
        self.at = self.sql.len();
        Kind::Unknown
    }
}

/// A name without its quotes. A quote in it is written twice.
pub(super) fn unquoted(name: &str) -> Cow<'_, str> {
    let quote = &name[name.len() - 1..];
    let inner = &name[1..name.len() - 1];
    if inner.contains(quote) { inner.replace(&quote.repeat(2), quote).into() } else { inner.into() }
}
