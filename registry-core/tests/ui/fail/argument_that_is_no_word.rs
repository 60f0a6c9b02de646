use registry_core::bind;

#[bind(analytics)]
struct Event;

fn main() {}
