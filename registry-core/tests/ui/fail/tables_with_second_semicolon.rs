use registry_core::bind_tables;

mod schema {
    diesel::table! { users { id -> BigInt, } }
    diesel::table! { events { id -> BigInt, } }
}

bind_tables!(db = "default", backend = Sqlite; schema::users; schema::events);

fn main() {}
