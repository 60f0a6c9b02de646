use registry_core::bind;

#[bind(db = "analytics", backend = Postgres)]
mod schema;

fn main() {}
