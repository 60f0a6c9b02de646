//! What a text leaves behind in the session that runs it.
//!
//! By lists of what is known to leave nothing: statements, and the functions that they call. Everything
//! else is taken for a change. What a trigger, a view or an operator of the database's own does is not in
//! the text, and not seen.

mod body;
mod functions;
mod grammar;

use self::body::{Body, Mode, Seen};
use self::grammar::Call;
use crate::sql::dialect::Dialect::{self, Mysql, Postgres, Sqlite};
use crate::sql::keyword::{self as word, Keyword, keyword};
use crate::sql::lexer::{Kind, Lexer};

/// What a text leaves behind if all of it is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Effects {
    /// What outlives the transaction in which it is run.
    pub(crate) session: SessionEffect,
    pub(crate) transaction: TransactionEffect,
    /// Whether it is known to change the session, and not only not known to leave it as it is.
    pub(crate) is_certain: bool,
    /// Whether a transaction that was open may have ended, without an error and even if another one is open
    /// afterwards. On MySQL that is so for all that is not known to be no cause of an implicit commit.
    pub(crate) may_end: bool,
    /// Whether a savepoint is set, released or rolled back to.
    pub(crate) has_savepoint: bool,
}

/// What of a session outlives a transaction: settings, locks, temporary tables, subscriptions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum SessionEffect {
    None,
    /// Something may be changed.
    Changed,
    /// Something may be changed that no statement undoes, or the statements may be gone that the driver
    /// has prepared: only another connection is as new.
    Replace,
}

/// What a text does to the transaction of its session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TransactionEffect {
    /// It neither begins one nor ends one, unless it fails or the database commits by itself, as MySQL
    /// does before a `CREATE TABLE`.
    None,
    /// One is open afterwards.
    Begins,
    /// None is open afterwards.
    Ends,
    /// Nothing is known.
    Unknown,
}

impl Effects {
    const NONE: Self = Self::new(SessionEffect::None, TransactionEffect::None);
    const CHANGES: Self = Self::new(SessionEffect::Changed, TransactionEffect::None).certain();
    const MAY_CHANGE: Self = Self::new(SessionEffect::Changed, TransactionEffect::None);
    /// What may do anything, short of what [`SessionEffect::Replace`] is for.
    const UNKNOWN: Self = Self::new(SessionEffect::Changed, TransactionEffect::Unknown);
    const REPLACES: Self = Self::new(SessionEffect::Replace, TransactionEffect::None).certain();
    const NOT_UNDERSTOOD: Self =
        Self { may_end: true, ..Self::new(SessionEffect::Replace, TransactionEffect::Unknown) };

    const fn new(session: SessionEffect, transaction: TransactionEffect) -> Self {
        Self { session, transaction, is_certain: false, may_end: false, has_savepoint: false }
    }

    /// What may do anything, as it cannot be read.
    #[cfg(feature = "postgres")]
    pub(crate) const fn of_the_unreadable() -> Self {
        Self::NOT_UNDERSTOOD
    }

    const fn certain(mut self) -> Self {
        self.is_certain = true;
        self
    }

    const fn on_transaction(transaction: TransactionEffect) -> Self {
        Self::new(SessionEffect::None, transaction)
    }
}

/// What `sql` leaves behind, which may be many statements.
pub(crate) fn effects(dialect: Dialect, sql: &str) -> Effects {
    let mut reader = Reader::new(dialect, sql);
    let mut all = Effects::NONE;
    let mut is_first = true;
    while let Some(Statement { effects, is_savepoint, first }) = reader.statement() {
        all.session = all.session.max(effects.session);
        all.is_certain |= effects.is_certain;
        all.has_savepoint |= is_savepoint;
        all.may_end |= !is_savepoint && may_end(dialect, first, effects.transaction);
        all.transaction = match (all.transaction, effects.transaction) {
            (_, only) if is_first => only,
            (TransactionEffect::None, TransactionEffect::None) => TransactionEffect::None,
            (TransactionEffect::Begins, TransactionEffect::None) if is_savepoint => {
                TransactionEffect::Begins
            }
            _ => TransactionEffect::Unknown,
        };
        is_first = false;
        if reader.is_lost {
            return Effects::NOT_UNDERSTOOD;
        }
    }
    all
}

