use diesel::prelude::*;
use registry_core::{Reader, RunQueryDsl, bind_tables, binds};

binds! { Shop: Postgres = "shop"; }

diesel::table! { products (id) { id -> Integer, name -> Text, } }
bind_tables!(Shop; products);

async fn insert(reader: &Reader) {
    let tea = products::name.eq("tea");
    let _ = diesel::insert_into(products::table).values(tea).execute(reader).await;
}

fn main() {}
