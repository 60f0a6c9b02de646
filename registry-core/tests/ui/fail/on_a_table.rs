use registry_core::bind;

#[bind(db = "analytics", backend = Postgres)]
diesel::table! { events { id -> BigInt, } }

fn main() {}
