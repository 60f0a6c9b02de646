use diesel::prelude::*;
use registry_core::{RunQueryDsl, Session, bind_tables, binds};

binds! {
    Shop: Postgres = "shop";
    People: Postgres = "people";
}

diesel::table! { users (id) { id -> Integer, name -> Text, } }
diesel::table! { products (id) { id -> Integer, name -> Text, } }
diesel::allow_tables_to_appear_in_same_query!(users, products);
bind_tables!(People; users);
bind_tables!(Shop; products);

async fn load(session: &mut Session<People>) {
    let both = users::table.select(users::id).union(products::table.select(products::id));
    let _ = both.load::<i32>(session).await;
}

fn main() {}
