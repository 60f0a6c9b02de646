use diesel::prelude::*;
use registry_core::{InsertBatchedDsl, Reader, RunQueryDsl, bind_tables, binds};

binds! { Shop: Postgres = "shop"; }

diesel::table! { products (id) { id -> Integer, name -> Text, } }
bind_tables!(Shop; products);

async fn insert(reader: &Reader) {
    let rows = [products::name.eq("tea"), products::name.eq("milk")];
    let _ = products::table.insert_batched(&rows).execute(reader).await;
}

fn main() {}
