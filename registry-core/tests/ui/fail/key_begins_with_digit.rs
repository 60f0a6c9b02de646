use registry_core::bind;

#[bind(db = "2025_events", backend = Postgres)]
struct Event;

fn main() {}
