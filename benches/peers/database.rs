//! The table that the subjects read, and its row type.

use diesel::prelude::*;
use diesel_async::{AsyncConnection, AsyncPgConnection, SimpleAsyncConnection};
use registry_core::{bind, bind_tables};

diesel::table! {
    items (id) {
        id -> BigInt,
        name -> Text,
        price -> Integer,
        in_stock -> Bool,
    }
}

/// The SQL that Diesel generates for `items.find(id)`, for peers that take text.
pub(crate) const QUERY: &str =
    "SELECT items.id, items.name, items.price, items.in_stock FROM items WHERE items.id = $1";

bind_tables!(db = "default", backend = Postgres; items);

const ROWS: u64 = 10_000;

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
    let mut connection = connect(url).await;
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

pub(crate) async fn connect(url: &str) -> AsyncPgConnection {
    AsyncPgConnection::establish(url).await.expect("a connection")
}

/// An existing id. Consecutive numbers visit all rows in a scattered order.
pub(crate) fn id_of(number: u64) -> i64 {
    let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    i64::try_from(mixed % ROWS + 1).expect("a small number")
}
