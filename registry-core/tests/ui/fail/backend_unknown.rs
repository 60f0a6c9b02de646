use registry_core::bind;

#[bind(db = "analytics", backend = Oracle)]
struct Event;

fn main() {}
