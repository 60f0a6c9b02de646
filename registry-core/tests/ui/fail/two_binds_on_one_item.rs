use registry_core::bind;

#[bind(db = "analytics", backend = Postgres)]
#[registry_core::bind(db = "reports", backend = Postgres)]
struct Event;

fn main() {}
