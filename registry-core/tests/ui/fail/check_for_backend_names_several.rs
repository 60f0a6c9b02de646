use registry_core::bind;

#[bind(db = "analytics")]
#[derive(diesel::Queryable)]
#[diesel(check_for_backend(diesel::pg::Pg, diesel::sqlite::Sqlite))]
struct Event {
    id: i64,
}

fn main() {}
