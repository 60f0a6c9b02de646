use registry_core::{bind, bind_tables, binds};

binds! {
    Shop: Postgres = "shop";
    People: Postgres = "people";
}

diesel::table! { users (id) { id -> Integer, } }
bind_tables!(People; users);

#[bind(Shop)]
#[derive(diesel::Queryable)]
#[diesel(table_name = users)]
struct User {
    id: i32,
}

fn main() {}
