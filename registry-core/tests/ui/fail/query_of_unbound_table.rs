use diesel::prelude::*;
use registry_core::{Registry, RunQueryDsl};

diesel::table! { users (id) { id -> Integer, name -> Text, } }

async fn load(registry: &Registry) {
    let _ = users::table.select(users::id).load::<i32>(registry).await;
}

fn main() {}
