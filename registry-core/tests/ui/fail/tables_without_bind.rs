use registry_core::bind_tables;

mod schema {
    diesel::table! { events { id -> BigInt, } }
}

bind_tables!(; schema::events);

fn main() {}
