use diesel::prelude::*;
use registry_core::{Registry, RunQueryDsl, bind_tables, binds};

binds! {
    Shop: Postgres = "shop";
    People: Postgres = "people";
}

diesel::table! { users (id) { id -> Integer, name -> Text, } }
diesel::table! { products (id) { id -> Integer, name -> Text, } }
diesel::allow_tables_to_appear_in_same_query!(users, products);
bind_tables!(People; users);
bind_tables!(Shop; products);

async fn ask(registry: &Registry) {
    let users = diesel::dsl::exists(users::table.select(users::id));
    let products = diesel::dsl::exists(products::table.select(products::id));
    let _ = diesel::select(users.and(products)).get_result::<bool>(registry).await;
}

fn main() {}
