use diesel::prelude::*;
use registry_core::{Session, query::Lender, bind_tables, binds};

binds! {
    Shop: Postgres = "shop";
    People: Postgres = "people";
}

diesel::table! { users (id) { id -> Integer, name -> Text, } }
diesel::table! { products (id) { id -> Integer, name -> Text, } }
diesel::allow_tables_to_appear_in_same_query!(users, products);
bind_tables!(People; users);
bind_tables!(Shop; products);

async fn names<E: Lender<People>>(_: E) {}

async fn call(session: &mut Session<Shop>) {
    names(session).await;
}

fn main() {}
