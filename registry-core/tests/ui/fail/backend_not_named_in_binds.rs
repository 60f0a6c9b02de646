use registry_core::binds;

binds! {
    Analytics = "analytics";
}

fn main() {}
