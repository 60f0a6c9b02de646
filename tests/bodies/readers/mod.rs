//! Readers: queries that only read, on each backend.

use std::error::Error as StdError;

use diesel::prelude::*;
use diesel_async::{AsyncConnectionCore, SimpleAsyncConnection};
use registry_core::{
    AnyExecutor, BindDsl, BindSettings, Error, Registry, RunQueryDsl, bind, bind_tables, binds,
};

use super::{Backend, NAME, database};

mod executors;
mod refusals;
mod servers;
mod snapshots;

diesel::table! { orders (id) { id -> Integer, customer -> Integer, note -> Nullable<Text>, } }
diesel::table! { customers (id) { id -> Integer, name -> Text, } }
diesel::allow_tables_to_appear_in_same_query!(orders, customers);

binds! { Shop: super::Backend = "shop"; }
bind_tables!(Shop; orders, customers);

type Db = <Backend as AsyncConnectionCore>::Backend;

#[bind(table)]
#[derive(Debug, Clone, PartialEq, Queryable, Selectable, Insertable, Identifiable, AsChangeset)]
#[diesel(table_name = orders)]
struct Order {
    id: i32,
    customer: i32,
    note: Option<String>,
}

/// A database with two orders of two customers.
async fn registry() -> Registry {
    registry_at(database().into()).await
}

async fn registry_at(settings: BindSettings) -> Registry {
    let registry = Registry::builder().bind("shop", settings).build().expect("good settings");
    let mut session = registry.session::<Shop>().await.expect("a session");
    for statement in [
        "CREATE TABLE orders (id INTEGER PRIMARY KEY NOT NULL, customer INTEGER NOT NULL, note VARCHAR(50))",
        "CREATE TABLE customers (id INTEGER PRIMARY KEY NOT NULL, name VARCHAR(50) NOT NULL)",
        "INSERT INTO orders VALUES (1, 7, 'gift'), (2, 8, NULL)",
        "INSERT INTO customers VALUES (7, 'ada'), (8, 'bob')",
    ] {
        session.batch_execute(statement).await.expect("a database as it should be");
    }
    drop(session);
    registry
}

/// Asserts that nothing was written.
async fn is_untouched(registry: &Registry) {
    let rows: Vec<Order> =
        orders::table.order(orders::id).load(registry).await.expect("the orders");
    let gift = Some("gift".to_owned());
    let expected =
        [(1, 7, gift), (2, 8, None)].map(|(id, customer, note)| Order { id, customer, note });
    assert_eq!(rows, expected);
}

/// The innermost error, as text.
fn cause(error: &(dyn StdError + 'static)) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
