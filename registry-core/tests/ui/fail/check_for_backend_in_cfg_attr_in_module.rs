use registry_core::bind;

#[bind(db = "analytics")]
mod models {
    #[derive(diesel::Queryable)]
    #[diesel(table_name = schema::events)]
    #[cfg_attr(all(), diesel(check_for_backend(diesel::pg::Pg)))]
    struct Event {
        id: i64,
    }
}

fn main() {}
