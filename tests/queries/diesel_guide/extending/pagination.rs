//! A query in pages, with the number of all rows: a query of a type that is not Diesel's.
//!
//! It keeps the trait of diesel-async, and runs on a connection without a bind, which a session dereferences to.

use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::BigInt;
use diesel_async::RunQueryDsl;
use diesel_async::methods::LoadQuery;

use super::super::prelude::{Bare, Db};

pub(in super::super) trait Paginate: Sized {
    fn paginate(self, page: i64) -> Paginated<Self>;
}

impl<T> Paginate for T {
    fn paginate(self, page: i64) -> Paginated<Self> {
        Paginated { query: self, page, per_page: 10, offset: (page - 1) * 10 }
    }
}

#[derive(Debug, Clone, Copy, QueryId)]
pub(in super::super) struct Paginated<T> {
    query: T,
    page: i64,
    per_page: i64,
    offset: i64,
}

impl<T> Paginated<T> {
    pub(in super::super) fn per_page(self, per_page: i64) -> Self {
        Self { per_page, offset: (self.page - 1) * per_page, ..self }
    }

    pub(in super::super) async fn load_and_count_pages<'q, U>(
        self,
        connection: &mut Bare,
    ) -> QueryResult<(Vec<U>, i64)>
    where
        Self: LoadQuery<'q, Bare, (U, i64)> + 'q,
        U: Send + 'q,
    {
        let per_page = self.per_page;
        let rows = self.load::<(U, i64)>(connection).await?;
        let total = rows.iter().map(|(_, total)| *total).max().unwrap_or(0);
        let pages = (total + per_page - 1) / per_page;
        Ok((rows.into_iter().map(|(row, _)| row).collect(), pages))
    }
}

impl<T: Query> Query for Paginated<T> {
    type SqlType = (T::SqlType, BigInt);
}

impl<T: QueryFragment<Db>> QueryFragment<Db> for Paginated<T> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Db>) -> QueryResult<()> {
        out.push_sql("SELECT *, COUNT(*) OVER () FROM (");
        self.query.walk_ast(out.reborrow())?;
        out.push_sql(") t LIMIT ");
        out.push_bind_param::<BigInt, _>(&self.per_page)?;
        out.push_sql(" OFFSET ");
        out.push_bind_param::<BigInt, _>(&self.offset)?;
        Ok(())
    }
}
