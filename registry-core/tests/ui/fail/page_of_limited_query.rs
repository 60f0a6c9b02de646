use diesel::prelude::*;
use registry_core::query::paginate::{PageRequest, PaginateDsl};
use registry_core::{Registry, bind_tables, binds};

binds! {
    Shop: Postgres = "shop";
}

diesel::table! { users (id) { id -> Integer, name -> Nullable<Text>, } }
diesel::table! { orders (id) { id -> Integer, user_id -> Integer, } }
diesel::joinable!(orders -> users (user_id));
diesel::allow_tables_to_appear_in_same_query!(orders, users);
bind_tables!(Shop; users, orders);

async fn load(registry: &Registry) {
    let users = users::table.order(users::id).limit(5).paginate(PageRequest::default());
    let _ = users.load::<(i32, Option<String>)>(registry).await;
}

fn main() {}
