use registry_core::bind;

#[bind(db = "analytics")]
trait Event {}

fn main() {}
