use registry_core::bind;

#[bind(db = "analytics", beckend = Postgres)]
struct Event;

fn main() {}
