use registry_core::bind;

#[bind(db = "event-log", backend = Postgres)]
struct Event;

fn main() {}
