use registry_core::{bind_foreign, bind_tables};

mod schema {
    diesel::table! { events { id -> BigInt, } }
}

bind_tables!(db = "analytics", backend = Postgres; schema::events);
bind_foreign!(db = "reports", backend = Postgres; schema::events);

fn main() {}
