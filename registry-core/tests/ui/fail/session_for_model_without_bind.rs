use registry_core::Registry;

struct Event;

async fn report(registry: &Registry) {
    let _ = registry.session_for::<Event>().await;
}

fn main() {}
