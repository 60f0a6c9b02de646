use registry_core::binds;

binds! {
    pub Analytics: PostgreSQL = "analytics";
}

fn main() {}
