//! Executors beyond those of the crate's own types: `AnyExecutor`, executors of a program, and generic code.
//!
//! Both databases have both tables, so a query in the wrong database would find other rows.

use diesel::prelude::*;
use diesel_async::{AsyncConnectionCore, SimpleAsyncConnection};
use registry_core::{
    AnyExecutor, BindDsl, Bound, Error, Registry, RunQueryDsl, bind, bind_tables, binds,
};

use super::{Backend, database};

mod any;
mod generic;
mod own;

diesel::table! { orders (id) { id -> Integer, customer -> Integer, note -> Nullable<Text>, } }
diesel::table! { contacts (id) { id -> Integer, name -> Text, } }
diesel::allow_tables_to_appear_in_same_query!(orders, contacts);

binds! {
    Shop: super::Backend = "shop";
    Crm: super::Backend = "crm";
}
bind_tables!(Shop; orders);
bind_tables!(Crm; contacts);

type Db = <Backend as AsyncConnectionCore>::Backend;

#[bind(table)]
#[derive(Debug, Clone, PartialEq, Queryable, Selectable, Insertable, Identifiable, AsChangeset)]
#[diesel(table_name = orders)]
struct Order {
    id: i32,
    customer: i32,
    note: Option<String>,
}

#[bind(table)]
#[derive(Debug, Clone, PartialEq, Queryable, Selectable, Insertable, Identifiable)]
#[diesel(table_name = contacts)]
struct Person {
    id: i32,
    name: String,
}

fn order(id: i32, customer: i32) -> Order {
    Order { id, customer, note: None }
}

async fn registry() -> Registry {
    let registry = Registry::builder()
        .bind("shop", database())
        .bind("crm", database())
        .build()
        .expect("good settings");
    for key in ["shop", "crm"] {
        let mut session = registry.session_by_key::<Backend>(key).await.expect("a session");
        for statement in [
            "CREATE TABLE orders (id INTEGER PRIMARY KEY NOT NULL, customer INTEGER NOT NULL, note VARCHAR(50))",
            "CREATE TABLE contacts (id INTEGER PRIMARY KEY NOT NULL, name VARCHAR(50) NOT NULL)",
        ] {
            session.batch_execute(statement).await.expect("an empty database");
        }
    }
    registry
}

/// The ids of all orders, by a query of its own.
async fn ids(registry: &Registry) -> Vec<i32> {
    orders::table.select(orders::id).order(orders::id).load(registry).await.expect("rows")
}
