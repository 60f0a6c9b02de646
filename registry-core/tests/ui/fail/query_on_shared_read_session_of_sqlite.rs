use registry_core::{ReadSession, RunQueryDsl, bind_tables, binds};

binds! { Shop: Sqlite = "shop"; }

diesel::table! { products (id) { id -> Integer, name -> Text, } }
bind_tables!(Shop; products);

async fn load(session: &ReadSession<Shop>) {
    let _ = products::table.load::<(i32, String)>(session).await;
}

fn main() {}
