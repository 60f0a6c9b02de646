use registry_core::bind;

#[bind(db = "analytics", backend = Postgres)]
mod models {
    #[derive(diesel::Queryable)]
    #[cfg_attr(any(), registry_core::bind)]
    #[diesel(table_name = events)]
    struct Event {
        id: i64,
    }
}

fn main() {}
