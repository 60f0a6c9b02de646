use registry_core::{BindDsl, Reader, RunQueryDsl, bind_tables, binds};

binds! { Shop: Postgres = "shop"; }

diesel::table! { products (id) { id -> Integer, name -> Text, } }
bind_tables!(Shop; products);

async fn load(reader: &Reader) {
    let text = diesel::sql_query("SELECT id, name FROM products").bound_to::<Shop>();
    let _ = text.execute(reader).await;
}

fn main() {}
