use registry_core::bind;

#[bind(db = "analytics", backend = Postgres)]
mod models {
    diesel::table! { events { id -> BigInt, } }
    diesel::table! { clicks { id -> BigInt, } }

    #[derive(diesel::Queryable)]
    #[diesel(table_name = events)]
    struct Event {
        id: i64,
    }
}

fn main() {}
