use registry_core::bind;

struct Event;

#[bind(db = "analytics")]
impl Event {}

fn main() {}
