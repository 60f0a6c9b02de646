use registry_core::bind;

#[bind(db = "analytics", backend = Postgresql)]
struct Event;

fn main() {}
