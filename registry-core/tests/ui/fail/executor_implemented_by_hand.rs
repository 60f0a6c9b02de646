use registry_core::query::Executor;
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

/// A query of the program, which the executor below would not check.
struct Page;

impl<Via> Executor<Page, Shop, Via> for &mut Session<Shop> {}

fn main() {}
