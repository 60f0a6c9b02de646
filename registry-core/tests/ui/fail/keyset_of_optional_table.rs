use diesel::prelude::*;
use registry_core::query::paginate::PaginateDsl;
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
    let users = users::table.left_join(orders::table).select((users::id, orders::id.nullable()));
    let key = |(id, order): &(i32, Option<i32>)| (order.unwrap_or_default(), *id);
    let _ = users.keyset((orders::id.asc(), users::id.asc())).load(registry, key).await;
}

fn main() {}
