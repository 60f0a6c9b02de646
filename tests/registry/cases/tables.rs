//! A program whose tables and models are in a crate that builds without a driver (`tests/tables`).

use diesel::prelude::*;
use registry_core::{BindDsl, Registry, RunQueryDsl};
use registry_tables::schema::{items, orders};
use registry_tables::{Item, Stock};

const CREATE: [&str; 2] = [
    "CREATE TABLE items (id INTEGER PRIMARY KEY, name TEXT NOT NULL)",
    "CREATE TABLE orders (id INTEGER PRIMARY KEY, item_id INTEGER NOT NULL)",
];

#[tokio::test]
async fn tables_of_a_crate_without_a_driver_are_routed() {
    let registry = Registry::builder()
        .bind("default", "sqlite::memory:")
        .bind("stock", "sqlite::memory:")
        .build()
        .expect("good settings");
    for create in CREATE {
        diesel::sql_query(create).bound_to::<Item>().execute(&registry).await.expect("a table");
    }
    let nail = Item { id: 1, name: "nail".to_owned() };
    diesel::insert_into(items::table).values(&nail).execute(&registry).await.expect("a row");
    diesel::insert_into(orders::table)
        .values((orders::id.eq(7), orders::item_id.eq(1)))
        .execute(&registry)
        .await
        .expect("a row");

    let ordered: Vec<(i32, Item)> = orders::table
        .inner_join(items::table)
        .select((orders::id, Item::as_select()))
        .load(&registry)
        .await
        .expect("rows");
    assert_eq!(ordered, [(7, nail)]);
    let mut session = registry.session::<Stock>().await.expect("a session");
    let count: i64 = items::table.count().get_result(&mut session).await.expect("a count");
    assert_eq!(count, 1);
}

#[tokio::test]
async fn verify_knows_the_tables_of_a_crate_without_a_driver() {
    let registry = Registry::builder().bind("default", "sqlite::memory:").build();
    let error = registry.expect("good settings").verify().await.expect_err("`stock` is missing");
    let text = error.to_string();
    for name in ["registry_tables::schema::items", "registry_tables::Item"] {
        assert!(text.contains(name), "{name} is not in: {text}");
    }
}
