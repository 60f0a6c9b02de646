use registry_core::bind;

#[bind(db = "analytics")]
struct Event;

fn main() {}
