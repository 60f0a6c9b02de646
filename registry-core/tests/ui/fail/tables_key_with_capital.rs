use registry_core::bind_tables;

mod schema {
    diesel::table! { events { id -> BigInt, } }
}

bind_tables!(db = "Analytics", backend = Postgres; schema::events);

fn main() {}
