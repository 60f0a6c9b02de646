//! The tables that a statement names, and their places in it.

use std::borrow::Cow;

use super::dialect::Dialect;
use super::keyword::{self as word, Keyword, keyword};
use super::lexer::{Kind, Lexer, Token, unquoted};
use text::{handles_rows, may_list_columns};

/// Which names of tables are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Names {
    /// Names in quotes, as Diesel writes them, in any statement.
    Quoted,
    /// Names with and without quotes, as people write them, in a statement that reads or changes rows. The names are in
    /// the form of [`folded`].
    All,
}

/// A table that a statement names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NamedTable<'a> {
    /// Its name without quotes: `schema.table` if it has several parts.
    pub(crate) name: Cow<'a, str>,
    /// Whether its rows are read or changed under its own name: the table has no alias, and is not the target of an `INSERT`.
    pub(crate) is_source: bool,
    /// Whether the table is such a source in a subquery, and also a source of an outer query. The target of an `INSERT` counts
    /// as a source of the outer query for the text after its `SET` or `RETURNING`.
    pub(crate) is_in_outer_query: bool,
    /// Whether the table appears in the text after `SET` or `VALUES`.
    pub(crate) is_set: bool,
    /// Whether the table appears in the select list or the `RETURNING` list of the outermost query, or in a part of its
    /// `UNION`.
    pub(crate) is_selected: bool,
}

/// The tables that a statement names.
///
/// Text that is not understood is read as well as possible: a superfluous table is better than a missing one.
pub(crate) fn tables(dialect: Dialect, names: Names, sql: &str) -> Vec<NamedTable<'_>> {
    TableReader::new(dialect, names, sql).read()
}

/// The form in which two names in quotes are compared, if people have written one of them: PostgreSQL compares names
/// exactly; SQLite, and MySQL on some servers, without regard to case.
fn folded(dialect: Dialect, name: &str) -> Cow<'_, str> {
    if dialect == Dialect::Postgres { name.into() } else { lower_case(name) }
}

fn lower_case(name: &str) -> Cow<'_, str> {
    if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        name.to_ascii_lowercase().into()
    } else {
        name.into()
    }
}

/// The first name in quotes, in the form that it has in [`tables`].
pub(crate) fn first_quoted_name(dialect: Dialect, sql: &str) -> Option<Cow<'_, str>> {
    let mut lexer = Lexer::new(dialect, sql);
    loop {
        let token = lexer.next();
        match token.kind {
            Kind::End => return None,
            Kind::Quoted => return Some(quoted_name(&mut lexer, token)),
            _ => {}
        }
    }
}

struct TableReader<'a> {
    dialect: Dialect,
    names: Names,
    lexer: Lexer<'a>,
    /// The open parentheses, from the outside.
    open: Vec<Level<'a>>,
    /// For each query, by its number, the number of the query around it.
    outer_queries: Vec<usize>,
    found: Vec<(NamedTable<'a>, usize)>,
    /// The targets of `INSERT`, each with the number of the query that its `SET` or `RETURNING` counts as.
    targets: Vec<(Cow<'a, str>, usize)>,
    /// The names of common table expressions, which are not tables.
    cte_names: Vec<Cow<'a, str>>,
    /// Whether the next name is the name of a table.
    expects_table: bool,
}

/// The text between two parentheses, or outside of all parentheses.
#[derive(Default)]
struct Level<'a> {
    query: usize,
    /// Whether the text is a statement. In `EXTRACT(DAY FROM "a"."at")`, a column follows `FROM`.
    is_statement: bool,
    /// Whether another table follows a comma.
    lists_tables: bool,
    /// Whether the next text is set or inserted.
    sets: bool,
    /// Whether the next text is selected or returned. `None` in `FROM`, and before the first clause.
    selects: Option<bool>,
    /// The target of an `INSERT` at this level.
    target: Option<Cow<'a, str>>,
    with: With<'a>,
    /// The name of the common table expression that this level defines. It is in scope after the end of the level.
    cte_name: Option<Cow<'a, str>>,
}

/// How far a level is in `WITH "name" AS (..), ..`.
#[derive(Default)]
struct With<'a> {
    is_open: bool,
    /// Whether its names are in scope in all its expressions, also in those before them.
    is_recursive: bool,
    /// How many tables were found before it.
    found_before: usize,
    name: Option<Cow<'a, str>>,
}

impl<'a> TableReader<'a> {
    fn new(dialect: Dialect, names: Names, sql: &'a str) -> Self {
        let outside = Level { is_statement: true, ..Level::default() };
        Self {
            dialect,
            names,
            lexer: Lexer::new(dialect, sql),
            open: vec![outside],
            outer_queries: vec![0],
            found: Vec::new(),
            targets: Vec::new(),
            cte_names: Vec::new(),
            expects_table: false,
        }
    }

