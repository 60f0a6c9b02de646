//! The tables of MariaDB, their row types, and what the subjects run.

use std::hint::black_box;

use diesel::prelude::*;
use diesel::sql_types::Text;
use diesel_async::{AsyncConnection, AsyncMysqlConnection, RunQueryDsl, SimpleAsyncConnection};
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

bind_tables!(db = "default", backend = Mysql; items, sales);

#[bind(backend = Mysql)]
#[derive(Queryable, Selectable, sqlx::FromRow)]
#[diesel(table_name = items)]
#[expect(dead_code, reason = "it is loaded and dropped")]
pub(crate) struct Item {
    id: i64,
    name: String,
    price: i32,
    in_stock: bool,
}

/// By default, Diesel would prepare the statement anew for each insert on MySQL, as each value might be `DEFAULT`.
#[derive(Insertable)]
#[diesel(table_name = sales, treat_none_as_default_value = false)]
pub(crate) struct Sale {
    pub(crate) item_id: i64,
    pub(crate) quantity: i32,
}

/// Creates the tables and fills that of the items.
pub(crate) async fn fill(url: &str) {
    let mut connection = AsyncMysqlConnection::establish(url).await.expect("a connection");
    let tables = format!(
        "CREATE TABLE items (
            id BIGINT PRIMARY KEY,
            name VARCHAR(100) NOT NULL,
            price INTEGER NOT NULL,
            in_stock BOOLEAN NOT NULL
        );
        CREATE TABLE sales (
            id BIGINT PRIMARY KEY AUTO_INCREMENT,
            item_id BIGINT NOT NULL,
            quantity INTEGER NOT NULL
        );
        INSERT INTO items
            SELECT seq, CONCAT('item number ', seq), seq % 1000, seq % 3 = 0 FROM seq_1_to_{ROWS}"
    );
    connection.batch_execute(&tables).await.expect("tables");
}

/// Checks that everything that is connected to this database came by TCP.
pub(crate) async fn check_sockets(url: &str) {
    #[derive(QueryableByName)]
    struct Client {
        #[diesel(sql_type = Text)]
        host: String,
    }

    let mut connection = AsyncMysqlConnection::establish(url).await.expect("a connection");
    let clients = "SELECT host FROM information_schema.processlist WHERE db = DATABASE()";
    let clients: Vec<Client> =
        diesel::sql_query(clients).load(&mut connection).await.expect("the list of processes");
    // By the Unix socket, there is no port.
    let is_tcp = |client: &Client| client.host.contains(':');
    assert!(clients.iter().all(is_tcp), "a subject has not connected by TCP");
}

pub(crate) async fn version(url: &str) -> String {
    let mut connection = AsyncMysqlConnection::establish(url).await.expect("a connection");
    let version = diesel::select(diesel::dsl::sql::<Text>("VERSION()"));
    version.get_result(&mut connection).await.expect("a version")
}

impl Connection for AsyncMysqlConnection {
    fn open(place: &str) -> BoxFuture<'_, ConnectionResult<Self>> {
        Box::pin(Self::establish(place))
    }

    async fn find(&mut self, id: i64) -> QueryResult<()> {
        let item: Item = items::table.find(id).select(Item::as_select()).get_result(self).await?;
        black_box(item);
        Ok(())
    }
}

impl Inserting for AsyncMysqlConnection {
    async fn insert(&mut self, item: i64) -> QueryResult<()> {
        let sale = Sale { item_id: item, quantity: 1 };
        diesel::insert_into(sales::table).values(sale).execute(self).await?;
        Ok(())
    }
}
