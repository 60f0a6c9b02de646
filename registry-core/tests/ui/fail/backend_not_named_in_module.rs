use registry_core::bind;

#[bind(db = "analytics")]
mod models {
    diesel::table! { events { id -> BigInt, } }
    diesel::table! { clicks { id -> BigInt, } }
}

fn main() {}
