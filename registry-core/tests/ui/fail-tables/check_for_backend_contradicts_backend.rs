use registry_core::bind;

diesel::table! { events (id) { id -> Integer, } }

#[bind(db = "analytics", backend = Postgres)]
#[derive(diesel::Identifiable)]
#[diesel(table_name = events, check_for_backend(diesel::sqlite::Sqlite))]
struct Event {
    id: i32,
}

fn main() {}
