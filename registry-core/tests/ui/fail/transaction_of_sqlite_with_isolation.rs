use registry_core::{Session, binds};

binds! { Shop: Sqlite = "shop"; }

async fn run(session: &mut Session<Shop>) {
    let _ = session.build_transaction().read_committed();
}

fn main() {}
