use registry_core::bind;

#[bind(db = "analytics", backend = Postgres, db = "reports")]
struct Event;

fn main() {}
