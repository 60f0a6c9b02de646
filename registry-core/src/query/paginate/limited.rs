//! A query with `LIMIT` and `OFFSET`, and the query that counts its rows.

use diesel::QueryResult;
use diesel::backend::Backend;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::serialize::ToSql;
use diesel::sql_types::{BigInt, HasSqlType};

use crate::settings::BackendKind;

/// A query of any type with `LIMIT` and `OFFSET`.
///
/// Diesel's own methods are not implemented for all types of queries, and replace a `LIMIT` of the query. Here the
/// query is known to have none.
#[derive(Debug)]
pub(in crate::query) struct Limited<Q> {
    pub(in crate::query) query: Q,
    pub(in crate::query) limit: i64,
    pub(in crate::query) offset: i64,
}

impl<Q: Query> Query for Limited<Q> {
    type SqlType = Q::SqlType;
}

impl<Q> QueryId for Limited<Q> {
    type QueryId = ();

    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<DB, Q> QueryFragment<DB> for Limited<Q>
where
    DB: Backend + HasSqlType<BigInt>,
    i64: ToSql<BigInt, DB>,
    Q: QueryFragment<DB>,
{
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        self.query.walk_ast(out.reborrow())?;
        out.push_sql(" LIMIT ");
        out.push_bind_param::<BigInt, _>(&self.limit)?;
        if self.offset > 0 {
            out.push_sql(" OFFSET ");
            out.push_bind_param::<BigInt, _>(&self.offset)?;
        }
        Ok(())
    }
}

/// The number of rows of a query.
#[derive(Debug)]
pub(in crate::query) struct Counted<Q> {
    pub(super) query: Q,
    pub(super) backend: BackendKind,
    /// The number of columns of the query.
    pub(super) columns: Option<usize>,
}

impl<Q> Query for Counted<Q> {
    type SqlType = BigInt;
}

impl<Q> QueryId for Counted<Q> {
    type QueryId = ();

    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<DB: Backend, Q: QueryFragment<DB>> QueryFragment<DB> for Counted<Q> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        match (self.backend, self.columns) {
            // Two columns of one name, as a join has them, are an error in a derived table of MySQL.
            (BackendKind::Mysql, Some(columns)) => {
                out.push_sql("WITH counted (");
                for column in 1..=columns {
                    out.push_sql(if column == 1 { "c" } else { ", c" });
                    out.push_sql(&column.to_string());
                }
                out.push_sql(") AS (");
                self.query.walk_ast(out.reborrow())?;
                out.push_sql(") SELECT COUNT(*) FROM counted");
            }
            _ => {
                out.push_sql("SELECT COUNT(*) FROM (");
                self.query.walk_ast(out.reborrow())?;
                out.push_sql(") AS counted");
            }
        }
        Ok(())
    }
}
