//! `save_changes` on an `AnyExecutor`.

use diesel::QueryResult;
use diesel::associations::{HasTable, Identifiable};
use diesel_async::UpdateAndFetchResults;
use futures_util::future::BoxFuture;

use super::connection::AnyConnection;

#[cfg(any(feature = "mysql", feature = "sqlite"))]
macro_rules! save_changes_on {
    ($($feature:literal $connection:ident;)*) => {$(
        #[cfg(feature = $feature)]
        impl<Changes, Output> UpdateAndFetchResults<Changes, Output>
            for AnyConnection<'_, crate::backend::$connection>
        where
            Changes: Identifiable + HasTable,
            crate::backend::$connection: UpdateAndFetchResults<Changes, Output>,
        {
            fn update_and_fetch<'conn, 'changes>(
                &'conn mut self,
                changeset: Changes,
            ) -> BoxFuture<'changes, QueryResult<Output>>
            where
                Changes: 'changes,
                'conn: 'changes,
                Self: 'changes,
            {
                match self.exclusive() {
                    Ok(connection) => connection.update_and_fetch(changeset),
                    Err(error) => Box::pin(async { Err(error) }),
                }
            }
        }
    )*};
}

#[cfg(any(feature = "mysql", feature = "sqlite"))]
save_changes_on! {
    "mysql" Mysql;
    "sqlite" Sqlite;
}

#[cfg(feature = "postgres")]
mod postgres {
    use diesel::Table;
    use diesel::query_builder::{AsChangeset, AsQuery, IntoUpdateTarget, UpdateStatement};
    use diesel::query_dsl::methods::FindDsl;
    use diesel_async::RunQueryDsl;
    use diesel_async::methods::LoadQuery;
    use futures_util::FutureExt;

    use super::*;
    use crate::backend::Postgres;

    // diesel-async implements it for an exclusive connection. The bounds are the same.
    impl<'b, Changes, Output, Tab, V> UpdateAndFetchResults<Changes, Output>
        for AnyConnection<'_, Postgres>
    where
        Output: Send + 'static,
        Changes: Copy + AsChangeset<Target = Tab> + Send + Identifiable<Table = Tab> + HasTable,
        Tab: Table + FindDsl<Changes::Id> + 'b,
        diesel::dsl::Find<Tab, Changes::Id>: IntoUpdateTarget<Table = Tab, WhereClause = V>,
        UpdateStatement<Tab, V, Changes::Changeset>: AsQuery,
        diesel::dsl::Update<Changes, Changes>: LoadQuery<'b, Self, Output>,
        V: Send + 'b,
        Changes::Changeset: Send + 'b,
        Tab::FromClause: Send,
    {
        fn update_and_fetch<'conn, 'changes>(
            &'conn mut self,
            changeset: Changes,
        ) -> BoxFuture<'changes, QueryResult<Output>>
        where
            Changes: 'changes,
            'conn: 'changes,
            Self: 'changes,
        {
            async move { diesel::update(changeset).set(changeset).get_result(self).await }.boxed()
        }
    }
}
