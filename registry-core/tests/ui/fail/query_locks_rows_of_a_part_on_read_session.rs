use diesel::prelude::*;
use registry_core::{ReadSession, RunQueryDsl, bind_tables, binds};

binds! { Shop: Postgres = "shop"; }

diesel::table! { products (id) { id -> Integer, name -> Text, } }
bind_tables!(Shop; products);

async fn load(session: &mut ReadSession<Shop>) {
    let locked = products::table.select(products::id).for_share();
    let _ = products::table.select(products::id).union(locked).load::<i32>(session).await;
}

fn main() {}
