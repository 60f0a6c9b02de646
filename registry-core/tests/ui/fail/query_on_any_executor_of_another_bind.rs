use registry_core::{AnyExecutor, RunQueryDsl, bind_tables, binds};

binds! {
    Shop: Postgres = "shop";
    People: Postgres = "people";
}

diesel::table! { users (id) { id -> Integer, name -> Text, } }
diesel::table! { products (id) { id -> Integer, name -> Text, } }
diesel::allow_tables_to_appear_in_same_query!(users, products);
bind_tables!(People; users);
bind_tables!(Shop; products);

async fn load(on: &mut AnyExecutor<'_, Shop>) {
    let _ = users::table.load::<(i32, String)>(on).await;
}

fn main() {}
