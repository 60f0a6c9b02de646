use registry_core::bind;

diesel::table! { events { id -> BigInt, } }

#[bind(table)]
#[derive(diesel::Queryable)]
#[diesel(table_name = events)]
struct Event {
    id: i64,
}

fn main() {}
