//! The table of PostgreSQL that the subjects read, its row type, and what they run.

use std::hint::black_box;

use diesel::prelude::*;
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use futures_util::future::BoxFuture;
use registry_core::{bind, bind_tables};

use crate::peers::{Connection, ROWS};

diesel::table! {
    items (id) {
        id -> BigInt,
        name -> Text,
        price -> Integer,
        in_stock -> Bool,
    }
}

/// The SQL that Diesel generates for `items.find(id)`, for peers that take text.
pub(crate) const FIND: &str =
    "SELECT items.id, items.name, items.price, items.in_stock FROM items WHERE items.id = $1";

bind_tables!(db = "default", backend = Postgres; items);

#[bind(backend = Postgres)]
#[derive(Queryable, Selectable, sqlx::FromRow)]
#[diesel(table_name = items)]
#[expect(dead_code, reason = "it is loaded and dropped")]
pub(crate) struct Item {
    id: i64,
    name: String,
    price: i32,
    in_stock: bool,
}

/// Creates and fills the table.
pub(crate) async fn fill(url: &str) {
    let mut connection = AsyncPgConnection::establish(url).await.expect("a connection");
    let table = format!(
        "CREATE TABLE items (
            id BIGINT PRIMARY KEY,
            name TEXT NOT NULL,
            price INTEGER NOT NULL,
            in_stock BOOLEAN NOT NULL
        );
        INSERT INTO items
            SELECT n, 'item number ' || n, n % 1000, n % 3 = 0 FROM generate_series(1, {ROWS}) n"
    );
    connection.batch_execute(&table).await.expect("a table");
    connection.batch_execute("VACUUM ANALYZE items").await.expect("a table at rest");
}

pub(crate) async fn version(url: &str) -> String {
    let mut connection = AsyncPgConnection::establish(url).await.expect("a connection");
    let version = diesel::dsl::sql::<diesel::sql_types::Text>("SHOW server_version");
    version.get_result(&mut connection).await.expect("a version")
}

impl Connection for AsyncPgConnection {
    fn open(place: &str) -> BoxFuture<'_, ConnectionResult<Self>> {
        Box::pin(Self::establish(place))
    }

    async fn find(&mut self, id: i64) -> QueryResult<()> {
        let item: Item = items::table.find(id).select(Item::as_select()).get_result(self).await?;
        black_box(item);
        Ok(())
    }
}
