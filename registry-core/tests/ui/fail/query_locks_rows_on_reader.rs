use diesel::prelude::*;
use registry_core::{Reader, RunQueryDsl, bind_tables, binds};

binds! { Shop: Postgres = "shop"; }

diesel::table! { products (id) { id -> Integer, name -> Text, } }
bind_tables!(Shop; products);

async fn load(reader: &Reader) {
    let _ = products::table.for_update().load::<(i32, String)>(reader).await;
}

fn main() {}
