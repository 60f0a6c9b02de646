use registry_core::bind;

struct Homemade;

diesel::table! { events { id -> BigInt, } }

#[bind(db = "analytics")]
#[derive(diesel::Identifiable)]
#[diesel(table_name = events, check_for_backend(Homemade))]
struct Event {
    id: i64,
}

fn main() {}
