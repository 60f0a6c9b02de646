use registry_core::bind;

#[bind(db = "größe", backend = Postgres)]
struct Event;

fn main() {}
