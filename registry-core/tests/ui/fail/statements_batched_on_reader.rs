use diesel::prelude::*;
use registry_core::{Reader, RunQueryDsl, batched, bind_tables, binds};

binds! { Shop: Postgres = "shop"; }

diesel::table! { products (id) { id -> Integer, name -> Text, } }
bind_tables!(Shop; products);

async fn insert(reader: &Reader) {
    let rows = [products::name.eq("tea"), products::name.eq("milk")];
    let insert = batched(&rows, |rows| diesel::insert_into(products::table).values(rows));
    let _ = insert.execute(reader).await;
}

fn main() {}
