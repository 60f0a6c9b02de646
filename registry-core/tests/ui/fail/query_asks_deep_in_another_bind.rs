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

async fn ask(session: &mut Session<People>) {
    let names = products::table.select(products::name);
    let named_alike = users::table.filter(users::name.eq_any(names));
    let any = diesel::select(diesel::dsl::exists(named_alike));
    let _ = any.get_result::<bool>(session).await;
}

fn main() {}