    fn read(mut self) -> Vec<NamedTable<'a>> {
        let mut last: Keyword = word::NONE;
        let mut is_first_word = true;
        loop {
            let token = self.lexer.next();
            let mut this = word::NONE;
            match token.kind {
                Kind::End => return self.finish(),
                Kind::Quoted => self.quoted(token, last),
                // SQLite, and MySQL with `ANSI_QUOTES`, take a text at this place for a name.
                Kind::Text if self.is_quoted_name(token) => self.quoted(token, last),
                Kind::Word if self.is_name(token, last) => self.unquoted(token, last),
                Kind::Word => {
                    this = keyword(self.lexer.bytes(token));
                    if self.names == Names::All && std::mem::take(&mut is_first_word) {
                        if !handles_rows(this) {
                            return Vec::new();
                        }
                        self.first_word(token, this);
                    } else {
                        self.word(token, this, last);
                    }
                }
                Kind::Open => self.open_level(last),
                Kind::Close => self.close_level(),
                Kind::Comma => self.expects_table = self.level().lists_tables,
                Kind::Unknown => self.lexer.skip_escaped_literal(token),
                _ => self.expects_table = false,
            }
            last = this;
        }
    }

    fn level(&mut self) -> &mut Level<'a> {
        if self.open.is_empty() {
            // The text has more closing parentheses than opening ones.
            self.open.push(Level { is_statement: true, ..Level::default() });
        }
        let last = self.open.len() - 1;
        &mut self.open[last]
    }

    fn word(&mut self, token: Token, this: Keyword, last: Keyword) {
        let (dialect, names, expects_table) = (self.dialect, self.names, self.expects_table);
        let text = self.word_text(token);
        if matches!(this, word::SET | word::RETURNING) || (this, last) == (word::UPDATE, word::KEY)
        {
            self.look_back_at_target();
        }
        let found_so_far = self.found.len();
        let level = self.level();
        let was_selecting = level.selects;
        match this {
            word::SET | word::VALUES => level.sets = true,
            word::UPDATE if last == word::KEY => level.sets = true,
            word::WHERE | word::RETURNING => level.sets = false,
            _ => {}
        }
        level.selects = match this {
            word::SELECT | word::RETURNING => Some(true),
            word::FROM if level.is_statement && last != word::DISTINCT => None,
            word::UNION | word::INTERSECT | word::EXCEPT => None,
            word::ON if level.selects == Some(true) => Some(true),
            word::ON
            | word::WHERE
            | word::GROUP
            | word::HAVING
            | word::WINDOW
            | word::ORDER
            | word::LIMIT
            | word::SET
            | word::VALUES => Some(false),
            _ => level.selects,
        };
        self.expects_table = match this {
            word::SELECT => {
                level.is_statement = true;
                level.lists_tables = false;
                level.with.is_open = false;
                self.begin_query();
                false
            }
            word::FROM => {
                level.lists_tables = level.is_statement && last != word::DISTINCT;
                level.lists_tables
            }
            word::JOIN => {
                level.lists_tables = true;
                true
            }
            // A modifier of `SELECT` as well.
            word::STRAIGHT_JOIN => level.selects != Some(true),
            // `SELECT .. INTO` makes a table, or sets variables. `FETCH FIRST ROW ONLY` and `CONVERT(.. USING ..)` name no
            // table.
            word::INTO => names == Names::Quoted || was_selecting != Some(true),
            word::ONLY => names == Names::Quoted || expects_table,
            word::USING => names == Names::Quoted || level.is_statement,
            // Not after `ON DUPLICATE KEY UPDATE`, where columns follow, nor in `FOR UPDATE OF`.
            word::UPDATE if [word::KEY, word::FOR].contains(&last) => {
                level.lists_tables = false;
                false
            }
            word::UPDATE => {
                level.is_statement = true;
                level.lists_tables = true;
                true
            }
            word::DELETE | word::MERGE => {
                level.is_statement = true;
                false
            }
            word::TABLE if names == Names::All => true,
            word::LATERAL | word::LOW_PRIORITY | word::HIGH_PRIORITY | word::DELAYED | word::OR => {
                expects_table
            }
            word::IGNORE => expects_table,
            word::ABORT | word::FAIL | word::REPLACE | word::ROLLBACK if last == word::OR => {
                expects_table
            }
            word::WITH => {
                let is_recursive = dialect == Dialect::Sqlite;
                level.with =
                    With { is_open: true, is_recursive, found_before: found_so_far, name: None };
                false
            }
            word::RECURSIVE if level.with.is_open => {
                level.with.is_recursive = true;
                false
            }
            word::WHERE
            | word::GROUP
            | word::HAVING
            | word::WINDOW
            | word::ORDER
            | word::LIMIT
            | word::OFFSET
            | word::FETCH
            | word::FOR
            | word::SET
            | word::RETURNING
            | word::VALUES
            | word::UNION
            | word::INTERSECT
            | word::EXCEPT => {
                level.lists_tables = false;
                false
            }
            word::AS | word::NOT | word::MATERIALIZED => false,
            _ => {
                if level.with.is_open {
                    level.with.name = Some(text);
                }
                false
            }
        };
    }

    /// Begins a query inside the one around this level. The parts of a `UNION` are side by side.
    fn begin_query(&mut self) {
        let within = match self.open.len().checked_sub(2) {
            Some(outer) => self.open[outer].query,
            None => 0,
        };
        self.outer_queries.push(within);
        let query = self.outer_queries.len() - 1;
        self.level().query = query;
    }

    /// After `SET` or `RETURNING` of an `INSERT`, subqueries can refer to the row in its target, as if an outer query had the
    /// target as a source.
    fn look_back_at_target(&mut self) {
        if let Some(target) = self.level().target.clone() {
            self.begin_query();
            let query = self.level().query;
            self.targets.push((target, query));
        }
    }

    fn open_level(&mut self, last: Keyword) {
        // Not in `USING ("a")`, where columns follow, nor in the functions `INSERT` and `REPLACE` of MySQL.
        self.expects_table &= ![word::USING, word::INSERT, word::REPLACE].contains(&last);
        let expects_table = self.expects_table;
        let level = self.level();
        let found_before = level.with.found_before;
        let cte_name = match last {
            word::AS | word::MATERIALIZED if level.with.is_open => level.with.name.take(),
            _ => None,
        };
        let inner = Level {
            query: level.query,
            // `FROM ("a" INNER JOIN "b" ..)`
            lists_tables: expects_table,
            cte_name,
            ..Level::default()
        };
        if let Some(name) = inner.cte_name.clone().filter(|_| level.with.is_recursive) {
            let mut at = 0;
            self.found.retain(|(table, _)| {
                at += 1;
                at <= found_before || table.name != name
            });
            self.cte_names.push(name);
        }
        self.open.push(inner);
    }

    fn close_level(&mut self) {
        self.cte_names.extend(self.open.pop().and_then(|level| level.cte_name));
        self.expects_table = false;
    }

    fn quoted(&mut self, token: Token, last: Keyword) {
        let name = match self.names {
            Names::Quoted => quoted_name(&mut self.lexer, token),
            Names::All => self.any_name(token),
        };
        let query = self.level().query;
        if !std::mem::take(&mut self.expects_table) {
            let level = self.level();
            if level.with.is_open {
                level.with.name = Some(name);
            }
        } else if !self.cte_names.contains(&name) {
            let mut ahead = self.lexer.clone();
            let next = ahead.next();
            if self.names == Names::All && next.kind == Kind::Open && !may_list_columns(last) {
                // A function, such as `"generate_series"(1, 2)`.
                return;
            }
            let has_alias = next.kind == Kind::Word && keyword(ahead.bytes(next)) == word::AS;
            let is_source = !has_alias && last != word::INTO;
            if last == word::INTO {
                self.level().target = Some(name.clone());
            }
            let is_set = self.open.iter().any(|level| level.sets);
            let is_selected = self.open.iter().find_map(|level| level.selects) == Some(true);
            let named =
                NamedTable { name, is_source, is_in_outer_query: false, is_set, is_selected };
            self.found.push((named, query));
        }
    }

    fn finish(self) -> Vec<NamedTable<'a>> {
        let Self { outer_queries, found, targets, .. } = self;
        let is_source_of = |query: usize, name: &str| {
            found
                .iter()
                .any(|(other, place)| *place == query && other.is_source && other.name == name)
                || targets.iter().any(|(target, place)| *place == query && target == name)
        };
        let is_in_outer_query = |name: &str, mut query: usize| {
            while query != 0 {
                query = outer_queries[query];
                if is_source_of(query, name) {
                    return true;
                }
            }
            false
        };
        let with_outer = |(named, query): &(NamedTable<'a>, usize)| {
            let is_in_outer_query = named.is_source && is_in_outer_query(&named.name, *query);
            NamedTable { is_in_outer_query, ..named.clone() }
        };
        found.iter().map(with_outer).collect()
    }
}

/// A name whose parts are all in quotes.
fn quoted_name<'a>(lexer: &mut Lexer<'a>, first: Token) -> Cow<'a, str> {
    let mut name = unquoted(lexer.text(first));
    loop {
        let mut ahead = lexer.clone();
        if ahead.next().kind != Kind::Dot {
            return name;
        }
        let part = ahead.next();
        if part.kind != Kind::Quoted {
            return name;
        }
        *lexer = ahead;
        let name = name.to_mut();
        name.push('.');
        name.push_str(&unquoted(lexer.text(part)));
    }
}

#[cfg(test)]
mod tests;
mod text;
