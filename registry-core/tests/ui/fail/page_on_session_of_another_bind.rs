use diesel::prelude::*;
use registry_core::query::paginate::{PageRequest, PaginateDsl};
use registry_core::{Session, bind_tables, binds};

binds! {
    Shop: Postgres = "shop";
    People: Postgres = "people";
}

diesel::table! { users (id) { id -> Integer, } }
bind_tables!(People; users);

async fn load(session: &mut Session<Shop>) {
    let users = users::table.order(users::id).paginate(PageRequest::default());
    let _ = users.load::<i32>(session).await;
}

fn main() {}
