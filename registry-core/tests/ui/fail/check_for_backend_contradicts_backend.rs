use registry_core::bind;

#[bind(db = "analytics", backend = Postgres)]
#[derive(diesel::Queryable)]
#[diesel(check_for_backend(diesel::sqlite::Sqlite))]
struct Event {
    id: i64,
}

fn main() {}
