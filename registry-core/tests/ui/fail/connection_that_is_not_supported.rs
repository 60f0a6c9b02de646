use registry_core::bind;

#[bind(db = "analytics", connection = diesel::SqliteConnection)]
struct Event;

fn main() {}
