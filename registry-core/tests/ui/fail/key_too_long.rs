use registry_core::bind;

#[bind(db = "the_database_in_which_the_events_are_counted", backend = Postgres)]
struct Event;

fn main() {}
