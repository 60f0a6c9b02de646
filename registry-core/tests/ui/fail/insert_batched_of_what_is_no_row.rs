use registry_core::{InsertBatchedDsl, Registry, RunQueryDsl, bind_tables};

diesel::table! { events { id -> BigInt, } }

bind_tables!(db = "analytics", backend = Postgres; events);

struct Event;

async fn insert(registry: &Registry) {
    let rows = vec![Event];
    let _ = events::table.insert_batched(&rows).execute(registry).await;
}

fn main() {}
