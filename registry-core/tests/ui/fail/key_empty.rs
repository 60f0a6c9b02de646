use registry_core::bind;

#[bind(db = "", backend = Postgres)]
struct Event;

fn main() {}
