//! A query that is sent to a thread.

use std::sync::Arc;

use diesel::QueryResult;
use diesel::backend::Backend;
use diesel::connection::Connection;
use diesel::query_builder::{
    CollectedQuery, MoveableBindCollector, QueryBuilder, QueryFragment, QueryId,
};
use diesel::sqlite::{Sqlite, SqliteQueryBuilder};

use super::database::Database;
use super::jobs::{Answer, Length};
use super::transaction_effects;
use crate::sql;

type BindCollector<'a> = <Sqlite as Backend>::BindCollector<'a>;

/// A query as text and values. The connection is on another thread, and a Diesel query cannot be sent to another thread.
pub(super) struct Statement {
    pub(super) query:
        CollectedQuery<<BindCollector<'static> as MoveableBindCollector<Sqlite>>::BindData>,
    /// The possible effects of the query on a transaction.
    pub(super) effects: transaction_effects::TransactionEffects,
    pub(super) sql: Arc<str>,
    /// Whether the SQL text alone determines the names of the columns. Diesel's own queries name each column. Raw SQL, which
    /// Diesel does not cache, and text with `*` have the columns that the table has at that time.
    pub(super) has_fixed_names: bool,
    /// Whether the query is known to change nothing, so that it can be ended before its last row.
    ///
    /// A statement that writes has to run to its end, because SQLite reports a broken constraint only there, and the error
    /// would be lost.
    pub(super) only_reads: bool,
}

impl Statement {
    /// The statement of a query, and its SQL.
    pub(super) fn of(
        query: &(impl QueryFragment<Sqlite> + QueryId),
    ) -> (QueryResult<Self>, Arc<str>) {
        let mut builder = SqliteQueryBuilder::new();
        let written = query.to_sql(&mut builder, &Sqlite);
        let sql = builder.finish();
        let shared = Arc::from(sql.as_str());
        let statement = written.and_then(|()| Self::collect(query, sql, Arc::clone(&shared)));
        (statement, shared)
    }

    pub(super) fn length(&self) -> Length {
        if self.only_reads { Length::Short } else { Length::MayBlock }
    }

    fn collect(
        query: &impl QueryFragment<Sqlite>,
        sql: String,
        shared: Arc<str>,
    ) -> QueryResult<Self> {
        let is_safe_to_cache = query.is_safe_to_cache_prepared(&Sqlite)?;
        let mut collector = BindCollector::default();
        query.collect_binds(&mut collector, &mut (), &Sqlite)?;
        Ok(Self {
            effects: transaction_effects::effects(&sql),
            only_reads: sql::only_reads(&sql),
            has_fixed_names: is_safe_to_cache && !has_star(sql::without_tags(&sql)),
            sql: shared,
            query: CollectedQuery::new(sql, is_safe_to_cache, collector.moveable()),
        })
    }
}

/// Whether the columns of a table may be selected by `*` or `t.*`. `count(*)` selects none.
fn has_star(sql: &str) -> bool {
    sql.match_indices('*').any(|(at, _)| !sql[..at].ends_with('('))
}

/// Runs a statement, and returns the number of rows that it changed.
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
    let result =
        result.map(|changed| if sql::counts_changes(&statement.sql) { changed } else { 0 });
    answer.finish((result, database.has_cached()));
}
