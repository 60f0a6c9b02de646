use diesel::prelude::*;
use registry_core::{RunQueryDsl, Tenant, bind_tables, binds};

binds! {
    Shop: Postgres = "shop";
    People: Postgres = "people";
}

diesel::table! { users (id) { id -> Integer, name -> Text, } }
diesel::table! { products (id) { id -> Integer, name -> Text, } }
diesel::allow_tables_to_appear_in_same_query!(users, products);
bind_tables!(People; users);
bind_tables!(Shop; products);

async fn load(tenant: &Tenant) {
    let locked = users::table.select(users::id).for_share();
    let _ = users::table.select(users::id).union(locked).load::<i32>(tenant).await;
}

fn main() {}
