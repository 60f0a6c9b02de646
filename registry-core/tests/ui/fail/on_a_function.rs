use registry_core::bind;

#[bind(db = "analytics")]
fn events() {}

fn main() {}
