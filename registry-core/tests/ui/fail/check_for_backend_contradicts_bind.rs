use registry_core::{bind, binds};

binds! {
    Analytics: Postgres = "analytics";
}

#[bind(Analytics)]
#[derive(diesel::Queryable)]
#[diesel(check_for_backend(diesel::sqlite::Sqlite))]
struct Event {
    id: i64,
}

fn main() {}
