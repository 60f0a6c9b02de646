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
    let one = 1.into_sql::<diesel::sql_types::Integer>();
    let _ = diesel::select(one).get_result::<i32>(registry).await;
}

fn main() {}
