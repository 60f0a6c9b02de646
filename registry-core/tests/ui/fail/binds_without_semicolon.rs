use registry_core::binds;

binds! {
    Analytics: Postgres = "analytics"
    Reports: Postgres = "reports";
}

fn main() {}
