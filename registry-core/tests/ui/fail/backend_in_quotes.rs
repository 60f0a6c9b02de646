use registry_core::bind;

#[bind(db = "analytics", backend = "mysql")]
struct Event;

fn main() {}
