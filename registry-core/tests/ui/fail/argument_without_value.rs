use registry_core::bind;

#[bind(db = "analytics", backend)]
struct Event;

fn main() {}
