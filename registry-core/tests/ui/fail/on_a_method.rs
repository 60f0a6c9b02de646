use registry_core::bind;

struct Event;

impl Event {
    #[bind(db = "analytics")]
    fn id(&self) -> i64 {
        1
    }
}

fn main() {}
