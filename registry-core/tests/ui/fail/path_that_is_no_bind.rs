use registry_core::bind;

struct Analytics;

#[bind(Analytics)]
struct Event;

fn main() {}
