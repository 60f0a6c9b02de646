use registry_core::bind;

#[bind(table)]
mod models {
    diesel::table! { events { id -> BigInt, } }
}

fn main() {}
