use registry_core::Bound;

struct Event;

fn needs_bound<M: Bound>() {}

fn use_it() {
    needs_bound::<Event>();
}

fn main() {}
