use registry_core::{bind, bind_tables};

diesel::table! { events (id) { id -> Integer, } }
bind_tables!(db = "analytics", backend = Postgres; events);

#[bind(db = "default", backend = Postgres)]
#[derive(diesel::Identifiable)]
#[diesel(table_name = events)]
struct Event {
    id: i32,
}

fn main() {}
