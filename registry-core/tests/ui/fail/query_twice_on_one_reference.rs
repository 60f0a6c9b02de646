use registry_core::{RunQueryDsl, Session, binds};

binds! { People: Postgres = "people"; }

async fn run(session: &mut Session<People>) {
    let _ = diesel::sql_query("ANALYZE").execute(session).await;
    let _ = diesel::sql_query("VACUUM").execute(session).await;
}

fn main() {}
