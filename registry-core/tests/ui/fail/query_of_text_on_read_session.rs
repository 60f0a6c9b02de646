use registry_core::{ReadSession, RunQueryDsl, bind_tables, binds};

binds! { Shop: Postgres = "shop"; }

diesel::table! { products (id) { id -> Integer, name -> Text, } }
bind_tables!(Shop; products);

async fn analyze(session: &mut ReadSession<Shop>) {
    let _ = diesel::sql_query("ANALYZE").execute(session).await;
}

fn main() {}
