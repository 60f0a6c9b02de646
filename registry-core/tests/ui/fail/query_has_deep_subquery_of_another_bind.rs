use diesel::prelude::*;
use registry_core::{Registry, RunQueryDsl, bind_tables, binds};

binds! {
    Shop: Postgres = "shop";
    People: Postgres = "people";
}

diesel::table! { users (id) { id -> Integer, name -> Text, } }
diesel::table! { teams (id) { id -> Integer, name -> Text, } }
diesel::table! { products (id) { id -> Integer, name -> Text, } }
diesel::allow_tables_to_appear_in_same_query!(users, teams, products);
bind_tables!(People; users, teams);
bind_tables!(Shop; products);

async fn load(registry: &Registry) {
    let names = teams::table.filter(teams::name.eq_any(products::table.select(products::name)));
    let named_alike = users::table.filter(users::name.eq_any(names.select(teams::name)));
    let _ = named_alike.load::<(i32, String)>(registry).await;
}

fn main() {}
