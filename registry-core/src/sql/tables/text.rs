//! The names of tables that people write, with and without quotes.

use std::borrow::Cow;

use super::super::keyword::{self as word, Keyword, keyword};
use super::super::lexer::{Kind, Token, unquoted};
use super::{Dialect, NamedTable, Names, TableReader, folded, lower_case};

/// Whether a statement with this first word reads or changes rows. In other statements, `FROM` can stand before the name
/// of a cursor, a role or a publication.
pub(super) fn handles_rows(first: Keyword) -> bool {
    const STATEMENTS: [Keyword; 11] = [
        word::SELECT,
        word::INSERT,
        word::UPDATE,
        word::DELETE,
        word::MERGE,
        word::REPLACE,
        word::WITH,
        word::VALUES,
        word::TABLE,
        word::TRUNCATE,
        word::EXPLAIN,
    ];
    STATEMENTS.contains(&first)
}

/// Whether columns in parentheses may follow the name of a table after this word. After any other word, parentheses make the
/// name that of a function.
pub(super) fn may_list_columns(last: Keyword) -> bool {
    const WORDS: [Keyword; 7] = [
        word::INTO,
        word::INSERT,
        word::REPLACE,
        word::IGNORE,
        word::LOW_PRIORITY,
        word::HIGH_PRIORITY,
        word::DELAYED,
    ];
    WORDS.contains(&last)
}

/// Whether a word that stands where a table is expected is no name.
fn is_reserved(this: Keyword) -> bool {
    const WORDS: [Keyword; 24] = [
        word::ONLY,
        word::LATERAL,
        word::TABLE,
        word::SELECT,
        word::VALUES,
        word::WITH,
        word::SET,
        word::FROM,
        word::INTO,
        word::OR,
        word::ON,
        word::AS,
        word::WHERE,
        word::GROUP,
        word::ORDER,
        word::HAVING,
        word::LIMIT,
        word::UNION,
        word::INTERSECT,
        word::EXCEPT,
        word::RETURNING,
        word::USING,
        word::UPDATE,
        word::DELETE,
    ];
    WORDS.contains(&this)
}

/// Whether a word may stand between `UPDATE` or `INSERT` and the table, though it can be a name elsewhere.
fn is_modifier(dialect: Dialect, this: Keyword, last: Keyword) -> bool {
    match dialect {
        Dialect::Postgres => false,
        Dialect::Sqlite => last == word::OR,
        Dialect::Mysql => {
            [word::LOW_PRIORITY, word::HIGH_PRIORITY, word::DELAYED, word::IGNORE].contains(&this)
        }
    }
}

impl<'a> TableReader<'a> {
    /// Whether a word is the name of a table, or of a function in the place of one.
    pub(super) fn is_name(&self, token: Token, last: Keyword) -> bool {
        let this = keyword(self.lexer.bytes(token));
        self.names == Names::All
            && self.expects_table
            && !is_reserved(this)
            && !is_modifier(self.dialect, this, last)
    }

    /// Whether a text stands for a name, as in SQLite's `FROM 'a'`.
    pub(super) fn is_quoted_name(&self, token: Token) -> bool {
        let quote = match self.dialect {
            Dialect::Postgres => return false,
            Dialect::Mysql => "\"",
            Dialect::Sqlite => "'",
        };
        self.names == Names::All && self.expects_table && self.lexer.text(token).starts_with(quote)
    }

    /// Reads the first word of a statement.
    pub(super) fn first_word(&mut self, token: Token, this: Keyword) {
        let is_mysql = self.dialect == Dialect::Mysql;
        match this {
            word::TRUNCATE => {
                self.expects_table = true;
                self.level().lists_tables = true;
            }
            // MySQL takes both without `INTO`.
            word::INSERT | word::REPLACE => self.expects_table = is_mysql,
            _ => self.word(token, this, word::NONE),
        }
    }

    /// Reads a name that is not in quotes.
    pub(super) fn unquoted(&mut self, token: Token, last: Keyword) {
        self.expects_table = false;
        let name = self.any_name(token);
        let mut ahead = self.lexer.clone();
        let is_function = ahead.next().kind == Kind::Open && !may_list_columns(last);
        if is_function || self.cte_names.contains(&name) {
            return;
        }
        if last == word::INTO {
            self.level().target = Some(name.clone());
        }
        let named = NamedTable {
            name,
            // A subquery on a table of the query around it is ordinary in text that people write.
            is_source: false,
            is_in_outer_query: false,
            is_set: self.open.iter().any(|level| level.sets),
            is_selected: self.open.iter().find_map(|level| level.selects) == Some(true),
        };
        let query = self.level().query;
        self.found.push((named, query));
    }

    /// A name whose parts are in quotes or not.
    pub(super) fn any_name(&mut self, first: Token) -> Cow<'a, str> {
        let mut name = self.part_of_name(first);
        loop {
            let mut ahead = self.lexer.clone();
            if ahead.next().kind != Kind::Dot {
                return name;
            }
            let part = ahead.next();
            if !matches!(part.kind, Kind::Quoted | Kind::Word) {
                return name;
            }
            let part = self.part_of_name(part);
            self.lexer = ahead;
            let name = name.to_mut();
            name.push('.');
            name.push_str(&part);
        }
    }

    fn part_of_name(&self, token: Token) -> Cow<'a, str> {
        if token.kind == Kind::Word {
            return self.word_text(token);
        }
        let name = unquoted(self.lexer.text(token));
        match name {
            Cow::Borrowed(name) => folded(self.dialect, name),
            Cow::Owned(name) => folded(self.dialect, &name).into_owned().into(),
        }
    }

    /// A word as a name. PostgreSQL folds it to lower case; the others are folded like names in quotes.
    pub(super) fn word_text(&self, token: Token) -> Cow<'a, str> {
        lower_case(self.lexer.text(token))
    }
}
