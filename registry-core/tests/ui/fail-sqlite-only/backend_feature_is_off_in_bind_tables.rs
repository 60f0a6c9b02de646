use registry_core::bind_tables;

mod schema {
    diesel::table! { events { id -> BigInt, } }
    diesel::table! { clicks { id -> BigInt, } }
}

bind_tables!(db = "analytics", backend = Postgres; schema::events, schema::clicks);

fn main() {}
