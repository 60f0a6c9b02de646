use registry_core::bind;

const KEY: &str = "analytics";

#[bind(db = KEY, backend = Postgres)]
struct Event;

fn main() {}
