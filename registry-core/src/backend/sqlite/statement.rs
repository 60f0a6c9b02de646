//! A query on its way to the thread of a connection.

use diesel::QueryResult;
use diesel::backend::Backend;
use diesel::connection::Connection;
use diesel::query_builder::{
    CollectedQuery, MoveableBindCollector, QueryBuilder, QueryFragment, QueryId,
};
use diesel::sqlite::{Sqlite, SqliteQueryBuilder};

use super::thread::{Answer, Database};
use super::transaction;

type BindCollector<'a> = <Sqlite as Backend>::BindCollector<'a>;

/// A query whose SQL has been written and whose values have been collected: only the thread has the
/// connection, and what goes there holds no part of the query.
pub(super) struct Statement {
    pub(super) query:
        CollectedQuery<<BindCollector<'static> as MoveableBindCollector<Sqlite>>::BindData>,
    /// What it may do to a transaction.
    pub(super) effects: transaction::Effects,
    /// Whether it is known to change nothing, so that it can be ended before its last row.
    ///
    /// One that writes must come to its end: what it breaks is told there, and nobody would hear of it.
    pub(super) only_reads: bool,
}

impl Statement {
    /// The statement of a query, and its SQL.
    pub(super) fn of(
        query: &(impl QueryFragment<Sqlite> + QueryId),
    ) -> (QueryResult<Self>, String) {
        let mut builder = SqliteQueryBuilder::new();
        let written = query.to_sql(&mut builder, &Sqlite);
        let sql = builder.finish();
        let statement = written.and_then(|()| Self::collect(query, sql.clone()));
        (statement, sql)
    }

    fn collect(query: &impl QueryFragment<Sqlite>, sql: String) -> QueryResult<Self> {
        let is_safe_to_cache = query.is_safe_to_cache_prepared(&Sqlite)?;
        let mut collector = BindCollector::default();
        query.collect_binds(&mut collector, &mut (), &Sqlite)?;
        Ok(Self {
            effects: transaction::effects(&sql),
            only_reads: only_reads(&sql),
            query: CollectedQuery::new(sql, is_safe_to_cache, collector.moveable()),
        })
    }
}

/// Runs a statement for the number of rows that it changes.
pub(super) fn execute(
    database: &mut Database,
    statement: &Statement,
    answer: &mut Answer<(QueryResult<usize>, bool)>,
) {
    if answer.is_given_up() {
        return;
    }
    let result = database
        .run(statement.effects, |connection| connection.execute_returning_count(&statement.query));
    answer.send((result, database.has_cached()));
}

/// Whether a statement is known to change nothing. One that has rows and changes something has the word
/// `RETURNING` in it, or begins with neither of these.
fn only_reads(sql: &str) -> bool {
    match first_word(sql) {
        word if word.eq_ignore_ascii_case("SELECT") || word.eq_ignore_ascii_case("VALUES") => true,
        word if word.eq_ignore_ascii_case("WITH") => {
            !sql.as_bytes().windows(9).any(|word| word.eq_ignore_ascii_case(b"RETURNING"))
        }
        _ => false,
    }
}

/// The first word of a statement, behind its comments.
fn first_word(sql: &str) -> &str {
    let mut rest = sql.trim_start();
    loop {
        let (comment, end) = match rest.get(..2) {
            Some("--") => (&rest[2..], "\n"),
            Some("/*") => (&rest[2..], "*/"),
            _ => break,
        };
        let Some((_, behind)) = comment.split_once(end) else { return "" };
        rest = behind.trim_start();
    }
    let end = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
    &rest[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_write_is_not_taken_for_what_reads() {
        let reads = [
            "SELECT 1",
            "select(1)",
            "VALUES (1)",
            "WITH n AS (SELECT 1) SELECT * FROM n",
            " -- why\n /* what */\tSELECT 'returning'",
        ];
        let may_write = [
            "INSERT INTO t VALUES (1) RETURNING id",
            "WITH n AS (SELECT 1) DELETE FROM t returning id",
            "/* SELECT */ UPDATE t SET a = 1 RETURNING a",
            "-- SELECT",
            "PRAGMA journal_mode = WAL",
            "",
        ];
        for sql in reads {
            assert!(only_reads(sql), "{sql}");
        }
        for sql in may_write {
            assert!(!only_reads(sql), "{sql}");
        }
    }
}
