use registry_core::binds;

binds! {
    Analytics: diesel::SqliteConnection = "analytics";
}

fn main() {}
