//! The tables of SQLite, their row types, and what the subjects run.

use std::hint::black_box;
use std::path::Path;

use diesel::connection::SimpleConnection;
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::Text;
use diesel_async::sync_connection_wrapper::SyncConnectionWrapper;
use diesel_async::{AsyncConnection, RunQueryDsl, SimpleAsyncConnection};
use futures_util::future::BoxFuture;
use registry_core::{bind, bind_tables};

use crate::peers::{Connection, Inserting, ROWS};

diesel::table! {
    items (id) {
        id -> BigInt,
        name -> Text,
        price -> Integer,
        in_stock -> Bool,
    }
}

diesel::table! {
    sales (id) {
        id -> BigInt,
        item_id -> BigInt,
        quantity -> Integer,
    }
}

/// The SQL that Diesel generates for `items.find(id)`, for peers that take text.
pub(crate) const FIND: &str = "SELECT `items`.`id`, `items`.`name`, `items`.`price`, `items`.`in_stock` FROM `items` WHERE `items`.`id` = ?";

/// The same for the insert of a [`Sale`].
pub(crate) const INSERT: &str = "INSERT INTO `sales` (`item_id`, `quantity`) VALUES (?, ?)";

/// What the library sets on a connection, or SQLite by default, for the peers that set nothing. `busy_timeout` is first:
/// the others may have to wait.
pub(crate) const SETTINGS: &str = "PRAGMA busy_timeout = 5000;
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = FULL;
    PRAGMA foreign_keys = ON;";

/// Reads those settings, for [`check`].
pub(crate) const STATE: &str =
    "SELECT journal_mode || ', synchronous ' || synchronous || ', foreign_keys ' || foreign_keys
        || ', busy_timeout ' || timeout
    FROM pragma_journal_mode, pragma_synchronous, pragma_foreign_keys, pragma_busy_timeout";

bind_tables!(db = "default", backend = Sqlite; items, sales);

#[bind(backend = Sqlite)]
#[derive(Queryable, Selectable, sqlx::FromRow)]
#[diesel(table_name = items)]
#[expect(dead_code, reason = "it is loaded and dropped")]
pub(crate) struct Item {
    id: i64,
    name: String,
    price: i32,
    in_stock: bool,
}

#[derive(Insertable)]
#[diesel(table_name = sales)]
pub(crate) struct Sale {
    pub(crate) item_id: i64,
    pub(crate) quantity: i32,
}

/// Creates a file with both tables, and fills that of the items.
pub(crate) fn fill(path: &Path) {
    let mut connection = connect(&path.display().to_string()).expect("a new file");
    let tables = format!(
        "CREATE TABLE items (
            id INTEGER PRIMARY KEY NOT NULL,
            name TEXT NOT NULL,
            price INTEGER NOT NULL,
            in_stock BOOLEAN NOT NULL
        );
        CREATE TABLE sales (
            id INTEGER PRIMARY KEY NOT NULL,
            item_id BIGINT NOT NULL REFERENCES items (id),
            quantity INTEGER NOT NULL
        );
        WITH RECURSIVE numbers (n) AS (
            SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {ROWS}
        )
        INSERT INTO items SELECT n, 'item number ' || n, n % 1000, n % 3 = 0 FROM numbers;
        PRAGMA wal_checkpoint(TRUNCATE);"
    );
    connection.batch_execute(&tables).expect("tables");
}

/// Diesel's connection, with the settings of all subjects.
pub(crate) fn connect(path: &str) -> ConnectionResult<SqliteConnection> {
    let mut connection = <SqliteConnection as diesel::Connection>::establish(path)?;
    connection.batch_execute(SETTINGS).map_err(ConnectionError::CouldntSetupConfiguration)?;
    let state = diesel::RunQueryDsl::get_result::<String>(sql::<Text>(STATE), &mut connection);
    check(&state.map_err(ConnectionError::CouldntSetupConfiguration)?);
    Ok(connection)
}

/// Checks what a connection of a subject answers to [`STATE`]: 2 is `FULL`.
pub(crate) fn check(state: &str) {
    assert_eq!(state, "wal, synchronous 2, foreign_keys 1, busy_timeout 5000");
}

pub(crate) fn version() -> String {
    let mut connection =
        <SqliteConnection as diesel::Connection>::establish(":memory:").expect("a connection");
    let version = diesel::select(sql::<Text>("sqlite_version()"));
    diesel::RunQueryDsl::get_result(version, &mut connection).expect("a version")
}

impl Connection for SyncConnectionWrapper<SqliteConnection> {
    fn open(place: &str) -> BoxFuture<'_, ConnectionResult<Self>> {
        Box::pin(async move {
            let mut connection = <Self as AsyncConnection>::establish(place).await?;
            let settings = SimpleAsyncConnection::batch_execute(&mut connection, SETTINGS).await;
            settings.map_err(ConnectionError::CouldntSetupConfiguration)?;
            let state: String = RunQueryDsl::get_result(sql::<Text>(STATE), &mut connection)
                .await
                .map_err(ConnectionError::CouldntSetupConfiguration)?;
            check(&state);
            Ok(connection)
        })
    }

    async fn find(&mut self, id: i64) -> QueryResult<()> {
        let query = items::table.find(id).select(Item::as_select());
        let item: Item = RunQueryDsl::get_result(query, self).await?;
        black_box(item);
        Ok(())
    }
}

impl Inserting for SyncConnectionWrapper<SqliteConnection> {
    async fn insert(&mut self, item: i64) -> QueryResult<()> {
        let sale = Sale { item_id: item, quantity: 1 };
        RunQueryDsl::execute(diesel::insert_into(sales::table).values(sale), self).await?;
        Ok(())
    }
}