/// Whether a statement that is none of savepoints may end the transaction that is open.
fn may_end(dialect: Dialect, first: Seen, transaction: TransactionEffect) -> bool {
    match dialect {
        // The grammar has no others, and in a transaction that was begun by a statement no procedure can end it:
        // https://www.postgresql.org/docs/current/plpgsql-transactions.html
        Postgres => match first.keyword {
            word::COMMIT | word::END | word::ROLLBACK | word::ABORT => true,
            word::PREPARE => transaction == TransactionEffect::Unknown,
            _ => false,
        },
        // A stored function or a trigger that would commit is refused. Every other statement may commit implicitly:
        // https://mariadb.com/kb/en/sql-statements-that-cause-an-implicit-commit/
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

/// A statement, and what it leaves behind.
struct Statement {
    effects: Effects,
    /// Whether it is one of savepoints.
    is_savepoint: bool,
    first: Seen,
}

struct Reader<'a> {
    lexer: Lexer<'a>,
    dialect: Dialect,
    /// Set once something was not understood.
    is_lost: bool,
    /// Whether the statement's last token has been read.
    is_at_end: bool,
}

impl<'a> Reader<'a> {
    fn new(dialect: Dialect, sql: &'a str) -> Self {
        Self { lexer: Lexer::new(dialect, sql), dialect, is_lost: false, is_at_end: true }
    }

    fn next(&mut self) -> Seen {
        self.next_inline()
    }

    #[inline(always)]
    fn next_inline(&mut self) -> Seen {
        let token = self.lexer.next_inline();
        let keyword = match token.kind {
            Kind::Word => keyword(self.lexer.bytes(token)),
            Kind::Unknown => {
                self.is_lost = true;
                self.is_at_end = true;
                word::NONE
            }
            Kind::Semicolon | Kind::End => {
                self.is_at_end = true;
                word::NONE
            }
            _ => word::NONE,
        };
        Seen { token, keyword }
    }

    /// The next statement that is not empty.
    fn statement(&mut self) -> Option<Statement> {
        let mut first = self.next();
        while first.is(Kind::Semicolon) {
            first = self.next();
        }
        if first.is(Kind::End) {
            return None;
        }
        self.is_at_end = self.is_lost;
        let mut is_savepoint = false;
        let effects = if first.is(Kind::Word) {
            self.by_first_word(first, &mut is_savepoint)
        } else if first.is(Kind::Open) {
            // `(SELECT ..) UNION (SELECT ..)`. No other statement begins like this.
            self.body(Mode::Query, first)
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

    fn by_first_word(&mut self, first: Seen, is_savepoint: &mut bool) -> Effects {
        match (first.keyword, self.dialect) {
            (word::SELECT | word::INSERT | word::UPDATE | word::DELETE, _)
            | (word::WITH | word::VALUES, _)
            | (word::REPLACE, Mysql | Sqlite)
            | (word::TABLE, Mysql | Postgres)
            | (word::MERGE, Postgres) => self.body(Mode::Query, first),

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
                // Outside a transaction, SQLite begins one with the savepoint and ends it with that.
                match (self.body(Mode::Query, first), dialect) {
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
            ) => self.body(Mode::Definition, first),
            (word::ANALYZE | word::OPTIMIZE | word::RENAME, Mysql) => match self.next() {
                table if table.keyword == word::TABLE => self.body(Mode::Definition, table),
                _ => Effects::UNKNOWN,
            },
            (word::SHOW, Mysql | Postgres) => self.body(Mode::Query, first),
            (word::COPY, Postgres) => self.body(Mode::Copy, first),
            (word::SET, Postgres) => self.set(),

            (word::DISCARD | word::DEALLOCATE | word::LOAD, Postgres) => Effects::REPLACES,
            (word::RESET | word::LISTEN | word::UNLISTEN, Postgres) => Effects::CHANGES,
            (word::EXECUTE, Postgres) => Effects::UNKNOWN.certain(),
            (word::PREPARE, Postgres) => match self.next().keyword {
                word::TRANSACTION => Effects::UNKNOWN,
                _ => Effects::CHANGES,
            },
            (word::DECLARE, Postgres) => self.declare(),
            (word::FETCH | word::MOVE | word::CLOSE, Postgres) => self.body(Mode::Query, first),
            _ => Effects::UNKNOWN,
        }
    }

    fn begin(&mut self) -> Effects {
        // What follows is one of the modes, or more than a transaction begins: `BEGIN NOT ATOMIC`.
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

    /// What follows `COMMIT`, `ROLLBACK` and the like.
    fn end(&mut self, first: Keyword, is_savepoint: &mut bool) -> Effects {
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

    /// `EXPLAIN` and its options, in front of a query. That it may run it makes no difference.
    fn explain(&mut self, first: Seen) -> Effects {
        let mut depth = 0_u32;
        let mut last = first;
        while !self.is_at_end {
            let next = self.next();
            match (next.token.kind, next.keyword) {
                (Kind::Open, _) if last.keyword == word::EXPLAIN || depth > 0 => depth += 1,
                (Kind::Open, _) => return self.body(Mode::Query, next),
                (Kind::Close, _) if depth > 0 => depth -= 1,
                _ if depth > 0 => {}
                (Kind::Word, word::SELECT | word::INSERT | word::UPDATE | word::DELETE)
                | (Kind::Word, word::WITH | word::VALUES | word::TABLE | word::REPLACE)
                | (Kind::Word, word::MERGE) => return self.body(Mode::Query, next),
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
                    return self.body(Mode::Query, next);
                }
                _ => break,
            }
            last = next;
        }
        Effects::UNKNOWN
    }

    fn create(&mut self) -> Effects {
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
            (keyword, Postgres) => grammar::is_definable(keyword),
            _ => false,
        };
        if is_known {
            return self.body(Mode::Definition, next);
        }
        match (next.keyword, self.dialect) {
            (keyword, Postgres) if grammar::is_temporary(keyword) => self.temporary(),
            _ => Effects::UNKNOWN,
        }
    }

    /// A temporary table of PostgreSQL, which is gone with its transaction if it says so.
    fn temporary(&mut self) -> Effects {
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

    /// `ALTER` and `DROP`.
    fn alter(&mut self) -> Effects {
        let next = self.next();
        let is_known = match (next.keyword, self.dialect) {
            (word::TABLE | word::INDEX | word::VIEW, _) => true,
            (word::TRIGGER, Postgres | Sqlite) => true,
            (word::FUNCTION | word::PROCEDURE | word::ROUTINE | word::RULE, Postgres)
            | (word::AGGREGATE | word::MATERIALIZED, Postgres) => true,
            (keyword, Postgres) => grammar::is_definable(keyword),
            // Without the database that it uses, a session of MySQL uses none.
            _ => false,
        };
        if is_known { self.body(Mode::Definition, next) } else { Effects::UNKNOWN }
    }

    /// `SET` of PostgreSQL, of which three end with the transaction.
    fn set(&mut self) -> Effects {
        let first = self.next();
        if !matches!(first.keyword, word::LOCAL | word::TRANSACTION | word::CONSTRAINTS) {
            return Effects::CHANGES;
        }
        // A setting may have such a name: `SET local.tenant = 'acme'`.
        let next = self.next();
        match (next.token.kind, self.path()) {
            (Kind::Word | Kind::Quoted, Effects::NONE) if next.keyword != word::TO => {
                self.body(Mode::Query, next)
            }
            (Kind::Word | Kind::Quoted, path) if next.keyword != word::TO => path,
            _ => Effects::CHANGES,
        }
    }

    /// What the values of `SET LOCAL` leave behind that follow, as they may be a search path: what is created while
    /// the temporary schema is the first on it that exists is temporary, and outlives the transaction.
    fn path(&self) -> Effects {
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

    /// `DECLARE` of PostgreSQL: a cursor ends with its transaction unless it is held.
    fn declare(&mut self) -> Effects {
        let mut is_held = false;
        let mut prev = self.next();
        while !self.is_at_end {
            let seen = self.next();
            if seen.keyword == word::HOLD {
                is_held = prev.keyword != word::WITHOUT;
            }
            if matches!(seen.keyword, word::SELECT | word::VALUES) {
                let query = self.body(Mode::Query, seen);
                return if is_held { Effects::CHANGES } else { query };
            }
            prev = seen;
        }
        if is_held { Effects::CHANGES } else { Effects::MAY_CHANGE }
    }

    /// Everything from `first` to the end of the statement.
    fn body(&mut self, mut mode: Mode, first: Seen) -> Effects {
        let mut prev = first;
        let mut body = Body::new(first);
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
                        mode = Mode::Query;
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
                        (mode == Mode::Definition || is_made) && self.is_temporary_schema(prev);
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
    fn calls_unknown(&mut self, mode: Mode, name: Seen, body: &Body) -> bool {
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

    /// Whether the arguments of `set_config` are two plain ones and `true`, and what it sets is gone with the
    /// transaction.
    fn is_local(&self) -> bool {
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
                // Of a search path, see `path`.
                Kind::Text if grammar::begins_with_temporary_schema(lexer.bytes(token)) => {
                    return false;
                }
                Kind::Text | Kind::Number | Kind::Parameter | Kind::Operator => is_true = false,
                _ => return false,
            }
            len += 1;
        }
    }

    fn is_temporary_schema(&self, name: Seen) -> bool {
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
