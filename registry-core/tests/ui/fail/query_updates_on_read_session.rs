use diesel::prelude::*;
use registry_core::{ReadSession, RunQueryDsl, bind_tables, binds};

binds! { Shop: Postgres = "shop"; }

diesel::table! { products (id) { id -> Integer, name -> Text, } }
bind_tables!(Shop; products);

async fn rename(session: &mut ReadSession<Shop>) {
    let renamed = diesel::update(products::table.find(1)).set(products::name.eq("tea"));
    let _ = renamed.returning(products::id).get_result::<i32>(session).await;
}

fn main() {}
