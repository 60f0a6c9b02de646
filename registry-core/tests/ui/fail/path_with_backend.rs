use registry_core::{bind, binds};

binds! {
    Analytics: Postgres = "analytics";
}

#[bind(Analytics, backend = Mysql)]
struct Event;

fn main() {}
