use registry_core::{ReadSession, bind_tables, binds};

binds! { Shop: Postgres = "shop"; }

diesel::table! { products (id) { id -> Integer, name -> Text, } }
bind_tables!(Shop; products);

async fn analyze(session: &mut ReadSession<Shop>) {
    use diesel_async::SimpleAsyncConnection;
    let _ = session.batch_execute("ANALYZE").await;
}

fn main() {}
