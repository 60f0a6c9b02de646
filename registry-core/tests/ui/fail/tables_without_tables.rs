use registry_core::bind_tables;

bind_tables!(db = "analytics", backend = Postgres;);

fn main() {}
