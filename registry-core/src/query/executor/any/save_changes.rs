//! `save_changes` on an `AnyExecutor`.

use diesel::QueryResult;
use diesel::associations::{HasTable, Identifiable};
use diesel_async::UpdateAndFetchResults;
use futures_util::future::BoxFuture;

use super::connection::AnyConnection;

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
                self.exclusive().update_and_fetch(changeset)
            }
        }
    )*};
}

save_changes_on! {
    "postgres" Postgres;
    "mysql" Mysql;
    "sqlite" Sqlite;
}
