use registry_core::bind;

#[bind(table = events)]
struct Event;

fn main() {}
