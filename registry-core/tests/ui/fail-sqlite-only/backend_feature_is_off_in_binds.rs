use registry_core::{bind, binds};

binds! {
    Analytics: Mysql = "analytics";
}

#[bind(Analytics)]
struct Event;

fn main() {}
