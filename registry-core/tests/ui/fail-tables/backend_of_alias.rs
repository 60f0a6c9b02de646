use registry_core::bind;

struct Db;

diesel::table! { events (id) { id -> Integer, } }

#[bind(db = "analytics")]
#[derive(diesel::Identifiable)]
#[diesel(table_name = events, check_for_backend(Db))]
struct Event {
    id: i32,
}

fn main() {}
