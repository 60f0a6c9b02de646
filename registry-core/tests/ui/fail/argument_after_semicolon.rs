use registry_core::bind;

#[bind(db = "analytics"; backend = Postgres)]
struct Event;

fn main() {}
