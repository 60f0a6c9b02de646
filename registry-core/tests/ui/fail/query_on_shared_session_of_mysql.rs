use registry_core::{RunQueryDsl, Session, bind_tables, binds};

binds! { Shop: Mysql = "shop"; }

diesel::table! { products (id) { id -> Integer, name -> Text, } }
bind_tables!(Shop; products);

async fn load(session: &Session<Shop>) {
    let _ = products::table.load::<(i32, String)>(session).await;
}

fn main() {}
