//! Readers: queries that only read, on each backend.

use diesel::prelude::*;
use diesel_async::SimpleAsyncConnection;
use registry_core::{BindDsl, Registry, RunQueryDsl, bind_tables, binds};

use super::{Backend, database};

mod executors;

diesel::table! { orders (id) { id -> Integer, customer -> Integer, note -> Nullable<Text>, } }

binds! { Shop: super::Backend = "shop"; }
bind_tables!(Shop; orders);

/// A database with two orders.
async fn registry() -> Registry {
    let registry = Registry::builder().bind("shop", database()).build().expect("good settings");
    let mut session = registry.session_by_key::<Backend>("shop").await.expect("a session");
    for statement in [
        "CREATE TABLE orders (id INTEGER PRIMARY KEY NOT NULL, customer INTEGER NOT NULL, note VARCHAR(50))",
        "INSERT INTO orders VALUES (1, 7, 'gift'), (2, 8, NULL)",
    ] {
        session.batch_execute(statement).await.expect("a database as it should be");
    }
    drop(session);
    registry
}
