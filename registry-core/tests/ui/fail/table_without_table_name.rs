use registry_core::bind;

#[bind(table)]
struct Event;

fn main() {}
