use registry_core::bind;

#[bind(db = "analytics", backend = diesel::pg::Pg)]
struct Event;

fn main() {}
