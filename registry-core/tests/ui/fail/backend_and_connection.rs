use registry_core::bind;

#[bind(db = "analytics", backend = Postgres, connection = registry_core::Postgres)]
struct Event;

fn main() {}
