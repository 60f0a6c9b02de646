use registry_core::bind_tables;

mod schema {
    diesel::table! { events { id -> BigInt, } }
}

bind_tables!(db = "analytics", backend = Postgres; schema::events);
bind_tables!(db = "reports", backend = Postgres; schema::events);

fn main() {}
