use registry_core::bind_foreign;

mod other_crate {
    diesel::table! { events { id -> BigInt, } }
}

struct Analytics;

bind_foreign!(Analytics; other_crate::events);

fn main() {}
