use registry_core::bind;

#[bind(Analytics)]
struct Event;

#[bind(Analytics)]
mod models {
    diesel::table! { clicks { id -> BigInt, } }
    diesel::table! { views { id -> BigInt, } }
}

fn main() {}
