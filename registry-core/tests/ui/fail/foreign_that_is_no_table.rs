use registry_core::bind_foreign;

mod other_crate {
    #[derive(Default)]
    pub struct Event;
}

bind_foreign!(db = "analytics", backend = Postgres; other_crate::Event);

fn main() {}
