use registry_core::{Reader, RunQueryDsl, bind_tables, binds};

binds! { Shop: Postgres = "shop"; }

diesel::table! { products (id) { id -> Integer, name -> Text, } }
bind_tables!(Shop; products);

async fn clear(reader: Reader) {
    let _ = diesel::delete(products::table).into_boxed().execute(reader).await;
}

fn main() {}
