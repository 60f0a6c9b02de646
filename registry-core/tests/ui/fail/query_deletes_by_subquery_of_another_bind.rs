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

async fn delete(session: &mut Session<People>) {
    let names = products::table.select(products::name);
    let gone = users::table.filter(users::name.eq_any(names));
    let _ = diesel::delete(gone).execute(session).await;
}

fn main() {}
