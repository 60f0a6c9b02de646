use registry_core::bind_foreign;

mod other_crate {
    diesel::table! { events { id -> BigInt, } }
}

bind_foreign!(db = "analytics", backend = Postgres; other_crate::events, other_crate::events);

fn main() {}
