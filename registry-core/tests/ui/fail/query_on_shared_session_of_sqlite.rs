use registry_core::{RunQueryDsl, Session, bind_tables, binds};

binds! { Shop: Sqlite = "shop"; }

diesel::table! { products (id) { id -> Integer, name -> Text, } }
bind_tables!(Shop; products);

async fn insert(session: &Session<Shop>) {
    let _ = diesel::insert_into(products::table).default_values().execute(session).await;
}

fn main() {}
