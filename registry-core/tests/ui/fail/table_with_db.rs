use registry_core::bind;

#[bind(db = "analytics", table)]
struct Event;

fn main() {}
