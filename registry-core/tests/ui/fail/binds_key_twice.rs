use registry_core::binds;

binds! {
    Analytics: Postgres = "analytics";
    Statistics: Postgres = "analytics";
}

fn main() {}
