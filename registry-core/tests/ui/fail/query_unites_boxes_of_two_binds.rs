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

async fn load(registry: &Registry) {
    let users = users::table.select(users::id).into_boxed::<diesel::pg::Pg>();
    let both = users.union(products::table.select(products::id).into_boxed());
    let _ = both.load::<i32>(registry).await;
}

fn main() {}
