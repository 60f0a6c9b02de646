use registry_core::{InsertBatchedDsl, Registry, RunQueryDsl, bind_tables};

diesel::table! { events { id -> BigInt, } }

bind_tables!(db = "analytics", backend = Postgres; events);

async fn insert(registry: &Registry) {
    let rows = vec!["sign-up"];
    let _ = events::table.insert_batched(&rows).execute(registry).await;
}

fn main() {}
