use registry_core::bind;

#[bind(db = "analytics", backend = Postgres)]
mod models {
    diesel::table! { events { id -> BigInt, } }

    #[derive(diesel::Queryable)]
    #[diesel(table_name = events, check_for_backend(diesel::sqlite::Sqlite))]
    struct Event {
        id: i64,
    }
}

fn main() {}
