use registry_core::binds;

binds! {
    Analytics: Postgres = analytics;
}

fn main() {}
