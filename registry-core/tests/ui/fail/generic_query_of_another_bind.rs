use registry_core::query::QueryOf;
use registry_core::{Session, bind_tables, binds};

binds! {
    Shop: Postgres = "shop";
    People: Postgres = "people";
}

diesel::table! { users (id) { id -> Integer, name -> Text, } }
diesel::table! { products (id) { id -> Integer, name -> Text, } }
diesel::allow_tables_to_appear_in_same_query!(users, products);
bind_tables!(People; users);
bind_tables!(Shop; products);

async fn all<Q: QueryOf<Shop, (i32, String)>>(query: Q, session: &mut Session<Shop>) {
    let _ = query.load_on(session).await;
}

async fn call(session: &mut Session<Shop>) {
    all(products::table, &mut *session).await;
    all(users::table, session).await;
}

fn main() {}
